// SPDX-License-Identifier: BSD-2-Clause
/* 32-bit modes: offsets around the bounds of segments of every kind. */
#ifndef __x86_64__

#include "operand_limits.h"
#include "string.h"
#include "trap.h"

static const struct row {
	const char *name;
	struct segment segment;
} rows[] = {
	{ "up-byte-0", { 0, 0, DATA_UP, DESC_BIG } },
	{ "up-byte-0x17", { 0, 0x17, DATA_UP, DESC_BIG } },
	{ "up-byte-0xffff", { 0, 0xffff, DATA_UP, DESC_BIG } },
	{ "up-byte-0xfffff", { 0, 0xfffff, DATA_UP, DESC_BIG } },
	{ "up-b0-byte-0xffff", { 0, 0xffff, DATA_UP, 0 } },
	{ "up-page-0xfff", { 0, 0xfff, DATA_UP, DESC_BIG | DESC_GRANULARITY } },
	{ "up-page-0xffffefff", { 0, 0xffffefff, DATA_UP, DESC_BIG } },
	{ "up-page-0xffffffff", { 0, 0xffffffff, DATA_UP, DESC_BIG } },
	{ "down-b0-byte-0", { 0, 0, DATA_DOWN, 0 } },
	{ "down-b0-byte-0x17", { 0, 0x17, DATA_DOWN, 0 } },
	{ "down-b0-byte-0xffff", { 0, 0xffff, DATA_DOWN, 0 } },
	{ "down-b0-byte-0xfffff", { 0, 0xfffff, DATA_DOWN, 0 } },
	{ "down-b0-page-0xfff", { 0, 0xfff, DATA_DOWN, DESC_GRANULARITY } },
	{ "down-b1-byte-0", { 0, 0, DATA_DOWN, DESC_BIG } },
	{ "down-b1-byte-0xffff", { 0, 0xffff, DATA_DOWN, DESC_BIG } },
	{ "down-b1-page-0xfff", { 0, 0xfff, DATA_DOWN, DESC_BIG | DESC_GRANULARITY } },
	{ "down-b1-page-0xffffefff", { 0, 0xffffefff, DATA_DOWN, DESC_BIG } },
	{ "down-b1-page-0xffffffff", { 0, 0xffffffff, DATA_DOWN, DESC_BIG } },
};

/* A row's cases. */
struct probe {
	struct trial trial;
	struct segment segment;
	const char *row;
	struct tally within, beyond, twin;
};

/* Accesses that wrap around at 0xffffffff: not judged. */
static struct {
	unsigned int count, faults, twin_faults, disagree;
} wrapping;

static void probe_offset(struct probe *probe, u64 offset)
{
	struct trial *trial = &probe->trial;
	unsigned int size = trial->instruction->size;
	enum verdict verdict = limit_rule(&probe->segment, offset, size);
	struct fault expected = verdict == BEYOND ? trial->through->fault : NO_FAULT;
	struct fault fault, twin;
	u32 code_base = 0;

	if (offset > MAX_OFFSET || (trial->addressing->bits == 16 && offset > 0xffff))
		return;
	probe->segment.base = base_for(target, offset);
	if (trial->through == &throughs[THROUGH_CS]) {
		code_base = probe->segment.base;
		if (limit_rule(&probe->segment, (u32)((ulong)trial->code[TWIN] - code_base), 64) !=
		    WITHIN)
			return; /* the code itself has no place there */
	}
	gdt_set_segment(TEST_SEGMENT, &probe->segment);
	twin = trial_run(trial, TWIN, offset, code_base);
	fault = trial_run(trial, VMX_INSTRUCTION_ITSELF, offset, code_base);
	if (verdict == OPEN) {
		wrapping.count++;
		wrapping.faults += fault_raised(fault);
		wrapping.twin_faults += fault_raised(twin);
		wrapping.disagree += !fault_equal(fault, twin);
		return;
	}
	tally_add(verdict == WITHIN ? &probe->within : &probe->beyond,
		  trial_verdict(trial, fault, expected), "%pe at %s:%#llx, size %u (%s)", &expected,
		  trial->through->name, offset, size, probe->row);
	tally_add(&probe->twin, fault_equal(fault, twin) ? NULL : fault_text(fault),
		  "%pe as MOV at %s:%#llx, size %u (%s)", &twin, trial->through->name, offset, size,
		  probe->row);
}

