// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs code where there is neither RAM nor ROM, for the tests of the runner
 * (tests/runner-machines.bats): KVM cannot emulate it and stops with an internal error.
 */
#include "report.h"

TEST_SUMMARY("makes KVM stop with an internal error on purpose");

/* Mapped by the library, like everything below 4 GiB, and backed by nothing on any machine. */
#define NOWHERE 0xd0000000ul

static void test_before(void)
{
	check(true, "passes");
}

SUBTEST("before", test_before);

static void test_execute(void)
{
	checking("jump");
	((void (*)(void))NOWHERE)();
}

SUBTEST("execute", test_execute);

static void test_after(void)
{
	check(true, "passes");
}

SUBTEST("after", test_after);
