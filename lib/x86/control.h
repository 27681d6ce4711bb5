/* SPDX-License-Identifier: BSD-2-Clause */
/* Control and debug registers, EFLAGS. SDM volume 3A, chapter 2. */
#ifndef LIB_X86_CONTROL_H
#define LIB_X86_CONTROL_H

#ifndef __ASSEMBLER__
#include "types.h"
#else
#define BIT(n) (1 << (n))
#endif

#define CR0_PE		BIT(0)
#define CR0_MP		BIT(1)
#define CR0_EM		BIT(2)
#define CR0_TS		BIT(3)
#define CR0_ET		BIT(4)
#define CR0_NE		BIT(5)
#define CR0_WP		BIT(16)
#define CR0_AM		BIT(18)
#define CR0_NW		BIT(29)
#define CR0_CD		BIT(30)
#define CR0_PG		BIT(31)

#define CR4_VME		BIT(0)
#define CR4_PVI		BIT(1)
#define CR4_TSD		BIT(2)
#define CR4_DE		BIT(3)
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_MCE		BIT(6)
#define CR4_PGE		BIT(7)
#define CR4_PCE		BIT(8)
#define CR4_OSFXSR	BIT(9)
#define CR4_OSXMMEXCPT	BIT(10)
#define CR4_UMIP	BIT(11)
#define CR4_LA57	BIT(12)
#define CR4_VMXE	BIT(13)
#define CR4_SMXE	BIT(14)
#define CR4_FSGSBASE	BIT(16)
#define CR4_PCIDE	BIT(17)
#define CR4_OSXSAVE	BIT(18)
#define CR4_SMEP	BIT(20)
#define CR4_SMAP	BIT(21)
#define CR4_PKE		BIT(22)
#define CR4_CET		BIT(23)

#define EFLAGS_CF	BIT(0)
#define EFLAGS_FIXED	BIT(1)
#define EFLAGS_PF	BIT(2)
#define EFLAGS_AF	BIT(4)
#define EFLAGS_ZF	BIT(6)
#define EFLAGS_SF	BIT(7)
#define EFLAGS_TF	BIT(8)
#define EFLAGS_IF	BIT(9)
#define EFLAGS_DF	BIT(10)
#define EFLAGS_OF	BIT(11)
#define EFLAGS_IOPL	(BIT(12) | BIT(13))
#define EFLAGS_NT	BIT(14)
#define EFLAGS_RF	BIT(16)
#define EFLAGS_VM	BIT(17)
#define EFLAGS_AC	BIT(18)
#define EFLAGS_VIF	BIT(19)
#define EFLAGS_VIP	BIT(20)
#define EFLAGS_ID	BIT(21)

#define DR6_B0		BIT(0)
#define DR6_B1		BIT(1)
#define DR6_B2		BIT(2)
#define DR6_B3		BIT(3)
#define DR6_BD		BIT(13)
#define DR6_BS		BIT(14)
#define DR6_BT		BIT(15)
#define DR6_RTM		BIT(16)
#define DR7_GD		BIT(13)

#ifndef __ASSEMBLER__

#define DEFINE_REGISTER(name)                                                                      \
	static inline ulong read_##name(void)                                                      \
	{                                                                                          \
		ulong value;                                                                       \
                                                                                                   \
		asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                    \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(ulong value)                                               \
	{                                                                                          \
		asm volatile("mov %0, %%" #name : : "r"(value) : "memory");                        \
	}

DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
#ifdef __x86_64__
DEFINE_REGISTER(cr8)
#endif
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr1)
DEFINE_REGISTER(dr2)
DEFINE_REGISTER(dr3)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER

static inline ulong read_flags(void)
{
	ulong flags;

	asm volatile("pushf\n\tpop %0" : "=r"(flags) : : "memory");
	return flags;
}

static inline void write_flags(ulong flags)
{
	asm volatile("push %0\n\tpopf" : : "r"(flags) : "memory", "cc");
}

static inline u64 xgetbv(u32 index)
{
	u32 low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return (u64)high << 32 | low;
}

static inline void xsetbv(u32 index, u64 value)
{
	asm volatile("xsetbv" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline void irq_enable(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
	asm volatile("cli" : : : "memory");
}

/* STI's shadow covers HLT: no interrupt can slip in between and be slept over. */
static inline void irq_enable_and_halt(void)
{
	asm volatile("sti\n\thlt" : : : "memory");
}

static inline void cpu_relax(void)
{
	asm volatile("pause" : : : "memory");
}

#endif
#endif
