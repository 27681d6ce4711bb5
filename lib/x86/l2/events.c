// SPDX-License-Identifier: BSD-2-Clause
#include "crash.h"
#include "l2/events.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"
#include "tss.h"

/* Any free page below 1 MiB: real mode's handlers, and code that they return to. */
#define LOW_PAGE     0x9000ul
#define LOW_CODE     (LOW_PAGE + 256 * L2_HANDLER_SIZE)
#define LOW_PAGE_END (LOW_PAGE + PAGE_SIZE)

/* "hlt; iret" in 16-bit and 32-bit code, "hlt; iretq" in 64-bit code. */
L2_CODE(handlers_legacy, ".rept 256\n .byte 0xf4, 0xcf, 0x90, 0x90\n .endr");
L2_CODE(handlers_long, ".rept 256\n .byte 0xf4, 0x48, 0xcf, 0x90\n .endr");

static bool is_long(enum l2_mode mode)
{
	return mode == L2_LONG || mode == L2_COMPAT;
}

static unsigned int gate_size(enum l2_mode mode)
{
	return mode == L2_REAL ? 4 : is_long(mode) ? 16 : 8;
}

u8 *l2_gate(const struct l2_events *events, u8 vector)
{
	return events->idt + vector * gate_size(events->mode);
}

ulong l2_handler(const struct l2_events *events, u8 vector)
{
	ulong first = events->mode == L2_REAL ? LOW_PAGE
		      : is_long(events->mode) ? (ulong)handlers_long
					      : (ulong)handlers_legacy;

	return first + vector * L2_HANDLER_SIZE;
}

static void set_gate(const struct l2_events *events, u8 vector)
{
	ulong handler = l2_handler(events, vector);
	u16 selector = is_long(events->mode) ? KERNEL_CS : KERNEL_CS32;
	u16 words[4] = { handler, selector, (DESC_PRESENT | DESC_INTERRUPT_GATE) << 8,
			 handler >> 16 };

	if (events->mode == L2_REAL)
		words[1] = 0;
	memcpy(l2_gate(events, vector), words, MIN(gate_size(events->mode), sizeof(words)));
}

static void *new_stack(void)
{
	return (u8 *)page_alloc() + PAGE_SIZE;
}

static void *tss_make(struct l2_events *events)
{
	struct tss32 *tss32 = page_alloc();
	struct tss64 *tss64 = (struct tss64 *)tss32;

	if (is_long(events->mode)) {
		tss64->rsp[0] = events->stack0;
		tss64->ist[L2_IST - 1] = events->ist;
	} else {
		tss32->esp0 = events->stack0;
		tss32->ss0 = KERNEL_DS;
		tss32->iomap_base = sizeof(*tss32);
	}
	return tss32;
}

struct l2_events l2_events(enum l2_mode mode)
{
	struct l2_events events = {
		.mode = mode,
		.idt = page_alloc(),
		.gdtr = l2_gdtr(),
		.stack0 = (ulong)new_stack(),
		.ist = (ulong)new_stack(),
	};

	if (mode == L2_NATIVE)
		crash("L2_NATIVE has this image's IDT");
	if (mode == L2_REAL)
		memcpy((void *)LOW_PAGE, handlers_legacy, 256 * L2_HANDLER_SIZE);
	for (unsigned int vector = 0; vector < 256; vector++)
		set_gate(&events, vector);
	events.idtr = (struct descriptor_pointer){ 256 * gate_size(mode) - 1, (ulong)events.idt };
	events.tr = (struct l2_segment){
		.selector = TSS_SELECTOR,
		.segment = { (ulong)tss_make(&events), sizeof(struct tss32) - 1,
			     DESC_PRESENT | DESC_TSS | DESC_TSS_BUSY, 0 },
	};
	return events;
}

static u64 read_word(u64 address, unsigned int size)
{
	u64 value = 0;

	memcpy(&value, (void *)(ulong)address, size);
	return value;
}

/* Words of a frame without its error code. */
static unsigned int frame_words(enum l2_mode mode, bool other_stack)
{
	if (is_long(mode))
		return 5;
	if (mode == L2_V8086)
		return 9; /* and ES, DS, FS, GS */
	return other_stack ? 5 : 3;
}

bool l2_event_read(const struct l2_events *events, struct l2_event *event, u64 ip, u64 sp,
		   u64 above)
{
	ulong first = l2_handler(events, 0);
	unsigned int size = events->mode == L2_REAL ? 2 : is_long(events->mode) ? 8 : 4;
	unsigned int words = frame_words(events->mode, above == events->stack0);
	u64 length;

	if (is_long(events->mode))
		above = ALIGN_DOWN(above, 16ull);
	length = above - sp;
	*event = (struct l2_event){ .vector = (ip - first) / L2_HANDLER_SIZE };
	if (ip < first || ip >= first + 256 * L2_HANDLER_SIZE || ip % L2_HANDLER_SIZE)
		return false;
	if (length != words * size && length != (words + 1) * size)
		return false;
	event->has_error_code = length != words * size;
	if (event->has_error_code) {
		event->error_code = read_word(sp, size);
		sp += size;
	}
	event->ip = read_word(sp, size);
	event->cs = read_word(sp + size, 2);
	event->flags = read_word(sp + 2 * size, size);
	event->has_stack = words > 3;
	if (event->has_stack) {
		event->sp = read_word(sp + 3 * size, size);
		event->ss = read_word(sp + 4 * size, 2);
	}
	return true;
}

const void *l2_low_code(const void *code, size_t size)
{
	if (size > LOW_PAGE_END - LOW_CODE)
		crash("%lu bytes of code for real mode", (ulong)size);
	return memcpy((void *)LOW_CODE, code, size);
}
