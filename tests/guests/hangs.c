// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hangs, for the tests of the runner (tests/runner-guests.bats): only the time limit ends them,
 * and only the VMM can then say where the guest was.
 */
#include "control.h"
#include "report.h"

TEST_SUMMARY("hangs on purpose");

static __noinline void spin(void)
{
	for (;;)
		cpu_relax();
}

static void test_interrupts_off(void)
{
	check(true, "still-well");
	checking("spin");
	irq_disable();
	spin();
}

SUBTEST("interrupts-off", test_interrupts_off);

static void test_interrupts_on(void)
{
	checking("halt");
	for (;;)
		asm volatile("sti\n\thlt");
}

SUBTEST("interrupts-on", test_interrupts_on);

static void test_after(void)
{
	check(true, "passes");
}

SUBTEST("after", test_after);
