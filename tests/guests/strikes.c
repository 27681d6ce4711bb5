// SPDX-License-Identifier: BSD-2-Clause
/*
 * Crashes, each of its own kind, for the tests of the runner (tests/runner-guests.bats): every
 * subtest says what it is about to do, so that the post-mortem can tell it, and the one behind
 * them all has to run although they are lost.
 */
#include "context.h"
#include "crash.h"
#include "descriptor.h"
#include "paging.h"
#include "report.h"
#include "trap.h"

TEST_SUMMARY("crashes on purpose");

static void test_before(void)
{
	check(true, "passes");
}

SUBTEST("before", test_before);

/* With no entry in the IDT the #UD finds no gate, nor do the #GP for that and the #DF for this. */
static void test_triple_fault(void)
{
	static const struct descriptor_pointer empty;

	check(true, "still-well");
	checking("no-idt");
	lidt(&empty);
	asm volatile("ud2");
}

SUBTEST("triple-fault", test_triple_fault);

static void test_exception(void)
{
	checking("ud2");
	asm volatile("ud2");
}

SUBTEST("exception", test_exception);

/* A fault in ring 3 is a value for user_call(); this handler says that nobody expected it. */
static bool unexpected(struct trap_frame *frame)
{
	if (frame_is_user(frame))
		crash_trap(frame, frame_sp(frame));
	return false;
}

static __noinline ulong touch(ulong address)
{
	return *(volatile u8 *)address + 1;
}

static ulong in_ring3(ulong address)
{
	return touch(address) + 1;
}

static void test_user_page_fault(void)
{
	void *nowhere = virtual_range(PAGE_SIZE, PAGE_SIZE);

	checking("read");
	trap_set_handler(VECTOR_PF, unexpected);
	user_call(in_ring3, (ulong)nowhere, NULL);
}

SUBTEST("user-page-fault", test_user_page_fault);

static __noinline unsigned int descend(volatile unsigned int *depth)
{
	volatile unsigned int here[64] = { *depth };

	if (!*depth)
		return here[1];
	*depth -= 1;
	return descend(depth) + here[0];
}

/* A million frames of 256 bytes: 16 KiB is all there is. */
static void test_stack_overflow(void)
{
	unsigned int depth = 1u << 20;

	checking("descend");
	check(descend(&depth) == 0, "came-back");
}

SUBTEST("stack-overflow", test_stack_overflow);

static void test_after(void)
{
	check(true, "passes");
}

SUBTEST("after", test_after);
