// SPDX-License-Identifier: BSD-2-Clause
/*
 * The slow path: the frame lies across the end of a page, and the next one is not present,
 * or read-only. Linux first tries to save with page faults off, then faults the page in and
 * tries again; what the first try did must not harm the second. So: #PF with an address in
 * the area and in that page, the registers as they were (FNSAVE must not have initialised
 * them), and after the page is there, the state whole. SDM volume 3A, "Page-Fault
 * Exceptions".
 *
 * Every position that the instruction's alignment allows, in ring 0 and ring 3.
 */
#include "context.h"
#include "control.h"
#include "page_alloc.h"
#include "paging.h"
#include "sigframe.h"
#include "string.h"
#include "trap.h"

#define PAGES 4 /* the area starts in the first */

static struct {
	ulong start;
	phys_addr pages[PAGES];
} window;

static const struct way {
	const char *name;
	enum fpu_instruction instruction;
	unsigned int step; /* between positions */
} ways[] = {
	{ "fnsave", FNSAVE, 12 },   { "fxsave", FXSAVE, 16 },	{ "xsave", XSAVE, 64 },
	{ "xsaveopt", XSAVEOPT, 64 }, { "xsavec", XSAVEC, 64 }, { "xsaves", XSAVES, 64 },
	{ "frstor", FRSTOR, 12 },   { "fxrstor", FXRSTOR, 16 }, { "xrstor", XRSTOR, 64 },
	{ "xrstors", XRSTORS, 64 },
};

/* What becomes of the second page for the first try. */
enum hindrance { NOT_PRESENT, READ_ONLY };

static void prepare(void)
{
	if (!window.start) {
		window.start = (ulong)virtual_range(PAGES * PAGE_SIZE, PAGE_SIZE);
		for (unsigned int i = 0; i < PAGES; i++)
			window.pages[i] = (ulong)page_alloc();
	}
	for (unsigned int i = 0; i < PAGES; i++)
		page_map(window.start + i * PAGE_SIZE, window.pages[i], PAGE_SIZE, LEVEL_4K,
			 PAGE_DEFAULT);
}

static void hinder(enum hindrance hindrance)
{
	page_map(window.start + PAGE_SIZE, window.pages[1], PAGE_SIZE, LEVEL_4K,
		 hindrance == READ_ONLY ? PAGE_DEFAULT & ~PTE_WRITABLE : 0);
}

/* Arguments and results of a try in either ring. */
static struct try {
	enum fpu_instruction instruction;
	void *area;
	u64 components;
	ulong cr2;
} try;

static ulong execute(ulong unused)
{
	(void)unused;
	return fpu_execute(try.instruction, try.area, try.components).value;
}

static struct fault execute_in(bool user)
{
	ulong value = 0;

	if (user)
		user_call(execute, 0, &value);
	else
		value = execute(0);
	try.cr2 = last_cr2();
	return (struct fault){ value };
}

static u32 area_size(enum fpu_instruction instruction)
{
	if (instruction == FNSAVE || instruction == FRSTOR)
		return sizeof(struct fsave_area);
	if (instruction == FXSAVE || instruction == FXRSTOR)
		return XSAVE_LEGACY_SIZE;
	return xstate_size(components_of(instruction), fpu_instructions[instruction].compacted);
}

/* Makes FSAVE's image comparable: as much of the other as it has. */
static void widen(struct xsave_area *to, const struct fsave_area *from)
{
	struct fpstate_header header = { .fsave = *from };

	memset(to, 0, XSAVE_MIN_SIZE);
	image_from_header(&to->legacy, &header);
	to->header.xstate_bv = XCR0_X87;
}

/* Bytes of a component that the mode's registers fill. */
static u32 used_size(unsigned int n)
{
	u32 size = xstate_component(n).size;

	if (sizeof(ulong) == 8)
		return size;
	if (n == XSTATE_HI16_ZMM)
		return 0;
	return n == XSTATE_SSE || n == XSTATE_AVX || n == XSTATE_ZMM_HI256 ? size / 2 : size;
}

