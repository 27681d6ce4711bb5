// SPDX-License-Identifier: BSD-2-Clause
/*
 * Physical interrupts while L2 runs. V_INTR_MASKING says whose RFLAGS.IF counts: the host's
 * at VMRUN, or the guest's, and which TPR CR8 is; the APIC's TPR always masks physical ones, V_TPR
 * virtual ones. Physical interrupts come before virtual ones. APM volume 2, 15.21.1, 15.21.2,
 * 15.21.4, 15.13.1 (an intercepted one is held pending and taken in the host).
 */
#include "apic.h"
#include "control.h"
#include "cpuid.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"
#include "tsc.h"

#define VECTOR	 0x40 /* virtual */
#define PHYSICAL 0x61
#define TPR_6	 0x60 /* masks PHYSICAL */

L2_CODE(halts, "hlt");

static u32 interrupts;

static bool count(struct trap_frame *frame)
{
	interrupts++;
	apic_eoi();
	return true;
}

static struct svm_events *guest_here(void)
{
	struct svm_events *e = svm_events(&svm_place_native, halts);

	e->guest->options = SVM_NO_GIF_PROBE | SVM_KEEP_GIF;
	trap_set_handler(PHYSICAL, count);
	interrupts = 0;
	return e;
}

/* Runs with an interrupt that is pending since GIF was 0. Leaves GIF 0. */
static void run_with_pending(struct svm_events *e, bool host_if, u32 int_ctl)
{
	e->guest->vmcb->control.int_ctl = int_ctl;
	e->guest->vmcb->control.v_intr_vector = VECTOR;
	clgi();
	if (host_if)
		irq_enable();
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PHYSICAL);
	svm_inject(e, 0);
	irq_disable();
}

/* Lets it come if it is still pending, and counts it. */
static u32 take_pending(void)
{
	stgi();
	irq_enable();
	WAIT_UNTIL(READ_ONCE(interrupts), 1000);
	irq_disable();
	/* L2 may have taken it, and has no APIC to tell. */
	if (apic_vector_bit(APIC_ISR, PHYSICAL))
		apic_eoi();
	return interrupts;
}

static void run_case(struct svm_events *e, bool masking, bool host_if, bool guest_if,
		     bool intercept)
{
	bool recognized = masking ? host_if : guest_if;

	interrupts = 0;
	if (guest_if)
		e->before.rflags |= EFLAGS_IF;
	else
		e->before.rflags &= ~(u64)EFLAGS_IF;
	if (intercept)
		svm_intercept(e->guest, VMEXIT_INTR);
	else
		svm_no_intercept(e->guest, VMEXIT_INTR);
	run_with_pending(e, host_if, masking ? V_INTR_MASKING : 0);
	if (recognized && intercept)
		check_exit(e->guest, VMEXIT_INTR, "exit");
	else if (recognized)
		check_event(e, PHYSICAL, NO_ERROR_CODE, "taken-by-l2");
	else
		check_exit(e->guest, VMEXIT_HLT, "masked");
	if (intercept || !recognized)
		check_equal(svm_rip(e->guest), (ulong)halts, "rip");
	check_equal(interrupts, 0, "none-before-stgi");
	check_equal(take_pending(), recognized && !intercept ? 0 : 1, "taken-by-l1");
}

/* Every combination of the four. */
static void test_masks(const void *argument)
{
	bool masking = argument;
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = guest_here();
	for (unsigned int bits = 0; bits < 8; bits++) {
		bool host_if = bits & 1, guest_if = bits & 2, intercept = bits & 4;

		prefix_push("host-if-%u.guest-if-%u.intercept-%u", host_if, guest_if, intercept);
		run_case(e, masking, host_if, guest_if, intercept);
		prefix_pop();
	}
	svm_check_invariants();
}
SUBTEST_ARG("masks.v-intr-masking-0", test_masks, NULL);
SUBTEST_ARG("masks.v-intr-masking-1", test_masks, (const void *)1);

