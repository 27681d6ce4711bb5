// SPDX-License-Identifier: BSD-2-Clause
/* SDM volume 3C, VMXON, VMXOFF; "Enabling and Entering VMX Operation"; "Restrictions on VMX
 * Operation"; volume 3D, appendix A, "VMX-Fixed Bits in CR0", "... in CR4". */
#include "control.h"
#include "instructions.h"
#include "msr.h"

static struct fault try_write_cr0(ulong value)
{
	struct fault fault;

	asm volatile(TRY("mov %[value], %%cr0")
		     : TRY_RESULT(fault)
		     : [value] "r"(value)
		     : "memory");
	return fault;
}

static struct fault try_write_cr4(ulong value)
{
	struct fault fault;

	asm volatile(TRY("mov %[value], %%cr4")
		     : TRY_RESULT(fault)
		     : [value] "r"(value)
		     : "memory");
	return fault;
}

static void back_to_vmx(void)
{
	vmxon(vmx_on_region());
}

/*
 * The first of the subtests: the library locks the MSR. Only where firmware has not done so
 * before can it be seen that VMXON needs the lock.
 */
static void test_feature_control(void)
{
	u64 value, region;

	if (!cpu_has(FEATURE_VMX)) {
		subtest_skip("the CPU has no VMX");
		return;
	}
	if (fault_raised(rdmsr_safe(MSR_IA32_FEATURE_CONTROL, &value))) {
		subtest_skip("the CPU has no IA32_FEATURE_CONTROL");
		return;
	}
	if (value & FEATURE_CONTROL_LOCK) {
		check_skip("it is locked already", "unlocked");
	} else {
		region = (ulong)vmx_region();
		write_cr0(read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0));
		write_cr4(read_cr4() | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
		check_vmx(vmxon(region), VMX_FAULT(FAULT_GP(0)), "unlocked");
		wrmsr(MSR_IA32_FEATURE_CONTROL, value | FEATURE_CONTROL_VMX);
		check_vmx(vmxon(region), VMX_FAULT(FAULT_GP(0)), "unlocked.enabled");
		wrmsr(MSR_IA32_FEATURE_CONTROL, value);
		write_cr4(read_cr4() & ~CR4_VMXE);
	}
	if (!vmx_ready())
		return;
	check_fault(wrmsr_safe(MSR_IA32_FEATURE_CONTROL, rdmsr(MSR_IA32_FEATURE_CONTROL)),
		    FAULT_GP(0), "locked.write");
	check(rdmsr(MSR_IA32_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK, "locked.stays");
}

static void test_pointer(void)
{
	u32 *region = vmx_region();
	u64 address = (ulong)region;
	u32 revision = *region;

	vmxoff();
	for (unsigned int bit = 0; bit < 12; bit++)
		check_vmx(vmxon(address | 1u << bit), VMX_FAIL_INVALID, "aligned.bit-%u", bit);
	for (unsigned int bit = pointer_bits(); bit < 64; bit++)
		check_vmx(vmxon(address | 1ull << bit), VMX_FAIL_INVALID, "width.bit-%u", bit);
	for (unsigned int bit = 0; bit < 32; bit++) {
		*region = revision ^ 1u << bit;
		check_vmx(vmxon(address), VMX_FAIL_INVALID, "revision.bit-%u", bit);
	}
	*region = revision;
	check_vmx(vmxon(address), VMX_SUCCEED, "legal");
	check_equal(current_vmcs(), NO_VMCS, "no-current-vmcs");
	check_equal(*region, revision, "region");
	check_vmx(vmxoff(), VMX_SUCCEED, "vmxoff");
	check_vmx(vmxon(address), VMX_SUCCEED, "again");
	vmxoff();
	back_to_vmx();
}

/* With a current VMCS the error has a number. */
static void test_in_root(void)
{
	struct pair vmcs = two_vmcss();

	check_vmx(vmxon(vmx_on_region()), VMX_FAIL_INVALID, "no-current-vmcs");
	vmptrld(vmcs.a);
	check_vmx(vmxon(vmx_on_region()), VMX_FAIL_VALID(VM_ERROR_VMXON_IN_ROOT), "same-region");
	check_vmx(vmxon(vmcs.b), VMX_FAIL_VALID(VM_ERROR_VMXON_IN_ROOT), "other-region");
	check_vmx(vmxon(1), VMX_FAIL_VALID(VM_ERROR_VMXON_IN_ROOT), "not-aligned");
	check_equal(current_vmcs(), vmcs.a, "current-vmcs");
	vmclear(vmcs.a);
}

static void test_off(void)
{
	ulong cr4 = read_cr4();

	check_vmx(vmxoff(), VMX_SUCCEED, "off");
	check_vmx(vmxoff(), VMX_FAULT(FAULT_UD), "off.again");
	check_fault(try_write_cr4(cr4 & ~CR4_VMXE), NO_FAULT, "vmxe.cleared");
	check_vmx(vmxon(vmx_on_region()), VMX_FAULT(FAULT_UD), "vmxe.clear.vmxon");
	check_fault(try_write_cr4(cr4), NO_FAULT, "vmxe.set");
	check_vmx(vmxon(vmx_on_region()), VMX_SUCCEED, "vmxe.set.vmxon");
}

/*
 * Bits that IA32_VMX_CR0_FIXED0 and CR4_FIXED0 want to be 1: VMXON with one of them clear is
 * #GP(0), VMXE apart. PE cannot be clear here (see old_modes.c), and PG not in 64-bit mode.
 */
static void test_fixed_outside(void)
{
	ulong cr0 = read_cr0(), cr4 = read_cr4();
	ulong fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0) & ~(ulong)(CR0_PE | CR0_PG);
	ulong fixed4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0) & ~(ulong)CR4_VMXE;

	vmxoff();
	for (unsigned int bit = 0; bit < 32; bit++) {
		if (fixed0 >> bit & 1) {
			write_cr0(cr0 & ~(1ul << bit));
			check_vmx(vmxon(vmx_on_region()), VMX_FAULT(FAULT_GP(0)), "cr0.bit-%u",
				  bit);
			write_cr0(cr0);
		}
		if (fixed4 >> bit & 1) {
			write_cr4(cr4 & ~(1ul << bit));
			check_vmx(vmxon(vmx_on_region()), VMX_FAULT(FAULT_GP(0)), "cr4.bit-%u",
				  bit);
			write_cr4(cr4);
		}
	}
	check_vmx(vmxon(vmx_on_region()), VMX_SUCCEED, "legal");
}

