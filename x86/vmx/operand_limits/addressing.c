// SPDX-License-Identifier: BSD-2-Clause
/*
 * base + index * scale + displacement, in each address size: the sum wraps at that size, and the
 * displacement is sign-extended. SDM volume 1, "Specifying an Offset"; volume 3C, "Information for
 * VM Exits Due to Instruction Execution": a hypervisor has the parts, not the sum. Linux had to
 * mend both: "KVM: nVMX: Sign extend displacements of VMX instr's mem operands" and 8570f9e881e3
 * "KVM: nVMX: Apply addr size mask to effective address for VMX instructions".
 *
 * In the 32-bit modes the last offset that fits into a segment of 64 KiB, and the next one. In
 * 64-bit mode the segment is flat, and FS has a base.
 */
#include "operand_limits.h"

#define SIB(scale, index, base)	  .has_sib = 1, .sib = (scale) << 6 | (index) << 3 | (base)
#define BX			  3
#define BP			  5
#define SI			  6
#define DISPLACEMENT(size, value) .displacement_size = (size), .displacement = (s32)(value)

static const struct addressing forms[] = {
#ifdef __x86_64__
	{ "rbx", 64, .modrm = 0x03 },
	{ "rbx-disp8", 64, .modrm = 0x43, DISPLACEMENT(1, -128) },
	{ "rbx-disp32", 64, .modrm = 0x83, DISPLACEMENT(4, 0x80000000) },
	{ "rbx+rsi-8-disp32", 64, .modrm = 0x84, SIB(3, SI, BX), DISPLACEMENT(4, 0x89abcdef),
	  .index = 0x9abcdef123456789, .scale = 3 },
	{ "rbp+rsi+disp8", 64, .modrm = 0x44, SIB(0, SI, BP), DISPLACEMENT(1, 0x7f),
	  .based_on_bp = true, .index = -16 },
#else
	{ "bx", 16, .modrm = 0x07 },
	{ "bx-disp8", 16, .modrm = 0x47, DISPLACEMENT(1, -128) },
	{ "bx+si+disp16", 16, .modrm = 0x80, DISPLACEMENT(2, 0xfedc), .index = 0xcafebeef },
	{ "bp+si-disp8", 16, .modrm = 0x42, DISPLACEMENT(1, -1), .based_on_bp = true,
	  .index = 0x8001 },
#endif
	{ "ebx", 32, .modrm = 0x03 },
	{ "ebx-disp8", 32, .modrm = 0x43, DISPLACEMENT(1, -128) },
	{ "ebx-disp32", 32, .modrm = 0x83, DISPLACEMENT(4, 0x80000000) },
	{ "ebx+esi-8+disp32", 32, .modrm = 0x84, SIB(3, SI, BX), DISPLACEMENT(4, 0x89abcdef),
	  .index = 0x9abcdef1, .scale = 3 },
	{ "ebx+esi-4", 32, .modrm = 0x04, SIB(2, SI, BX), .index = 0xfffffff0, .scale = 2 },
	{ "ebp+esi+disp8", 32, .modrm = 0x44, SIB(0, SI, BP), DISPLACEMENT(1, 0x7f),
	  .based_on_bp = true, .index = 0xfffffff0 },
};

#define LIMIT 0xffff

static void test_form(const struct instruction *instruction, const struct through *through,
		      const struct addressing *form)
{
	struct trial trial = trial_make(instruction, through, form);
	ulong offset = LIMIT + 1 - instruction->size;
	struct segment segment = { base_for(target, offset), LIMIT, DATA_UP, DESC_BIG };

	/* The bases of DS, ES and SS are 0 in 64-bit mode. */
	if (sizeof(ulong) == 8 && through == &throughs[THROUGH_DS])
		offset = (ulong)target;
	gdt_set_segment(TEST_SEGMENT, &segment);
	prefix_push("%s.%s", through->name, form->name);
	trial_check(&trial, offset, 0, NO_FAULT, "within");
	if (sizeof(ulong) == 4) {
		segment.base--;
		gdt_set_segment(TEST_SEGMENT, &segment);
		trial_check(&trial, offset + 1, 0, FAULT_GP(0), "beyond");
	}
	prefix_pop();
}

static void test_addressing(const void *argument)
{
	const struct instruction *instruction = argument;

	if (!subtest_start(instruction))
		return;
	for (const struct addressing *form = forms; form < forms + ARRAY_SIZE(forms); form++) {
		test_form(instruction, &throughs[THROUGH_DS], form);
		test_form(instruction, &throughs[THROUGH_FS], form);
	}
	subtest_finish(instruction);
}

SUBTEST_ARG("addressing-vmxon", test_addressing, &instructions[VMXON]);
SUBTEST_ARG("addressing-vmptrld", test_addressing, &instructions[VMPTRLD]);
SUBTEST_ARG("addressing-vmptrst", test_addressing, &instructions[VMPTRST]);
SUBTEST_ARG("addressing-vmclear", test_addressing, &instructions[VMCLEAR]);
SUBTEST_ARG("addressing-vmread", test_addressing, &instructions[VMREAD]);
SUBTEST_ARG("addressing-vmwrite", test_addressing, &instructions[VMWRITE]);
SUBTEST_ARG("addressing-invept", test_addressing, &instructions[INVEPT]);
SUBTEST_ARG("addressing-invvpid", test_addressing, &instructions[INVVPID]);
