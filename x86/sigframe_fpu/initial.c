// SPDX-License-Identifier: BSD-2-Clause
/*
 * Components in their initial state, and what savers leave out. A restorer puts a component
 * whose XSTATE_BV bit is clear in its initial state, if it is asked for it. XSAVEOPT, XSAVEC
 * and XSAVES do not write a component that is in its initial state (XINUSE, which XGETBV
 * with ECX = 1 shows); XSAVEOPT and XSAVES also not one that has not changed since it was
 * restored from the very same area. SDM volume 1, "Processor Tracking of XSAVE-Managed
 * State" and "Operation of" each instruction. A CPU may take more for in use or modified
 * than is; never less. A kernel or hypervisor that switches state with one of them loses
 * registers if that goes wrong.
 */
#include "control.h"
#include "sigframe.h"
#include "string.h"

#define POISON 0xa5

static const struct xsave_area initial = {
	.legacy = { .control = FPU_CW_INIT, .mxcsr = MXCSR_INIT },
};

static const enum fpu_instruction savers[] = { XSAVE, XSAVEOPT, XSAVEC, XSAVES };

/* One component after the other is missing from the image, then from the request. */
static void test_restore(const void *argument)
{
	const struct form *form = argument;
	struct xsave_area *image = state_buffer(0), *before = state_buffer(1);
	struct xsave_area *got = state_buffer(2);
	u64 all;

	if (!fpu_ready())
		return;
	if (!cpu_has(form->feature)) {
		subtest_skip("the CPU has no %s", form->name);
		return;
	}
	all = components_of(XSAVE);
	for (unsigned int n = 0; n < XSTATE_MAX; n++) {
		u64 bit = BIT_ULL(n), others = all & ~bit;

		if (!(all & bit))
			continue;
		prefix_push("%s", xstate_name(n));
		fpu_state_fill(image, all, form->compacted, n);
		fpu_state_fill(before, all, false, n + 100);
		image->header.xstate_bv = others;
		fpu_state_load(before);
		check_fault(fpu_execute(form->restorer, image, all), NO_FAULT, "clear");
		fpu_state_save(got, all);
		/* The standard format takes MXCSR from the image all the same. */
		if (n == XSTATE_SSE && !form->compacted)
			check_equal(got->legacy.mxcsr, image->legacy.mxcsr, "clear.mxcsr");
		if (n == XSTATE_SSE)
			got->legacy.mxcsr = MXCSR_INIT;
		check_state(got, &initial, bit, "clear.initial");
		check_state(got, image, others & ~XCR0_SSE, "clear.others");

		fpu_state_load(before);
		check_fault(fpu_execute(form->restorer, image, others), NO_FAULT, "not-asked");
		fpu_state_save(got, all);
		if (n == XSTATE_SSE)
			got->legacy.mxcsr = before->legacy.mxcsr; /* AVX brings it */
		check_state(got, before, bit, "not-asked.kept");
		check_state(got, image, others & ~XCR0_SSE, "not-asked.others");
		prefix_pop();
	}
	fpu_init();
}

SUBTEST_ARG("initial-xrstor", test_restore, &forms[0]);
SUBTEST_ARG("initial-xrstor-compacted", test_restore, &forms[1]);
SUBTEST_ARG("initial-xrstors", test_restore, &forms[2]);

/* Only 64-bit mode has them, and saves them. */
static bool has_registers(unsigned int n)
{
	return sizeof(ulong) == 8 || n != XSTATE_HI16_ZMM;
}

/* Is the component's first register, and the rest of it, untouched? */
static bool still_poison(const struct xsave_area *area, unsigned int n)
{
	const u8 *bytes = (const u8 *)area + xstate_offset(area->header.xcomp_bv, n);
	u32 size = xstate_component(n).size;

	if (n == XSTATE_X87) {
		bytes = (const u8 *)area->legacy.st;
		size = sizeof(area->legacy.st);
	}
	for (u32 i = 0; i < size; i++)
		if (bytes[i] != POISON)
			return false;
	return true;
}

static struct xsave_area *poisoned(unsigned int buffer)
{
	struct xsave_area *area = state_buffer(buffer);

	memset(area, POISON, XSAVE_MAX_SIZE);
	memset(&area->header, 0, sizeof(area->header));
	return area;
}

