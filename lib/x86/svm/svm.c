// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "report.h"
#include "smp.h"
#include "svm/svm.h"

static void *save_areas[MAX_CPUS];

u32 svm_asids(void)
{
	return cpuid(0x8000000a).ebx;
}

u64 svm_host_save_area(void)
{
	return (ulong)save_areas[cpu_index()];
}

static void enable(void *unused)
{
	apic_enable();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, svm_host_save_area());
}

/* A hypervisor may leave the MSR out: then nothing keeps SVM off. */
static bool is_disabled(void)
{
	u64 vm_cr;

	return !fault_raised(rdmsr_safe(MSR_VM_CR, &vm_cr)) && vm_cr & VM_CR_SVMDIS;
}

bool svm_ready(void)
{
	static bool enabled;

	if (!cpu_has(FEATURE_SVM)) {
		subtest_skip("the CPU has no SVM");
		return false;
	}
	if (!enabled && is_disabled()) {
		subtest_skip("SVM is switched off (VM_CR.SVMDIS)");
		return false;
	}
	if (!enabled) {
		for (unsigned int i = 0; i < cpu_count(); i++)
			save_areas[i] = page_alloc();
		on_all_cpus(enable, NULL);
		enabled = true;
	}
	return true;
}
