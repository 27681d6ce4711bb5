// SPDX-License-Identifier: BSD-2-Clause
/*
 * Debug exceptions that MOV SS holds back: a step or a data breakpoint of that instruction is not
 * delivered before the next one. If that one exits, what was held back is saved as pending, with
 * the blocking; if not, it comes behind it, and in the handler of an INT n. A VM entry takes up
 * both. In all other cases the field is saved as 0.
 *
 * SDM volume 3C, "Saving Non-Register State", "Delivery of Pending Debug Exceptions after VM
 * Entry"; volume 3A, "Masking Exceptions and Interrupts When Switching Stacks". CVE-2018-8897 and
 * CVE-2018-1087 (Linux 4.16, commit 32d43cd391ba) are what systems and KVM made of it.
 */
#include "debug.h"
#include "events.h"

TEST_GUARDS("CVE-2018-1087: KVM mishandled debug exceptions that MOV SS holds back (commit "
	    "32d43cd391ba)");

/* SS from EAX, or from memory at EDX; the marks are where what is behind it begins. */
L2_CODE(register_hlt, "mov %eax, %ss\n hlt\n nop\n hlt");
L2_CODE(register_nop, "mov %eax, %ss\n nop\n hlt");
L2_CODE(memory_hlt, "data16 mov (%edx), %ss\n hlt\n nop\n hlt");
L2_CODE(memory_nop, "data16 mov (%edx), %ss\n nop\n hlt");
L2_CODE(memory_ud, "data16 mov (%edx), %ss\n ud2");
L2_CODE(memory_int, "data16 mov (%edx), %ss\n int $0x50\n hlt");
L2_CODE(nops, "nop\n nop\n nop\n hlt");
L2_CODE(hlts, "hlt\n nop\n hlt");
L2_CODE(loads, "mov (%edx), %ecx\n nop\n hlt");

static u16 selector_operand __aligned(4) = KERNEL_DS;

/* L2 with a step (TF), a breakpoint at the operand (0 to 3), or both. */
#define NO_BREAKPOINT 4u

static struct events *debugged(const void *code, bool step, unsigned int breakpoint)
{
	struct events *e = events_new(&PLACE_HERE, code);

	e->guest->world.registers.ax = e->ss;
	e->guest->world.registers.dx = (ulong)&selector_operand;
	selector_operand = e->ss;
	vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	vmcs_write(VMCS_GUEST_IA32_DEBUGCTL, 0);
	if (breakpoint != NO_BREAKPOINT)
		breakpoint_set(breakpoint, (ulong)&selector_operand, DR7_ACCESS, DR7_LEN_2);
	vmcs_write(VMCS_GUEST_DR7, read_dr7());
	breakpoints_clear();
	if (step)
		vmcs_write(VMCS_GUEST_RFLAGS, e->rflags | EFLAGS_TF);
	events_snapshot(e);
	return e;
}

enum debug_end { HELD_AT_HLT, HELD_AT_UD, DELIVERED, DELIVERED_IN_HANDLER };

static const struct held {
	const char *name;
	const u8 *code;
	bool step;
	unsigned int breakpoint;
	enum debug_end end;
	unsigned int rip;
	u64 pending; /* saved as pending, or the qualification of the exit by #DB */
} helds[] = {
	{ "step.nop", nops, true, NO_BREAKPOINT, DELIVERED, 1, PENDING_BS },
	{ "step.mov-ss-nop", register_nop, true, NO_BREAKPOINT, DELIVERED, 3, PENDING_BS },
	{ "step.mov-ss-hlt", register_hlt, true, NO_BREAKPOINT, HELD_AT_HLT, 2, PENDING_BS },
	{ "b0.load", loads, false, 0, DELIVERED, 0, BIT(0) },
	{ "b0.mov-ss-nop", memory_nop, false, 0, DELIVERED, 1, BIT(0) },
	{ "b0.mov-ss-hlt", memory_hlt, false, 0, HELD_AT_HLT, 0, PENDING_ENABLED | BIT(0) },
	{ "b1.mov-ss-hlt", memory_hlt, false, 1, HELD_AT_HLT, 0, PENDING_ENABLED | BIT(1) },
	{ "b2.mov-ss-hlt", memory_hlt, false, 2, HELD_AT_HLT, 0, PENDING_ENABLED | BIT(2) },
	{ "b3.mov-ss-hlt", memory_hlt, false, 3, HELD_AT_HLT, 0, PENDING_ENABLED | BIT(3) },
	{ "b0.mov-ss-ud", memory_ud, false, 0, HELD_AT_UD, 0, PENDING_ENABLED | BIT(0) },
	{ "b0.mov-ss-int", memory_int, false, 0, DELIVERED_IN_HANDLER, 0, BIT(0) },
	{ "both.mov-ss-hlt", memory_hlt, true, 0, HELD_AT_HLT, 0,
	  PENDING_BS | PENDING_ENABLED | BIT(0) },
};

