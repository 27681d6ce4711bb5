// SPDX-License-Identifier: BSD-2-Clause
#include "fpu_state.h"
#include "printf.h"
#include "string.h"

#ifdef __x86_64__
#define XMM_COUNT 16
#define IN_64BIT(n) (n)
#else
#define XMM_COUNT 8
#define IN_64BIT(n) 0
#endif

/* What CET's and MPX's registers take as an address, in every mode. */
#define ADDRESS_MASK 0x7ffff000u

/*
 * Registers of a component, one after the other: SDM volume 1, "State Components". mask:
 * bits of each 8 bytes that take any value; 0 is for what fill_register() makes.
 */
static const struct component {
	u8 number;
	const char *name, *registers;
	u8 first; /* number of the first register */
	u16 size, count;
	u64 mask;
} components_known[] = {
	{ XSTATE_X87, "x87", "st", 0, 16, 8, ~0ull },
	{ XSTATE_SSE, "sse", "xmm", 0, 16, XMM_COUNT, ~0ull },
	{ XSTATE_AVX, "avx", "ymm", 0, 16, XMM_COUNT, ~0ull },
	{ XSTATE_BNDREGS, "bndregs", "bnd", 0, 16, 4, (ulong)-1 },
	{ XSTATE_BNDCSR, "bndcsr", "bndcsr", 0, 8, 2, ADDRESS_MASK },
	{ XSTATE_OPMASK, "opmask", "k", 0, 8, 8, ~0ull },
	{ XSTATE_ZMM_HI256, "zmm-hi256", "zmm", 0, 32, XMM_COUNT, ~0ull },
	{ XSTATE_HI16_ZMM, "hi16-zmm", "zmm", 16, 64, IN_64BIT(16), ~0ull },
	{ XSTATE_PKRU, "pkru", "pkru", 0, 8, 1, 0xffffffffu },
	{ XSTATE_CET_U, "cet-u", "cet-u", 0, 8, 2, ADDRESS_MASK },
	{ XSTATE_CET_S, "cet-s", "pl-ssp", 0, 8, 3, ADDRESS_MASK },
	{ XSTATE_TILECFG, "tilecfg", "tilecfg", 0, 64, IN_64BIT(1), 0 },
	{ XSTATE_TILEDATA, "tiledata", "tmm", 0, 1024, IN_64BIT(8), ~0ull },
	{ XSTATE_APX, "apx", "r", 16, 8, IN_64BIT(16), ~0ull },
};

u64 fpu_state_known(void)
{
	u64 known = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(components_known); i++)
		known |= BIT_ULL(components_known[i].number);
	return known;
}

static const struct component *component(unsigned int number)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(components_known); i++)
		if (components_known[i].number == number)
			return &components_known[i];
	return NULL;
}

const char *xstate_name(unsigned int number)
{
	const struct component *known = component(number);

	return known ? known->name : "component";
}

u32 fpu_mxcsr_mask(void)
{
	static struct fxsave_area area __aligned(16);
	static u32 mask;

	if (!mask) {
		fpu_execute(FXSAVE, &area, 0);
		mask = area.mxcsr_mask ? area.mxcsr_mask : MXCSR_MASK_DEFAULT;
	}
	return mask;
}

/* Spreads its input over all bits. */
static u32 mix(u32 x)
{
	x = (x ^ x >> 16) * 0x7feb352d;
	x = (x ^ x >> 15) * 0x846ca68b;
	return x ^ x >> 16;
}

static u8 *register_in(struct xsave_area *area, const struct component *known, unsigned int i)
{
	if (known->number == XSTATE_X87)
		return (u8 *)&area->legacy.st[i];
	return (u8 *)area + xstate_offset(area->header.xcomp_bv, known->number) + i * known->size;
}

/* A configuration of AMX that is valid: palette 1, eight tiles of 16 rows of 64 bytes. */
static void fill_tile_configuration(u8 *config)
{
	memset(config, 0, 64);
	config[0] = 1;
	for (unsigned int tile = 0; tile < 8; tile++) {
		config[16 + 2 * tile] = 64;
		config[48 + tile] = 16;
	}
}

static void fill_register(u8 *bytes, const struct component *known, u32 seed)
{
	u32 words[2];

	for (unsigned int i = 0; i < known->size; i += sizeof(words)) {
		words[0] = mix(seed + i) & (u32)known->mask;
		words[1] = mix(seed + i + 4) & (u32)(known->mask >> 32);
		memcpy(bytes + i, words, sizeof(words));
	}
}

/* All exceptions masked, none pending; everything else at random. */
static void fill_legacy(struct fxsave_area *legacy, u32 seed)
{
	u32 random = mix(seed);

	legacy->control = FPU_CW_INIT | (random & 0xc00);
	legacy->status = random >> 8 & ~(FPU_SW_ES | FPU_SW_BUSY) & 0xffff;
	legacy->tag = random >> 24;
	legacy->mxcsr = MXCSR_MASKS | (mix(random) & fpu_mxcsr_mask() & 0xffff);
	for (unsigned int i = 0; i < 8; i++)
		memset(legacy->st[i].reserved, 0, sizeof(legacy->st[i].reserved));
}

