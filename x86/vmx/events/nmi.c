// SPDX-License-Identifier: BSD-2-Clause
/*
 * Real NMIs, sent by the local APIC, while L2 runs or pending when it is entered. With "NMI
 * exiting" each is an exit that blocks NMIs in L1 until IRET; without, L2 takes it by its IDT, and
 * NMIs are blocked until its IRET. With "virtual NMIs" L2's blocking is a bit of its own, which
 * does not keep a real NMI from exiting; IRET clears that bit, and without it, if NMIs exit,
 * nothing.
 *
 * SDM volume 3C, "Other Causes of VM Exits", "Changes to Instruction Behavior in VMX Non-Root
 * Operation" (IRET), "Interruptibility State", "Activity State", "Architectural State Before a VM
 * Exit", "Information for VM Exits Due to Vectored Events"; 3D, "Basic VM-Exit Information".
 */
#include "apic.h"
#include "cpu.h"
#include "events.h"
#include "msr.h"
#include "trap.h"

/* Sends an NMI to itself: EAX into the command register at EBX; then there is time for it. */
L2_CODE(sends_nmi, "movl %eax, (%ebx)\n 1: dec %ecx\n jnz 1b\n hlt");
L2_CODE(nops, "nop\n nop\n nop\n hlt");

#define NMI_INFORMATION INFO(TYPE_NMI, VECTOR_NMI)
/* Bit 12 is undefined with NMI exiting and without virtual NMIs. */
#define INFORMATION_MASK (~INTERRUPTION_NMI_UNBLOCKED)

static volatile u32 nmis; /* that L1 has taken */

static bool count_nmi(struct trap_frame *frame)
{
	(void)frame;
	nmis++;
	return true;
}

static void send_nmi(void)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_NMI | APIC_ASSERT);
	for (unsigned int i = 0; i < 100; i++)
		cpu_relax();
}

static bool has_nmis(void)
{
	if (!vmx_needs(VMX_PIN_NMI_EXITING))
		return false;
	apic_enable();
	trap_set_handler(VECTOR_NMI, count_nmi);
	open_nmis();
	nmis = 0;
	return true;
}

/* The sender writes to the APIC's registers, which it finds in memory. */
static bool can_send(void)
{
	if (!has_nmis())
		return false;
	if (!apic_is_x2apic())
		return true;
	subtest_skip("the APIC has no registers in memory");
	return false;
}

/* An L2 that sends one. With NMI exiting its exit leaves NMIs blocked in L1. */
static struct events *new_sender(void)
{
	struct events *e = events_new(&PLACE_HERE, sends_nmi);

	apic_write(APIC_ICR2, apic_id() << 24);
	e->guest->world.registers.ax = APIC_DELIVERY_NMI | APIC_ASSERT;
	e->guest->world.registers.bx = APIC_DEFAULT_BASE + APIC_ICR;
	e->guest->world.registers.cx = 2000;
	return e;
}

static void check_rip_in_sender(struct events *e)
{
	u64 rip = vmcs_read(VMCS_GUEST_RIP) - e->rip;

	check(rip && rip < 16, "rip");
}

static void test_exit(void)
{
	struct events *e;

	if (!can_send())
		return;
	e = new_sender();
	vmx_set(VMX_PIN_NMI_EXITING);
	vmx_run(e->guest);
	check_exit_qualification(e->guest, EXIT_EXCEPTION_OR_NMI, 0, "exit");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INFORMATION_MASK,
		    NMI_INFORMATION, "information");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "idt-vectoring");
	check_rip_in_sender(e);
	/* Only the exit blocks them: "Architectural State Before a VM Exit". */
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "not-blocked-in-l2");
	check_equal(nmis, 0, "not-taken-by-l1");
	send_nmi();
	check_equal(nmis, 0, "blocked-in-l1");
	unblock_nmis();
	check_equal(nmis, 1, "unblocked-by-iret");
	send_nmi();
	check_equal(nmis, 2, "open-again");
}

VMX_SUBTEST("nmi.exit", test_exit);

/* L2's own blocking is no matter for it, and stays as it is; nor is the window, while closed. */
static void test_virtual_exit(void)
{
	struct events *e;

	if (!can_send() || !vmx_needs(VMX_PIN_VIRTUAL_NMIS) ||
	    !vmx_needs(VMX_PRIMARY_NMI_WINDOW_EXITING))
		return;
	for (unsigned int blocking = 0; blocking <= BLOCKING_BY_NMI; blocking += BLOCKING_BY_NMI) {
		prefix_push(blocking ? "blocked" : "open");
		e = new_sender();
		vmx_set(VMX_PIN_NMI_EXITING);
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
		if (blocking)
			vmx_set(VMX_PRIMARY_NMI_WINDOW_EXITING);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocking);
		vmx_run(e->guest);
		check_exit_qualification(e->guest, EXIT_EXCEPTION_OR_NMI, 0, "exit");
		check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION), NMI_INFORMATION,
			    "information");
		check_rip_in_sender(e);
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), blocking, "blocking");
		send_nmi();
		check_equal(nmis, 0, "blocked-in-l1");
		unblock_nmis();
		check_equal(nmis, 1, "unblocked-by-iret");
		nmis = 0;
		prefix_pop();
	}
}

