// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which registers of the APIC-access page are virtualised, by the controls in use: read from the
 * virtual-APIC page, written to it, with or without an exit behind the write. SDM volume 3C,
 * "Virtualizing Reads from the APIC-Access Page", "Virtualizing Writes to the APIC-Access Page",
 * "APIC-Write Emulation".
 */
#include "access_page.h"
#include "paging.h"
#include "string.h"

#define SHADOW	 VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES, VMX_PRIMARY_TPR_SHADOW
#define DELIVERY VMX_PIN_EXTERNAL_INTERRUPT_EXITING, VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY

const struct apic_set apic_sets[APIC_SETS] = {
	[SET_NONE] = { .name = "none",
		       .controls = CONTROLS(VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES) },
	[SET_SHADOW] = { .name = "shadow", .controls = CONTROLS(SHADOW), .shadow = true },
	[SET_REGISTERS] = { .name = "registers",
			    .controls =
				CONTROLS(SHADOW, VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION),
			    .shadow = true,
			    .registers = true },
	[SET_DELIVERY] = { .name = "delivery",
			   .controls = CONTROLS(SHADOW, DELIVERY),
			   .shadow = true,
			   .delivery = true },
	[SET_BOTH] = { .name = "registers-and-delivery",
		       .controls =
			   CONTROLS(SHADOW, DELIVERY, VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION),
		       .shadow = true,
		       .registers = true,
		       .delivery = true },
};

struct apic *access_guest(const struct apic_set *set, const void *code)
{
	struct apic *a;

	for (const u32 *control = set->controls; *control; control++)
		if (!vmx_allows(*control))
			return NULL;
	a = apic_guest(code, set->controls);
	if (!a)
		return NULL;
	apic_fill(a);
	for (unsigned int offset = VISR; offset < VISR + 0x80; offset += 16)
		a->page[offset / 4] = 0;
	return a;
}

u32 access_run(struct apic *a, const void *code, unsigned int offset, u32 value)
{
	a->guest->world.registers.bx = ACCESS_LINEAR + offset;
	a->guest->world.registers.ax = value;
	return apic_run(a, code, 0);
}

unsigned int access_memory_touched(const struct apic *a)
{
	unsigned int offset = 0;

	while (offset < PAGE_SIZE && a->memory[offset / 4] == MEMORY_WORD(offset))
		offset += 4;
	return offset;
}

L2_CODE(reads, "movl (" R(bx) "), %eax\n vmcall");
L2_CODE(writes, "movl %eax, (" R(bx) ")\n vmcall");
#define LENGTH 2 /* of either instruction */

/* Registers that "APIC-register virtualization" lists; those of reads alone are the second list. */
static const u16 listed[] = { 0x020, 0x080, 0x0b0, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300, 0x310,
			      0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0 };
static const u16 listed_ranges_read[][2] = { { 0x030, 0x030 }, { 0x100, 0x270 } };

static bool is_virtualised(const struct apic_set *set, unsigned int offset, bool write)
{
	if (!set->registers)
		return set->shadow &&
		       (offset == VTPR || (set->delivery && (offset == VEOI || offset == VICR)));
	for (unsigned int i = 0; i < ARRAY_SIZE(listed); i++)
		if (listed[i] == offset)
			return true;
	for (unsigned int i = 0; !write && i < ARRAY_SIZE(listed_ranges_read); i++)
		if (offset >= listed_ranges_read[i][0] && offset <= listed_ranges_read[i][1])
			return true;
	return false;
}

/* Where reads and writes look: every register, one without a name, some beyond them all. */
static unsigned int next_offset(unsigned int offset)
{
	return offset < 0x400 ? offset + 0x10 : offset < 0x800 ? 0x880 : PAGE_SIZE;
}

static void read_register(const struct apic_set *set, struct apic *a, unsigned int offset)
{
	bool virtualised = is_virtualised(set, offset, false);

	prefix_push("%03x", offset);
	access_run(a, reads, offset, 0);
	if (virtualised) {
		check_exit(a->guest, EXIT_VMCALL, "exit");
		check_equal((u32)a->guest->world.registers.ax, a->page[offset / 4], "value");
	} else {
		check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
					 ACCESS_QUALIFICATION(DATA_READ, offset), "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)reads, "rip");
	}
	prefix_pop();
}

