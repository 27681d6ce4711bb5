// SPDX-License-Identifier: BSD-2-Clause
#include "vmx/test.h"

TEST_SUMMARY("smoke");
TEST_MANUAL("SDM volume 3C");

VMX_TEST("cpuid", "cpuid", .exits = { { EXIT_CPUID } });
VMX_TEST("hlt", "hlt", .exits = { { EXIT_HLT } });
VMX_TEST("rdtsc", "rdtsc", .controls = CONTROLS(VMX_PRIMARY_RDTSC_EXITING), .exits = { { EXIT_RDTSC } });
VMX_TEST("long", "hlt", .mode = L2_LONG, .exits = { { EXIT_HLT } });
VMX_TEST("compat", ".code32\n .byte 0x40; hlt", .mode = L2_COMPAT, .exits = { { EXIT_HLT } });
VMX_TEST("pae", ".code32\n inc %eax; hlt", .mode = L2_PAE, .exits = { { EXIT_HLT } });
VMX_TEST("32", ".code32\n inc %eax; hlt", .mode = L2_32BIT, .exits = { { EXIT_HLT } });
VMX_TEST("prot", ".code32\n inc %eax; hlt", .mode = L2_PROTECTED, .exits = { { EXIT_HLT } });
VMX_TEST("real", ".code16\n push %ax; mov $1, %ax; hlt", .mode = L2_REAL, .exits = { { EXIT_HLT } });
VMX_TEST("v86", ".code16\n push %ax; mov $1, %ax; cpuid", .mode = L2_V8086, .exits = { { EXIT_CPUID } });
VMX_TEST("ept", "hlt", .controls = CONTROLS(VMX_SECONDARY_EPT), .setup = vmx_ept, .exits = { { EXIT_HLT } });

L2_CODE(ud, "ud2");
static void test_ud(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, ud);
	vmx_run(guest);
	check_exception(guest, FAULT_UD, "ud");
	check_vmx(vmclear(1), VMX_FAIL_VALID(2), "clear");
}
VMX_SUBTEST("ud", test_ud);

static void add(void *argument)
{
	*(u32 *)argument += fault_vector(fault_of("ud2"));
}

static void test_call(void)
{
	u32 n = 1;
	struct vmx_guest *guest = vmx_guest_call(add, &n);

	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(n, 7, "n");
}
VMX_SUBTEST("call", test_call);
