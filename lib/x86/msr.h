/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers. SDM volume 4; APM volume 2, appendix A; KVM's msr.rst. */
#ifndef LIB_X86_MSR_H
#define LIB_X86_MSR_H

#include "extable.h"
#include "types.h"

#define MSR_IA32_TSC			0x10
#define MSR_IA32_APIC_BASE		0x1b
#define MSR_IA32_FEATURE_CONTROL	0x3a
#define MSR_IA32_TSC_ADJUST		0x3b
#define MSR_IA32_MTRRCAP		0xfe
#define MSR_IA32_SYSENTER_CS		0x174
#define MSR_IA32_SYSENTER_ESP		0x175
#define MSR_IA32_SYSENTER_EIP		0x176
#define MSR_IA32_MISC_ENABLE		0x1a0
#define MSR_IA32_DEBUGCTL		0x1d9
#define MSR_IA32_PAT			0x277
#define MSR_IA32_PERF_GLOBAL_CTRL	0x38f
#define MSR_IA32_MTRR_DEF_TYPE		0x2ff
#define MSR_IA32_TSC_DEADLINE		0x6e0
#define MSR_X2APIC_BASE			0x800
#define MSR_IA32_XSS			0xda0
#define MSR_EFER			0xc0000080
#define MSR_STAR			0xc0000081
#define MSR_LSTAR			0xc0000082
#define MSR_CSTAR			0xc0000083
#define MSR_SYSCALL_MASK		0xc0000084
#define MSR_FS_BASE			0xc0000100
#define MSR_GS_BASE			0xc0000101
#define MSR_KERNEL_GS_BASE		0xc0000102
#define MSR_TSC_AUX			0xc0000103
#define MSR_KVM_POLL_CONTROL		0x4b564d05

#define APIC_BASE_BSP			BIT(8)
#define APIC_BASE_X2APIC		BIT(10)
#define APIC_BASE_ENABLE		BIT(11)

#define EFER_SCE			BIT(0)
#define EFER_LME			BIT(8)
#define EFER_LMA			BIT(10)
#define EFER_NX				BIT(11)
#define EFER_SVME			BIT(12)

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* For an MSR that may not be there: the fault, and 0 in *value with one. */
static inline struct fault rdmsr_safe(u32 msr, u64 *value)
{
	struct fault fault;
	u32 low = 0, high = 0;

	/* EAX is both the fault's and RDMSR's: it moves to ESI where there was no fault. */
	asm volatile("xorl %[low], %[low]\n"
		     TRY("rdmsr\n"
			 "movl %%eax, %[low]\n"
			 "movl $0, %%eax")
		     : TRY_RESULT(fault), [low] "=&S"(low), "+d"(high)
		     : "c"(msr)
		     : "memory", "cc");
	*value = fault_raised(fault) ? 0 : (u64)high << 32 | low;
	return fault;
}

static inline struct fault wrmsr_safe(u32 msr, u64 value)
{
	struct fault fault;

	asm volatile(TRY_WITH_EAX("wrmsr")
		     : "=a"(fault.value)
		     : "c"(msr), "0"((u32)value), "d"((u32)(value >> 32))
		     : "memory", "cc");
	return fault;
}

/* The same on one CPU, by smp_call(). */
struct fault rdmsr_on_cpu(unsigned int cpu, u32 msr, u64 *value);
struct fault wrmsr_on_cpu(unsigned int cpu, u32 msr, u64 value);

#endif
