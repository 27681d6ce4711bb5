// SPDX-License-Identifier: BSD-2-Clause
/*
 * NMIs and what masks them, interrupt shadows as #VMEXIT saves them, and task gates.
 * APM volume 2: 15.20 (an injected NMI masks none), 15.21.10 "NMI Virtualization" (there it
 * does), 15.21.5 "Interrupt Shadows", 15.14.1 "Task Switch Intercept".
 */
#include "apic.h"
#include "control.h"
#include "cpuid.h"
#include "page_alloc.h"
#include "string.h"
#include "svm/events.h"
#include "svm/test.h"
#include "trap.h"
#include "tss.h"

#define VECTOR 0x40

L2_CODE(wait, "hlt");

static u32 nmis, depth, deepest;

static bool count_nmi(struct trap_frame *frame)
{
	nmis++;
	return true;
}

static void send_nmi(void)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_NMI | APIC_ASSERT);
}

/* One that came with GIF 0 is next after the injected one: at the handler, not after its IRET. */
static void test_injected_masks_none(void)
{
	struct svm_events *e = svm_events(&svm_place_native, wait);

	trap_set_handler(VECTOR_NMI, count_nmi);
	nmis = 0;
	svm_intercept(e->guest, VMEXIT_NMI);
	e->guest->options = SVM_NO_GIF_PROBE | SVM_KEEP_GIF;
	clgi();
	send_nmi();
	svm_inject(e, EVENT(EVENT_TYPE_NMI, VECTOR_NMI));
	check_exit(e->guest, VMEXIT_NMI, "exit");
	check_equal(svm_rip(e->guest), l2_handler(&e->l2, VECTOR_NMI), "rip");
	check_equal(e->guest->vmcb->control.exitintinfo & EVENT_VALID, 0, "exitintinfo");
	check_equal(nmis, 0, "held");
	stgi();
	check_equal(nmis, 1, "at-stgi");
	trap_set_handler(VECTOR_NMI, NULL);
}
SVM_SUBTEST("nmi.injected-masks-none", test_injected_masks_none);

/* L2's own NMI does mask others, up to its IRET: two come, one in the handler of the other. */
static bool nest_nmi(struct trap_frame *frame)
{
	depth++;
	deepest = MAX(deepest, depth);
	if (++nmis == 1) {
		send_nmi();
		for (int i = 0; i < 100; i++)
			cpu_relax();
	}
	depth--;
	return true;
}

static void send_and_wait(void *unused)
{
	send_nmi();
	for (int i = 0; i < 1000 && READ_ONCE(nmis) < 2; i++)
		cpu_relax();
}

static void test_masked_until_iret(void)
{
	struct svm_guest *guest = svm_guest_call(send_and_wait, NULL);

	nmis = depth = deepest = 0;
	trap_set_handler(VECTOR_NMI, nest_nmi);
	svm_run(guest);
	trap_set_handler(VECTOR_NMI, NULL);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(nmis, 2, "nmis");
	check_equal(deepest, 1, "depth");
}
SVM_SUBTEST("nmi.masked-until-iret", test_masked_until_iret);

/* Virtual NMIs: a guest with them, or NULL where the CPU has none. */
static struct svm_events *vnmi_guest(void)
{
	struct svm_events *e;

	if (!cpu_has(FEATURE_SVM_VNMI)) {
		subtest_skip("the CPU has no virtual NMI");
		return NULL;
	}
	e = svm_events(&svm_place_native, wait);
	svm_intercept(e->guest, VMEXIT_NMI);
	e->guest->vmcb->control.int_ctl = V_NMI_ENABLE;
	return e;
}

static u32 nmi_bits(const struct svm_events *e)
{
	return e->guest->vmcb->control.int_ctl & (V_NMI | V_NMI_MASK);
}

/* The subtests of virtual NMIs: function is called with a guest that has them. */
static void test_vnmi(const void *argument)
{
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = vnmi_guest();
	if (!e)
		return;
	((void (*)(struct svm_events *))(ulong)argument)(e);
	svm_check_invariants();
}
#define VNMI_SUBTEST(name, function) SUBTEST_ARG("vnmi." name, test_vnmi, function)

static void vnmi_needs_intercept(struct svm_events *e)
{
	svm_no_intercept(e->guest, VMEXIT_NMI);
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_INVALID, "exit");
}
VNMI_SUBTEST("needs-intercept", vnmi_needs_intercept);

static void vnmi_delivered(struct svm_events *e)
{
	e->guest->vmcb->control.int_ctl |= V_NMI;
	svm_inject(e, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, "event");
	check_equal(nmi_bits(e), V_NMI_MASK, "mask");
}
VNMI_SUBTEST("delivered", vnmi_delivered);

/* A masked one waits for the IRET, which the handler's frame leads back to the code. */
static void vnmi_masked(struct svm_events *e)
{
	e->guest->vmcb->control.int_ctl |= V_NMI | V_NMI_MASK;
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "interrupt");
	check_equal(nmi_bits(e), V_NMI | V_NMI_MASK, "pending");
	svm_skip(e->guest, L2_HLT_SIZE);
	svm_run(e->guest);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, "after-iret");
	check_equal(nmi_bits(e), V_NMI_MASK, "mask");
}
VNMI_SUBTEST("masked", vnmi_masked);

