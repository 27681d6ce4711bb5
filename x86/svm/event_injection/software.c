// SPDX-License-Identifier: BSD-2-Clause
/*
 * What EVENTINJ's fields mean one by one: the valid bit, types and vectors that VMRUN
 * refuses, the error code, the DPL that events of instructions check, their return address, and
 * the intercepts that injected events do not. APM volume 2, 15.20 "Event Injection".
 */
#include "control.h"
#include "cpuid.h"
#include "paging.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"

#define VECTOR 0x40

TEST_GUARDS("00f08d99dd7d: KVM did not take NextRIP from L1's VMCB, an injected INTn returned to a "
	    "wrong place");
TEST_GUARDS("6ef88d6e36c2: KVM retried INT3 and INTO whose delivery an exit had interrupted, "
	    "instead of injecting them again");

L2_CODE(stay, "hlt");

/* Nothing comes of all other bits. */
static void test_not_valid(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);
	static const u64 invalid[] = {
		EVENT(EVENT_TYPE_INTR, VECTOR),
		EVENT(EVENT_TYPE_NMI, 2),
		EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0x18),
		EVENT(EVENT_TYPE_SOFT, VECTOR),
		EVENT(EVENT_TYPE_EXCEPTION, VECTOR_NMI),
		EVENT(7, 0xff),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(invalid); i++) {
		svm_inject(e, invalid[i] & ~EVENT_VALID);
		check_exit(e->guest, VMEXIT_HLT, "%#llx.exit", invalid[i] & ~EVENT_VALID);
		check_equal(svm_rip(e->guest), (ulong)stay, "%#llx.rip", invalid[i] & ~EVENT_VALID);
	}
}
SVM_SUBTEST("field.not-valid", test_not_valid);

/* "Values not indicated are unused and reserved." */
static void test_reserved_types(void)
{
	static const u8 types[] = { 1, 5, 6, 7 };
	struct svm_events *e = svm_events(&svm_place_native, stay);

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		svm_inject(e, EVENT(types[i], VECTOR));
		check_exit(e->guest, VMEXIT_INVALID, "type-%u", types[i]);
	}
}
SVM_SUBTEST("field.reserved-types", test_reserved_types);

/* An exception must be one: vector 2 is the NMI's, from 32 on there is none. */
static void test_no_exceptions(void)
{
	static const u8 vectors[] = { 2, 32, 33, 64, 128, 255 };
	struct svm_events *e = svm_events(&svm_place_native, stay);

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, vectors[i]));
		check_exit(e->guest, VMEXIT_INVALID, "vector-%u", vectors[i]);
	}
}
SVM_SUBTEST("field.no-exceptions", test_no_exceptions);

#ifdef __x86_64__
/* The manual's own example of an event that the mode does not know; in the others it runs. */
static void test_impossible(void)
{
	struct svm_events *e = svm_events(&svm_long, stay);

	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_BR));
	check_exit(e->guest, VMEXIT_INVALID, "br");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_OF));
	diagnostic("#OF in 64-bit mode: exit code %#llx", e->guest->vmcb->control.exitcode);
}
SVM_SUBTEST("field.impossible", test_impossible);
#endif

/* EV alone says whether there is an error code; all 32 bits of it. */
static void test_error_code(void)
{
	static const u32 codes[] = { 0, 1, 0x7fff, 0xffff, 0x80000007 };
	struct svm_events *e = svm_events(&svm_place_native, stay);

	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
		svm_inject(e, EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_PF, codes[i]));
		check_event(e, VECTOR_PF, codes[i], "pf-%#x", codes[i]);
	}
	/* "ignored otherwise" */
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD) | 0x1234ull << 32);
	check_event(e, VECTOR_UD, NO_ERROR_CODE, "ud-without");
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR) | 0x1234ull << 32);
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt-without");
}
SVM_SUBTEST("field.error-code", test_error_code);

static void test_error_code_left_out(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);

	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_GP));
	check_event(e, VECTOR_GP, NO_ERROR_CODE, "gp");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_PF));
	check_event(e, VECTOR_PF, NO_ERROR_CODE, "pf");
}
SVM_SUBTEST("field.error-code-left-out", test_error_code_left_out);

/* CR2 is L1's to set: the VMCB's reaches the handler. */
static void test_cr2(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);

	e->before.cr2 = 0x12345678;
	svm_inject(e, EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_PF, 4));
	check_event(e, VECTOR_PF, 4, "event");
	check_equal(e->guest->vmcb->save.cr2, 0x12345678, "cr2");
}
SVM_SUBTEST("field.cr2", test_cr2);

