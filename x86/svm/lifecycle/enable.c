// SPDX-License-Identifier: BSD-2-Clause
/*
 * SVM off and on: EFER.SVME (APM volume 2, 15.4 "Enabling SVM"; APM volume 3: the instructions
 * are #UD without), VM_CR (15.30.1): with SVMDIS set EFER.SVME cannot be set, which cannot be
 * set itself while SVME is 1; LOCK keeps both bits as they are.
 */
#include "cpuid.h"
#include "msr.h"
#include "report.h"
#include "svm/test.h"

L2_CODE(end_at_once, "vmmcall\n ud2");

/* Operands that harm nobody where an instruction is not refused: a page of its own. */
#define WITH_PAGE(instruction)                                                                     \
	({                                                                                         \
		struct fault fault_;                                                               \
		asm volatile(TRY_WITH_EAX(instruction)                                             \
			     : "=a"(fault_.value)                                                  \
			     : "0"((ulong)spare), "c"(0)                                           \
			     : "memory", "cc", "ebx");                                             \
		fault_;                                                                            \
	})

static u8 spare[4096] __aligned(4096);

static void write_svme(bool on)
{
	u64 efer = rdmsr(MSR_EFER) & ~EFER_SVME;

	wrmsr(MSR_EFER, efer | (on ? EFER_SVME : 0));
}

static void check_undefined(void)
{
	check_fault(WITH_PAGE("vmload"), FAULT_UD, "vmload");
	check_fault(WITH_PAGE("vmsave"), FAULT_UD, "vmsave");
	check_fault(WITH_PAGE("vmrun"), FAULT_UD, "vmrun");
	check_fault(WITH_PAGE("invlpga"), FAULT_UD, "invlpga");
	check_fault(fault_of("clgi"), FAULT_UD, "clgi");
	/* STGI belongs to SKINIT as well. */
	if (!cpu_has(FEATURE_SKINIT))
		check_fault(fault_of("stgi"), FAULT_UD, "stgi");
}

static void test_svme(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, end_at_once);
	u64 area = rdmsr(MSR_VM_HSAVE_PA);

	for (unsigned int i = 0; i < 3; i++) {
		prefix_push("round-%u", i);
		write_svme(false);
		check_equal(rdmsr(MSR_EFER) & EFER_SVME, 0, "off");
		check_undefined();
		check(cpu_has(FEATURE_SVM), "cpuid");
		write_svme(true);
		check_equal(rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME, "on");
		check_equal(rdmsr(MSR_VM_HSAVE_PA), area, "host-save-area");
		guest->vmcb->save.rip = (ulong)end_at_once;
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "exit");
		prefix_pop();
	}
}

SVM_SUBTEST("svme-off-and-on", test_svme);

/* 15.4: VMMCALL that nobody intercepts is #UD, with SVME or without. */
static void test_vmmcall_in_host(void)
{
	check_fault(fault_of("vmmcall"), FAULT_UD, "svme");
	write_svme(false);
	check_fault(fault_of("vmmcall"), FAULT_UD, "no-svme");
	write_svme(true);
}

SVM_SUBTEST("vmmcall-in-host", test_vmmcall_in_host);

/* SKINIT would start the machine anew, so it is not executed where there is one. */
static void test_skinit(void)
{
	if (!svm_ready())
		return;
	if (cpu_has(FEATURE_SKINIT)) {
		subtest_skip("the CPU has SKINIT");
		return;
	}
	check_fault(WITH_PAGE(".byte 0x0f, 0x01, 0xde"), FAULT_UD, "svme");
	write_svme(false);
	check_fault(WITH_PAGE(".byte 0x0f, 0x01, 0xde"), FAULT_UD, "no-svme");
	write_svme(true);
}

SUBTEST("skinit-absent", test_skinit);

static bool vm_cr_is_there(u64 *value)
{
	if (!svm_ready())
		return false;
	if (fault_raised(rdmsr_safe(MSR_VM_CR, value))) {
		subtest_skip("there is no VM_CR");
		return false;
	}
	return true;
}

static void test_svmdis(void)
{
	u64 vm_cr, now = 0;

	if (!vm_cr_is_there(&vm_cr))
		return;
	if (vm_cr & VM_CR_LOCK) {
		subtest_skip("VM_CR is locked");
		return;
	}
	check_fault(wrmsr_safe(MSR_VM_CR, vm_cr | VM_CR_SVMDIS), FAULT_GP(0), "with-svme");
	rdmsr_safe(MSR_VM_CR, &now);
	check_equal(now, vm_cr, "with-svme.value");

	write_svme(false);
	check_fault(wrmsr_safe(MSR_VM_CR, vm_cr | VM_CR_SVMDIS), NO_FAULT, "set");
	rdmsr_safe(MSR_VM_CR, &now);
	check_equal(now, vm_cr | VM_CR_SVMDIS, "set.value");
	check(cpu_has(FEATURE_SVM), "set.cpuid");
	check_fault(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME), FAULT_GP(0), "set.svme");
	check_equal(rdmsr(MSR_EFER) & EFER_SVME, 0, "set.svme.value");

	write_svme(false);
	check_fault(wrmsr_safe(MSR_VM_CR, vm_cr), NO_FAULT, "clear");
	check_fault(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME), NO_FAULT, "clear.svme");
	check_equal(rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME, "clear.svme.value");
}

SUBTEST("svmdis", test_svmdis);

/* Until reset; so with SVMDIS clear, and other subtests still have SVM. */
static void test_lock(void)
{
	struct svm_guest *guest;
	u64 vm_cr, now = 0;

	if (!vm_cr_is_there(&vm_cr))
		return;
	if (!cpu_has(FEATURE_SVM_LOCK)) {
		subtest_skip("the CPU has no SVM lock");
		return;
	}
	write_svme(false);
	check_fault(wrmsr_safe(MSR_VM_CR, vm_cr | VM_CR_LOCK), NO_FAULT, "set");
	rdmsr_safe(MSR_VM_CR, &now);
	check_equal(now, vm_cr | VM_CR_LOCK, "set.value");
	/* Writes of the two bits are ignored. */
	check_fault(wrmsr_safe(MSR_VM_CR, now | VM_CR_SVMDIS), NO_FAULT, "svmdis");
	rdmsr_safe(MSR_VM_CR, &now);
	check_equal(now, vm_cr | VM_CR_LOCK, "svmdis.value");
	check_fault(wrmsr_safe(MSR_VM_CR, now & ~VM_CR_LOCK), NO_FAULT, "unlock");
	rdmsr_safe(MSR_VM_CR, &now);
	check_equal(now, vm_cr | VM_CR_LOCK, "unlock.value");
	check_fault(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME), NO_FAULT, "svme");
	guest = svm_guest(L2_NATIVE, end_at_once);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	svm_check_invariants();
}

SUBTEST("svm-lock", test_lock);
