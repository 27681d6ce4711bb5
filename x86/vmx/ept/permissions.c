// SPDX-License-Identifier: BSD-2-Clause
/*
 * EPT violations: an entry of any level that does not allow L2's access. Every combination of
 * the three rights, at every level, for each kind of access, once to the place itself and once
 * through an entry of L2's own tables that lies there. The qualification tells the access, the
 * rights as the AND of all entries (0 if one is not present), that the linear address is valid,
 * and which of the two walks it was; when L1 has mended the entry the instruction does its work.
 *
 * A hypervisor that shadows two sets of tables with one (KVM on KVM) computes all of that anew:
 * its walker for nested EPT is the one for ordinary tables compiled again, where no rights is
 * not the same as not present, and execute-only pages exist.
 *
 * SDM volume 3C, "EPT Violations", "EPT Misconfigurations", "Prioritization of EPT
 * Misconfigurations and EPT Violations"; "Exit Qualification for EPT Violations".
 */
#include "ept.h"

TEST_SUMMARY("EPT: rights, misconfigurations, flags, caching, and what is built on it");
TEST_MANUAL("SDM volume 3C, \"The Extended Page Table Mechanism (EPT)\"");
TEST_MANUAL("SDM volume 3C, \"Caching Translation Information\"");
TEST_MANUAL("SDM volume 3C, \"VM Functions\", \"Virtualization Exceptions\"");
TEST_MANUAL("SDM volume 3C, \"Page-Modification Logging\", \"Sub-Page Write Permissions\"");
TEST_GUARDS("KVM's walker took nested EPT entries for ordinary ones: bit 0 alone was \"present\", "
	    "so that execute-only pages were not (Linux 4.8, commit ffb128c89b77)");
TEST_NEEDS("VMX with EPT");

static const u64 access_bits[ACCESSES] = {
	[READ] = VIOLATION_READ,
	[WRITE] = VIOLATION_WRITE,
	[FETCH] = VIOLATION_FETCH,
};
static const u8 needed[ACCESSES] = { EPT_READ, EPT_WRITE, EPT_EXECUTE };

static void check_misconfiguration(const struct place *place)
{
	check_exit(place->guest, EXIT_EPT_MISCONFIGURATION, "exit");
	check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xfffull, GUEST_PHYSICAL, "physical");
}

/* Reading L2's entry needs the right to read, whatever the access is that needs the entry. */
static void test_row(struct place *place, enum walk walk, unsigned int level, unsigned int rights,
		     enum access access)
{
	enum access done = walk == TABLE ? READ : access;
	u64 qualification = access_bits[done] | VIOLATION_RIGHTS(rights) | VIOLATION_LINEAR |
			    (walk == FINAL ? VIOLATION_FINAL : 0);
	u64 entry;

	place_again(place, walk, access);
	entry = place_entry(place, level);
	place_set(place, level, (entry & ~EPT_RIGHTS) | rights);
	vmx_run(place->guest);
	if (ept_is_misconfigured(rights)) {
		check_misconfiguration(place);
	} else if (rights & needed[done]) {
		place_check_done(place, access, "allowed");
		return;
	} else {
		place_check_violation(place, walk, access, qualification, "violation");
	}
	place_set(place, level, entry);
	vmx_run(place->guest);
	place_check_done(place, access, "mended");
}

static void test_rights(enum walk walk)
{
	struct place place;

	if (!place_make(&place, walk))
		return;
	/* The entry at level 4 is that of L2's own code as well. */
	for (unsigned int level = 1; level < EPT_LEVELS; level++)
		for (unsigned int rights = 0; rights < 8; rights++)
			for (enum access access = 0; access < ACCESSES; access++) {
				prefix_push("level-%u.%s.%s", level, rights_names[rights],
					    access_names[access]);
				test_row(&place, walk, level, rights, access);
				prefix_pop();
			}
}

static void test_final(void)
{
	test_rights(FINAL);
}
VMX_SUBTEST("rights", test_final);

static void test_table(void)
{
	test_rights(TABLE);
}
VMX_SUBTEST("rights_of_tables", test_table);