static void vnmi_injected(struct svm_events *e)
{
	svm_inject(e, EVENT(EVENT_TYPE_NMI, VECTOR_NMI));
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, "event");
	check_equal(nmi_bits(e), V_NMI_MASK, "mask");
	svm_skip(e->guest, L2_HLT_SIZE);
	svm_run(e->guest);
	check_equal(nmi_bits(e), 0, "mask-after-iret");
}
VNMI_SUBTEST("injected", vnmi_injected);

static void vnmi_fault(struct svm_events *e)
{
	e->guest->vmcb->control.int_ctl |= V_NMI;
	l2_gate(&e->l2, VECTOR_NMI)[L2_GATE_ACCESS] &= ~DESC_PRESENT;
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_EXCP + VECTOR_NP, "exit");
	check_equal(e->guest->vmcb->control.exitintinfo, EVENT(EVENT_TYPE_NMI, VECTOR_NMI),
		    "exitintinfo");
	check_equal(nmi_bits(e), 0, "mask");
}
VNMI_SUBTEST("fault", vnmi_fault);

/* Which instruction leaves a shadow over the next one: HLT, whose exit saves it. */
static void set_if(struct svm_guest *guest)
{
	guest->vmcb->save.rflags |= EFLAGS_IF;
}

static void check_shadow(struct svm_guest *guest)
{
	check_equal(guest->vmcb->control.interrupt_shadow & INTERRUPT_SHADOW, INTERRUPT_SHADOW,
		    "shadow");
}

static void check_no_shadow(struct svm_guest *guest)
{
	check_equal(guest->vmcb->control.interrupt_shadow & INTERRUPT_SHADOW, 0, "shadow");
}

#define SHADOW_TEST(name, text, ...)                                                               \
	SVM_TEST("shadow." name, text "\n hlt", .exits = { { .code = VMEXIT_HLT } },               \
		 .no_vmmcall = true, __VA_ARGS__)

SHADOW_TEST("none", "nop", .after = check_no_shadow);
SHADOW_TEST("sti", "sti", .after = check_shadow);
SHADOW_TEST("sti-nop", "sti\n nop", .after = check_no_shadow);
SHADOW_TEST("sti-again", "sti", .setup = set_if, .after = check_no_shadow);
SHADOW_TEST("mov-ss", "mov %ss, %eax\n mov %eax, %ss", .after = check_shadow);
SHADOW_TEST("mov-ss-nop", "mov %ss, %eax\n mov %eax, %ss\n nop", .after = check_no_shadow);
SHADOW_TEST("mov-ds", "mov %ds, %eax\n mov %eax, %ds", .after = check_no_shadow);

/* A gate that leads to another task. 15.14.1 says what EXITINFO2 holds besides the error code. */
#define NEW_TASK	      0x40 /* behind the flat segments */
#define TASK_SWITCH_IRET      (1ull << 36)
#define TASK_SWITCH_JMP	      (1ull << 38)
#define TASK_SWITCH_HAS_ERROR (1ull << 44)

static void set_task_gate(struct svm_events *e, u8 vector)
{
	struct descriptor_pointer gdtr = l2_gdtr();
	struct tss32 *tss = page_alloc();
	u64 *gdt = page_alloc();

	memcpy(gdt, (void *)gdtr.base, gdtr.limit + 1ul);
	gdt[NEW_TASK / 8] =
	    SEGMENT_DESCRIPTOR((ulong)tss, sizeof(*tss) - 1, DESC_PRESENT | DESC_TSS, 0);
	e->before.gdtr.base = (ulong)gdt;
	e->before.gdtr.limit = NEW_TASK + 7;
	memcpy(l2_gate(&e->l2, vector) + L2_GATE_SELECTOR, &(u16){ NEW_TASK }, 2);
	l2_gate(&e->l2, vector)[L2_GATE_ACCESS] = DESC_PRESENT | DESC_TASK_GATE;
}

static void test_task_gate(void)
{
	static const struct {
		const char *name;
		u64 event, info2;
	} cases[] = {
		{ "interrupt", EVENT(EVENT_TYPE_INTR, VECTOR), 0 },
		{ "int", EVENT(EVENT_TYPE_SOFT, VECTOR), 0 },
		{ "gp", EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0x18),
		  TASK_SWITCH_HAS_ERROR | 0x18 },
	};
	struct svm_events *e = svm_events(&svm_32bit, wait);
	const struct vmcb_control *control = &e->guest->vmcb->control;

	svm_intercept(e->guest, VMEXIT_TASK_SWITCH);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 mask = TASK_SWITCH_IRET | TASK_SWITCH_JMP | TASK_SWITCH_HAS_ERROR |
			   (cases[i].info2 & TASK_SWITCH_HAS_ERROR ? 0xffffffff : 0);

		prefix_push("%s", cases[i].name);
		set_task_gate(e, cases[i].event & 0xff);
		svm_inject(e, cases[i].event);
		check_exit(e->guest, VMEXIT_TASK_SWITCH, "exit");
		check_equal(control->exitinfo1, NEW_TASK, "exitinfo1");
		check_equal(control->exitinfo2 & mask, cases[i].info2, "exitinfo2");
		check_equal(control->exitintinfo, cases[i].event, "exitintinfo");
		prefix_pop();
	}
}
SVM_SUBTEST("task-gate", test_task_gate);
