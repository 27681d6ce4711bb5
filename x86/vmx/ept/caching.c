// SPDX-License-Identifier: BSD-2-Clause
/*
 * INVEPT: its types, their operands, and that a changed EPT entry is seen after it. What was
 * cached may be used until then: that is reported, not judged, but for an entry from which an
 * EPT violation came, as a violation invalidates what it used. An EPT pointer is good for INVEPT
 * of a single context exactly if a VM entry takes it. Pages of each size map all of themselves.
 *
 * SDM volume 3C, "Operations that Invalidate Cached Mappings", "Guidelines for Use of the INVEPT
 * Instruction"; "INVEPT"; "VM-Execution Control Fields" (checks on the EPT pointer).
 */
#include "control.h"
#include "ept.h"
#include "smp.h"

#define INVEPT_SINGLE 1
#define INVEPT_ALL    2

static void test_changed(void)
{
	static const struct {
		const char *name;
		u64 capability;
		ulong type;
		bool other; /* of another EPT pointer: this one's may stay or go */
	} rows[] = {
		{ "none", 0, 0, false },
		{ "single-other", EPT_INVEPT_SINGLE, INVEPT_SINGLE, true },
		{ "single", EPT_INVEPT_SINGLE, INVEPT_SINGLE, false },
		{ "all", EPT_INVEPT_ALL, INVEPT_ALL, false },
	};
	u32 *other = page_alloc();
	struct place place;

	other[0] = READ_VALUE + 1;
	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct invept_descriptor descriptor = { .reserved = 0 };

		if (!(ept_capabilities() & rows[i].capability) && rows[i].type) {
			check_skip("the CPU does not have it", "%s", rows[i].name);
			continue;
		}
		prefix_push("%s", rows[i].name);
		place_again(&place, FINAL, READ);
		vmx_run(place.guest);
		place_check_done(&place, READ, "before");
		tables_map(&place.guest->ept, GUEST_PHYSICAL, (ulong)other, LEVEL_4K, 0);
		vmcs_write(VMCS_GUEST_RIP, (ulong)place.guest->code);
		if (rows[i].type == INVEPT_SINGLE)
			descriptor.eptp = rows[i].other
					      ? (ulong)page_alloc() | place.eptp_flags
					      : vmcs_read(VMCS_EPT_POINTER);
		if (rows[i].type)
			check_vmx(invept(rows[i].type, &descriptor), VMX_SUCCEED, "invept");
		vmx_run(place.guest);
		if (rows[i].type && !rows[i].other)
			check_equal((u32)place.guest->world.registers.ax, READ_VALUE + 1, "after");
		else
			diagnostic("INVEPT %s: %s", rows[i].name,
				   (u32)place.guest->world.registers.ax == READ_VALUE ? "cached"
										      : "new");
		prefix_pop();
	}
}
VMX_SUBTEST("invept_seen", test_changed);

/* The entry that an EPT violation came of is mended without INVEPT. */
static void test_mended(void)
{
	static const u8 rights[ACCESSES] = {
		[READ] = 0,
		[WRITE] = EPT_READ | EPT_EXECUTE,
		[FETCH] = EPT_READ | EPT_WRITE,
	};
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (enum access access = 0; access < ACCESSES; access++) {
		u64 entry;

		prefix_push("%s", access_names[access]);
		place_again(&place, FINAL, access);
		entry = place_entry(&place, 1);
		place_set(&place, 1, (entry & ~EPT_RIGHTS) | rights[access]);
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_EPT_VIOLATION, "violation");
		tables_set(&place.guest->ept, GUEST_PHYSICAL, 1, entry);
		vmx_run(place.guest);
		place_check_done(&place, access, "mended");
		prefix_pop();
	}
}
VMX_SUBTEST("violation_invalidates", test_mended);

/* Types that there are not, and the operand that no VM entry would take. */
static void test_types(void)
{
	static const ulong bad[] = { 0, 3, 4, 0x7fffffff, 0x80000000u, 0xffffffff };
	struct invept_descriptor descriptor = { .reserved = 0 };
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		descriptor.eptp = vmcs_read(VMCS_EPT_POINTER);
		check_vmx(invept(bad[i], &descriptor),
			  VMX_FAIL_VALID(VM_ERROR_INVEPT_INVVPID_INVALID_OPERAND), "type-%#lx",
			  bad[i]);
	}
	/* All contexts do not look at the EPT pointer. */
	descriptor.eptp = ~0ull;
	if (ept_capabilities() & EPT_INVEPT_ALL)
		check_vmx(invept(INVEPT_ALL, &descriptor), VMX_SUCCEED, "all");
}
VMX_SUBTEST("invept_types", test_types);

