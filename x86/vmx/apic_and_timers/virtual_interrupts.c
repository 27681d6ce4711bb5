// SPDX-License-Identifier: BSD-2-Clause
/*
 * Virtual-interrupt delivery: which request is recognised, when it is delivered, and what that
 * changes. SDM volume 3C, "Evaluation of Pending Virtual Interrupts", "Virtual-Interrupt
 * Delivery", "PPR Virtualization"; "Guest Non-Register State" for the guest interrupt status.
 *
 * RVI alone counts for recognition, whatever VIRR says; VIRR is looked at when one is delivered.
 */
#include "apic_and_timers.h"
#include "msr.h"
#include "printf.h"

#define STATUS_NOW() vmcs_read(VMCS_GUEST_INTERRUPT_STATUS)

L2_CODE(sti_late, "sti\n nop\n nop\n hlt");
L2_CODE(nops, "nop\n nop\n hlt");
L2_CODE(halts, "hlt\n nop\n vmcall");
L2_CODE(sti_halts, "sti\n hlt\n nop\n vmcall");
L2_CODE(moves_ss, "mov %ss, %eax\n mov %eax, %ss\n nop\n hlt");
L2_CODE(ends, "hlt");

static struct apic *delivery_guest(const u8 *code, u8 rvi, u8 svi)
{
	return apic_guest_with(code, apic_delivery_x2apic, rvi, svi);
}

static u8 ppr(u8 tpr, u8 svi)
{
	return tpr >> 4 >= svi >> 4 ? tpr : svi & 0xf0;
}

/* Delivered: VISR and VPPR have it, VIRR and RVI the next request. */
static void check_delivered(struct apic *a, u8 vector, u8 next, const char *id)
{
	if (!apic_check_handler(a, vector, id))
		return;
	check(apic_has(a, VISR, vector), "%s.visr", id);
	check(!apic_has(a, VIRR, vector), "%s.virr", id);
	check_equal(a->page[VPPR / 4], vector & 0xf0, "%s.vppr", id);
	check_equal(STATUS_NOW(), STATUS(next, vector), "%s.status", id);
}

/* Class against class: the request's, the task's, and that of the vector in service. */
static void check_entry(u8 rvi, u8 tpr, u8 svi)
{
	struct apic *a = delivery_guest(ends, rvi, svi);
	bool recognised = rvi >> 4 > ppr(tpr, svi) >> 4;

	prefix_push("rvi-%02x.tpr-%02x.svi-%02x", rvi, tpr, svi);
	a->page[VTPR / 4] = tpr;
	a->page[VPPR / 4] = 0xffffffff; /* is not read */
	apic_run(a, ends, EFLAGS_IF);
	if (recognised) {
		check_delivered(a, rvi, 0, "delivered");
		check_equal(apic_return_address(), (ulong)ends, "from");
		check_equal(apic_count(a, VISR), 1 + (svi != 0), "visr");
	} else {
		check_exit(a->guest, EXIT_HLT, "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)ends, "rip");
		check_equal(STATUS_NOW(), STATUS(rvi, svi), "status");
		check_equal(a->page[VPPR / 4], ppr(tpr, svi), "vppr");
		check_equal(apic_count(a, VIRR), rvi != 0, "virr");
	}
	check_equal(a->page[VTPR / 4], tpr, "vtpr");
	prefix_pop();
}

static void test_entry(void)
{
	static const u8 requests[] = { 0, 0x10, 0x2f, 0x30, 0x41, 0x50, 0xff };
	static const u8 tasks[] = { 0, 0x0f, 0x20, 0x3f, 0x40, 0xf0 };
	static const u8 services[] = { 0, 0x31, 0x45, 0xfe };

	if (!vmx_needs_all(apic_delivery_x2apic))
		return;
	for (unsigned int r = 0; r < ARRAY_SIZE(requests); r++)
		for (unsigned int t = 0; t < ARRAY_SIZE(tasks); t++)
			for (unsigned int s = 0; s < ARRAY_SIZE(services); s++)
				check_entry(requests[r], tasks[t], services[s]);
}

VMX_SUBTEST("virtual-interrupts.entry", test_entry);

/* Every vector: its bits in VIRR and VISR, its gate. */
static void test_vectors(void)
{
	if (!vmx_needs_all(apic_delivery_x2apic))
		return;
	for (unsigned int vector = 16; vector < 256; vector++) {
		struct apic *a = delivery_guest(ends, vector, 0);
		char id[16];

		apic_run(a, ends, EFLAGS_IF);
		snprintf(id, sizeof(id), "%u", vector);
		check_delivered(a, vector, 0, id);
		check_equal(apic_count(a, VIRR) + 256 * apic_count(a, VISR), 256, "%u.alone",
			    vector);
	}
}

VMX_SUBTEST("virtual-interrupts.vectors", test_vectors);

/* What holds a recognised interrupt back; from is where it interrupts, of the code's bytes. */
static const struct blocked {
	const char *name;
	const u8 *code;
	ulong flags;
	u32 blocking;
	bool delivered;
	unsigned int from;
} blocks[] = {
	{ "open", nops, EFLAGS_IF, 0, true, 0 },
	{ "if-0", nops, 0, 0, false, 2 },
	{ "sti-blocks", nops, EFLAGS_IF, BLOCKING_BY_STI, true, 1 },
	{ "mov-ss-blocks", nops, EFLAGS_IF, BLOCKING_BY_MOV_SS, true, 1 },
	{ "nmi-does-not", nops, EFLAGS_IF, BLOCKING_BY_NMI, true, 0 },
	{ "sti", sti_late, 0, 0, true, 2 },
};

static void test_blocking(void)
{
	if (!vmx_needs_all(apic_delivery_x2apic))
		return;
	for (const struct blocked *b = blocks; b < blocks + ARRAY_SIZE(blocks); b++) {
		struct apic *a = delivery_guest(b->code, 0x51, 0);

		prefix_push("%s", b->name);
		vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | b->flags);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, b->blocking);
		vmx_run(a->guest);
		unblock_nmis();
		if (b->delivered) {
			check_delivered(a, 0x51, 0, "delivered");
			check_equal(apic_return_address() - (ulong)b->code, b->from, "from");
		} else {
			check_exit(a->guest, EXIT_HLT, "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)b->code, b->from, "rip");
			check_equal(STATUS_NOW(), STATUS(0x51, 0), "status");
		}
		prefix_pop();
	}
}

