// SPDX-License-Identifier: BSD-2-Clause
/*
 * 64-bit mode. SDM volume 1, "Canonical Addressing"; volume 3A, "Limit Checking in 64-bit Mode":
 * an operand that has a byte at an address which is not canonical is #SS(0) if the segment is SS,
 * by (R)BP or RSP as base, and #GP(0) through the others; limits and types are not looked at, and
 * of segments FS and GS alone have a base.
 */
#ifdef __x86_64__

#include "la57.h"
#include "operand_limits.h"

static const struct through none = { "ds", 0, offsetof(struct context, ds), { 0 }, 0, NULL };

static unsigned int linear_bits(void)
{
	return paging_levels() == 5 ? 57 : 48;
}

/* The first address that is not canonical, and the first that is again. */
static ulong hole_start(void)
{
	return 1ul << (linear_bits() - 1);
}

static ulong hole_end(void)
{
	return -hole_start();
}

/* The pages on both sides of the hole show the first one of arena.memory. */
static void map_edges(void)
{
	static bool mapped;

	if (!mapped) {
		page_map(hole_start() - PAGE_SIZE, (ulong)arena.memory, PAGE_SIZE, LEVEL_4K,
			 PAGE_DEFAULT);
		page_map(hole_end(), (ulong)arena.memory, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	}
	mapped = true;
}

/* offset: that of target in arena.memory, where the address shows it. */
static void test_address(const struct instruction *instruction, const struct through *through,
			 const struct addressing *form, u8 *where, ulong address,
			 struct fault expected, const char *id)
{
	struct trial trial;

	target = where;
	trial = trial_make(instruction, through, form);
	trial.selector = KERNEL_DS;
	trial_check(&trial, address, 0, expected, id);
}

static void test_edges(const struct instruction *instruction, const struct addressing *form,
		       struct fault fault)
{
	unsigned int size = instruction->size;
	u8 *page_end = arena.memory + PAGE_SIZE;

	prefix_push("%s", form->name);
	test_address(instruction, &none, form, page_end - size, hole_start() - size, NO_FAULT,
		     "last-canonical");
	test_address(instruction, &none, form, TARGET, hole_start() - 1, fault,
		     "last-byte-canonical");
	test_address(instruction, &none, form, TARGET, hole_start() - size + 1, fault,
		     "one-byte-not-canonical");
	test_address(instruction, &none, form, TARGET, hole_start(), fault, "hole-start");
	test_address(instruction, &none, form, TARGET, 1ul << 62, fault, "hole-middle");
	test_address(instruction, &none, form, TARGET, hole_end() - size, fault, "hole-end");
	test_address(instruction, &none, form, TARGET, hole_end() - 1, fault,
		     "first-byte-not-canonical");
	test_address(instruction, &none, form, TARGET, hole_end() + GUARD, NO_FAULT,
		     "first-canonical");
	prefix_pop();
}

static void test_canonical(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	map_edges();
	test_edges(instruction, &addressing_plain, FAULT_GP(0));
	test_edges(instruction, &addressing_bp, FAULT_SS(0));
	subtest_finish(instruction);
}

static const struct segment_row {
	const char *name;
	struct segment segment;
} segment_rows[] = {
	{ "limit-0", { 0, 0, DATA_UP, DESC_BIG } },
	{ "expand-down", { 0, 0xfffff, DATA_DOWN, DESC_BIG } },
	{ "read-only", { 0, 0xfffff, DESC_PRESENT | DESC_DATA | DESC_ACCESSED, DESC_BIG } },
	{ "code", { 0, 0, CODE, DESC_LONG } },
};

/* FS and GS with a base: the sum counts, not the offset. */
static void test_base(const struct instruction *instruction, const struct through *through)
{
	struct segment segment = { 0x10000, 0, DATA_UP, DESC_BIG };
	struct trial trial = trial_make(instruction, through, &addressing_plain);

	gdt_set_segment(TEST_SEGMENT, &segment);
	trial_check(&trial, (ulong)target - segment.base, 0, NO_FAULT, "base");
	trial_check(&trial, hole_start() - segment.base, 0, FAULT_GP(0), "base.hole-start");
	trial_check(&trial, hole_end() - segment.base + (ulong)target % PAGE_SIZE, 0, NO_FAULT,
		    "base.offset-not-canonical");
}

static void test_flat(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	map_edges();
	for (unsigned int i = THROUGH_DS; i <= THROUGH_GS; i++) {
		struct trial trial = trial_make(instruction, &throughs[i], &addressing_plain);

		prefix_push("%s", throughs[i].name);
		for (const struct segment_row *row = segment_rows;
		     row < segment_rows + ARRAY_SIZE(segment_rows); row++) {
			gdt_set_segment(TEST_SEGMENT, &row->segment);
			trial_check(&trial, (ulong)target, 0, NO_FAULT, row->name);
		}
		trial.selector = 0;
		trial_check(&trial, (ulong)target, 0, NO_FAULT, "null");
		if (i >= THROUGH_FS)
			test_base(instruction, &throughs[i]);
		prefix_pop();
	}
	subtest_finish(instruction);
}

SUBTEST_ARG("canonical-vmxon", test_canonical, &instructions[VMXON]);
SUBTEST_ARG("canonical-vmptrld", test_canonical, &instructions[VMPTRLD]);
SUBTEST_ARG("canonical-vmptrst", test_canonical, &instructions[VMPTRST]);
SUBTEST_ARG("canonical-vmclear", test_canonical, &instructions[VMCLEAR]);
SUBTEST_ARG("canonical-vmread", test_canonical, &instructions[VMREAD]);
SUBTEST_ARG("canonical-vmwrite", test_canonical, &instructions[VMWRITE]);
SUBTEST_ARG("canonical-invept", test_canonical, &instructions[INVEPT]);
SUBTEST_ARG("canonical-invvpid", test_canonical, &instructions[INVVPID]);
SUBTEST_ARG("flat-vmxon", test_flat, &instructions[VMXON]);
SUBTEST_ARG("flat-vmptrld", test_flat, &instructions[VMPTRLD]);
SUBTEST_ARG("flat-vmptrst", test_flat, &instructions[VMPTRST]);
SUBTEST_ARG("flat-vmclear", test_flat, &instructions[VMCLEAR]);
SUBTEST_ARG("flat-vmread", test_flat, &instructions[VMREAD]);
SUBTEST_ARG("flat-vmwrite", test_flat, &instructions[VMWRITE]);
SUBTEST_ARG("flat-invept", test_flat, &instructions[INVEPT]);
SUBTEST_ARG("flat-invvpid", test_flat, &instructions[INVVPID]);
#endif
