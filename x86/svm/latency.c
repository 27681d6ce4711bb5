// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the instructions of a hypervisor cost: VMRUN with the exit that ends it, VMLOAD, VMSAVE,
 * STGI and CLGI. Not a test: "make bench" runs it and prints what it reports; nothing is
 * judged but that L2 ran each time. Below another hypervisor each of them may be an
 * exit of its own, which is what one wants to know of it.
 */
#include "svm/test.h"
#include "tsc.h"

TEST_SUMMARY("a benchmark: the cost of VMRUN, VMLOAD, VMSAVE, STGI and CLGI");
TEST_MANUAL("APM volume 2, 15.5 \"VMRUN Instruction\"");
TEST_NEEDS("SVM");

/* Rounds that each measure so many operations; the median of the rounds is told. */
#define ROUNDS	   15
#define OPERATIONS 200

L2_CODE(exit_at_once, "1: vmmcall\n jmp 1b");

static struct svm_guest *guest;
static unsigned int wrong;

static void round_trip(void)
{
	svm_world_switch(&guest->world);
	stgi();
	wrong += guest->vmcb->control.exitcode != VMEXIT_VMMCALL;
	guest->vmcb->save.rip = (ulong)exit_at_once;
}

static void vmload(void)
{
	svm_vmload(guest->world.host_pa);
}

static void vmsave(void)
{
	svm_vmsave(guest->world.host_pa);
}

static u64 median(u64 *values, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		for (unsigned int j = i; j && values[j - 1] > values[j]; j--) {
			u64 value = values[j];

			values[j] = values[j - 1];
			values[j - 1] = value;
		}
	}
	return values[count / 2];
}

static void measure(const char *name, void (*operation)(void))
{
	u64 ticks[ROUNDS], nanoseconds;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		u64 start = rdtsc();

		for (unsigned int i = 0; i < OPERATIONS; i++)
			operation();
		ticks[round] = rdtsc() - start;
	}
	nanoseconds = median(ticks, ROUNDS) * 1000000 / tsc_khz() / OPERATIONS;
	diagnostic("cost %s: %llu ns", name, nanoseconds);
}

static void test_cost(void)
{
	guest = svm_guest(L2_NATIVE, exit_at_once);
	/* The world switch alone, first without, then with VMSAVE, VMLOAD, VMSAVE and VMLOAD. */
	svm_vmsave(guest->world.host_pa);
	guest->world.moves = 0;
	measure("VMRUN and exit", round_trip);
	guest->world.moves = 1;
	measure("VMRUN and exit, two VMLOAD, two VMSAVE", round_trip);
	measure("VMLOAD", vmload);
	measure("VMSAVE", vmsave);
	clgi();
	measure("STGI", stgi);
	measure("CLGI", clgi);
	stgi();
	check_equal(wrong, 0, "each-run-exited");
}
SVM_SUBTEST("cost", test_cost);
