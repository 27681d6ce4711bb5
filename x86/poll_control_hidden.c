// SPDX-License-Identifier: BSD-2-Clause
/*
 * MSR_KVM_POLL_CONTROL without its feature bit. KVM lets a guest use a paravirtual
 * MSR that CPUID does not show, unless the VMM has asked for
 * KVM_CAP_ENFORCE_PV_FEATURE_CPUID: then what CPUID does not show is not there, and
 * both RDMSR and WRMSR are #GP(0). A guest that could switch polling anyway would
 * be controlling the host in a way that its owner has taken away.
 *
 * KVM's Documentation/virt/kvm/api.rst (KVM_CAP_ENFORCE_PV_FEATURE_CPUID) and
 * x86/msr.rst (MSR_KVM_POLL_CONTROL). The word enforced=1 tells that the capability is
 * on; without it access is reported, not judged.
 */
#include "args.h"
#include "cpuid.h"
#include "msr.h"
#include "report.h"
#include "smp.h"

TEST_SUMMARY("HLT polling control is out of reach where its feature bit is hidden for good");
TEST_MANUAL("KVM, Documentation/virt/kvm/api.rst, \"KVM_CAP_ENFORCE_PV_FEATURE_CPUID\"");
TEST_NEEDS("KVM without KVM_FEATURE_POLL_CONTROL");

static bool on_kvm(void)
{
	if (hypervisor_is("KVMKVMKVM"))
		return true;
	subtest_skip("not KVM: the hypervisor's signature is \"%s\"", hypervisor_signature());
	return false;
}

static void test_cpuid(void)
{
	if (on_kvm())
		check_equal(cpu_has(FEATURE_KVM_POLL_CONTROL), false, "feature-bit");
}

SUBTEST("cpuid", test_cpuid);

static void check_access(struct fault fault, const char *access, unsigned int cpu)
{
	if (args_value("enforced")) {
		check_fault(fault, FAULT_GP(0), "cpu-%u.%s", cpu, access);
		return;
	}
	diagnostic("cpu %u %s, not enforced: %pe", cpu, access, &fault);
}

static void test_access(void)
{
	u64 value;

	if (!on_kvm())
		return;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		check_access(rdmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, &value), "read", cpu);
		check_access(wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, 0), "write-0", cpu);
		check_access(wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, 1), "write-1", cpu);
		/* Reserved bits: #GP in any case. */
		check_fault(wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, 2), FAULT_GP(0),
			    "cpu-%u.write-2", cpu);
	}
}

SUBTEST("access", test_access);
