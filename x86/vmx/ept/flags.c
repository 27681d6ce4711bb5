// SPDX-License-Identifier: BSD-2-Clause
/*
 * Accessed and dirty flags of EPT, which bit 6 of the EPT pointer turns on: a walk sets accessed
 * in each entry that it uses, a write dirty in the last one; and then the CPU's reads of L2's
 * tables count as writes, for the flag, for the rights, and in the qualification. With the bit
 * off the flags are ignored and stay. Page-modification logging: when a dirty flag is set, the
 * page's guest-physical address is written to a log whose index counts down; one more exits.
 *
 * SDM volume 3C, "Accessed and Dirty Flags for EPT", "Page-Modification Logging", "EPT
 * Violations".
 */
#include "ept.h"

static bool make_with_flags(struct place *place, enum walk walk)
{
	if (!vmx_needs(VMX_SECONDARY_EPT) ||
	    !ept_needs(EPT_ACCESSED_DIRTY, "accessed and dirty flags"))
		return false;
	if (!place_make(place, walk))
		return false;
	place->eptp_flags |= EPTP_ACCESSED_DIRTY;
	return true;
}

static void clear_flags(const struct place *place)
{
	for (unsigned int level = 1; level <= EPT_LEVELS; level++)
		place_set(place, level, place_entry(place, level) & ~(EPT_ACCESSED | EPT_DIRTY));
}

static void test_on(void)
{
	for (enum walk walk = 0; walk < WALKS; walk++) {
		struct place place;

		if (!make_with_flags(&place, walk))
			return;
		for (enum access access = 0; access < ACCESSES; access++) {
			bool dirty = walk == TABLE || access == WRITE;

			prefix_push("%s.%s", walk_names[walk], access_names[access]);
			place_again(&place, walk, access);
			clear_flags(&place);
			vmx_run(place.guest);
			place_check_done(&place, access, "done");
			for (unsigned int level = 1; level <= EPT_LEVELS; level++) {
				u64 entry = place_entry(&place, level);

				check(entry & EPT_ACCESSED, "level-%u.accessed", level);
				check(!!(entry & EPT_DIRTY) == (dirty && level == 1),
				      "level-%u.dirty", level);
			}
			prefix_pop();
		}
	}
}
VMX_SUBTEST("flags_on", test_on);

static void test_off(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (enum access access = 0; access < ACCESSES; access++) {
		prefix_push("%s", access_names[access]);
		place_again(&place, FINAL, access);
		clear_flags(&place);
		vmx_run(place.guest);
		place_check_done(&place, access, "done");
		for (unsigned int level = 1; level <= EPT_LEVELS; level++)
			check_equal(place_entry(&place, level) & (EPT_ACCESSED | EPT_DIRTY), 0,
				    "level-%u", level);
		prefix_pop();
	}
}
VMX_SUBTEST("flags_off", test_off);

/* An access that is not allowed is none: no dirty flag, and the page's entry is left alone. */
static void test_refused(void)
{
	struct place place;

	if (!make_with_flags(&place, FINAL))
		return;
	place_again(&place, FINAL, WRITE);
	clear_flags(&place);
	place_set(&place, 1, place_entry(&place, 1) & ~EPT_WRITE);
	vmx_run(place.guest);
	place_check_violation(&place, FINAL, WRITE,
			      VIOLATION_WRITE | VIOLATION_LINEAR | VIOLATION_FINAL |
				  VIOLATION_RIGHTS(EPT_READ | EPT_EXECUTE),
			      "write");
	check(!(place_entry(&place, 1) & EPT_DIRTY), "not-dirty");
}
VMX_SUBTEST("flags_refused", test_refused);

/* L2's table in a page that EPT has read-only: legal without the flags, a violation with them. */
static void test_table_read_only(void)
{
	static const struct {
		const char *name;
		bool flags;
		enum access access;
	} rows[] = {
		{ "off.read", false, READ }, { "off.write", false, WRITE },
		{ "on.read", true, READ },   { "on.write", true, WRITE },
		{ "on.fetch", true, FETCH },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place place;
		u64 entry;

		if (!(rows[i].flags ? make_with_flags(&place, TABLE) : place_make(&place, TABLE)))
			return;
		prefix_push("%s", rows[i].name);
		place_again(&place, TABLE, rows[i].access);
		entry = place_entry(&place, 1);
		place_set(&place, 1, entry & ~EPT_WRITE);
		vmx_run(place.guest);
		if (rows[i].flags) {
			/* Bits 0 and 1 are both set, as the access counts as both. */
			place_check_violation(&place, TABLE, rows[i].access,
					      VIOLATION_READ | VIOLATION_WRITE | VIOLATION_LINEAR |
						  VIOLATION_RIGHTS(EPT_READ | EPT_EXECUTE),
					      "violation");
			place_set(&place, 1, entry);
			vmx_run(place.guest);
		}
		place_check_done(&place, rows[i].access, "done");
		prefix_pop();
	}
}
VMX_SUBTEST("table_read_only", test_table_read_only);

