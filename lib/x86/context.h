/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running code with every register chosen: in ring 0, in ring 3, or in 32-bit
 * compatibility mode under the 64-bit kernel, with any segments. The code runs until an
 * exception that nobody else handles; a UD2 at a known place is the regular end.
 */
#ifndef LIB_X86_CONTEXT_H
#define LIB_X86_CONTEXT_H

#include "fault.h"
#include "types.h"

struct cpu;
struct trap_frame;

#define USER_STACK_SIZE 16384

struct context {
	ulong ax, bx, cx, dx, si, di, bp;
#ifdef __x86_64__
	ulong r8, r9, r10, r11, r12, r13, r14, r15;
#endif
	ulong ds, es, fs, gs;
	ulong ip, cs, flags, sp, ss;
	ulong end; /* the address of the UD2 at which the run ends without a fault */
	bool catch_df; /* a #DF ends the run as well, it does not crash the test */
};

/* A UD2 of the library; the return address of functions that contexts run. */
extern const u8 context_end[];

/*
 * Ready-made contexts that start at ip, with interrupts as they are now, end at
 * context_end, and a stack whose top holds context_end as return address.
 * compat: 32-bit code (ring 3) under the 64-bit kernel; in 32-bit modes it is
 * the same as user.
 *
 * In a 32-bit mode flags may have EFLAGS_VM: 16-bit code in virtual-8086 mode, of which ip, end and
 * sp are offsets then. cs must have RPL 3 all the same, as that is how a trap knows ring 3.
 */
struct context context_kernel(const void *ip);
struct context context_user(const void *ip);
struct context context_compat(const void *ip);

/*
 * Runs until an exception and stores the registers at that point (not ds to gs
 * when the fault struck while loading them). Returns the fault, NO_FAULT for
 * the UD2 at context->end. The frame and CR2 are in last_trap(), last_cr2(). In a
 * 32-bit mode a ring-0 context needs a flat ss, since its trap stays on its stack.
 */
struct fault context_run(struct context *context);

/*
 * Calls a C function in ring 3 and stores what it returns in *result, if not NULL.
 * There the function may use TRY(), but not the console, and so no check().
 */
struct fault user_call(ulong (*function)(ulong argument), ulong argument, ulong *result);

/* For trap.c. context_leave() does not return. */
bool context_owns_trap(const struct cpu *cpu, const struct trap_frame *frame);
void context_leave(struct cpu *cpu) __attribute__((noreturn));

#endif