/* The PML4 entry is that of all of L2's memory: its first fetch, or the walk to it, faults. */
static void test_top_level(void)
{
	struct place place;
	u64 entry;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int rights = 0; rights < 7; rights++) {
		/* A walk reads L2's tables; PAE's top level is not in memory. */
		bool table = !(rights & EPT_READ);
		u64 expected = (table ? VIOLATION_READ : VIOLATION_FETCH) | VIOLATION_LINEAR |
			       VIOLATION_RIGHTS(rights) | (table ? 0 : VIOLATION_FINAL);

		prefix_push("%s", rights_names[rights]);
		place_again(&place, FINAL, READ);
		entry = place_entry(&place, 4);
		place_set(&place, 4, (entry & ~EPT_RIGHTS) | rights);
		vmx_run(place.guest);
		if (ept_is_misconfigured(rights)) {
			check_exit(place.guest, EXIT_EPT_MISCONFIGURATION, "exit");
		} else if (rights & EPT_READ && rights & EPT_EXECUTE) {
			place_check_done(&place, READ, "allowed");
		} else if (check_exit(place.guest, EXIT_EPT_VIOLATION, "exit")) {
			check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED, expected,
				    "qualification");
			check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), (ulong)place.guest->code,
				    "linear");
		}
		place_set(&place, 4, entry);
		vmcs_write(VMCS_GUEST_RIP, (ulong)place.guest->code);
		vmx_run(place.guest);
		place_check_done(&place, READ, "mended");
		prefix_pop();
	}
}
VMX_SUBTEST("rights_top_level", test_top_level);

/* The rights are the AND of those of all levels: one bit is missing at each of two. */
static void test_and(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int high = 2; high < EPT_LEVELS; high++)
		for (unsigned int low = 1; low < high; low++)
			for (enum access access = 0; access < ACCESSES; access++) {
				static const u8 pairs[ACCESSES][2] = {
					[READ] = { EPT_EXECUTE, EPT_EXECUTE | EPT_READ },
					[WRITE] = { EPT_READ | EPT_WRITE, EPT_READ | EPT_EXECUTE },
					[FETCH] = { EPT_READ | EPT_EXECUTE, EPT_READ | EPT_WRITE },
				};
				unsigned int a = pairs[access][0], b = pairs[access][1];
				u64 upper, lower;

				prefix_push("levels-%u-%u.%s", high, low, access_names[access]);
				place_again(&place, FINAL, access);
				upper = place_entry(&place, high);
				lower = place_entry(&place, low);
				if (ept_is_misconfigured(a)) {
					check_skip("the CPU has no execute-only pages",
						   "violation");
					prefix_pop();
					continue;
				}
				place_set(&place, low, (lower & ~EPT_RIGHTS) | b);
				place_set(&place, high, (upper & ~EPT_RIGHTS) | a);
				vmx_run(place.guest);
				place_check_violation(&place, FINAL, access,
						      access_bits[access] |
							  VIOLATION_RIGHTS(a & b) |
							  VIOLATION_LINEAR | VIOLATION_FINAL,
						      "violation");
				prefix_pop();
			}
}
VMX_SUBTEST("rights_of_all_levels", test_and);

/* What L2's tables say of the linear address; ring 0 may read it whatever that is. */
static void test_advanced(void)
{
	struct place place;

	if (!ept_needs(EPT_ADVANCED_INFORMATION, "advanced information for EPT violations") ||
	    !place_make(&place, FINAL))
		return;
	for (unsigned int row = 0; row < 8; row++) {
		bool user = row & 1, writable = row & 2, no_execute = row & 4;
		u64 flags = (user ? 0 : PTE_USER) | (writable ? 0 : PTE_WRITABLE);

		/* Only 8-byte entries have it, and EFER must have it on. */
		if (no_execute && (TABLES_NATIVE == TABLES_2_LEVELS || !cpu_has(FEATURE_NX) ||
				   !vmx_allows(VMX_ENTRY_LOAD_EFER)))
			continue;
		prefix_push("%s.%s.%s", user ? "user" : "supervisor",
			    writable ? "writable" : "read-only",
			    no_execute ? "no-execute" : "executable");
		place_again(&place, FINAL, READ);
		if (no_execute) {
			vmx_set(VMX_ENTRY_LOAD_EFER);
			vmcs_write(VMCS_GUEST_IA32_EFER, vmcs_read(VMCS_GUEST_IA32_EFER) | EFER_NX);
		}
		tables_map(&place.guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K,
			   flags | (no_execute ? BIT_ULL(63) : 0));
		place_set(&place, 1, 0);
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_EPT_VIOLATION, "exit");
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) &
				(VIOLATION_USER | VIOLATION_WRITABLE | VIOLATION_NO_EXECUTE),
			    (user ? VIOLATION_USER : 0) | (writable ? VIOLATION_WRITABLE : 0) |
				(no_execute ? VIOLATION_NO_EXECUTE : 0),
			    "qualification");
		prefix_pop();
	}
}
VMX_SUBTEST("advanced_information", test_advanced);
