// SPDX-License-Identifier: BSD-2-Clause
/*
 * Thousands of runs into which interrupts and NMIs come, from another CPU or pending before
 * VMRUN. APM volume 2, 15.13.1
 * and 15.13.2: an intercepted interrupt or NMI ends the guest and stays pending until GIF is 1; one
 * that is not intercepted is the guest's, by its IDT; 15.21.1: with V_INTR_MASKING it is the
 * host's RFLAGS.IF that lets physical interrupts in, else the guest's.
 *
 * The next one is sent when the last was counted, so that two never become one: each must
 * arrive once, wherever it hit: in L1, in L2, or in the middle of VMRUN and #VMEXIT.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "report.h"
#include "smp.h"
#include "svm/test.h"
#include "trap.h"
#include "tsc.h"

#define STORM_VECTOR 0x55
#define SENT	     50
#define RUNS	     2000
#define PENDING_RUNS 500
#define WAIT_US	     500000

/* Some instructions in the guest; then it ends by itself. */
L2_CODE(busy, "mov $60, %ecx\n 1: dec %ecx\n jnz 1b\n vmmcall\n ud2");

static const struct storm {
	const char *name;
	u32 delivery;
	u64 intercept; /* 0: the guest takes it, by the IDT that it shares */
	u32 int_ctl;
	bool guest_if, host_if;
} storms[] = {
	{ "intr-host-if", APIC_DELIVERY_FIXED, VMEXIT_INTR, V_INTR_MASKING, false, true },
	{ "intr-both-if", APIC_DELIVERY_FIXED, VMEXIT_INTR, V_INTR_MASKING, true, true },
	{ "intr-guest-if", APIC_DELIVERY_FIXED, VMEXIT_INTR, 0, true, true },
	{ "guest-takes-intr", APIC_DELIVERY_FIXED, 0, 0, true, true },
	{ "nmi", APIC_DELIVERY_NMI, VMEXIT_NMI, 0, false, false },
	{ "guest-takes-nmi", APIC_DELIVERY_NMI, 0, 0, false, false },
};

static const struct storm *storm;
static volatile u32 received, in_guest, sent, done;
static struct svm_guest *guest;

/* Which of the two: the guest's page tables are its own. */
static void count(void)
{
	received++;
	in_guest += read_cr3() == guest->vmcb->save.cr3;
}

static bool on_interrupt(struct trap_frame *frame)
{
	(void)frame;
	count();
	apic_eoi();
	return true;
}

static bool on_nmi(struct trap_frame *frame)
{
	(void)frame;
	count();
	return true;
}

/* Stops at the first one that does not come, or comes twice, which must not hide another. */
static void send_all(void *unused)
{
	(void)unused;
	while (sent < SENT && received == sent) {
		sent++;
		apic_icr_write(cpus[0]->apic_id, storm->delivery | APIC_ASSERT | STORM_VECTOR);
		WAIT_UNTIL(received >= sent, WAIT_US);
	}
	done = 1;
}

static void set_up(void)
{
	guest = svm_guest(L2_NATIVE, busy);
	guest->options = SVM_NO_GIF_PROBE | SVM_NO_COMPARE;
	guest->vmcb->control.int_ctl = storm->int_ctl;
	if (storm->guest_if)
		guest->vmcb->save.rflags |= EFLAGS_IF;
	if (storm->intercept)
		svm_intercept(guest, storm->intercept);
	received = in_guest = sent = done = 0;
	trap_set_handler(STORM_VECTOR, on_interrupt);
	trap_set_handler(VECTOR_NMI, on_nmi);
}

static void test_storm(const void *argument)
{
	unsigned int runs = 0, intercepted = 0, after;
	u64 other = VMEXIT_VMMCALL;

	if (!svm_ready())
		return;
	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return;
	}
	storm = argument;
	set_up();
	if (storm->host_if)
		irq_enable();
	smp_call_async(1, send_all, NULL);
	for (; runs < RUNS || !done; runs++) {
		u64 exitcode = svm_run(guest);

		if (exitcode == VMEXIT_VMMCALL) {
			guest->vmcb->save.rip = (ulong)busy;
		} else if (storm->intercept && exitcode == storm->intercept) {
			intercepted++;
		} else {
			other = exitcode;
			break;
		}
	}
	smp_wait(1);
	delay_us(1000);
	after = received;
	irq_disable();
	trap_set_handler(VECTOR_NMI, NULL);
	diagnostic("%u runs, %u exits by it, %u taken by the guest, %u by the host", runs,
		   intercepted, in_guest, received - in_guest);
	check_equal(other, VMEXIT_VMMCALL, "no-other-exit");
	check_equal(after, sent, "received");
	check_equal(sent, SENT, "sent");
	/* Some came while the guest ran. */
	if (storm->intercept)
		check(intercepted, "intercepted");
	if (storm->intercept)
		check_equal(in_guest, 0, "taken-by-the-guest");
	else
		check(in_guest, "taken-by-the-guest");
	svm_check_invariants();
}

SUBTEST_ARG("storm-intr-host-if", test_storm, &storms[0]);
SUBTEST_ARG("storm-intr-both-if", test_storm, &storms[1]);
SUBTEST_ARG("storm-intr-guest-if", test_storm, &storms[2]);
SUBTEST_ARG("storm-guest-takes-intr", test_storm, &storms[3]);
SUBTEST_ARG("storm-nmi", test_storm, &storms[4]);
SUBTEST_ARG("storm-guest-takes-nmi", test_storm, &storms[5]);

/* GIF 0 holds it back up to VMRUN, which sets GIF: it comes before L2's first instruction. */
static bool run_with_one_pending(unsigned int number)
{
	u64 exitcode;

	guest->vmcb->save.rip = (ulong)busy;
	clgi();
	if (storm->host_if)
		irq_enable();
	apic_icr_write(apic_id(), storm->delivery | APIC_ASSERT | STORM_VECTOR);
	exitcode = svm_run(guest);
	if (storm->intercept &&
	    (exitcode != storm->intercept || guest->vmcb->save.rip != (ulong)busy))
		return false;
	if (!storm->intercept && exitcode != VMEXIT_VMMCALL)
		return false;
	/* svm_run() has set GIF again: then what was intercepted came to the host. */
	return WAIT_UNTIL(received == number, WAIT_US);
}

static void test_pending(const void *argument)
{
	unsigned int right = 0;

	if (!svm_ready())
		return;
	storm = argument;
	set_up();
	while (right < PENDING_RUNS && run_with_one_pending(right + 1))
		right++;
	delay_us(1000);
	irq_disable();
	trap_set_handler(VECTOR_NMI, NULL);
	check_equal(right, PENDING_RUNS, "runs");
	check_equal(received, PENDING_RUNS, "received");
	check_equal(in_guest, storm->intercept ? 0 : PENDING_RUNS, "taken-by-the-guest");
	svm_check_invariants();
}

SUBTEST_ARG("pending-intr-host-if", test_pending, &storms[0]);
SUBTEST_ARG("pending-intr-both-if", test_pending, &storms[1]);
SUBTEST_ARG("pending-intr-guest-if", test_pending, &storms[2]);
SUBTEST_ARG("pending-guest-takes-intr", test_pending, &storms[3]);
SUBTEST_ARG("pending-nmi", test_pending, &storms[4]);
SUBTEST_ARG("pending-guest-takes-nmi", test_pending, &storms[5]);
