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
#include "string.h"

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
static const char *outcome_text(struct fault fault, u32 ip)
{
	static char text[2][40];
	static unsigned int next;
	char *buffer = text[next++ % 2];

	snprintf(buffer, sizeof(text[0]), "%pe at eip %#x", &fault, ip);
	return buffer;
}

/* As outcomes_differ(), but says where a fault struck; memory is not compared. */
static const char *find_difference(const struct outcome outcomes[WAYS])
{
	const struct outcome *cpu = &outcomes[BY_CPU], *emulated = &outcomes[EMULATED];

	if (!fault_equal(cpu->fault, emulated->fault) || cpu->after.ip != emulated->after.ip)
		return outcome_text(emulated->fault, emulated->after.ip);
	return outcomes_differ(outcomes, 0, 0);
}

/*
 * The instruction at this offset; behind it stands a UD2, which is fetched as well if it
 * can be, and in front of it the prefix that the emulator has to see. again: the code is old.
 */
static void fetch_at(const struct slot *slot, const struct row *row, s64 offset, bool again,
		     struct tallies *tallies)
{
	static struct outcome outcomes[WAYS];
	struct segment segment = row->segment;
	struct context before = slot_context(slot);
	s64 next = offset + slot->length, limit = segment.limit;
	bool runs = limit_rule(&segment, offset, slot->length) == WITHIN;
	bool ends = runs && limit_rule(&segment, next, 2) == WITHIN;
	struct fault expected = ends ? NO_FAULT : FAULT_GP(0);
	u32 ip = runs ? next : offset;
	/* A start beyond the limit cannot be entered, but what stands before may run into it. */
	bool possible[WAYS] = { offset <= limit, offset >= FORCED_EMULATION_LENGTH };

	segment.base = base_for(slot->start, offset);
	gdt_set_segment(TEST_SEGMENT, &segment);
	slot_move(&before, slot, segment.base);
	for_each_way(way) {
		const struct context *after = &outcomes[way].after;
		const char *problem = NULL;
		struct fault got;

		if (!possible[way])
			continue;
		run_way(way, &before, &outcomes[way]);
		got = outcomes[way].fault;
		if (!fault_equal(got, expected) || after->ip != ip)
			problem = outcome_text(got, after->ip);
		else if (runs)
			problem = after->cx == before.cx ? "ecx not changed" : NULL;
		else
			problem = register_changed(&before, after);
		tally_add(again ? &tallies->cached[way] :
			  ends	? &tallies->within[way] :
				  &tallies->beyond[way],
			  problem, "%s", outcome_text(expected, ip));
		outcomes[way].after.flags = before.flags; /* IMUL leaves some undefined */
	}
	if (possible[BY_CPU] && possible[EMULATED] && ways() == WAYS)
		tally_add(&tallies->agree, find_difference(outcomes),
			  "%s as by the CPU, from %#x",
			  outcome_text(outcomes[BY_CPU].fault, outcomes[BY_CPU].after.ip),
			  (u32)offset);
}

/*
 * Each run of new code, then all of them again with the same code: where decoded
 * instructions are cached, the limit has to be checked all the same.
 */
static void test_instruction(unsigned int index)
{
	static struct tallies tallies[ARRAY_SIZE(rows)];
	const struct instruction *instruction = &instructions[index];
	struct slot slot;

	for (int again = 0; again <= 1; again++) {
		for (unsigned int row = 0; row < ARRAY_SIZE(rows); row++) {
			s64 limit = rows[row].segment.limit;
			s64 first = limit - instruction->length - FORCED_EMULATION_LENGTH - 2;

			for (s64 offset = MAX(first, 0); offset <= limit + 1; offset++) {
				if (!again)
					slot = slot_write(index, 0, instruction->code,
							  instruction->length);
				fetch_at(&slot, &rows[row], offset, again, &tallies[row]);
			}
		}
	}
	for (unsigned int row = 0; row < ARRAY_SIZE(rows); row++)
		check_row(&tallies[row], "%s.%s", instruction->name, rows[row].name);
}

static void test_fetch(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(instructions); i++)
		test_instruction(i);
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

/* What a transfer is tried with, and what came of it. */
struct probe {
	const struct transfer *transfer;
	struct slot slot;
	bool runs[WAYS];
	struct tallies tallies;
	struct tally pushed[WAYS];
	u32 stack[WAYS][2]; /* where a call pushes */
	struct outcome outcomes[WAYS];
};

static void set_stack(u32 *stack, u32 offset)
{
	stack[-2] = stack[-1] = STACK_MARK;
	stack[0] = offset;
	stack[1] = TEST_SEGMENT;
	stack[2] = EFLAGS_FIXED;
}

/* ip: where it has to end, with #GP(0). */
static const char *find_problem(const struct context *before, const struct outcome *outcome,
				u32 ip, bool beyond)
{
	if (!fault_equal(outcome->fault, FAULT_GP(0)) || outcome->after.ip != ip)
		return outcome_text(outcome->fault, outcome->after.ip);
	if (!beyond)
		return NULL;
	return before->sp != outcome->after.sp ? "esp" : register_changed(before, &outcome->after);
}