/* All components but one in use, or just that one. */
static void check_in_use(enum fpu_instruction saver, u64 in_use, const char *id)
{
	struct xsave_area *image = state_buffer(0), *area = poisoned(1);
	u64 all = components_of(XSAVE), xinuse = all, bv;

	prefix_push("%s", id);
	fpu_state_fill(image, all, false, 77);
	image->header.xstate_bv = in_use;
	image->legacy.mxcsr = MXCSR_INIT;
	fpu_execute(XRSTOR, image, all);
	if (cpu_has(FEATURE_XGETBV1))
		check_fault(xgetbv_safe(1, &xinuse), NO_FAULT, "xgetbv");
	check_fault(fpu_execute(saver, area, all), NO_FAULT, "save");
	bv = area->header.xstate_bv;
	check_equal(in_use & ~xinuse, 0, "xinuse.in-use");
	check_equal(xinuse & ~xstate_user(), 0, "xinuse.enabled");
	check_equal(in_use & ~bv, 0, "xstate-bv.in-use");
	if (cpu_has(FEATURE_XGETBV1))
		check_equal(bv & all, xinuse & all, "xstate-bv.is-xinuse");
	check_equal(area->header.xcomp_bv,
		    fpu_instructions[saver].compacted ? all | XCOMP_BV_COMPACTED : 0, "xcomp-bv");
	for (unsigned int n = 0; n < XSTATE_MAX; n++) {
		bool written = saver == XSAVE || bv >> n & 1;

		if (all >> n & 1 && has_registers(n))
			check_equal(still_poison(area, n), !written, "%s.left-out", xstate_name(n));
	}
	check_state(area, image, in_use & ~XCR0_SSE, "state");
	prefix_pop();
}

static void test_in_use(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	u64 all;

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	all = components_of(XSAVE);
	check_in_use(saver, all, "all");
	check_in_use(saver, 0, "none");
	for (unsigned int n = 0; n < XSTATE_MAX; n++) {
		if (!(all >> n & 1))
			continue;
		prefix_push("%s", xstate_name(n));
		check_in_use(saver, BIT_ULL(n), "alone");
		check_in_use(saver, all & ~BIT_ULL(n), "initial");
		prefix_pop();
	}
	fpu_init();
}

SUBTEST_ARG("xinuse-xsave", test_in_use, &savers[0]);
SUBTEST_ARG("xinuse-xsaveopt", test_in_use, &savers[1]);
SUBTEST_ARG("xinuse-xsavec", test_in_use, &savers[2]);
SUBTEST_ARG("xinuse-xsaves", test_in_use, &savers[3]);

/* XSAVEC: SSE counts as in use if MXCSR is not in its initial state. */
static void test_mxcsr_in_use(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	struct xsave_area *image = state_buffer(0), *area = poisoned(1);

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	memset(image, 0, XSAVE_MAX_SIZE);
	image->legacy.mxcsr = MXCSR_INIT | 0x6000;
	fpu_execute(XRSTOR, image, components_of(XSAVE));
	fpu_execute(saver, area, components_of(XSAVE));
	check_equal(area->header.xstate_bv & XCR0_SSE, XCR0_SSE, "xstate-bv");
	check_equal(area->legacy.mxcsr, MXCSR_INIT | 0x6000, "mxcsr");
	fpu_init();
}

SUBTEST_ARG("xinuse-mxcsr-xsavec", test_mxcsr_in_use, &savers[2]);
SUBTEST_ARG("xinuse-mxcsr-xsaves", test_mxcsr_in_use, &savers[3]);

/*
 * What savers leave alone: bytes that are software's, components that they are not asked
 * for, and of the header all but XSTATE_BV (XSAVE, XSAVEOPT: whose other bits stay) or
 * XSTATE_BV and XCOMP_BV.
 */
static void test_not_written(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	bool compacted = fpu_instructions[saver].compacted;
	struct xsave_area *image = state_buffer(0), *area = poisoned(1);
	u64 all, asked, others;
	const u64 poison = POISON * 0x0101010101010101ull;

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	all = components_of(XSAVE);
	asked = XCR0_SSE;
	others = all & ~asked;
	fpu_state_fill(image, all, false, 3);
	fpu_execute(XRSTOR, image, all);
	memset(&area->header, POISON, sizeof(area->header));
	check_fault(fpu_execute(saver, area, asked), NO_FAULT, "save");
	check_equal(area->header.xstate_bv, compacted ? asked : (poison & ~asked) | asked,
		    "xstate-bv");
	check_equal(area->header.xcomp_bv, compacted ? asked | XCOMP_BV_COMPACTED : poison,
		    "xcomp-bv");
	for (unsigned int i = 0; i < ARRAY_SIZE(area->header.reserved); i++)
		check_equal(area->header.reserved[i], poison, "header-%u", 16 + 8 * i);
	for (unsigned int i = 0; i < sizeof(area->legacy.software); i += 8)
		check(!memcmp(area->legacy.software + i, &poison, 8), "software-%u", 464 + i);
	/* In the standard format, that is: each has a place there. */
	area->header.xcomp_bv = 0;
	for (unsigned int n = 0; n < XSTATE_MAX; n++)
		if (others >> n & 1)
			check(still_poison(area, n), "%s", xstate_name(n));
	fpu_init();
}

