// SPDX-License-Identifier: BSD-2-Clause
/*
 * SVM over time and over CPUs: guests on all of them at once, a VMCB that moves from one
 * to another, SVM switched off and on, guests that end badly, and thousands of runs into which
 * interrupts come. APM volume 2, 15.5 "VMRUN Instruction", 15.16 "TLB Control" (ASIDs are each
 * processor's own), 15.13 and 15.17 (what becomes of interrupts), 15.14 (shutdown),
 * 15.30 "SVM Related MSRs".
 *
 * Hypervisors keep what they know of a VMCB, an ASID or the host save area in places that are
 * per CPU, and flags for "in guest mode" that each way out must clear: one that is left
 * set, or state of another CPU, is found only by leaving in every way and coming back.
 */
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "smp.h"
#include "svm/test.h"

TEST_SUMMARY(
    "guests on all CPUs, moved, switched off and on, ended badly, and interrupted all the time");
TEST_MANUAL("APM volume 2, 15.5 \"VMRUN Instruction\", 15.16 \"TLB Control\"");
TEST_MANUAL("APM volume 2, 15.13, 15.14, 15.17: interrupts, shutdown, INIT, GIF");
TEST_MANUAL("APM volume 2, 15.30 \"SVM Related MSRs\"");
TEST_NEEDS("SVM; two CPUs");

#define RUNS 100

/* CX: what to add to RAX; BX: an address to read, into DX. */
L2_CODE(add_and_read, "add %ecx, %eax\n mov (%ebx), %edx\n vmmcall\n ud2");

/* What one CPU runs, and how it went. */
static struct task {
	struct svm_guest *guest;
	unsigned int exits; /* as expected */
	u32 read;	    /* by the last run */
	unsigned int same;  /* runs that read what the first one did */
} tasks[MAX_CPUS];

static void run_once(struct task *task)
{
	struct svm_guest *guest = task->guest;
	u32 read;

	guest->vmcb->save.rip = (ulong)add_and_read;
	task->exits += svm_run(guest) == VMEXIT_VMMCALL && !fault_raised(svm_fault(guest));
	read = guest->world.registers.dx;
	task->same += !task->same || read == task->read;
	task->read = read;
}

static void run_task(void *unused)
{
	(void)unused;
	smp_meet();
	for (unsigned int i = 0; i < RUNS; i++)
		run_once(&tasks[cpu_index()]);
}

/* A guest for each CPU; all have one address, in page tables of their own. */
static void make_tasks(u32 *pages[MAX_CPUS])
{
	ulong address = (ulong)page_alloc();

	for (unsigned int i = 0; i < cpu_count(); i++) {
		struct svm_guest *guest = svm_guest(L2_NATIVE, add_and_read);

		pages[i] = page_alloc();
		pages[i][0] = 0x1000 + i;
		tables_map(&guest->tables, address, (ulong)pages[i], LEVEL_4K, 0);
		guest->world.registers.bx = address;
		guest->world.registers.cx = i + 1;
		tasks[i] = (struct task){ .guest = guest };
	}
}

static void check_tasks(unsigned int runs)
{
	for (unsigned int i = 0; i < cpu_count(); i++) {
		struct task *task = &tasks[i];

		check_equal(task->exits, runs, "cpu-%u.exits", i);
		check_equal(task->guest->vmcb->save.rax, runs * (i + 1), "cpu-%u.sum", i);
		check_equal(task->read, 0x1000 + i, "cpu-%u.read", i);
		check_equal(task->same, runs, "cpu-%u.reads-the-same", i);
	}
}

static void test_all_at_once(void)
{
	u32 *pages[MAX_CPUS];

	make_tasks(pages);
	on_all_cpus(run_task, NULL);
	check_tasks(RUNS);
}

SVM_SUBTEST("all-cpus", test_all_at_once);

