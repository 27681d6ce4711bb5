// SPDX-License-Identifier: BSD-2-Clause
/*
 * EVENTINJ: VMRUN delivers one interrupt, NMI, exception or software interrupt to the guest
 * before its first instruction, in whatever mode the guest is, as though it had occurred there.
 * APM volume 2, 15.20 "Event Injection"; what an exit on the way records, 15.7.2 "EXITINTINFO".
 *
 * Hypervisors get it wrong since the event has to survive them: KVM merges L1's event into a
 * VMCB of its own, and an exit to L0 during the delivery (a page that L0 has not mapped, say)
 * returns it in EXITINTINFO, from where it must go back into EVENTINJ, not be lost, and not be
 * delivered twice. Software interrupts and exceptions (INTn, INT3, INTO) need their return
 * address with them as well, and the guest that gets the wrong one executes the INTn again.
 *
 * Here each type is injected in every mode and ring, with the frame compared word by word.
 */
#include "control.h"
#include "extable.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"

TEST_SUMMARY(
    "EVENTINJ delivers every event in every mode of L2, once, or exits with what is left to do");
TEST_MANUAL("APM volume 2, 15.20 \"Event Injection\"");
TEST_MANUAL("APM volume 2, 15.7.2 \"Intercepts During IDT Interrupt Delivery\"");
TEST_MANUAL("APM volume 2, 15.21 \"Interrupt and Local APIC Support\"");
TEST_NEEDS("SVM");

L2_CODE(not_reached, "hlt");

/* The first and last of what the manual distinguishes, and one of each kind of exception. */
static const u8 vectors[] = { 0, 1, 2, 3, 8, 13, 14, 31, 32, 0x7f, 0x80, 0xff };

static void set_dpl3(const struct l2_events *events)
{
	if (events->mode == L2_REAL)
		return; /* whose vectors have no rights */
	for (unsigned int vector = 0; vector < 256; vector++)
		l2_gate(events, vector)[L2_GATE_ACCESS] |= DESC_DPL3;
}

/* TYPE 0 and 2. No gate's DPL counts. The NMI's vector is ignored. */
static void test_interrupt(const void *place)
{
	struct svm_events *events;

	if (!svm_ready())
		return;
	events = svm_events(place, not_reached);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		svm_inject(events, EVENT(EVENT_TYPE_INTR, vectors[i]));
		check_event(events, vectors[i], NO_ERROR_CODE, "interrupt-%u", vectors[i]);
	}
	svm_inject(events, EVENT(EVENT_TYPE_NMI, VECTOR_NMI));
	check_event(events, VECTOR_NMI, NO_ERROR_CODE, "nmi");
	svm_inject(events, EVENT(EVENT_TYPE_NMI, 0x55));
	check_event(events, VECTOR_NMI, NO_ERROR_CODE, "nmi.vector-ignored");
	svm_check_invariants();
}

#define SUBTEST_IN(kind, place_name, function, place)                                              \
	SUBTEST_ARG(kind "." place_name, function, &(place))

#ifdef __x86_64__
SUBTEST_IN("interrupt", "long", test_interrupt, svm_long);
SUBTEST_IN("interrupt", "long-ring3", test_interrupt, svm_long_ring3);
SUBTEST_IN("interrupt", "compat", test_interrupt, svm_compat);
SUBTEST_IN("interrupt", "compat-ring3", test_interrupt, svm_compat_ring3);
#endif
SUBTEST_IN("interrupt", "pae", test_interrupt, svm_pae);
SUBTEST_IN("interrupt", "pae-ring3", test_interrupt, svm_pae_ring3);
SUBTEST_IN("interrupt", "32bit", test_interrupt, svm_32bit);
SUBTEST_IN("interrupt", "32bit-ring3", test_interrupt, svm_32bit_ring3);
SUBTEST_IN("interrupt", "protected", test_interrupt, svm_protected);
SUBTEST_IN("interrupt", "protected-ring3", test_interrupt, svm_protected_ring3);
SUBTEST_IN("interrupt", "real", test_interrupt, svm_real);
SUBTEST_IN("interrupt", "v8086", test_interrupt, svm_v8086);

/* TYPE 3, by vector. All are intercepted, and injected ones all the same delivered. */
static const u8 exceptions[] = {
	VECTOR_DE, VECTOR_DB, VECTOR_BP, VECTOR_OF, VECTOR_BR, VECTOR_UD,
	VECTOR_NM, VECTOR_DF, VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP,
	VECTOR_PF, VECTOR_MF, VECTOR_AC, VECTOR_MC, VECTOR_XM,
};

