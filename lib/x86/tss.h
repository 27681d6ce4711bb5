/* SPDX-License-Identifier: BSD-2-Clause */
/* Task state segments. SDM volume 3A, 7.2.1 (32-bit) and 7.7 (64-bit mode). */
#ifndef LIB_X86_TSS_H
#define LIB_X86_TSS_H

#include "types.h"

struct tss32 {
	u16 previous, reserved0;
	u32 esp0;
	u16 ss0, reserved1;
	u32 esp1;
	u16 ss1, reserved2;
	u32 esp2;
	u16 ss2, reserved3;
	u32 cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u16 es, reserved4, cs, reserved5, ss, reserved6, ds, reserved7;
	u16 fs, reserved8, gs, reserved9, ldt, reserved10;
	u16 trap, iomap_base;
} __packed;

struct tss64 {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* IST n is ist[n - 1] */
	u64 reserved2;
	u16 reserved3, iomap_base;
} __packed;

#ifdef __x86_64__
typedef struct tss64 tss_t;
#else
typedef struct tss32 tss_t;
#endif

#endif