/* 15.16.1: with one ASID on all CPUs and no flush, each still has its own translations. */
static void test_one_asid(void)
{
	u32 *pages[MAX_CPUS];

	make_tasks(pages);
	for (unsigned int i = 0; i < cpu_count(); i++)
		tasks[i].guest->vmcb->control.guest_asid = svm_asids() - 1;
	/* The first run flushes what the ASID was used for before. */
	on_all_cpus(run_task, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++)
		tasks[i].guest->vmcb->control.tlb_control = TLB_CONTROL_NOTHING;
	on_all_cpus(run_task, NULL);
	check_tasks(2 * RUNS);
}

SVM_SUBTEST("all-cpus-one-asid", test_one_asid);

static void run_on_this_cpu(void *task)
{
	run_once(task);
}

/* One VMCB, run by each CPU in turn, goes on where it was. */
static void test_moved(void)
{
	struct task task = { .guest = svm_guest(L2_NATIVE, add_and_read) };
	ulong address = (ulong)page_alloc();

	task.guest->world.registers.bx = address;
	task.guest->world.registers.cx = 1;
	for (unsigned int i = 0; i < RUNS; i++) {
		*(u32 *)address = i;
		smp_call(i % cpu_count(), run_on_this_cpu, &task);
		if (task.read != i)
			break;
	}
	check_equal(task.exits, RUNS, "exits");
	check_equal(task.guest->vmcb->save.rax, RUNS, "sum");
	check_equal(task.read, RUNS - 1, "last-read");
}

SVM_SUBTEST("moved", test_moved);

L2_CODE(cpuid_and_end, "cpuid\n vmmcall\n ud2");

static void run_cpuid(void *guest)
{
	struct svm_guest *moved = guest;

	moved->vmcb->save.rip = (ulong)cpuid_and_end;
	svm_run(moved);
}

/*
 * What another CPU has changed in the VMCB is what counts, not what this one knew of it: the
 * intercept of CPUID, set and clear in turn, is changed before each move.
 */
static void test_moved_and_changed(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, cpuid_and_end);
	unsigned int right[2] = { 0, 0 };

	for (unsigned int i = 0; i < RUNS; i++) {
		/* Each CPU sees both: 0 on, 1 on, 0 off, 1 off. */
		bool on = i / cpu_count() % 2;

		if (on)
			svm_intercept(guest, VMEXIT_CPUID);
		else
			svm_no_intercept(guest, VMEXIT_CPUID);
		smp_call(i % cpu_count(), run_cpuid, guest);
		right[on] += guest->vmcb->control.exitcode == (on ? VMEXIT_CPUID : VMEXIT_VMMCALL);
	}
	check_equal(right[0] + right[1], RUNS, "exits");
	check(right[1] >= RUNS / 4, "intercepted");
}

SVM_SUBTEST("moved-and-changed", test_moved_and_changed);

/* A host save area that is another one for each run. */
static void test_save_area_changed(void)
{
	u64 before = svm_host_save_area();
	struct task task = { .guest = svm_guest(L2_NATIVE, add_and_read) };
	u8 *areas[2] = { page_alloc(), page_alloc() };
	unsigned int touched = 0;

	task.guest->world.registers.bx = (ulong)areas[0];
	task.guest->world.registers.cx = 1;
	for (unsigned int i = 0; i < RUNS; i++) {
		u8 *other = areas[(i + 1) % 2];

		for (unsigned int n = 0; n < PAGE_SIZE; n++)
			other[n] = 0xa5;
		wrmsr(MSR_VM_HSAVE_PA, (ulong)areas[i % 2]);
		run_once(&task);
		for (unsigned int n = 0; n < PAGE_SIZE; n++)
			touched += other[n] != 0xa5;
	}
	wrmsr(MSR_VM_HSAVE_PA, before);
	check_equal(task.exits, RUNS, "exits");
	check_equal(task.guest->vmcb->save.rax, RUNS, "sum");
	check_equal(touched, 0, "bytes-of-the-other-area");
}

SVM_SUBTEST("host-save-area-changed", test_save_area_changed);
