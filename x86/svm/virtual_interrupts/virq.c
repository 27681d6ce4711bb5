// SPDX-License-Identifier: BSD-2-Clause
/*
 * V_IRQ: an interrupt that is pending for the guest alone. It is taken, by the vector that
 * the VMCB names, when RFLAGS.IF and GIF are 1, no interrupt shadow is in the way, and its priority
 * is greater than V_TPR or V_IGN_TPR says not to care. V_IRQ is clear from then on; until then
 * it comes back with each exit. The VINTR intercept exits instead, with V_IRQ still set. APM volume
 * 2, 15.21.4 "Injecting Virtual (INTR) Interrupts", 15.21.5, 15.21.6.
 *
 * Hypervisors use V_IRQ for themselves: KVM as L0 asks for an interrupt window with it, in the same
 * VMCB that has L1's own V_IRQ, V_TPR and V_INTR_PRIO in it. What is L0's must not come to L1's
 * sight, and what is L1's must not get lost when L0's window opens.
 */
#include "apic.h"
#include "control.h"
#include "cpuid.h"
#include "printf.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"

TEST_SUMMARY(
    "virtual interrupts, their masks and priorities, physical interrupts while L2 runs, and GIF");
TEST_MANUAL("APM volume 2, 15.17 \"Global Interrupt Flag, STGI and CLGI Instructions\"");
TEST_MANUAL("APM volume 2, 15.21 \"Interrupt and Local APIC Support\"");
TEST_MANUAL("APM volume 2, 15.33.2 \"Virtual GIF (VGIF)\"");
TEST_GUARDS(
    "64b5bd270426: KVM left its own interrupt window in the VMCB of an L2 with V_INTR_MASKING");
TEST_NEEDS("SVM");

#define VECTOR	0x40
#define OTHER	0x41
#define HIGHEST (V_INTR_MASKING | V_IRQ | V_INTR_PRIO(15))

/* In any mode and ring; NOP is STI's shadow. */
L2_CODE(sti_code, ".byte 0xfb, 0x90, 0x0f, 0x01, 0xd9"); /* sti; nop; vmmcall */
L2_CODE(nop_code, ".byte 0x90, 0x90, 0x0f, 0x01, 0xd9"); /* nop; nop; vmmcall */
#define AFTER_STI 2

static u32 virq(const struct svm_events *e)
{
	return e->guest->vmcb->control.int_ctl & V_IRQ;
}

static u64 run(struct svm_events *e, u32 int_ctl)
{
	e->guest->vmcb->control.int_ctl = int_ctl;
	e->guest->vmcb->control.v_intr_vector = VECTOR;
	return svm_inject(e, 0);
}

static void set_if(struct svm_events *e, bool on)
{
	e->before.rflags = (e->before.rflags & ~(u64)EFLAGS_IF) | (on ? EFLAGS_IF : 0);
}

/* From code that has IF clear at first; what comes, comes after STI and its shadow. */
static u64 run_to_sti(struct svm_events *e, u32 int_ctl, u8 vector)
{
	e->guest->vmcb->control.int_ctl = int_ctl;
	e->guest->vmcb->control.v_intr_vector = vector;
	set_if(e, false);
	svm_inject(e, 0);
	return svm_rip(e->guest);
}

static void check_after_sti(struct svm_events *e, u8 vector, const char *id)
{
	e->before.rip += AFTER_STI;
	set_if(e, true);
	check_event(e, vector, NO_ERROR_CODE, "%s", id);
	e->before.rip -= AFTER_STI;
}

/* Taken in each mode, and gone then. */
static void test_taken(const void *place)
{
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = svm_events(place, sti_code);
	run_to_sti(e, HIGHEST, VECTOR);
	check_after_sti(e, VECTOR, "after-sti");
	check_equal(virq(e), 0, "after-sti.virq");

	run(e, HIGHEST);
	check_event(e, VECTOR, NO_ERROR_CODE, "at-vmrun");
	check_equal(virq(e), 0, "at-vmrun.virq");

	e = svm_events(place, nop_code);
	set_if(e, false);
	run(e, HIGHEST);
	check_exit(e->guest, VMEXIT_VMMCALL, "if-clear");
	check_equal(virq(e), V_IRQ, "if-clear.virq");
	svm_check_invariants();
}