static void test_reads(const void *argument)
{
	const struct apic_set *set = argument;
	struct apic *a;

	if (!vmx_ready() || !vmx_needs_all(set->controls))
		return;
	a = access_guest(set, reads);
	for (unsigned int offset = 0; offset < PAGE_SIZE; offset = next_offset(offset))
		read_register(set, a, offset);
	check_equal(access_memory_touched(a), PAGE_SIZE, "memory");
	vmx_check_invariants();
}

SUBTEST_ARG("register-reads.none", test_reads, &apic_sets[SET_NONE]);
SUBTEST_ARG("register-reads.shadow", test_reads, &apic_sets[SET_SHADOW]);
SUBTEST_ARG("register-reads.registers", test_reads, &apic_sets[SET_REGISTERS]);
SUBTEST_ARG("register-reads.delivery", test_reads, &apic_sets[SET_DELIVERY]);
SUBTEST_ARG("register-reads.registers-and-delivery", test_reads, &apic_sets[SET_BOTH]);

/* No self-IPI: it has reserved bits. */
#define VALUE	    0xfedcba98u
#define OTHER_VALUE 0x76543210u

/*
 * What stays of a value, and the exit behind the instruction. An offset within a register is not
 * its first byte's, but for the upper half of the interrupt command.
 */
static u32 emulate(const struct apic_set *set, unsigned int offset, u32 *value)
{
	switch (offset) {
	case VTPR: /* TPR virtualization */
		*value &= 0xff;
		return EXIT_VMCALL;
	case VICR2 ... VICR2 + 3:
		*value &= 0xff000000;
		return EXIT_VMCALL;
	case VEOI: /* EOI virtualization */
		if (!set->delivery)
			return EXIT_APIC_WRITE;
		*value = 0;
		return EXIT_VMCALL;
	default:
		return EXIT_APIC_WRITE;
	}
}

static void write_register(const struct apic_set *set, struct apic *a, unsigned int offset)
{
	u32 before = a->page[offset / 4], next = a->page[offset / 4 + 1];
	u32 kept = VALUE, exit;

	prefix_push("%03x", offset);
	access_run(a, writes, offset, VALUE);
	if (!is_virtualised(set, offset, true)) {
		check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
					 ACCESS_QUALIFICATION(DATA_WRITE, offset), "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)writes, "rip");
		check_equal(a->page[offset / 4], before, "not-written");
	} else {
		exit = emulate(set, offset, &kept);
		if (exit == EXIT_APIC_WRITE)
			check_exit_qualification(a->guest, exit, offset, "exit");
		else
			check_exit(a->guest, exit, "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)writes + LENGTH, "rip");
		check_equal(a->page[offset / 4], kept, "written");
		check_equal(a->page[offset / 4 + 1], next, "next-word");
	}
	prefix_pop();
}

static void test_writes(const void *argument)
{
	const struct apic_set *set = argument;
	struct apic *a;

	if (!vmx_ready() || !vmx_needs_all(set->controls))
		return;
	a = access_guest(set, writes);
	for (unsigned int offset = 0; offset < PAGE_SIZE; offset = next_offset(offset))
		write_register(set, a, offset);
	check_equal(access_memory_touched(a), PAGE_SIZE, "memory");
	vmx_check_invariants();
}

SUBTEST_ARG("register-writes.none", test_writes, &apic_sets[SET_NONE]);
SUBTEST_ARG("register-writes.shadow", test_writes, &apic_sets[SET_SHADOW]);
SUBTEST_ARG("register-writes.registers", test_writes, &apic_sets[SET_REGISTERS]);
SUBTEST_ARG("register-writes.delivery", test_writes, &apic_sets[SET_DELIVERY]);
SUBTEST_ARG("register-writes.registers-and-delivery", test_writes, &apic_sets[SET_BOTH]);

/*
 * Accesses of other sizes and places than a register. With "APIC-register virtualization" each that
 * lies within a register is as good as one of all of it; without, those at its first byte are.
 */
L2_CODE(reads_1, "movb (" R(bx) "), %al\n vmcall");
L2_CODE(reads_2, "movw (" R(bx) "), %ax\n vmcall");
L2_CODE(writes_1, "movb %al, (" R(bx) ")\n vmcall");
L2_CODE(writes_2, "movw %ax, (" R(bx) ")\n vmcall");
#ifdef __x86_64__
L2_CODE(reads_8, "movq (%rbx), %rax\n vmcall");
L2_CODE(writes_8, "movq %rax, (%rbx)\n vmcall");
#endif

static const struct width {
	unsigned int size;
	const u8 *reads, *writes;
} widths[] = {
	{ 1, reads_1, writes_1 },
	{ 2, reads_2, writes_2 },
	{ 4, reads, writes },
#ifdef __x86_64__
	{ 8, reads_8, writes_8 },
#endif
};

static const u16 offsets[] = { 0x07d, 0x07f, 0x080, 0x081, 0x082, 0x083, 0x084, 0x086, 0x08f,
			       0x2ff, 0x300, 0x301, 0x302, 0x303, 0x304, 0x310, 0x313 };

static bool part_virtualised(const struct apic_set *set, unsigned int offset, unsigned int size,
			     bool write)
{
	if ((offset & 15) + size > 4)
		return false;
	return set->registers ? is_virtualised(set, offset & ~3u, write)
			      : is_virtualised(set, offset, write);
}

static u32 mask_of(unsigned int size)
{
	return size == 4 ? ~0u : (1u << 8 * size) - 1;
}

static void read_part(const struct apic_set *set, struct apic *a, const struct width *w,
		      unsigned int offset)
{
	access_run(a, w->reads, offset, 0);
	if (!part_virtualised(set, offset, w->size, false)) {
		check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
					 ACCESS_QUALIFICATION(DATA_READ, offset), "read.exit");
	} else {
		check_exit(a->guest, EXIT_VMCALL, "read.exit");
		check_equal((u32)a->guest->world.registers.ax & mask_of(w->size),
			    a->page[offset / 4] >> 8 * (offset & 3) & mask_of(w->size),
			    "read.value");
	}
}