/* Interrupts come unconditionally: with RFLAGS.IF clear, and in an interrupt shadow. */
static void test_unconditional(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);
	static const u64 types[] = { EVENT_TYPE_INTR, EVENT_TYPE_NMI };

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		u8 vector = types[i] == EVENT_TYPE_NMI ? VECTOR_NMI : VECTOR;

		e->before.rflags &= ~(u64)EFLAGS_IF;
		svm_inject(e, EVENT(types[i], vector));
		check_event(e, vector, NO_ERROR_CODE, "type-%llu.if-clear", types[i]);

		e->before.rflags |= EFLAGS_IF;
		e->guest->vmcb->save = e->before;
		e->guest->vmcb->control.interrupt_shadow = INTERRUPT_SHADOW;
		e->guest->vmcb->control.eventinj = EVENT(types[i], vector);
		svm_run(e->guest);
		check_event(e, vector, NO_ERROR_CODE, "type-%llu.shadow", types[i]);
		diagnostic("type %llu: interrupt shadow in the handler: %llu", types[i],
			   e->guest->vmcb->control.interrupt_shadow & INTERRUPT_SHADOW);
	}
}
SVM_SUBTEST("field.unconditional", test_unconditional);

/* A single step is the interrupted code's: the frame has TF, the handler runs without. */
static void test_trap_flag(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);

	e->before.rflags |= EFLAGS_TF;
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt");
}
SVM_SUBTEST("field.trap-flag", test_trap_flag);

/* Injected events are not subject to intercepts, whichever are set. */
static void test_not_intercepted(void)
{
	struct svm_events *e = svm_events(&svm_place_native, stay);

	svm_intercept(e->guest, VMEXIT_INTR);
	svm_intercept(e->guest, VMEXIT_NMI);
	svm_intercept(e->guest, VMEXIT_SWINT);
	svm_intercept(e->guest, VMEXIT_ICEBP);
	svm_intercept(e->guest, VMEXIT_VINTR);
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt");
	svm_inject(e, EVENT(EVENT_TYPE_NMI, VECTOR_NMI));
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, "nmi");
	svm_inject(e, EVENT(EVENT_TYPE_SOFT, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "int");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_DB));
	check_event(e, VECTOR_DB, NO_ERROR_CODE, "db");
}
SVM_SUBTEST("not-intercepted", test_not_intercepted);

/* DPL 0 from ring 3: refused to what INTn, INT3 and INTO would raise, to nothing else. */
static void test_dpl(const void *place)
{
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = svm_events(place, stay);
	svm_inject(e, EVENT(EVENT_TYPE_SOFT, VECTOR));
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_GP, "int");
	check_equal(e->guest->vmcb->control.exitinfo1, VECTOR * 8 | 2, "int.error-code");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_BP));
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_GP, "bp");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_OF));
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_GP, "of");
	svm_inject(e, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD));
	check_event(e, VECTOR_UD, NO_ERROR_CODE, "ud");
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt");
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR_BP));
	check_event(e, VECTOR_BP, NO_ERROR_CODE, "interrupt-3");
	svm_check_invariants();
}
#ifdef __x86_64__
SUBTEST_ARG("dpl.compat-ring3", test_dpl, &svm_compat_ring3);
#endif
SUBTEST_ARG("dpl.pae-ring3", test_dpl, &svm_pae_ring3);
SUBTEST_ARG("dpl.32bit-ring3", test_dpl, &svm_32bit_ring3);
SUBTEST_ARG("dpl.protected-ring3", test_dpl, &svm_protected_ring3);

/* What is pushed is NextRIP, or RIP. */
static const struct push {
	const char *name;
	u64 event;
	u8 vector;
	bool next;
} pushes[] = {
	{ "int", EVENT(EVENT_TYPE_SOFT, VECTOR), VECTOR, true },
	{ "bp", EVENT(EVENT_TYPE_EXCEPTION, VECTOR_BP), VECTOR_BP, true },
	{ "interrupt", EVENT(EVENT_TYPE_INTR, VECTOR), VECTOR, false },
	{ "ud", EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD), VECTOR_UD, false },
};

static void test_next_rip(const void *place)
{
	struct svm_events *e;

	if (!svm_ready())
		return;
	if (!cpu_has(FEATURE_SVM_NRIPS)) {
		subtest_skip("the CPU has no NextRIP: such events are not injected there");
		return;
	}
	e = svm_events(place, stay);
	for (unsigned int i = 0; i < ARRAY_SIZE(pushes); i++) {
		const u64 rip = e->before.rip;

		for (unsigned int length = 1; length <= 15; length += 7) {
			e->guest->vmcb->save = e->before;
			e->guest->vmcb->control.eventinj = pushes[i].event;
			e->guest->vmcb->control.nrip = rip + length;
			svm_run(e->guest);
			e->before.rip = pushes[i].next ? rip + length : rip;
			check_event(e, pushes[i].vector, NO_ERROR_CODE, "%s.%u", pushes[i].name,
				    length);
			e->before.rip = rip;
		}
	}
	svm_check_invariants();
}
#ifdef __x86_64__
SUBTEST_ARG("next-rip.long", test_next_rip, &svm_long);
SUBTEST_ARG("next-rip.compat", test_next_rip, &svm_compat);
#endif
SUBTEST_ARG("next-rip.pae", test_next_rip, &svm_pae);
SUBTEST_ARG("next-rip.real", test_next_rip, &svm_real);
