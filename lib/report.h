/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test says: its declaration, its subtests and its checks.
 *
 *	TEST_SUMMARY("an access faults exactly when its last byte lies beyond the limit");
 *	TEST_MANUAL("SDM volume 3A, \"Limit Checking\"");
 *	SUBTEST("read", test_read);
 *
 * Declarations lie in the image for the runner to read, see docs/result-stream.md;
 * a test's checks are checked and counted here. Only the boot processor reports.
 */
#ifndef LIB_REPORT_H
#define LIB_REPORT_H

#include "fault.h"
#include "printf.h"
#include "types.h"

#if __has_attribute(no_reorder)
#define DECLARED_IN_ORDER __attribute__((no_reorder))
#else
#define DECLARED_IN_ORDER /* clang emits variables in the order of the source */
#endif

/* Text for section .trapline, which is not loaded. */
#define TRAPLINE_INFO(key, value)                                                                  \
	static const char CONCAT(trapline_info_, __COUNTER__)[] __section(".trapline")             \
		__aligned(1) __used DECLARED_IN_ORDER = key " " value

/* Once in every test; TEST_NAME is given by the Makefile. */
#define TEST_SUMMARY(text)                                                                         \
	const char test_name[] = TEST_NAME;                                                        \
	TRAPLINE_INFO("test", TEST_NAME);                                                          \
	TRAPLINE_INFO("mode", MODE_NAME);                                                          \
	TRAPLINE_INFO("summary", text)

#define TEST_MANUAL(text)  TRAPLINE_INFO("manual", text)
#define TEST_GUARDS(text)  TRAPLINE_INFO("guards", text) /* a bug: its commit and story in a line */
#define TEST_NEEDS(text)   TRAPLINE_INFO("needs", text)	 /* for the reader; the test itself skips */

extern const char test_name[];

struct subtest {
	const char *name;
	void (*run)(const void *argument);
	const void *argument;
};

/*
 * A subtest: a unit of selection, of reporting and of recovery from a crash. name is
 * a string; subtests run in the order in which they are declared.
 * SUBTEST_ARG() passes a pointer to the function, for subtests that are rows of a table.
 */
#define SUBTEST_ARG(subtest_name, function, pointer)                                               \
	TRAPLINE_INFO("subtest", subtest_name);                                                    \
	static const struct subtest CONCAT(subtest_, __LINE__) __section(".subtests")              \
	    __used DECLARED_IN_ORDER __aligned(                                                    \
		__alignof__(struct subtest)) = { subtest_name, function, pointer }

#define SUBTEST(subtest_name, function)                                                            \
	static void CONCAT(subtest_run_, __LINE__)(const void *argument)                           \
	{                                                                                          \
		(void)argument;                                                                    \
		function();                                                                        \
	}                                                                                          \
	SUBTEST_ARG(subtest_name, CONCAT(subtest_run_, __LINE__), NULL)

/*
 * Checks. The id (a format and its arguments) is lower case, dotted from the
 * general to the special, and unique in the subtest; it is reported as
 * subtest.prefix.id. All but check_skip() return whether the check passed.
 *
 *	check(condition, "id.%u", n);
 *	check_equal(got, expected, "id");
 *	check_fault(got, FAULT_GP(0), "id");
 *	check_skip("the CPU has no FXSR", "id");
 */
#define check(condition, ...)                                                                      \
	report_check(__FILE__, __LINE__, (condition), #condition, __VA_ARGS__)
#define check_equal(got, expected, ...)                                                            \
	report_equal(__FILE__, __LINE__, got, expected, __VA_ARGS__)
#define check_fault(got, expected, ...)                                                            \
	report_fault(__FILE__, __LINE__, got, expected, __VA_ARGS__)
#define check_skip(reason, ...) report_skip(reason, __VA_ARGS__)

bool report_check(const char *file, unsigned int line, bool ok, const char *condition,
		  const char *id, ...) __printf(5, 6);
bool report_equal(const char *file, unsigned int line, u64 got, u64 expected, const char *id, ...)
	__printf(5, 6);
bool report_fault(const char *file, unsigned int line, struct fault got, struct fault expected,
		  const char *id, ...) __printf(5, 6);
void report_skip(const char *reason, const char *id, ...) __printf(2, 3);

/* Passed in place of the id of a comparison that says it in words: got "x", expected "y". */
bool report_text(const char *file, unsigned int line, bool ok, const char *expected,
		 const char *got, const char *id, ...) __printf(6, 7);

/* The whole subtest is skipped, before its first check; the caller returns then. */
void subtest_skip(const char *reason, ...) __printf(1, 2);

/* Puts "text." in front of the ids that follow, until the matching pop. */
void prefix_push(const char *text, ...) __printf(1, 2);
void prefix_pop(void);

/* A diagnostic line, not judged: what the manual leaves open is reported so. */
void diagnostic(const char *text, ...) __printf(1, 2);

/* Names what comes next for a post-mortem; for what may hang or crash before its check. */
void checking(const char *id, ...) __printf(1, 2);

/* The id of the last check that was reported, or named by checking(). */
const char *report_last_check(void);

/* Runs the selected subtests and prints the result stream up to END. */
void report_run(void);

/* For functions of a test that report, and whose last arguments are an id: the id as text. */
#define FORMAT_ID(buffer, id)                                                                      \
	do {                                                                                       \
		va_list list_;                                                                     \
                                                                                                   \
		va_start(list_, id);                                                               \
		vsnprintf(buffer, sizeof(buffer), id, list_);                                      \
		va_end(list_);                                                                     \
	} while (0)

#endif
