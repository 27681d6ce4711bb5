// SPDX-License-Identifier: BSD-2-Clause
/*
 * A second event that is not intercepted goes to the guest's own handler, or makes a #DF of
 * the two, or a shutdown: APM volume 2, 15.12 and the pseudo-code of 15.7.3. And the same
 * records for events that nobody has injected: those of L2's own instructions.
 */
#include "control.h"
#include "cpuid.h"
#include "paging.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"

#define VECTOR 0x40

L2_CODE(idle, "hlt");

static void remove_gate(struct svm_events *e, u8 vector)
{
	l2_gate(&e->l2, vector)[L2_GATE_ACCESS] &= ~DESC_PRESENT;
}

static struct svm_events *guest_without(u8 vector)
{
	struct svm_events *e = svm_events(&svm_place_native, idle);

	remove_gate(e, vector);
	return e;
}

/* A benign event, then #NP: two exceptions in turn, of which the guest sees the second. */
static void test_serial(void)
{
	struct svm_events *e = guest_without(VECTOR);

	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_NP);
	svm_inject(e, EVENT(EVENT_TYPE_SOFT, VECTOR));
	check_event(e, VECTOR_NP, VECTOR * 8 | 2, "int");
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR_NP, VECTOR * 8 | 2 | 1, "interrupt");
}
SVM_SUBTEST("combine.serial", test_serial);

/* #GP, then #NP: a #DF, whose intercept comes first. */
static void test_double_fault(void)
{
	const u64 gp = EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0x18);
	struct svm_events *e = guest_without(VECTOR_GP);

	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_NP);
	svm_inject(e, gp);
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_DF, "intercepted");
	check_equal(e->guest->vmcb->control.exitintinfo, gp, "intercepted.exitintinfo");

	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_DF);
	svm_inject(e, gp);
	check_event(e, VECTOR_DF, 0, "delivered");

	/* With the intercept of #NP it is not combined at all. */
	svm_intercept(e->guest, VMEXIT_EXCP + VECTOR_NP);
	svm_inject(e, gp);
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_NP, "second-intercepted");
	check_equal(e->guest->vmcb->control.exitintinfo, gp, "second-intercepted.exitintinfo");
}
SVM_SUBTEST("combine.double-fault", test_double_fault);

/* #DF, then #NP. */
static void test_shutdown(void)
{
	struct svm_events *e = guest_without(VECTOR_DF);

	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_NP);
	svm_inject(e, EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_DF, 0));
	check_exit(e->guest, VMEXIT_SHUTDOWN, "exit");
}
SVM_SUBTEST("combine.shutdown", test_shutdown);

#ifdef __x86_64__
/* The manual's example: a #PF on the way to the #DF of #GP and #NP. EXITINTINFO holds the #DF. */
static void test_aggregate(void)
{
	const u64 df = EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_DF, 0);
	struct svm_events *e = guest_without(VECTOR_GP);
	const struct vmcb_control *control = &e->guest->vmcb->control;
	u64 page = e->l2.ist - PAGE_SIZE;
	u64 entry = tables_get(&e->guest->tables, page, LEVEL_4K);

	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_NP);
	svm_no_intercept(e->guest, VMEXIT_EXCP + VECTOR_DF);
	l2_gate(&e->l2, VECTOR_DF)[L2_GATE_IST] = L2_IST;
	tables_set(&e->guest->tables, page, LEVEL_4K, entry & ~PTE_PRESENT);
	svm_inject(e, EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0x18));
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_PF, "exit");
	check_equal(control->exitinfo1, PF_WRITE, "exitinfo1");
	check_equal(control->exitintinfo, df, "exitintinfo");

	tables_set(&e->guest->tables, page, LEVEL_4K, entry);
	e->above = e->l2.ist;
	svm_inject(e, df);
	check_event(e, VECTOR_DF, 0, "again");
}
SVM_SUBTEST("combine.aggregate", test_aggregate);
#endif

/* A gate's own stack, which in long mode is taken in any ring. */
#ifdef __x86_64__
static void test_ist(void)
{
	struct svm_events *e = svm_events(&svm_long, idle);

	l2_gate(&e->l2, VECTOR)[L2_GATE_IST] = L2_IST;
	e->above = e->l2.ist;
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt");
}
SVM_SUBTEST("ist", test_ist);
#endif

/* Events of L2's own instructions, whose gates are not present. */
L2_CODE(int_40, "int $0x40\n hlt");
L2_CODE(int3, "int3\n hlt");
L2_CODE(invalid, "ud2\n hlt");
L2_CODE(load_segment, "mov %ax, %ss\n hlt"); /* not with AX = 0x100 */

static const struct own {
	const char *name;
	const u8 *code;
	u64 event;
	unsigned int length; /* if what is pushed is the next instruction's address */
	u8 vector;
} own_events[] = {
	{ "int", int_40, EVENT(EVENT_TYPE_SOFT, VECTOR), 2, VECTOR },
	{ "int3", int3, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_BP), 1, VECTOR_BP },
	{ "ud2", invalid, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD), 0, VECTOR_UD },
	{ "mov-ss", load_segment, EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0x100), 0, VECTOR_GP },
};

static void test_own(const void *argument)
{
	const struct own *own = argument;
	struct vmcb_control *control;
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = svm_events(&svm_place_native, own->code);
	control = &e->guest->vmcb->control;
	e->before.rax = 0x100;
	if (own->vector < 32)
		svm_no_intercept(e->guest, VMEXIT_EXCP + own->vector);
	remove_gate(e, own->vector);
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_NP, "exit");
	check_equal(control->exitintinfo, own->event, "exitintinfo");
	check_equal(svm_rip(e->guest), (ulong)own->code, "rip");

	/* Injected again it returns to where the instruction would have. */
	l2_gate(&e->l2, own->vector)[L2_GATE_ACCESS] |= DESC_PRESENT;
	control->eventinj = control->exitintinfo;
	if (cpu_has(FEATURE_SVM_NRIPS))
		control->nrip = e->before.rip + own->length;
	else
		e->guest->vmcb->save.rip += own->length;
	e->before.rip += own->length;
	svm_run(e->guest);
	check_event(e, own->vector,
		    own->event & EVENT_ERROR_CODE ? own->event >> 32 : NO_ERROR_CODE, "again");
	svm_check_invariants();
}

SUBTEST_ARG("own.int", test_own, &own_events[0]);
SUBTEST_ARG("own.int3", test_own, &own_events[1]);
SUBTEST_ARG("own.ud2", test_own, &own_events[2]);
SUBTEST_ARG("own.mov-ss", test_own, &own_events[3]);