/* The end of what the instruction must read or write; it may leave out what has no register. */
static ulong used_end(void)
{
	u64 components = components_of(try.instruction), xcomp_bv = 0;
	u32 end = 0;

	if (try.instruction == FNSAVE || try.instruction == FRSTOR)
		return (ulong)try.area + sizeof(struct fsave_area);
	if (fpu_instructions[try.instruction].compacted)
		xcomp_bv = components | XCOMP_BV_COMPACTED;
	for (unsigned int n = 0; n < XSTATE_MAX; n++)
		if (components >> n & 1 && used_size(n))
			end = MAX(end, xstate_offset(xcomp_bv, n) + used_size(n));
	return (ulong)try.area + end;
}

/*
 * What the manual leaves open: whether bytes without a register are touched; and whether
 * XSAVE, which changes XSTATE_BV and keeps some of its bits, reads or writes it first.
 */
static void check_fault_seen(struct fault got, enum hindrance hindrance, bool saves, bool user)
{
	ulong second = window.start + PAGE_SIZE;
	u32 code = (hindrance == READ_ONLY ? PF_PRESENT : 0) | (saves ? PF_WRITE : 0) |
		   (user ? PF_USER : 0);
	bool header = (ulong)try.area + XSAVE_LEGACY_SIZE >= second;

	if (!fault_raised(got) && second >= used_end())
		return;
	if ((try.instruction == XSAVE || try.instruction == XSAVEOPT) && header &&
	    hindrance == NOT_PRESENT && !(fault_error_code(got) & PF_WRITE))
		code &= ~PF_WRITE;
	check_fault(got, FAULT_PF(code), "fault");
	check(try.cr2 >= second && try.cr2 < (ulong)try.area + area_size(try.instruction),
	      "address");
}

static void check_save(const struct xsave_area *state, bool wide, enum hindrance hindrance,
		       bool user)
{
	struct xsave_area *got = state_buffer(1);
	u64 saved = components_of(try.instruction);

	memset((void *)window.start, 0, 2 * PAGE_SIZE);
	hinder(hindrance);
	state_load(state, wide);
	check_fault_seen(execute_in(user), hindrance, true, user);
	state_save(got, wide);
	check_state(got, state, wide ? components_of(XSAVE) : components_of(FXSAVE), "registers");
	prepare();
	check_fault(execute_in(user), NO_FAULT, "again");
	if (try.instruction == FNSAVE) {
		widen(got, try.area);
	} else {
		memcpy(got, try.area, area_size(try.instruction));
		if (try.instruction == FXSAVE)
			got->header = (struct xsave_header){ .xstate_bv = saved };
	}
	check_state(got, state, saved, "image");
}

static void check_restore(const struct xsave_area *state, bool wide, bool user)
{
	struct xsave_area *got = state_buffer(1), *compacted = state_buffer(2);
	struct fpstate_header header;

	if (try.instruction == FRSTOR) {
		header_from_image(&header, &state->legacy);
		memcpy(try.area, &header.fsave, sizeof(header.fsave));
	} else if (fpu_instructions[try.instruction].compacted) {
		image_compact(compacted, state, components_of(XSAVE));
		memcpy(try.area, compacted, area_size(try.instruction));
	} else {
		memcpy(try.area, state, area_size(try.instruction));
	}
	hinder(NOT_PRESENT);
	fpu_init();
	check_fault_seen(execute_in(user), NOT_PRESENT, false, user);
	hinder(READ_ONLY);
	check_fault(execute_in(user), NO_FAULT, "again");
	state_save(got, wide);
	check_state(got, state, components_of(try.instruction), "registers");
	prepare();
}

