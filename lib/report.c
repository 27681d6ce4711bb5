// SPDX-License-Identifier: BSD-2-Clause
#include "args.h"
#include "id_set.h"
#include "printf.h"
#include "report.h"
#include "string.h"

#define MAX_PREFIX_DEPTH 8
#define ID_SIZE		 112

extern const struct subtest subtests_start[], subtests_end[];

/* For a look from outside at a guest that hangs; its layout is in docs/result-stream.md. */
struct {
	char magic[8];
	u32 subtest, checks;
	char id[ID_SIZE];
} report_trail = { .magic = "TRAILv1" };

/* Of the subtest that runs. */
static struct {
	const char *name;
	char prefix[ID_SIZE]; /* "subtest.prefix." */
	u16 prefix_length[MAX_PREFIX_DEPTH];
	unsigned int depth;
	unsigned int number; /* of the last check */
	unsigned int failed, skipped;
	bool heading;	     /* "# Subtest:" was printed */
	bool skip_all;
} current;

static struct {
	unsigned int subtests, checks, failed, skipped, duplicates;
} total;

/* The id as it will be reported goes to report_trail, so that a post-mortem finds it. */
static void set_id(const char *id, va_list list)
{
	size_t length = strlcpy(report_trail.id, current.prefix, ID_SIZE);

	vsnprintf(report_trail.id + length, ID_SIZE - length, id, list);
}

/* Numbers a check and notices an id that occurred before. */
static void begin_check(const char *id, va_list list)
{
	set_id(id, list);
	current.number++;
	report_trail.checks = current.number;
	if (!id_set_add(report_trail.id)) {
		total.duplicates++;
		printf("# duplicate id %s\n", report_trail.id);
	}
}

static void print_check(const char *verdict)
{
	if (!current.heading) {
		printf("    # Subtest: %s\n", current.name);
		current.heading = true;
	}
	printf("    %s %u %s", verdict, current.number, report_trail.id);
}

/* Returns true if the caller is to say why the check failed, and end the line. */
static bool end_check(bool ok)
{
	if (!ok) {
		current.failed++;
		print_check("not ok");
		return true;
	}
	if (args.verbose) {
		print_check("ok");
		printf("\n");
	}
	return false;
}

#define BEGIN_CHECK(id)                                                                            \
	do {                                                                                       \
		va_list list_;                                                                     \
                                                                                                   \
		va_start(list_, id);                                                               \
		begin_check(id, list_);                                                            \
		va_end(list_);                                                                     \
	} while (0)

bool report_check(const char *file, unsigned int line, bool ok, const char *condition,
		  const char *id, ...)
{
	BEGIN_CHECK(id);
	if (end_check(ok))
		printf(" # expected %s at %s:%u\n", condition, file, line);
	return ok;
}

bool report_equal(const char *file, unsigned int line, u64 got, u64 expected, const char *id, ...)
{
	BEGIN_CHECK(id);
	if (end_check(got == expected))
		printf(" # expected %#llx, got %#llx at %s:%u\n", (unsigned long long)expected,
		       (unsigned long long)got, file, line);
	return got == expected;
}

bool report_fault(const char *file, unsigned int line, struct fault got, struct fault expected,
		  const char *id, ...)
{
	bool ok = fault_equal(got, expected);

	BEGIN_CHECK(id);
	if (end_check(ok))
		printf(" # expected %pe, got %pe at %s:%u\n", &expected, &got, file, line);
	return ok;
}

bool report_text(const char *file, unsigned int line, bool ok, const char *expected,
		 const char *got, const char *id, ...)
{
	BEGIN_CHECK(id);
	if (end_check(ok))
		printf(" # expected %s, got %s at %s:%u\n", expected, got, file, line);
	return ok;
}

void report_skip(const char *reason, const char *id, ...)
{
	BEGIN_CHECK(id);
	current.skipped++;
	print_check("ok");
	printf(" # SKIP %s\n", reason);
}

/* Printed when the subtest ends, if no check came in between. */
static char skip_reason[128];

void subtest_skip(const char *reason, ...)
{
	va_list list;

	va_start(list, reason);
	vsnprintf(skip_reason, sizeof(skip_reason), reason, list);
	va_end(list);
	current.skip_all = true;
}

void prefix_push(const char *text, ...)
{
	size_t length = strlen(current.prefix);
	va_list list;

	if (current.depth == MAX_PREFIX_DEPTH)
		__builtin_trap();
	current.prefix_length[current.depth++] = length;
	va_start(list, text);
	vsnprintf(current.prefix + length, ID_SIZE - length - 1, text, list);
	va_end(list);
	length = strlen(current.prefix);
	strlcpy(current.prefix + length, ".", ID_SIZE - length);
}

void prefix_pop(void)
{
	if (!current.depth)
		__builtin_trap();
	current.prefix[current.prefix_length[--current.depth]] = '\0';
}

void diagnostic(const char *text, ...)
{
	va_list list;

	printf("# ");
	va_start(list, text);
	vprintf(text, list);
	va_end(list);
	printf("\n");
}

void checking(const char *id, ...)
{
	va_list list;

	va_start(list, id);
	set_id(id, list);
	va_end(list);
}

const char *report_last_check(void)
{
	return report_trail.id;
}

static void run_subtest(const struct subtest *subtest, unsigned int index)
{
	unsigned int judged;

	memset(&current, 0, sizeof(current));
	current.name = subtest->name;
	report_trail.subtest = index;
	report_trail.checks = 0;
	strlcpy(report_trail.id, subtest->name, ID_SIZE);
	prefix_push("%s", subtest->name);

	subtest->run(subtest->argument);

	total.subtests++;
	/* A skip that comes after a check would hide it: it is shown as a failure. */
	if (current.skip_all && current.number)
		check(false, "subtest_skip-after-a-check");
	judged = current.number - current.skipped;
	if (current.skip_all && !current.number) {
		total.skipped++;
		printf("ok %u %s # SKIP %s\n", total.subtests, subtest->name, skip_reason);
		return;
	}
	if (current.failed)
		printf("not ok %u %s # %u of %u check%s failed", total.subtests, subtest->name,
		       current.failed, judged, judged == 1 ? "" : "s");
	else
		printf("ok %u %s # %u check%s", total.subtests, subtest->name, judged,
		       judged == 1 ? "" : "s");
	if (current.skipped)
		printf(", %u skipped", current.skipped);
	printf("\n");
	total.checks += judged;
	total.failed += current.failed;
	total.skipped += current.skipped;
}

void report_run(void)
{
	unsigned int count = subtests_end - subtests_start, planned = 0;

	for (unsigned int i = 0; i < count; i++)
		planned += args_list_has(args.run, i);
	printf("KTAP version 1\n1..%u\n# test %s mode %s cpus %u\n", planned, test_name, MODE_NAME,
	       args.cpus);
	for (unsigned int i = 0; i < count; i++)
		if (args_list_has(args.run, i))
			run_subtest(&subtests_start[i], i);
	printf("# END nonce=%llx subtests=%u checks=%u failed=%u skipped=%u duplicates=%u\n",
	       (unsigned long long)args.nonce, total.subtests, total.checks, total.failed,
	       total.skipped, total.duplicates);
}