/* INTO and BOUND do not exist in 64-bit mode; BOUND's case is in invalid.c. */
static bool is_impossible(enum l2_mode mode, u8 vector)
{
	return mode == L2_LONG && (vector == VECTOR_OF || vector == VECTOR_BR);
}

static void test_exception(const void *argument)
{
	const struct svm_place *place = argument;
	struct svm_events *events;

	if (!svm_ready())
		return;
	events = svm_events(place, not_reached);
	/* Those of INT3 and INTO check the gate's DPL. */
	if (place->ring3) {
		l2_gate(&events->l2, VECTOR_BP)[L2_GATE_ACCESS] |= DESC_DPL3;
		l2_gate(&events->l2, VECTOR_OF)[L2_GATE_ACCESS] |= DESC_DPL3;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(exceptions); i++) {
		u8 vector = exceptions[i];
		bool ec = vector_has_error_code(vector) && place->mode != L2_REAL;
		u32 error_code = vector == VECTOR_DF || vector == VECTOR_AC ? 0 : 0x18;

		if (is_impossible(place->mode, vector))
			continue;
		svm_inject(events, ec ? EVENT_EC(EVENT_TYPE_EXCEPTION, vector, error_code)
				      : EVENT(EVENT_TYPE_EXCEPTION, vector));
		check_event(events, vector, ec ? error_code : NO_ERROR_CODE, "exception-%u",
			    vector);
	}
	svm_check_invariants();
}

#ifdef __x86_64__
SUBTEST_IN("exception", "long", test_exception, svm_long);
SUBTEST_IN("exception", "long-ring3", test_exception, svm_long_ring3);
SUBTEST_IN("exception", "compat", test_exception, svm_compat);
SUBTEST_IN("exception", "compat-ring3", test_exception, svm_compat_ring3);
#endif
SUBTEST_IN("exception", "pae", test_exception, svm_pae);
SUBTEST_IN("exception", "pae-ring3", test_exception, svm_pae_ring3);
SUBTEST_IN("exception", "32bit", test_exception, svm_32bit);
SUBTEST_IN("exception", "32bit-ring3", test_exception, svm_32bit_ring3);
SUBTEST_IN("exception", "protected", test_exception, svm_protected);
SUBTEST_IN("exception", "protected-ring3", test_exception, svm_protected_ring3);
SUBTEST_IN("exception", "real", test_exception, svm_real);
SUBTEST_IN("exception", "v8086", test_exception, svm_v8086);

/* TYPE 4. NextRIP is RIP here; where it is not, see software.c. */
static void test_software(const void *place)
{
	struct svm_events *events;

	if (!svm_ready())
		return;
	events = svm_events(place, not_reached);
	set_dpl3(&events->l2);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		svm_inject(events, EVENT(EVENT_TYPE_SOFT, vectors[i]));
		check_event(events, vectors[i], NO_ERROR_CODE, "int-%u", vectors[i]);
	}
	svm_check_invariants();
}

#ifdef __x86_64__
SUBTEST_IN("software", "long", test_software, svm_long);
SUBTEST_IN("software", "long-ring3", test_software, svm_long_ring3);
SUBTEST_IN("software", "compat", test_software, svm_compat);
SUBTEST_IN("software", "compat-ring3", test_software, svm_compat_ring3);
#endif
SUBTEST_IN("software", "pae", test_software, svm_pae);
SUBTEST_IN("software", "pae-ring3", test_software, svm_pae_ring3);
SUBTEST_IN("software", "32bit", test_software, svm_32bit);
SUBTEST_IN("software", "32bit-ring3", test_software, svm_32bit_ring3);
SUBTEST_IN("software", "protected", test_software, svm_protected);
SUBTEST_IN("software", "protected-ring3", test_software, svm_protected_ring3);
SUBTEST_IN("software", "real", test_software, svm_real);
SUBTEST_IN("software", "v8086", test_software, svm_v8086);

/* The handler's IRET leads back to the very state that was interrupted, and EVENTINJ is spent. */
L2_CODE(returned_to, ".byte 0x0f, 0x01, 0xd9"); /* vmmcall, in any ring */

