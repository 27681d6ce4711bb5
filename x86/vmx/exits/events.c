// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exits that no instruction asks for: SDM volume 3C, "Other Causes of VM Exits", and what the VMCS
 * has of addresses ("Exit Qualification", "Guest-Linear Address", "Guest-Physical Address"). Each
 * control on and off; the subject events has what becomes of the event.
 */
#include "apic.h"
#include "cpu.h"
#include "exits.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"
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
	/* The exit blocks NMIs as their delivery does, until IRET: that of any exception's handler. */
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
	vmx_run(guest);
	check_exit(guest, EXIT_INTERRUPT_WINDOW, "at-once");
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
		vmx_run(guest);
		if (blocked) {
			check_exit(guest, EXIT_VMCALL, "blocked");
		} else {
			check_exit_qualification(guest, EXIT_NMI_WINDOW, 0, "open");
			check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops, "open.rip");
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
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_PREEMPTION_TIMER, 0, "on");
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

EXITS_TEXT(load, "", "movl (" R(ax) "), %ecx");
EXITS_TEXT(store, "", "movl %ecx, (" R(ax) ")");

#define EPT_READ       BIT(0)
#define EPT_WRITE      BIT(1)
#define LINEAR_VALID   BIT(7)
#define IN_TRANSLATION BIT(8) /* not an access to a table */

/* Both addresses of an EPT violation; a misconfiguration has the guest-physical one alone. */
static void test_ept(void)
{
	struct vmx_guest *guest;
	u8 *page = operand();

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	for (unsigned int write = 0; write < 2; write++) {
		const char *name = write ? "write" : "read";

		guest = exits_guest(L2_NATIVE, write ? store : load);
		vmx_ept(guest);
		/* Linear addresses of L2 that are not its physical ones. */
		tables_map(&guest->tables, 0x70000000, (ulong)page, LEVEL_4K, 0);
		tables_set(&guest->ept, (ulong)page, LEVEL_4K, 0);
		guest->world.registers.ax = 0x70000123;
		vmx_run(guest);
		check_exit(guest, EXIT_EPT_VIOLATION, "%s", name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & 0x1bf,
			    (write ? EPT_WRITE : EPT_READ) | LINEAR_VALID | IN_TRANSLATION,
			    "%s.qualification", name);
		check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), (ulong)page + 0x123,
			    "%s.physical", name);
		check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), 0x70000123, "%s.linear", name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)(write ? store_at : load_at),
			    "%s.rip", name);

		/* Writable and not readable. */
		tables_set(&guest->ept, (ulong)page, LEVEL_4K, (ulong)page | EPT_WRITE | 6 << 3);
		vmx_ept_flush();
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_EPT_MISCONFIGURATION, 0, "%s.misconfigured",
					 name);
		check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), (ulong)page + 0x123,
			    "%s.misconfigured.physical", name);
	}
}
VMX_SUBTEST("event.ept", test_ept);

/* A function that L1 has not enabled is an exit in every ring; one that does not exist #UD. */
EXITS_TEXT(vmfunc, "", "vmfunc");

static void test_vmfunc(void)
{
	if (!vmx_needs(VMX_SECONDARY_VM_FUNCTIONS))
		return;
	for (unsigned int i = 0; i < 4; i++) {
		static const u32 functions[] = { 0, 1, 63, 0 };
		static const char *const names[] = { "function-0", "function-1", "function-63",
						     "ring3" };
		struct vmx_guest *guest = exits_guest(L2_NATIVE, vmfunc);

		vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
		vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 0);
		guest->world.registers.ax = functions[i];
		if (i == 3)
			vmx_enter_ring3(guest);
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_VMFUNC, 0, "%s", names[i]);
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), 3, "%s.length", names[i]);
	}
	struct vmx_guest *guest = exits_guest(L2_NATIVE, vmfunc);

	vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 0);
	guest->world.registers.ax = 64;
	vmx_run(guest);
	check_exception(guest, FAULT_UD, "function-64");
}
VMX_SUBTEST("vmfunc", test_vmfunc);

/* XSAVES and XRSTORS: components in EDX:EAX, IA32_XSS and the XSS-exiting bitmap. */
EXITS_TEXT(xsaves, "", "xsaves (" R(di) ")");
EXITS_TEXT(xrstors, "", "xrstors (" R(di) ")");

static void test_xsaves(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 exit;
	} rows[] = { { "xsaves", xsaves, EXIT_XSAVES }, { "xrstors", xrstors, EXIT_XRSTORS } };
	u64 supported, bit;

	if (!cpu_has(FEATURE_XSAVES)) {
		subtest_skip("the CPU has no XSAVES (CPUID)");
		return;
	}
	if (!vmx_needs(VMX_SECONDARY_XSAVES))
		return;
	supported = cpuid_count(0xd, 1).ecx | (u64)cpuid_count(0xd, 1).edx << 32;
	bit = supported & -supported;
	if (!bit)
		check_skip("the CPU has no state component in IA32_XSS", "exits");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	for (unsigned int i = 0; i < 8 * ARRAY_SIZE(rows); i++) {
		const u32 exit = rows[i / 8].exit;
		struct vmx_guest *guest = exits_guest(L2_NATIVE, rows[i / 8].code);
		bool mask = i & 1, bitmap = i & 2, xss = i & 4;

		if (!bit && xss)
			continue;
		wrmsr(MSR_IA32_XSS, xss ? bit : 0);
		vmx_set(VMX_SECONDARY_XSAVES);
		vmcs_write(VMCS_XSS_EXITING_BITMAP, bitmap ? ~0ull : 0);
		vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_OSXSAVE);
		guest->world.registers.ax = mask ? ~0ul : 0;
		guest->world.registers.dx = mask ? ~0ul : 0;
		guest->world.registers.di = (ulong)operand();
		memset(operand(), 0, 1024);
		*(u64 *)(operand() + 520) = 1ull << 63; /* XCOMP_BV */
		vmx_run(guest);
		check_exit(guest, mask && bitmap && xss ? exit : EXIT_VMCALL,
			   "%s.mask-%u.bitmap-%u.xss-%u", rows[i / 8].name, mask, bitmap, xss);
	}
	wrmsr(MSR_IA32_XSS, 0);
}
VMX_SUBTEST("xsaves", test_xsaves);
