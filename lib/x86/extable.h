/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exception table: instructions that may fault, and what a fault becomes.
 *
 *	struct fault fault;
 *
 *	asm volatile(TRY("mov %[source], %%ds") : TRY_RESULT(fault) : [source] "r"(selector));
 *
 * A fault inside TRY() goes on after it with the fault in EAX, so EAX is not
 * the instruction's to use as an input; as an output it needs a MOV outside of TRY().
 * EFLAGS are kept. This holds in ring 0, ring 3 and compatibility mode, and
 * the pushed frame is in last_trap() (lib/x86/trap.h).
 */
#ifndef LIB_X86_EXTABLE_H
#define LIB_X86_EXTABLE_H

#ifdef __ASSEMBLER__
#ifdef __x86_64__
#define EXTABLE_POINTER .quad
#else
#define EXTABLE_POINTER .long
#endif
#else

#include "fault.h"

#ifdef __x86_64__
#define EXTABLE_POINTER ".quad"
#else
#define EXTABLE_POINTER ".long"
#endif

/* Faults with start <= RIP < end, and traps with RIP = end, go on at end. */
struct extable_entry {
	ulong start, end;
};

#define TRY(instructions)                                                                          \
	"movl $0, %%eax\n"                                                                         \
	"771: " instructions "\n"                                                                  \
	"772:\n"                                                                                   \
	".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"                           \
	".popsection\n"

#define TRY_RESULT(fault) "=&a"((fault).value)

/*
 * The same for an instruction that takes EAX as an input, which is bound to the result:
 * : "=a"(fault.value) : "0"(input).
 */
#define TRY_WITH_EAX(instruction)                                                                  \
	"771: " instruction "\n"                                                                   \
	"movl $0, %%eax\n"                                                                         \
	"772:\n"                                                                                   \
	".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"                           \
	".popsection\n"

/* One instruction without operands that C sees; for most tests of privilege and encoding. */
#define fault_of(instructions)                                                                     \
	({                                                                                         \
		struct fault fault_of_;                                                            \
		asm volatile(TRY(instructions) : TRY_RESULT(fault_of_) : : "memory", "cc");        \
		fault_of_;                                                                         \
	})

/* NMIs are blocked from one's delivery, or its VM exit, until an IRET: here that of a handler. */
static inline void unblock_nmis(void)
{
	fault_of("ud2");
}

/*
 * The address at which to go on after an exception at ip, 0 if the table has
 * none. Sorts the table at the first call.
 */
ulong extable_fixup(ulong ip, bool is_trap);

#endif
#endif
