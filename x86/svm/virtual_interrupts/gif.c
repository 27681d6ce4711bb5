// SPDX-License-Identifier: BSD-2-Clause
/*
 * The global interrupt flag: what it holds back in L1, and that all of it comes at STGI, at once,
 * or in the guest, where GIF is 1. APM volume 2, 15.17, table "Effect of the GIF on Interrupt
 * Handling"; tables 15-12 and 15-13 on INIT and NMI.
 */
#include "apic.h"
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "debug.h"
#include "extable.h"
#include "msr.h"
#include "smp.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"
#include "tsc.h"

#define LOW  0x51
#define HIGH 0x71

L2_CODE(idle, "hlt");

static u32 came, nmis;
static u8 order[8];

static bool on_interrupt(struct trap_frame *frame)
{
	order[came++ % ARRAY_SIZE(order)] = frame->vector;
	apic_eoi();
	return true;
}

static bool on_nmi(struct trap_frame *frame)
{
	nmis++;
	return true;
}

static void send(u32 command)
{
	apic_icr_write(apic_id(), APIC_ASSERT | command);
}

static void wait_a_little(void)
{
	for (int i = 0; i < 100; i++)
		cpu_relax();
}

static void set_up(void)
{
	came = nmis = 0;
	trap_set_handler(LOW, on_interrupt);
	trap_set_handler(HIGH, on_interrupt);
	trap_set_handler(VECTOR_NMI, on_nmi);
	irq_disable();
}

static void tear_down(void)
{
	irq_disable();
	trap_set_handler(VECTOR_NMI, NULL);
}

static void test_interrupts(void)
{
	set_up();
	clgi();
	irq_enable();
	send(APIC_DELIVERY_FIXED | LOW);
	send(APIC_DELIVERY_FIXED | HIGH);
	wait_a_little();
	check_equal(came, 0, "held");
	stgi();
	WAIT_UNTIL(READ_ONCE(came) == 2, 1000);
	check_equal(came, 2, "at-stgi");
	check_equal(order[0], HIGH, "first");
	check_equal(order[1], LOW, "second");
	tear_down();
}
SVM_SUBTEST("gif.interrupts", test_interrupts);

/* GIF 1 alone is not enough: IF, too. */
static void test_if_clear(void)
{
	set_up();
	clgi();
	send(APIC_DELIVERY_FIXED | LOW);
	stgi();
	wait_a_little();
	check_equal(came, 0, "stgi");
	irq_enable();
	WAIT_UNTIL(READ_ONCE(came), 1000);
	check_equal(came, 1, "sti");
	tear_down();
}
SVM_SUBTEST("gif.if-clear", test_if_clear);

static void test_nmi(void)
{
	set_up();
	clgi();
	send(APIC_DELIVERY_NMI);
	wait_a_little();
	check_equal(nmis, 0, "held");
	stgi();
	WAIT_UNTIL(READ_ONCE(nmis), 1000);
	check_equal(nmis, 1, "at-stgi");

	nmis = 0;
	clgi();
	send(APIC_DELIVERY_NMI);
	send(APIC_DELIVERY_NMI);
	stgi();
	wait_a_little();
	diagnostic("two NMIs with GIF 0: %u at STGI", nmis);
	tear_down();
}
SVM_SUBTEST("gif.nmi", test_nmi);

/* In the guest GIF is 1: what L1 held back exits, and still comes in L1. */
static void test_nmi_intercepted(void)
{
	struct svm_events *e = svm_events(&svm_place_native, idle);

	set_up();
	svm_intercept(e->guest, VMEXIT_NMI);
	e->guest->options = SVM_KEEP_GIF;
	clgi();
	send(APIC_DELIVERY_NMI);
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_NMI, "exit");
	check_equal(svm_rip(e->guest), (ulong)idle, "rip");
	wait_a_little();
	check_equal(nmis, 0, "held");
	stgi();
	WAIT_UNTIL(READ_ONCE(nmis), 1000);
	check_equal(nmis, 1, "at-stgi");
	tear_down();
}
SVM_SUBTEST("gif.nmi-intercepted", test_nmi_intercepted);

/* Without the intercept the guest takes it, with its IF clear as well, and L1 does not. */
static void test_nmi_taken(void)
{
	struct svm_events *e = svm_events(&svm_place_native, idle);

	set_up();
	e->guest->options = SVM_NO_GIF_PROBE;
	e->before.rflags &= ~(u64)EFLAGS_IF;
	clgi();
	send(APIC_DELIVERY_NMI);
	svm_inject(e, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, "taken");
	wait_a_little();
	check_equal(nmis, 0, "not-by-l1");
	tear_down();
}
SVM_SUBTEST("gif.nmi-taken", test_nmi_taken);

