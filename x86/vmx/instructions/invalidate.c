// SPDX-License-Identifier: BSD-2-Clause
/*
 * INVEPT and INVVPID: which types there are, and what a descriptor must be. SDM volume 3C,
 * INVEPT, INVVPID; volume 3D, appendix A, "VPID and EPT Capabilities". What they invalidate is
 * not the subject here.
 */
#include "instructions.h"
#include "msr.h"
#include "paging.h"

#define ERROR VMX_FAIL_VALID(VM_ERROR_INVEPT_INVVPID_INVALID_OPERAND)

/* The bit of IA32_VMX_EPT_VPID_CAP that has a type, 0 where there is no such type. */
static u64 invept_type(ulong type)
{
	return type == 1 ? EPT_INVEPT_SINGLE : type == 2 ? EPT_INVEPT_ALL : 0;
}

static u64 invvpid_type(ulong type)
{
	static const u64 bits[] = { VPID_INVVPID_ADDRESS, VPID_INVVPID_SINGLE, VPID_INVVPID_ALL,
				    VPID_INVVPID_RETAIN_GLOBAL };

	return type < ARRAY_SIZE(bits) ? bits[type] : 0;
}

static const struct type {
	const char *name;
	ulong type;
} types[] = {
	{ "0", 0 },
	{ "1", 1 },
	{ "2", 2 },
	{ "3", 3 },
	{ "4", 4 },
	{ "0x10", 0x10 },
	{ "0x80000001", 0x80000001 },
	{ "0xffffffff", 0xffffffff },
#ifdef __x86_64__
	{ "0x100000001", 0x100000001 },
#endif
};

static struct invept_descriptor legal_eptp(void)
{
	static void *root;
	u64 capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);

	if (!root)
		root = vmx_region();
	/* Write-back where the CPU allows it, else uncacheable; a walk of 4 levels. */
	return (struct invept_descriptor){ .eptp = (ulong)root |
						   (capabilities & BIT_ULL(14) ? 6 : 0) | 3 << 3 };
}

static void test_invept(void)
{
	struct pair vmcs = two_vmcss();
	struct invept_descriptor descriptor;
	u64 capabilities;

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	descriptor = legal_eptp();
	if (!(capabilities & EPT_INVEPT)) {
		check_vmx(invept(2, &descriptor), VMX_FAULT(FAULT_UD), "not-supported");
		return;
	}
	vmptrld(vmcs.a);
	for (const struct type *type = types; type < types + ARRAY_SIZE(types); type++)
		check_vmx(invept(type->type, &descriptor),
			  capabilities & invept_type(type->type) ? VMX_SUCCEED : ERROR, "type-%s",
			  type->name);
	vmclear(vmcs.a);
	check_vmx(invept(0, &descriptor), VMX_FAIL_INVALID, "no-current-vmcs");
	check_vmx(invept(2, &descriptor),
		  capabilities & EPT_INVEPT_ALL ? VMX_SUCCEED : VMX_FAIL_INVALID,
		  "no-current-vmcs.all");
}

/*
 * Type 1 wants what an entry would take as EPT pointer, type 2 does not look at it. "VM-Execution
 * Control Fields", on EPT
 */
static void test_eptp(void)
{
	struct pair vmcs = two_vmcss();
	struct invept_descriptor descriptor;
	u64 legal;

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	if (~rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & (EPT_INVEPT | EPT_INVEPT_SINGLE | EPT_INVEPT_ALL)) {
		subtest_skip("the CPU lacks INVEPT, or one of its types");
		return;
	}
	vmptrld(vmcs.a);
	descriptor = legal_eptp();
	legal = descriptor.eptp;
	check_vmx(invept(1, &descriptor), VMX_SUCCEED, "legal");
	for (unsigned int type = 1; type <= 7; type++) {
		if (type == 6)
			continue;
		descriptor.eptp = (legal & ~7ull) | type;
		check_vmx(invept(1, &descriptor), ERROR, "memory-type-%u", type);
	}
	/* 3 is a walk of 4 levels, 4 one of 5, where the CPU has it. */
	for (unsigned int levels = 0; levels <= 7; levels++) {
		if (levels == 3 || levels == 4)
			continue;
		descriptor.eptp = (legal & ~(7ull << 3)) | levels << 3;
		check_vmx(invept(1, &descriptor), ERROR, "walk-length-%u", levels);
	}
	for (unsigned int bit = 8; bit < 12; bit++) {
		descriptor.eptp = legal | 1u << bit;
		check_vmx(invept(1, &descriptor), ERROR, "reserved.bit-%u", bit);
	}
	for (unsigned int bit = cpu_physical_address_bits(); bit < 64; bit++) {
		descriptor.eptp = legal | 1ull << bit;
		check_vmx(invept(1, &descriptor), ERROR, "width.bit-%u", bit);
	}
	descriptor.eptp = ~0ull;
	check_vmx(invept(2, &descriptor), VMX_SUCCEED, "all-does-not-look");
	vmclear(vmcs.a);
}

static bool has_invvpid(void)
{
	if (!vmx_needs(VMX_SECONDARY_VPID))
		return false;
	if (rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & VPID_INVVPID)
		return true;
	subtest_skip("the CPU lacks INVVPID");
	return false;
}

static void test_invvpid(void)
{
	struct pair vmcs = two_vmcss();
	const struct invvpid_descriptor descriptor = { .vpid = 1 };
	u64 capabilities;

	if (!has_invvpid())
		return;
	capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	vmptrld(vmcs.a);
	for (const struct type *type = types; type < types + ARRAY_SIZE(types); type++)
		check_vmx(invvpid(type->type, &descriptor),
			  capabilities & invvpid_type(type->type) ? VMX_SUCCEED : ERROR, "type-%s",
			  type->name);
	vmclear(vmcs.a);
	check_vmx(invvpid(4, &descriptor), VMX_FAIL_INVALID, "no-current-vmcs");
}

static void test_one_type(ulong type)
{
	struct invvpid_descriptor descriptor = { .vpid = 1 };

	check_vmx(invvpid(type, &descriptor), VMX_SUCCEED, "legal");
	for (unsigned int bit = 16; bit < 64; bit++) {
		u64 low = 1 | 1ull << bit;

		__builtin_memcpy(&descriptor, &low, sizeof(low));
		check_vmx(invvpid(type, &descriptor), ERROR, "reserved.bit-%u", bit);
	}
	descriptor = (struct invvpid_descriptor){ .vpid = 0 };
	check_vmx(invvpid(type, &descriptor), type == 2 ? VMX_SUCCEED : ERROR, "vpid-0");
	descriptor = (struct invvpid_descriptor){ .vpid = 1, .linear = 1ull << 62 };
	check_vmx(invvpid(type, &descriptor), type == 0 ? ERROR : VMX_SUCCEED, "not-canonical");
}

static void test_descriptor(void)
{
	struct pair vmcs = two_vmcss();
	u64 capabilities;

	if (!has_invvpid())
		return;
	capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	vmptrld(vmcs.a);
	for (ulong type = 0; type <= 3; type++) {
		prefix_push("type-%lu", type);
		if (capabilities & invvpid_type(type))
			test_one_type(type);
		else
			check_skip("the CPU does not have the type", "legal");
		prefix_pop();
	}
	vmclear(vmcs.a);
}

VMX_SUBTEST("invept-types", test_invept);
VMX_SUBTEST("invept-eptp", test_eptp);
VMX_SUBTEST("invvpid-types", test_invvpid);
VMX_SUBTEST("invvpid-descriptor", test_descriptor);
