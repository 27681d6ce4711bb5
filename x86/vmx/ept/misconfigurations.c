// SPDX-License-Identifier: BSD-2-Clause
/*
 * EPT misconfigurations: an entry that is present and has what no entry of its level may have.
 * Each reserved bit, each memory type, write-only rights, large pages where there are none; and
 * the same bits in an entry that is not present, where they mean nothing and the exit is an EPT
 * violation. Then the order of the two: a walk stops at the first entry that is not present or
 * misconfigured, and rights are looked at when it has ended, so that a misconfiguration below
 * an entry without the right comes first.
 *
 * SDM volume 3C, "EPT Misconfigurations", "Prioritization of EPT Misconfigurations and EPT
 * Violations", "EPT Translation Mechanism".
 */
#include "ept.h"
#include "string.h"

static void run_misconfigured(struct place *place, enum access access, unsigned int level,
			      u64 entry, const char *id)
{
	u64 address, before = place_entry(place, level);

	place_set(place, level, entry);
	vmx_run(place->guest);
	address = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	place_set(place, level, before);
	if (!check_exit(place->guest, EXIT_EPT_MISCONFIGURATION, "%s.exit", id))
		return;
	check_equal(address, GUEST_PHYSICAL + (access == FETCH ? 4 : 0), "%s.physical", id);
	place_check_rf(id);
	vmx_run(place->guest);
	place_check_done(place, access, "mended");
}

/* Bits that must be 0 in an entry which refers to a table, or is a page of its level. */
static u64 reserved_bits(unsigned int level, bool page)
{
	u64 address = BIT_ULL(52) - BIT_ULL(cpu_physical_address_bits());

	if (level == 4)
		return address | 0xf8;
	if (!page)
		return address | 0x78; /* 7 tells a page */
	return address | ((tables_page_size(TABLES_EPT, level) - 1) & ~0xfffull);
}

static void test_reserved_of(struct place *place, unsigned int level, bool page)
{
	u64 reserved = reserved_bits(level, page);

	for (unsigned int bit = 3; bit < 52; bit++) {
		u64 entry;

		if (!(reserved >> bit & 1))
			continue;
		prefix_push("level-%u.%s.bit-%u", level, page ? "page" : "table", bit);
		place_again(place, FINAL, READ);
		entry = place_entry(place, level);
		/* A page of any level, which no access gets to see: where it lies is no matter. */
		if (page && level > 1)
			entry = EPT_RIGHTS | EPT_TYPE(6) | EPT_LARGE;
		run_misconfigured(place, READ, level, entry | BIT_ULL(bit), "present");
		prefix_pop();
	}
}

static void test_reserved(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level < EPT_LEVELS; level++) {
		if (level > 1)
			test_reserved_of(&place, level, false);
		if (level == 1 || (level == 2 && ept_capabilities() & EPT_2M) ||
		    (level == 3 && ept_capabilities() & EPT_1G))
			test_reserved_of(&place, level, true);
	}
}
VMX_SUBTEST("reserved_bits", test_reserved);

/* Those of the PML4 entry, by a fetch of L2's code. */
static void test_reserved_top(void)
{
	u64 reserved = reserved_bits(4, false);
	struct place place;
	u64 entry;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int bit = 3; bit < 52; bit++) {
		if (!(reserved >> bit & 1))
			continue;
		place_again(&place, FINAL, READ);
		entry = place_entry(&place, 4);
		place_set(&place, 4, entry | BIT_ULL(bit));
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_EPT_MISCONFIGURATION, "bit-%u", bit);
		place_set(&place, 4, entry);
	}
}
VMX_SUBTEST("reserved_bits_top_level", test_reserved_top);

/* What the CPU ignores, each bit by itself. Of 62:52 other controls use some; they are off. */
static void test_ignored(void)
{
	static const u8 bits[] = { 8, 9, 10, 11, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63 };
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level < EPT_LEVELS; level++)
		for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
			prefix_push("level-%u.bit-%u", level, bits[i]);
			place_again(&place, FINAL, READ);
			place_set(&place, level, place_entry(&place, level) | BIT_ULL(bits[i]));
			vmx_run(place.guest);
			place_check_done(&place, READ, "ignored");
			prefix_pop();
		}
}
VMX_SUBTEST("ignored_bits", test_ignored);

/* Of an entry that is not present all other bits are ignored, whatever they are. */
static void test_not_present(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level < EPT_LEVELS; level++)
		for (unsigned int bit = 3; bit < 63; bit++) {
			u64 entry;

			prefix_push("level-%u.bit-%u", level, bit);
			place_again(&place, FINAL, READ);
			entry = place_entry(&place, level);
			place_set(&place, level, (entry & ~EPT_RIGHTS) ^ BIT_ULL(bit));
			vmx_run(place.guest);
			check_exit_qualification(
			    place.guest, EXIT_EPT_VIOLATION,
			    (vmcs_read(VMCS_EXIT_QUALIFICATION) & ~VIOLATION_JUDGED) |
				VIOLATION_READ | VIOLATION_LINEAR | VIOLATION_FINAL,
			    "violation");
			place_set(&place, level, entry);
			prefix_pop();
		}
}
VMX_SUBTEST("not_present_with_bits", test_not_present);

