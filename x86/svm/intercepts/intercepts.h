/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction of L2 and what comes of it: intercepted, not intercepted, in ring 3. Each
 * is a subtest.
 *
 *	INTERCEPT("rdtsc", "", "rdtsc", .intercept = VMEXIT_RDTSC);
 *
 * The first text, which may be empty, is executed before the instruction; VMMCALL stands behind it.
 */
#ifndef X86_SVM_INTERCEPTS_H
#define X86_SVM_INTERCEPTS_H

#include "control.h"
#include "svm/test.h"

/* Native registers in L2's text. */
#ifdef __x86_64__
#define R(name) "%r" #name
#else
#define R(name) "%e" #name
#endif

#define EXCP(name) (VMEXIT_EXCP + VECTOR_##name)

enum intercept_flags {
	NOT_OFF = 1,   /* unintercepted it would not come back to VMMCALL */
	ALONE = 2,     /* unintercepted it is what another intercept takes, or runs a handler */
	NOT_RING3 = 4, /* in ring 3 it is nothing of its own */
	RING3 = 8,     /* it begins in ring 3 */
	INFO1 = 16,    /* info1 is compared; of instructions, where the CPU has decode assists */
	NEXT_RIP = 32, /* an exception that has one */
	TRAP = 64,     /* the exit is behind the instruction */
	ANY_RIP = 128, /* or the manual does not say where */
};

/* Which register has what EXITINFO1 says of MOV CRn and MOV DRn. 15.8.1 */
#define GPR(number) (number)
#define MOV_CR	    (1ull << 63)

struct intercept {
	const u8 *code, *at, *next; /* the first text; the instruction; VMMCALL */
	u16 intercept;		    /* the bit that is set and cleared */
	u64 exit;		    /* with it; by default its own */
	u64 off;		    /* without it; by default VMMCALL's, behind the instruction */
	u64 ring3;		    /* with it, in ring 3; by default as in ring 0 */
	u32 flags;
	u64 info1;
	u64 exitintinfo; /* what was being delivered */
	u32 fault;	 /* that unintercepted a handler saw: FAULT_VALUE() */
	u64 feature;	 /* CPUID: where the CPU lacks it the subtest is skipped */
	enum l2_mode mode;
	ulong ax, cx, dx;
	void (*setup)(struct svm_guest *guest);
};

void intercept_run(const void *intercept);

/* The guest, about to run the code; always the same memory. Its registers hold patterns. */
struct svm_guest *intercept_guest(enum l2_mode mode, const void *code);

/* All intercepts but this one, and those that are no instruction's or event's. */
void intercept_all_others(struct svm_guest *guest, u16 intercept);

/* A page that tests may use as an operand, mapped in L2 as well. */
u8 *operand(void);

#define L2_TEXT(label, before, instruction)                                                        \
	asm(".pushsection .text.l2." STRINGIFY(                                                    \
	    label) ", \"ax\", @progbits\n"                                                         \
		   ".balign 16\n" STRINGIFY(label) ":\n" before "\n" STRINGIFY(                    \
		       label) "_at: " instruction                                                  \
			      "\n" STRINGIFY(                                                      \
				  label) "_next: vmmcall\n ud2\n" L2_NATIVE_CODE ".popsection\n"   \
					 ".pushsection .extable, \"a\"\n" EXTABLE_POINTER          \
					 " " STRINGIFY(label) "_at, " STRINGIFY(                   \
					     label) "_next\n .popsection");                        \
	extern const u8 label[], CONCAT(label, _at)[], CONCAT(label, _next)[]

#define INTERCEPT(subtest_name, before, instruction, ...)                                          \
	INTERCEPT_(CONCAT(intercept_, __LINE__), intercept_run, subtest_name, before, instruction, \
		   __VA_ARGS__)
#define INTERCEPT_(label, run, subtest_name, before, instruction, ...)                             \
	L2_TEXT(label, before, instruction);                                                       \
	static const struct intercept CONCAT(row_, label) = {                                      \
		.code = label, .at = CONCAT(label, _at), .next = CONCAT(label, _next), __VA_ARGS__ \
	};                                                                                         \
	SUBTEST_ARG(subtest_name, run, &CONCAT(row_, label))

#endif
