// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ways out of a guest that are not its own: a triple fault is a shutdown of the guest alone,
 * if that is intercepted (APM volume 2, 15.14.3); an INIT to its CPU is an exit, or resets the
 * CPU out of guest mode (15.14.2, 15.21.8), which must be a host afterwards that can run guests.
 */
#include "apic.h"
#include "cpu.h"
#include "msr.h"
#include "report.h"
#include "smp.h"
#include "svm/test.h"
#include "tsc.h"

L2_CODE(end_at_once, "vmmcall\n ud2");
L2_CODE(fault_native, "ud2");
L2_CODE(fault_16, ".code16\n ud2");
L2_CODE(fault_32, ".code32\n ud2");

static const void *const fault_code[L2_MODES] = {
	[L2_NATIVE] = fault_native, [L2_LONG] = fault_native, [L2_COMPAT] = fault_32,
	[L2_PAE] = fault_32,	    [L2_32BIT] = fault_32,    [L2_PROTECTED] = fault_32,
	[L2_REAL] = fault_16,	    [L2_V8086] = fault_16,
};

/* Nothing is intercepted on the way, and the IDT is too short for any of the three. */
static void triple_fault(enum l2_mode mode)
{
	struct svm_guest *guest = svm_guest(mode, fault_code[mode]);

	prefix_push("%s", l2_mode_name(mode));
	for (unsigned int i = 0; i < 3; i++) {
		prefix_push("round-%u", i);
		svm_guest_again(guest, mode, fault_code[mode]);
		guest->vmcb->control.intercepts[VMEXIT_EXCP / 32] = 0;
		guest->vmcb->save.idtr.limit = 0;
		svm_run(guest);
		check_exit(guest, VMEXIT_SHUTDOWN, "exit");
		svm_guest_again(guest, L2_NATIVE, end_at_once);
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "next-guest");
		prefix_pop();
	}
	prefix_pop();
}

static void test_triple_fault(void)
{
	for (enum l2_mode mode = 0; mode < L2_MODES; mode++) {
		if (l2_mode_supported(mode))
			triple_fault(mode);
	}
}

SVM_SUBTEST("triple-fault", test_triple_fault);

/* Says that it runs, and goes on until BX points to something else than 0. */
L2_CODE(spin, "movl $1, (%ecx)\n 1: pause\n cmpl $0, (%ebx)\n je 1b\n vmmcall\n ud2");

#define OTHER	1
#define TIMEOUT 1000000

static u32 running, stop;
static u64 exitcode;
static struct svm_guest *spinning;

static void run_spinning(void *unused)
{
	(void)unused;
	spinning->options |= SVM_KEEP_GIF | SVM_NO_GIF_PROBE;
	exitcode = svm_run(spinning);
	WRITE_ONCE(stop, 2);
	/* The INIT is still pending: it comes now, if it was intercepted. */
	stgi();
}

static void start_spinning(bool intercept)
{
	spinning = svm_guest(L2_NATIVE, spin);
	spinning->world.registers.bx = (ulong)&stop;
	spinning->world.registers.cx = (ulong)&running;
	if (intercept)
		svm_intercept(spinning, VMEXIT_INIT);
	running = stop = 0;
	exitcode = 0;
	smp_call_async(OTHER, run_spinning, NULL);
	check(WAIT_UNTIL(READ_ONCE(running), TIMEOUT), "guest-runs");
}

static void send_init(void)
{
	apic_icr_write(cpus[OTHER]->apic_id, APIC_DELIVERY_INIT | APIC_ASSERT);
}

static u64 efer_after;

static void enable_again(void *unused)
{
	(void)unused;
	efer_after = rdmsr(MSR_EFER);
	apic_enable();
	wrmsr(MSR_EFER, efer_after | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, svm_host_save_area());
}

static void run_next(void *guest)
{
	svm_run(guest);
}

/* The CPU was reset, and is a host as before once SVM is on again. */
static void check_restart(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, end_at_once);

	checking("restart");
	smp_restart(OTHER);
	smp_call(OTHER, enable_again, NULL);
	diagnostic("EFER after INIT: %#llx", efer_after);
	smp_call(OTHER, run_next, guest);
	check_exit(guest, VMEXIT_VMMCALL, "next-guest");
	svm_check_invariants();
}

static bool ready(void)
{
	if (!svm_ready())
		return false;
	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return false;
	}
	return true;
}

static void test_init_intercepted(void)
{
	bool exited;

	if (!ready())
		return;
	start_spinning(true);
	send_init();
	exited = WAIT_UNTIL(READ_ONCE(stop) == 2, TIMEOUT);
	check(exited, "exits");
	check_equal(exitcode, VMEXIT_INIT, "exit");
	check_restart();
}

SUBTEST("init-intercepted", test_init_intercepted);

static void test_init(void)
{
	if (!ready())
		return;
	start_spinning(false);
	send_init();
	delay_us(1000);
	/* Neither the guest nor its host are there any more to see it. */
	WRITE_ONCE(stop, 1);
	delay_us(1000);
	check_equal(stop, 1, "no-exit");
	check_restart();
}

SUBTEST("init-not-intercepted", test_init);
