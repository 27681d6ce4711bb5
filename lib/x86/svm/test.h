/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Subtests of nested SVM. One that is a declaration: L2's code, how the VMCB is set up, the
 * exits that must come, in order, and what must hold after them.
 *
 *	SVM_TEST("cpuid", "cpuid",
 *		 .intercepts = EXITCODES(VMEXIT_CPUID),
 *		 .exits = { { VMEXIT_CPUID } });
 *
 * One that is a C function, for what is a table or needs more:
 *
 *	SVM_SUBTEST("asid", test_asid);
 *
 * Both are skipped where there is no SVM, and end with svm_check_invariants().
 */
#ifndef LIB_X86_SVM_TEST_H
#define LIB_X86_SVM_TEST_H

#include "report.h"
#include "svm/exit.h"
#include "svm/guest.h"

#define SVM_MAX_EXITS 8

/* Which of an exit's fields are compared as well. */
enum svm_compare { SVM_INFO1 = 1, SVM_INFO2 = 2, SVM_ANY_RIP = 4 };

struct svm_exit {
	u64 code;
	enum svm_compare compare;
	u64 info1, info2;
	/* Done before the guest goes on; if NULL, the instruction under test is skipped. */
	void (*then)(struct svm_guest *guest);
};

struct svm_test {
	const char *file;
	unsigned int line;
	const u8 *code, *end; /* of the text; VMMCALL stands at its end */
	enum l2_mode mode;
	const u16 *intercepts; /* besides those of svm_guest() */
	u64 feature, feature2; /* CPUID: where the CPU lacks one the subtest is skipped */
	void (*setup)(struct svm_guest *guest);
	/* In order, up to the first of code 0 without a compare; then comes VMMCALL at the end. */
	struct svm_exit exits[SVM_MAX_EXITS];
	bool no_vmmcall; /* the last of exits is the end: the code does not go on */
	void (*after)(struct svm_guest *guest);
};

#define EXITCODES(...)	    ((const u16[]){ __VA_ARGS__, 0xffff })
#define NO_MORE_EXITS(exit) ((exit)->code == 0 && (exit)->compare == 0)

/*
 * The text is L2's code in the mode's code size: begin it with ".code16\n" or ".code32\n" where
 * that is not this image's. An exit of an instruction that is not the text's last one needs a
 * then of its own: by default the guest goes on at the end of the text.
 */
#define SVM_TEST(subtest_name, text, ...)                                                          \
	SVM_TEST_(CONCAT(svm_code_, __LINE__), subtest_name, text, __VA_ARGS__)
#define SVM_TEST_(label, subtest_name, text, ...)                                                  \
	asm(".pushsection .text.l2." STRINGIFY(label) ", \"ax\", @progbits\n"                      \
	    ".balign 16\n" STRINGIFY(label) ":\n" text "\n"                                        \
	    STRINGIFY(label) "_end: vmmcall\n ud2\n" L2_NATIVE_CODE ".popsection");               \
	extern const u8 label[], CONCAT(label, _end)[];                                            \
	static const struct svm_test CONCAT(svm_test_, __LINE__) = {                               \
		.file = __FILE__, .line = __LINE__,                                                \
		.code = label, .end = CONCAT(label, _end), __VA_ARGS__                             \
	};                                                                                         \
	SUBTEST_ARG(subtest_name, svm_test_run, &CONCAT(svm_test_, __LINE__))

#define SVM_SUBTEST(subtest_name, function)                                                        \
	static void CONCAT(svm_subtest_, __LINE__)(const void *unused)                             \
	{                                                                                          \
		(void)unused;                                                                      \
		if (!svm_ready())                                                                  \
			return;                                                                    \
		function();                                                                        \
		svm_check_invariants();                                                            \
	}                                                                                          \
	SUBTEST_ARG(subtest_name, CONCAT(svm_subtest_, __LINE__), NULL)

/* For SUBTEST_ARG(): argument is a struct svm_test. */
void svm_test_run(const void *argument);

/* The exit that the VMCB shows, compared by its code: "expected VMEXIT_CPUID, got VMEXIT_HLT". */
#define check_exit(guest, exitcode, ...)                                                           \
	svm_report_exit(__FILE__, __LINE__, guest,                                                 \
			&(const struct svm_exit){ .code = (exitcode) }, __VA_ARGS__)

/* With exitinfo1 and exitinfo2. */
#define check_exit_info(guest, exitcode, exitinfo1, exitinfo2, ...)                                \
	svm_report_exit(__FILE__, __LINE__, guest,                                                 \
			&(const struct svm_exit){ .code = (exitcode),                              \
						  .compare = SVM_INFO1 | SVM_INFO2,                \
						  .info1 = (exitinfo1),                            \
						  .info2 = (exitinfo2) },                          \
			__VA_ARGS__)

bool svm_report_exit(const char *file, unsigned int line, const struct svm_guest *guest,
		     const struct svm_exit *expected, const char *id, ...) __printf(5, 6);

#endif
