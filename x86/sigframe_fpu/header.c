// SPDX-License-Identifier: BSD-2-Clause
/*
 * The frame's header is computed from the FXSAVE or XSAVE image behind it: it must be what
 * FNSAVE would have stored. FXSAVE's abridged tag byte only says which physical register is
 * empty; the full tag word is recreated from the values, which the image holds in the order
 * of the stack (SDM volume 2A, FXSAVE, "Recreating FSAVE format").
 */
#include "sigframe.h"
#include "string.h"

static struct signal_frame frame;
static struct fsave_area fsave;

/* FNSAVE's upper halves are reserved. */
static void check_header(const struct fpstate_header *header)
{
	const struct fsave_area *got = &header->fsave;

	check_equal(got->control & 0xffff, fsave.control & 0xffff, "control");
	check_equal(got->status & 0xffff, fsave.status & 0xffff, "status");
	check_equal(header->status, fsave.status & 0xffff, "status-copy");
	check_equal(got->tag & 0xffff, fsave.tag & 0xffff, "tag");
	for (unsigned int i = 0; i < 8; i++)
		check(!memcmp(&got->st[i], &fsave.st[i], sizeof(got->st[i])), "st%u", i);
}

/* FXSAVE's family leaves the registers alone, so that FNSAVE sees the same state. */
static void test_fields(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	struct xsave_area *area = state_buffer(0);

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	for (u32 seed = 0; seed < 32; seed++) {
		unsigned int top = seed % 8;

		fpu_state_fill(area, XCR0_X87 | XCR0_SSE, false, seed);
		area->legacy.status = (area->legacy.status & ~FPU_SW_TOP) | top << FPU_SW_TOP_SHIFT;
		prefix_push("top-%u.seed-%u", top, seed);
		fpu_execute(FXRSTOR, area, 0);
		check_fault(frame_save(&frame, saver), NO_FAULT, "save");
		check_fault(fpu_execute(FNSAVE, &fsave, 0), NO_FAULT, "fnsave");
		check_equal(fsave.status >> FPU_SW_TOP_SHIFT & 7, top, "top");
		check_header(&frame.header);
		prefix_pop();
	}
}

static const enum fpu_instruction savers[] = { FXSAVE, XSAVE, XSAVEC, XSAVES };

SUBTEST_ARG("header-fxsave", test_fields, &savers[0]);
SUBTEST_ARG("header-xsave", test_fields, &savers[1]);
SUBTEST_ARG("header-xsavec", test_fields, &savers[2]);
SUBTEST_ARG("header-xsaves", test_fields, &savers[3]);

/* FNSAVE is FNINIT as well: "FNSAVE ... re-initializes the FPU". */
static void test_fnsave_initializes(void)
{
	struct xsave_area *area = state_buffer(0);

	if (!fpu_ready())
		return;
	fpu_state_fill(area, XCR0_X87 | XCR0_SSE, false, 1);
	fpu_execute(FXRSTOR, area, 0);
	fpu_execute(FNSAVE, &fsave, 0);
	fpu_execute(FXSAVE, area, 0);
	check_equal(area->legacy.control, FPU_CW_INIT, "control");
	check_equal(area->legacy.status, 0, "status");
	check_equal(area->legacy.tag, 0, "tag");
}

SUBTEST("fnsave-initializes", test_fnsave_initializes);

/* A value for each tag; TAG_EMPTY's is one that would be tagged otherwise. */
static const struct fpu_register tagged_values[] = {
	[TAG_VALID] = { 0xc90fdaa22168c235, 0x4000 },
	[TAG_ZERO] = { 0, 0x8000 },
	[TAG_SPECIAL] = { 0x8000000000000000, 0x7fff },
	[TAG_EMPTY] = { 0xa000000000000000, 0x3fff },
};

