/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts. Who gets a trap, in this order: the handler that a
 * test has set for its vector; the exception table (extable.h); the context
 * that runs (context.h). Nobody: the test has crashed.
 */
#ifndef LIB_X86_TRAP_H
#define LIB_X86_TRAP_H

#include "fault.h"
#include "types.h"

/*
 * What is on the stack when C sees a trap. In the 32-bit modes sp and ss were
 * pushed, and are valid, only with a change of privilege; frame_sp() knows.
 */
struct trap_frame {
#ifdef __x86_64__
	ulong r15, r14, r13, r12, r11, r10, r9, r8;
#else
	ulong gs, fs, es, ds;
#endif
	ulong di, si, bp, bx, dx, cx, ax;
	ulong vector, error_code;
	ulong ip, cs, flags, sp, ss;
};

static inline bool frame_is_user(const struct trap_frame *frame)
{
	return (frame->cs & 3) != 0;
}

/* The stack pointer at the trap. */
static inline ulong frame_sp(const struct trap_frame *frame)
{
#ifndef __x86_64__
	if (!frame_is_user(frame))
		return (ulong)&frame->sp;
#endif
	return frame->sp;
}

bool vector_has_error_code(unsigned int vector);
struct fault frame_fault(const struct trap_frame *frame);

/*
 * A handler may change the frame and returns true if the interrupted code is to
 * go on; false hands the trap on. It runs with interrupts off, on all CPUs, and
 * NULL takes it away. For vectors from 32 on, false is a crash. A handler of an
 * APIC interrupt writes EOI itself (apic_eoi()).
 */
typedef bool trap_handler(struct trap_frame *frame);
void trap_set_handler(unsigned int vector, trap_handler *handler);

/* The frame of this CPU's last fault that became a value, and CR2 after it. */
const struct trap_frame *last_trap(void);
ulong last_cr2(void);

/* The address for a gate of this vector. */
ulong trap_entry_address(unsigned int vector);

#ifndef __x86_64__
/*
 * From now on a vector arrives by a task switch, as #DF always does: a context in ring 0 may have
 * an SS that cannot take a trap, and handlers and TRY() do not see it. selector is one of
 * TEST_SELECTOR(), for the vector's TSS descriptor. trap_by_gate() takes it back.
 */
void trap_by_task(unsigned int vector, u16 selector);
void trap_by_gate(unsigned int vector);
#endif

#endif