VMX_SUBTEST("nmi.virtual-exit", test_virtual_exit);

/* Without NMI exiting: L2's handler; or, while L2 has them blocked, nothing until L1 unblocks. */
static void test_taken(void)
{
	struct events *e;

	if (!can_send())
		return;
	e = new_sender();
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "taken");
	check_equal(vmx_rip(), l2_handler(&e->l2, VECTOR_NMI), "taken.rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI,
		    "taken.blocking");
	check_equal(nmis, 0, "taken.none-for-l1");
	unblock_nmis();
	e = new_sender();
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_HLT, "blocked");
	check(vmx_rip() != l2_handler(&e->l2, VECTOR_NMI), "blocked.rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI,
		    "blocked.blocking");
	check_equal(nmis, 0, "blocked.in-l1");
	unblock_nmis();
	check_equal(nmis, 1, "blocked.left-for-l1");
}

VMX_SUBTEST("nmi.taken", test_taken);

/* A real NMI is pending when L2 is entered. */
enum nmi_end {
	NMI_EXITS,  /* at that place */
	NMI_TAKEN,  /* by L2, at that place */
	NMI_WAITS,  /* L2 goes on to its HLT; L1 gets it */
	NMI_WINDOW, /* the window's exit comes first */
};

struct pending {
	bool exiting, virtual, window;
	u8 blocking, activity;
	enum nmi_end end;
	u8 rip;
	u8 saved_blocking;
};

static bool has_activity(u8 activity)
{
	return !activity || rdmsr(MSR_IA32_VMX_MISC) >> (5 + activity) & 1;
}

/* One that is made in L1 while an exit by another one blocks it. */
static void make_pending(void)
{
	struct events *e = new_sender();

	vmx_set(VMX_PIN_NMI_EXITING);
	vmx_run(e->guest);
	send_nmi();
}

static bool can_run(const struct pending *p)
{
	return has_activity(p->activity) && (!p->virtual || vmx_allows(VMX_PIN_VIRTUAL_NMIS)) &&
	       (!p->window || vmx_allows(VMX_PRIMARY_NMI_WINDOW_EXITING));
}

static void set_up(const struct pending *p)
{
	if (p->exiting)
		vmx_set(VMX_PIN_NMI_EXITING);
	if (p->virtual)
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
	if (p->window)
		vmx_set(VMX_PRIMARY_NMI_WINDOW_EXITING);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, p->blocking);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, p->activity);
}

static void check_nmi_exit(struct events *e, const char *name)
{
	check_exit_qualification(e->guest, EXIT_EXCEPTION_OR_NMI, 0, "%s", name);
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INFORMATION_MASK,
		    NMI_INFORMATION, "%s.information", name);
}

static void check_end(struct events *e, const struct pending *p)
{
	if (p->end == NMI_TAKEN)
		check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip + p->rip, "taken");
	else if (p->end == NMI_EXITS)
		check_nmi_exit(e, "exit");
	else
		check_exit(e->guest, p->end == NMI_WINDOW ? EXIT_NMI_WINDOW : EXIT_HLT, "exit");
	if (p->end != NMI_TAKEN)
		check_equal(vmcs_read(VMCS_GUEST_RIP) - e->rip, p->rip, "rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), p->saved_blocking, "blocking");
	/* A state that the NMI ends in the exit is saved as it was; a handler is active. */
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), p->end == NMI_TAKEN ? 0 : p->activity,
		    "activity");
}

static void test_pending(const void *argument)
{
	const struct pending *p = argument;
	struct events *e;

	if (!vmx_ready() || !can_send())
		return;
	if (!can_run(p)) {
		subtest_skip("the CPU lacks a control or an activity state");
		return;
	}
	e = events_new(&PLACE_HERE, nops);
	make_pending();
	vmx_current(e->guest);
	set_up(p);
	nmis = 0;
	vmx_run(e->guest);
	check_end(e, p);
	if (p->end == NMI_WINDOW) {
		vmx_clear(VMX_PRIMARY_NMI_WINDOW_EXITING);
		vmx_run(e->guest);
		check_nmi_exit(e, "behind-the-window");
	}
	unblock_nmis();
	check_equal(nmis, p->end == NMI_WAITS, "left-for-l1");
	vmx_check_invariants();
}

