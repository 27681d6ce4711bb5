// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exits that no instruction asks for: SDM volume 3C, "Other Causes of VM Exits", with each
 * control on and off. The subject events has what becomes of the event.
 */
#include "apic.h"
#include "cpu.h"
#include "exits.h"
#include "trap.h"
#include "tsc.h"

#define VECTOR 0x51

static u32 interrupts, nmis;
static u32 seen; /* by L2, at its end */

static bool count_interrupt(struct trap_frame *frame)
{
	interrupts++;
	apic_eoi();
	return true;
}

static bool count_nmi(struct trap_frame *frame)
{
	nmis++;
	return true;
}

static void wait_a_little(void)
{
	for (unsigned int i = 0; i < 100; i++)
		cpu_relax();
}

static struct vmx_guest *prepare(void (*function)(void *argument))
{
	struct vmx_guest *guest = vmx_guest_call(function, NULL);

	trap_set_handler(VECTOR, count_interrupt);
	trap_set_handler(VECTOR_NMI, count_nmi);
	interrupts = nmis = seen = 0;
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	return guest;
}

static void send_to_self(void)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | VECTOR);
}

static void l2_interrupt(void *argument)
{
	send_to_self();
	wait_a_little();
	seen = interrupts;
}

static void l2_interrupt_enabled(void *argument)
{
	send_to_self();
	irq_enable();
	wait_a_little();
	irq_disable();
	seen = interrupts;
}

/* With the control L2's IF does not count; the interrupt is still the APIC's, and the host's. */
static void test_interrupt(void)
{
	struct vmx_guest *guest = prepare(l2_interrupt);

	vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_EXTERNAL_INTERRUPT, 0, "on");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID, 0,
		    "on.not-acknowledged");
	check_equal(interrupts, 0, "on.pending");
	irq_enable();
	WAIT_UNTIL(READ_ONCE(interrupts), 100000);
	irq_disable();
	check_equal(interrupts, 1, "on.taken-by-host");

	guest = prepare(l2_interrupt_enabled);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "off");
	check_equal(seen, 1, "off.taken-by-l2");

	guest = prepare(l2_interrupt);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "off.masked");
	check_equal(seen, 0, "off.masked.pending");
	irq_enable();
	WAIT_UNTIL(READ_ONCE(interrupts), 100000);
	irq_disable();
	check_equal(interrupts, 1, "off.masked.taken-by-host");
}
VMX_SUBTEST("event.interrupt", test_interrupt);

static void l2_nmi(void *argument)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_NMI | APIC_ASSERT);
	wait_a_little();
	seen = nmis;
}

static void test_nmi(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_NMI_EXITING))
		return;
	guest = prepare(l2_nmi);
	vmx_set(VMX_PIN_NMI_EXITING);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_EXCEPTION_OR_NMI, 0, "on");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & 0x80000fff,
		    INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_NMI) | VECTOR_NMI,
		    "on.information");
	check_equal(nmis, 0, "on.taken");
	/* The exit blocks NMIs as their delivery does, until an IRET: an exception handler's. */
	fault_of("ud2");
}
VMX_SUBTEST("event.nmi.on", test_nmi);

static void test_nmi_off(void)
{
	struct vmx_guest *guest = prepare(l2_nmi);

	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(seen, 1, "taken-by-l2");
}
VMX_SUBTEST("event.nmi.off", test_nmi_off);

static void l2_halt(void *argument)
{
	send_to_self();
	irq_enable_and_halt();
	irq_disable();
	seen = interrupts;
}

static void l2_mwait(void *argument)
{
	send_to_self();
	asm volatile("sti\n mwait\n cli" : : "a"(0), "c"(0) : "memory");
	seen = interrupts;
}

/* HLT and MWAIT without their controls, and the interrupt that ends them. */
static void test_halt(void)
{
	struct vmx_guest *guest = prepare(l2_halt);

	vmx_clear(VMX_PRIMARY_HLT_EXITING);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(seen, 1, "taken-by-l2");
}
VMX_SUBTEST("hlt-off", test_halt);

static void test_mwait(void)
{
	struct vmx_guest *guest;

	if (!cpu_has(FEATURE_MWAIT)) {
		subtest_skip("the CPU has no MWAIT");
		return;
	}
	guest = prepare(l2_mwait);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(seen, 1, "taken-by-l2");
}
VMX_SUBTEST("mwait-off", test_mwait);

EXITS_TEXT(nops, "", "nop\n nop");
EXITS_TEXT(sti, "sti", "nop\n nop");

/*
 * Where no instruction exits and no event that would have a frame, RF is saved as it was. "Saving
 * RIP, RSP, RFLAGS, and SSP"
 */
static void set_rf(void)
{
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_RF);
}