/* The length of an operand in memory differs by mode. */
#ifdef __x86_64__
#define LOAD_SIZE   3 /* with an address size prefix */
#define MOV_SS_SIZE 4
#else
#define LOAD_SIZE   2
#define MOV_SS_SIZE 3
#endif

static u64 rip_of(const struct events *e, const struct held *h)
{
	if (h->end == DELIVERED_IN_HANDLER)
		return l2_handler(&e->l2, 0x50);
	if (h->breakpoint == NO_BREAKPOINT)
		return e->rip + h->rip;
	return e->rip + h->rip + (h->code == loads ? LOAD_SIZE : MOV_SS_SIZE);
}

static void check_held(struct events *e, const struct held *h)
{
	bool held = h->end == HELD_AT_HLT || h->end == HELD_AT_UD;

	vmx_run(e->guest);
	if (h->end == HELD_AT_HLT) {
		check_exit(e->guest, EXIT_HLT, "exit");
	} else if (h->end == HELD_AT_UD) {
		check_exception(e->guest, FAULT_UD, "exit");
	} else {
		check_exception(e->guest, FAULT_DB, "exit");
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), h->pending, "qualification");
	}
	check_equal(vmcs_read(VMCS_GUEST_RIP), rip_of(e, h), "rip");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), held ? h->pending : 0, "saved");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), held ? BLOCKING_BY_MOV_SS : 0,
		    "blocking");
}

static void test_held(void)
{
	for (const struct held *h = helds; h < helds + ARRAY_SIZE(helds); h++) {
		prefix_push("%s", h->name);
		check_held(debugged(h->code, h->step, h->breakpoint), h);
		prefix_pop();
	}
}

VMX_SUBTEST("debug.mov-ss", test_held);

/* L1 goes on as for an HLT that it emulates; or as if the blocking were still there. */
static void test_resumed(void)
{
	for (unsigned int blocking = 0; blocking <= BLOCKING_BY_MOV_SS;
	     blocking += BLOCKING_BY_MOV_SS) {
		struct events *e = debugged(memory_hlt, true, 0);
		u64 next = e->rip + MOV_SS_SIZE + 1;

		vmcs_write(VMCS_GUEST_RIP, next);
		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			   PENDING_BS | PENDING_ENABLED | BIT(0));
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocking);
		prefix_push(blocking ? "blocked" : "open");
		vmx_run(e->guest);
		check_exception(e->guest, FAULT_DB, "exit");
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & (PENDING_BS | 15),
			    PENDING_BS | BIT(0), "qualification");
		check_equal(vmcs_read(VMCS_GUEST_RIP), next + (blocking ? 1 : 0), "rip");
		check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0, "saved");
		prefix_pop();
	}
}

VMX_SUBTEST("debug.resumed", test_resumed);

/* A software interrupt or exception that is injected under MOV SS blocking is as INT n behind it.
 */
static void test_injected(void)
{
	static const struct {
		const char *name;
		u32 info, length;
	} rows[] = {
		{ "int", INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), 2 },
		{ "int3", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), 1 },
		{ "into", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_OF), 1 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct events *e = debugged(nops, false, NO_BREAKPOINT);

		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_ENABLED | BIT(0));
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
		inject_here(e, rows[i].info, 0, rows[i].length);
		check_exception(e->guest, FAULT_DB, "%s.exit", rows[i].name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & 15, BIT(0), "%s.qualification",
			    rows[i].name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), l2_handler(&e->l2, (u8)rows[i].info),
			    "%s.rip", rows[i].name);
	}
}

VMX_SUBTEST("debug.injected", test_injected);

/* Pending ones come before the windows, which then are still open. */
static void test_before_windows(void)
{
	static const struct {
		const char *name;
		u32 control, exit;
	} rows[] = {
		{ "interrupt-window", VMX_PRIMARY_INTERRUPT_WINDOW_EXITING, EXIT_INTERRUPT_WINDOW },
		{ "nmi-window", VMX_PRIMARY_NMI_WINDOW_EXITING, EXIT_NMI_WINDOW },
	};

	if (!vmx_needs(VMX_PIN_VIRTUAL_NMIS) || !vmx_needs(VMX_PRIMARY_NMI_WINDOW_EXITING))
		return;
	open_nmis();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct events *e = debugged(nops, false, NO_BREAKPOINT);

		vmx_set(VMX_PIN_NMI_EXITING);
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
		vmx_set(rows[i].control);
		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
		vmx_run(e->guest);
		check_exception(e->guest, FAULT_DB, "%s.debug", rows[i].name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "%s.debug.rip", rows[i].name);
		vmx_run(e->guest);
		check_exit(e->guest, rows[i].exit, "%s.window", rows[i].name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "%s.window.rip", rows[i].name);
	}
}

VMX_SUBTEST("debug.before-windows", test_before_windows);

/* An exit of an instruction that a step has not executed yet has nothing pending. */
static void test_nothing(void)
{
	struct events *e = debugged(hlts, true, NO_BREAKPOINT);

	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "exit");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0, "saved");
}

VMX_SUBTEST("debug.nothing-pending", test_nothing);