#ifndef __x86_64__
/* The image is mapped to where it lies: it goes on, and takes a fault, without paging as well. */
static void test_paging_off(void)
{
	ulong cr0 = read_cr0(), unpaged_cr0;
	struct vmx_result unpaged, paged;

	vmxoff();
	write_cr0(cr0 & ~(ulong)CR0_PG);
	unpaged_cr0 = read_cr0();
	unpaged = vmxon(vmx_on_region());
	write_cr0(cr0);
	vmxoff();
	paged = vmxon(vmx_on_region());
	check_equal(unpaged_cr0 & CR0_PG, 0, "off.cr0");
	check_vmx(unpaged, VMX_FAULT(FAULT_GP(0)), "off");
	check_vmx(paged, VMX_SUCCEED, "on");
}

VMX_SUBTEST("fixed-bits-paging", test_paging_off);
#endif

/* In VMX operation no MOV may change a bit that is fixed. */
static void test_fixed_inside(void)
{
	ulong cr0 = read_cr0(), cr4 = read_cr4();
	ulong must0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0), must4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	ulong may4 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);

	for (unsigned int bit = 0; bit < 32; bit++) {
		if (must0 >> bit & 1)
			check_fault(try_write_cr0(cr0 & ~(1ul << bit)), FAULT_GP(0), "cr0.bit-%u",
				    bit);
		if (must4 >> bit & 1)
			check_fault(try_write_cr4(cr4 & ~(1ul << bit)), FAULT_GP(0), "cr4.bit-%u",
				    bit);
		if (!(may4 >> bit & 1))
			check_fault(try_write_cr4(cr4 | 1ul << bit), FAULT_GP(0),
				    "cr4.bit-%u.not-allowed", bit);
	}
	check_equal(read_cr0(), cr0, "cr0");
	check_equal(read_cr4(), cr4, "cr4");
	check_fault(try_write_cr0(cr0 ^ CR0_WP), NO_FAULT, "cr0.wp");
	write_cr0(cr0);
}

/* IA32_VMX_CR0_FIXED1 and CR4_FIXED1 allow all that FIXED0 wants, and what is set now. */
static void test_fixed_msrs(void)
{
	u64 must0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0), may0 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	u64 must4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0), may4 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);

	check_equal(must0 & ~may0, 0, "cr0.must-and-may");
	check_equal(must4 & ~may4, 0, "cr4.must-and-may");
	check_equal(must0 & (CR0_PE | CR0_NE | CR0_PG), CR0_PE | CR0_NE | CR0_PG, "cr0.must");
	check_equal(must4 & CR4_VMXE, CR4_VMXE, "cr4.must");
	check_equal(may0 & 0xffffffff, 0xffffffff, "cr0.may");
	check_equal(read_cr4() & ~may4, 0, "cr4.may");
}

SUBTEST("feature-control", test_feature_control);
VMX_SUBTEST("vmxon-pointer", test_pointer);
VMX_SUBTEST("vmxon-in-root", test_in_root);
VMX_SUBTEST("vmxoff", test_off);
VMX_SUBTEST("fixed-bits-msrs", test_fixed_msrs);
VMX_SUBTEST("fixed-bits-vmxon", test_fixed_outside);
VMX_SUBTEST("fixed-bits-mov", test_fixed_inside);
