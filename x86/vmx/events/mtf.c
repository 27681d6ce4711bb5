// SPDX-License-Identifier: BSD-2-Clause
/*
 * The monitor trap flag: an exit on the next instruction boundary, which is that behind an
 * instruction, behind an iteration of a string instruction, and before a handler's first
 * instruction if an event came between, by injection, by a fault or by INT n. An instruction that
 * exits by itself leaves none pending. Neither STI nor MOV SS holds it back, and of a debug
 * exception at the same boundary it is the first: that is saved as pending. A VM entry can inject
 * one.
 *
 * SDM volume 3C, "Monitor Trap Flag", "Injection of Pending MTF VM Exits", "Saving Non-Register
 * State". KVM lost one when an instruction of L2 was emulated, or kept it for a later exit: Linux
 * 5.6, commit 5ef8acbdd687; 6.1, commit 593a5c2e3c12.
 */
#include "events.h"
#include "paging.h"

TEST_GUARDS("KVM lost L2's MTF exits when it emulated an instruction (Linux 5.6, commit "
	    "5ef8acbdd687)");
TEST_GUARDS("KVM kept a pending MTF through another nested exit (Linux 6.1, commit 593a5c2e3c12)");

L2_CODE(nops, "nop\n nop\n nop\n hlt");
L2_CODE(strings, "rep stosb\n nop\n hlt");
L2_CODE(faults, "ud2\n hlt");
L2_CODE(software, "int $0x51\n hlt");
L2_CODE(exits, "cpuid\n nop\n nop\n hlt");
L2_CODE(loads_ss, "mov %eax, %ss\n nop\n hlt");
L2_CODE(sets_if, "sti\n nop\n hlt");
L2_CODE(jumps, "jmp 1f\n hlt\n 1: nop\n hlt");

static struct events *stepped(const void *code)
{
	struct events *e;

	if (!vmx_needs(VMX_PRIMARY_MONITOR_TRAP_FLAG))
		return NULL;
	e = events_new(&PLACE_HERE, code);
	vmx_set(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	e->guest->world.registers.ax = e->ss;
	return e;
}

static void check_mtf(struct events *e, u64 rip, const char *id)
{
	check_exit_qualification(e->guest, EXIT_MONITOR_TRAP_FLAG, 0, "%s.exit", id);
	check_equal(vmcs_read(VMCS_GUEST_RIP), rip, "%s.rip", id);
}

static void test_steps(void)
{
	struct events *e = stepped(nops);

	if (!e)
		return;
	for (unsigned int i = 1; i <= 3; i++) {
		prefix_push("step-%u", i);
		vmx_run(e->guest);
		check_mtf(e, e->rip + i, "nop");
		prefix_pop();
	}
	/* An instruction that exits is not executed: no MTF exit is pending. */
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "exits-first");
	vmx_clear(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	events_reset(e);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "off");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - e->rip, 3, "off.rip");
	e = stepped(jumps);
	vmx_run(e->guest);
	check_mtf(e, e->rip + 3, "jump");
}

VMX_SUBTEST("mtf.steps", test_steps);

/* Each iteration; what the registers say is that so many are done. */
static void test_strings(void)
{
	struct events *e = stepped(strings);
	static u8 bytes[4];

	if (!e)
		return;
	e->guest->world.registers.cx = 3;
	e->guest->world.registers.di = (ulong)bytes;
	for (unsigned int i = 1; i <= 3; i++) {
		prefix_push("iteration-%u", i);
		vmx_run(e->guest);
		check_mtf(e, e->rip + (i == 3 ? 2 : 0), "stosb");
		check_equal(e->guest->world.registers.cx, 3 - i, "count");
		prefix_pop();
	}
	e = stepped(strings);
	e->guest->world.registers.cx = 0;
	vmx_run(e->guest);
	check_mtf(e, e->rip + 2, "no-iteration");
	/* The first iteration faults: behind the delivery. */
	e = stepped(strings);
	not_intercepted(VECTOR_PF);
	tables_set(&e->guest->tables, 0x70000000, LEVEL_4K, 0);
	e->guest->world.registers.cx = 3;
	e->guest->world.registers.di = 0x70000000;
	vmx_run(e->guest);
	check_mtf(e, l2_handler(&e->l2, VECTOR_PF), "fault");
	check_equal(e->guest->world.registers.cx, 3, "fault.count");
}