static void set_tags(struct fxsave_area *fx, unsigned int top, unsigned int word)
{
	fx->status = top << FPU_SW_TOP_SHIFT;
	fx->tag = 0;
	for (unsigned int reg = 0; reg < 8; reg++) {
		unsigned int tag = word >> 2 * reg & 3;

		fx->tag |= (tag != TAG_EMPTY) << reg;
		fx->st[(reg - top) & 7].value = tagged_values[tag];
	}
}

/*
 * Every combination of the four tags in the eight registers: FXRSTOR takes which are empty,
 * FNSAVE finds the tags. TOP turns with the combination, so that each TOP sees each tag in
 * each register. One check covers the 4096 combinations of registers 0 to 5.
 */
static void test_all_tags(void)
{
	struct fxsave_area *fx = &state_buffer(0)->legacy;

	if (!fpu_ready())
		return;
	memset(fx, 0, sizeof(*fx));
	fx->control = FPU_CW_INIT;
	fx->mxcsr = MXCSR_INIT;
	for (unsigned int high = 0; high < 16; high++) {
		u16 got = 0, expected = 0, ours = 0;

		for (unsigned int low = 0; low < 4096 && got == expected && ours == expected;
		     low++) {
			expected = high << 12 | low;
			set_tags(fx, (low ^ low >> 3 ^ low >> 6 ^ high) & 7, expected);
			fpu_execute(FXRSTOR, fx, 0);
			fpu_execute(FNSAVE, &fsave, 0);
			got = fsave.tag;
			ours = tag_word(fx);
		}
		check_equal(got, expected, "fnsave.registers-76-%#x", high);
		check_equal(ours, expected, "recreated.registers-76-%#x", high);
	}
}

SUBTEST("tags", test_all_tags);

/* The same at each TOP, with one register unlike the others. */
static void test_tags_at_top(void)
{
	static const char *const names[] = { "valid", "zero", "special", "empty" };
	struct fxsave_area *fx = &state_buffer(0)->legacy;

	if (!fpu_ready())
		return;
	memset(fx, 0, sizeof(*fx));
	fx->control = FPU_CW_INIT;
	fx->mxcsr = MXCSR_INIT;
	for (unsigned int i = 0; i < 8 * 8 * 16; i++) {
		unsigned int top = i & 7, reg = i >> 3 & 7, tag = i >> 6 & 3, others = i >> 8;
		u16 word = (0x5555 * others & ~(3 << 2 * reg)) | tag << 2 * reg;

		set_tags(fx, top, word);
		fpu_execute(FXRSTOR, fx, 0);
		fpu_execute(FNSAVE, &fsave, 0);
		check_equal(fsave.tag & 0xffff, word, "top-%u.register-%u-%s.others-%s", top, reg,
			    names[tag], names[others]);
	}
}

SUBTEST("tags-top", test_tags_at_top);

/*
 * The other way: of a full tag word FRSTOR takes only which registers are empty, whatever
 * else it says of them (SDM volume 1, "x87 FPU Tag Word").
 */
static void test_frstor_tags(void)
{
	struct fxsave_area *fx = &state_buffer(0)->legacy;

	if (!fpu_ready())
		return;
	for (unsigned int high = 0; high < 16; high++) {
		u8 got = 0, expected = 0;

		for (unsigned int low = 0; low < 4096 && got == expected; low += 7) {
			u16 word = high << 12 | low;

			memset(&fsave, 0, sizeof(fsave));
			fsave.control = FPU_CW_INIT;
			fsave.status = (low & 7) << FPU_SW_TOP_SHIFT;
			fsave.tag = word;
			expected = 0;
			for (unsigned int reg = 0; reg < 8; reg++)
				expected |= ((word >> 2 * reg & 3) != TAG_EMPTY) << reg;
			fpu_execute(FRSTOR, &fsave, 0);
			fpu_execute(FXSAVE, fx, 0);
			got = fx->tag;
		}
		check_equal(got, expected, "registers-76-%#x", high);
	}
}

SUBTEST("tags-frstor", test_frstor_tags);
