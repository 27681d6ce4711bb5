/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface: features, MSRs and hypercalls. Linux,
 * Documentation/virt/kvm/x86/: cpuid.rst, msr.rst, hypercalls.rst. Only to be
 * used where hypervisor_is("KVMKVMKVM").
 */
#ifndef LIB_X86_KVM_PARA_H
#define LIB_X86_KVM_PARA_H

#include "cpuid.h"
#include "fault.h"
#include "types.h"

#define FEATURE_KVM_STEAL_TIME	   CPUID_FEATURE(0x40000001, 0, EAX, 5)
#define FEATURE_KVM_PV_UNHALT	   CPUID_FEATURE(0x40000001, 0, EAX, 7)
#define FEATURE_KVM_PV_SEND_IPI	   CPUID_FEATURE(0x40000001, 0, EAX, 11)
#define FEATURE_KVM_PV_SCHED_YIELD CPUID_FEATURE(0x40000001, 0, EAX, 13)

#define MSR_KVM_STEAL_TIME	   0x4b564d03
#define KVM_STEAL_TIME_ENABLE	   BIT(0)

#define KVM_HC_KICK_CPU		   5
#define KVM_HC_SEND_IPI		   10
#define KVM_HC_SCHED_YIELD	   11

#define KVM_HC_UNKNOWN		   0x7fff /* a number that KVM will hardly ever give out */

#define KVM_ENOSYS		   1000

/* 64 bytes, aligned to 64; written by the host. */
struct kvm_steal_time {
	u64 steal; /* nanoseconds that this CPU wanted to run and did not */
	u32 version, flags;
	u8 preempted, padding[3];
	u32 reserved[11];
} __aligned(64);

/*
 * A hypercall with up to four arguments: VMMCALL on AMD, else VMCALL (KVM takes the
 * wrong one too, at a cost). The result is signed; a fault goes to *fault.
 */
long kvm_hypercall(ulong number, ulong a, ulong b, ulong c, ulong d, struct fault *fault);

#endif