SUBTEST_ARG("not-written-xsave", test_not_written, &savers[0]);
SUBTEST_ARG("not-written-xsaveopt", test_not_written, &savers[1]);
SUBTEST_ARG("not-written-xsavec", test_not_written, &savers[2]);
SUBTEST_ARG("not-written-xsaves", test_not_written, &savers[3]);

/*
 * The modified optimisation: the area must hold the state in the end, whoever wrote it.
 * After a restore from the area: nothing changed; one component changed, by instructions or
 * by another restore; another area; and the area again after a restore from elsewhere.
 */
static void check_modified(enum fpu_instruction saver, u64 changed, const char *id)
{
	bool compacted = fpu_instructions[saver].compacted;
	enum fpu_instruction restorer = compacted ? XRSTORS : XRSTOR;
	struct xsave_area *area = state_buffer(0), *other = state_buffer(1);
	struct xsave_area *twin = state_buffer(2);
	u64 all = components_of(XSAVE);

	prefix_push("%s", id);
	fpu_state_fill(area, all, compacted, 1000);
	fpu_state_fill(twin, all, compacted, 1000);
	fpu_state_fill(other, all, compacted, 2000);
	fpu_execute(restorer, area, all);
	check_fault(fpu_execute(saver, area, all), NO_FAULT, "unchanged.save");
	check_state(area, twin, all, "unchanged");
	fpu_execute(restorer, area, all);
	fpu_execute(restorer, other, changed);
	check_fault(fpu_execute(saver, area, all), NO_FAULT, "changed.save");
	check_state(area, other, changed & ~XCR0_SSE, "changed");
	check_state(area, twin, all & ~changed & ~XCR0_SSE, "changed.others");
	fpu_execute(restorer, twin, all);
	memset(area, POISON, XSAVE_MAX_SIZE);
	memset(&area->header, 0, sizeof(area->header));
	check_fault(fpu_execute(saver, area, all), NO_FAULT, "elsewhere.save");
	check_state(area, twin, all, "elsewhere");
	prefix_pop();
}

static void test_modified(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	for (unsigned int n = 0; n < XSTATE_MAX; n++)
		if (components_of(XSAVE) >> n & 1)
			check_modified(saver, BIT_ULL(n), xstate_name(n));
	fpu_init();
}

SUBTEST_ARG("modified-xsaveopt", test_modified, &savers[1]);
SUBTEST_ARG("modified-xsaves", test_modified, &savers[3]);

/* By instructions, with nothing restored in between. */
static void test_modified_by_instructions(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	bool compacted = fpu_instructions[saver].compacted;
	enum fpu_instruction restorer = compacted ? XRSTORS : XRSTOR;
	struct xsave_area *area = state_buffer(0);
	static const u8 bytes[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	u64 all;

	if (!fpu_ready())
		return;
	if (!needs(saver))
		return;
	all = components_of(XSAVE);
	fpu_state_fill(area, all, compacted, 1000);
	area->legacy.tag = 0;
	area->legacy.status = 0;
	fpu_execute(restorer, area, all);
	asm volatile("movups %0, %%xmm5\n\tfld1" : : "m"(bytes));
	fpu_execute(saver, area, all);
	check(!memcmp(area->legacy.xmm[5], bytes, sizeof(bytes)), "xmm5");
	check_equal(area->legacy.st[0].value.sign_exponent, 0x3fff, "st0");
	check_equal(area->legacy.status & FPU_SW_TOP, 7 << FPU_SW_TOP_SHIFT, "top");
	check_equal(area->legacy.tag, 0x80, "tag");
	fpu_init();
}

SUBTEST_ARG("modified-by-instructions-xsaveopt", test_modified_by_instructions, &savers[1]);
SUBTEST_ARG("modified-by-instructions-xsaves", test_modified_by_instructions, &savers[3]);