/* The physical one is first, and the virtual one still pending, intercepted or taken. */
static void test_physical_first(void)
{
	struct svm_events *e = guest_here();
	const struct vmcb_control *control = &e->guest->vmcb->control;
	const u32 int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(15);

	svm_intercept(e->guest, VMEXIT_INTR);
	svm_intercept(e->guest, VMEXIT_VINTR);
	run_with_pending(e, true, int_ctl);
	check_exit(e->guest, VMEXIT_INTR, "intercepted");
	check_equal(control->int_ctl & V_IRQ, V_IRQ, "intercepted.virq");
	check_equal(take_pending(), 1, "intercepted.taken-by-l1");
	clgi();
	svm_run(e->guest);
	stgi();
	check_exit(e->guest, VMEXIT_VINTR, "then-virtual");

	interrupts = 0;
	svm_no_intercept(e->guest, VMEXIT_INTR);
	run_with_pending(e, true, int_ctl);
	check_event(e, PHYSICAL, NO_ERROR_CODE, "taken");
	check_equal(control->int_ctl & V_IRQ, V_IRQ, "taken.virq");
	take_pending();
}
SVM_SUBTEST("masks.physical-first", test_physical_first);

/* V_TPR has no say over physical interrupts, nor has the APIC's TPR over virtual ones. */
static void test_tpr(void)
{
	struct svm_events *e = guest_here();

	svm_intercept(e->guest, VMEXIT_INTR);
	run_with_pending(e, true, V_INTR_MASKING | 15);
	check_exit(e->guest, VMEXIT_INTR, "v-tpr-15");
	check_equal(take_pending(), 1, "v-tpr-15.taken-by-l1");

	interrupts = 0;
	apic_write(APIC_TPR, TPR_6);
	run_with_pending(e, true, V_INTR_MASKING);
	check_exit(e->guest, VMEXIT_HLT, "apic-tpr");
	check_equal(svm_rip(e->guest), (ulong)halts, "apic-tpr.rip");
	run_with_pending(e, true, V_INTR_MASKING | V_IRQ | V_INTR_PRIO(1));
	check_event(e, VECTOR, NO_ERROR_CODE, "apic-tpr.virtual");
	apic_write(APIC_TPR, 0);
	check_equal(take_pending(), 1, "apic-tpr.taken-by-l1");
}
SVM_SUBTEST("masks.tpr", test_tpr);

/* EVENTINJ is delivered before the physical interrupt, which finds L2 in the handler. */
static void test_injected_first(void)
{
	struct svm_events *e = guest_here();

	svm_intercept(e->guest, VMEXIT_INTR);
	e->guest->vmcb->control.int_ctl = V_INTR_MASKING;
	clgi();
	irq_enable();
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PHYSICAL);
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	irq_disable();
	check_exit(e->guest, VMEXIT_INTR, "exit");
	check_equal(svm_rip(e->guest), l2_handler(&e->l2, VECTOR), "rip");
	check_equal(e->guest->vmcb->control.exitintinfo & EVENT_VALID, 0, "exitintinfo");
	check_equal(take_pending(), 1, "taken-by-l1");
}
SVM_SUBTEST("masks.injected-first", test_injected_first);

/* CR8, by either encoding: a lock prefix makes one of MOV CR0, also in 32-bit code. 15.21.3 */
#ifdef __x86_64__
#define READ_CR8  "mov %cr8, %rax"
#define WRITE_CR8 "mov %rax, %cr8"
#endif
#define READ_LEGACY	    ".byte 0xf0, 0x0f, 0x20, 0xc0"
#define WRITE_LEGACY	    ".byte 0xf0, 0x0f, 0x22, 0xc0"
#define FEATURE_ALT_MOV_CR8 CPUID_FEATURE(0x80000001, 0, ECX, 4)

struct tpr_code {
	const u8 *read, *write;
	bool legacy;
};

