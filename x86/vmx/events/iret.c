// SPDX-License-Identifier: BSD-2-Clause
/*
 * An IRET of L2 that faults has unblocked NMIs (with "virtual NMIs" those) all the same. The exit
 * has a bit that says so, from which a hypervisor blocks them again before it lets IRET be executed
 * anew.
 *
 * SDM volume 3C, "Architectural State Before a VM Exit", "Information for VM Exits Due to Vectored
 * Events" (bit 12), "Exit Qualification for EPT Violations" (bit 12).
 */
#include "events.h"
#include "paging.h"

#ifdef __x86_64__
L2_CODE(irets, "iretq");
#else
L2_CODE(irets, "iret");
#endif

#define EPT_NMI_UNBLOCKED BIT(12)

static const struct iret {
	const char *name;
	bool virtual, blocked, ept;
} iret_rows[] = {
	{ "blocked", false, true, false },	     { "open", false, false, false },
	{ "virtual-blocked", true, true, false },    { "virtual-open", true, false, false },
	{ "ept-blocked", false, true, true },	     { "ept-open", false, false, true },
	{ "ept-virtual-blocked", true, true, true }, { "ept-virtual-open", true, false, true },
};

/* IRET to a null selector is #GP(0); or its stack is not in EPT. */
static void run_iret(const struct iret *row)
{
	struct events *e = events_new(&PLACE_HERE, irets);
	u64 stack = e->rsp - PAGE_SIZE;

	memset((void *)(ulong)stack, 0, PAGE_SIZE);
	if (row->virtual) {
		vmx_set(VMX_PIN_NMI_EXITING);
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
	}
	if (row->ept) {
		vmx_ept(e->guest);
		tables_set(&e->guest->ept, stack, 1, 0);
	}
	vmcs_write(VMCS_GUEST_RSP, stack);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, row->blocked ? BLOCKING_BY_NMI : 0);
	vmx_run(e->guest);
	if (row->ept) {
		check_exit(e->guest, EXIT_EPT_VIOLATION, "%s.exit", row->name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & EPT_NMI_UNBLOCKED,
			    row->blocked ? EPT_NMI_UNBLOCKED : 0, "%s.unblocked", row->name);
	} else {
		check_exception(e->guest, FAULT_GP(0), "%s.exit", row->name);
		check_equal(
		    vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_NMI_UNBLOCKED,
		    row->blocked ? INTERRUPTION_NMI_UNBLOCKED : 0, "%s.unblocked", row->name);
	}
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "%s.rip", row->name);
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0, "%s.blocking", row->name);
}

static void test_iret_fault(void)
{
	if (!vmx_needs(VMX_PIN_VIRTUAL_NMIS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(iret_rows); i++) {
		if (iret_rows[i].ept && !vmx_allows(VMX_SECONDARY_EPT))
			check_skip("the CPU has no EPT", "%s", iret_rows[i].name);
		else
			run_iret(&iret_rows[i]);
		unblock_nmis();
	}
}

VMX_SUBTEST("nmi.iret-fault", test_iret_fault);
