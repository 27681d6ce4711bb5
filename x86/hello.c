// SPDX-License-Identifier: BSD-2-Clause
/*
 * The smallest test there can be: it shows what a test consists of, and what
 * starting one costs. docs/writing-tests.md goes through it line by line.
 */
#include "cpuid.h"
#include "report.h"

TEST_SUMMARY("a guest starts, runs C code in its mode, and reports");
TEST_MANUAL("SDM volume 2A, CPUID");

/* Leaf 0 holds the highest leaf; every CPU with CPUID has leaf 1. */
static void test_cpuid(void)
{
	check(cpuid(0).eax >= 1, "highest-leaf");
}

SUBTEST("cpuid", test_cpuid);
