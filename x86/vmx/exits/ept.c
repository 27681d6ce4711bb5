// SPDX-License-Identifier: BSD-2-Clause
/*
 * The addresses that EPT's exits have: SDM volume 3C, "Basic VM-Exit Information",
 * "Exit Qualification for EPT Violations". The subject ept
 * has the rest.
 */
#include "exits.h"
#include "paging.h"
#include "vmx/ept.h"

EXITS_TEXT(load, "", "movl (" R(ax) "), %ecx");
EXITS_TEXT(store, "", "movl %ecx, (" R(ax) ")");

/* Both addresses of an EPT violation; a misconfiguration has the guest-physical one alone. */
static void test_ept(void)
{
	struct vmx_guest *guest;
	u8 *page = operand();

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	for (unsigned int write = 0; write < 2; write++) {
		const char *name = write ? "write" : "read";

		guest = exits_guest(L2_NATIVE, write ? store : load);
		vmx_ept(guest);
		/* Linear addresses of L2 that are not its physical ones. */
		tables_map(&guest->tables, 0x70000000, (ulong)page, LEVEL_4K, 0);
		tables_set(&guest->ept, (ulong)page, LEVEL_4K, 0);
		guest->world.registers.ax = 0x70000123;
		vmx_run(guest);
		check_exit(guest, EXIT_EPT_VIOLATION, "%s", name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED,
			    (write ? VIOLATION_WRITE : VIOLATION_READ) | VIOLATION_LINEAR |
				VIOLATION_FINAL,
			    "%s.qualification", name);
		check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), (ulong)page + 0x123,
			    "%s.physical", name);
		check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), 0x70000123, "%s.linear", name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)(write ? store_at : load_at),
			    "%s.rip", name);

		/* Writable and not readable. */
		tables_set(&guest->ept, (ulong)page, LEVEL_4K,
			   (ulong)page | EPT_WRITE | EPT_TYPE(6));
		vmx_ept_flush();
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_EPT_MISCONFIGURATION, 0, "%s.misconfigured",
					 name);
		check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), (ulong)page + 0x123,
			    "%s.misconfigured.physical", name);
	}
}
VMX_SUBTEST("event.ept", test_ept);
