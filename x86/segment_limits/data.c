// SPDX-License-Identifier: BSD-2-Clause
/* Instructions with a memory operand, through each segment register. */
#include "control.h"
#include "cpuid.h"
#include "printf.h"
#include "report.h"
#include "segment_limits.h"
#include "string.h"

enum kind {
	READ,
	WRITE,
	MODIFY,
	WRITE_PARTS, /* wider than 8 bytes, or two fields: a fault may leave it partly written */
};

/* Who runs them: an emulator that lacks x87 or BOUND stops there, and only that is lost. */
enum group { INTEGER, X87, SSE, BOUND, LGDT, LIDT, LMSW };

struct access {
	const char *name;
	enum group group;
	unsigned int size;
	enum kind kind;
	u64 feature; /* CPUID, 0: every CPU */
	s32 displacement; /* of the operand from EBX */
	unsigned int length;
	const char *code; /* 32-bit code, the operand is [ebx] unless there is a displacement */
};

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes

/* AL of slot_context(), which XLAT adds. */
#define AL 0xc0

#define FXSAVE_SIZE 512
#define FXSAVE_XMM  160 /* XMM0 to XMM7, which end where the used part ends */
#define FXSAVE_USED 288 /* outside 64-bit mode */

static const struct access accesses[] = {
	{ "mov-r8", INTEGER, 1, READ, 0, 0, CODE_BYTES("\x8a\x0b") },
	{ "mov-m8", INTEGER, 1, WRITE, 0, 0, CODE_BYTES("\x88\x0b") },
	{ "setc-m8", INTEGER, 1, WRITE, 0, 0, CODE_BYTES("\x0f\x92\x03") },
	{ "add-m8", INTEGER, 1, MODIFY, 0, 0, CODE_BYTES("\x00\x0b") },
	{ "xlat", INTEGER, 1, READ, 0, AL, CODE_BYTES("\xd7") },
	{ "mov-r16", INTEGER, 2, READ, 0, 0, CODE_BYTES("\x66\x8b\x0b") },
	{ "movzx-m16", INTEGER, 2, READ, 0, 0, CODE_BYTES("\x0f\xb7\x0b") },
	{ "mov-m16", INTEGER, 2, WRITE, 0, 0, CODE_BYTES("\x66\x89\x0b") },
	{ "mov-m16-ds", INTEGER, 2, WRITE, 0, 0, CODE_BYTES("\x8c\x1b") },
	{ "smsw-m16", INTEGER, 2, WRITE, 0, 0, CODE_BYTES("\x0f\x01\x23") },
	{ "xchg-m16", INTEGER, 2, MODIFY, 0, 0, CODE_BYTES("\x66\x87\x0b") },
	{ "mov-r32", INTEGER, 4, READ, 0, 0, CODE_BYTES("\x8b\x0b") },
	{ "mov-r32-disp8", INTEGER, 4, READ, 0, 0x40, CODE_BYTES("\x8b\x4b\x40") },
	{ "mov-m32", INTEGER, 4, WRITE, 0, 0, CODE_BYTES("\x89\x0b") },
	{ "mov-m32-imm", INTEGER, 4, WRITE, 0, 0, CODE_BYTES("\xc7\x03\x01\x02\x03\x04") },
	{ "add-m32", INTEGER, 4, MODIFY, 0, 0, CODE_BYTES("\x01\x0b") },
	{ "cmpxchg-m32", INTEGER, 4, MODIFY, 0, 0, CODE_BYTES("\x0f\xb1\x0b") },
	{ "xadd-m32-lock", INTEGER, 4, MODIFY, 0, 0, CODE_BYTES("\xf0\x0f\xc1\x0b") },
	{ "lfs-m48", INTEGER, 6, READ, 0, 0, CODE_BYTES("\x0f\xb4\x0b") },
	{ "sgdt-m48", INTEGER, 6, WRITE_PARTS, 0, 0, CODE_BYTES("\x0f\x01\x03") },
	{ "cmpxchg8b-m64", INTEGER, 8, MODIFY, FEATURE_CX8, 0, CODE_BYTES("\x0f\xc7\x0b") },

	{ "fld-m32", X87, 4, READ, FEATURE_FPU, 0, CODE_BYTES("\xd9\x03") },
	{ "fld-m64", X87, 8, READ, FEATURE_FPU, 0, CODE_BYTES("\xdd\x03") },
	{ "fstp-m64", X87, 8, WRITE, FEATURE_FPU, 0, CODE_BYTES("\xdd\x1b") },
	{ "fld-m80", X87, 10, READ, FEATURE_FPU, 0, CODE_BYTES("\xdb\x2b") },
	{ "fstp-m80", X87, 10, WRITE_PARTS, FEATURE_FPU, 0, CODE_BYTES("\xdb\x3b") },

	{ "movlps-r64", SSE, 8, READ, FEATURE_SSE, 0, CODE_BYTES("\x0f\x12\x03") },
	{ "movlps-m64", SSE, 8, WRITE, FEATURE_SSE, 0, CODE_BYTES("\x0f\x13\x03") },
	{ "movups-r128", SSE, 16, READ, FEATURE_SSE, 0, CODE_BYTES("\x0f\x10\x03") },
	{ "movups-m128", SSE, 16, WRITE_PARTS, FEATURE_SSE, 0, CODE_BYTES("\x0f\x11\x03") },
	{ "fxrstor", SSE, 512, READ, FEATURE_FXSR, 0, CODE_BYTES("\x0f\xae\x0b") },
	{ "fxsave", SSE, 512, WRITE_PARTS, FEATURE_FXSR, 0, CODE_BYTES("\x0f\xae\x03") },

	{ "bound-m64", BOUND, 8, READ, 0, 0, CODE_BYTES("\x62\x0b") },

	{ "lgdt-m48", LGDT, 6, READ, 0, 0, CODE_BYTES("\x0f\x01\x13") },
	{ "lidt-m48", LIDT, 6, READ, 0, 0, CODE_BYTES("\x0f\x01\x1b") },
	{ "lmsw-m16", LMSW, 2, READ, 0, 0, CODE_BYTES("\x0f\x01\x33") },
};

