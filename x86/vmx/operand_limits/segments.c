// SPDX-License-Identifier: BSD-2-Clause
/*
 * 32-bit modes: segments that do not allow the access at all, whatever the limit, and the segment
 * that an address has by default. SDM volume 3A, "Type Checking"; volume 3C, "VMX Instruction
 * Reference": #GP(0) "if the destination operand is located in a read-only data segment or any
 * code segment", "if the source operand is located in an execute-only code segment". A segment
 * that is not present cannot be loaded; once it is loaded, the descriptor in memory counts for
 * nothing ("Segment Registers": the hidden part).
 */
#ifndef __x86_64__

#include "operand_limits.h"

#define READ_ONLY    (DESC_PRESENT | DESC_DATA | DESC_ACCESSED)
#define EXECUTE_ONLY (DESC_PRESENT | DESC_CODE | DESC_ACCESSED)
#define CONFORMING   (CODE | DESC_CODE_CONFORMING)

enum allows { NOTHING, READS, ALL };

static const struct row {
	const char *name;
	unsigned int first, last; /* of throughs[] */
	u8 access;		  /* 0: a null selector */
	enum allows allows;
} rows[] = {
	{ "null", THROUGH_DS, THROUGH_GS, 0, NOTHING },
	{ "writable", THROUGH_DS, THROUGH_GS, DATA_UP, ALL },
	{ "read-only", THROUGH_DS, THROUGH_GS, READ_ONLY, READS },
	{ "code", THROUGH_DS, THROUGH_CS, CODE, READS },
	{ "conforming-code", THROUGH_DS, THROUGH_CS, CONFORMING, READS },
	{ "execute-only", THROUGH_CS, THROUGH_CS, EXECUTE_ONLY, NOTHING },
};

static struct fault expected_of(const struct row *row, const struct instruction *instruction)
{
	bool allowed = row->allows == ALL || (row->allows == READS && !instruction->writes);

	return allowed ? NO_FAULT : FAULT_GP(0);
}

/* Flat, but that the base is not 0: such segments are not what software has everywhere. */
static void set_segment(u8 access)
{
	const struct segment segment = { PAGE_SIZE, 0xffffffff, access, DESC_BIG };

	gdt_set_segment(TEST_SEGMENT, &segment);
}

static void test_row(const struct instruction *instruction, const struct row *row)
{
	for (unsigned int i = row->first; i <= row->last; i++) {
		struct trial trial = trial_make(instruction, &throughs[i], &addressing_plain);

		if (row->access)
			set_segment(row->access);
		else
			trial.selector = 0;
		prefix_push("%s", throughs[i].name);
		trial_check(&trial, (ulong)target - PAGE_SIZE, i == THROUGH_CS ? PAGE_SIZE : 0,
			    expected_of(row, instruction), row->name);
		prefix_pop();
	}
}

static void test_types(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++)
		test_row(instruction, row);
	subtest_finish(instruction);
}

/* Without a prefix, with DS null: (E)BP as base means SS, which is flat here. */
static void test_default_segment(const struct instruction *instruction)
{
	static const struct through none = {
		"ds", 0, offsetof(struct context, ds), { 0 }, 0, NULL
	};
	struct trial trial = trial_make(instruction, &none, &addressing_plain);

	trial.selector = 0;
	trial_check(&trial, (ulong)target, 0, FAULT_GP(0), "ebx-means-ds");
	trial = trial_make(instruction, &none, &addressing_bp);
	trial.selector = 0;
	trial_check(&trial, (ulong)target, 0, NO_FAULT, "ebp-means-ss");
}

static u8 *prologue_dword(u8 *at, u32 value)
{
	__builtin_memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

/* Loads DS, then takes P away from the descriptor that it came from. */
static void test_not_present(const struct instruction *instruction)
{
	u8 prologue[] = { 0x8e, 0xda, /* mov %edx, %ds */
			  0x36, 0xc6, 0x05, 0, 0, 0, 0, DATA_UP & ~DESC_PRESENT }; /* movb */
	const struct through cached = { "ds", 0x3e, 0, { 0 }, sizeof(prologue), prologue };
	struct descriptor_pointer gdtr = sgdt();
	struct trial trial;

	prologue_dword(&prologue[5], gdtr.base + TEST_SEGMENT + 5);
	trial = trial_make(instruction, &cached, &addressing_plain);
	set_segment(DATA_UP);
	check_fault(trial_run(&trial, TWIN, (ulong)target - PAGE_SIZE, 0), NO_FAULT,
		    "cached-descriptor.mov");
	check(!(gdt_get(TEST_SEGMENT) >> 40 & DESC_PRESENT), "cached-descriptor.gone");
	set_segment(DATA_UP);
	check_fault(trial_run(&trial, VMX_INSTRUCTION_ITSELF, (ulong)target - PAGE_SIZE, 0),
		    NO_FAULT, "cached-descriptor");
}

static void test_segments(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	test_default_segment(instruction);
	test_not_present(instruction);
	subtest_finish(instruction);
}

SUBTEST_ARG("types-vmxon", test_types, &instructions[VMXON]);
SUBTEST_ARG("types-vmptrld", test_types, &instructions[VMPTRLD]);
SUBTEST_ARG("types-vmptrst", test_types, &instructions[VMPTRST]);
SUBTEST_ARG("types-vmclear", test_types, &instructions[VMCLEAR]);
SUBTEST_ARG("types-vmread", test_types, &instructions[VMREAD]);
SUBTEST_ARG("types-vmwrite", test_types, &instructions[VMWRITE]);
SUBTEST_ARG("types-invept", test_types, &instructions[INVEPT]);
SUBTEST_ARG("types-invvpid", test_types, &instructions[INVVPID]);
SUBTEST_ARG("segments-vmxon", test_segments, &instructions[VMXON]);
SUBTEST_ARG("segments-vmptrld", test_segments, &instructions[VMPTRLD]);
SUBTEST_ARG("segments-vmptrst", test_segments, &instructions[VMPTRST]);
SUBTEST_ARG("segments-vmclear", test_segments, &instructions[VMCLEAR]);
SUBTEST_ARG("segments-vmread", test_segments, &instructions[VMREAD]);
SUBTEST_ARG("segments-vmwrite", test_segments, &instructions[VMWRITE]);
SUBTEST_ARG("segments-invept", test_segments, &instructions[INVEPT]);
SUBTEST_ARG("segments-invvpid", test_segments, &instructions[INVVPID]);
#endif
