// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMLOAD and VMSAVE: APM volume 2, 15.5.2 "VMSAVE and VMLOAD Instructions". They move FS, GS,
 * TR, LDTR and the MSRs of system calls between the processor and the VMCB that rAX points to.
 *
 * VMLOAD is tried with good VMCBs where the address leads by a mistake, not with poison: a
 * machine that loads TR from there could not say so any more.
 */
#include "cpuid.h"
#include "mapping.h"
#include "msr.h"
#include "page_alloc.h"
#include "printf.h"
#include "string.h"

/* The MSRs that show which page was loaded; all are plain 64-bit storage of canonical addresses. */
static const struct moved {
	const char *name;
	u32 msr;
	u16 offset;
} moved[] = {
#define MOVED(name, msr, field)                                                                    \
	{                                                                                          \
		name, msr, offsetof(struct vmcb, save.field)                                       \
	}
	MOVED("star", MSR_STAR, star),
	MOVED("sysenter-esp", MSR_IA32_SYSENTER_ESP, sysenter_esp),
	MOVED("sysenter-eip", MSR_IA32_SYSENTER_EIP, sysenter_eip),
	MOVED("lstar", MSR_LSTAR, lstar),
	MOVED("kernel-gs-base", MSR_KERNEL_GS_BASE, kernel_gs_base),
};

static struct vmcb *host; /* this CPU's own state, as VMSAVE would have it */

/* What each is set to for a page. 31 bits: also a 32-bit CPU's registers hold them. */
static u64 value_of(unsigned int n, const struct place *place)
{
	return (tag_of(place) & 0x0fffffff) << 3 | n;
}

static u64 *field(u8 *page, unsigned int n)
{
	return (u64 *)(page + moved[n].offset);
}

/* Which page the CPU's MSRs are from: a place's, the host's, or a mixture. */
static void loaded_from(char *buffer, size_t size, const struct place *asked)
{
	struct relation relations[RELATIONS];
	unsigned int count = related_places(asked, relations);
	u64 star = rdmsr(MSR_STAR);
	char where[64];

	for (unsigned int i = 0; i < count; i++) {
		if (star != value_of(0, relations[i].place))
			continue;
		place_format(where, sizeof(where), relations[i].place->physical, asked);
		snprintf(buffer, size, "that of %s", where);
		return;
	}
	if (star == *field((u8 *)host, 0))
		snprintf(buffer, size, "nothing loaded");
	else
		snprintf(buffer, size, "STAR %#llx, no VMCB's", star);
}

/* "the VMCB at 0x1000", or the fault, or whose state it was instead. */
static void check_loaded(struct fault fault, const struct place *place)
{
	char expected[64], got[128];
	bool ok = !fault_raised(fault);

	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		ok &= rdmsr(moved[i].msr) == value_of(i, place);
	snprintf(expected, sizeof(expected), "the state of the VMCB at %#llx", place->physical);
	if (fault_raised(fault))
		snprintf(got, sizeof(got), "%pe at VMLOAD", &fault);
	else
		loaded_from(got, sizeof(got), place);
	report_text(__FILE__, __LINE__, ok, expected, got, "loaded");
}