static void check_position(const struct way *way, unsigned int before, bool user)
{
	bool wide = way->instruction != FNSAVE && way->instruction != FXSAVE &&
		    way->instruction != FRSTOR && way->instruction != FXRSTOR;
	struct xsave_area *state = state_buffer(0);

	try = (struct try){
		.instruction = way->instruction,
		.area = (void *)(window.start + PAGE_SIZE - before),
		.components = components_of(way->instruction),
	};
	fpu_state_fill(state, components_of(wide ? XSAVE : FXSAVE), false, before);
	state->legacy.status &= ~FPU_SW_TOP;
	if (way->instruction >= FRSTOR && way->instruction <= XRSTORS) {
		prefix_push("%s.%u", user ? "user" : "kernel", before);
		check_restore(state, wide, user);
		prefix_pop();
		return;
	}
	for (enum hindrance h = NOT_PRESENT; h <= READ_ONLY; h++) {
		prefix_push("%s.%s.%u", user ? "user" : "kernel",
			    h == READ_ONLY ? "read-only" : "not-present", before);
		check_save(state, wide, h, user);
		prefix_pop();
	}
}

static void test_crossing(const void *argument)
{
	const struct way *way = argument;
	bool kernel_only = fpu_instructions[way->instruction].privileged;

	if (!fpu_ready())
		return;
	if (!needs(way->instruction))
		return;
	prepare();
	for (unsigned int before = way->step; before < area_size(way->instruction);
	     before += way->step)
		for (int user = 0; user <= !kernel_only; user++)
			check_position(way, before, user);
	fpu_init();
}

SUBTEST_ARG("crossing-fxsave", test_crossing, &ways[1]);
SUBTEST_ARG("crossing-fxrstor", test_crossing, &ways[7]);
SUBTEST_ARG("crossing-fnsave", test_crossing, &ways[0]);
SUBTEST_ARG("crossing-frstor", test_crossing, &ways[6]);
SUBTEST_ARG("crossing-xsave", test_crossing, &ways[2]);
SUBTEST_ARG("crossing-xsaveopt", test_crossing, &ways[3]);
SUBTEST_ARG("crossing-xsavec", test_crossing, &ways[4]);
SUBTEST_ARG("crossing-xsaves", test_crossing, &ways[5]);
SUBTEST_ARG("crossing-xrstor", test_crossing, &ways[8]);
SUBTEST_ARG("crossing-xrstors", test_crossing, &ways[9]);

/*
 * The modified optimisation must not be fooled by a save that faulted: the area holds one
 * state, which is restored from it; then x87 and SSE change. The first try to save them
 * fails; the second may leave out what has not changed since the restore, but not what has.
 */
static void check_modified(enum fpu_instruction saver, unsigned int before)
{
	enum fpu_instruction restorer = saver == XSAVES ? XRSTORS : XRSTOR;
	struct xsave_area *old = state_buffer(0), *new = state_buffer(1);
	u64 all = components_of(saver), changed = XCR0_X87 | XCR0_SSE;

	try = (struct try){
		.instruction = saver,
		.area = (void *)(window.start + PAGE_SIZE - before),
		.components = all,
	};
	fpu_state_fill(old, all, saver == XSAVES, before);
	fpu_state_fill(new, changed, false, ~before);
	memcpy(try.area, old, area_size(saver));
	fpu_execute(restorer, try.area, all);
	fpu_execute(FXRSTOR, new, 0);
	hinder(READ_ONLY);
	execute_in(false);
	prepare();
	check_fault(execute_in(false), NO_FAULT, "%u.again", before);
	check_state(try.area, new, changed, "%u.changed", before);
	check_state(try.area, old, all & ~changed, "%u.unchanged", before);
}

static void test_modified(const void *argument)
{
	const struct way *way = argument;

	if (!fpu_ready())
		return;
	if (!needs(way->instruction))
		return;
	prepare();
	for (unsigned int before = way->step; before < area_size(way->instruction);
	     before += way->step)
		check_modified(way->instruction, before);
	fpu_init();
}

SUBTEST_ARG("crossing-modified-xsaveopt", test_modified, &ways[3]);
SUBTEST_ARG("crossing-modified-xsaves", test_modified, &ways[5]);
