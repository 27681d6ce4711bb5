/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Being a hypervisor with SVM: APM volume 2, chapter 15. Features, the instructions, and
 * what each CPU needs for VMRUN.
 */
#ifndef LIB_X86_SVM_SVM_H
#define LIB_X86_SVM_SVM_H

#include "cpuid.h"
#include "extable.h"
#include "svm/vmcb.h"

#define MSR_TSC_RATIO		   0xc0000104
#define MSR_VM_CR		   0xc0010114
#define MSR_VM_HSAVE_PA		   0xc0010117

#define VM_CR_DPD		   BIT(0)
#define VM_CR_R_INIT		   BIT(1)
#define VM_CR_DIS_A20M		   BIT(2)
#define VM_CR_LOCK		   BIT(3)
#define VM_CR_SVMDIS		   BIT(4)

#define FEATURE_SVM_NP		   CPUID_FEATURE(0x8000000a, 0, EDX, 0)
#define FEATURE_SVM_LBRV	   CPUID_FEATURE(0x8000000a, 0, EDX, 1)
#define FEATURE_SVM_LOCK	   CPUID_FEATURE(0x8000000a, 0, EDX, 2)
#define FEATURE_SVM_NRIPS	   CPUID_FEATURE(0x8000000a, 0, EDX, 3)
#define FEATURE_SVM_TSC_RATE	   CPUID_FEATURE(0x8000000a, 0, EDX, 4)
#define FEATURE_SVM_FLUSH_BY_ASID  CPUID_FEATURE(0x8000000a, 0, EDX, 6)
#define FEATURE_SVM_DECODE_ASSISTS CPUID_FEATURE(0x8000000a, 0, EDX, 7)
#define FEATURE_SVM_PAUSE_FILTER   CPUID_FEATURE(0x8000000a, 0, EDX, 10)
#define FEATURE_SVM_AVIC	   CPUID_FEATURE(0x8000000a, 0, EDX, 13)
#define FEATURE_SVM_VGIF	   CPUID_FEATURE(0x8000000a, 0, EDX, 16)
#define FEATURE_SVM_VNMI	   CPUID_FEATURE(0x8000000a, 0, EDX, 25)

#define FEATURE_SKINIT		   CPUID_FEATURE(0x80000001, 0, ECX, 12)
#define FEATURE_RDPRU		   CPUID_FEATURE(0x80000008, 0, EBX, 4)
#define FEATURE_MCOMMIT		   CPUID_FEATURE(0x80000008, 0, EBX, 8)
#define FEATURE_INVLPGB		   CPUID_FEATURE(0x80000008, 0, EBX, 3)

/* Address space identifiers, 0 being the host's: 0 to svm_asids() - 1. */
u32 svm_asids(void);

/*
 * True if this CPU has SVM and VM_CR does not keep it off; else skips the subtest, which
 * then returns. Turns SVM on on all CPUs: EFER.SVME, a host save area each, GIF 1.
 */
bool svm_ready(void);

/* The host save area that the calling CPU was given. */
u64 svm_host_save_area(void);

/* Sizes of the permission maps, in bytes, and their bits. 15.10.1, 15.11. */
#define IOPM_SIZE  (3 * 4096)
#define MSRPM_SIZE (2 * 4096)

/* Instructions whose operand is a physical address in rAX; #UD, #GP and others are values. */
#define DEFINE_SVM_INSTRUCTION(name)                                                               \
	static inline struct fault svm_##name(u64 address)                                         \
	{                                                                                          \
		struct fault fault;                                                                \
                                                                                                   \
		asm volatile(TRY_WITH_EAX(#name)                                                   \
			     : "=a"(fault.value)                                                   \
			     : "0"((ulong)address)                                                 \
			     : "memory", "cc");                                                    \
		return fault;                                                                      \
	}

/* VMRUN here is for addresses that it must refuse: no register of a guest would be kept. */
DEFINE_SVM_INSTRUCTION(vmrun)
DEFINE_SVM_INSTRUCTION(vmload)
DEFINE_SVM_INSTRUCTION(vmsave)
#undef DEFINE_SVM_INSTRUCTION

static inline void stgi(void)
{
	asm volatile("stgi" : : : "memory");
}

static inline void clgi(void)
{
	asm volatile("clgi" : : : "memory");
}

static inline void invlpga(const void *address, u32 asid)
{
	asm volatile("invlpga" : : "a"(address), "c"(asid) : "memory");
}

#endif
