// SPDX-License-Identifier: BSD-2-Clause
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "entry.h"
#include "extable.h"
#include "trap.h"

#define STUB_SIZE 16

extern u8 trap_entries[];

static trap_handler *handlers[IDT_ENTRIES];

/* SDM volume 3A, table 6-1; APM volume 2, 8.2 for #VC and #SX. */
bool vector_has_error_code(unsigned int vector)
{
	const u32 vectors = 1u << VECTOR_DF | 1u << VECTOR_TS | 1u << VECTOR_NP | 1u << VECTOR_SS |
			    1u << VECTOR_GP | 1u << VECTOR_PF | 1u << VECTOR_AC | 1u << VECTOR_CP |
			    1u << VECTOR_VC | 1u << VECTOR_SX;

	return vector < 32 && (vectors >> vector & 1);
}

ulong trap_entry_address(unsigned int vector)
{
	return (ulong)trap_entries + vector * STUB_SIZE;
}

struct fault frame_fault(const struct trap_frame *frame)
{
	return fault_make(frame->vector, vector_has_error_code(frame->vector), frame->error_code);
}

void trap_set_handler(unsigned int vector, trap_handler *handler)
{
	WRITE_ONCE(handlers[vector], handler);
	if (handler && !idt[vector].access)
		idt[vector] = gate_make(KERNEL_CS, trap_entry_address(vector),
					DESC_PRESENT | DESC_INTERRUPT_GATE, 0);
}

const struct trap_frame *last_trap(void)
{
	return &this_cpu()->last_trap;
}

ulong last_cr2(void)
{
	return this_cpu()->last_cr2;
}

/* #BP and #OF are traps: the saved RIP is that of the next instruction. So is #DB mostly. */
static bool is_trap(unsigned int vector)
{
	return vector == VECTOR_BP || vector == VECTOR_OF || vector == VECTOR_DB;
}

static void remember(struct cpu *cpu, const struct trap_frame *frame)
{
	size_t size = offsetof(struct trap_frame, sp);

	/* Without a change of privilege the 32-bit frame ends before sp. */
	if (sizeof(ulong) == 8 || frame_is_user(frame))
		size = sizeof(*frame);
	__builtin_memcpy(&cpu->last_trap, frame, size);
	if (size != sizeof(*frame)) {
		cpu->last_trap.sp = frame_sp(frame);
		cpu->last_trap.ss = read_ss();
	}
	cpu->last_cr2 = read_cr2();
}

void trap_handle(struct trap_frame *frame)
{
	struct cpu *cpu = this_cpu();
	trap_handler *handler;
	ulong fixup;

	if (frame->vector == VECTOR_NMI && cpu->nmi_stops)
		crash_stop_cpu(frame);

	handler = READ_ONCE(handlers[frame->vector]);
	if (handler && handler(frame))
		return;

	if (frame->vector < 32) {
		fixup = extable_fixup(frame->ip, is_trap(frame->vector));
		/* #DB is a fault for instruction breakpoints and general detect. */
		if (!fixup && frame->vector == VECTOR_DB)
			fixup = extable_fixup(frame->ip, false);
		if (fixup) {
			remember(cpu, frame);
			frame->ip = fixup;
			frame->ax = frame_fault(frame).value;
			return;
		}
		if (cpu->context && context_owns_trap(cpu, frame)) {
			remember(cpu, frame);
			context_leave(cpu);
		}
	}
	crash_trap(frame, frame_sp(frame));
}
