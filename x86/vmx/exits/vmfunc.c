// SPDX-License-Identifier: BSD-2-Clause
/* VMFUNC, of which no function is enabled. SDM volume 3C, "VM Functions". */
#include "exits.h"

/* A function that L1 has not enabled is an exit in every ring; one that does not exist #UD. */
EXITS_TEXT(vmfunc, "", "vmfunc");

static void test_vmfunc(void)
{
	if (!vmx_needs(VMX_SECONDARY_VM_FUNCTIONS))
		return;
	for (unsigned int i = 0; i < 4; i++) {
		static const u32 functions[] = { 0, 1, 63, 0 };
		static const char *const names[] = { "function-0", "function-1", "function-63",
						     "ring3" };
		struct vmx_guest *guest = exits_guest(L2_NATIVE, vmfunc);

		vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
		vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 0);
		guest->world.registers.ax = functions[i];
		if (i == 3)
			vmx_enter_ring3(guest);
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_VMFUNC, 0, "%s", names[i]);
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), 3, "%s.length", names[i]);
	}
	struct vmx_guest *guest = exits_guest(L2_NATIVE, vmfunc);

	vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 0);
	guest->world.registers.ax = 64;
	vmx_run(guest);
	check_exception(guest, FAULT_UD, "function-64");
}
VMX_SUBTEST("vmfunc", test_vmfunc);