/* Bits of the EPT pointer by which it is not one: VMLAUNCH and INVEPT agree. */
static void test_pointer(void)
{
	bool flags = ept_capabilities() & EPT_ACCESSED_DIRTY;
	unsigned int top = cpu_physical_address_bits();
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int bit = 0; bit < 64; bit++) {
		struct invept_descriptor descriptor = { .reserved = 0 };
		bool legal, known;

		place_again(&place, FINAL, READ);
		descriptor.eptp = vmcs_read(VMCS_EPT_POINTER) ^ BIT_ULL(bit);
		/* 2:0 memory type, 5:3 levels less 1, 6 flags, 7 shadow stacks, 11:8 reserved. */
		legal = bit == 6 ? flags : bit >= 12 && bit < top;
		known = bit != 7; /* of CPUs with supervisor shadow stacks */
		if (!known || (bit >= 12 && legal))
			continue;
		vmcs_write(VMCS_EPT_POINTER, descriptor.eptp);
		vmx_run(place.guest);
		if (legal) {
			place_check_done(&place, READ, "bit-6.entry");
		} else {
			check_vmx(place.guest->entry,
				  VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS), "bit-%u.entry",
				  bit);
		}
		if (ept_capabilities() & EPT_INVEPT_SINGLE)
			check_vmx(invept(INVEPT_SINGLE, &descriptor),
				  legal ? VMX_SUCCEED
					: VMX_FAIL_VALID(VM_ERROR_INVEPT_INVVPID_INVALID_OPERAND),
				  "bit-%u.invept", bit);
	}
}
VMX_SUBTEST("pointer", test_pointer);

/* Every bit of the offset in a page of each size once: L2 reads at the end of a translation. */
static void test_page_sizes(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level <= 3; level++) {
		u64 size = tables_page_size(TABLES_EPT, level);

		if ((level == 2 && !(ept_capabilities() & EPT_2M)) ||
		    (level == 3 && !(ept_capabilities() & EPT_1G)))
			continue;
		for (u64 offset = 4; offset < size; offset <<= 1) {
			/* RAM from 32 MiB on; a page of 1 GiB maps all from 0. */
			u64 start = level == 1 ? (ulong)place.page : level == 2 ? 32ull << 20 : 0;
			u64 ram = start + (level == 3 ? 32ull << 20 : 0) + offset;
			u64 table;

			if (ram + 4 > ram_size() / 2)
				break;
			prefix_push("level-%u.offset-%#llx", level, offset);
			place_again(&place, FINAL, READ);
			table = place_entry(&place, level);
			*(u32 *)(ulong)ram = READ_VALUE;
			tables_map(&place.guest->ept, ALIGN_DOWN(GUEST_PHYSICAL, size), start,
				   level, 0);
			vmx_ept_flush();
			tables_map(
			    &place.guest->tables, LINEAR,
			    ALIGN_DOWN(ALIGN_DOWN(GUEST_PHYSICAL, size) + ram - start, PAGE_SIZE),
			    LEVEL_4K, 0);
			place.guest->world.registers.bx = LINEAR + (ram & 0xfff);
			vmx_run(place.guest);
			place_check_done(&place, READ, "read");
			place_set(&place, level, table);
			prefix_pop();
		}
	}
}
VMX_SUBTEST("page_sizes", test_page_sizes);

/*
 * Another CPU changes the place's entry while L2 runs, between two pages and away. L2 reads
 * nothing but the value of either, and at the end what is there last.
 */
static struct {
	struct place place;
	u32 *other;
	volatile bool stop;
} storm;

/* The lower half of the entry is all that differs: no CPU sees a mixture. */
static void change_entry(void *argument)
{
	volatile u32 *entry = argument;
	u32 flags = tables_page_flags(TABLES_EPT);

	for (u32 i = 0; !storm.stop; i++) {
		ulong page = (ulong)(i & 1 ? storm.other : storm.place.page);

		*entry = i % 5 == 4 ? 0 : page | flags;
		cpu_relax();
	}
}

static void test_storm(void)
{
	unsigned int wrong = 0, faults = 0, values[2] = { 0, 0 };
	struct place *place = &storm.place;
	struct vmx_guest *guest;

	if (cpu_count() < 2) {
		subtest_skip("needs a second CPU");
		return;
	}
	if (!place_make(place, FINAL))
		return;
	storm.other = page_alloc();
	storm.other[0] = READ_VALUE + 1;
	storm.stop = false;
	guest = place->guest;
	place_again(place, FINAL, READ);
	smp_call_async(1, change_entry, tables_entry(&guest->ept, GUEST_PHYSICAL, LEVEL_4K));
	for (unsigned int i = 0; i < 300; i++) {
		u32 reason, value;

		vmx_ept_flush();
		reason = vmx_run(guest);
		value = guest->world.registers.ax - READ_VALUE;
		if (reason == EXIT_EPT_VIOLATION)
			faults++;
		else if (reason == EXIT_VMCALL && value < 2)
			values[value]++;
		else
			wrong++;
		vmcs_write(VMCS_GUEST_RIP, (ulong)guest->code);
		guest->world.registers.ax = 0;
	}
	storm.stop = true;
	smp_wait(1);
	diagnostic("read the one page %u times, the other %u, faulted %u times", values[0],
		   values[1], faults);
	check_equal(wrong, 0, "no-other-value");
	place_set(place, 1, (ulong)storm.other | tables_page_flags(TABLES_EPT));
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "last.exit");
	check_equal((u32)guest->world.registers.ax, READ_VALUE + 1, "last.value");
}
VMX_SUBTEST("changed_while_running", test_storm);
