// SPDX-License-Identifier: BSD-2-Clause
/*
 * The VMX instructions, each by the pseudocode of SDM volume 3C, "VMX Instruction Reference":
 * what is #UD, what #GP(0), what VMfailInvalid or VMfailValid with which error number, and in
 * which order these are looked at; and the states of a VMCS (volume 3C, "Software Use of the
 * Virtual-Machine Control Structure"): active or not, current or not, clear or launched.
 *
 * A hypervisor that offers VMX to its guest executes all of this in software, and none of it in
 * the way of its own use of VMX. Checks that it leaves out are found late, since a guest that
 * is right never meets them.
 *
 *	vmxon.c		VMXON, VMXOFF, IA32_FEATURE_CONTROL, bits of CR0 and CR4 that are fixed
 *	pointers.c	VMCLEAR, VMPTRLD and VMPTRST: the operand, which VMCS is current
 *	launch.c	VMLAUNCH and VMRESUME: the launch state; errors of all instructions
 *	fields.c	VMREAD and VMWRITE of every encoding
 *	invalidate.c	INVEPT and INVVPID: types and descriptors
 *	privilege.c	rings, modes, and VMX operation off
 */
#include "instructions.h"
#include "msr.h"

TEST_SUMMARY("each VMX instruction faults, fails and succeeds as its pseudocode says");
TEST_MANUAL("SDM volume 3C, \"VMX Instruction Reference\"");
TEST_MANUAL("SDM volume 3C, \"VM Instruction Error Numbers\"");
TEST_MANUAL("SDM volume 3C, \"Software Use of the Virtual-Machine Control Structure\"");
TEST_MANUAL("SDM volume 3D, appendix B, \"Field Encoding in VMCS\"");
TEST_NEEDS("VMX");

struct pair two_vmcss(void)
{
	static void *a, *b;

	if (!a) {
		a = vmx_region();
		b = vmx_region();
	}
	vmclear((ulong)a);
	vmclear((ulong)b);
	/* The one that was current may be a guest's. */
	if (current_vmcs() != NO_VMCS)
		vmclear(current_vmcs());
	return (struct pair){ (ulong)a, (ulong)b };
}

u64 current_vmcs(void)
{
	u64 address = 0;

	vmptrst(&address);
	return address;
}

unsigned int pointer_bits(void)
{
	return rdmsr(MSR_IA32_VMX_BASIC) & BIT_ULL(48) ? 32 : cpu_physical_address_bits();
}