void fpu_state_fill(struct xsave_area *area, u64 components, bool compacted, u32 seed)
{
	memset(area, 0, xstate_size(components, compacted));
	area->legacy.control = FPU_CW_INIT;
	area->legacy.mxcsr = MXCSR_INIT;
	area->header.xstate_bv = components;
	area->header.xcomp_bv = compacted ? components | XCOMP_BV_COMPACTED : 0;
	for (unsigned int c = 0; c < ARRAY_SIZE(components_known); c++) {
		const struct component *known = &components_known[c];

		if (!(components >> known->number & 1))
			continue;
		for (unsigned int i = 0; i < known->count; i++)
			fill_register(register_in(area, known, i), known,
				      mix(seed) + known->number * 0x10000 + i * 0x1000);
		if (known->number == XSTATE_X87)
			fill_legacy(&area->legacy, seed);
		if (known->number == XSTATE_TILECFG && known->count)
			fill_tile_configuration(register_in(area, known, 0));
	}
}

u64 fpu_state_components(void)
{
	if (fpu_has(XSAVE))
		return fpu_enabled_components() & fpu_state_known();
	return XCR0_X87 | (fpu_has(FXSAVE) ? XCR0_SSE : 0);
}

bool fpu_state_compacted(void)
{
	return fpu_state_components() & ~xstate_user() & ~(XCR0_X87 | XCR0_SSE);
}

struct fault fpu_state_load(const struct xsave_area *area)
{
	if (!fpu_has(XSAVE))
		return fpu_execute(FXRSTOR, area, 0);
	if (area->header.xcomp_bv & XCOMP_BV_COMPACTED && fpu_has(XSAVES))
		return fpu_execute(XRSTORS, area, ~0ull);
	return fpu_execute(XRSTOR, area, ~0ull);
}

struct fault fpu_state_save(struct xsave_area *area, u64 components)
{
	memset(&area->header, 0, sizeof(area->header));
	if (fpu_has(XSAVE))
		return fpu_execute(fpu_state_compacted() ? XSAVES : XSAVE, area, components);
	area->header.xstate_bv = components & (XCR0_X87 | XCR0_SSE);
	return fpu_execute(FXSAVE, area, 0);
}

/* The initial state: all zero, but for two registers. */
static const struct fxsave_area initial_legacy = { .control = FPU_CW_INIT, .mxcsr = MXCSR_INIT };
static const u8 zeros[1024];

static const u8 *register_bytes(const struct xsave_area *area, const struct component *known,
				unsigned int i)
{
	if (!(area->header.xstate_bv >> known->number & 1))
		return zeros;
	return register_in((struct xsave_area *)area, known, i);
}

static bool equal_bytes(const u8 *got, const u8 *expected, size_t size,
			struct fpu_difference *difference, const char *name, unsigned int number,
			bool numbered)
{
	for (size_t i = 0; i < size; i += 8) {
		size_t part = MIN(size - i, 8u);

		if (!memcmp(got + i, expected + i, part))
			continue;
		difference->got = difference->expected = 0;
		memcpy(&difference->got, got + i, part);
		memcpy(&difference->expected, expected + i, part);
		if (numbered)
			snprintf(difference->name, sizeof(difference->name), "%s%u", name, number);
		else
			strlcpy(difference->name, name, sizeof(difference->name));
		return false;
	}
	return true;
}

#define EQUAL_FIELD(got, expected, field, difference)                                              \
	equal_bytes((const u8 *)&(got)->field, (const u8 *)&(expected)->field,                     \
		    sizeof((got)->field), difference, #field, 0, false)

static bool equal_control(const struct xsave_area *got, const struct xsave_area *expected,
			  struct fpu_difference *difference)
{
	const struct fxsave_area *g = &got->legacy, *e = &expected->legacy;

	if (!(got->header.xstate_bv & XCR0_X87))
		g = &initial_legacy;
	if (!(expected->header.xstate_bv & XCR0_X87))
		e = &initial_legacy;
	return EQUAL_FIELD(g, e, control, difference) && EQUAL_FIELD(g, e, status, difference) &&
	       EQUAL_FIELD(g, e, tag, difference);
}

/*
 * MXCSR is no part of XSTATE_BV's bargain in the standard format: it is always there. The
 * compacted format leaves it out, as a part of SSE in its initial state.
 */
static u32 mxcsr_of(const struct xsave_area *area)
{
	if (area->header.xcomp_bv & XCOMP_BV_COMPACTED && !(area->header.xstate_bv & XCR0_SSE))
		return MXCSR_INIT;
	return area->legacy.mxcsr;
}

static bool equal_mxcsr(const struct xsave_area *got, const struct xsave_area *expected,
			struct fpu_difference *difference)
{
	u32 g = mxcsr_of(got), e = mxcsr_of(expected);

	return equal_bytes((u8 *)&g, (u8 *)&e, sizeof(g), difference, "mxcsr", 0, false);
}

bool fpu_state_equal(const struct xsave_area *got, const struct xsave_area *expected,
		     u64 components, struct fpu_difference *difference)
{
	if (components & XCR0_X87 && !equal_control(got, expected, difference))
		return false;
	if (components & XCR0_SSE && !equal_mxcsr(got, expected, difference))
		return false;
	for (unsigned int c = 0; c < ARRAY_SIZE(components_known); c++) {
		const struct component *known = &components_known[c];
		size_t size = known->size;

		if (!(components >> known->number & 1))
			continue;
		if (known->number == XSTATE_X87)
			size = sizeof(struct fpu_register);
		for (unsigned int i = 0; i < known->count; i++)
			if (!equal_bytes(register_bytes(got, known, i),
					 register_bytes(expected, known, i), size, difference,
					 known->registers, known->first + i, true))
				return false;
	}
	return true;
}