/* bound - size - 1 to bound + 1. Of those that wrap around, and are not judged, two. */
static void probe_around(struct probe *probe, u64 bound)
{
	int size = probe->trial.instruction->size;

	for (int delta = -size - 1; delta <= 1; delta++) {
		if (delta < 0 && bound < (u64)-delta)
			continue;
		if (bound == MAX_OFFSET && delta > -size + 2 && delta < 0)
			continue;
		probe_offset(probe, bound + delta);
	}
}

static void probe_row(const struct instruction *instruction, const struct through *through,
		      const struct addressing *addressing, const struct row *row)
{
	struct probe probe = { .segment = row->segment, .row = row->name };
	u64 bound = upper_bound(&row->segment), limit = row->segment.limit;

	if (through == &throughs[THROUGH_CS]) {
		if (row->segment.access != DATA_UP || !(row->segment.flags & DESC_BIG))
			return;
		probe.segment.access = CODE;
	}
	/* Whether an operand at 0xffff goes on at 0x10000 or at 0 is open with 16-bit addresses. */
	if (addressing->bits == 16 && bound > 0xffff)
		return;
	probe.trial = trial_make(instruction, through, addressing);
	probe_around(&probe, limit);
	if (bound != limit)
		probe_around(&probe, bound);
	/* Where a sum of 32 bits wraps around to an offset within the limit. */
	if (bound != MAX_OFFSET) {
		probe_offset(&probe, MAX_OFFSET + 1 - instruction->size);
		probe_offset(&probe, MAX_OFFSET);
	}
	check_and_reset(&probe.within, "%s.%s.%s.within", through->name, addressing->name,
			row->name);
	check_and_reset(&probe.beyond, "%s.%s.%s.beyond", through->name, addressing->name,
			row->name);
	check_and_reset(&probe.twin, "%s.%s.%s.twin", through->name, addressing->name, row->name);
}

static void test_through(const struct instruction *instruction, unsigned int first,
			 unsigned int last)
{
	for (unsigned int i = first; i <= last; i++) {
		if (i == THROUGH_CS && instruction->writes)
			continue; /* never: segments.c */
		for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
			probe_row(instruction, &throughs[i], &addressing_plain, row);
			probe_row(instruction, &throughs[i], &addressing_bx, row);
		}
	}
}

static void tell_wrapping(void)
{
	if (wrapping.count)
		diagnostic("of %u accesses that wrap around at 0xffffffff, %u faulted, of the MOVs "
			   "%u; they differ in %u (not judged)",
			   wrapping.count, wrapping.faults, wrapping.twin_faults,
			   wrapping.disagree);
	memset(&wrapping, 0, sizeof(wrapping));
}

static void test_limits(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	test_through(instruction, THROUGH_DS, THROUGH_CS);
	tell_wrapping();
	subtest_finish(instruction);
}

/* The stack has no place in most of these segments: the traps arrive by a task switch. */
static void test_stack(const void *argument)
{
	static const u8 vectors[] = { VECTOR_UD, VECTOR_SS, VECTOR_GP };
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++)
		trap_by_task(vectors[i], TEST_SELECTOR(1 + i));
	test_through(instruction, THROUGH_SS, THROUGH_SS);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++)
		trap_by_gate(vectors[i]);
	tell_wrapping();
	subtest_finish(instruction);
}

SUBTEST_ARG("limits-vmxon", test_limits, &instructions[VMXON]);
SUBTEST_ARG("limits-vmptrld", test_limits, &instructions[VMPTRLD]);
SUBTEST_ARG("limits-vmptrst", test_limits, &instructions[VMPTRST]);
SUBTEST_ARG("limits-vmclear", test_limits, &instructions[VMCLEAR]);
SUBTEST_ARG("limits-vmread", test_limits, &instructions[VMREAD]);
SUBTEST_ARG("limits-vmwrite", test_limits, &instructions[VMWRITE]);
SUBTEST_ARG("limits-invept", test_limits, &instructions[INVEPT]);
SUBTEST_ARG("limits-invvpid", test_limits, &instructions[INVVPID]);

SUBTEST_ARG("stack-vmxon", test_stack, &instructions[VMXON]);
SUBTEST_ARG("stack-vmptrld", test_stack, &instructions[VMPTRLD]);
SUBTEST_ARG("stack-vmptrst", test_stack, &instructions[VMPTRST]);
SUBTEST_ARG("stack-vmclear", test_stack, &instructions[VMCLEAR]);
SUBTEST_ARG("stack-vmread", test_stack, &instructions[VMREAD]);
SUBTEST_ARG("stack-vmwrite", test_stack, &instructions[VMWRITE]);
SUBTEST_ARG("stack-invept", test_stack, &instructions[INVEPT]);
SUBTEST_ARG("stack-invvpid", test_stack, &instructions[INVVPID]);

#endif
