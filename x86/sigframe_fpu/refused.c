// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames that sigreturn must not take: the instruction that reads them raises #GP, and the
 * kernel counts on that. A frame whose extension is damaged is read as FXSAVE's image alone.
 * SDM volume 1, "Operation of XRSTOR", "Operation of XRSTORS"; volume 2, FXRSTOR, XRSTOR,
 * XRSTORS, "Protected Mode Exceptions"; "SSE State" for MXCSR's reserved bits.
 */
#include "context.h"
#include "control.h"
#include "sigframe.h"
#include "string.h"

static struct signal_frame frame;

/* A valid image that the instruction takes. */
static struct xsave_area *valid_image(enum fpu_instruction restorer, bool compacted)
{
	struct xsave_area *area = state_buffer(0);
	u64 components = components_of(restorer);

	memset(area, 0, XSAVE_MAX_SIZE);
	fpu_state_fill(area, components, compacted, 5);
	return area;
}

static bool form_usable(const struct form *form)
{
	if (!fpu_ready())
		return false;
	if (cpu_has(form->feature))
		return true;
	subtest_skip("the CPU has no %s", form->name);
	return false;
}

static struct fault restore(const struct form *form, const struct xsave_area *area)
{
	return fpu_execute(form->restorer, area, ~0ull);
}

static void test_mxcsr_fxrstor(void)
{
	struct fxsave_area *fx = &state_buffer(0)->legacy;

	if (!fpu_ready())
		return;
	if (!needs(FXRSTOR))
		return;
	for (unsigned int bit = 0; bit < 32; bit++) {
		bool there = fpu_mxcsr_mask() >> bit & 1;

		valid_image(FXRSTOR, false);
		fx->mxcsr = MXCSR_MASKS | 1u << bit;
		check_fault(fpu_execute(FXRSTOR, fx, 0), there ? NO_FAULT : FAULT_GP(0), "bit-%u",
			    bit);
	}
	fpu_init();
}

SUBTEST("refused-mxcsr-fxrstor", test_mxcsr_fxrstor);

/* MXCSR is only looked at if SSE or AVX is asked for. */
static void test_mxcsr(const void *argument)
{
	const struct form *form = argument;

	if (!form_usable(form))
		return;
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct xsave_area *area = valid_image(form->restorer, form->compacted);
		bool there = fpu_mxcsr_mask() >> bit & 1;

		area->legacy.mxcsr = MXCSR_MASKS | 1u << bit;
		check_fault(restore(form, area), there ? NO_FAULT : FAULT_GP(0), "bit-%u", bit);
		check_fault(fpu_execute(form->restorer, area, XCR0_X87), NO_FAULT,
			    "bit-%u.x87-alone", bit);
	}
	fpu_init();
}

SUBTEST_ARG("refused-mxcsr-xrstor", test_mxcsr, &forms[0]);
SUBTEST_ARG("refused-mxcsr-xrstor-compacted", test_mxcsr, &forms[1]);
SUBTEST_ARG("refused-mxcsr-xrstors", test_mxcsr, &forms[2]);

/* Components that are not enabled; it does not matter whether they are asked for. */
static void test_xstate_bv(const void *argument)
{
	const struct form *form = argument;
	u64 enabled;

	if (!form_usable(form))
		return;
	enabled = xstate_user();
	if (form->restorer == XRSTORS)
		enabled |= xstate_supervisor() & fpu_state_known();
	for (unsigned int bit = 0; bit < 64; bit++) {
		struct xsave_area *area = valid_image(form->restorer, form->compacted);

		/* The compacted format has bit 63 in XCOMP_BV: nothing says that it is refused. */
		if (enabled >> bit & 1 || (form->compacted && bit == 63))
			continue;
		area->header.xstate_bv |= BIT_ULL(bit);
		if (form->compacted)
			area->header.xcomp_bv |= BIT_ULL(bit);
		check_fault(restore(form, area), FAULT_GP(0), "bit-%u", bit);
		check_fault(fpu_execute(form->restorer, area, XCR0_X87), FAULT_GP(0),
			    "bit-%u.x87-alone", bit);
		if (!form->compacted)
			continue;
		area->header.xstate_bv &= ~BIT_ULL(bit);
		check_fault(restore(form, area), FAULT_GP(0), "xcomp-bv.bit-%u", bit);
	}
	fpu_init();
}

SUBTEST_ARG("refused-xstate-bv-xrstor", test_xstate_bv, &forms[0]);
SUBTEST_ARG("refused-xstate-bv-xrstor-compacted", test_xstate_bv, &forms[1]);
SUBTEST_ARG("refused-xstate-bv-xrstors", test_xstate_bv, &forms[2]);

/* The compacted format: what XSTATE_BV names must be in XCOMP_BV. */
static void test_not_in_xcomp_bv(const void *argument)
{
	const struct form *form = argument;

	if (!form_usable(form))
		return;
	for (unsigned int n = 0; n < XSTATE_MAX; n++) {
		struct xsave_area *area = valid_image(form->restorer, true);

		if (!(area->header.xcomp_bv >> n & 1))
			continue;
		area->header.xcomp_bv &= ~BIT_ULL(n);
		check_fault(restore(form, area), FAULT_GP(0), "%s", xstate_name(n));
	}
	fpu_init();
}