static void test_return(const void *place)
{
	const struct vmcb_save *before, *now;
	struct svm_events *events;

	if (!svm_ready())
		return;
	events = svm_events(place, returned_to);
	before = &events->before;
	now = &events->guest->vmcb->save;
	svm_inject(events, EVENT(EVENT_TYPE_INTR, 0x80));
	check_event(events, 0x80, NO_ERROR_CODE, "event");
	svm_skip(events->guest, L2_HLT_SIZE);
	svm_run(events->guest);
	check_exit(events->guest, VMEXIT_VMMCALL, "exit");
	check_equal(now->rip, before->rip, "rip");
	check_equal(now->cs.selector, before->cs.selector, "cs");
	check_equal(now->rsp, before->rsp, "rsp");
	check_equal(now->ss.selector, before->ss.selector, "ss");
	check_equal(now->rflags & ~(u64)EFLAGS_RF, before->rflags, "rflags");
	check_equal(now->cpl, before->cpl, "cpl");
	svm_check_invariants();
}

#ifdef __x86_64__
SUBTEST_IN("return", "long", test_return, svm_long);
SUBTEST_IN("return", "long-ring3", test_return, svm_long_ring3);
SUBTEST_IN("return", "compat", test_return, svm_compat);
SUBTEST_IN("return", "compat-ring3", test_return, svm_compat_ring3);
#endif
SUBTEST_IN("return", "pae", test_return, svm_pae);
SUBTEST_IN("return", "pae-ring3", test_return, svm_pae_ring3);
SUBTEST_IN("return", "32bit", test_return, svm_32bit);
SUBTEST_IN("return", "32bit-ring3", test_return, svm_32bit_ring3);
SUBTEST_IN("return", "protected", test_return, svm_protected);
SUBTEST_IN("return", "protected-ring3", test_return, svm_protected_ring3);
SUBTEST_IN("return", "real", test_return, svm_real);
SUBTEST_IN("return", "v8086", test_return, svm_v8086);

/*
 * What hypervisors do with it: an instruction is intercepted, and an exception injected in its
 * place, which L2's own handlers get to see as that instruction's.
 */
static const u8 tried[] = { VECTOR_UD, VECTOR_NM, VECTOR_NP, VECTOR_SS, VECTOR_GP, VECTOR_PF };

static void try_cpuid(void *argument)
{
	struct fault *faults = argument;

	for (unsigned int i = 0; i < ARRAY_SIZE(tried); i++)
		asm volatile(TRY("cpuid")
			     : TRY_RESULT(faults[i])
			     :
			     : "ebx", "ecx", "edx", "memory");
}

static void test_in_place(void)
{
	static struct fault faults[ARRAY_SIZE(tried)];
	struct svm_guest *guest = svm_guest_call(try_cpuid, faults);

	guest->vmcb->control.intercepts[VMEXIT_EXCP / 32] = 0;
	svm_intercept(guest, VMEXIT_CPUID);
	for (unsigned int i = 0; i < ARRAY_SIZE(tried); i++) {
		svm_run(guest);
		if (!check_exit(guest, VMEXIT_CPUID, "cpuid-%u", i))
			return;
		guest->vmcb->control.eventinj =
		    vector_has_error_code(tried[i])
			? EVENT_EC(EVENT_TYPE_EXCEPTION, tried[i], 8 * i)
			: EVENT(EVENT_TYPE_EXCEPTION, tried[i]);
	}
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "end");
	for (unsigned int i = 0; i < ARRAY_SIZE(tried); i++)
		check_fault(faults[i], fault_make(tried[i], vector_has_error_code(tried[i]), 8 * i),
			    "exception-%u", tried[i]);
}

SVM_SUBTEST("in-place", test_in_place);

/* The vector's eight bits, each type that takes any. */
static void test_every_vector(void)
{
	struct svm_events *events = svm_events(&svm_place_native, not_reached);

	events->guest->options = SVM_NO_GIF_PROBE;
	for (unsigned int vector = 0; vector < 256; vector++) {
		svm_inject(events, EVENT(EVENT_TYPE_INTR, vector));
		check_event(events, vector, NO_ERROR_CODE, "interrupt-%u", vector);
		svm_inject(events, EVENT(EVENT_TYPE_SOFT, vector));
		check_event(events, vector, NO_ERROR_CODE, "int-%u", vector);
	}
}

SVM_SUBTEST("every-vector", test_every_vector);
