// SPDX-License-Identifier: BSD-2-Clause
/*
 * Accessed and dirty flags of EPT, which bit 6 of the EPT pointer turns on: a walk sets accessed
 * in each entry that it uses, a write dirty in the last one; and then the CPU's reads of L2's
 * tables count as writes, for the flag, for the rights, and in the qualification. With the bit
 * off the flags are ignored and stay.
 *
 * SDM volume 3C, "Accessed and Dirty Flags for EPT", "EPT Violations".
 */
#include "ept.h"

static void test_on(void)
{
	for (enum walk walk = 0; walk < WALKS; walk++) {
		struct place place;

		if (!place_make_with_flags(&place, walk))
			return;
		for (enum access access = 0; access < ACCESSES; access++) {
			bool dirty = walk == TABLE || access == WRITE;

			prefix_push("%s.%s", walk_names[walk], access_names[access]);
			place_again(&place, walk, access);
			place_clear_flags(&place);
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
		place_clear_flags(&place);
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

	if (!place_make_with_flags(&place, FINAL))
		return;
	place_again(&place, FINAL, WRITE);
	place_clear_flags(&place);
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

		if (!(rows[i].flags ? place_make_with_flags : place_make)(&place, TABLE))
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
