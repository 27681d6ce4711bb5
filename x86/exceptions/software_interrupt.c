// SPDX-License-Identifier: BSD-2-Clause
/*
 * Software interrupts: INT n, INT3 and INTO check the gate's DPL against CPL; exceptions,
 * INT1 and BOUND among them, do not. SDM volume 3A, "Protection of Exception- and
 * Interrupt-Handler Procedures"; volume 2A, INT n/INTO/INT3/INT1, and BOUND.
 *
 * Each gate leads to the entry of vector 9, which no CPU raises: to see #CSO is to
 * see the gate taken. An INT n pushes no error code whatever n is, or the saved RIP
 * would be found in the wrong place.
 */
#include "cause.h"
#include "control.h"
#include "cpu.h"
#include "environment.h"
#include "report.h"
#include "trap.h"

#define RING_CS	  TEST_SELECTOR(0)
#define RING_SS	  TEST_SELECTOR(1)
#define DELIVERED FAULT(VECTOR_CSO)
#define IDT	  2

static struct gate gate_of_dpl(unsigned int dpl)
{
	return gate_make(KERNEL_CS, trap_entry_address(VECTOR_CSO),
			 DESC_PRESENT | DESC_DPL(dpl) | DESC_INTERRUPT_GATE, 0);
}

/* Machine code in any of the four rings of the mode. */
static struct context context_in_ring(unsigned int ring, const void *code, size_t size)
{
	struct context context = environment_context(&environments[1], code, size); /* user */

	gdt_set(RING_CS, (gdt_get(KERNEL_CS) & ~((u64)DESC_DPL3 << 40)) | (u64)DESC_DPL(ring)
									      << 40);
	gdt_set(RING_SS, (gdt_get(KERNEL_DS) & ~((u64)DESC_DPL3 << 40)) | (u64)DESC_DPL(ring)
									      << 40);
	if (ring == 0)
		return environment_context(&environments[0], code, size);
	context.cs = RING_CS | ring;
	context.ss = RING_SS | ring;
	return context;
}

/* Instructions, and the vector whose gate they go through. */
static const struct instruction {
	const char *name;
	const char *code;
	unsigned int size, vector;
	bool checks_dpl;
	bool is_trap; /* or the saved RIP is the instruction's */
	unsigned int where;
} instructions[] = {
	{ "int-0x80", "\xcd\x80", 2, 0x80, true, true, ENV_ANY },
	{ "int-3", "\xcd\x03", 2, VECTOR_BP, true, true, ENV_ANY },
	{ "int-13", "\xcd\x0d", 2, VECTOR_GP, true, true, ENV_ANY },
	{ "int-0", "\xcd\x00", 2, VECTOR_DE, true, true, ENV_ANY },
	{ "int3", "\xcc", 1, VECTOR_BP, true, true, ENV_ANY },
	{ "into", "\xce", 1, VECTOR_OF, true, true, ENV_ANY & ~ENV_CODE64 },
	{ "int1", "\xf1", 1, VECTOR_DB, false, true, ENV_ANY },
	{ "ud2", "\x0f\x0b", 2, VECTOR_UD, false, false, ENV_ANY },
	{ "div", "\xf7\xf1", 2, VECTOR_DE, false, false, ENV_ANY },
	{ "bound", "\x62\x03", 2, VECTOR_BR, false, false, ENV_ANY & ~ENV_CODE64 },
};

/* The check of DPL itself is #GP: with INT 13 that goes through the same gate, without DPL. */
static struct fault expected_fault(const struct instruction *instruction, unsigned int ring,
				   unsigned int dpl)
{
	if (!instruction->checks_dpl || ring <= dpl)
		return DELIVERED;
	if (instruction->vector == VECTOR_GP)
		return NO_FAULT; /* not judged: the frame has an error code that #CSO has not */
	return FAULT_GP(instruction->vector * 8 + IDT);
}