/* Names begin with the direction: rows of one direction follow each other. */
static const struct row {
	const char *direction, *name;
	struct segment segment;
} rows[] = {
	{ "up", "byte-0", { 0, 0, DATA_UP, DESC_BIG } },
	{ "up", "byte-1", { 0, 1, DATA_UP, DESC_BIG } },
	{ "up", "byte-0xffff", { 0, 0xffff, DATA_UP, DESC_BIG } },
	{ "up", "byte-0xfffff", { 0, 0xfffff, DATA_UP, DESC_BIG } },
	{ "up", "page-0xfff", { 0, 0xfff, DATA_UP, DESC_BIG | DESC_GRANULARITY } },
	{ "up", "page-0xffffefff", { 0, 0xffffefff, DATA_UP, DESC_BIG } },
	{ "up", "page-0xffffffff", { 0, 0xffffffff, DATA_UP, DESC_BIG } },
	{ "down-b0", "byte-0", { 0, 0, DATA_DOWN, 0 } },
	{ "down-b0", "byte-0xfffe", { 0, 0xfffe, DATA_DOWN, 0 } },
	{ "down-b0", "byte-0xfffff", { 0, 0xfffff, DATA_DOWN, 0 } },
	{ "down-b0", "page-0xfff", { 0, 0xfff, DATA_DOWN, DESC_GRANULARITY } },
	{ "down-b1", "byte-0", { 0, 0, DATA_DOWN, DESC_BIG } },
	{ "down-b1", "byte-0xffff", { 0, 0xffff, DATA_DOWN, DESC_BIG } },
	{ "down-b1", "page-0xfff", { 0, 0xfff, DATA_DOWN, DESC_BIG | DESC_GRANULARITY } },
	{ "down-b1", "page-0xffffefff", { 0, 0xffffefff, DATA_DOWN, DESC_BIG } },
	{ "down-b1", "page-0xffffffff", { 0, 0xffffffff, DATA_DOWN, DESC_BIG } },
};

struct segment_register {
	const char *name;
	u8 prefix;
	size_t selector; /* in struct context */
	struct fault fault;
};

