// SPDX-License-Identifier: BSD-2-Clause
#include "svm/test.h"

TEST_SUMMARY("smoke");
TEST_MANUAL("APM volume 2, 15.5");

SVM_TEST("cpuid", "cpuid", .intercepts = EXITCODES(VMEXIT_CPUID), .exits = { { VMEXIT_CPUID } });
SVM_TEST("hlt", "hlt", .exits = { { VMEXIT_HLT } });
SVM_TEST("long", "hlt", .mode = L2_LONG, .exits = { { VMEXIT_HLT } });
SVM_TEST("compat", ".code32\n .byte 0x40; hlt", .mode = L2_COMPAT, .exits = { { VMEXIT_HLT } });
SVM_TEST("pae", ".code32\n inc %eax; hlt", .mode = L2_PAE, .exits = { { VMEXIT_HLT } });
SVM_TEST("32", ".code32\n inc %eax; hlt", .mode = L2_32BIT, .exits = { { VMEXIT_HLT } });
SVM_TEST("prot", ".code32\n inc %eax; hlt", .mode = L2_PROTECTED, .exits = { { VMEXIT_HLT } });
SVM_TEST("real", ".code16\n push %ax; mov $1, %ax; hlt", .mode = L2_REAL, .exits = { { VMEXIT_HLT } });
SVM_TEST("v86", ".code16\n push %ax; int3; nop", .mode = L2_V8086, .exits = { { VMEXIT_EXCP + 3 } });
SVM_TEST("ud", "ud2", .exits = { { VMEXIT_EXCP + 6 } });
SVM_TEST("npt", "hlt", .setup = svm_nested_paging, .exits = { { VMEXIT_HLT } });

static void add(void *argument)
{
	*(u32 *)argument += fault_vector(fault_of("ud2"));
}

static void test_call(void)
{
	u32 n = 1;
	struct svm_guest *guest = svm_guest_call(add, &n);

	svm_no_intercept(guest, VMEXIT_EXCP + 6);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(n, 7, "n");
}
SVM_SUBTEST("call", test_call);
