// SPDX-License-Identifier: BSD-2-Clause
/*
 * Process-context identifiers: translations of several spaces side by side. A space that is
 * entered without an invalidation (bit 63 of what MOV to CR3 loads) may use what was
 * cached for its PCID, and nothing of another's. SDM volume 3A, "Process-Context
 * Identifiers (PCIDs)" and "Operations that Invalidate TLBs and Paging-Structure Caches".
 *
 * KVM keeps the roots of spaces that a guest left lately, to come back to them fast: a root
 * that was not told of a change meanwhile brings back the old translation.
 */
#include "control.h"
#include "cpuid.h"
#include "flush.h"
#include "mmu_caches.h"
#include "report.h"

#ifdef __x86_64__

#define SPACES	  6 /* more than the roots that KVM keeps */
#define NO_FLUSH  (1ul << 63)
#define PAGE_SLOT 3

static struct {
	struct space space;
	pte_t *entry;
	unsigned int frame;
} spaces[SPACES];
static ulong page;

static void enter(unsigned int n, bool flush)
{
	write_cr3(spaces[n].space.cr3 | (n + 1) | (flush ? 0 : NO_FLUSH));
}

static void set_up(void)
{
	frames_init();
	page = slot_address(PAGE_SLOT, LEVEL_4K, 24);
	for (unsigned int i = 0; i < SPACES; i++) {
		spaces[i].space = space_new();
		spaces[i].frame = frame_pick(130 + i);
		space_enter(&spaces[i].space);
		map_frame(page, spaces[i].frame, LEVEL_4K, PAGE_DEFAULT);
		spaces[i].entry = page_entry(page, LEVEL_4K);
		space_leave();
	}
	write_cr4(read_cr4() | CR4_PCIDE);
}

static void tear_down(void)
{
	space_leave();
	write_cr4(read_cr4() & ~CR4_PCIDE);
	for (unsigned int i = 0; i < SPACES; i++)
		space_free(&spaces[i].space);
}

static void remap(unsigned int n, unsigned int frame)
{
	pte_write(spaces[n].entry, frame_physical(frame) | PAGE_DEFAULT);
	spaces[n].frame = frame;
}

/* The page of the space that should be entered: not what CR3 says, which may be wrong too. */
static void check_space(unsigned int n, unsigned int before, const char *id)
{
	struct sightings log = { 0 };

	for (enum access access = READ; access < access_kinds(); access++) {
		struct outcome expected = outcome_by_rights(PAGE_DEFAULT, spaces[n].frame, access);
		struct outcome got = access_page(page, access, spaces[n].frame, before);

		sight(&log, page, access, &expected, &got, before);
	}
	check_sightings(&log, "%s.space-%u", id, n);
}

/* Round and round, without any invalidation. */
static void test_apart(void)
{
	for (unsigned int round = 0; round < 3; round++) {
		prefix_push("round-%u", round);
		for (unsigned int i = 0; i < SPACES; i++) {
			unsigned int n = (i * (round & 1 ? SPACES - 1 : 1) + round) % SPACES;

			enter(n, !round);
			check_space(n, spaces[(n + SPACES - 1) % SPACES].frame,
				    i < n ? "on" : "back");
		}
		prefix_pop();
	}
}

struct way {
	const char *name;
	void (*invalidate)(unsigned int n); /* from another space */
	bool flush;			    /* by entering it */
};

static void by_address(unsigned int n)
{
	invpcid(INVPCID_ADDRESS, n + 1, page);
}

static void by_context(unsigned int n)
{
	invpcid(INVPCID_CONTEXT, n + 1, 0);
}

static void by_all(unsigned int n)
{
	(void)n;
	invpcid(INVPCID_ALL, 0, 0);
}

static void by_not_global(unsigned int n)
{
	(void)n;
	invpcid(INVPCID_NOT_GLOBAL, 0, 0);
}

static void by_pge(unsigned int n)
{
	(void)n;
	tlb_flush_global();
}

static const struct way ways[] = {
	{ "cr3", NULL, true },
	{ "cr4-pge", by_pge, false },
	{ "invpcid-address", by_address, false },
	{ "invpcid-context", by_context, false },
	{ "invpcid-all", by_all, false },
	{ "invpcid-not-global", by_not_global, false },
};

/* A space changes while another is entered; before the invalidation old and new are allowed. */
static void test_changed(const struct way *way, unsigned int n)
{
	unsigned int before = spaces[n].frame, other = (n + 2) % SPACES;
	struct sightings early = { 0 };
	struct outcome got, expected;

	prefix_push("%s", way->name);
	enter(n, false);
	access_page(page, READ, before, NO_FRAME);
	enter(other, false);
	check_space(other, NO_FRAME, "other");
	remap(n, frame_pick(140 + 2 * n));
	enter(n, false);
	expected = outcome_by_rights(PAGE_DEFAULT, spaces[n].frame, READ);
	got = access_page(page, READ, spaces[n].frame, before);
	if (got.frame == before)
		expected.frame = before;
	sight(&early, page, READ, &expected, &got, before);
	check_sightings(&early, "early");
	enter(other, false);
	check_space(other, NO_FRAME, "still-other");
	if (way->invalidate)
		way->invalidate(n);
	enter(n, way->flush);
	check_space(n, before, "changed");
	prefix_pop();
}

static void test_pcid(void)
{
	if (!cpu_has(FEATURE_PCID)) {
		subtest_skip("the CPU has no PCIDs");
		return;
	}
	set_up();
	test_apart();
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i].flush || ways[i].invalidate == by_pge || cpu_has(FEATURE_INVPCID))
			test_changed(&ways[i], i % SPACES);
	tear_down();
}

SUBTEST("pcid", test_pcid);

#endif