#define SEGMENT_REGISTER(name, prefix, fault)                                                      \
	{ #name, prefix, offsetof(struct context, name), { fault } }
#define CS_PREFIX 0x2e
#define SS_PREFIX 0x36
#define GP0 FAULT_VALUE_EC(VECTOR_GP, 0)
#define SS0 FAULT_VALUE_EC(VECTOR_SS, 0)

static const struct segment_register registers[] = {
	SEGMENT_REGISTER(ds, 0x3e, GP0), SEGMENT_REGISTER(es, 0x26, GP0),
	SEGMENT_REGISTER(fs, 0x64, GP0), SEGMENT_REGISTER(gs, 0x65, GP0),
	SEGMENT_REGISTER(ss, SS_PREFIX, SS0), SEGMENT_REGISTER(cs, CS_PREFIX, GP0),
};

#define CS_REGISTER (&registers[5])

/* What a row of the matrix works on, and what came of it. */
struct probe {
	const struct segment_register *through;
	const struct access *access;
	struct slot slot;
	struct context start;
	bool runs[WAYS];
	const struct row *row;
	struct segment segment;
	struct tallies tallies;
};

/* Accesses of the subtest that are not judged: they wrap around, or reach reserved bytes alone. */
static struct open wrapping, reserved;

static const u8 zeros[16];

static u16 x87_top(void)
{
	u16 status;

	asm volatile("fnstsw %0" : "=m"(status));
	return status >> 11 & 7;
}

/* What is wrong after an access that had to be as expected, or NULL. */
static const char *find_problem(const struct access *access, const struct context *before,
				const struct outcome *outcome, struct fault expected)
{
	const char *name;
	int size = access->size;

	if (!fault_equal(outcome->fault, expected))
		return fault_text(outcome->fault);
	if (memory_changed(-GUARD, size + GUARD)) {
		if (memory_changed(-GUARD, 0) || memory_changed(size, size + GUARD))
			return "memory outside the operand written";
		if (access->kind == READ || (fault_raised(expected) && access->kind != WRITE_PARTS))
			return "memory written";
	} else if (!fault_raised(expected) && access->kind != READ) {
		return "nothing written";
	}
	if (!fault_raised(expected))
		return NULL;
	name = register_changed(before, &outcome->after);
	if (name)
		return name;
	if (access->group == X87 && x87_top() != 7)
		return "x87 stack";
	return NULL;
}

/*
 * FXSAVE and FXRSTOR have an operand of 512 bytes, but the bytes behind XMM7 are
 * reserved or left to software: whether they are accessed is open.
 */
static enum verdict rule(const struct segment *segment, u32 offset, const struct access *access)
{
	enum verdict verdict = limit_rule(segment, offset, access->size);

	if (verdict == BEYOND && access->size == FXSAVE_SIZE &&
	    limit_rule(segment, offset, FXSAVE_USED) == WITHIN)
		return OPEN;
	return verdict;
}

static void run_access(struct probe *probe, const struct context *before, enum verdict verdict,
		       u32 offset, enum way way, struct outcome *outcome)
{
	const struct access *access = probe->access;
	struct fault expected = verdict == BEYOND ? probe->through->fault : NO_FAULT;
	struct tallies *tallies = &probe->tallies;

	if (access->group == X87)
		asm volatile("fninit\n\tfldz"); /* one register in use */
	if (access->group == SSE)
		asm volatile("movups %0, %%xmm0" : : "m"(zeros)); /* not what the memory holds */
	run_way(way, before, outcome);
	if (verdict != OPEN)
		tally_add(verdict == WITHIN ? &tallies->within[way] : &tallies->beyond[way],
			  find_problem(access, before, outcome, expected), "%pe at %#x",
			  &expected, offset);
	if (memory_changed(-GUARD, access->size + GUARD))
		memory_restore();
}

/* Not compared: what a fault left written in part; of FXSAVE what some CPUs do not write. */
static const char *find_difference(const struct access *access, const struct outcome *outcomes)
{
	if (access->kind == WRITE_PARTS && fault_raised(outcomes[BY_CPU].fault))
		return outcomes_differ(outcomes, 0, 0);
	if (access->size == FXSAVE_SIZE)
		return outcomes_differ(outcomes, FXSAVE_XMM, FXSAVE_USED);
	return outcomes_differ(outcomes, 0, access->size);
}

static void probe_offset(struct probe *probe, u32 offset)
{
	static struct outcome outcomes[WAYS];
	const struct access *access = probe->access;
	enum verdict verdict = rule(&probe->segment, offset, access);
	struct context before = probe->start;
	struct open *open = NULL;

	probe->segment.base = base_for(target(), offset);
	*(ulong *)((u8 *)&before + probe->through->selector) = TEST_SEGMENT;
	before.bx = (u32)(offset - access->displacement);
	if (probe->through == CS_REGISTER) {
		slot_move(&before, &probe->slot, probe->segment.base);
		if (limit_rule(&probe->segment, before.ip, SLOT_SIZE) != WITHIN)
			return; /* the code itself has no place there */
	}
	gdt_set_segment(TEST_SEGMENT, &probe->segment);
	if (verdict == OPEN)
		open = limit_rule(&probe->segment, offset, access->size) == OPEN ? &wrapping :
										   &reserved;
	for_each_way(way) {
		if (!probe->runs[way])
			continue;
		run_access(probe, &before, verdict, offset, way, &outcomes[way]);
		if (open)
			open_add(open, way, outcomes[way].fault);
	}
	if (probe->runs[BY_CPU] && probe->runs[EMULATED])
		tally_add(open ? &open->agree : &probe->tallies.agree,
			  find_difference(access, outcomes), "%pe at %#x as by the CPU (%s, %s.%s)",
			  &outcomes[BY_CPU].fault, offset, access->name, probe->row->direction,
			  probe->row->name);
}

/* Every offset from bound - size - 1 to bound + 1; of FXSAVE, those near the ends. */
static void probe_around(struct probe *probe, s64 bound)
{
	static const s16 fxsave[] = { -513, -512, -511, -510, -400, -289,
				      -288, -287, -286, -100, -1, 0, 1 };
	int size = probe->access->size;
	bool all = size != FXSAVE_SIZE;
	int count = all ? size + 3 : (int)ARRAY_SIZE(fxsave);

	for (int i = 0; i < count; i++) {
		int delta = all ? i - size - 1 : fxsave[i];
		s64 offset = bound + delta;

		/* Of those that may or may not fault, two are enough. */
		if (bound == (s64)MAX_OFFSET && delta > -size + 2 && delta < 0)
			continue;
		if (offset >= 0 && offset <= (s64)MAX_OFFSET)
			probe_offset(probe, offset);
	}
}

/* Where a sum of 32 bits wraps around to an offset within the limit. */
static void probe_wrap(struct probe *probe)
{
	if (probe->access->size > 2)
		probe_offset(probe, -probe->access->size + 1);
	probe_offset(probe, -1);
}

static void probe_row(struct probe *probe, const struct row *row)
{
	u64 bound;

	probe->row = row;
	probe->segment = row->segment;
	if (probe->through == CS_REGISTER)
		probe->segment.access = CODE;
	bound = upper_bound(&probe->segment);
	probe_around(probe, probe->segment.limit);
	if (bound != probe->segment.limit)
		probe_around(probe, bound);
	if (bound != MAX_OFFSET)
		probe_wrap(probe);
}

static void test_access(const struct segment_register *through, const struct access *access)
{
	struct probe probe = {
		.through = through,
		.access = access,
		.slot = slot_write(access - accesses, through->prefix, access->code,
				   access->length),
	};

	if (access->feature && !cpu_has(access->feature)) {
		for_each_way(way)
			check_skip("the CPU does not have it", "%s%s.flat", way_prefix[way],
				   access->name);
		return;
	}
	probe.start = access->group >= LGDT ? slot_context_ring0(&probe.slot) :
					      slot_context(&probe.slot);
	probe.start.bx = (ulong)target() - access->displacement;
	if (!check_runs(&probe.start, probe.runs, "%s", access->name))
		return;
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (through == CS_REGISTER && row->segment.access != DATA_UP)
			continue;
		probe_row(&probe, row);
		check_row(&probe.tallies, "%s.%s.%s", access->name, row->direction, row->name);
	}
}

