// SPDX-License-Identifier: BSD-2-Clause
/*
 * The limit of CS: instruction fetches, and transfers of control. An instruction
 * of which a byte lies beyond the limit faults as a whole, and EIP points to its start. A
 * transfer to an offset beyond the limit faults at the transfer, before anything
 * of it is done (SDM volume 2, JMP, CALL, RET, IRET: "beyond the code segment limit").
 */
#include "control.h"
#include "forced_emulation.h"
#include "printf.h"
#include "report.h"
#include "segment_limits.h"

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes

static const struct row {
	const char *name;
	struct segment segment;
} rows[] = {
	{ "byte-0", { 0, 0, CODE, DESC_BIG } },
	{ "byte-1", { 0, 1, CODE, DESC_BIG } },
	{ "byte-0xffff", { 0, 0xffff, CODE, DESC_BIG } },
	{ "byte-0xfffff", { 0, 0xfffff, CODE, DESC_BIG } },
	{ "page-0xfff", { 0, 0xfff, CODE, DESC_BIG | DESC_GRANULARITY } },
	{ "page-0xfffff", { 0, 0xfffff, CODE, DESC_BIG | DESC_GRANULARITY } },
	{ "page-0xffffefff", { 0, 0xffffefff, CODE, DESC_BIG } },
};

/* All of them change ECX. */
static const struct instruction {
	const char *name;
	unsigned int length;
	const char *code;
} instructions[] = {
	{ "inc-1", CODE_BYTES("\x41") },
	{ "not-2", CODE_BYTES("\xf7\xd1") },
	{ "lea-3", CODE_BYTES("\x8d\x4e\x01") },
	{ "mov-5", CODE_BYTES("\xb9\x01\x02\x03\x04") },
	{ "imul-6", CODE_BYTES("\x69\xc8\x01\x02\x03\x04") },
	{ "lea-7", CODE_BYTES("\x8d\x8c\x8b\x01\x02\x03\x04") },
	{ "prefixes-15",
	  CODE_BYTES("\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x8d\x8c\x8b\x01\x02\x03\x04") },
};

/* The fault and where it struck; the text is good until the call after the next. */
static const char *outcome(struct fault fault, u32 ip)
{
	static char text[2][40];
	static unsigned int next;
	char *buffer = text[next++ % 2];

	snprintf(buffer, sizeof(text[0]), "%pe at eip %#x", &fault, ip);
	return buffer;
}

/* The instruction at this offset; behind it stands a UD2, which is fetched as well if it can be. */
static void fetch_at(const struct slot *slot, const struct row *row, u32 offset,
		     struct tally *within, struct tally *beyond)
{
	struct segment segment = row->segment;
	struct context before = slot_context(slot), after;
	u32 next = offset + slot->length;
	bool runs = limit_rule(&segment, offset, slot->length) == WITHIN;
	bool ends = runs && limit_rule(&segment, next, 2) == WITHIN;
	struct fault expected = ends ? NO_FAULT : FAULT_GP(0), got;
	u32 ip = runs ? next : offset + slot->skipped;
	const char *problem = NULL;

	segment.base = base_for(slot->start, offset);
	gdt_set_segment(TEST_SEGMENT, &segment);
	slot_move(&before, slot, segment.base);
	after = before;
	got = context_run(&after);

	before.ip = ip;
	if (!fault_equal(got, expected) || after.ip != ip)
		problem = outcome(got, after.ip);
	else if (!runs)
		problem = register_changed(&before, &after);
	else if (after.cx == before.cx)
		problem = "ecx not changed";
	tally_add(ends ? within : beyond, problem, "%s", outcome(expected, ip));
}

/*
 * Each run of new code, then all of them again with the same code: where decoded
 * instructions are cached, the limit has to be checked all the same.
 */
