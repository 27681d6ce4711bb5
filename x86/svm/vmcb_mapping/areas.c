// SPDX-License-Identifier: BSD-2-Clause
/*
 * The host save area (APM volume 2, 15.30.4) and the permission maps (15.10.1 "I/O Permissions
 * Map", 15.11 "MSR Intercepts") at any physical address. What a processor keeps in the save area
 * is its own business; that the host comes back is in svm_check_invariants().
 *
 * A map is read twice at the same place: with one bit set, and with all but that bit set. A
 * machine that reads another page, poison or not, is wrong one of the two times.
 */
#include "mapping.h"
#include "msr.h"
#include "string.h"
#include "svm/test.h"

static void save_area_at(struct place *place)
{
	u64 before = svm_host_save_area(), now = 0;
	struct svm_guest *guest = telling_guest();
	struct fault fault;

	places_claim(place->physical, 1);
	guest->vmcb->save.rax = tag_of(place);
	fault = wrmsr_safe(MSR_VM_HSAVE_PA, place->physical);
	check_fault(fault, NO_FAULT, "wrmsr");
	check_fault(rdmsr_safe(MSR_VM_HSAVE_PA, &now), NO_FAULT, "rdmsr");
	check_equal(now, place->physical, "value");
	svm_run(guest);
	wrmsr(MSR_VM_HSAVE_PA, before);
	/* 0 is also what the MSR holds after reset: some processors take it for "not set". */
	if (!place->physical && fault_raised(svm_fault(guest)))
		diagnostic("VMRUN with the host save area at 0 faults");
	else
		check_told(guest, place, "exit");
	places_release(place->physical, 1);
	check_others(place, "others");
}

static void test_save_area(const void *region)
{
	for_each_place((enum region)(ulong)region, false, save_area_at);
}

SUBTEST_ARG("host-save-area-low", test_save_area, (void *)LOW);
SUBTEST_ARG("host-save-area-below-1g", test_save_area, (void *)BELOW_1G);
SUBTEST_ARG("host-save-area-at-1g", test_save_area, (void *)AT_1G);
SUBTEST_ARG("host-save-area-below-4g", test_save_area, (void *)BELOW_4G);
SUBTEST_ARG("host-save-area-at-4g", test_save_area, (void *)AT_4G);
SUBTEST_ARG("host-save-area-beyond-4g", test_save_area, (void *)BEYOND_4G);
SUBTEST_ARG("host-save-area-last", test_save_area, (void *)LAST);

L2_CODE(read_msr, "rdmsr\n vmmcall\n ud2");
L2_CODE(read_port, "in %dx, %al\n vmmcall\n ud2");
L2_CODE(read_port_word, "in %dx, %ax\n vmmcall\n ud2");

/* An access that looks at one bit of a map; a bit in each of its pages. */
static const struct access {
	const char *name;
	const u8 *code;
	ulong number;		/* of the port, or of the MSR */
	unsigned int bit, bits; /* the last of so many bits that it looks at */
	u64 exitcode;
} port_accesses[] = {
	{ "page-0", read_port, 0x80, 0x80, 1, VMEXIT_IOIO },
	{ "page-1", read_port, 0x8080, 0x8080, 1, VMEXIT_IOIO },
	/* 15.10.1: the second byte of an access to the last port has a bit, too. */
	{ "page-2", read_port_word, 0xffff, 0x10000, 2, VMEXIT_IOIO },
}, msr_accesses[] = {
	{ "page-0", read_msr, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS * 2, 1,
	  VMEXIT_MSR },
	{ "page-0-upper-half", read_msr, MSR_STAR, 0x800 * 8 + (MSR_STAR & 0x1fff) * 2, 1,
	  VMEXIT_MSR },
	{ "page-1", read_msr, MSR_VM_HSAVE_PA, 0x1000 * 8 + (MSR_VM_HSAVE_PA & 0x1fff) * 2, 1,
	  VMEXIT_MSR },
};

#define IOPM_PAGES  (IOPM_SIZE / PAGE_SIZE)
#define MSRPM_PAGES (MSRPM_SIZE / PAGE_SIZE)

/* Intercepts that access alone, or all but it. */
static void fill_map(u8 *map, unsigned int pages, const struct access *access, bool intercepted)
{
	unsigned int first = access->bit + 1 - access->bits;

	memset(map, intercepted ? 0 : 0xff, pages * PAGE_SIZE);
	if (intercepted)
		map[access->bit / 8] |= 1 << access->bit % 8;
	for (unsigned int bit = first; bit <= access->bit && !intercepted; bit++)
		map[bit / 8] &= ~(1 << bit % 8);
}