static void test_register(const struct segment_register *through, enum group group)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		if (accesses[i].group != group)
			continue;
		if (through == CS_REGISTER && accesses[i].kind != READ)
			continue;
		test_access(through, &accesses[i]);
	}
}

static void start(void)
{
	wrapping = reserved = (struct open){ 0 };
	memory_init();
}

static void finish(void)
{
	open_tell(&wrapping, "wrap around at 0xffffffff");
	open_tell(&reserved, "reach FXSAVE's reserved bytes");
}

static void test_integer(const void *through)
{
	start();
	test_register(through, INTEGER);
	finish();
}

/* What can be loaded without a change: the present value. */
static void set_operand(enum group group)
{
	struct descriptor_pointer pointer = group == LIDT ? sidt() : sgdt();
	u16 status = read_cr0();

	if (group == LGDT || group == LIDT)
		memory_set(&pointer, 6);
	if (group == LMSW)
		memory_set(&status, sizeof(status));
}

static void test_group(const void *argument)
{
	enum group group = *(const enum group *)argument;

	start();
	set_operand(group);
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		u8 prefix = registers[i].prefix;

		/* Ring 0 needs its flat SS and CS to take the fault. */
		if (group >= LGDT && (prefix == SS_PREFIX || prefix == CS_PREFIX))
			continue;
		prefix_push("%s", registers[i].name);
		test_register(&registers[i], group);
		prefix_pop();
	}
	finish();
}

SUBTEST_ARG("ds", test_integer, &registers[0]);
SUBTEST_ARG("es", test_integer, &registers[1]);
SUBTEST_ARG("fs", test_integer, &registers[2]);
SUBTEST_ARG("gs", test_integer, &registers[3]);
SUBTEST_ARG("ss", test_integer, &registers[4]);
SUBTEST_ARG("cs", test_integer, CS_REGISTER);
SUBTEST_ARG("x87", test_group, &(const enum group){ X87 });
SUBTEST_ARG("sse", test_group, &(const enum group){ SSE });
SUBTEST_ARG("bound", test_group, &(const enum group){ BOUND });
SUBTEST_ARG("lgdt", test_group, &(const enum group){ LGDT });
SUBTEST_ARG("lidt", test_group, &(const enum group){ LIDT });
SUBTEST_ARG("lmsw", test_group, &(const enum group){ LMSW });