/* 2, 3 and 7 are no memory types. "EPT Misconfigurations" */
static void test_memory_type(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level < EPT_LEVELS; level++) {
		if ((level == 2 && !(ept_capabilities() & EPT_2M)) ||
		    (level == 3 && !(ept_capabilities() & EPT_1G)))
			continue;
		for (unsigned int type = 0; type < 8; type++) {
			bool legal = type < 2 || (type >= 4 && type <= 6);
			u64 entry = EPT_RIGHTS | EPT_TYPE(type) | EPT_LARGE;

			if (legal && level > 1)
				continue;
			prefix_push("level-%u.type-%u", level, type);
			place_again(&place, FINAL, READ);
			if (level == 1)
				entry = (ulong)place.page | EPT_RIGHTS | EPT_TYPE(type);
			if (legal) {
				place_set(&place, level, entry);
				vmx_run(place.guest);
				place_check_done(&place, READ, "legal");
			} else {
				run_misconfigured(&place, READ, level, entry, "illegal");
			}
			prefix_pop();
		}
	}
}
VMX_SUBTEST("memory_type", test_memory_type);

/* The memory type of EPT, PAT ignored or not, and of L2's entry: data is the same under all. */
static void test_types_combined(void)
{
	static const u8 types[] = { 0, 1, 4, 5, 6 };
	static const u64 pat[] = { 0, PTE_PWT, PTE_PCD, PTE_PWT | PTE_PCD };
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
		for (unsigned int j = 0; j < 8; j++) {
			prefix_push("ept-%u.%s.pat-%u", types[i], j & 4 ? "ignore" : "combine",
				    j & 3);
			place_again(&place, FINAL, WRITE);
			tables_map(&place.guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K,
				   pat[j & 3]);
			place_set(&place, 1,
				  (ulong)place.page | EPT_RIGHTS | EPT_TYPE(types[i]) |
				      (j & 4 ? EPT_IGNORE_PAT : 0));
			vmx_run(place.guest);
			place_check_done(&place, WRITE, "write");
			prefix_pop();
		}
}
VMX_SUBTEST("memory_types_combined", test_types_combined);

/* What a walk meets first, and what is looked at when it has ended. */
static void test_order(void)
{
	static const struct {
		const char *name;
		unsigned int high, low; /* levels */
		u64 clear, set_low;	/* bits taken from the high entry, given to the low */
		enum access access;
		u32 exit;
	} rows[] = {
		{ "not-present-above", 2, 1, EPT_RIGHTS, EPT_TYPE(1), READ, EXIT_EPT_VIOLATION },
		{ "not-present-top", 3, 1, EPT_RIGHTS, EPT_TYPE(1), READ, EXIT_EPT_VIOLATION },
		{ "read-only-above", 2, 1, EPT_WRITE, EPT_TYPE(1), WRITE,
		  EXIT_EPT_MISCONFIGURATION },
		{ "read-only-top", 3, 1, EPT_WRITE, EPT_TYPE(1), WRITE, EXIT_EPT_MISCONFIGURATION },
		{ "read-only-table", 3, 2, EPT_WRITE, EPT_TYPE(1), WRITE,
		  EXIT_EPT_MISCONFIGURATION },
		{ "no-execute-above", 2, 1, EPT_EXECUTE, EPT_TYPE(1), FETCH,
		  EXIT_EPT_MISCONFIGURATION },
		/* The bits of both in one entry. */
		{ "read-only-itself", 1, 1, EPT_WRITE, EPT_TYPE(1), WRITE,
		  EXIT_EPT_MISCONFIGURATION },
	};
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 low, high;

		place_again(&place, FINAL, rows[i].access);
		low = place_entry(&place, rows[i].low);
		/* Of a page's type 6 one bit makes 7. */
		place_set(&place, rows[i].low, low | rows[i].set_low);
		high = place_entry(&place, rows[i].high);
		place_set(&place, rows[i].high, high & ~rows[i].clear);
		vmx_run(place.guest);
		check_exit(place.guest, rows[i].exit, "%s", rows[i].name);
	}
}
VMX_SUBTEST("order", test_order);

/*
 * L2's own #PF against EPT's exits: L2's entry is not looked at before it has been read, and EPT's
 * rights for the page not before L2's own allow the access.
 */
static void test_page_fault_order(void)
{
	struct place place;
	struct vmx_guest *guest;

	if (!place_make(&place, FINAL))
		return;
	guest = place.guest;
	place_again(&place, FINAL, READ);
	tables_set(&guest->tables, LINEAR, LEVEL_4K, GUEST_PHYSICAL);
	place_set(&place, 1, 0);
	vmx_run(guest);
	check_exception(guest, FAULT_PF(0), "not-present");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), LINEAR, "not-present.address");

	place_again(&place, FINAL, WRITE);
	tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, PTE_WRITABLE);
	place_set(&place, 1, 0);
	vmx_run(guest);
	check_exception(guest, FAULT_PF(PF_PRESENT | PF_WRITE), "read-only");

	place_again(&place, FINAL, WRITE);
	tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, PTE_WRITABLE);
	place_set(&place, 1, place_entry(&place, 1) | EPT_TYPE(1));
	vmx_run(guest);
	check_exception(guest, FAULT_PF(PF_PRESENT | PF_WRITE), "read-only-misconfigured");

	/* The entry itself cannot be read: L2's fault in it is not known. */
	if (!place_make(&place, TABLE))
		return;
	guest = place.guest;
	place_again(&place, TABLE, READ);
	memset(place.page, 0, PAGE_SIZE);
	place_set(&place, 1, 0);
	vmx_run(guest);
	place_check_violation(&place, TABLE, READ, VIOLATION_READ | VIOLATION_LINEAR, "table");
	place_set(&place, 1, (ulong)place.page | tables_page_flags(TABLES_EPT));
	vmx_run(guest);
	check_exception(guest, FAULT_PF(0), "table-mended");
}
VMX_SUBTEST("page_fault_order", test_page_fault_order);
