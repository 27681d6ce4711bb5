// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMX over time and over CPUs: guests on all of them at once, a VMCS that moves from one to
 * another with VMCLEAR, VMX operation left with VMCSs active and entered again, regions that were
 * written to, INIT in each kind of operation, thousands of runs into which interrupts come, and
 * what once broke.
 *
 * Hypervisors keep what they know of a VMCS in places that are per CPU: a copy of what lies
 * in the guest's memory, the current pointer, flags for "launched" and "in guest mode" that each
 * way out must clear. One that is left, or state of another CPU, is found only by leaving in
 * every way and coming back.
 *
 * SDM volume 3C, "Software Use of the VMCS and Related Structures", "VMCS Regions",
 * "Restrictions on VMX Operation", "VMX Support: INIT"; volume 3D, "VMX Instruction Reference".
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "lifecycle.h"
#include "smp.h"

TEST_SUMMARY("VMX on all CPUs, VMCSs that move, VMXOFF at any time, interrupt storms, old bugs");
TEST_MANUAL("SDM volume 3C, \"Software Use of the VMCS and Related Structures\"");
TEST_MANUAL("SDM volume 3C, \"Restrictions on VMX Operation\"");
TEST_MANUAL("SDM volume 3C, \"Overview of VMX Instructions\"; volume 3D, \"VMXOFF\", \"VMCLEAR\"");
TEST_GUARDS("CVE-2018-12904: KVM let ring 3 of L1 execute VMX instructions");
TEST_GUARDS("CVE-2017-12154: KVM let L2 access the hardware's CR8 (commit 51aa68e7d57e)");
TEST_GUARDS("CVE-2019-7221: KVM freed a VMCS whose preemption timer ran (commit ecec76885bcf)");
TEST_GUARDS("CVE-2017-2596: KVM lost a page with each VMXON that it refused");
TEST_GUARDS("CVE-2023-30456: KVM missed checks of CR0 and CR4 at VM entry (commit 112e66017bff)");
TEST_GUARDS("CVE-2014-3645, CVE-2014-3646: KVM did not know the exits of INVEPT and INVVPID");
TEST_GUARDS("KVM shut L1 down for VMCLEAR where there is no memory (commit 587d7e72aedc)");
TEST_NEEDS("VMX; two CPUs");

#define RUNS 100

L2_CODE(add_and_exit, ".globl add_and_exit\n 1: add %ecx, %eax\n vmcall\n jmp 1b");

bool runs_anew(struct vmx_guest *guest)
{
	vmx_guest_again(guest, L2_NATIVE, add_and_exit);
	return vmx_run(guest) == EXIT_VMCALL;
}

static bool has_two_cpus(void)
{
	if (cpu_count() >= 2)
		return true;
	subtest_skip("one CPU");
	return false;
}

/* What one CPU runs, and how it went. */
static struct task {
	struct vmx_guest *guest;
	unsigned int exits; /* as expected */
	u32 sum;
} tasks[MAX_CPUS];

/* The next instruction is the JMP back. */
static bool run_next(struct vmx_guest *guest)
{
	if (vmx_run(guest) != EXIT_VMCALL)
		return false;
	vmx_skip();
	return true;
}

static void run_task(void *unused)
{
	struct task *task = &tasks[cpu_index()];
	struct vmx_guest *guest = task->guest;

	(void)unused;
	vmx_guest_again(guest, L2_NATIVE, add_and_exit);
	guest->world.registers.cx = cpu_index() + 3;
	smp_meet();
	for (unsigned int i = 0; i < RUNS; i++)
		task->exits += run_next(guest);
	task->sum = guest->world.registers.ax;
	vmx_forget(guest);
}

static void test_all_cpus(void)
{
	if (!has_two_cpus())
		return;
	for (unsigned int i = 0; i < cpu_count(); i++) {
		tasks[i] = (struct task){ .guest = vmx_guest(L2_NATIVE, add_and_exit) };
		vmx_forget(tasks[i].guest);
	}
	on_all_cpus(run_task, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		check_equal(tasks[i].exits, RUNS, "cpu-%u.exits", i);
		check_equal(tasks[i].sum, RUNS * (i + 3), "cpu-%u.sum", i);
	}
}
VMX_SUBTEST("all_cpus", test_all_cpus);

/*
 * One VMCS goes from CPU to CPU: VMCLEAR here, VMPTRLD there, and it is to be launched, not
 * resumed; the guest's state goes with it, the host's is the new CPU's.
 */
