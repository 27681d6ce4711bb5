// SPDX-License-Identifier: BSD-2-Clause
/*
 * Windows, blocking and pending debug exceptions. SDM volume 3C, "Other Causes of VM Exits"
 * (interrupt window, NMI window), "Delivery of Pending Debug Exceptions after VM Entry",
 * "Interruptibility State"; "Saving Non-Register State".
 *
 * Hypervisors emulate each with the next one's help (a window by single steps, say), and have
 * to give L1 its own exits and keep L0's from it.
 */
#include "events.h"
#include "msr.h"

L2_CODE(hlts, "hlt\n hlt\n hlt\n hlt");
L2_CODE(sti_code, "sti\n nop\n nop\n hlt");
L2_CODE(nops, "nop\n nop\n nop\n hlt");

/* "interrupt-window exiting": at the beginning of any instruction with IF 1 and no blocking. */
static const struct window {
	const char *name;
	const u8 *code;
	bool interrupts; /* IF */
	u32 blocking;
	u32 exit;
	unsigned int rip; /* from the code's start */
} windows[] = {
	{ "open", nops, true, 0, EXIT_INTERRUPT_WINDOW, 0 },
	{ "closed", nops, false, 0, EXIT_HLT, 3 },
	{ "sti", sti_code, false, 0, EXIT_INTERRUPT_WINDOW, 2 },
	{ "blocking-by-sti", nops, true, BLOCKING_BY_STI, EXIT_INTERRUPT_WINDOW, 1 },
	{ "blocking-by-mov-ss", nops, true, BLOCKING_BY_MOV_SS, EXIT_INTERRUPT_WINDOW, 1 },
};

static void test_interrupt_window(void)
{
	if (!vmx_needs(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING))
		return;
	for (const struct window *w = windows; w < windows + ARRAY_SIZE(windows); w++) {
		struct events *e = events_new(&PLACE_HERE, w->code);

		vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
		vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | (w->interrupts ? EFLAGS_IF : 0));
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, w->blocking);
		vmx_run(e->guest);
		check_exit(e->guest, w->exit, "%s.exit", w->name);
		check_equal(vmcs_read(VMCS_GUEST_RIP) - e->rip, w->rip, "%s.rip", w->name);
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "%s.unblocked",
			    w->name);
	}
}

VMX_SUBTEST("interrupt-window", test_interrupt_window);

/* Not after an injected event, whose gate has cleared IF; but after the handler's IRET. */
static void test_interrupt_window_injection(void)
{
	struct events *e;

	if (!vmx_needs(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING))
		return;
	e = events_new(&PLACE_HERE, nops);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), 0, 0);
	check_event(e, 0x50, NO_ERROR_CODE, e->rip, "injection");
	vmx_skip();
	vmx_run(e->guest); /* IRET opens it */
	check_exit(e->guest, EXIT_INTERRUPT_WINDOW, "iret.exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "iret.rip");
}

VMX_SUBTEST("interrupt-window.injection", test_interrupt_window_injection);

/* It wakes L2 that the entry has put into the HLT state. */
static void test_interrupt_window_halted(void)
{
	struct events *e;

	if (!vmx_needs(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING))
		return;
	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
		subtest_skip("the CPU has no activity state HLT");
		return;
	}
	e = events_new(&PLACE_HERE, nops);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_INTERRUPT_WINDOW, "hlt.exit");
	/* "activity state: saved as HLT" if the exit wakes it. */
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT, "hlt.saved");
}

VMX_SUBTEST("interrupt-window.halted", test_interrupt_window_halted);

/* Virtual NMIs: an injected one blocks until IRET, where the NMI window opens. */
static void test_nmi_window(void)
{
	struct events *e;

	if (!vmx_needs(VMX_PIN_VIRTUAL_NMIS) || !vmx_needs(VMX_PRIMARY_NMI_WINDOW_EXITING))
		return;
	open_nmis();
	e = events_new(&PLACE_HERE, nops);
	vmx_set(VMX_PIN_NMI_EXITING);
	vmx_set(VMX_PIN_VIRTUAL_NMIS);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "off");
	vmx_set(VMX_PRIMARY_NMI_WINDOW_EXITING);
	events_reset(e);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_NMI_WINDOW, "open");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "open.rip");
	inject(e, INFO(TYPE_NMI, VECTOR_NMI), 0, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "injected");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI,
		    "injected.blocking");
	vmx_skip();
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_NMI_WINDOW, "iret");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "iret.rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "iret.blocking");
	/* IF is no matter. */
	events_reset(e);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_NMI_WINDOW, "interrupts-off");
	events_reset(e);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_NMI_WINDOW, "mov-ss");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip + 1, "mov-ss.rip");
	events_reset(e);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "blocked");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI, "blocked.kept");
}