static void test_case(const struct instruction *instruction, struct context context,
		      unsigned int dpl, const char *where)
{
	struct gate saved = idt[instruction->vector];
	struct fault expected = expected_fault(instruction, context.cs & 3, dpl), fault;
	ulong ip = context.ip;

	if (!fault_raised(expected))
		return;
	context.ax = 1;
	context.cx = 0;
	context.bx = (ulong)(s32[2]){ 2, 5 };
	context.flags |= EFLAGS_OF;
	if (instruction->is_trap && fault_equal(expected, DELIVERED))
		ip += instruction->size;
	idt[instruction->vector] = gate_of_dpl(dpl);
	checking("%s.dpl-%u", where, dpl);
	fault = context_run(&context);
	idt[instruction->vector] = saved;
	if (check_fault(fault, expected, "%s.dpl-%u", where, dpl))
		check_equal(context.ip, ip, "%s.dpl-%u.ip", where, dpl);
}

static void test_rings(const struct instruction *instruction)
{
	static const char *const names[] = { "ring-0", "ring-1", "ring-2", "ring-3" };

	if (!environment_in(&environments[0], instruction->where))
		return;
	for (unsigned int ring = 0; ring < 4; ring++)
		for (unsigned int dpl = 0; dpl < 4; dpl++)
			test_case(instruction,
				  context_in_ring(ring, instruction->code, instruction->size), dpl,
				  names[ring]);
}

static void test_instruction(const void *argument)
{
	const struct instruction *instruction = argument;

	test_rings(instruction);
	for_each_environment(environment) {
		if (!(environment->is & ENV_COMPAT))
			continue;
		for (unsigned int dpl = 0; dpl < 4; dpl++)
			test_case(instruction,
				  environment_context(environment, instruction->code,
						      instruction->size),
				  dpl, environment->name);
	}
}

SUBTEST_ARG("dpl.int-0x80", test_instruction, &instructions[0]);
SUBTEST_ARG("dpl.int-3", test_instruction, &instructions[1]);
SUBTEST_ARG("dpl.int-13", test_instruction, &instructions[2]);
SUBTEST_ARG("dpl.int-0", test_instruction, &instructions[3]);
SUBTEST_ARG("dpl.int3", test_instruction, &instructions[4]);
SUBTEST_ARG("dpl.into", test_instruction, &instructions[5]);
SUBTEST_ARG("dpl.int1", test_instruction, &instructions[6]);
SUBTEST_ARG("dpl.ud2", test_instruction, &instructions[7]);
SUBTEST_ARG("dpl.div", test_instruction, &instructions[8]);
SUBTEST_ARG("dpl.bound", test_instruction, &instructions[9]);

/* When INTO and BOUND raise, and when not. SDM volume 2A, BOUND: signed, both ends included. */
static void test_into(void)
{
	for_each_environment(environment) {
		for (unsigned int overflow = 0; overflow < 2; overflow++) {
			struct context context = environment_context(environment, "\xce", 1);
			struct fault expected = overflow ? FAULT_OF : NO_FAULT;

			if (environment->is & ENV_CODE64)
				expected = FAULT_UD;
			if (overflow)
				context.flags |= EFLAGS_OF;
			check_fault(context_run(&context), expected, "%s.of-%u", environment->name,
				    overflow);
		}
	}
}

SUBTEST("into", test_into);

static const struct {
	const char *name;
	s32 index;
	bool raises;
} indexes[] = {
	{ "below", -6, true },	 { "lower", -5, false }, { "between", 0, false },
	{ "upper", 7, false },	 { "above", 8, true },	 { "far-above", 0x7fffffff, true },
	{ "far-below", -0x7fffffff - 1, true },
};

static void test_bound(void)
{
	static s32 bounds32[2] = { -5, 7 };
	static s16 bounds16[2] = { -5, 7 };

	for_each_environment(environment) {
		if (environment->is & ENV_CODE64)
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++) {
			struct fault expected = indexes[i].raises ? FAULT_BR : NO_FAULT;
			struct context context = environment_context(environment, "\x62\x03", 2);

			context.bx = (ulong)bounds32;
			context.ax = (u32)indexes[i].index;
			check_fault(context_run(&context), expected, "%s.dword.%s",
				    environment->name, indexes[i].name);
			/* The 16-bit form compares AX alone. */
			context = environment_context(environment, "\x66\x62\x03", 3);
			context.bx = (ulong)bounds16;
			context.ax = 0xabcd0000u | (u16)MIN(MAX(indexes[i].index, -0x8000), 0x7fff);
			check_fault(context_run(&context), expected, "%s.word.%s",
				    environment->name, indexes[i].name);
		}
	}
}

SUBTEST("bound", test_bound);
