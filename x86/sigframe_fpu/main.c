// SPDX-License-Identifier: BSD-2-Clause
/*
 * Signal frames of 32-bit processes, and the FPU state that they carry.
 *
 * When Linux delivers a signal it saves the FPU's registers on the user's stack: for a
 * 32-bit process an FSAVE image, which old programs read, and behind it the image of FXSAVE
 * or XSAVE. sigreturn reads it back. Linux 5.2 (39388e80f9b0) saved the second image
 * straight from the registers and then computed the first from one in memory that nobody had
 * written; and it handed XRSTORS a temporary buffer whose XCOMP_BV did not have the
 * compaction bit, which is #GP. This test plays the kernel with the real instructions: it
 * checks that CPU and hypervisor keep what such a kernel relies on.
 *
 * Here: frames by every saver, read by every restorer. The other files: frame.c (what the
 * kernel does), header.c, values.c, pointers.c (the header against the image), registers.c
 * (what is in the image), refused.c, initial.c, slow_path.c, interrupted.c, exits.c (state
 * across VM exits), control.c (CR0 and CR4), xcr0.c.
 */
#include "sigframe.h"
#include "string.h"

TEST_SUMMARY("FPU state goes into a 32-bit signal frame and comes back, by every instruction");
TEST_MANUAL("SDM volume 1, \"Managing State Using the XSAVE Feature Set\"");
TEST_MANUAL("SDM volume 1, \"x87 FPU Execution Environment\"");
TEST_MANUAL("SDM volume 2A, FXSAVE, \"Recreating FSAVE format\"");
TEST_MANUAL("SDM volume 3A, \"System Programming for Instruction Set Extensions and Processor "
	    "Extended States\"");
TEST_GUARDS("Linux 39388e80f9b0: a 32-bit signal frame's FSAVE header was made from an FXSAVE "
	    "image that was no longer written; XRSTORS of a buffer without the compaction bit");

#define SEEDS 16

static struct signal_frame frame;

static const enum fpu_instruction savers[] = { FNSAVE, FXSAVE, XSAVE, XSAVEC, XSAVES };

/* A pattern whose TOP goes through all 8 positions. */
static void fill(struct xsave_area *area, u32 seed)
{
	fpu_state_fill(area, fpu_state_components() & components_of(XSAVE), false, seed);
	area->legacy.status &= ~FPU_SW_TOP;
	area->legacy.status |= seed % 8 << FPU_SW_TOP_SHIFT;
}

/*
 * After it each component holds what the frame had; or what it was before, if the restorer
 * does not touch it; or its initial state, if the restorer did not find it in the frame.
 */
static void check_round_trip(enum fpu_instruction saver, enum fpu_instruction restorer, bool wide,
			     u32 seed)
{
	/* frame_restore() uses the other two, but no longer once it has returned. */
	struct xsave_area *pattern = state_buffer(0), *other = state_buffer(1);
	struct xsave_area *got = state_buffer(2);
	u64 all = components_of(wide ? XSAVE : FXSAVE), restored = components_of(restorer) & all;
	u64 found = components_of(saver) & restored;
	bool extended = saver != FNSAVE && saver != FXSAVE, valid = false;
	static const struct xsave_area initial = { .legacy.mxcsr = MXCSR_INIT };

	prefix_push("seed-%u", seed);
	fill(pattern, seed);
	fill(other, ~seed);
	check_fault(state_load(pattern, wide), NO_FAULT, "load");
	check_fault(frame_save(&frame, saver), NO_FAULT, "save");
	check_fault(state_load(other, wide), NO_FAULT, "dirty");
	check_fault(frame_restore(&frame, restorer, &valid), NO_FAULT, "restore");
	state_save(got, wide);
	check_equal(valid, extended, "extended-image");
	check_state(got, pattern, found, "restored");
	check_state(got, &initial, restored & ~found, "initial");
	check_state(got, other, all & ~restored, "untouched");
	prefix_pop();
}

struct route {
	enum fpu_instruction saver, restorer;
	bool wide; /* with components beyond SSE */
};

static void check_route(const struct route *route)
{
	const char *saver = fpu_instructions[route->saver].name;
	const char *restorer = fpu_instructions[route->restorer].name;

	if (!fpu_has(route->saver) || !fpu_has(route->restorer) ||
	    (route->wide && !fpu_has(XSAVE))) {
		check_skip("the CPU has no such instruction", "%s-%s", saver, restorer);
		return;
	}
	prefix_push("%s-%s", saver, restorer);
	for (u32 seed = 0; seed < SEEDS; seed++)
		check_round_trip(route->saver, route->restorer, route->wide, seed);
	prefix_pop();
}

/* No XSAVE is needed: what every CPU with SSE has. */
static void test_fxsr(void)
{
	static const struct route route = { FXSAVE, FXRSTOR, false };

	if (!fpu_ready())
		return;
	if (needs(FXSAVE))
		check_route(&route);
}

SUBTEST("frame-fxsr", test_fxsr);

static void test_saver(const void *argument)
{
	static const enum fpu_instruction restorers[] = { FXRSTOR, XRSTOR, XRSTORS };
	struct route route = { *(const enum fpu_instruction *)argument, FXRSTOR, true };

	if (!fpu_ready())
		return;
	if (!needs(route.saver))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(restorers); i++) {
		route.restorer = restorers[i];
		check_route(&route);
	}
}

SUBTEST_ARG("frame-fxsave", test_saver, &savers[1]);
SUBTEST_ARG("frame-xsave", test_saver, &savers[2]);
SUBTEST_ARG("frame-xsavec", test_saver, &savers[3]);
SUBTEST_ARG("frame-xsaves", test_saver, &savers[4]);
SUBTEST_ARG("frame-fnsave", test_saver, &savers[0]);

/* The header alone: all that an old kernel, or a program, reads. */
static void test_frstor(void)
{
	if (!fpu_ready())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(savers); i++)
		check_route(&(const struct route){ savers[i], FRSTOR, fpu_has(XSAVE) });
}

SUBTEST("frame-frstor", test_frstor);