static void write_part(const struct apic_set *set, struct apic *a, const struct width *w,
		       unsigned int offset)
{
	unsigned int first = offset & ~3u, place = 8 * (offset & 3);
	u32 kept, exit;
	u32 mask = w->size > 4 ? 0 : mask_of(w->size) << place;

	a->page[first / 4] = OTHER_VALUE;
	access_run(a, w->writes, offset, VALUE >> place);
	if (!part_virtualised(set, offset, w->size, true)) {
		check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
					 ACCESS_QUALIFICATION(DATA_WRITE, offset), "write.exit");
		check_equal(a->page[first / 4], OTHER_VALUE, "write.not-written");
		return;
	}
	/* Bytes that were not written stay, unless the emulation clears them. */
	kept = (VALUE & mask) | (OTHER_VALUE & ~mask);
	exit = emulate(set, offset, &kept);
	if (exit == EXIT_APIC_WRITE)
		check_exit_qualification(a->guest, exit, offset, "write.exit");
	else
		check_exit(a->guest, exit, "write.exit");
	check_equal(a->page[first / 4], kept, "write.value");
}

static void test_parts(const void *argument)
{
	const struct apic_set *set = argument;
	struct apic *a;

	if (!vmx_ready() || !vmx_needs_all(set->controls))
		return;
	a = access_guest(set, reads);
	for (const struct width *w = widths; w < widths + ARRAY_SIZE(widths); w++)
		for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
			prefix_push("%03x.size-%u", offsets[i], w->size);
			read_part(set, a, w, offsets[i]);
			write_part(set, a, w, offsets[i]);
			prefix_pop();
		}
	check_equal(access_memory_touched(a), PAGE_SIZE, "memory");
	vmx_check_invariants();
}

SUBTEST_ARG("register-parts.shadow", test_parts, &apic_sets[SET_SHADOW]);
SUBTEST_ARG("register-parts.registers", test_parts, &apic_sets[SET_REGISTERS]);
SUBTEST_ARG("register-parts.registers-and-delivery", test_parts, &apic_sets[SET_BOTH]);