static struct {
	struct vmx_guest *guest;
	struct vmx_result resumed;
	unsigned int exits;
} moved;

static void run_moved(void *unused)
{
	(void)unused;
	vmx_current(moved.guest);
	vmcs_set_host();
	/* L2 shares the descriptor tables and the task of the CPU. */
	vmcs_write(VMCS_GUEST_GDTR_BASE, sgdt().base);
	vmcs_write(VMCS_GUEST_TR_BASE, (ulong)&this_cpu()->tss);
	moved.guest->world.launched = true;
	vmx_run(moved.guest);
	moved.resumed = moved.guest->entry;
	moved.guest->world.launched = false;
	/* A launch, then a resumption. */
	moved.exits += run_next(moved.guest);
	moved.exits += run_next(moved.guest);
	vmx_forget(moved.guest);
}

static void test_moved(void)
{
	const unsigned int rounds = 20;
	unsigned int refused = 0;

	if (!has_two_cpus())
		return;
	moved.guest = vmx_guest(L2_NATIVE, add_and_exit);
	moved.exits = 0;
	moved.guest->world.registers.cx = 1;
	vmx_forget(moved.guest);
	for (unsigned int i = 0; i < rounds; i++) {
		smp_call(i % cpu_count(), run_moved, NULL);
		refused +=
		    moved.resumed.value == VMX_FAIL_VALID_VALUE(VM_ERROR_VMRESUME_NON_LAUNCHED);
	}
	check_equal(moved.exits, 2 * rounds, "exits");
	check_equal(moved.guest->world.registers.ax, 2 * rounds, "sum");
	check_equal(refused, rounds, "resume-refused");
	vmx_current(moved.guest);
	/* Behind an ADD and VMCALL: where the first instruction is, if the JMP had been run. */
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)add_and_exit + 5, "ip");
}
VMX_SUBTEST("moved", test_moved);

/* Each CPU has a current VMCS of its own. */
static u64 current_there;

static void look_at_current(void *unused)
{
	(void)unused;
	vmptrst(&current_there);
}

static void make_current(void *argument)
{
	vmx_current(argument);
}

static void forget(void *argument)
{
	vmx_forget(argument);
}

static void test_current(void)
{
	struct vmx_guest *here = vmx_guest(L2_NATIVE, add_and_exit), *there;
	u64 current = 0;

	if (!has_two_cpus())
		return;
	there = vmx_guest(L2_NATIVE, add_and_exit);
	vmx_forget(there);
	vmx_current(here);
	smp_call(1, make_current, there);
	vmptrst(&current);
	check_equal(current, here->vmcs_pa, "here");
	smp_call(1, look_at_current, NULL);
	check_equal(current_there, there->vmcs_pa, "there");
	/* VMCLEAR of what is current there, there; nothing changes here. */
	smp_call(1, forget, there);
	smp_call(1, look_at_current, NULL);
	check_equal(current_there, ~0ull, "cleared.there");
	vmptrst(&current);
	check_equal(current, here->vmcs_pa, "cleared.here");
}
VMX_SUBTEST("current", test_current);

/*
 * Nested again: L2's VMLAUNCH and VMRESUME exit, and L1 runs a third guest for it, whose exit it
 * then gives to L2: two VMCSs by turns, as every nested hypervisor has them.
 */
L2_CODE(hypervisor, "vmlaunch\n 1: mov %eax, %esi\n vmresume\n jmp 1b");
L2_CODE(level_3, "1: inc %eax\n cpuid\n jmp 1b");

static void test_nested_again(void)
{
	struct vmx_guest *l2 = vmx_guest(L2_NATIVE, hypervisor);
	struct vmx_guest *l3 = vmx_guest(L2_NATIVE, level_3);
	const unsigned int rounds = 50;
	unsigned int exits_2 = 0, exits_3 = 0, seen = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		exits_2 += vmx_run(l2) == (i ? EXIT_VMRESUME : EXIT_VMLAUNCH);
		/* L2 has seen what the exit before gave it. */
		seen += l2->world.registers.si == i;
		exits_3 += vmx_run(l3) == EXIT_CPUID;
		vmx_skip();
		vmx_current(l2);
		l2->world.registers.ax = l3->world.registers.ax;
		vmx_skip();
	}
	check_equal(exits_2, rounds, "exits-of-l2");
	check_equal(exits_3, rounds, "exits-of-l3");
	check_equal(seen, rounds, "seen-by-l2");
}
VMX_SUBTEST("nested_again", test_nested_again);
