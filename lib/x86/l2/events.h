/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where interrupts and exceptions of a guest's guest arrive, in each of its modes but L2_NATIVE
 * (which has this image's IDT): a gate for every vector, a GDT and a TSS. Each handler is a HLT,
 * which the hypervisor intercepts, and an IRET. At that exit the handler's address tells the
 * vector, and the frame is on top of the stack as the processor has pushed it.
 */
#ifndef LIB_X86_L2_EVENTS_H
#define LIB_X86_L2_EVENTS_H

#include "l2/l2.h"

#define L2_HANDLER_SIZE 4
#define L2_HLT_SIZE	1

/* An interrupt stack that gates may name (64-bit handlers); others have 0. */
#define L2_IST 1

struct l2_events {
	enum l2_mode mode;
	u8 *idt; /* the gates, or the interrupt vector table of real mode */
	struct descriptor_pointer gdtr, idtr;
	struct l2_segment tr;
	ulong stack0, ist; /* tops of the stacks that the TSS names */
};

/*
 * Gates are interrupt gates of DPL 0. In long mode handlers are 64-bit code, in other protected
 * modes 32-bit code; real mode's lie below 1 MiB.
 */
struct l2_events l2_events(enum l2_mode mode);

/* A vector's gate, to be changed; its bytes 2, 3 are the selector, 4 the IST, 5 the access byte. */
u8 *l2_gate(const struct l2_events *events, u8 vector);
#define L2_GATE_SELECTOR 2
#define L2_GATE_IST	 4
#define L2_GATE_ACCESS	 5

/* A handler's linear address. */
ulong l2_handler(const struct l2_events *events, u8 vector);

/* What a handler finds. */
struct l2_event {
	u8 vector;
	bool has_error_code, has_stack; /* has_stack: sp and ss were pushed */
	u32 error_code;
	u16 cs, ss;
	u64 ip, flags, sp;
};

/*
 * Reads an event at its handler's HLT: linear addresses of the instruction, of the stack's top,
 * and of the place above the frame. False if that is no handler, or the frame's size is wrong.
 */
bool l2_event_read(const struct l2_events *events, struct l2_event *event, u64 ip, u64 sp,
		   u64 above);

/*
 * Copies 16-bit code to where real mode's selectors reach, so that its handlers can return to it.
 * The next call uses the same place.
 */
const void *l2_low_code(const void *code, size_t size);

#endif
