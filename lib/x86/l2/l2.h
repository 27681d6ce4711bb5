/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest's guest (L2) starts with, in each mode a CPU has; nested SVM and nested VMX
 * put it into their control structures. L2's code is a C function of this image, in L2_NATIVE,
 * or assembly text in any mode.
 */
#ifndef LIB_X86_L2_L2_H
#define LIB_X86_L2_L2_H

#include "descriptor.h"
#include "l2/tables.h"
#include "types.h"

enum l2_mode {
	L2_NATIVE,    /* the mode of this image, with its GDT, IDT and TSS: C code, TRY() */
	L2_LONG,      /* 64-bit code */
	L2_COMPAT,    /* 32-bit code in long mode */
	L2_PAE,	      /* 32-bit code, PAE paging */
	L2_32BIT,     /* 32-bit code, two-level paging */
	L2_PROTECTED, /* 32-bit code, no paging */
	L2_REAL,      /* 16-bit code; CS's and SS's bases are those of its code and stack */
	L2_V8086,     /* virtual-8086 mode under PAE paging */
	L2_MODES,
};

/* "native", "long", ... for ids. */
const char *l2_mode_name(enum l2_mode mode);

struct l2_segment {
	u16 selector;
	struct segment segment; /* access 0: not usable */
};

struct l2_state {
	ulong cr0, cr3, cr4;
	u64 efer;
	struct l2_segment es, cs, ss, ds, fs, gs, ldtr, tr;
	struct descriptor_pointer gdtr, idtr;
	u64 rip, rsp, rflags;
};

#define L2_STACK_SIZE 8192

/*
 * The state for code that is about to run in a mode. tables are its page tables, from
 * l2_tables() or a test's own; stack_top is 16-byte aligned, the end of L2_STACK_SIZE bytes.
 * Interrupts are off. In all but L2_NATIVE the IDT is empty: an exception that is not
 * intercepted is a shutdown. In L2_REAL and L2_V8086 RIP is an offset from the code's segment.
 */
struct l2_state l2_state(enum l2_mode mode, const void *code, u8 *stack_top,
			 const struct tables *tables);

/*
 * Prepares a stack for a C function of this image that is entered as L2 with one argument and
 * returns to end; the stack pointer. In 64-bit mode the argument is to be in RDI.
 */
ulong l2_call_stack(u8 *stack_top, void *argument, const void *end);

/* Identity-mapping tables of the format that the mode needs; root is NULL where it has none. */
struct tables l2_tables(enum l2_mode mode);

/* The GDT of all modes but L2_NATIVE: flat segments under this image's selectors. */
struct descriptor_pointer l2_gdtr(void);

/* Can this CPU and this image run it? 64-bit modes need CPUID's LM. */
bool l2_mode_supported(enum l2_mode mode);

/* The linear address of code at RIP; differs from RIP where CS has a base. */
static inline u64 l2_linear(u64 cs_base, u64 rip)
{
	return cs_base + rip;
}

/*
 * Code for L2 as text at file scope, aligned to 16 bytes: a symbol of this file that names it.
 * The text may change the code size (".code16"); what follows has this image's again.
 *
 *	L2_CODE(spin, "1: pause\n jmp 1b");
 */
#ifdef __x86_64__
#define L2_NATIVE_CODE ".code64\n"
#else
#define L2_NATIVE_CODE ".code32\n"
#endif

#define L2_CODE(name, text)                                                                        \
	asm(".pushsection .text.l2." #name ", \"ax\", @progbits\n"                                 \
	    ".balign 16\n" #name ":\n" text "\n" L2_NATIVE_CODE ".popsection");                    \
	extern const u8 name[]

#endif
