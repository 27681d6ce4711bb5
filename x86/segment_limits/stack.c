// SPDX-License-Identifier: BSD-2-Clause
/*
 * Implicit accesses to the stack: the limit of SS at the stack pointer, or at EBP.
 * With a stack segment's B flag clear the stack pointer is SP. A faulting instruction
 * leaves the stack pointer where it was.
 */
#include "control.h"
#include "report.h"
#include "segment_limits.h"

/* What has to be on the stack. */
enum contents { ANY, FLAGS, RETURN, FAR_RETURN, IRET_FRAME };

struct operation {
	const char *name;
	unsigned int size; /* bytes accessed, from the lowest one on */
	int moves;	   /* the stack pointer, if it succeeds */
	enum contents contents;
	unsigned int length;
	const char *code;
};

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes

static const struct operation operations[] = {
	{ "push-r32", 4, -4, ANY, CODE_BYTES("\x51") },
	{ "push-r16", 2, -2, ANY, CODE_BYTES("\x66\x51") },
	{ "push-imm8", 4, -4, ANY, CODE_BYTES("\x6a\x11") },
	{ "push-m32", 4, -4, ANY, CODE_BYTES("\xff\x33") },
	{ "pushf", 4, -4, ANY, CODE_BYTES("\x9c") },
	{ "call", 4, -4, ANY, CODE_BYTES("\xe8\x00\x00\x00\x00") },
	{ "call-far", 8, -8, ANY, CODE_BYTES("\xff\x1b") },
	{ "pusha", 32, -32, ANY, CODE_BYTES("\x60") },
	{ "pop-r32", 4, 4, ANY, CODE_BYTES("\x59") },
	{ "pop-r16", 2, 2, ANY, CODE_BYTES("\x66\x59") },
	{ "pop-m32", 4, 4, ANY, CODE_BYTES("\x8f\x03") },
	{ "popf", 4, 4, FLAGS, CODE_BYTES("\x9d") },
	{ "popa", 32, 32, ANY, CODE_BYTES("\x61") },
	{ "ret", 4, 4, RETURN, CODE_BYTES("\xc3") },
	{ "ret-imm16", 4, 12, RETURN, CODE_BYTES("\xc2\x08\x00") },
	{ "ret-far", 8, 8, FAR_RETURN, CODE_BYTES("\xcb") },
	{ "iret", 12, 12, IRET_FRAME, CODE_BYTES("\xcf") },
	{ "mov-r32-ebp", 4, 0, ANY, CODE_BYTES("\x8b\x4d\x00") },
	{ "mov-ebp-r32", 4, 0, ANY, CODE_BYTES("\x89\x4d\x00") },
};

/* Apart, since an emulator may lack them. */
static const struct operation frame_operations[] = {
	{ "enter-0", 4, -4, ANY, CODE_BYTES("\xc8\x00\x00\x00") },
	{ "enter-1", 8, -8, ANY, CODE_BYTES("\xc8\x00\x00\x01") },
	{ "leave", 4, 4, ANY, CODE_BYTES("\xc9") },
};

static const struct row {
	const char *name;
	struct segment segment;
} rows[] = {
	{ "up-b1-byte-1", { 0, 1, DATA_UP, DESC_BIG } },
	{ "up-b1-byte-0xffff", { 0, 0xffff, DATA_UP, DESC_BIG } },
	{ "up-b1-page-0xfff", { 0, 0xfff, DATA_UP, DESC_BIG | DESC_GRANULARITY } },
	{ "up-b1-page-0xffffefff", { 0, 0xffffefff, DATA_UP, DESC_BIG } },
	{ "up-b0-byte-0xfffe", { 0, 0xfffe, DATA_UP, 0 } },
	{ "up-b0-page-0xfff", { 0, 0xfff, DATA_UP, DESC_GRANULARITY } },
	{ "down-b1-byte-0", { 0, 0, DATA_DOWN, DESC_BIG } },
	{ "down-b1-byte-0xfffe", { 0, 0xfffe, DATA_DOWN, DESC_BIG } },
	{ "down-b1-page-0xfffff", { 0, 0xfffff, DATA_DOWN, DESC_BIG | DESC_GRANULARITY } },
	{ "down-b1-page-0xffffffff", { 0, 0xffffffff, DATA_DOWN, DESC_BIG } },
	{ "down-b0-byte-0", { 0, 0, DATA_DOWN, 0 } },
	{ "down-b0-byte-0xfffe", { 0, 0xfffe, DATA_DOWN, 0 } },
	{ "down-b0-page-0xfff", { 0, 0xfff, DATA_DOWN, DESC_GRANULARITY } },
};

struct probe {
	const struct operation *operation;
	struct slot slot;
	struct context start;
	bool runs[WAYS];
	const char *row;
	struct segment segment;
	struct tallies tallies;
};

static struct open wrapping;

static u32 scratch; /* PUSH m32's and POP m32's operand */
static struct {
	u32 offset;
	u16 selector;
} __packed far_pointer; /* CALL m16:32's */

static void set_contents(enum contents contents, const struct context *context)
{
	const u32 frame[] = { context->end, context->cs, EFLAGS_FIXED };
	const u32 flags = EFLAGS_FIXED | EFLAGS_CF;

	memory_init();
	if (contents == FLAGS)
		memory_set(&flags, sizeof(flags));
	else if (contents != ANY)
		memory_set(frame, sizeof(frame));
}

