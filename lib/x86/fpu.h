/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of x87 FPU, SSE, AVX and what came after them: the layouts in which it lies in
 * memory, the instructions that save and restore it, and the state components that the CPU
 * has. SDM volume 1, "FXSAVE", chapter "Managing State Using the XSAVE Feature Set". What is
 * in the registers is fpu_state.h's subject.
 */
#ifndef LIB_X86_FPU_H
#define LIB_X86_FPU_H

#include "cpuid.h"
#include "fault.h"
#include "types.h"

/* Numbers of state components, and as bits of XCR0, IA32_XSS, XSTATE_BV. */
#define XSTATE_X87	   0
#define XSTATE_SSE	   1
#define XSTATE_AVX	   2
#define XSTATE_BNDREGS	   3
#define XSTATE_BNDCSR	   4
#define XSTATE_OPMASK	   5
#define XSTATE_ZMM_HI256   6
#define XSTATE_HI16_ZMM	   7
#define XSTATE_PKRU	   9
#define XSTATE_CET_U	   11
#define XSTATE_CET_S	   12
#define XSTATE_TILECFG	   17
#define XSTATE_TILEDATA	   18
#define XSTATE_APX	   19
#define XSTATE_MAX	   63 /* bit 63 of the masks means something else */

#define XCR0_X87	   BIT_ULL(XSTATE_X87)
#define XCR0_SSE	   BIT_ULL(XSTATE_SSE)
#define XCR0_AVX	   BIT_ULL(XSTATE_AVX)
#define XCR0_MPX	   (BIT_ULL(XSTATE_BNDREGS) | BIT_ULL(XSTATE_BNDCSR))
#define XCR0_AVX512                                                                                \
	(BIT_ULL(XSTATE_OPMASK) | BIT_ULL(XSTATE_ZMM_HI256) | BIT_ULL(XSTATE_HI16_ZMM))
#define XCR0_AMX	   (BIT_ULL(XSTATE_TILECFG) | BIT_ULL(XSTATE_TILEDATA))

#define XCOMP_BV_COMPACTED BIT_ULL(63)

/* Status and control word. */
#define FPU_SW_EXCEPTIONS  0x003fu
#define FPU_SW_ES	   0x0080u
#define FPU_SW_TOP_SHIFT   11
#define FPU_SW_TOP	   (7u << FPU_SW_TOP_SHIFT)
#define FPU_SW_BUSY	   0x8000u
#define FPU_CW_MASKS	   0x003fu
#define FPU_CW_INIT	   0x037fu
#define FPU_CW_RESERVED1   0x0040u /* reads as 1 */
#define MXCSR_INIT	   0x1f80u
#define MXCSR_MASKS	   0x1f80u
#define MXCSR_MASK_DEFAULT 0xffbfu /* what a MXCSR_MASK of 0 means: no DAZ */

/* The tags of the full tag word, 2 bits for each register. */
enum fpu_tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

struct fpu_register {
	u64 significand;
	u16 sign_exponent;
} __packed;

/* FNSAVE's image, 32-bit protected-mode format. */
struct fsave_area {
	u32 control, status, tag;
	u32 fip;
	u16 fcs, opcode;
	u32 fdp;
	u32 fds;
	struct fpu_register st[8];
} __packed;

/* FXSAVE's image, without REX.W (with it fip and fdp have 64 bits, where fcs and fds are). */
struct fxsave_area {
	u16 control, status;
	u8 tag, reserved1; /* abridged: a set bit is a register that is not empty */
	u16 opcode;
	u32 fip;
	u16 fcs, reserved2;
	u32 fdp;
	u16 fds, reserved3;
	u32 mxcsr, mxcsr_mask;
	struct {
		struct fpu_register value;
		u8 reserved[6];
	} st[8];
	u8 xmm[16][16];
	u8 reserved[48]; /* not written */
	u8 software[48]; /* not written, for software */
} __packed;

struct xsave_header {
	u64 xstate_bv, xcomp_bv;
	u64 reserved[6];
};

struct xsave_area {
	struct fxsave_area legacy;
	struct xsave_header header;
	u8 extended[];
} __aligned(64);

#define XSAVE_LEGACY_SIZE 512
#define XSAVE_MIN_SIZE	  576
#define XSAVE_ALIGN	  64
#define XSAVE_MAX_SIZE	  16384 /* more than any CPU's, AMX's tiles included */

/* The instructions; those that end in 64 have REX.W, and exist in 64-bit mode only. */
enum fpu_instruction {
	FNSAVE,
	FXSAVE,
	XSAVE,
	XSAVEOPT,
	XSAVEC,
	XSAVES,
	FRSTOR,
	FXRSTOR,
	XRSTOR,
	XRSTORS,
	FXSAVE64,
	XSAVE64,
	FXRSTOR64,
	XRSTOR64,
	FPU_INSTRUCTIONS,
};

struct fpu_instruction_info {
	const char *name;
	const char *code; /* with the area's address in (R/E)BX, components in EDX:EAX */
	u8 length;
	bool privileged;
	bool compacted; /* saves, or insists on, the compacted format */
	u64 feature;	/* 0: always there */
};

extern const struct fpu_instruction_info fpu_instructions[FPU_INSTRUCTIONS];

/* Does the CPU have it, in this mode? Asked first by the boot processor, as all of CPUID here. */
bool fpu_has(enum fpu_instruction instruction);

/* Executes it at the privilege level of the caller; components is what XSAVE's family takes. */
struct fault fpu_execute(enum fpu_instruction instruction, const void *area, u64 components);

/* XSETBV, and XGETBV with any index. */
struct fault xsetbv_safe(u32 index, u64 value);
struct fault xgetbv_safe(u32 index, u64 *value);

/* What the CPU knows: XCR0 and IA32_XSS take just these bits. 0 without XSAVE, XSAVES. */
u64 xstate_user(void);
u64 xstate_supervisor(void);

/* A component's place, as CPUID leaf 0xd tells. */
struct xstate_component {
	u32 size;
	u32 offset;	 /* in the standard format */
	bool supervisor; /* no place in the standard format */
	bool aligned;	 /* to 64 bytes in the compacted format */
};
struct xstate_component xstate_component(unsigned int number);

/* Where a component lies in an area with this XCOMP_BV; 0 for the standard format. */
u32 xstate_offset(u64 xcomp_bv, unsigned int number);

/* Bytes of an area with these components: standard format, or the compacted one. */
u32 xstate_size(u64 components, bool compacted);

/*
 * Makes all of it usable on the calling CPU: CR0.TS and EM off, CR4.OSFXSR, OSXMMEXCPT and
 * OSXSAVE on as far as the CPU has them, XCR0 and IA32_XSS with all of their bits. IA32_XSS:
 * those that fpu_state_known() names. x87 and SSE are then in their initial state; the rest
 * is as it was.
 */
void fpu_enable(void);

/*
 * Those components that fpu_enable() turns on and whose place is known: a CPU that
 * enumerates one with size 0 (Bochs 2.7: PKRU) has it, but nobody can tell where it lies.
 */
u64 fpu_enabled_components(void);

/* x87 and SSE in their initial state. */
void fpu_init(void);

#endif