VMX_SUBTEST("nmi-window", test_nmi_window);

/* What an exit right after STI or MOV SS saves, and one instruction later. */

L2_CODE(shadow_sti, "sti\n hlt\n hlt");
L2_CODE(shadow_mov_ss, "mov %ss, %eax\n mov %eax, %ss\n hlt\n hlt");
L2_CODE(no_shadow, "sti\n nop\n hlt\n hlt");

static const struct shadow {
	const char *name;
	const u8 *code;
	u32 blocking;
} shadows[] = {
	{ "sti", shadow_sti, BLOCKING_BY_STI },
	{ "mov-ss", shadow_mov_ss, BLOCKING_BY_MOV_SS },
	{ "sti-nop", no_shadow, 0 },
};

static void test_saved(void)
{
	for (const struct shadow *s = shadows; s < shadows + ARRAY_SIZE(shadows); s++) {
		struct vmx_guest *guest = vmx_guest(L2_NATIVE, s->code);

		vmx_run(guest);
		check_exit(guest, EXIT_HLT, "%s.exit", s->name);
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), s->blocking, "%s.saved",
			    s->name);
		vmx_skip();
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
		vmx_run(guest);
		check_exit(guest, EXIT_HLT, "%s.next", s->name);
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "%s.next.saved",
			    s->name);
	}
}

VMX_SUBTEST("blocking-saved", test_saved);

/* An exit of #DB, its qualification what was pending, before the first instruction. */
static void test_pending_debug(void)
{
	struct events *e = events_new(&PLACE_HERE, nops);

	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
	vmx_run(e->guest);
	check_exit_qualification(e->guest, EXIT_EXCEPTION_OR_NMI, PENDING_BS, "bs");
	check_exception(e->guest, FAULT_DB, "bs.db");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "bs.rip");
	events_reset(e);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_ENABLED | PENDING_B0);
	vmx_run(e->guest);
	check_exception(e->guest, FAULT_DB, "b0.db");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & 15, PENDING_B0, "b0.qualification");
	/* B0 alone is not valid: nothing is delivered. */
	events_reset(e);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_B0);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "b0-not-enabled");
	/* Lost with a hardware event that is injected. */
	events_reset(e);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
	inject_here(e, INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), 0, 0);
	check_event(e, 0x50, NO_ERROR_CODE, e->rip, "interrupt-injected");
	events_reset(e);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
	inject_here(e, INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), 0, 0);
	check_event(e, VECTOR_UD, NO_ERROR_CODE, e->rip, "exception-injected");
	/* L2 takes it itself: DR6 is updated. */
	not_intercepted(VECTOR_DB);
	events_reset(e);
	write_dr6(0xffff0ff0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
	vmx_run(e->guest);
	check_event(e, VECTOR_DB, NO_ERROR_CODE, e->rip, "delivered");
	check_equal(read_dr6() & DR6_BS, DR6_BS, "delivered.dr6");
}

VMX_SUBTEST("pending-debug", test_pending_debug);

/* L2's own events that fault on the way. */
static const u8 gates[] = { VECTOR_UD, VECTOR_GP, VECTOR_DF };
L2_CODE(ud2_code, "ud2");

static void test_double_fault(void)
{
	struct events *e = events_new(&PLACE_HERE, hlts);

	for (unsigned int i = 0; i < ARRAY_SIZE(gates); i++)
		l2_gate(&e->l2, gates[i])[L2_GATE_ACCESS] &= ~DESC_PRESENT;
	/* Benign, then #NP: serial. */
	inject(e, INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), 0, 0);
	check_exception(e->guest, FAULT_NP(VECTOR_UD * 8 + 3), "serial");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION),
		    INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), "serial.vectoring");
	/* #GP and #NP, of which the latter does not exit: #DF, which has no vectoring. */
	not_intercepted(VECTOR_NP);
	inject(e, INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), 0, 0);
	check_exception(e->guest, FAULT_EC(VECTOR_DF, 0), "double");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "double.vectoring");
	/* If #DF's gate faults as well: a triple fault, likewise. */
	not_intercepted(VECTOR_DF);
	inject(e, INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), 0, 0);
	check_exit(e->guest, EXIT_TRIPLE_FAULT, "triple");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "triple.vectoring");
	/* L2's own #UD, on whose way #NP exits. */
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_NP);
	events_reset(e);
	vmcs_write(VMCS_GUEST_RIP, (ulong)ud2_code);
	vmx_run(e->guest);
	check_exception(e->guest, FAULT_NP(VECTOR_UD * 8 + 3), "own");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION),
		    INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), "own.vectoring");
}

VMX_SUBTEST("double-fault", test_double_fault);
