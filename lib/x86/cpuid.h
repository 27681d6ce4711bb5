/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID. A feature is one token that encodes leaf, subleaf, register and bit:
 * cpu_has(FEATURE_XSAVE). Names and places: SDM volume 2A, CPUID; APM volume 3,
 * appendix E; for the hypervisor's leaves, KVM's Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef LIB_X86_CPUID_H
#define LIB_X86_CPUID_H

#include "types.h"

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_count(u32 leaf, u32 subleaf)
{
	struct cpuid c;

	asm volatile("cpuid"
		     : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
		     : "a"(leaf), "c"(subleaf)
		     : "memory");
	return c;
}

static inline struct cpuid cpuid(u32 leaf)
{
	return cpuid_count(leaf, 0);
}

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* leaf in bits 63:32, subleaf in 31:16, register in 15:8, bit in 7:0 */
#define CPUID_FEATURE(leaf, subleaf, register, bit)                                                \
	((u64)(leaf) << 32 | (u64)(subleaf) << 16 | (u64)CPUID_##register << 8 | (bit))

#define FEATURE_SSE3		 CPUID_FEATURE(0x1, 0, ECX, 0)
#define FEATURE_MWAIT		 CPUID_FEATURE(0x1, 0, ECX, 3)
#define FEATURE_VMX		 CPUID_FEATURE(0x1, 0, ECX, 5)
#define FEATURE_CX16		 CPUID_FEATURE(0x1, 0, ECX, 13)
#define FEATURE_PCID		 CPUID_FEATURE(0x1, 0, ECX, 17)
#define FEATURE_X2APIC		 CPUID_FEATURE(0x1, 0, ECX, 21)
#define FEATURE_TSC_DEADLINE	 CPUID_FEATURE(0x1, 0, ECX, 24)
#define FEATURE_XSAVE		 CPUID_FEATURE(0x1, 0, ECX, 26)
#define FEATURE_OSXSAVE		 CPUID_FEATURE(0x1, 0, ECX, 27)
#define FEATURE_AVX		 CPUID_FEATURE(0x1, 0, ECX, 28)
#define FEATURE_HYPERVISOR	 CPUID_FEATURE(0x1, 0, ECX, 31)
#define FEATURE_FPU		 CPUID_FEATURE(0x1, 0, EDX, 0)
#define FEATURE_DE		 CPUID_FEATURE(0x1, 0, EDX, 2)
#define FEATURE_PSE		 CPUID_FEATURE(0x1, 0, EDX, 3)
#define FEATURE_TSC		 CPUID_FEATURE(0x1, 0, EDX, 4)
#define FEATURE_MSR		 CPUID_FEATURE(0x1, 0, EDX, 5)
#define FEATURE_PAE		 CPUID_FEATURE(0x1, 0, EDX, 6)
#define FEATURE_CX8		 CPUID_FEATURE(0x1, 0, EDX, 8)
#define FEATURE_APIC		 CPUID_FEATURE(0x1, 0, EDX, 9)
#define FEATURE_SEP		 CPUID_FEATURE(0x1, 0, EDX, 11)
#define FEATURE_MTRR		 CPUID_FEATURE(0x1, 0, EDX, 12)
#define FEATURE_PGE		 CPUID_FEATURE(0x1, 0, EDX, 13)
#define FEATURE_MCA		 CPUID_FEATURE(0x1, 0, EDX, 14)
#define FEATURE_CMOV		 CPUID_FEATURE(0x1, 0, EDX, 15)
#define FEATURE_PAT		 CPUID_FEATURE(0x1, 0, EDX, 16)
#define FEATURE_PSE36		 CPUID_FEATURE(0x1, 0, EDX, 17)
#define FEATURE_CLFLUSH		 CPUID_FEATURE(0x1, 0, EDX, 19)
#define FEATURE_MMX		 CPUID_FEATURE(0x1, 0, EDX, 23)
#define FEATURE_FXSR		 CPUID_FEATURE(0x1, 0, EDX, 24)
#define FEATURE_SSE		 CPUID_FEATURE(0x1, 0, EDX, 25)
#define FEATURE_SSE2		 CPUID_FEATURE(0x1, 0, EDX, 26)

#define FEATURE_FSGSBASE	 CPUID_FEATURE(0x7, 0, EBX, 0)
#define FEATURE_HLE		 CPUID_FEATURE(0x7, 0, EBX, 4)
#define FEATURE_AVX2		 CPUID_FEATURE(0x7, 0, EBX, 5)
#define FEATURE_SMEP		 CPUID_FEATURE(0x7, 0, EBX, 7)
#define FEATURE_ERMS		 CPUID_FEATURE(0x7, 0, EBX, 9)
#define FEATURE_INVPCID		 CPUID_FEATURE(0x7, 0, EBX, 10)
#define FEATURE_RTM		 CPUID_FEATURE(0x7, 0, EBX, 11)
#define FEATURE_AVX512F		 CPUID_FEATURE(0x7, 0, EBX, 16)
#define FEATURE_SMAP		 CPUID_FEATURE(0x7, 0, EBX, 20)
#define FEATURE_UMIP		 CPUID_FEATURE(0x7, 0, ECX, 2)
#define FEATURE_PKU		 CPUID_FEATURE(0x7, 0, ECX, 3)
#define FEATURE_LA57		 CPUID_FEATURE(0x7, 0, ECX, 16)
#define FEATURE_BUS_LOCK_DETECT	 CPUID_FEATURE(0x7, 0, ECX, 24)

#define FEATURE_XSAVEOPT	 CPUID_FEATURE(0xd, 1, EAX, 0)
#define FEATURE_XSAVEC		 CPUID_FEATURE(0xd, 1, EAX, 1)
#define FEATURE_XGETBV1		 CPUID_FEATURE(0xd, 1, EAX, 2)
#define FEATURE_LAM		 CPUID_FEATURE(0x7, 1, EAX, 26) /* CR3 bits 62:61 */
#define FEATURE_XSAVES		 CPUID_FEATURE(0xd, 1, EAX, 3)

#define FEATURE_SVM		 CPUID_FEATURE(0x80000001, 0, ECX, 2)
#define FEATURE_NX		 CPUID_FEATURE(0x80000001, 0, EDX, 20)
#define FEATURE_GBPAGES		 CPUID_FEATURE(0x80000001, 0, EDX, 26)
#define FEATURE_RDTSCP		 CPUID_FEATURE(0x80000001, 0, EDX, 27)
#define FEATURE_LM		 CPUID_FEATURE(0x80000001, 0, EDX, 29)

#define FEATURE_INVARIANT_TSC	 CPUID_FEATURE(0x80000007, 0, EDX, 8)

/* KVM's own leaf; only meaningful where hypervisor_is("KVMKVMKVM"). */
#define FEATURE_KVM_PV_EOI	 CPUID_FEATURE(0x40000001, 0, EAX, 6)
#define FEATURE_KVM_POLL_CONTROL CPUID_FEATURE(0x40000001, 0, EAX, 12)

/* False as well for a leaf that the CPU (or hypervisor) does not have. */
bool cpu_has(u64 feature);

/* MAXPHYADDR: the bits of a physical address. SDM volume 3A, 4.1.4. */
unsigned int cpu_physical_address_bits(void);

/* The bits of a linear address: 32, 48 or 57. */
unsigned int cpu_linear_address_bits(void);

bool cpu_is_amd(void);

/*
 * The signature at leaf 0x40000000 without its trailing NULs, "" on bare metal.
 * The result points to a buffer that the next call fills again.
 */
const char *hypervisor_signature(void);
bool hypervisor_is(const char *signature);

#endif