VMX_SUBTEST("virtual-interrupts.blocking", test_blocking);

/* Recognised at the entry, it stays so: MOV SS by L2 itself puts it off by an instruction. */
static void test_mov_ss(void)
{
	struct apic *a = delivery_guest(moves_ss, 0x51, 0);

	if (!a)
		return;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmx_run(a->guest);
	check_delivered(a, 0x51, 0, "delivered");
	/* After the first instruction: blocking by STI is over, that by MOV SS has not begun. */
	check_equal(apic_return_address() - (ulong)moves_ss, 2, "from");
}

VMX_SUBTEST("virtual-interrupts.mov-ss", test_mov_ss);

/* "interrupt-window exiting": no virtual interrupt is recognised, the window's exit comes. */
static void test_window(void)
{
	struct apic *a = delivery_guest(nops, 0x51, 0);

	if (!a || !vmx_needs(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING))
		return;
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	apic_run(a, nops, EFLAGS_IF);
	check_exit(a->guest, EXIT_INTERRUPT_WINDOW, "exit");
	check_equal(STATUS_NOW(), STATUS(0x51, 0), "status");
	check(apic_has(a, VIRR, 0x51), "virr");
	vmx_clear(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmx_run(a->guest);
	check_delivered(a, 0x51, 0, "then");
}

VMX_SUBTEST("virtual-interrupts.window", test_window);

/* Without the control the status is nothing, whatever the page says. */
static void test_off(void)
{
	struct apic *a = delivery_guest(nops, 0x51, 0x30);

	if (!a)
		return;
	vmx_clear(VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
	a->page[VPPR / 4] = 0x77;
	apic_run(a, nops, EFLAGS_IF);
	check_exit(a->guest, EXIT_HLT, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)nops, 2, "rip");
	check_equal(a->page[VPPR / 4], 0x77, "vppr");
	check_equal(STATUS_NOW(), STATUS(0x51, 0x30), "status");
}

VMX_SUBTEST("virtual-interrupts.off", test_off);

/* Ends L2 should nothing else do it. */
static void set_timer(u32 value)
{
	if (!vmx_allows(VMX_PIN_PREEMPTION_TIMER))
		return;
	vmx_set(VMX_PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, value);
}

/* It wakes L2 from a HLT that the entry loads. */
static void test_halted(void)
{
	struct apic *a = delivery_guest(halts, 0x51, 0);

	if (!a)
		return;
	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
		subtest_skip("the CPU has no activity state HLT");
		return;
	}
	set_timer(1000000);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	vmx_run(a->guest);
	check_delivered(a, 0x51, 0, "delivered");
	check_equal(apic_return_address(), (ulong)halts, "from");
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE, "activity");
}

VMX_SUBTEST("virtual-interrupts.halted", test_halted);

/*
 * And from its own, behind the instruction. The handlers halt too, so that the IDT ends before the
 * gate here: what is delivered is a #GP that exits.
 */