SUBTEST_ARG("refused-not-in-xcomp-bv-xrstor", test_not_in_xcomp_bv, &forms[1]);
SUBTEST_ARG("refused-not-in-xcomp-bv-xrstors", test_not_in_xcomp_bv, &forms[2]);

/*
 * The standard format: bytes 23:8 of the header must be zero, each of them. Byte 15 has the
 * compaction bit: then XCOMP_BV lacks what XSTATE_BV has, if there is a compacted format at
 * all. Bytes 63:24 are not looked at. The compacted one: bytes 63:16.
 */
static void test_header_bytes(const void *argument)
{
	const struct form *form = argument;

	if (!form_usable(form))
		return;
	for (unsigned int byte = form->compacted ? 16 : 8; byte < 64; byte++) {
		bool refused = form->compacted || byte < 24;

		for (unsigned int bit = 0; bit < 8; bit++) {
			struct xsave_area *area = valid_image(form->restorer, form->compacted);
			u8 *header = (u8 *)&area->header;

			header[byte] |= 1 << bit;
			check_fault(restore(form, area), refused ? FAULT_GP(0) : NO_FAULT,
				    "byte-%u.bit-%u", byte, bit);
		}
	}
	fpu_init();
}

SUBTEST_ARG("refused-header-xrstor", test_header_bytes, &forms[0]);
SUBTEST_ARG("refused-header-xrstor-compacted", test_header_bytes, &forms[1]);
SUBTEST_ARG("refused-header-xrstors", test_header_bytes, &forms[2]);

/* The bug of Linux 5.2: a buffer that was filled by hand, and XCOMP_BV left 0. */
static void test_no_compaction_bit(void)
{
	struct xsave_area *area;

	if (!form_usable(&forms[2]))
		return;
	area = valid_image(XRSTORS, true);
	check_fault(restore(&forms[2], area), NO_FAULT, "with");
	area->header.xcomp_bv &= ~XCOMP_BV_COMPACTED;
	check_fault(restore(&forms[2], area), FAULT_GP(0), "components-without");
	area->header.xcomp_bv = 0;
	check_fault(restore(&forms[2], area), FAULT_GP(0), "zero");
	area->header.xstate_bv = 0;
	check_fault(restore(&forms[2], area), FAULT_GP(0), "all-initial");
	fpu_init();
}

SUBTEST("refused-no-compaction-bit", test_no_compaction_bit);

/* Misaligned areas: FXSAVE wants 16 bytes, XSAVE 64, FNSAVE nothing. */
static const struct alignment {
	unsigned int bytes;
	enum fpu_instruction first, last;
} alignments[] = {
	{ 1, FNSAVE, FNSAVE },	  { 1, FRSTOR, FRSTOR }, { 16, FXSAVE, FXSAVE },
	{ 16, FXRSTOR, FXRSTOR }, { 64, XSAVE, XSAVES }, { 64, XRSTOR, XRSTORS },
};

static void check_alignment(enum fpu_instruction instruction, unsigned int alignment)
{
	for (unsigned int offset = 1; offset <= 64; offset <<= 1) {
		u8 *memory = (u8 *)state_buffer(1);
		bool saves = instruction < FRSTOR, changed = false;
		struct fault expected = offset % alignment ? FAULT_GP(0) : NO_FAULT;

		memset(memory, 0, XSAVE_MAX_SIZE);
		if (!saves)
			memcpy(memory + offset,
			       valid_image(instruction, fpu_instructions[instruction].compacted),
			       XSAVE_MAX_SIZE - 64);
		if (instruction == FRSTOR)
			fpu_execute(FNSAVE, memory + offset, 0);
		check_fault(fpu_execute(instruction, memory + offset, components_of(instruction)),
			    expected, "%s.offset-%u", fpu_instructions[instruction].name, offset);
		for (unsigned int i = 0; i < XSAVE_MAX_SIZE; i++)
			changed |= memory[i];
		if (saves)
			check_equal(changed, !fault_raised(expected), "%s.offset-%u.written",
				    fpu_instructions[instruction].name, offset);
	}
	fpu_init();
}

static void test_alignment(const void *argument)
{
	const struct alignment *row = argument;

	if (!fpu_ready())
		return;
	if (!needs(row->first))
		return;
	for (enum fpu_instruction i = row->first; i <= row->last; i++) {
		if (fpu_has(i))
			check_alignment(i, row->bytes);
		else
			check_skip("the CPU has no such instruction", "%s",
				   fpu_instructions[i].name);
	}
}

SUBTEST_ARG("misaligned-fnsave", test_alignment, &alignments[0]);
SUBTEST_ARG("misaligned-frstor", test_alignment, &alignments[1]);
SUBTEST_ARG("misaligned-fxsave", test_alignment, &alignments[2]);
SUBTEST_ARG("misaligned-fxrstor", test_alignment, &alignments[3]);
SUBTEST_ARG("misaligned-xsave", test_alignment, &alignments[4]);
SUBTEST_ARG("misaligned-xrstor", test_alignment, &alignments[5]);