#ifdef __x86_64__
SUBTEST_ARG("virq.long", test_taken, &svm_long);
SUBTEST_ARG("virq.long-ring3", test_taken, &svm_long_ring3);
SUBTEST_ARG("virq.compat", test_taken, &svm_compat);
SUBTEST_ARG("virq.compat-ring3", test_taken, &svm_compat_ring3);
#endif
SUBTEST_ARG("virq.pae", test_taken, &svm_pae);
SUBTEST_ARG("virq.32bit", test_taken, &svm_32bit);
SUBTEST_ARG("virq.32bit-ring3", test_taken, &svm_32bit_ring3);
SUBTEST_ARG("virq.protected", test_taken, &svm_protected);
SUBTEST_ARG("virq.real", test_taken, &svm_real);

/* An exit out of virtual-8086 mode, as with IF clear, is another matter. */
static void test_v8086(void)
{
	struct svm_events *e = svm_events(&svm_v8086, sti_code);

	run_to_sti(e, HIGHEST, VECTOR);
	check_after_sti(e, VECTOR, "after-sti");
	check_equal(virq(e), 0, "after-sti.virq");
}
SVM_SUBTEST("virq.v8086", test_v8086);

/* V_INTR_VECTOR names it, below 32 too, where it is no exception: no intercept, no error code. */
static void test_vectors(void)
{
	struct svm_events *e = svm_events(&svm_place_native, sti_code);
	char id[16];

	for (unsigned int vector = 0; vector < 256; vector++) {
		e->guest->options = vector ? SVM_NO_GIF_PROBE : 0;
		snprintf(id, sizeof(id), "vector-%u", vector);
		run_to_sti(e, HIGHEST, vector);
		check_after_sti(e, vector, id);
	}
}
SVM_SUBTEST("virq.vectors", test_vectors);

/* Each priority against each V_TPR: bit n of what is compared is V_TPR n. V_TPR stays as it was. */
static void test_priorities(const void *argument)
{
	u32 ignore = (ulong)argument;
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = svm_events(&svm_place_native, sti_code);
	for (unsigned int priority = 0; priority < 16; priority++) {
		u32 taken = 0, waits = 0, kept = 0;
		u32 expected = ignore ? 0xffff : BIT(priority) - 1;

		for (unsigned int tpr = 0; tpr < 16; tpr++) {
			const u32 *int_ctl = &e->guest->vmcb->control.int_ctl;
			u64 rip;

			e->guest->options = tpr ? SVM_NO_GIF_PROBE : 0;
			rip = run_to_sti(
			    e, V_INTR_MASKING | V_IRQ | V_INTR_PRIO(priority) | tpr | ignore,
			    VECTOR);
			taken |= (rip == l2_handler(&e->l2, VECTOR) && !virq(e)) << tpr;
			waits |= (rip == (ulong)sti_code + AFTER_STI && virq(e)) << tpr;
			kept |= ((*int_ctl & V_TPR_MASK) == tpr) << tpr;
		}
		check_equal(taken, expected, "priority-%u.taken", priority);
		check_equal(waits, 0xffff & ~expected, "priority-%u.waits", priority);
		check_equal(kept, 0xffff, "priority-%u.tpr", priority);
	}
	svm_check_invariants();
}
SUBTEST_ARG("virq.priorities", test_priorities, NULL);
SUBTEST_ARG("virq.ignore-tpr", test_priorities, (const void *)V_IGN_TPR);

/* Neither RFLAGS.IF nor V_TPR ceases to mask virtual interrupts without V_INTR_MASKING. 15.21.2 */
static void test_without_masking(void)
{
	struct svm_events *e = svm_events(&svm_place_native, sti_code);

	run_to_sti(e, V_IRQ | V_INTR_PRIO(5) | 4, VECTOR);
	check_after_sti(e, VECTOR, "after-sti");
	check_equal(virq(e), 0, "after-sti.virq");
	run_to_sti(e, V_IRQ | V_INTR_PRIO(5) | 6, VECTOR);
	check_exit(e->guest, VMEXIT_VMMCALL, "v-tpr");
	check_equal(virq(e), V_IRQ, "v-tpr.virq");
}
SVM_SUBTEST("virq.without-masking", test_without_masking);

