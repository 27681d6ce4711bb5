// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMCLEAR, VMPTRLD and VMPTRST: what their operand must be, and which VMCS is current after
 * them. An error has a number only where a VMCS is current: else it is VMfailInvalid.
 */
#include "instructions.h"

typedef struct vmx_result instruction(u64 address);

static const struct row {
	const char *name;
	instruction *execute;
	u32 invalid_address, vmxon_pointer;
} rows[] = {
	{ "vmclear", vmclear, VM_ERROR_VMCLEAR_INVALID_ADDRESS, VM_ERROR_VMCLEAR_VMXON_POINTER },
	{ "vmptrld", vmptrld, VM_ERROR_VMPTRLD_INVALID_ADDRESS, VM_ERROR_VMPTRLD_VMXON_POINTER },
};

static void test_operand(const struct row *row, const struct pair *vmcs)
{
	for (unsigned int bit = 0; bit < 12; bit++)
		check_vmx(row->execute(vmcs->b | 1u << bit), VMX_FAIL_VALID(row->invalid_address),
			  "aligned.bit-%u", bit);
	for (unsigned int bit = pointer_bits(); bit < 64; bit++)
		check_vmx(row->execute(vmcs->b | 1ull << bit), VMX_FAIL_VALID(row->invalid_address),
			  "width.bit-%u", bit);
	check_vmx(row->execute(vmx_on_region()), VMX_FAIL_VALID(row->vmxon_pointer),
		  "vmxon-pointer");
	/* The address is looked at first. */
	check_vmx(row->execute(vmx_on_region() + 1), VMX_FAIL_VALID(row->invalid_address),
		  "vmxon-pointer-not-aligned");
	check_equal(current_vmcs(), vmcs->a, "current-vmcs");
	vmclear(vmcs->a);
	check_vmx(row->execute(vmcs->b | 1), VMX_FAIL_INVALID, "no-current-vmcs.aligned");
	check_vmx(row->execute(vmx_on_region()), VMX_FAIL_INVALID, "no-current-vmcs.vmxon-pointer");
	check_equal(current_vmcs(), NO_VMCS, "no-current-vmcs");
}

static void test_operands(const void *argument)
{
	const struct row *row = argument;
	struct pair vmcs;

	if (!vmx_ready())
		return;
	vmcs = two_vmcss();
	vmptrld(vmcs.a);
	test_operand(row, &vmcs);
}

SUBTEST_ARG("vmclear-operand", test_operands, &rows[0]);
SUBTEST_ARG("vmptrld-operand", test_operands, &rows[1]);

/* Bit 31 makes a shadow VMCS of it, where there are any. "Format of the VMCS Region" */
static void test_revision(void)
{
	struct pair vmcs = two_vmcss();
	u32 *region = (u32 *)(ulong)vmcs.b;
	u32 revision = *region;
	bool has_shadows = vmx_allows(VMX_SECONDARY_VMCS_SHADOWING);

	vmptrld(vmcs.a);
	for (unsigned int bit = 0; bit < 31; bit++) {
		*region = revision ^ 1u << bit;
		check_vmx(vmptrld(vmcs.b), VMX_FAIL_VALID(VM_ERROR_VMPTRLD_WRONG_REVISION),
			  "bit-%u", bit);
	}
	*region = revision | 1u << 31;
	check_vmx(vmptrld(vmcs.b),
		  has_shadows ? VMX_SUCCEED : VMX_FAIL_VALID(VM_ERROR_VMPTRLD_WRONG_REVISION),
		  "shadow");
	vmclear(vmcs.b);
	*region = ~revision & VMX_BASIC_REVISION;
	check_vmx(vmclear(vmcs.b), VMX_SUCCEED, "vmclear-does-not-look");
	vmclear(vmcs.a);
	check_vmx(vmptrld(vmcs.b), VMX_FAIL_INVALID, "no-current-vmcs");
	*region = revision;
	check_vmx(vmptrld(vmcs.b), VMX_SUCCEED, "legal");
	vmclear(vmcs.b);
}

static void test_current(void)
{
	struct pair vmcs = two_vmcss();

	check_equal(current_vmcs(), NO_VMCS, "none");
	check_vmx(vmptrld(vmcs.a), VMX_SUCCEED, "load-a");
	check_equal(current_vmcs(), vmcs.a, "load-a.current");
	check_vmx(vmptrld(vmcs.a), VMX_SUCCEED, "load-a-again");
	check_equal(current_vmcs(), vmcs.a, "load-a-again.current");
	check_vmx(vmptrld(vmcs.b), VMX_SUCCEED, "load-b");
	check_equal(current_vmcs(), vmcs.b, "load-b.current");
	check_vmx(vmclear(vmcs.a), VMX_SUCCEED, "clear-a");
	check_equal(current_vmcs(), vmcs.b, "clear-a.current");
	check_vmx(vmclear(vmcs.a), VMX_SUCCEED, "clear-a-again");
	check_equal(current_vmcs(), vmcs.b, "clear-a-again.current");
	check_vmx(vmclear(vmcs.b), VMX_SUCCEED, "clear-b");
	check_equal(current_vmcs(), NO_VMCS, "clear-b.current");
}

/* Contents stay with their VMCS, through VMPTRLD of another and through VMCLEAR. */
static void test_contents(void)
{
	struct pair vmcs = two_vmcss();

	vmptrld(vmcs.a);
	vmcs_write(VMCS_GUEST_RIP, 0x1111);
	vmptrld(vmcs.b);
	vmcs_write(VMCS_GUEST_RIP, 0x2222);
	vmptrld(vmcs.a);
	check_equal(vmcs_read(VMCS_GUEST_RIP), 0x1111, "a.active");
	vmptrld(vmcs.b);
	check_equal(vmcs_read(VMCS_GUEST_RIP), 0x2222, "b.active");
	vmclear(vmcs.a);
	vmclear(vmcs.b);
	vmptrld(vmcs.a);
	check_equal(vmcs_read(VMCS_GUEST_RIP), 0x1111, "a.cleared");
	vmclear(vmcs.a);
	vmptrld(vmcs.b);
	check_equal(vmcs_read(VMCS_GUEST_RIP), 0x2222, "b.cleared");
	vmclear(vmcs.b);
}

VMX_SUBTEST("vmptrld-revision", test_revision);
VMX_SUBTEST("current-vmcs", test_current);
VMX_SUBTEST("contents", test_contents);