static u32 stack_pointer(const struct segment *segment, ulong sp)
{
	return segment->flags & DESC_BIG ? sp : sp & 0xffff;
}

static const char *find_problem(const struct probe *probe, const struct context *before,
				const struct outcome *outcome, struct fault expected)
{
	const struct operation *operation = probe->operation;
	int size = operation->size;
	u32 sp = before->sp;
	bool written = memory_changed(0, size);

	if (!fault_equal(outcome->fault, expected))
		return fault_text(outcome->fault);
	if (memory_changed(-GUARD, 0) || memory_changed(size, size + GUARD))
		return "memory outside the operand written";
	if (!fault_raised(expected))
		sp += operation->moves;
	if (operation->moves && stack_pointer(&probe->segment, outcome->after.sp) !=
				stack_pointer(&probe->segment, sp))
		return "esp";
	if (!fault_raised(expected))
		return written != (operation->moves < 0) && operation->moves ?
			       (written ? "memory written" : "nothing written") :
			       NULL;
	/* Several pushes may be done in part. */
	if (written && size <= 4)
		return "memory written";
	return register_changed(before, &outcome->after);
}

/* Several pushes may be done in part before a fault. */
static const char *find_difference(const struct probe *probe, const struct outcome *outcomes)
{
	int size = probe->operation->size;
	bool parts = size > 4 && fault_raised(outcomes[BY_CPU].fault);
	const char *difference = outcomes_differ(outcomes, 0, parts ? 0 : size);

	if (!difference && stack_pointer(&probe->segment, outcomes[BY_CPU].after.sp) !=
				   stack_pointer(&probe->segment, outcomes[EMULATED].after.sp))
		difference = "another esp";
	return difference;
}

static void probe_offset(struct probe *probe, u32 offset)
{
	static struct outcome outcomes[WAYS];
	const struct operation *operation = probe->operation;
	enum verdict verdict = limit_rule(&probe->segment, offset, operation->size);
	struct fault expected = verdict == BEYOND ? FAULT_SS(0) : NO_FAULT;
	struct context before = probe->start;
	struct tallies *tallies = &probe->tallies;

	before.ss = TEST_SEGMENT;
	before.sp = operation->moves < 0 ? (u32)(offset - operation->moves) : offset;
	before.sp = stack_pointer(&probe->segment, before.sp);
	before.bp = offset;
	probe->segment.base = base_for(target(), offset);
	gdt_set_segment(TEST_SEGMENT, &probe->segment);

	for_each_way(way) {
		if (!probe->runs[way])
			continue;
		run_way(way, &before, &outcomes[way]);
		if (verdict == OPEN)
			open_add(&wrapping, way, outcomes[way].fault);
		else
			tally_add(verdict == WITHIN ? &tallies->within[way] : &tallies->beyond[way],
				  find_problem(probe, &before, &outcomes[way], expected),
				  "%pe at %#x", &expected, offset);
		memory_restore();
	}
	if (probe->runs[BY_CPU] && probe->runs[EMULATED])
		tally_add(verdict == OPEN ? &wrapping.agree : &tallies->agree,
			  find_difference(probe, outcomes), "%pe at %#x as by the CPU (%s, %s)",
			  &outcomes[BY_CPU].fault, offset, operation->name, probe->row);
}

/*
 * Every offset from bound - size - 1 to bound + 1. Where the stack pointer has 16 bits,
 * not those from which several pushes or pops would wrap around one by one.
 */
static void probe_around(struct probe *probe, s64 bound)
{
	s64 size = probe->operation->size;
	s64 last = 0xffffffff;

	if (!(probe->segment.flags & DESC_BIG))
		last = size <= 4 ? 0xffff : 0x10000 - size;
	for (s64 offset = bound - size - 1; offset <= bound + 1; offset++) {
		if (offset >= 0 && offset <= last)
			probe_offset(probe, offset);
	}
}

static void test_operation(const struct operation *operation)
{
	struct probe probe = {
		.operation = operation,
		.slot = slot_write(0, 0, operation->code, operation->length),
	};

	probe.start = slot_context(&probe.slot);
	scratch = 0; /* not what the memory holds */
	probe.start.bx = (ulong)&scratch;
	far_pointer.offset = probe.start.end;
	far_pointer.selector = probe.start.cs;
	if (operation->size == 8 && operation->moves == -8)
		probe.start.bx = (ulong)&far_pointer;
	set_contents(operation->contents, &probe.start);

	probe.start.sp = (ulong)target() + (operation->moves < 0 ? operation->size : 0);
	probe.start.bp = (ulong)target();
	if (!check_runs(&probe.start, probe.runs, "%s", operation->name))
		return;

	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		u64 bound = upper_bound(&row->segment);

		probe.row = row->name;
		probe.segment = row->segment;
		probe_around(&probe, row->segment.limit);
		if (bound != row->segment.limit)
			probe_around(&probe, bound);
		check_row(&probe.tallies, "%s.%s", operation->name, row->name);
	}
}

static void test(const struct operation *operation, unsigned int count)
{
	wrapping = (struct open){ 0 };
	for (unsigned int i = 0; i < count; i++)
		test_operation(&operation[i]);
	open_tell(&wrapping, "wrap around at 0xffffffff");
}

static void test_stack(void)
{
	test(operations, ARRAY_SIZE(operations));
}

static void test_frame(void)
{
	test(frame_operations, ARRAY_SIZE(frame_operations));
}

SUBTEST("stack", test_stack);
SUBTEST("enter-leave", test_frame);
