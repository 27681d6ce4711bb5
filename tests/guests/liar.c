// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest that breaks the rules of docs/result-stream.md, one rule a subtest; for the tests of
 * the runner (tests/runner-guests.bats). What is printed here by hand goes round lib/report.c on
 * purpose.
 */
#include "args.h"
#include "console.h"
#include "exit.h"
#include "printf.h"
#include "report.h"

TEST_SUMMARY("breaks the rules of the result stream on purpose");

static void test_honest(void)
{
	check_equal(1 + 1, 2, "sum");
	check(true, "truth");
}

SUBTEST("honest", test_honest);

static void test_failed(void)
{
	check_equal(1 + 1, 3, "sum");
	check(true, "truth");
}

SUBTEST("failed", test_failed);

static void test_skipped(void)
{
	subtest_skip("this machine has no %s", "conscience");
}

SUBTEST("skipped", test_skipped);

static void test_no_check(void)
{
}

SUBTEST("no-check", test_no_check);

static void test_repeated_id(void)
{
	check(true, "same");
	check(true, "same");
}

SUBTEST("repeated-id", test_repeated_id);

/* A stream that is right so far, END included, for a run of this subtest alone. */
static void finish(const char *subtest, unsigned int checks_in_end)
{
	printf("ok 1 %s # 1 checks\n", subtest);
	printf("# END nonce=%llx subtests=1 checks=%u failed=0 skipped=0 duplicates=0\n",
	       (unsigned long long)args.nonce, checks_in_end);
}

static void test_early_end(void)
{
	finish("early-end", 1);
	machine_exit(EXIT_DONE);
}

SUBTEST("early-end", test_early_end);

static void test_after_end(void)
{
	finish("after-end", 1);
	printf("one more thing\n");
	machine_exit(EXIT_DONE);
}

SUBTEST("after-end", test_after_end);

static void test_wrong_totals(void)
{
	finish("wrong-totals", 2);
	machine_exit(EXIT_DONE);
}

SUBTEST("wrong-totals", test_wrong_totals);

/* END, and then neither an exit nor anything else: where no exit device is, this is a clean end. */
static void test_halt(void)
{
	finish("halt", 1);
	console_drain();
	for (;;)
		asm volatile("cli\n\thlt");
}

SUBTEST("halt", test_halt);

static void test_other_end(void)
{
	check(true, "truth");
	printf(
	    "# END nonce=0123456789abcdef subtests=1 checks=1 failed=0 skipped=0 duplicates=0\n");
}

SUBTEST("other-end", test_other_end);

static void test_no_end(void)
{
	check(true, "truth");
	machine_exit(EXIT_DONE);
}

SUBTEST("no-end", test_no_end);

/* QEMU's exit status is then 1, as if it had not been able to start. */
static void test_exit_zero(void)
{
	finish("exit-zero", 1);
	machine_exit(0);
}

SUBTEST("exit-zero", test_exit_zero);

static void test_exit_other(void)
{
	finish("exit-other", 1);
	machine_exit(5);
}

SUBTEST("exit-other", test_exit_other);

/* A new title, a cleared screen and red letters, if they reach a terminal. */
static void test_escapes(void)
{
	static const char escapes[] = "\033]0;owned\a\033[2J\033[31mred\r";

	printf("%s\n", escapes);
	diagnostic("%s", escapes);
	report_text(__FILE__, __LINE__, false, "black", escapes, "colour");
}

SUBTEST("escapes", test_escapes);

static void test_nul(void)
{
	static const char nuls[] = "\0a\0b\0\n";

	console_write(nuls, sizeof(nuls) - 1);
	check(true, "truth");
}

SUBTEST("nul", test_nul);

static void test_nul_in_result(void)
{
	static const char line[] = "ok 1 nul-in-result\0 # 1 checks\n";

	console_write(line, sizeof(line) - 1);
	machine_exit(EXIT_DONE);
}

SUBTEST("nul-in-result", test_nul_in_result);

static void test_endless_line(void)
{
	for (;;)
		printf("and on ");
}

SUBTEST("endless-line", test_endless_line);

static void test_flood(void)
{
	for (;;)
		printf("nothing that a test would have to say, in a line of its own, again\n");
}

SUBTEST("flood", test_flood);