static void test_instruction(unsigned int index, bool emulated)
{
	const struct instruction *instruction = &instructions[index];
	struct tally within, beyond, cached;
	struct slot slot;

	for (int again = 0; again <= 1; again++) {
		for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
			s64 limit = row->segment.limit;
			s64 first = limit - instruction->length - FORCED_EMULATION_LENGTH - 2;

			within = beyond = cached = (struct tally){ 0 };
			/* A start beyond the limit cannot be entered; what runs into it is here. */
			for (s64 offset = MAX(first, 0); offset <= limit; offset++) {
				/* The prefix has to be there to be seen. */
				if (emulated && offset + FORCED_EMULATION_LENGTH - 1 > limit)
					continue;
				if (!again)
					slot = slot_write(index, emulated, 0, instruction->code,
							  instruction->length);
				fetch_at(&slot, row, offset, again ? &cached : &within,
					 again ? &cached : &beyond);
			}
			if (within.count)
				check_tally(&within, "%s.%s.within", instruction->name, row->name);
			if (beyond.count)
				check_tally(&beyond, "%s.%s.beyond", instruction->name, row->name);
			if (cached.count)
				check_tally(&cached, "%s.%s.cached", instruction->name, row->name);
		}
	}
}

static void test_fetch(void)
{
	for_each_way(emulated) {
		if (emulated)
			prefix_push("emulated");
		for (unsigned int i = 0; i < ARRAY_SIZE(instructions); i++)
			test_instruction(i, emulated);
		if (emulated)
			prefix_pop();
	}
}

enum transfer_kind {
	RELATIVE, /* the 32-bit displacement is the code's last 4 bytes */
	REGISTER, /* the offset is in EDX */
	STACK,	  /* the offset is on the stack */
	FAR,	  /* a far pointer at [EBX] */
	FAR_STACK,
	GATE,	  /* a far pointer at [EBX] to a call gate */
};

static const struct transfer {
	const char *name;
	enum transfer_kind kind;
	bool pushes; /* a return address */
	unsigned int length;
	const char *code;
} transfers[] = {
	{ "jmp-rel32", RELATIVE, false, CODE_BYTES("\xe9\0\0\0\0") },
	{ "jnz-rel32", RELATIVE, false, CODE_BYTES("\x0f\x85\0\0\0\0") },
	{ "call-rel32", RELATIVE, true, CODE_BYTES("\xe8\0\0\0\0") },
	{ "jmp-r32", REGISTER, false, CODE_BYTES("\xff\xe2") },
	{ "call-r32", REGISTER, true, CODE_BYTES("\xff\xd2") },
	{ "ret", STACK, false, CODE_BYTES("\xc3") },
	{ "ret-imm16", STACK, false, CODE_BYTES("\xc2\x08\x00") },
	{ "jmp-far", FAR, false, CODE_BYTES("\xff\x2b") },
	{ "call-far", FAR, true, CODE_BYTES("\xff\x1b") },
	{ "ret-far", FAR_STACK, false, CODE_BYTES("\xcb") },
	{ "iret", FAR_STACK, false, CODE_BYTES("\xcf") },
#ifndef __x86_64__ /* there call gates lead to 64-bit code */
	{ "jmp-gate", GATE, false, CODE_BYTES("\xff\x2b") },
	{ "call-gate", GATE, true, CODE_BYTES("\xff\x1b") },
#endif
};

#define TEST_GATE	   (TEST_SELECTOR(1) | 3)
#define HLT		   0xf4 /* one byte; #GP(0) in ring 3: shows that the target was reached */
#define STACK_DWORDS	   4
#define STACK_MARK	   0x5aa55aa5

static struct {
	u32 offset;
	u16 selector;
} __packed far_pointer;

