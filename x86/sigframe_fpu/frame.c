// SPDX-License-Identifier: BSD-2-Clause
/* The frame as the kernel builds and reads it; see sigframe.h. */
#include "cpu.h"
#include "page_alloc.h"
#include "paging.h"
#include "printf.h"
#include "sigframe.h"
#include "string.h"

#define EXPONENT	0x7fff
#define INTEGER_BIT	BIT_ULL(63)
#define RESERVED_ONES	0xffff0000u /* what FNSAVE and Linux have in reserved upper halves */

_Static_assert(sizeof(struct fsave_area) == 108, "FSAVE's image");
_Static_assert(sizeof(struct fpstate_header) == 112, "Linux's struct _fpstate_32, first part");
_Static_assert(sizeof(struct fxsave_area) == XSAVE_LEGACY_SIZE, "FXSAVE's image");
_Static_assert(sizeof(struct software_bytes) == 48, "Linux's struct _fpx_sw_bytes");
_Static_assert(offsetof(struct signal_frame, area) % XSAVE_ALIGN == 0, "the area is aligned");

enum fpu_tag tag_of(const struct fpu_register *value)
{
	unsigned int exponent = value->sign_exponent & EXPONENT;

	if (!exponent)
		return value->significand ? TAG_SPECIAL : TAG_ZERO;
	if (exponent == EXPONENT || !(value->significand & INTEGER_BIT))
		return TAG_SPECIAL;
	return TAG_VALID;
}

/* The image holds ST(0) first, the tags belong to physical registers. */
u16 tag_word(const struct fxsave_area *fx)
{
	unsigned int top = (fx->status & FPU_SW_TOP) >> FPU_SW_TOP_SHIFT;
	u16 word = 0;

	for (unsigned int reg = 0; reg < 8; reg++) {
		enum fpu_tag tag = TAG_EMPTY;

		if (fx->tag >> reg & 1)
			tag = tag_of(&fx->st[(reg - top) & 7].value);
		word |= tag << 2 * reg;
	}
	return word;
}

void header_from_image(struct fpstate_header *header, const struct fxsave_area *fx)
{
	struct fsave_area *fsave = &header->fsave;

	fsave->control = RESERVED_ONES | fx->control;
	fsave->status = RESERVED_ONES | fx->status;
	fsave->tag = RESERVED_ONES | tag_word(fx);
	fsave->fip = fx->fip;
	fsave->fcs = fx->fcs;
	fsave->opcode = fx->opcode;
	fsave->fdp = fx->fdp;
	fsave->fds = RESERVED_ONES | fx->fds;
	for (unsigned int i = 0; i < 8; i++)
		fsave->st[i] = fx->st[i].value;
	header->status = fx->status;
	header->magic = FPSTATE_FXSR;
}

void image_from_header(struct fxsave_area *fx, const struct fpstate_header *header)
{
	const struct fsave_area *fsave = &header->fsave;

	fx->control = fsave->control;
	fx->status = fsave->status;
	fx->tag = 0;
	for (unsigned int reg = 0; reg < 8; reg++)
		if ((fsave->tag >> 2 * reg & 3) != TAG_EMPTY)
			fx->tag |= 1 << reg;
	fx->fip = fsave->fip;
	fx->fcs = fsave->fcs;
	fx->opcode = fsave->opcode;
	fx->fdp = fsave->fdp;
	fx->fds = fsave->fds;
	for (unsigned int i = 0; i < 8; i++)
		fx->st[i].value = fsave->st[i];
}

/* Copies one component; its offset follows from each area's format. */
static void copy_component(struct xsave_area *to, const struct xsave_area *from, unsigned int n)
{
	memcpy((u8 *)to + xstate_offset(to->header.xcomp_bv, n),
	       (const u8 *)from + xstate_offset(from->header.xcomp_bv, n),
	       xstate_component(n).size);
}

static void copy_image(struct xsave_area *to, const struct xsave_area *from)
{
	memcpy(&to->legacy, &from->legacy, offsetof(struct fxsave_area, software));
	for (unsigned int n = XSTATE_AVX; n < XSTATE_MAX; n++)
		if (from->header.xstate_bv >> n & 1)
			copy_component(to, from, n);
}

void image_compact(struct xsave_area *to, const struct xsave_area *from, u64 components)
{
	memset(to, 0, xstate_size(components, true));
	to->header.xstate_bv = from->header.xstate_bv & components;
	to->header.xcomp_bv = components | XCOMP_BV_COMPACTED;
	copy_image(to, from);
}

void image_expand(struct xsave_area *to, const struct xsave_area *from)
{
	to->header.xstate_bv = from->header.xstate_bv & xstate_user();
	to->header.xcomp_bv = 0;
	copy_image(to, from);
	/* What is in its initial state was not written; the standard format has no such gaps. */
	if (!(from->header.xstate_bv & XCR0_X87)) {
		memset(&to->legacy, 0, offsetof(struct fxsave_area, mxcsr));
		memset(to->legacy.st, 0, sizeof(to->legacy.st));
		to->legacy.control = FPU_CW_INIT;
	}
	if (!(from->header.xstate_bv & XCR0_SSE))
		to->legacy.mxcsr = MXCSR_INIT;
}

u64 components_of(enum fpu_instruction instruction)
{
	switch (instruction) {
	case FNSAVE:
	case FRSTOR:
		return XCR0_X87;
	case FXSAVE:
	case FXRSTOR:
	case FXSAVE64:
	case FXRSTOR64:
		return XCR0_X87 | XCR0_SSE;
	default:
		return fpu_state_components() & (xstate_user() | XCR0_X87 | XCR0_SSE);
	}
}