static const char *find_stack_difference(const struct probe *probe)
{
	const u32 *cpu = probe->stack[BY_CPU], *emulated = probe->stack[EMULATED];

	if (probe->outcomes[BY_CPU].after.sp != probe->outcomes[EMULATED].after.sp)
		return "another esp";
	return cpu[0] != emulated[0] || cpu[1] != emulated[1] ? "another return address" : NULL;
}

/* To target(), which is at this offset of a segment with this limit. */
static void transfer_to(struct probe *probe, struct segment segment, u32 offset)
{
	const struct transfer *transfer = probe->transfer;
	struct tallies *tallies = &probe->tallies;
	struct context before = slot_context(&probe->slot);
	bool beyond = offset > segment.limit;
	u32 *stack = (u32 *)before.sp - STACK_DWORDS, ip;
	const char *difference;

	segment.base = base_for(target(), offset);
	gdt_set_segment(TEST_SEGMENT, &segment);
	if (transfer->kind < FAR)
		slot_move(&before, &probe->slot, segment.base);
	before.dx = offset;
	before.bx = (ulong)&far_pointer;
	far_pointer.offset = offset;
	far_pointer.selector = transfer->kind == GATE ? TEST_GATE : TEST_SEGMENT;
	if (transfer->kind == GATE)
		gdt_set_gate(TEST_GATE, gate_make(TEST_SEGMENT, offset,
						  DESC_PRESENT | DESC_DPL3 | DESC_CALL_GATE, 0));
	before.sp = (ulong)stack;
	ip = beyond ? before.ip : offset;

	for_each_way(way) {
		if (!probe->runs[way])
			continue;
		set_stack(stack, offset);
		run_way(way, &before, &probe->outcomes[way]);
		memcpy(probe->stack[way], &stack[-2], sizeof(probe->stack[way]));
		tally_add(beyond ? &tallies->beyond[way] : &tallies->within[way],
			  find_problem(&before, &probe->outcomes[way], ip, beyond), "%s",
			  outcome_text(FAULT_GP(0), ip));
		if (beyond)
			tally_add(&probe->pushed[way],
				  stack[-1] != STACK_MARK || stack[-2] != STACK_MARK ? "it pushed" :
										       NULL,
				  "nothing pushed at eip %#x, limit %#x", (u32)before.ip,
				  segment.limit);
	}
	if (!probe->runs[BY_CPU] || !probe->runs[EMULATED])
		return;
	difference = find_difference(probe->outcomes);
	if (!difference)
		difference = find_stack_difference(probe);
	tally_add(&tallies->agree, difference, "%s as by the CPU, to %#x",
		  outcome_text(probe->outcomes[BY_CPU].fault, probe->outcomes[BY_CPU].after.ip),
		  offset);
}

/* Does it work at all, in a flat segment? As check_runs(). */
static bool check_transfer(struct probe *probe)
{
	const char *name = probe->transfer->name;
	struct segment flat = { 0, 0xffffffff, CODE, DESC_BIG };
	bool any = false;

	for_each_way(way)
		probe->runs[way] = true;
	transfer_to(probe, flat, (ulong)target());
	for_each_way(way) {
		if (way == EMULATED && fault_equal(probe->outcomes[way].fault, FAULT_UD)) {
			check_skip("the emulator does not have it", "%s%s.flat", way_prefix[way],
				   name);
			probe->runs[way] = false;
		} else {
			probe->runs[way] = check_tally(&probe->tallies.within[way], "%s%s.flat",
						       way_prefix[way], name);
		}
		any |= probe->runs[way];
	}
	probe->tallies = (struct tallies){ 0 };
	return any;
}

static void test_one_transfer(const struct transfer *transfer)
{
	static const s32 deltas[] = { -1, 0, 1, 2, 16 };
	static struct probe probe;
	struct slot slot = slot_write(transfer - transfers, 0, transfer->code, transfer->length);

	probe = (struct probe){ .transfer = transfer, .slot = slot };
	if (transfer->kind == RELATIVE)
		((u32 *)(slot.start + slot.length))[-1] = target() - (slot.start + slot.length);
	if (!check_transfer(&probe))
		return;
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		u32 limit = row->segment.limit;

		/* A near transfer stays in the segment: that has to hold the code as well. */
		if (transfer->kind < FAR && limit < PAGE_SIZE - 1)
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(deltas); i++)
			if (deltas[i] + (s64)limit >= 0)
				transfer_to(&probe, row->segment, limit + deltas[i]);
		check_row(&probe.tallies, "%s.%s", transfer->name, row->name);
	}
	for_each_way(way)
		if (transfer->pushes && probe.runs[way])
			check_tally(&probe.pushed[way], "%s%s.push", way_prefix[way],
				    transfer->name);
}

static void test_transfer(void)
{
	*target() = HLT;
	for (unsigned int i = 0; i < ARRAY_SIZE(transfers); i++)
		test_one_transfer(&transfers[i]);
}

SUBTEST("fetch", test_fetch);
SUBTEST("transfer", test_transfer);
