// SPDX-License-Identifier: BSD-2-Clause
/*
 * The TPR shadow: VTPR of the virtual-APIC page by MOV CR8 and by memory, and exits where it is
 * below the TPR threshold. SDM volume 3C, "Virtualizing CR8-Based TPR Accesses", "TPR
 * Virtualization", "APIC-Write Emulation", "VM Exits Induced by the TPR Threshold". What an entry
 * refuses of it is with other controls.
 */
#include "apic_and_timers.h"

static const u32 memory_controls[] = { VMX_PRIMARY_TPR_SHADOW,
				       VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES, 0 };

#ifdef __x86_64__
L2_CODE(moves_cr8, "mov %rbx, %cr8\n mov %cr8, %rcx\n hlt");
L2_CODE(moves_to_cr8, "mov %r9, %cr8\n vmcall");
L2_CODE(moves_from_cr8, "mov %cr8, %r9\n vmcall");

static struct apic *cr8_guest(const u8 *code)
{
	static const u32 cr8_controls[] = { VMX_PRIMARY_TPR_SHADOW, 0 };
	struct apic *a = apic_guest(code, cr8_controls);

	if (!a)
		return NULL;
	vmx_clear(VMX_PRIMARY_CR8_LOAD_EXITING);
	vmx_clear(VMX_PRIMARY_CR8_STORE_EXITING);
	return a;
}

/* VTPR[7:4] is CR8; below the threshold the exit follows the instruction, as a trap. */
static void test_tpr_shadow(void)
{
	for (unsigned int threshold = 0; threshold < 16; threshold += 5)
		for (unsigned int cr8 = 0; cr8 < 16; cr8++) {
			struct apic *a = cr8_guest(moves_cr8);
			bool below = cr8 < threshold;

			if (!a)
				return;
			prefix_push("threshold-%u.cr8-%u", threshold, cr8);
			a->page[VTPR / 4] = 0xf0;
			vmcs_write(VMCS_TPR_THRESHOLD, threshold);
			a->guest->world.registers.bx = cr8;
			vmx_run(a->guest);
			check_exit(a->guest, below ? EXIT_TPR_BELOW_THRESHOLD : EXIT_HLT, "exit");
			check_equal(a->page[VTPR / 4], cr8 << 4, "vtpr");
			check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)moves_cr8, below ? 4 : 8,
				    "rip");
			if (!below)
				check_equal(a->guest->world.registers.cx, cr8, "read");
			prefix_pop();
		}
}

VMX_SUBTEST("tpr-shadow", test_tpr_shadow);

/* Bits of VTPR that are not CR8's: a read does not show them, a write clears them. */
static void test_other_bits(void)
{
	static const u32 values[] = { 0x0f, 0xffffff0f, 0x100, 0x80000000, 0xffffffff, 0x5f };

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		struct apic *a = cr8_guest(moves_from_cr8);

		if (!a)
			return;
		prefix_push("vtpr-%#x", values[i]);
		a->page[VTPR / 4] = values[i];
		a->page[VTPR / 4 + 1] = 0x1234567;
		a->guest->world.registers.r9 = ~0ul;
		vmx_run(a->guest);
		check_exit(a->guest, EXIT_VMCALL, "read.exit");
		check_equal(a->guest->world.registers.r9, values[i] >> 4 & 15, "read");
		check_equal(a->page[VTPR / 4], values[i], "read.vtpr");
		a->guest->world.registers.r9 = 9;
		apic_run(a, moves_to_cr8, 0);
		check_exit(a->guest, EXIT_VMCALL, "write.exit");
		check_equal(a->page[VTPR / 4], 0x90, "write.vtpr");
		check_equal(a->page[VTPR / 4 + 1], 0x1234567, "write.next-word");
		prefix_pop();
	}
}

VMX_SUBTEST("tpr-shadow.other-bits", test_other_bits);

