// SPDX-License-Identifier: BSD-2-Clause
/*
 * EPT pages of 2 MBytes and 1 GByte have rights and flags as those of 4 KBytes have; the addresses
 * that an exit tells have all their bits. A hypervisor that maps a part of such a page with one of
 * its own must still tell L1 what the large one says.
 *
 * SDM volume 3C, "EPT Translation Mechanism", "EPT Violations", "Accessed and Dirty Flags for EPT".
 */
#include "ept.h"

static void check_row(struct place *place, enum access access, unsigned int level, u64 rights)
{
	static const u64 needed[ACCESSES] = { EPT_READ, EPT_WRITE, EPT_EXECUTE };

	vmx_run(place->guest);
	if (ept_is_misconfigured(rights)) {
		check_exit(place->guest, EXIT_EPT_MISCONFIGURATION, "exit");
		check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS),
			    place->physical + (access == FETCH ? 4 : 0), "physical");
	} else if (rights & needed[access]) {
		place_check_done(place, access, "allowed");
		return;
	} else {
		/* The access's bit is that of the right that it needs. */
		place_check_violation(place, FINAL, access,
				      needed[access] | VIOLATION_RIGHTS(rights) | VIOLATION_LINEAR |
					  VIOLATION_FINAL,
				      "violation");
	}
	place_set(place, level, place_entry(place, level) | EPT_RIGHTS);
	vmx_run(place->guest);
	place_check_done(place, access, "mended");
}

static void test_rights(unsigned int level)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (u64 rights = 0; rights < 8; rights++)
		for (enum access access = 0; access < ACCESSES; access++) {
			if (!place_large(&place, access, level, rights))
				return;
			prefix_push("%s.%s", rights_names[rights], access_names[access]);
			check_row(&place, access, level, rights);
			prefix_pop();
		}
}

static void test_rights_2m(void)
{
	test_rights(2);
}
VMX_SUBTEST("rights.2m-page", test_rights_2m);

static void test_rights_1g(void)
{
	test_rights(3);
}
VMX_SUBTEST("rights.1g-page", test_rights_1g);

static void test_flags(unsigned int leaf)
{
	struct place place;

	if (!place_make_with_flags(&place, FINAL))
		return;
	for (enum access access = 0; access < ACCESSES; access++) {
		if (!place_large(&place, access, leaf, EPT_RIGHTS))
			return;
		prefix_push("%s", access_names[access]);
		vmx_run(place.guest);
		place_check_done(&place, access, "done");
		for (unsigned int level = leaf; level <= EPT_LEVELS; level++) {
			u64 entry = place_entry(&place, level);

			check(entry & EPT_ACCESSED, "level-%u.accessed", level);
			check(!!(entry & EPT_DIRTY) == (access == WRITE && level == leaf),
			      "level-%u.dirty", level);
		}
		prefix_pop();
	}
}

static void test_flags_2m(void)
{
	test_flags(2);
}
VMX_SUBTEST("flags_on.2m", test_flags_2m);

static void test_flags_1g(void)
{
	test_flags(3);
}
VMX_SUBTEST("flags_on.1g", test_flags_1g);