#define PENDING(name, ...)                                                                         \
	SUBTEST_ARG("nmi.pending." name, test_pending, &((const struct pending){ __VA_ARGS__ }))
PENDING("exiting", .exiting = true);
PENDING("exiting-mov-ss", .exiting = true, .blocking = BLOCKING_BY_MOV_SS, .rip = 1);
PENDING("exiting-blocked", .exiting = true, .blocking = BLOCKING_BY_NMI, .end = NMI_WAITS, .rip = 3,
	.saved_blocking = BLOCKING_BY_NMI);
PENDING("exiting-hlt", .exiting = true, .activity = ACTIVITY_HLT);
PENDING("exiting-shutdown", .exiting = true, .activity = ACTIVITY_SHUTDOWN);
PENDING("virtual", .exiting = true, .virtual = true);
PENDING("virtual-mov-ss", .exiting = true, .virtual = true, .blocking = BLOCKING_BY_MOV_SS,
	.rip = 1);
PENDING("virtual-blocked", .exiting = true, .virtual = true, .blocking = BLOCKING_BY_NMI,
	.saved_blocking = BLOCKING_BY_NMI);
PENDING("virtual-blocked-hlt", .exiting = true, .virtual = true, .blocking = BLOCKING_BY_NMI,
	.activity = ACTIVITY_HLT, .saved_blocking = BLOCKING_BY_NMI);
PENDING("window", .exiting = true, .virtual = true, .window = true, .end = NMI_WINDOW);
PENDING("window-mov-ss", .exiting = true, .virtual = true, .window = true,
	.blocking = BLOCKING_BY_MOV_SS, .end = NMI_WINDOW, .rip = 1);
PENDING("window-blocked", .exiting = true, .virtual = true, .window = true,
	.blocking = BLOCKING_BY_NMI, .saved_blocking = BLOCKING_BY_NMI);
PENDING("taken", .end = NMI_TAKEN, .saved_blocking = BLOCKING_BY_NMI);
PENDING("taken-mov-ss", .blocking = BLOCKING_BY_MOV_SS, .end = NMI_TAKEN, .rip = 1,
	.saved_blocking = BLOCKING_BY_NMI);
PENDING("taken-hlt", .activity = ACTIVITY_HLT, .end = NMI_TAKEN, .saved_blocking = BLOCKING_BY_NMI);
PENDING("taken-blocked", .blocking = BLOCKING_BY_NMI, .end = NMI_WAITS, .rip = 3,
	.saved_blocking = BLOCKING_BY_NMI);

/* Its IRET is behind its HLT, wherever the exit says that this was. */
static void leave_handler(struct events *e)
{
	vmcs_write(VMCS_GUEST_RIP, l2_handler(&e->l2, VECTOR_NMI) + L2_HLT_SIZE);
	vmx_run(e->guest);
}

/* One more comes while L2's handler runs: blocked there, also through exits; IRET lets it in. */
static void test_blocked_until_iret(void)
{
	struct events *e;

	if (!has_nmis())
		return;
	e = events_new(&PLACE_HERE, nops);
	inject(e, INFO(TYPE_NMI, VECTOR_NMI), 0, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "first");
	/* An exit by another reason leaves L2's blocking in force in L1. */
	send_nmi();
	check_equal(nmis, 0, "blocked-in-l1");
	leave_handler(e);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "second");
	leave_handler(e);
	check_exit(e->guest, EXIT_HLT, "end");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - e->rip, 3, "end.rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "end.blocking");
	check_equal(nmis, 0, "none-for-l1");
	send_nmi();
	check_equal(nmis, 1, "open-in-l1");
}

VMX_SUBTEST("nmi.blocked-until-iret", test_blocked_until_iret);

/* "If NMI exiting is 1, IRET does not affect blocking of NMIs." */
static void test_iret_exiting(void)
{
	struct events *e;

	if (!has_nmis())
		return;
	e = events_new(&PLACE_HERE, nops);
	vmx_set(VMX_PIN_NMI_EXITING);
	inject(e, INFO(TYPE_NMI, VECTOR_NMI), 0, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "injected");
	send_nmi();
	check_equal(nmis, 0, "blocked-in-l1");
	leave_handler(e);
	check_exit(e->guest, EXIT_HLT, "iret");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI, "iret.blocking");
	unblock_nmis();
	check_equal(nmis, 1, "left-for-l1");
}

VMX_SUBTEST("nmi.iret-with-exiting", test_iret_exiting);
