/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction of L2 and what comes of it: with its control, without it, in ring 3. Each is a
 * subtest.
 *
 *	EXIT("rdtsc", "", "rdtsc", .control = VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_RDTSC);
 *
 * The first text, which may be empty, is executed before the instruction; VMCALL stands behind it.
 */
#ifndef X86_VMX_EXITS_H
#define X86_VMX_EXITS_H

#include "control.h"
#include "vmx/test.h"

/* Native registers in L2's text. */
#ifdef __x86_64__
#define R(name) "%r" #name
#else
#define R(name) "%e" #name
#endif

enum exit_flags {
	NO_OFF = 1,    /* without the control it would not come back to VMCALL */
	NOT_RING3 = 2, /* in ring 3 it is nothing of its own */
	RING3 = 4,     /* it begins in ring 3 */
};

struct exit_row {
	const u8 *code, *at, *next; /* the first text; the instruction; VMCALL */
	u32 control;		    /* without it there is no exit; 0: it cannot be turned off */
	const u32 *also;	    /* controls with which the instruction exists */
	u32 reason;
	u32 on;	   /* an exception comes first: FAULT_VALUE(); likewise */
	u32 off;   /* without the control */
	u32 ring3; /* with it in ring 3; by default the exit */
	u32 flags;
	u64 qualification;
	u64 feature; /* CPUID: where the CPU lacks it the subtest is skipped */
	enum l2_mode mode;
	ulong ax, cx, dx;
	void (*setup)(struct vmx_guest *guest);
};

void exit_run(const void *row);

/* The guest, about to run the code; always the same memory. Its registers hold patterns. */
struct vmx_guest *exits_guest(enum l2_mode mode, const void *code);

/* All controls that make instructions exit and that the CPU allows, but this one. */
void exits_all_others(u32 control);

/* A page that tests may use as an operand, mapped in L2 as well. */
u8 *operand(void);

/* A page that L2 does not have, although L1 does. */
u8 *absent_page(struct vmx_guest *guest);

#define EXITS_TEXT(label, before, instruction)                                                     \
	asm(".pushsection .text.l2." STRINGIFY(                                                    \
	    label) ", \"ax\", @progbits\n"                                                         \
		   ".balign 16\n" STRINGIFY(label) ":\n" before "\n" STRINGIFY(                    \
		       label) "_at: " instruction                                                  \
			      "\n" STRINGIFY(                                                      \
				  label) "_next: vmcall\n ud2\n" L2_NATIVE_CODE ".popsection\n"    \
					 ".pushsection .extable, \"a\"\n" EXTABLE_POINTER          \
					 " " STRINGIFY(label) "_at, " STRINGIFY(                   \
					     label) "_next\n .popsection");                        \
	extern const u8 label[], CONCAT(label, _at)[], CONCAT(label, _next)[]

#define EXIT(subtest_name, before, instruction, ...)                                               \
	EXIT_(CONCAT(exit_, __LINE__), struct exit_row, exit_run, subtest_name, before,            \
	      instruction, __VA_ARGS__)
#define EXIT_(label, type, run, subtest_name, before, instruction, ...)                            \
	EXITS_TEXT(label, before, instruction);                                                    \
	static const type CONCAT(row_, label) = {                                                  \
		.code = label, .at = CONCAT(label, _at), .next = CONCAT(label, _next), __VA_ARGS__ \
	};                                                                                         \
	SUBTEST_ARG(subtest_name, run, &CONCAT(row_, label))

#endif
