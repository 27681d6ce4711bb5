// SPDX-License-Identifier: BSD-2-Clause
/*
 * Virtual GIF: STGI and CLGI of L2 change a flag of its own, which masks virtual interrupts,
 * and nothing physical. It lives in the VMCB, loaded by VMRUN and saved by #VMEXIT; the intercepts
 * of both instructions count all the same. APM volume 2, 15.33.2.
 */
#include "apic.h"
#include "control.h"
#include "cpuid.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"
#include "tsc.h"

#define VECTOR	 0x40
#define PHYSICAL 0x61
#define ENABLED	 (V_GIF_ENABLE | V_INTR_MASKING)
#define PENDING	 (V_IRQ | V_INTR_PRIO(15))

L2_CODE(clear, "clgi\n sti\n nop\n hlt");
L2_CODE(set, "sti\n nop\n stgi\n .globl was_set\n was_set: nop\n nop\n hlt");
L2_CODE(neither, "sti\n nop\n nop\n hlt");
extern const u8 was_set[];

static u32 came;

static bool on_physical(struct trap_frame *frame)
{
	came++;
	apic_eoi();
	return true;
}

static const struct vgif {
	const char *name;
	const u8 *code;
	u32 before; /* in int_ctl */
	u16 intercept;
	u64 exit;
	u32 after; /* of V_GIF and V_IRQ */
} cases[] = {
	{ "clgi", clear, V_GIF, 0, VMEXIT_HLT, 0 },
	{ "clgi-again", clear, 0, 0, VMEXIT_HLT, 0 },
	{ "stgi", set, 0, 0, VMEXIT_HLT, V_GIF },
	{ "stgi-again", set, V_GIF, 0, VMEXIT_HLT, V_GIF },
	{ "kept-0", neither, 0, 0, VMEXIT_HLT, 0 },
	{ "kept-1", neither, V_GIF, 0, VMEXIT_HLT, V_GIF },
	{ "intercepted-clgi", clear, V_GIF, VMEXIT_CLGI, VMEXIT_CLGI, V_GIF },
	{ "intercepted-stgi", set, 0, VMEXIT_STGI, VMEXIT_STGI, 0 },
	{ "virq-masked", neither, PENDING, VMEXIT_VINTR, VMEXIT_HLT, V_IRQ },
	{ "virq-masked-by-clgi", clear, PENDING | V_GIF, VMEXIT_VINTR, VMEXIT_HLT, V_IRQ },
	{ "virq-open", neither, PENDING | V_GIF, VMEXIT_VINTR, VMEXIT_VINTR, V_GIF | V_IRQ },
	{ "virq-at-stgi", set, PENDING, VMEXIT_VINTR, VMEXIT_VINTR, V_GIF | V_IRQ },
};

static struct svm_events *guest_with(const u8 *code, u32 int_ctl)
{
	struct svm_events *e = svm_events(&svm_place_native, code);

	e->guest->vmcb->control.int_ctl = ENABLED | int_ctl;
	e->guest->vmcb->control.v_intr_vector = VECTOR;
	e->before.rflags &= ~(u64)EFLAGS_IF;
	return e;
}

static bool has_vgif(void)
{
	if (!svm_ready())
		return false;
	if (cpu_has(FEATURE_SVM_VGIF))
		return true;
	subtest_skip("the CPU has no virtual GIF");
	return false;
}

static void test_vgif(const void *argument)
{
	const struct vgif *c = argument;
	struct svm_events *e;

	if (!has_vgif())
		return;
	e = guest_with(c->code, c->before);
	if (c->intercept)
		svm_intercept(e->guest, c->intercept);
	svm_inject(e, 0);
	check_exit(e->guest, c->exit, "exit");
	check_equal(e->guest->vmcb->control.int_ctl & (V_GIF | V_IRQ), c->after, "int-ctl");
	if (c->code == set && c->exit == VMEXIT_VINTR)
		check_equal(svm_rip(e->guest), (ulong)was_set, "rip");
	svm_check_invariants();
}

SUBTEST_ARG("vgif.clgi", test_vgif, &cases[0]);
SUBTEST_ARG("vgif.clgi-again", test_vgif, &cases[1]);
SUBTEST_ARG("vgif.stgi", test_vgif, &cases[2]);
SUBTEST_ARG("vgif.stgi-again", test_vgif, &cases[3]);
SUBTEST_ARG("vgif.kept-0", test_vgif, &cases[4]);
SUBTEST_ARG("vgif.kept-1", test_vgif, &cases[5]);
SUBTEST_ARG("vgif.intercepted-clgi", test_vgif, &cases[6]);
SUBTEST_ARG("vgif.intercepted-stgi", test_vgif, &cases[7]);
SUBTEST_ARG("vgif.virq-masked", test_vgif, &cases[8]);
SUBTEST_ARG("vgif.virq-masked-by-clgi", test_vgif, &cases[9]);
SUBTEST_ARG("vgif.virq-open", test_vgif, &cases[10]);
SUBTEST_ARG("vgif.virq-at-stgi", test_vgif, &cases[11]);

/* Physical interrupts and NMIs exit whatever it is: L2 cannot lock L1 out. */
static void test_physical(const void *unused)
{
	struct svm_events *e;

	if (!has_vgif())
		return;
	e = guest_with(neither, 0);
	came = 0;
	trap_set_handler(PHYSICAL, on_physical);
	svm_intercept(e->guest, VMEXIT_INTR);
	e->guest->options = SVM_NO_GIF_PROBE;
	clgi();
	irq_enable();
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PHYSICAL);
	svm_inject(e, 0);
	WAIT_UNTIL(READ_ONCE(came), 1000);
	irq_disable();
	check_exit(e->guest, VMEXIT_INTR, "exit");
	check_equal(came, 1, "taken-by-l1");
	svm_check_invariants();
}
SUBTEST_ARG("vgif.physical", test_physical, NULL);

/* EVENTINJ is not masked. */
static void test_injected(const void *unused)
{
	struct svm_events *e;

	if (!has_vgif())
		return;
	e = guest_with(neither, 0);
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "event");
	svm_check_invariants();
}
SUBTEST_ARG("vgif.injected", test_injected, NULL);