/* Without VMSAVE, which may be what is broken. */
static void set_up(void)
{
	struct svm_guest *guest = telling_guest();

	if (!host)
		host = page_alloc();
	memcpy(host, guest->vmcb, PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		*field((u8 *)host, i) = rdmsr(moved[i].msr);
}

/* By MSRs, so that one VMLOAD that does not work leaves the next subtest alone. */
static void restore(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		wrmsr(moved[i].msr, *field((u8 *)host, i));
}

/* Good state of this CPU, but for the MSRs. */
static void fill(struct place *place)
{
	places_claim(place->physical, 1);
	memcpy(place->page, host, PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		*field(place->page, i) = value_of(i, place);
}

static void check_filled(struct place *place)
{
	bool same = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++) {
		same &= *field(place->page, i) == value_of(i, place);
		*field(place->page, i) = *field((u8 *)host, i);
	}
	same &= !memcmp(place->page, host, PAGE_SIZE);
	check(same, "page-%#llx.only-read", place->physical);
	places_release(place->physical, 1);
}

static void vmload_at(struct place *place)
{
	struct relation relations[RELATIONS];
	unsigned int count = related_places(place, relations);
	struct fault fault;

	fill(place);
	for (unsigned int i = 0; i < count; i++)
		fill(relations[i].place);
	fault = svm_vmload(place->physical);
	check_loaded(fault, place);
	restore();
	check_filled(place);
	for (unsigned int i = 0; i < count; i++)
		check_filled(relations[i].place);
}

static void test_vmload(const void *region)
{
	if (!svm_ready())
		return;
	set_up();
	for_each_place((enum region)(ulong)region, true, vmload_at);
}

SUBTEST_ARG("vmload-low", test_vmload, (void *)LOW);
SUBTEST_ARG("vmload-below-1g", test_vmload, (void *)BELOW_1G);
SUBTEST_ARG("vmload-at-1g", test_vmload, (void *)AT_1G);
SUBTEST_ARG("vmload-below-4g", test_vmload, (void *)BELOW_4G);
SUBTEST_ARG("vmload-at-4g", test_vmload, (void *)AT_4G);
SUBTEST_ARG("vmload-beyond-4g", test_vmload, (void *)BEYOND_4G);
SUBTEST_ARG("vmload-last", test_vmload, (void *)LAST);

/* What VMSAVE may write, in ascending order. 15.5.2, appendix B */
static const struct {
	u16 offset, end;
} saved[] = {
#define SAVED(from, to)                                                                            \
	{                                                                                          \
		offsetof(struct vmcb, save.from),                                                  \
		    offsetof(struct vmcb, save.to) + sizeof(((struct vmcb *)0)->save.to)           \
	}
	SAVED(fs, gs),
	SAVED(ldtr, ldtr),
	SAVED(tr, tr),
	SAVED(star, sysenter_eip),
};

/* All else in the page is what it was: nothing, as it was cleared. */
static bool only_saved(struct place *place)
{
	u8 *page = place->page;
	u32 rest = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(saved); i++)
		memset(page + saved[i].offset, 0, saved[i].end - saved[i].offset);
	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(u32); i++)
		rest |= ((u32 *)page)[i];
	return !rest;
}

static void check_saved(struct fault fault, struct place *place)
{
	char expected[64], got[128];
	unsigned int n = 0;

	while (n < ARRAY_SIZE(moved) - 1 && *field(place->page, n) == value_of(n, place))
		n++;
	snprintf(expected, sizeof(expected), "%s %#llx at %#llx", moved[n].name, value_of(n, place),
		 place->physical);
	if (fault_raised(fault))
		snprintf(got, sizeof(got), "%pe at VMSAVE", &fault);
	else
		snprintf(got, sizeof(got), "%#llx", *field(place->page, n));
	report_text(__FILE__, __LINE__,
		    !fault_raised(fault) && *field(place->page, n) == value_of(n, place), expected,
		    got, "saved");
}

static void vmsave_at(struct place *place)
{
	struct fault fault;

	places_claim(place->physical, 1);
	memset(place->page, 0, PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		wrmsr(moved[i].msr, value_of(i, place));
	fault = svm_vmsave(place->physical);
	restore();
	check_saved(fault, place);
	check_equal(((struct vmcb *)place->page)->save.tr.base, host->save.tr.base, "tr");
	check(only_saved(place), "rest-of-the-page");
	places_release(place->physical, 1);
	check_others(place, "others");
}

static void test_vmsave(const void *region)
{
	if (!svm_ready())
		return;
	set_up();
	for_each_place((enum region)(ulong)region, true, vmsave_at);
}

SUBTEST_ARG("vmsave-low", test_vmsave, (void *)LOW);
SUBTEST_ARG("vmsave-below-1g", test_vmsave, (void *)BELOW_1G);
SUBTEST_ARG("vmsave-at-1g", test_vmsave, (void *)AT_1G);
SUBTEST_ARG("vmsave-below-4g", test_vmsave, (void *)BELOW_4G);
SUBTEST_ARG("vmsave-at-4g", test_vmsave, (void *)AT_4G);
SUBTEST_ARG("vmsave-beyond-4g", test_vmsave, (void *)BEYOND_4G);
SUBTEST_ARG("vmsave-last", test_vmsave, (void *)LAST);