/* A gate that is not there: V_IRQ is clear "before the IDT is accessed"; EXITINTINFO has it. */
static void test_fault(void)
{
	struct svm_events *e = svm_events(&svm_place_native, sti_code);
	struct vmcb_control *control = &e->guest->vmcb->control;

	l2_gate(&e->l2, VECTOR)[L2_GATE_ACCESS] &= ~DESC_PRESENT;
	run_to_sti(e, HIGHEST, VECTOR);
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_NP, "exit");
	check_equal(control->exitintinfo, EVENT(EVENT_TYPE_INTR, VECTOR), "exitintinfo");
	check_equal(virq(e), 0, "virq");
	check_equal(svm_rip(e->guest), (ulong)sti_code + AFTER_STI, "rip");

	l2_gate(&e->l2, VECTOR)[L2_GATE_ACCESS] |= DESC_PRESENT;
	control->eventinj = control->exitintinfo;
	svm_run(e->guest);
	check_after_sti(e, VECTOR, "again");
}
SVM_SUBTEST("virq.fault", test_fault);

/* EVENTINJ comes first. In its handler IF is 0, so the virtual interrupt waits for the IRET... */
static void test_after_injected(void)
{
	struct svm_events *e = svm_events(&svm_place_native, nop_code);

	e->guest->vmcb->control.int_ctl = HIGHEST;
	e->guest->vmcb->control.v_intr_vector = VECTOR;
	svm_inject(e, EVENT(EVENT_TYPE_INTR, OTHER));
	check_event(e, OTHER, NO_ERROR_CODE, "injected");
	check_equal(virq(e), V_IRQ, "injected.virq");
	svm_skip(e->guest, L2_HLT_SIZE);
	svm_run(e->guest);
	check_event(e, VECTOR, NO_ERROR_CODE, "after-iret");
}
SVM_SUBTEST("virq.after-injected", test_after_injected);

/* ... unless its gate is a trap gate: then the virtual one interrupts its handler at once. */
static void test_inside_injected(void)
{
	struct svm_events *e = svm_events(&svm_place_native, nop_code);
	const struct vmcb_save *save = &e->guest->vmcb->save;
	struct l2_event event;
	bool is_frame;

	l2_gate(&e->l2, OTHER)[L2_GATE_ACCESS] = DESC_PRESENT | DESC_TRAP_GATE;
	e->guest->vmcb->control.int_ctl = HIGHEST;
	e->guest->vmcb->control.v_intr_vector = VECTOR;
	svm_inject(e, EVENT(EVENT_TYPE_INTR, OTHER));
	check_exit(e->guest, VMEXIT_HLT, "exit");
	check_equal(svm_rip(e->guest), l2_handler(&e->l2, VECTOR), "rip");
	/* Its frame lies below the other's, from which it differs by alignment alone. */
	is_frame = l2_event_read(&e->l2, &event, svm_rip(e->guest), save->rsp,
				 save->rsp + (e->before.rsp - save->rsp) / 2);
	check(is_frame && event.ip == l2_handler(&e->l2, OTHER), "frame");
}
SVM_SUBTEST("virq.inside-injected", test_inside_injected);

/* What was pending for one guest is neither L1's nor the next guest's. */
static u32 strays;

static bool count_stray(struct trap_frame *frame)
{
	strays++;
	return true;
}

static void test_stray(void)
{
	struct svm_events *e = svm_events(&svm_place_native, nop_code);
	struct svm_events *other = svm_events(&svm_place_native, sti_code);

	strays = 0;
	trap_set_handler(VECTOR, count_stray);
	e->before.rflags &= ~(u64)EFLAGS_IF;
	irq_enable();
	run(e, HIGHEST);
	for (int i = 0; i < 100; i++)
		cpu_relax();
	irq_disable();
	trap_set_handler(VECTOR, NULL);
	check_equal(virq(e), V_IRQ, "virq");
	check_equal(strays, 0, "in-l1");
	run(other, V_INTR_MASKING);
	check_exit(other->guest, VMEXIT_VMMCALL, "other");
}
SVM_SUBTEST("virq.stray", test_stray);
