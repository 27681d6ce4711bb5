/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in the registers of the FPU's state components: filling all of them with a
 * pattern, reading them back, and telling which one differs.
 */
#ifndef LIB_X86_FPU_STATE_H
#define LIB_X86_FPU_STATE_H

#include "fpu.h"

/* The components whose registers this file knows. */
u64 fpu_state_known(void);

/* "x87", "avx", ...; "component" for one that is not known. */
const char *xstate_name(unsigned int number);

/* The bits of MXCSR that the CPU has. "Guidelines for Writing to the MXCSR Register". */
u32 fpu_mxcsr_mask(void);

/*
 * Fills an area with values that differ with seed, component and register, and that the CPU
 * takes as they are; the header says that just these components are there. Registers that
 * only 64-bit mode has are left zero elsewhere.
 */
void fpu_state_fill(struct xsave_area *area, u64 components, bool compacted, u32 seed);

/*
 * Between registers and memory, by the widest instruction that the CPU has for these
 * components (XSAVES, XSAVE or FXSAVE; fpu_state_save() sets the header for FXSAVE, too). A
 * fault is the caller's to judge.
 */
struct fault fpu_state_load(const struct xsave_area *area);
struct fault fpu_state_save(struct xsave_area *area, u64 components);

/* The components that these two can move: those enabled, or x87 and SSE without XSAVE. */
u64 fpu_state_components(void);

/* Compacted is what fpu_state_load() and _save() take when there are supervisor components. */
bool fpu_state_compacted(void);

struct fpu_difference {
	char name[16]; /* the register: "st3", "xmm0", "mxcsr" */
	u64 got, expected; /* the first 8 bytes of it that differ */
};

/*
 * True if the registers of these components are the same in both areas, each in the format
 * that its header tells. A component that XSTATE_BV does not name is in its initial state.
 * The pointers to the last instruction and operand, and its opcode, are not compared.
 */
bool fpu_state_equal(const struct xsave_area *got, const struct xsave_area *expected,
		     u64 components, struct fpu_difference *difference);

#endif