static void test_cr8(const void *argument)
{
	const struct tpr_code *code = argument;
	struct svm_guest *guest;
	const struct vmcb_control *control;

	if (!svm_ready())
		return;
	if (code->legacy && !cpu_has(FEATURE_ALT_MOV_CR8)) {
		subtest_skip("the CPU has no LOCK MOV CR0 for CR8");
		return;
	}
	guest = svm_guest(L2_NATIVE, code->read);
	control = &guest->vmcb->control;
	for (u32 tpr = 0; tpr < 16; tpr++) {
		/* With V_INTR_MASKING: V_TPR, and the APIC's is left alone. */
		svm_guest_again(guest, L2_NATIVE, code->read);
		guest->vmcb->control.int_ctl = V_INTR_MASKING | tpr;
		guest->vmcb->save.rax = ~0ull;
		svm_run(guest);
		check_equal(guest->vmcb->save.rax, tpr, "virtual.read-%u", tpr);

		svm_guest_again(guest, L2_NATIVE, code->write);
		guest->vmcb->control.int_ctl = V_INTR_MASKING;
		guest->vmcb->save.rax = tpr;
		svm_run(guest);
		check_equal(control->int_ctl & V_TPR_MASK, tpr, "virtual.write-%u", tpr);
		check_equal(apic_read(APIC_TPR), 0, "virtual.write-%u.apic", tpr);

		/* Without: reads are of the APIC's, writes go to both. */
		svm_guest_again(guest, L2_NATIVE, code->read);
		guest->options = SVM_NO_GIF_PROBE; /* which the APIC's TPR would mask */
		guest->vmcb->save.rax = ~0ull;
		apic_write(APIC_TPR, tpr << 4);
		svm_run(guest);
		check_equal(guest->vmcb->save.rax, tpr, "physical.read-%u", tpr);
		apic_write(APIC_TPR, 0);

		svm_guest_again(guest, L2_NATIVE, code->write);
		guest->options = SVM_NO_GIF_PROBE;
		guest->vmcb->save.rax = tpr;
		svm_run(guest);
		check_equal(control->int_ctl & V_TPR_MASK, tpr, "physical.write-%u", tpr);
		check_equal(apic_read(APIC_TPR), tpr << 4, "physical.write-%u.apic", tpr);
		apic_write(APIC_TPR, 0);
	}
	svm_check_invariants();
}

#ifdef __x86_64__
L2_CODE(read_cr8_code, READ_CR8 "\n hlt");
L2_CODE(write_cr8_code, WRITE_CR8 "\n hlt");
#endif
L2_CODE(read_legacy_code, READ_LEGACY "\n hlt");
L2_CODE(write_legacy_code, WRITE_LEGACY "\n hlt");

static const struct tpr_code tpr_codes[] = {
	{ read_legacy_code, write_legacy_code, true },
#ifdef __x86_64__
	{ read_cr8_code, write_cr8_code, false },
#endif
};

SUBTEST_ARG("cr8.lock-mov-cr0", test_cr8, &tpr_codes[0]);
#ifdef __x86_64__
SUBTEST_ARG("cr8.mov", test_cr8, &tpr_codes[1]);

/* Lowering V_TPR lets a virtual interrupt in, right after the instruction. */
L2_CODE(lower, "mov $4, %eax\n mov %rax, %cr8\n .globl lowered\n lowered: nop\n hlt");
extern const u8 lowered[];

static void test_lowered(void)
{
	struct svm_events *e = svm_events(&svm_long, lower);

	svm_intercept(e->guest, VMEXIT_VINTR);
	e->guest->vmcb->control.int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(5) | 8;
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_VINTR, "exit");
	check_equal(svm_rip(e->guest), (ulong)lowered, "rip");
	check_equal(e->guest->vmcb->control.int_ctl & V_TPR_MASK, 4, "tpr");
}
SVM_SUBTEST("cr8.lowered", test_lowered);
#endif