/* As without the shadow, bits 63:4 of what is moved to CR8 must be 0: volume 2B, "MOV". */
static void test_reserved_bits(void)
{
	for (unsigned int bit = 4; bit < 64; bit++) {
		struct apic *a = cr8_guest(moves_to_cr8);

		if (!a)
			return;
		a->page[VTPR / 4] = 0x30;
		a->guest->world.registers.r9 = 1ul << bit | 5;
		vmx_run(a->guest);
		check_exception(a->guest, FAULT_GP(0), "bit-%u.exit", bit);
		check_equal(a->page[VTPR / 4], 0x30, "bit-%u.vtpr", bit);
	}
}

VMX_SUBTEST("tpr-shadow.reserved-bits", test_reserved_bits);

/* With the shadow the APIC's own TPR, L1's, is left alone; without it that is CR8. */
static void test_own(void)
{
	struct apic *a = cr8_guest(moves_to_cr8);

	if (!a)
		return;
	a->guest->world.registers.r9 = 6;
	vmx_run(a->guest);
	check_equal(read_cr8(), 0, "on");
	vmx_clear(VMX_PRIMARY_TPR_SHADOW);
	a->page[VTPR / 4] = 0x20;
	a->guest->world.registers.r9 = 5;
	apic_run(a, moves_to_cr8, 0);
	check_exit(a->guest, EXIT_VMCALL, "off.exit");
	check_equal(read_cr8(), 5, "off.written");
	check_equal(a->page[VTPR / 4], 0x20, "off.page");
	write_cr8(4);
	apic_run(a, moves_from_cr8, 0);
	check_equal(a->guest->world.registers.r9, 4, "off.read");
	write_cr8(0);
}

VMX_SUBTEST("tpr-shadow.own", test_own);
#endif

/* Stores to the register by memory, whose bytes 3:1 do not stay. */
L2_CODE(stores_byte, "movb %al, (" R(bx) ")\n vmcall");
L2_CODE(stores_word, "movw %ax, (" R(bx) ")\n vmcall");
L2_CODE(stores_long, "movl %eax, (" R(bx) ")\n vmcall");
L2_CODE(ands, "andl %eax, (" R(bx) ")\n vmcall");
L2_CODE(exchanges, "xchgl %eax, (" R(bx) ")\n vmcall");

#define BEFORE 0x000000fcu

static const struct store {
	const char *name;
	const u8 *code;
	u32 value, vtpr, loaded;
} stores[] = {
	{ "byte", stores_byte, 0x12345657, 0x57, 0x12345657 },
	{ "word", stores_word, 0x12345657, 0x57, 0x12345657 },
	{ "long", stores_long, 0x12345657, 0x57, 0x12345657 },
	{ "and", ands, 0x57, 0x54, 0x57 },
	{ "exchange", exchanges, 0x12345657, 0x57, BEFORE },
};

/* At, above and below the threshold: the exit follows the instruction. */
static void test_memory(void)
{
	for (const struct store *s = stores; s < stores + ARRAY_SIZE(stores); s++)
		for (u32 threshold = 4; threshold <= 6; threshold++) {
			struct apic *a = apic_guest(s->code, memory_controls);
			bool below = threshold == 6;

			if (!a)
				return;
			prefix_push("%s.threshold-%u", s->name, threshold);
			apic_fill(a);
			a->page[VTPR / 4] = BEFORE;
			vmcs_write(VMCS_TPR_THRESHOLD, threshold);
			a->guest->world.registers.ax = s->value;
			a->guest->world.registers.bx = ACCESS_LINEAR + VTPR;
			vmx_run(a->guest);
			check_exit(a->guest, below ? EXIT_TPR_BELOW_THRESHOLD : EXIT_VMCALL,
				   "exit");
			check(vmcs_read(VMCS_GUEST_RIP) - (ulong)s->code ==
				  2u + (s->code == stores_word),
			      "behind-it");
			check_equal(a->page[VTPR / 4], s->vtpr, "vtpr");
			check_equal((u32)a->guest->world.registers.ax, s->loaded, "register");
			check_equal(a->memory[VTPR / 4], MEMORY_WORD(VTPR), "memory");
			prefix_pop();
		}
}

