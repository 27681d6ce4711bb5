// SPDX-License-Identifier: BSD-2-Clause
/*
 * 80-bit values of every kind go through a frame bit for bit, those included that no
 * arithmetic accepts: pseudo-NaN, pseudo-infinity, unnormals. A hypervisor that keeps
 * registers as doubles, or loads them with FLD, would change them. SDM volume 1, "Real
 * Number and NaN Encodings", "Unsupported Double Extended-Precision Floating-Point Encodings
 * and Pseudo-Denormals"; for the tags "x87 FPU Tag Word"; for FXAM its page.
 */
#include "sigframe.h"
#include "string.h"

/* FXAM's answer: C3, C2, C0 of the status word. */
#define C0	    0x0100u
#define C1	    0x0200u
#define C2	    0x0400u
#define C3	    0x4000u
#define UNSUPPORTED 0
#define NAN	    C0
#define NORMAL	    C2
#define INFINITY    (C2 | C0)
#define ZERO	    C3
#define DENORMAL    (C3 | C2)

static const struct value {
	const char *name;
	struct fpu_register bits;
	enum fpu_tag tag;
	u16 class;
} values[] = {
	{ "zero", { 0, 0 }, TAG_ZERO, ZERO },
	{ "minus-zero", { 0, 0x8000 }, TAG_ZERO, ZERO },
	{ "one", { 0x8000000000000000, 0x3fff }, TAG_VALID, NORMAL },
	{ "minus-pi", { 0xc90fdaa22168c235, 0xc000 }, TAG_VALID, NORMAL },
	{ "smallest-normal", { 0x8000000000000000, 0x0001 }, TAG_VALID, NORMAL },
	{ "largest-normal", { 0xffffffffffffffff, 0x7ffe }, TAG_VALID, NORMAL },
	{ "smallest-denormal", { 0x0000000000000001, 0x0000 }, TAG_SPECIAL, DENORMAL },
	{ "largest-denormal", { 0x7fffffffffffffff, 0x8000 }, TAG_SPECIAL, DENORMAL },
	{ "pseudo-denormal", { 0x8000000000000001, 0x0000 }, TAG_SPECIAL, DENORMAL },
	{ "infinity", { 0x8000000000000000, 0x7fff }, TAG_SPECIAL, INFINITY },
	{ "minus-infinity", { 0x8000000000000000, 0xffff }, TAG_SPECIAL, INFINITY },
	{ "snan", { 0x8000000000000001, 0x7fff }, TAG_SPECIAL, NAN },
	{ "minus-snan", { 0xbfffffffffffffff, 0xffff }, TAG_SPECIAL, NAN },
	{ "qnan", { 0xc000000000000001, 0x7fff }, TAG_SPECIAL, NAN },
	{ "indefinite", { 0xc000000000000000, 0xffff }, TAG_SPECIAL, NAN },
	{ "pseudo-snan", { 0x0000000000000001, 0x7fff }, TAG_SPECIAL, UNSUPPORTED },
	{ "pseudo-qnan", { 0x7fffffffffffffff, 0xffff }, TAG_SPECIAL, UNSUPPORTED },
	{ "pseudo-infinity", { 0, 0x7fff }, TAG_SPECIAL, UNSUPPORTED },
	{ "unnormal", { 0x7fffffffffffffff, 0x3fff }, TAG_SPECIAL, UNSUPPORTED },
	{ "minus-unnormal", { 0x0000000000000001, 0x8001 }, TAG_SPECIAL, UNSUPPORTED },
	{ "unnormal-zero", { 0, 0x3fff }, TAG_SPECIAL, UNSUPPORTED },
};

static struct signal_frame frame;

/* The value in ST(0), its neighbours in the others, by FXRSTOR. */
static void load_values(unsigned int index, unsigned int top)
{
	struct fxsave_area *fx = &state_buffer(0)->legacy;

	memset(fx, 0, sizeof(*fx));
	fx->control = FPU_CW_INIT;
	fx->status = top << FPU_SW_TOP_SHIFT;
	fx->tag = 0xff;
	fx->mxcsr = MXCSR_INIT;
	for (unsigned int i = 0; i < 8; i++)
		fx->st[i].value = values[(index + i) % ARRAY_SIZE(values)].bits;
	fpu_execute(FXRSTOR, fx, 0);
}

static void check_bits(const struct fpu_register *got, unsigned int index, const char *id)
{
	const struct fpu_register *expected = &values[index % ARRAY_SIZE(values)].bits;

	check_equal(got->significand, expected->significand, "%s.significand", id);
	check_equal(got->sign_exponent, expected->sign_exponent, "%s.sign-exponent", id);
}

static void check_image(unsigned int index, const char *way)
{
	prefix_push("%s", way);
	check_bits(&frame.area.legacy.st[0].value, index, "image-st0");
	check_bits(&frame.area.legacy.st[7].value, index + 7, "image-st7");
	prefix_pop();
}

/* Between the images, the registers keep every bit. */
static void test_values(void)
{
	if (!fpu_ready())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		prefix_push("%s", values[i].name);
		load_values(i, i % 8);
		frame_save(&frame, FXSAVE);
		check_image(i, "fxsave");
		check_bits(&frame.header.fsave.st[0], i, "header-st0");
		check_equal(frame.header.fsave.tag >> i % 8 * 2 & 3, values[i].tag, "header-tag");
		frame_restore(&frame, FXRSTOR, NULL);
		frame_save(&frame, FXSAVE);
		check_image(i, "again");
		prefix_pop();
	}
}

SUBTEST("values", test_values);

static void test_values_xsave(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		prefix_push("%s", values[i].name);
		load_values(i, i % 8);
		frame_save(&frame, XSAVE);
		check_image(i, "xsave");
		frame_restore(&frame, XRSTOR, NULL);
		frame_save(&frame, XSAVE);
		check_image(i, "again");
		prefix_pop();
	}
}

SUBTEST("values-xsave", test_values_xsave);

static void test_values_fnsave(void)
{
	if (!fpu_ready())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		const struct fsave_area *fsave = &frame.header.fsave;

		prefix_push("%s", values[i].name);
		load_values(i, i % 8);
		frame_save(&frame, FNSAVE);
		check_bits(&fsave->st[0], i, "st0");
		check_bits(&fsave->st[7], i + 7, "st7");
		check_equal(fsave->tag >> i % 8 * 2 & 3, values[i].tag, "tag");
		frame_restore(&frame, FRSTOR, NULL);
		frame_save(&frame, FXSAVE);
		check_image(i, "frstor");
		prefix_pop();
	}
}

SUBTEST("values-fnsave", test_values_fnsave);

/* FLD and FSTP of 80 bits convert nothing and raise nothing, not even for an SNaN. */
static void test_values_fld(void)
{
	if (!fpu_ready())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		struct fpu_register stored;
		u16 status;

		memset(&stored, 0xa5, sizeof(stored));
		prefix_push("%s", values[i].name);
		asm volatile("fninit\n"
			     "fldt %[value]\n"
			     "fxam\n"
			     "fnstsw %[status]\n"
			     "fstpt %[stored]"
			     : [stored] "=m"(stored), [status] "=a"(status)
			     : [value] "m"(values[i].bits));
		check_bits(&stored, i, "stored");
		check_equal(status & (C3 | C2 | C0), values[i].class, "fxam");
		check_equal(!!(status & C1), values[i].bits.sign_exponent >> 15, "fxam-sign");
		check_equal(status & FPU_SW_EXCEPTIONS, 0, "exceptions");
		prefix_pop();
	}
}

SUBTEST("values-fld", test_values_fld);