/* Exceptions are none of GIF's, and neither is a single step. */
static u32 steps;

static bool end_steps(struct trap_frame *frame)
{
	steps++;
	frame->flags &= ~EFLAGS_TF;
	return true;
}

static void test_exceptions(void)
{
	ulong flags = read_flags();
	struct fault ud;

	steps = 0;
	trap_set_handler(VECTOR_DB, end_steps);
	clgi();
	ud = fault_of("ud2");
	write_flags(flags | EFLAGS_TF);
	write_flags(flags);
	stgi();
	trap_set_handler(VECTOR_DB, NULL);
	check_fault(ud, FAULT_UD, "ud");
	check_equal(steps, 1, "single-steps");
}
SVM_SUBTEST("gif.exceptions", test_exceptions);

/* A breakpoint that matches meanwhile is discarded, not held back. */
static u32 watched __used;

static bool store_faults(void)
{
	return fault_raised(fault_of("movl $1, watched"));
}

static void test_breakpoint(void)
{
	bool with_gif_0, later, with_gif_1;

	breakpoint_set(0, (ulong)&watched, DR7_WRITE, DR7_LEN_4);
	clgi();
	with_gif_0 = store_faults();
	later = fault_raised(fault_of("stgi\n nop\n nop"));
	with_gif_1 = store_faults();
	breakpoints_clear();
	check(!with_gif_0, "gif-0");
	check(!later, "at-stgi");
	check(with_gif_1, "gif-1");
}
SVM_SUBTEST("gif.breakpoint", test_breakpoint);

/* STGI and CLGI are for ring 0, with EFER.SVME; STGI also without where there is SKINIT or
 * SVM-Lock. */
static ulong user_stgi(ulong unused)
{
	return fault_of("stgi").value;
}

static ulong user_clgi(ulong unused)
{
	return fault_of("clgi").value;
}

static void test_privilege(void)
{
	ulong fault = 0;

	user_call(user_stgi, 0, &fault);
	check_fault((struct fault){ fault }, FAULT_GP(0), "stgi");
	user_call(user_clgi, 0, &fault);
	check_fault((struct fault){ fault }, FAULT_GP(0), "clgi");
}
SVM_SUBTEST("gif.privilege", test_privilege);

static void test_without_svme(void)
{
	u64 efer = rdmsr(MSR_EFER);
	struct fault stgi_fault, clgi_fault;
	bool stgi_works = cpu_has(FEATURE_SKINIT) || cpu_has(FEATURE_SVM_LOCK);

	wrmsr(MSR_EFER, efer & ~EFER_SVME);
	clgi_fault = fault_of("clgi");
	stgi_fault = fault_of("stgi");
	wrmsr(MSR_EFER, efer);
	stgi();
	check_fault(clgi_fault, FAULT_UD, "clgi");
	check_fault(stgi_fault, stgi_works ? NO_FAULT : FAULT_UD, "stgi");
}
SVM_SUBTEST("gif.without-svme", test_without_svme);

/* INIT: the other CPU goes on with GIF 0, and stops at STGI. */
static u32 turns, let_go;

static void spin_with_gif_0(void *unused)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	clgi();
	while (!READ_ONCE(let_go))
		WRITE_ONCE(turns, turns + 1);
	stgi();
	for (;;)
		WRITE_ONCE(turns, turns + 1);
}

/* More than what may have been under way when the INIT came. */
static bool turns_go_on(u64 microseconds)
{
	u32 before = READ_ONCE(turns);

	return WAIT_UNTIL(READ_ONCE(turns) - before > 1000, microseconds);
}

static void test_init(void)
{
	bool held, stopped;

	if (cpu_count() < 2) {
		check_skip("one CPU alone", "held");
		return;
	}
	turns = let_go = 0;
	smp_call_async(1, spin_with_gif_0, NULL);
	WAIT_UNTIL(READ_ONCE(turns), 1000000);
	smp_stop(1);
	held = turns_go_on(200000);
	WRITE_ONCE(let_go, 1);
	delay_us(1000);
	stopped = !turns_go_on(20000);
	check(held, "held");
	check(stopped, "at-stgi");
	smp_restart(1);
}
SVM_SUBTEST("gif.init", test_init);