/*
 * With alignment checking on, in ring 3: #AC or still #GP, as the CPU likes (SDM volume 2A,
 * FXSAVE, "Protected Mode Exceptions"; the same in XSAVE's and XRSTOR's); but one of them.
 */
static u8 *misaligned;

static ulong execute_checking_alignment(ulong instruction)
{
	ulong flags = read_flags(), value;

	write_flags(flags | EFLAGS_AC);
	value = fpu_execute(instruction, misaligned, XCR0_X87).value;
	write_flags(flags);
	return value;
}

static void test_alignment_check(void)
{
	static const enum fpu_instruction all[] = {
		FXSAVE, XSAVE, XSAVEOPT, XSAVEC, FXRSTOR, XRSTOR
	};
	ulong cr0;

	if (!fpu_ready())
		return;
	cr0 = read_cr0();
	write_cr0(cr0 | CR0_AM);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		enum fpu_instruction instruction = all[i];
		unsigned int alignment = instruction == FXSAVE || instruction == FXRSTOR ? 16 : 64;

		prefix_push("%s", fpu_instructions[instruction].name);
		if (!fpu_has(instruction))
			check_skip("the CPU has no such instruction", "offset-1");
		for (unsigned int offset = 1; fpu_has(instruction) && offset < alignment;
		     offset <<= 1) {
			struct fault fault;
			ulong value = 0;

			/* What is read there is a valid image, but for its address. */
			misaligned = (u8 *)valid_image(instruction, false) + offset;
			memmove(misaligned, misaligned - offset, XSAVE_MAX_SIZE - alignment);
			check_fault(user_call(execute_checking_alignment, instruction, &value),
				    NO_FAULT, "offset-%u.call", offset);
			fault.value = value;
			if (!fault_equal(fault, FAULT_AC))
				check_fault(fault, FAULT_GP(0), "offset-%u", offset);
			else
				check(true, "offset-%u", offset);
		}
		prefix_pop();
	}
	write_cr0(cr0);
	fpu_init();
}

SUBTEST("misaligned-ac", test_alignment_check);

static ulong execute_in_ring3(ulong instruction)
{
	return fpu_execute(instruction, state_buffer(0), 0).value;
}

/* XSAVES and XRSTORS are the kernel's. */
static void test_privilege(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVES))
		return;
	for (enum fpu_instruction i = FNSAVE; i < FXSAVE64; i++) {
		struct fault expected = fpu_instructions[i].privileged ? FAULT_GP(0) : NO_FAULT;
		ulong value = 0;

		if (i == FRSTOR)
			fpu_execute(FNSAVE, state_buffer(0), 0);
		else
			valid_image(i, fpu_instructions[i].compacted);
		check_fault(user_call(execute_in_ring3, i, &value), NO_FAULT, "%s.call",
			    fpu_instructions[i].name);
		check_fault((struct fault){ value }, expected, "%s", fpu_instructions[i].name);
	}
	fpu_init();
}

SUBTEST("refused-ring3", test_privilege);

/* What a program may have done to the frame, and what is then left of it. */
enum damage { MAGIC1, MAGIC2, EXTENDED_SIZE, XSTATE_SIZE, LEGACY };

static void damage_frame(enum damage damage)
{
	struct software_bytes *software = frame_software(&frame);

	if (damage == MAGIC1)
		software->magic1 ^= 1;
	else if (damage == MAGIC2)
		frame.bytes[software->xstate_size] ^= 1;
	else if (damage == EXTENDED_SIZE)
		software->extended_size -= 4;
	else if (damage == XSTATE_SIZE)
		software->xstate_size = XSAVE_MIN_SIZE - 1;
	else
		frame.header.magic = FPSTATE_LEGACY;
}

static void test_damaged(void)
{
	static const char *const names[] = { "magic1", "magic2", "extended-size", "xstate-size",
					     "legacy" };
	static const struct xsave_area initial = { .legacy.mxcsr = MXCSR_INIT };
	struct xsave_area *got = state_buffer(1);

	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	for (enum damage damage = MAGIC1; damage <= LEGACY; damage++) {
		u64 all = components_of(XSAVE);
		u64 kept = damage == LEGACY ? XCR0_X87 : XCR0_X87 | XCR0_SSE;
		struct xsave_area *area = valid_image(XRSTOR, false);
		bool valid = true;

		prefix_push("%s", names[damage]);
		fpu_state_load(area);
		frame_save(&frame, XSAVE);
		damage_frame(damage);
		check_fault(frame_restore(&frame, XRSTOR, &valid), NO_FAULT, "restore");
		check(!valid, "noticed");
		fpu_state_save(got, all);
		check_state(got, area, kept, "kept");
		check_state(got, &initial, all & ~kept, "initial");
		prefix_pop();
	}
}

SUBTEST("damaged", test_damaged);
