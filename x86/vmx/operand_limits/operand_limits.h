/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of operand_limits share: the instructions, ways to address, running one. */
#ifndef OPERAND_LIMITS_H
#define OPERAND_LIMITS_H

#include "context.h"
#include "limit_rule.h"
#include "paging.h"
#include "tally.h"
#include "vmx/test.h"

/* A VMX instruction with a memory operand. */
struct instruction {
	const char *name;
	unsigned int size; /* of the operand */
	bool writes;
	u8 prefix; /* mandatory, or 0 */
	u8 reg;	   /* ModRM's: of the opcode, or ECX */
	u8 length;
	const char *opcode;
	/*
	 * Fills operand, for an instruction that writes with what it must become; ECX of the
	 * instruction; what it comes to. False if the CPU lacks it: the subtest is skipped.
	 */
	bool (*prepare)(u8 *operand, ulong *cx, struct vmx_result *result);
	const char *(*done)(void); /* after a success: NULL, or what is wrong */
};

#define MAX_OPERAND 16

enum { VMXON, VMPTRLD, VMPTRST, VMCLEAR, VMREAD, VMWRITE, INVEPT, INVVPID, INSTRUCTIONS };
extern const struct instruction instructions[INSTRUCTIONS];

/* How an operand is addressed: base + index * scale + displacement. The index is in (E)SI. */
struct addressing {
	const char *name;
	u8 bits;  /* of the address */
	u8 modrm; /* mod and r/m */
	u8 has_sib, sib;
	bool based_on_bp;
	u8 displacement_size;
	s32 displacement;
	ulong index;
	u8 scale;
};

/* The offset is in EBX, or in BX, or in EBP; in 64-bit mode in RBX or RBP. */
extern const struct addressing addressing_plain, addressing_bx, addressing_bp;

/* A segment register that the operand is accessed through. */
struct through {
	const char *name;
	u8 prefix;		      /* 0: none, it is the default */
	size_t selector;	      /* in struct context; 0: the prologue loads it from DX */
	struct fault fault;	      /* for an offset that it does not allow */
	unsigned int prologue_length; /* code in front of the instruction */
	const u8 *prologue;
};

enum { THROUGH_DS, THROUGH_ES, THROUGH_FS, THROUGH_GS, THROUGH_CS, THROUGH_SS, THROUGHS };
extern const struct through throughs[THROUGHS];

/* The instruction, or the MOV that accesses as many bytes in the same direction. */
enum who { VMX_INSTRUCTION_ITSELF, TWIN, WHO };

/*
 * An instruction prepared for one segment register and one way to address. All its accesses are
 * to target, wherever the segment's base puts that.
 */
struct trial {
	const struct instruction *instruction;
	const struct through *through;
	const struct addressing *addressing;
	u8 *code[WHO]; /* each followed by UD2 */
	u8 length[WHO];
	u16 selector; /* for the segment register */
	u8 operand[MAX_OPERAND];
	ulong cx;
	struct vmx_result result;
	const char *problem; /* of the instruction, apart from the fault */
};

#define GUARD 16 /* bytes on either side of the operand that no access may change */

/* The code lies below the memory, within reach of small code segments. */
extern struct arena {
	u8 code[PAGE_SIZE];
	u8 memory[3 * PAGE_SIZE];
} arena;

#define TARGET (&arena.memory[GUARD])

/* Where the operand is: TARGET at a subtest's start. To be set before trial_make(). */
extern u8 *target;

/*
 * Skips the subtest, and returns false, where the instruction cannot be tested. To be followed
 * by subtest_finish(): between them a VMCS is current; for VMXON the CPU is outside VMX operation.
 */
bool subtest_start(const struct instruction *instruction);
void subtest_finish(const struct instruction *instruction);

struct trial trial_make(const struct instruction *instruction, const struct through *through,
			const struct addressing *addressing);

/*
 * Runs one of the two with the operand at offset. For the instruction, trial->problem tells
 * whether a success, or a fault, has left all as it must be. code_base is that of CS, if the
 * operand is accessed through it.
 */
struct fault trial_run(struct trial *trial, enum who who, ulong offset, u32 code_base);

/* What is wrong with an instruction that came to got, or NULL. */
const char *trial_verdict(const struct trial *trial, struct fault got, struct fault expected);

/* One case with checks of its own: "ID", and "ID.twin" against the MOV. */
void trial_check(struct trial *trial, ulong offset, u32 code_base, struct fault expected,
		 const char *id);

/* The segment under test. */
#define TEST_SEGMENT TEST_SELECTOR(0)
#define DATA_UP	     (DESC_PRESENT | DESC_DATA_WRITABLE | DESC_ACCESSED)
#define DATA_DOWN    (DATA_UP | DESC_DATA_DOWN)
#define CODE	     (DESC_PRESENT | DESC_CODE_READABLE | DESC_ACCESSED)

#endif