static void test_own_halt(void)
{
	struct apic *a = delivery_guest(sti_halts, 0x51, 0);

	if (!a)
		return;
	vmx_clear(VMX_PRIMARY_HLT_EXITING);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, SHORT_IDT);
	set_timer(1000000);
	apic_run(a, sti_halts, 0);
	check_exception(a->guest, BEYOND_SHORT_IDT(0x51), "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)sti_halts, 2, "rip");
	check_equal(STATUS_NOW(), STATUS(0, 0x51), "status");
}

VMX_SUBTEST("virtual-interrupts.own-halt", test_own_halt);

/* A request that the task's class holds back does not wake it. */
static void test_stays_halted(void)
{
	struct apic *a = delivery_guest(sti_halts, 0x51, 0);

	if (!a || !vmx_needs(VMX_PIN_PREEMPTION_TIMER))
		return;
	a->page[VTPR / 4] = 0x5f;
	vmx_clear(VMX_PRIMARY_HLT_EXITING);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, SHORT_IDT);
	set_timer(5000);
	apic_run(a, sti_halts, 0);
	check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)sti_halts, 2, "rip");
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT, "activity");
	check_equal(STATUS_NOW(), STATUS(0x51, 0), "status");
}

VMX_SUBTEST("virtual-interrupts.stays-halted", test_stays_halted);

/* RVI is one that VIRR does not have, or not the highest: it is delivered nevertheless. */
static void test_rvi(void)
{
	struct apic *a = delivery_guest(nops, 0, 0);

	if (!a)
		return;
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, STATUS(0x51, 0));
	apic_set(a, VIRR, 0x93);
	apic_set(a, VIRR, 0x22);
	apic_run(a, nops, EFLAGS_IF);
	check_delivered(a, 0x51, 0x93, "delivered");
	check_equal(apic_count(a, VIRR), 2, "virr");

	/* VIRR alone is no request. */
	a = delivery_guest(nops, 0, 0);
	apic_set(a, VIRR, 0x93);
	apic_run(a, nops, EFLAGS_IF);
	check_exit(a->guest, EXIT_HLT, "virr-alone.exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)nops, 2, "virr-alone.rip");
	check_equal(STATUS_NOW(), STATUS(0, 0), "virr-alone.status");
}

VMX_SUBTEST("virtual-interrupts.rvi", test_rvi);

/* An event that the entry injects comes first; its gate has cleared IF, so the request stays. */
static void test_injection(void)
{
	struct apic *a = delivery_guest(nops, 0x51, 0);

	if (!a)
		return;
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION,
		   INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | 0x99);
	vmx_run(a->guest);
	apic_check_handler(a, 0x99, "injected");
	check_equal(STATUS_NOW(), STATUS(0x51, 0), "status");
	check_equal(apic_count(a, VISR), 0, "visr");
	/* It comes as soon as its handler is left. */
	vmx_skip();
	vmx_run(a->guest);
	check_delivered(a, 0x51, 0, "then");
	check_equal(apic_return_address(), (ulong)nops, "from");
}

VMX_SUBTEST("virtual-interrupts.injection", test_injection);

/*
 * An exit on the way: the request is already in service, and the interrupt is in the IDT-vectoring
 * information, as every external interrupt.
 */
static void test_vectoring(void)
{
	struct apic *a = delivery_guest(nops, 0x51, 0);

	if (!a)
		return;
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, SHORT_IDT);
	apic_run(a, nops, EFLAGS_IF);
	check_exception(a->guest, BEYOND_SHORT_IDT(0x51), "exit");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION),
		    INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | 0x51,
		    "vectoring");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nops, "rip");
	check_equal(STATUS_NOW(), STATUS(0, 0x51), "status");
	check(apic_has(a, VISR, 0x51) && !apic_has(a, VIRR, 0x51), "in-service");
	check_equal(a->page[VPPR / 4], 0x50, "vppr");
}

VMX_SUBTEST("virtual-interrupts.vectoring", test_vectoring);

/* Delivery has priority over an external interrupt, which then exits at the handler. */
static void test_external(void)
{
	struct apic *a = delivery_guest(nops, 0x51, 0);

	if (!a || !vmx_needs(VMX_EXIT_ACKNOWLEDGE_INTERRUPT))
		return;
	vmx_set(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
	irq_disable();
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | 0x64);
	apic_run(a, nops, EFLAGS_IF);
	check_exit(a->guest, EXIT_EXTERNAL_INTERRUPT, "exit");
	check_equal(vmx_rip(), l2_handler(&a->events, 0x51), "rip");
	check_equal(STATUS_NOW(), STATUS(0, 0x51), "status");
	if (apic_vector_bit(APIC_IRR, 0x64)) {
		apic_run(a, nops, EFLAGS_IF);
		check_exit(a->guest, EXIT_EXTERNAL_INTERRUPT, "later");
	}
	apic_eoi();
}

VMX_SUBTEST("virtual-interrupts.external-interrupt", test_external);