/*
 * Without EPT's flags a walk writes L2's table only to set a flag there: then the right is needed.
 */
static void test_table_flag(void)
{
	static const struct {
		const char *name;
		u64 clear; /* in L2's entry */
		enum access access;
	} rows[] = {
		{ "accessed", PTE_ACCESSED, READ },
		{ "dirty", PTE_DIRTY, WRITE },
		{ "accessed-and-dirty", PTE_ACCESSED | PTE_DIRTY, WRITE },
	};
	struct place place;

	if (!place_make(&place, TABLE))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 entry, expected = VIOLATION_WRITE | VIOLATION_LINEAR |
				      VIOLATION_RIGHTS(EPT_READ | EPT_EXECUTE);

		prefix_push("%s", rows[i].name);
		place_again(&place, TABLE, rows[i].access);
		place.page[0] &= ~(u32)rows[i].clear;
		entry = place_entry(&place, 1);
		place_set(&place, 1, entry & ~EPT_WRITE);
		vmx_run(place.guest);
		/* A read-modify-write may be told as both. */
		if (check_exit(place.guest, EXIT_EPT_VIOLATION, "exit"))
			check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED &
					~VIOLATION_READ,
				    expected, "qualification");
		check_equal(place.page[0] & (u32)rows[i].clear, 0, "flag-not-set");
		place_set(&place, 1, entry);
		vmx_run(place.guest);
		place_check_done(&place, rows[i].access, "mended");
		check_equal(place.page[0] & (u32)rows[i].clear, rows[i].clear, "flag-set");
		prefix_pop();
	}
}
VMX_SUBTEST("table_flags_written", test_table_flag);

#define PML_ENTRIES 512

static u64 *start_log(struct place *place, u16 index)
{
	u64 *log = page_alloc();

	vmx_set(VMX_SECONDARY_PML);
	vmcs_write(VMCS_PML_ADDRESS, (ulong)log);
	vmcs_write(VMCS_PML_INDEX, index);
	return log;
}

/* Is a page in the entries that were written? The walks of L2's tables are logged as well. */
static unsigned int logged(const u64 *log, u16 index, u64 page)
{
	unsigned int found = 0;

	for (unsigned int i = (u16)(index + 1); i < PML_ENTRIES; i++)
		found += log[i] == page;
	return found;
}

static void test_log(void)
{
	struct place place;
	u64 *log;

	if (!vmx_needs(VMX_SECONDARY_PML) || !make_with_flags(&place, FINAL))
		return;
	for (enum access access = READ; access <= WRITE; access++) {
		prefix_push("%s", access_names[access]);
		place_again(&place, FINAL, access);
		clear_flags(&place);
		log = start_log(&place, PML_ENTRIES - 1);
		vmx_run(place.guest);
		place_check_done(&place, access, "first");
		check_equal(logged(log, vmcs_read(VMCS_PML_INDEX), GUEST_PHYSICAL), access == WRITE,
			    "logged");
		/* The flag is set now: another write logs nothing. */
		vmcs_write(VMCS_GUEST_RIP, (ulong)place.guest->code);
		vmx_run(place.guest);
		check_equal(logged(log, vmcs_read(VMCS_PML_INDEX), GUEST_PHYSICAL), access == WRITE,
			    "not-again");
		prefix_pop();
	}
}
VMX_SUBTEST("log", test_log);

/* Indexes that are not 511 to 0 are a full log: the exit comes before the flag and the write. */
static void test_log_full(void)
{
	static const u16 indexes[] = { 512, 0x7fff, 0x8000, 0xffff };
	struct place place;

	if (!vmx_needs(VMX_SECONDARY_PML) || !make_with_flags(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++) {
		prefix_push("index-%#x", indexes[i]);
		/* L2's tables have their dirty flags since this run. */
		place_again(&place, FINAL, READ);
		vmx_run(place.guest);
		place_again(&place, FINAL, WRITE);
		clear_flags(&place);
		start_log(&place, indexes[i]);
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_PML_FULL, "exit");
		check(!(place_entry(&place, 1) & EPT_DIRTY), "not-dirty");
		check_equal(place.data[0], READ_VALUE, "nothing-written");
		check_equal(vmcs_read(VMCS_PML_INDEX), indexes[i], "index");
		vmcs_write(VMCS_PML_INDEX, PML_ENTRIES - 1);
		vmx_run(place.guest);
		place_check_done(&place, WRITE, "emptied");
		prefix_pop();
	}
}
VMX_SUBTEST("log_full", test_log_full);