static void check_rf(const char *id)
{
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_RF, EFLAGS_RF, "%s.rf", id);
}

/* Before the first instruction at which an interrupt could come in. */
static void test_interrupt_window(void)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, sti);

	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_INTERRUPT_WINDOW, 0, "after-sti");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)sti_at + 1, "after-sti.rip");

	guest = exits_guest(L2_NATIVE, nops);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "if-clear");

	guest = exits_guest(L2_NATIVE, nops);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	set_rf();
	vmx_run(guest);
	check_exit(guest, EXIT_INTERRUPT_WINDOW, "at-once");
	check_rf("at-once");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops, "at-once.rip");
}
VMX_SUBTEST("event.interrupt-window", test_interrupt_window);

static void test_nmi_window(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_NMI_EXITING) || !vmx_needs(VMX_PIN_VIRTUAL_NMIS) ||
	    !vmx_needs(VMX_PRIMARY_NMI_WINDOW_EXITING))
		return;
	for (unsigned int blocked = 0; blocked < 2; blocked++) {
		guest = exits_guest(L2_NATIVE, nops);
		vmx_set(VMX_PIN_NMI_EXITING);
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
		vmx_set(VMX_PRIMARY_NMI_WINDOW_EXITING);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? BLOCKING_BY_NMI : 0);
		set_rf();
		vmx_run(guest);
		if (blocked) {
			check_exit(guest, EXIT_VMCALL, "blocked");
		} else {
			check_exit_qualification(guest, EXIT_NMI_WINDOW, 0, "open");
			check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops, "open.rip");
			check_rf("open");
		}
	}
}
VMX_SUBTEST("event.nmi-window", test_nmi_window);

static void test_monitor_trap(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_MONITOR_TRAP_FLAG))
		return;
	guest = exits_guest(L2_NATIVE, nops);
	vmx_set(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	for (unsigned int n = 1; n <= 2; n++) {
		const char *name = n == 1 ? "first" : "second";

		vmx_run(guest);
		check_exit_qualification(guest, EXIT_MONITOR_TRAP_FLAG, 0, "%s", name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops + n, "%s.rip", name);
	}
	vmx_clear(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "off");
}
VMX_SUBTEST("event.monitor-trap-flag", test_monitor_trap);

/* With 0 the timer has expired before the first instruction. */
static void test_preemption_timer(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_PREEMPTION_TIMER))
		return;
	guest = exits_guest(L2_NATIVE, nops);
	vmx_set(VMX_PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0);
	set_rf();
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_PREEMPTION_TIMER, 0, "on");
	check_rf("on");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops, "on.rip");
	vmx_clear(VMX_PIN_PREEMPTION_TIMER);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "off");
}
VMX_SUBTEST("event.preemption-timer", test_preemption_timer);

#define PAUSES 100000
L2_CODE(pauses, "1: pause\n dec " R(cx) "\n jnz 1b\n vmcall");

/*
 * PAUSE-loop exiting: PAUSEs that follow each other within the gap exit once they have gone on
 * for longer than the window; in ring 0 alone.
 */
static void test_pause_loop(void)
{
	static const struct {
		const char *name;
		u32 gap, window;
		bool ring3, pause_exiting;
		u32 exit;
	} rows[] = {
		{ "loop", 4096, 20000, false, false, EXIT_PAUSE },
		{ "large-gap", 0x7fffffff, 20000, false, false, EXIT_PAUSE },
		{ "endless-window", 4096, 0xffffffff, false, false, EXIT_VMCALL },
		{ "ring3", 4096, 20000, true, false, EXIT_VMCALL },
		{ "pause-exiting", 4096, 0xffffffff, false, true, EXIT_PAUSE },
	};

	if (!vmx_needs(VMX_SECONDARY_PAUSE_LOOP_EXITING))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_guest *guest = exits_guest(L2_NATIVE, pauses);

		vmx_set(VMX_SECONDARY_PAUSE_LOOP_EXITING);
		if (rows[i].pause_exiting)
			vmx_set(VMX_PRIMARY_PAUSE_EXITING);
		vmcs_write(VMCS_PLE_GAP, rows[i].gap);
		vmcs_write(VMCS_PLE_WINDOW, rows[i].window);
		guest->world.registers.cx = PAUSES;
		if (rows[i].ring3)
			vmx_enter_ring3(guest);
		vmx_run(guest);
		check_exit_qualification(guest, rows[i].exit, 0, "%s", rows[i].name);
		/* The first PAUSE after the entry begins a loop, and never ends one. */
		if (rows[i].exit == EXIT_PAUSE && !rows[i].pause_exiting)
			check(guest->world.registers.cx < PAUSES, "%s.not-the-first", rows[i].name);
	}
}
VMX_SUBTEST("event.pause-loop", test_pause_loop);
