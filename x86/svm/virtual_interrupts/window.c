// SPDX-License-Identifier: BSD-2-Clause
/*
 * The VINTR intercept: an exit at the very boundary at which L2 becomes ready for an interrupt,
 * with V_IRQ and all else as it was. APM volume 2, 15.21.5 "Interrupt Shadows", 15.21.6 "Virtual
 * Interrupt Intercept".
 */
#include "control.h"
#include "cpuid.h"
#include "svm/events.h"
#include "svm/test.h"

#define VECTOR 0x40

/* The text up to the label is executed; NOPs behind it are not. */
#define WINDOW(name, text)                                                                         \
	L2_CODE(name, text "\n .globl " #name "_open\n" #name "_open: nop\n nop\n hlt");           \
	extern const u8 name##_open[]

#ifdef __x86_64__
#define STACK "rsp"
#else
#define STACK "esp"
#endif

WINDOW(at_once, "");
WINDOW(after_sti, "sti\n nop");
WINDOW(after_popf, "pushf\n orl $0x200, (%" STACK ")\n popf");
WINDOW(after_one, "nop");
WINDOW(after_halt, "sti\n hlt");
WINDOW(never, "nop\n nop\n cli");

enum { IF_CLEAR = 1, SHADOW = 2, NO_HLT_INTERCEPT = 4, STAYS_SHUT = 8 };

static const struct window {
	const u8 *code, *open;
	unsigned int flags;
} windows[] = {
	{ at_once, at_once_open, 0 },
	{ after_sti, after_sti_open, IF_CLEAR },
	{ after_popf, after_popf_open, IF_CLEAR },
	{ after_one, after_one_open, SHADOW },
	{ after_halt, after_halt_open, IF_CLEAR | NO_HLT_INTERCEPT },
	{ never, never_open + 2, IF_CLEAR | STAYS_SHUT },
};

static void test_window(const void *argument)
{
	const struct window *window = argument;
	struct vmcb_control *control;
	struct svm_events *e;

	if (!svm_ready())
		return;
	e = svm_events(&svm_place_native, window->code);
	control = &e->guest->vmcb->control;
	svm_intercept(e->guest, VMEXIT_VINTR);
	if (window->flags & NO_HLT_INTERCEPT)
		svm_no_intercept(e->guest, VMEXIT_HLT);
	if (window->flags & IF_CLEAR)
		e->before.rflags &= ~(u64)EFLAGS_IF;
	e->guest->vmcb->save = e->before;
	control->interrupt_shadow = window->flags & SHADOW ? INTERRUPT_SHADOW : 0;
	control->int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(15);
	control->v_intr_vector = VECTOR;
	svm_run(e->guest);
	check_exit(e->guest, window->flags & STAYS_SHUT ? VMEXIT_HLT : VMEXIT_VINTR, "exit");
	check_equal(svm_rip(e->guest), (ulong)window->open, "rip");
	check_equal(control->int_ctl & V_IRQ, V_IRQ, "virq");
	check_equal(control->interrupt_shadow & INTERRUPT_SHADOW, 0, "shadow");
	check_equal(control->exitintinfo & EVENT_VALID, 0, "exitintinfo");

	/* Without the intercept it is taken right there. */
	if (!(window->flags & STAYS_SHUT)) {
		svm_no_intercept(e->guest, VMEXIT_VINTR);
		svm_intercept(e->guest, VMEXIT_HLT);
		e->before.rip = e->guest->vmcb->save.rip;
		e->before.rflags |= EFLAGS_IF;
		e->before.rflags = (e->before.rflags & EFLAGS_IF) |
				   (e->guest->vmcb->save.rflags & ~(u64)EFLAGS_IF);
		svm_run(e->guest);
		check_event(e, VECTOR, NO_ERROR_CODE, "then-taken");
	}
	svm_check_invariants();
}

SUBTEST_ARG("window.at-once", test_window, &windows[0]);
SUBTEST_ARG("window.sti", test_window, &windows[1]);
SUBTEST_ARG("window.popf", test_window, &windows[2]);
SUBTEST_ARG("window.shadow", test_window, &windows[3]);
SUBTEST_ARG("window.halt", test_window, &windows[4]);
SUBTEST_ARG("window.shut", test_window, &windows[5]);

/* IRET opens it as it returns to code with IF set, without a shadow. */
static void test_iret(void)
{
	struct svm_events *e = svm_events(&svm_place_native, at_once);
	struct vmcb_control *control = &e->guest->vmcb->control;

	svm_intercept(e->guest, VMEXIT_VINTR);
	control->int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(15);
	svm_inject(e, EVENT(EVENT_TYPE_INTR, VECTOR));
	check_event(e, VECTOR, NO_ERROR_CODE, "handler");
	svm_skip(e->guest, L2_HLT_SIZE);
	svm_run(e->guest);
	check_exit(e->guest, VMEXIT_VINTR, "exit");
	check_equal(svm_rip(e->guest), (ulong)at_once, "rip");
}
SVM_SUBTEST("window.iret", test_iret);

/* Too low a priority is no window, whatever IF is. */
static void test_priority(void)
{
	struct svm_events *e = svm_events(&svm_place_native, at_once);

	svm_intercept(e->guest, VMEXIT_VINTR);
	e->guest->vmcb->control.int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(5) | 5;
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_HLT, "masked");
	e->guest->vmcb->control.int_ctl = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(5) | 4;
	svm_inject(e, 0);
	check_exit(e->guest, VMEXIT_VINTR, "open");
}
SVM_SUBTEST("window.priority", test_priority);
