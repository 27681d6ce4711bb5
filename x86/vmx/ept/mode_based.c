// SPDX-License-Identifier: BSD-2-Clause
/*
 * With mode-based execute control the right to execute is two, for the pages of L2's supervisor and
 * of its user. SDM volume 3C, "EPT Violations", "Exit Qualification for EPT Violations".
 */
#include "ept.h"

/* Bit 2 is for pages of the supervisor, bit 10 for those of the user; the control off: bit 2. */
static void test_mode_based(void)
{
	struct place place;

	if (!vmx_needs(VMX_SECONDARY_MODE_BASED_EXECUTE) || !place_make(&place, FINAL))
		return;
	for (unsigned int row = 0; row < 16; row++) {
		bool user = row & 1, control = row & 8;
		u64 rights = (row & 2 ? EPT_EXECUTE : 0) | (row & 4 ? EPT_EXECUTE_USER : 0);
		bool allowed = rights & (control && user ? EPT_EXECUTE_USER : EPT_EXECUTE);
		u64 entry;

		prefix_push("%s.%s.supervisor-%u.user-%u", control ? "on" : "off",
			    user ? "user-page" : "supervisor-page", row >> 1 & 1, row >> 2 & 1);
		place_again(&place, FINAL, FETCH);
		if (control) {
			/* L2's own code is in pages of its user. */
			for (u64 address = 0; address < ram_size(); address += 2u << 20)
				tables_set(&place.guest->ept, address, LEVEL_2M,
					   tables_get(&place.guest->ept, address, LEVEL_2M) |
					       EPT_EXECUTE_USER);
			for (unsigned int level = 2; level <= EPT_LEVELS; level++) {
				tables_set(&place.guest->ept, 0, level,
					   tables_get(&place.guest->ept, 0, level) |
					       EPT_EXECUTE_USER);
				place_set(&place, level,
					  place_entry(&place, level) | EPT_EXECUTE_USER);
			}
			vmx_set(VMX_SECONDARY_MODE_BASED_EXECUTE);
		}
		tables_map(&place.guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K,
			   user ? 0 : PTE_USER);
		entry = place_entry(&place, 1);
		place_set(&place, 1, (entry & ~(EPT_EXECUTE | EPT_EXECUTE_USER)) | rights);
		vmx_run(place.guest);
		if (allowed) {
			place_check_done(&place, FETCH, "allowed");
		} else if (check_exit(place.guest, EXIT_EPT_VIOLATION, "violation")) {
			u64 qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

			check(!!(qualification & BIT(5)) == !!(rights & EPT_EXECUTE),
			      "bit-5.supervisor");
			if (control)
				check(!!(qualification & BIT(6)) == !!(rights & EPT_EXECUTE_USER),
				      "bit-6.user");
		}
		prefix_pop();
	}
}
VMX_SUBTEST("mode_based_execute", test_mode_based);
