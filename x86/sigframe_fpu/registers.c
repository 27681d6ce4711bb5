// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the images hold, against the registers as instructions see them: each XMM, YMM, ZMM
 * and opmask register, loaded by a move and saved by every saver; loaded by every restorer
 * and stored by a move. SDM volume 1, "State Components" says where each lies.
 */
#include "control.h"
#include "extable.h"
#include "sigframe.h"
#include "string.h"

#define EACH_8(X)  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define EACH_16(X) EACH_8(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH_32(X)                                                                                 \
	EACH_16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)                                 \
	X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#ifdef __x86_64__
#define EACH_VECTOR(X)	EACH_16(X)
#define EACH_ZMM(X)	EACH_32(X)
#define VECTORS		16
#define ZMM_VECTORS	32
#else
#define EACH_VECTOR(X)	EACH_8(X)
#define EACH_ZMM(X)	EACH_8(X)
#define VECTORS		8
#define ZMM_VECTORS	8
#endif

#define MAX_REGISTERS 32
#define MAX_WIDTH     64

#define DEFINE_MOVES(name, each)                                                                   \
	static void load_##name(const u8 *memory)                                                  \
	{                                                                                          \
		asm volatile(each(LOAD_##name) : : [memory] "r"(memory) : "memory");               \
	}                                                                                          \
	static void store_##name(u8 *memory)                                                       \
	{                                                                                          \
		asm volatile(each(STORE_##name) : : [memory] "r"(memory) : "memory");              \
	}

#define LOAD_xmm(n)    "movups 16*" #n "(%[memory]), %%xmm" #n "\n"
#define STORE_xmm(n)   "movups %%xmm" #n ", 16*" #n "(%[memory])\n"
#define LOAD_ymm(n)    "vmovups 32*" #n "(%[memory]), %%ymm" #n "\n"
#define STORE_ymm(n)   "vmovups %%ymm" #n ", 32*" #n "(%[memory])\n"
#define LOAD_zmm(n)    "vmovups 64*" #n "(%[memory]), %%zmm" #n "\n"
#define STORE_zmm(n)   "vmovups %%zmm" #n ", 64*" #n "(%[memory])\n"
#define LOAD_opmask(n) "kmovq 8*" #n "(%[memory]), %%k" #n "\n"
#define STORE_opmask(n) "kmovq %%k" #n ", 8*" #n "(%[memory])\n"

DEFINE_MOVES(xmm, EACH_VECTOR)
DEFINE_MOVES(ymm, EACH_VECTOR)
DEFINE_MOVES(zmm, EACH_ZMM)
DEFINE_MOVES(opmask, EACH_8)

#define FEATURE_AVX512BW CPUID_FEATURE(0x7, 0, EBX, 30)

static const struct bank {
	const char *name;
	unsigned int width, count;
	u64 components, feature;
	void (*load)(const u8 *memory);
	void (*store)(u8 *memory);
} banks[] = {
	{ "xmm", 16, VECTORS, XCR0_SSE, FEATURE_SSE, load_xmm, store_xmm },
	{ "ymm", 32, VECTORS, XCR0_SSE | XCR0_AVX, FEATURE_AVX, load_ymm, store_ymm },
	{ "zmm", 64, ZMM_VECTORS, XCR0_SSE | XCR0_AVX | XCR0_AVX512, FEATURE_AVX512F, load_zmm,
	  store_zmm },
	{ "k", 8, 8, BIT_ULL(XSTATE_OPMASK), FEATURE_AVX512BW, load_opmask, store_opmask },
};

/* Copies a part of a register between an image and out; a component's registers stand in a row. */
static void part(struct xsave_area *area, unsigned int component, unsigned int n, unsigned int size,
		 u8 *out, bool to_image)
{
	u8 *in_image = (u8 *)area + xstate_offset(area->header.xcomp_bv, component) + n * size;

	memcpy(to_image ? in_image : out, to_image ? out : in_image, size);
}

/* A whole register: its pieces lie in up to three components. */
static void transfer(struct xsave_area *area, const struct bank *bank, unsigned int n, u8 *value,
		     bool to_image)
{
	if (bank->width == 8) {
		part(area, XSTATE_OPMASK, n, 8, value, to_image);
		return;
	}
	if (n >= 16) {
		part(area, XSTATE_HI16_ZMM, n - 16, 64, value, to_image);
		return;
	}
	part(area, XSTATE_SSE, n, 16, value, to_image);
	if (bank->width >= 32)
		part(area, XSTATE_AVX, n, 16, value + 16, to_image);
	if (bank->width == 64)
		part(area, XSTATE_ZMM_HI256, n, 32, value + 32, to_image);
}

static u8 pattern[MAX_REGISTERS * MAX_WIDTH] __aligned(64);
static u8 stored[MAX_REGISTERS * MAX_WIDTH] __aligned(64);

static void fill_pattern(const struct bank *bank, u32 seed)
{
	for (unsigned int i = 0; i < bank->count * bank->width; i++)
		pattern[i] = (i / bank->width * 37 + i % bank->width * 11 + seed * 101) ^ 0x5a;
}

static void check_register(const struct bank *bank, unsigned int n, const u8 *got)
{
	const u8 *expected = pattern + n * bank->width;
	u64 a = 0, b = 0;

	for (unsigned int i = 0; i < bank->width && a == b; i += 8) {
		memcpy(&a, got + i, 8);
		memcpy(&b, expected + i, 8);
	}
	check_equal(a, b, "%s%u", bank->name, n);
}

static void check_saver(const struct bank *bank, enum fpu_instruction saver)
{
	struct xsave_area *area = state_buffer(0);
	u8 value[MAX_WIDTH];

	prefix_push("%s", fpu_instructions[saver].name);
	fill_pattern(bank, saver);
	memset(area, 0, XSAVE_MAX_SIZE);
	bank->load(pattern);
	check_fault(fpu_execute(saver, area, components_of(saver)), NO_FAULT, "save");
	for (unsigned int n = 0; n < bank->count; n++) {
		transfer(area, bank, n, value, false);
		check_register(bank, n, value);
	}
	prefix_pop();
}

static void check_restorer(const struct bank *bank, enum fpu_instruction restorer)
{
	struct xsave_area *area = state_buffer(0);
	bool compacted = fpu_instructions[restorer].compacted;

	prefix_push("%s", fpu_instructions[restorer].name);
	fill_pattern(bank, restorer);
	fpu_state_fill(area, components_of(restorer), compacted, 1);
	for (unsigned int n = 0; n < bank->count; n++)
		transfer(area, bank, n, pattern + n * bank->width, true);
	memset(stored, 0, sizeof(stored));
	bank->load(stored);
	check_fault(fpu_execute(restorer, area, components_of(restorer)), NO_FAULT, "restore");
	bank->store(stored);
	for (unsigned int n = 0; n < bank->count; n++)
		check_register(bank, n, stored + n * bank->width);
	prefix_pop();
}

static bool bank_usable(const struct bank *bank)
{
	if (!cpu_has(bank->feature) ||
	    (bank->components != XCR0_SSE && bank->components & ~components_of(XSAVE))) {
		subtest_skip("the CPU has no %s registers", bank->name);
		return false;
	}
	return true;
}

static void test_xmm(void)
{
	if (!fpu_ready())
		return;
	if (!bank_usable(&banks[0]))
		return;
	check_saver(&banks[0], FXSAVE);
	check_restorer(&banks[0], FXRSTOR);
}

SUBTEST("registers-xmm", test_xmm);

static void test_bank(const void *argument)
{
	static const enum fpu_instruction all[] = { XSAVE,  XSAVEOPT, XSAVEC,
						     XSAVES, XRSTOR,   XRSTORS };
	const struct bank *bank = argument;

	if (!fpu_ready())
		return;
	if (!needs(XSAVE) || !bank_usable(bank))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if (!fpu_has(all[i]))
			check_skip("the CPU has no such instruction", "%s",
				   fpu_instructions[all[i]].name);
		else if (all[i] == XRSTOR || all[i] == XRSTORS)
			check_restorer(bank, all[i]);
		else
			check_saver(bank, all[i]);
	}
}

SUBTEST_ARG("registers-xsave-xmm", test_bank, &banks[0]);
SUBTEST_ARG("registers-ymm", test_bank, &banks[1]);
SUBTEST_ARG("registers-zmm", test_bank, &banks[2]);
SUBTEST_ARG("registers-opmask", test_bank, &banks[3]);

static struct fault ldmxcsr(u32 value)
{
	struct fault fault;

	asm volatile(TRY("ldmxcsr %[value]") : TRY_RESULT(fault) : [value] "m"(value));
	return fault;
}

static u32 stmxcsr(void)
{
	u32 value;

	asm volatile("stmxcsr %0" : "=m"(value));
	return value;
}

/*
 * MXCSR goes with SSE and with AVX: XSAVE writes it, and XRSTOR of the standard format reads
 * it, if either is asked for, whatever XSTATE_BV says ("SSE State", "Operation of XSAVE",
 * "Operation of XRSTOR").
 */
static void check_mxcsr_with(u64 components)
{
	struct xsave_area *area = state_buffer(0);
	bool moves = components & (XCR0_SSE | XCR0_AVX);
	const u32 ours = MXCSR_INIT | 0x6000, poison = 0xa5a5a5a5;

	prefix_push("components-%llu", components);
	memset(area, 0, XSAVE_MIN_SIZE);
	area->legacy.mxcsr = area->legacy.mxcsr_mask = poison;
	ldmxcsr(ours);
	check_fault(fpu_execute(XSAVE, area, components), NO_FAULT, "xsave");
	check_equal(area->legacy.mxcsr, moves ? ours : poison, "xsave.mxcsr");
	check_equal(area->legacy.mxcsr_mask, moves ? fpu_mxcsr_mask() : poison, "xsave.mask");
	memset(&area->header, 0, sizeof(area->header));
	area->legacy.mxcsr = MXCSR_INIT | 0x2001;
	check_fault(fpu_execute(XRSTOR, area, components), NO_FAULT, "xrstor");
	check_equal(stmxcsr(), moves ? MXCSR_INIT | 0x2001 : ours, "xrstor.mxcsr");
	prefix_pop();
}

static void test_mxcsr_components(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	for (u64 components = 0; components < 8; components++)
		if (!(components & ~components_of(XSAVE)))
			check_mxcsr_with(components);
	fpu_init();
}

SUBTEST("mxcsr-components", test_mxcsr_components);

/* MXCSR_MASK tells which bits there are: those alone can be set, one by one. */
static void test_mxcsr(void)
{
	struct fxsave_area *fx = &state_buffer(0)->legacy;
	u32 mask = fpu_mxcsr_mask();

	if (!fpu_ready())
		return;
	check_equal(mask & MXCSR_MASK_DEFAULT, MXCSR_MASK_DEFAULT, "mask-has-all-that-sse-has");
	for (unsigned int bit = 0; bit < 32; bit++) {
		u32 value = MXCSR_INIT ^ 1u << bit;
		bool there = mask >> bit & 1;

		prefix_push("bit-%u", bit);
		fpu_init();
		check_fault(ldmxcsr(value), there ? NO_FAULT : FAULT_GP(0), "ldmxcsr");
		check_equal(stmxcsr(), there ? value : MXCSR_INIT, "stmxcsr");
		fpu_execute(FXSAVE, fx, 0);
		check_equal(fx->mxcsr, there ? value : MXCSR_INIT, "fxsave");
		prefix_pop();
	}
	fpu_init();
}

SUBTEST("mxcsr", test_mxcsr);