VMX_SUBTEST("tpr-shadow.memory", test_memory);

/*
 * With "virtualize APIC accesses" an entry with VTPR below the threshold is one that exits at once,
 * whatever blocks events; it wakes from HLT.
 */
static const struct at_entry {
	const char *name;
	u32 flags, blocking, activity;
} at_entries[] = {
	{ "plain", 0, 0, ACTIVITY_ACTIVE },
	{ "if-1", EFLAGS_IF, 0, ACTIVITY_ACTIVE },
	{ "sti", EFLAGS_IF, BLOCKING_BY_STI, ACTIVITY_ACTIVE },
	{ "mov-ss", 0, BLOCKING_BY_MOV_SS, ACTIVITY_ACTIVE },
	{ "nmi", 0, BLOCKING_BY_NMI, ACTIVITY_ACTIVE },
	{ "hlt", EFLAGS_IF, 0, ACTIVITY_HLT },
};

static void test_entry(void)
{
	for (const struct at_entry *e = at_entries; e < at_entries + ARRAY_SIZE(at_entries); e++)
		for (unsigned int below = 0; below < 2; below++) {
			struct apic *a = apic_guest(apic_nops, memory_controls);

			if (!a)
				return;
			/* Nothing would end HLT. */
			if (!below && e->activity == ACTIVITY_HLT)
				continue;
			prefix_push("%s.%s", e->name, below ? "below" : "equal");
			a->page[VTPR / 4] = 0x5f;
			vmcs_write(VMCS_TPR_THRESHOLD, 5 + below);
			vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | e->flags);
			vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, e->blocking);
			vmcs_write(VMCS_GUEST_ACTIVITY_STATE, e->activity);
			vmx_run(a->guest);
			unblock_nmis();
			check_exit(a->guest, below ? EXIT_TPR_BELOW_THRESHOLD : EXIT_VMCALL,
				   "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP),
				    (ulong)(below ? apic_nops : apic_nops_end), "rip");
			if (below)
				check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE),
					    e->blocking, "blocking");
			check_equal(a->page[VTPR / 4], 0x5f, "vtpr");
			prefix_pop();
		}
}

VMX_SUBTEST("tpr-shadow.entry", test_entry);

/* The exit follows an event that is injected, and comes before what is pending. */
static void test_entry_events(void)
{
	struct apic *a = apic_guest(apic_nops, memory_controls);

	if (!a)
		return;
	vmcs_write(VMCS_TPR_THRESHOLD, 1);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION,
		   INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | 0x61);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_TPR_BELOW_THRESHOLD, "injected.exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), l2_handler(&a->events, 0x61), "injected.rip");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), 0, "injected.delivered");

	apic_guest(apic_nops, memory_controls);
	vmcs_write(VMCS_TPR_THRESHOLD, 1);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, BIT(12) | BIT(0));
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_TPR_BELOW_THRESHOLD, "pending-debug.exit");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), BIT(12) | BIT(0),
		    "pending-debug.saved");
}

VMX_SUBTEST("tpr-shadow.entry-events", test_entry_events);

/*
 * APIC-write emulation has priority over debug traps of the instruction: a single step is pending
 * in the VMCS after the exit. "Saving Non-Register State"
 */
static void test_single_step(void)
{
	struct apic *a = apic_guest(stores_long, memory_controls);

	if (!a)
		return;
	a->page[VTPR / 4] = 0xf0;
	vmcs_write(VMCS_TPR_THRESHOLD, 6);
	a->guest->world.registers.ax = 0x50;
	a->guest->world.registers.bx = ACCESS_LINEAR + VTPR;
	apic_run(a, stores_long, EFLAGS_TF);
	check_exit(a->guest, EXIT_TPR_BELOW_THRESHOLD, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)stores_long, 2, "rip");
	check_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), BIT(14), "pending");
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmx_run(a->guest);
	check_exception(a->guest, FAULT_DB, "then");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), BIT(14), "then.dr6");
}

VMX_SUBTEST("tpr-shadow.single-step", test_single_step);
