// SPDX-License-Identifier: BSD-2-Clause
/*
 * The state of FPU, SSE, AVX and what else XCR0 names has no field in the VMCS: all of each
 * register is L1's in L2, and L2's in L1. A hypervisor that puts it into memory while another guest
 * runs has two owners to tell apart, L1 and L2, which are none to the processor.
 *
 * SDM volume 3C, "VM Entries", "VM Exits": what they load and save does not have it.
 */
#include "control.h"
#include "cpu.h"
#include "fpu_state.h"
#include "page_alloc.h"
#include "paging.h"
#include "state.h"

#define AREA_PAGES 4

/* What L1 has before, L2 finds, L2 leaves, and L1 finds. */
static struct xsave_area *of_l1, *in_l2, *of_l2, *in_l1;
static struct fault store, load;
static u64 components;

static void look_and_change(void)
{
	store = fpu_state_save(in_l2, components);
	load = fpu_state_load(of_l2);
}

static void make_areas(void)
{
	struct xsave_area **areas[] = { &of_l1, &in_l2, &of_l2, &in_l1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(areas) && !*areas[i]; i++)
		*areas[i] = pages_alloc(AREA_PAGES, PAGE_SIZE);
}

static void check_same(const struct xsave_area *got, const struct xsave_area *expected,
		       unsigned int number, const char *where)
{
	struct fpu_difference difference;

	if (!fpu_state_equal(got, expected, BIT_ULL(number), &difference))
		check_equal(difference.got, difference.expected, "%s.%s", xstate_name(number),
			    where);
	else
		check(true, "%s.%s", xstate_name(number), where);
}

static void test_fpu(void)
{
	struct vmx_guest *guest;
	bool compacted;
	u64 xcr0 = 0;

	if (cpu_has(FEATURE_XSAVE)) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		xcr0 = xgetbv(0);
		xsetbv(0, XCR0_X87 | XCR0_SSE | (cpu_has(FEATURE_AVX) ? XCR0_AVX : 0) |
			      (cpu_has(FEATURE_AVX512F) ? XCR0_AVX512 : 0));
	}
	components = fpu_state_components() & fpu_state_known();
	compacted = fpu_state_compacted();
	make_areas();
	fpu_state_fill(of_l1, components, compacted, 1);
	fpu_state_fill(of_l2, components, compacted, 2);
	guest = calling_guest(look_and_change);
	check_fault(fpu_state_load(of_l1), NO_FAULT, "l1.load");
	vmx_run(guest);
	check_fault(fpu_state_save(in_l1, components), NO_FAULT, "l1.store");
	check_exit(guest, EXIT_VMCALL, "exit");
	check_fault(store, NO_FAULT, "l2.store");
	check_fault(load, NO_FAULT, "l2.load");
	for (unsigned int number = 0; number < XSTATE_MAX; number++)
		if (components & BIT_ULL(number)) {
			check_same(in_l2, of_l1, number, "in-l2");
			check_same(in_l1, of_l2, number, "in-l1");
		}
	if (xcr0)
		xsetbv(0, xcr0);
}
VMX_SUBTEST("fpu", test_fpu);