static void access_with(struct place *place, const struct access *access, unsigned int pages,
			bool intercepted, unsigned int low_bits)
{
	static u8 intact[AREA_PAGES * 4096];
	struct svm_guest *guest = mapping_guest(access->code);
	struct vmcb_control *control = &guest->vmcb->control;

	prefix_push("%s.%s", access->name, intercepted ? "set" : "clear");
	fill_map(intact, pages, access, intercepted);
	memcpy(place->area, intact, pages * PAGE_SIZE);
	svm_intercept(guest, access->exitcode);
	if (access->exitcode == VMEXIT_MSR) {
		control->msrpm_base_pa = place->start | low_bits;
		guest->world.registers.cx = access->number;
	} else {
		control->iopm_base_pa = place->start | low_bits;
		guest->world.registers.dx = access->number;
	}
	svm_run(guest);
	check_exit(guest, intercepted ? access->exitcode : VMEXIT_VMMCALL, "map-at-%#llx.exit",
		   place->start);
	check(!memcmp(place->area, intact, pages * PAGE_SIZE), "only-read");
	prefix_pop();
}

static void map_at(struct place *place, const struct access *accesses, unsigned int count,
		   unsigned int pages, unsigned int low_bits)
{
	places_claim(place->start, pages);
	for (unsigned int i = 0; i < count; i++) {
		access_with(place, &accesses[i], pages, true, low_bits);
		access_with(place, &accesses[i], pages, false, low_bits);
	}
	check_others(place, "others");
	places_release(place->start, pages);
}

static void iopm_at(struct place *place)
{
	map_at(place, port_accesses, ARRAY_SIZE(port_accesses), IOPM_PAGES, 0);
}

static void msrpm_at(struct place *place)
{
	map_at(place, msr_accesses, ARRAY_SIZE(msr_accesses), MSRPM_PAGES, 0);
}

static void test_iopm(const void *region)
{
	for_each_place((enum region)(ulong)region, false, iopm_at);
}

SUBTEST_ARG("iopm-low", test_iopm, (void *)LOW);
SUBTEST_ARG("iopm-below-1g", test_iopm, (void *)BELOW_1G);
SUBTEST_ARG("iopm-at-1g", test_iopm, (void *)AT_1G);
SUBTEST_ARG("iopm-below-4g", test_iopm, (void *)BELOW_4G);
SUBTEST_ARG("iopm-at-4g", test_iopm, (void *)AT_4G);
SUBTEST_ARG("iopm-beyond-4g", test_iopm, (void *)BEYOND_4G);
SUBTEST_ARG("iopm-last", test_iopm, (void *)LAST);

static void test_msrpm(const void *region)
{
	for_each_place((enum region)(ulong)region, false, msrpm_at);
}

SUBTEST_ARG("msrpm-low", test_msrpm, (void *)LOW);
SUBTEST_ARG("msrpm-below-1g", test_msrpm, (void *)BELOW_1G);
SUBTEST_ARG("msrpm-at-1g", test_msrpm, (void *)AT_1G);
SUBTEST_ARG("msrpm-below-4g", test_msrpm, (void *)BELOW_4G);
SUBTEST_ARG("msrpm-at-4g", test_msrpm, (void *)AT_4G);
SUBTEST_ARG("msrpm-beyond-4g", test_msrpm, (void *)BEYOND_4G);
SUBTEST_ARG("msrpm-last", test_msrpm, (void *)LAST);

/* Appendix B: bits 11:0 of IOPM_BASE_PA and MSRPM_BASE_PA are ignored. */
static void iopm_low_bits_at(struct place *place)
{
	map_at(place, port_accesses, ARRAY_SIZE(port_accesses), IOPM_PAGES, 0xfff);
}

static void msrpm_low_bits_at(struct place *place)
{
	map_at(place, msr_accesses, ARRAY_SIZE(msr_accesses), MSRPM_PAGES, 0xfff);
}

static void test_iopm_low_bits(const void *region)
{
	for_each_place((enum region)(ulong)region, false, iopm_low_bits_at);
}

static void test_msrpm_low_bits(const void *region)
{
	for_each_place((enum region)(ulong)region, false, msrpm_low_bits_at);
}

SUBTEST_ARG("iopm-low-bits-ignored", test_iopm_low_bits, (void *)LAST);
SUBTEST_ARG("msrpm-low-bits-ignored", test_msrpm_low_bits, (void *)LAST);