VMX_SUBTEST("mtf.strings", test_strings);

static void test_delivery(void)
{
	struct events *e = stepped(faults);

	if (!e)
		return;
	vmx_run(e->guest);
	check_exception(e->guest, FAULT_UD, "fault-exits");
	not_intercepted(VECTOR_UD);
	vmx_run(e->guest);
	check_mtf(e, l2_handler(&e->l2, VECTOR_UD), "fault");
	e = stepped(software);
	vmx_run(e->guest);
	check_mtf(e, l2_handler(&e->l2, 0x51), "int");
	e = stepped(exits);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_CPUID, "cpuid");
	vmx_skip();
	vmx_run(e->guest);
	check_mtf(e, e->rip + 3, "behind-cpuid");
	/* None is left from before. */
	e = stepped(exits);
	vmx_run(e->guest);
	vmx_skip();
	vmx_clear(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "none-left");
}

VMX_SUBTEST("mtf.delivery", test_delivery);

static void test_blocking(void)
{
	struct events *e = stepped(loads_ss);

	if (!e)
		return;
	vmx_run(e->guest);
	check_mtf(e, e->rip + 2, "mov-ss");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_MOV_SS,
		    "mov-ss.blocking");
	e = stepped(sets_if);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED);
	vmx_run(e->guest);
	check_mtf(e, e->rip + 1, "sti");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_STI, "sti.blocking");
	/* "MTF VM exits take priority over debug-trap exceptions." */
	e = stepped(nops);
	vmcs_write(VMCS_GUEST_RFLAGS, e->rflags | EFLAGS_TF);
	vmx_run(e->guest);
	check_mtf(e, e->rip + 1, "step");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_BS, "step.pending");
	vmx_clear(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	vmx_run(e->guest);
	check_exception(e->guest, FAULT_DB, "step.delivered");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip + 1, "step.delivered.rip");
}

VMX_SUBTEST("mtf.blocking", test_blocking);

static void test_injection(void)
{
	static const struct {
		const char *name;
		u32 info;
	} rows[] = {
		{ "interrupt", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50) },
		{ "nmi", INFO(TYPE_NMI, VECTOR_NMI) },
		{ "exception", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP) },
		{ "int", INFO(TYPE_SOFTWARE_INTERRUPT, 0x51) },
		{ "int3", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP) },
		{ "int1", INFO(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB) },
	};
	struct events *e = stepped(nops);

	for (unsigned int i = 0; e && i < ARRAY_SIZE(rows); i++) {
		inject(e, rows[i].info, 0x10, 1);
		check_mtf(e, l2_handler(&e->l2, (u8)rows[i].info), rows[i].name);
	}
	unblock_nmis();
}

VMX_SUBTEST("mtf.injection", test_injection);

/* A pending MTF exit, whatever the control says; before a pending debug exception. */
static void test_injected_mtf(void)
{
	struct events *e = stepped(nops);

	if (!e)
		return;
	inject(e, INFO(TYPE_OTHER_EVENT, 0), 0, 0);
	check_mtf(e, e->rip, "control-on");
	vmx_clear(VMX_PRIMARY_MONITOR_TRAP_FLAG);
	inject(e, INFO(TYPE_OTHER_EVENT, 0), 0, 0);
	check_mtf(e, e->rip, "control-off");
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "once");
	events_reset(e);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
	inject_here(e, INFO(TYPE_OTHER_EVENT, 0), 0, 0);
	check_mtf(e, e->rip, "debug");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_BS, "debug.kept");
	vmx_run(e->guest);
	check_exception(e->guest, FAULT_DB, "debug.delivered");
}

VMX_SUBTEST("mtf.injected", test_injected_mtf);
