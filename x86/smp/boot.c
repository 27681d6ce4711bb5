// SPDX-License-Identifier: BSD-2-Clause
/*
 * More than one CPU: all of them come up, each with an identity and a state of
 * its own. The other files of this folder use them: init.c (INIT and STARTUP),
 * ipi.c (delivery), locked.c, ordering.c (memory), tlb.c (shootdown).
 *
 * MP initialization ends with one bootstrap processor, whose IA32_APIC_BASE has
 * the BSP flag, and with application processors whose APIC IDs are unique: a
 * hypervisor that gives two vCPUs one ID sends interrupts to the wrong one.
 */
#include "apic.h"
#include "args.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "extable.h"
#include "msr.h"
#include "paging.h"
#include "report.h"
#include "smp.h"

TEST_SUMMARY("all CPUs come up, reach each other, and see memory in the promised order");
TEST_MANUAL("SDM volume 3A, \"Multiple-Processor (MP) Initialization\"");
TEST_MANUAL("SDM volume 3A, \"Issuing Interprocessor Interrupts\"");
TEST_MANUAL("SDM volume 3A, \"Memory Ordering in P6 and More Recent Processor Families\"");
TEST_MANUAL("SDM volume 3A, \"Locked Atomic Operations\"");
TEST_MANUAL("SDM volume 3A, \"Propagation of Paging-Structure Changes to Multiple Processors\"");

#define DISTINCTIVE 0x5a5a0000u

/* What a CPU says of itself. */
static struct identity {
	u32 apic_id, cpuid_apic_id, token;
	u64 apic_base, efer;
	ulong cr0, cr3, cr4, stack;
	u16 task;
	unsigned int index, runs;
	struct cpu *without_gs; /* the per-CPU area while %gs and %fs hold null selectors */
	struct fault guard_page;
} identities[MAX_CPUS];

static struct fault touch(ulong address)
{
	struct fault fault;

	asm volatile(TRY("movb $0, (%[address])")
		     : TRY_RESULT(fault)
		     : [address] "r"(address)
		     : "memory");
	return fault;
}

static void identify(void *argument)
{
	struct identity *self = &identities[cpu_index()];

	(void)argument;
	self->runs++;
	self->index = cpu_index();
	self->apic_id = apic_id();
	self->cpuid_apic_id = cpuid(1).ebx >> 24;
	self->apic_base = rdmsr(MSR_IA32_APIC_BASE);
	self->efer = cpu_has(FEATURE_NX) ? rdmsr(MSR_EFER) : 0;
	self->cr0 = read_cr0();
	self->cr3 = read_cr3();
	self->cr4 = read_cr4();
	self->task = str();
	self->stack = (ulong)__builtin_frame_address(0);
	write_fs(0);
	write_gs(0);
	self->without_gs = this_cpu();
	write_fs(KERNEL_DS);
	write_gs(KERNEL_DS);
	self->guard_page = touch(this_cpu()->stack_top - STACK_SIZE - 1);
}

static void test_up(void)
{
	check_equal(cpu_count(), args.cpus, "count");
	for (unsigned int i = 0; i < cpu_count(); i++)
		identities[i].runs = 0;
	on_all_cpus(identify, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		check_equal(identities[i].runs, 1, "cpu-%u.runs", i);
		check_equal(identities[i].index, i, "cpu-%u.index", i);
	}
}

SUBTEST("up", test_up);

static void test_apic_ids(void)
{
	on_all_cpus(identify, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		unsigned int same = 0;

		for (unsigned int j = 0; j < cpu_count(); j++)
			same += identities[j].apic_id == identities[i].apic_id;
		check_equal(same, 1, "cpu-%u.owners-of-its-id", i);
		/* "Initial APIC ID", CPUID leaf 1: nobody has written to the register since. */
		check_equal(identities[i].apic_id, identities[i].cpuid_apic_id, "cpu-%u.cpuid", i);
		check_equal(!!(identities[i].apic_base & APIC_BASE_BSP), i == 0, "cpu-%u.bsp", i);
		check(identities[i].apic_base & APIC_BASE_ENABLE, "cpu-%u.enabled", i);
	}
}

SUBTEST("apic-ids", test_apic_ids);

/* The library's promise to all tests: what each CPU has is its own, and all are alike. */
static void test_own_state(void)
{
	on_all_cpus(identify, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		const struct identity *self = &identities[i];
		ulong top = cpus[i]->stack_top;

		check(self->stack < top && self->stack >= top - STACK_SIZE, "cpu-%u.stack", i);
		check_fault(self->guard_page, FAULT_PF(PF_WRITE), "cpu-%u.guard-page", i);
		check_equal(self->task, TSS_SELECTOR, "cpu-%u.task-register", i);
		check_equal((ulong)self->without_gs, (ulong)cpus[i], "cpu-%u.found-without-gs", i);
		check_equal(self->cr0, identities[0].cr0, "cpu-%u.cr0", i);
		check_equal(self->cr3, identities[0].cr3, "cpu-%u.cr3", i);
		check_equal(self->cr4, identities[0].cr4, "cpu-%u.cr4", i);
		check_equal(self->efer, identities[0].efer, "cpu-%u.efer", i);
		for (unsigned int j = 0; j < i; j++)
			check(cpus[j] != cpus[i] && cpus[j]->stack_top != top, "cpu-%u.not-%u", i,
			      j);
	}
}

SUBTEST("own-state", test_own_state);

/* One after the other and from any CPU to any: the return of a call means that it has run. */
static void call_me_back(void *argument)
{
	identities[cpu_index()].token = DISTINCTIVE + *(unsigned int *)argument;
}

static void call_next(void *argument)
{
	smp_call(cpu_index() + 1, call_me_back, argument);
}

static void test_calls(void)
{
	/* Not to CPU 0, which waits for the caller. */
	for (unsigned int i = 0; i + 1 < cpu_count(); i++) {
		unsigned int next = i + 1;

		identities[next].token = 0;
		smp_call(i, call_next, &next);
		check_equal(identities[next].token, DISTINCTIVE + next, "from-%u.to-%u", i, next);
	}
}

SUBTEST("calls", test_calls);