static void write_software_bytes(struct signal_frame *frame, u64 features)
{
	u32 size = xstate_size(features, false), magic2 = FP_XSTATE_MAGIC2;

	*frame_software(frame) = (struct software_bytes){
		.magic1 = FP_XSTATE_MAGIC1,
		.extended_size = sizeof(frame->header) + size + sizeof(magic2),
		.features = features,
		.xstate_size = size,
	};
	memcpy(frame->bytes + size, &magic2, sizeof(magic2));
}

static bool has_extended_image(const struct signal_frame *frame)
{
	const struct software_bytes *software = frame_software((struct signal_frame *)frame);
	u32 magic2, size = software->xstate_size;

	if (frame->header.magic == FPSTATE_LEGACY || software->magic1 != FP_XSTATE_MAGIC1 ||
	    size < XSAVE_MIN_SIZE || size > XSAVE_MAX_SIZE ||
	    software->extended_size != sizeof(frame->header) + size + sizeof(magic2))
		return false;
	memcpy(&magic2, frame->bytes + size, sizeof(magic2));
	return magic2 == FP_XSTATE_MAGIC2;
}

struct fault frame_save(struct signal_frame *frame, enum fpu_instruction saver)
{
	u64 components = components_of(saver);
	struct xsave_area *buffer = state_buffer(FRAME_BUFFER);
	struct fault fault;

	memset(frame, 0, sizeof(*frame));
	if (saver == FNSAVE) {
		fault = fpu_execute(FNSAVE, &frame->header.fsave, 0);
		frame->header.status = frame->header.fsave.status;
		frame->header.magic = FPSTATE_LEGACY;
		return fault;
	}
	if (fpu_instructions[saver].compacted) {
		memset(buffer, 0, XSAVE_MAX_SIZE);
		fault = fpu_execute(saver, buffer, components);
		image_expand(&frame->area, buffer);
	} else {
		fault = fpu_execute(saver, &frame->area, components);
	}
	if (saver != FXSAVE)
		write_software_bytes(frame, components);
	header_from_image(&frame->header, &frame->area.legacy);
	return fault;
}

struct fault frame_restore(const struct signal_frame *frame, enum fpu_instruction restorer,
			   bool *valid)
{
	struct xsave_area *image = state_buffer(FRAME_BUFFER);
	struct xsave_area *compacted = state_buffer(FRAME_BUFFER - 1);
	bool extended = has_extended_image(frame);

	if (valid)
		*valid = extended;
	if (restorer == FRSTOR)
		return fpu_execute(FRSTOR, &frame->header.fsave, 0);
	memset(image, 0, XSAVE_MAX_SIZE);
	if (frame->header.magic == FPSTATE_LEGACY) {
		image->legacy.mxcsr = MXCSR_INIT;
		image->header.xstate_bv = XCR0_X87;
	} else if (extended) {
		memcpy(image, &frame->area, xstate_size(components_of(XSAVE), false));
	} else {
		memcpy(image, &frame->area, XSAVE_LEGACY_SIZE);
		image->header.xstate_bv = XCR0_X87 | XCR0_SSE;
	}
	image_from_header(&image->legacy, &frame->header);
	if (restorer != XRSTORS)
		return fpu_execute(restorer, image, components_of(restorer));
	image->header.xstate_bv |= XCR0_X87;
	image_compact(compacted, image, components_of(restorer));
	return fpu_execute(XRSTORS, compacted, components_of(restorer));
}

const struct form forms[3] = {
	{ "xrstor", XRSTOR, false, FEATURE_XSAVE },
	{ "xrstor-compacted", XRSTOR, true, FEATURE_XSAVEC },
	{ "xrstors", XRSTORS, true, FEATURE_XSAVES },
};

struct fault state_load(const struct xsave_area *area, bool wide)
{
	return wide ? fpu_state_load(area) : fpu_execute(FXRSTOR, area, 0);
}

struct fault state_save(struct xsave_area *area, bool wide)
{
	if (wide)
		return fpu_state_save(area, fpu_state_components());
	area->header = (struct xsave_header){ .xstate_bv = components_of(FXSAVE) };
	return fpu_execute(FXSAVE, area, 0);
}

struct xsave_area *state_buffer(unsigned int n)
{
	static struct xsave_area *buffers[MAX_CPUS][STATE_BUFFERS];
	struct xsave_area **buffer = &buffers[cpu_index()][n];

	if (!*buffer)
		*buffer = pages_alloc(XSAVE_MAX_SIZE / PAGE_SIZE, PAGE_SIZE);
	return *buffer;
}

void describe_difference(const struct fpu_difference *difference, char text[2][48])
{
	snprintf(text[0], sizeof(text[0]), "%s %#llx", difference->name, difference->expected);
	snprintf(text[1], sizeof(text[1]), "%#llx", difference->got);
}

bool fpu_ready(void)
{
	if (!cpu_has(FEATURE_FXSR) || !cpu_has(FEATURE_SSE)) {
		subtest_skip("the CPU has no SSE");
		return false;
	}
	fpu_enable();
	return true;
}

bool needs(enum fpu_instruction instruction)
{
	if (fpu_has(instruction))
		return true;
	subtest_skip("the CPU has no %s", fpu_instructions[instruction].name);
	return false;
}