/* To target(), which is at this offset of a segment with the row's limit. Returns the fault. */
static struct fault transfer_to(const struct transfer *transfer, const struct row *row, u32 offset,
			const struct slot *slot, struct tally *tally, struct tally *pushed)
{
	struct segment segment = row->segment;
	struct context before = slot_context(slot), after;
	bool beyond = offset > segment.limit, far = transfer->kind >= FAR;
	u32 *stack = (u32 *)before.sp - STACK_DWORDS, ip;
	const char *problem = NULL;
	struct fault got;

	segment.base = base_for(target(), offset);
	gdt_set_segment(TEST_SEGMENT, &segment);
	if (!far)
		slot_move(&before, slot, segment.base);
	before.dx = offset;
	before.bx = (ulong)&far_pointer;
	far_pointer.offset = offset;
	far_pointer.selector = transfer->kind == GATE ? TEST_GATE : TEST_SEGMENT;
	if (transfer->kind == GATE)
		gdt_set_gate(TEST_GATE, gate_make(TEST_SEGMENT, offset,
						  DESC_PRESENT | DESC_DPL3 | DESC_CALL_GATE, 0));
	before.sp = (ulong)stack;
	stack[-2] = stack[-1] = STACK_MARK; /* a call pushes there */
	stack[0] = offset;
	stack[1] = TEST_SEGMENT;
	stack[2] = EFLAGS_FIXED;

	after = before;
	got = context_run(&after);
	before.ip += slot->skipped;
	ip = beyond ? before.ip : offset;
	if (!fault_equal(got, FAULT_GP(0)) || after.ip != ip)
		problem = outcome(got, after.ip);
	else if (beyond && before.sp != after.sp)
		problem = "esp";
	else if (beyond)
		problem = register_changed(&before, &after);
	tally_add(tally, problem, "%s", outcome(FAULT_GP(0), ip));
	if (beyond)
		tally_add(pushed,
			  stack[-1] != STACK_MARK || stack[-2] != STACK_MARK ? "it pushed" : NULL,
			  "nothing pushed at eip %#x, limit %#x", (u32)before.ip, row->segment.limit);
	return got;
}

/* Does it work at all, in a flat segment? As check_runs(). */
static bool check_transfer(const struct transfer *transfer, const struct slot *slot, bool emulated)
{
	static const struct row flat = { "flat", { 0, 0xffffffff, CODE, DESC_BIG } };
	struct tally tally = { 0 }, pushed = { 0 };
	u32 offset = (ulong)target();
	struct fault fault = transfer_to(transfer, &flat, offset, slot, &tally, &pushed);

	if (emulated && fault_equal(fault, FAULT_UD)) {
		check_skip("the emulator does not have it", "%s.flat", transfer->name);
		return false;
	}
	return check_tally(&tally, "%s.flat", transfer->name);
}

static void test_one_transfer(const struct transfer *transfer, bool emulated)
{
	static const s32 deltas[] = { -1, 0, 1, 2, 16 };
	struct slot slot = slot_write(transfer - transfers, emulated, 0, transfer->code,
				      transfer->length);
	struct tally within, beyond, pushed = { 0 };

	if (transfer->kind == RELATIVE)
		((u32 *)(slot.start + slot.length))[-1] = target() - (slot.start + slot.length);
	if (!check_transfer(transfer, &slot, emulated))
		return;
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		u32 limit = row->segment.limit;

		/* A near transfer stays in the segment: that has to hold the code as well. */
		if (transfer->kind < FAR && limit < PAGE_SIZE - 1)
			continue;
		within = beyond = (struct tally){ 0 };
		for (unsigned int i = 0; i < ARRAY_SIZE(deltas); i++)
			if (deltas[i] + (s64)limit >= 0)
				transfer_to(transfer, row, limit + deltas[i], &slot,
					    deltas[i] > 0 ? &beyond : &within, &pushed);
		check_tally(&within, "%s.%s.within", transfer->name, row->name);
		if (beyond.count)
			check_tally(&beyond, "%s.%s.beyond", transfer->name, row->name);
	}
	if (transfer->pushes)
		check_tally(&pushed, "%s.push", transfer->name);
}

static void test_transfer(void)
{
	*target() = HLT;
	for_each_way(emulated) {
		if (emulated)
			prefix_push("emulated");
		for (unsigned int i = 0; i < ARRAY_SIZE(transfers); i++)
			test_one_transfer(&transfers[i], emulated);
		if (emulated)
			prefix_pop();
	}
}

SUBTEST("fetch", test_fetch);
SUBTEST("transfer", test_transfer);
