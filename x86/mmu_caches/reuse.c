// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest that frees a table's page and uses it again: as data, as the same kind of table
 * elsewhere, at another level, as a root. A shadow of the page that outlives its role
 * keeps old translations alive; write protection that outlives it makes stores
 * disappear or fault; and a processor (or hypervisor) that still takes the page for a table
 * writes accessed flags into somebody's data. After the invalidation none of that may be:
 * SDM volume 3A, "Recommended Invalidation".
 */
#include "control.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "report.h"
#include "string.h"

#define INDEX 21

static struct space space;

static void enter(void)
{
	frames_init();
	space = space_new();
	space_enter(&space);
}

static void leave(void)
{
	space_leave();
	space_free(&space);
}

/* Hangs a page in as a leaf table below address. */
static void hang(ulong address, const pte_t *table)
{
	pte_write(page_entry(address, LEVEL_2M), table ? (ulong)table | PAGE_DEFAULT : 0);
}

static void expect_nothing(ulong page, const char *id)
{
	prefix_push("%s", id);
	for (enum access access = READ; access < access_kinds(); access++)
		check_page(page, access, NO_FRAME, "%s", access_names[access]);
	prefix_pop();
}

/* The page holds what looks like entries, all with accessed and dirty clear. */
static void fill_with_bait(pte_t *page)
{
	for (unsigned int i = 0; i < ENTRIES; i++)
		page[i] = frame_physical(90) | PAGE_DEFAULT;
}

static unsigned int spoiled_bait(const pte_t *page)
{
	unsigned int spoiled = 0;

	for (unsigned int i = 0; i < ENTRIES; i++)
		spoiled += page[i] != (frame_physical(90) | PAGE_DEFAULT);
	return spoiled;
}

static void test_as_data(void)
{
	pte_t *table, *other, *window;
	ulong base, page;

	enter();
	table = page_alloc();
	other = page_alloc();
	base = slot_address(0, LEVEL_2M, 13);
	page = base + INDEX * PAGE_SIZE;
	table[INDEX] = frame_physical(80) | PAGE_DEFAULT;
	hang(base, table);
	check_page(page, READ, NO_FRAME, "table");
	hang(base, NULL);
	tlb_flush_page((void *)page);
	fill_with_bait(table);
	expect_nothing(page, "freed");
	check_equal(spoiled_bait(table), 0, "freed.data");
	/* The same addresses by another table, then the old page as data among them. */
	other[INDEX] = frame_physical(81) | PAGE_DEFAULT;
	other[INDEX + 1] = (ulong)table | PAGE_DEFAULT;
	hang(base, other);
	check_page(page, WRITE, 80, "other-table.write");
	check_page(page, READ, 80, "other-table.read");
	window = (pte_t *)(page + PAGE_SIZE);
	check_equal(spoiled_bait(window), 0, "mapped.data");
	window[5] = 0x5a5a;
	check_equal(table[5], 0x5a5a, "mapped.write");
	check_page(page, READ, 80, "mapped.other-page");
	/* Data as it lies becomes a table. */
	fill_with_bait(window);
	hang(base ^ page_size_at(LEVEL_2M), table);
	check_page((base ^ page_size_at(LEVEL_2M)) + 7 * PAGE_SIZE, WRITE, NO_FRAME,
		   "data-becomes-table");
	check(table[7] & PTE_DIRTY && window[7] & PTE_ACCESSED, "data-becomes-table.flags");
	leave();
}

SUBTEST("reuse-as-data", test_as_data);

/* A page goes round: a leaf table here, there, with other entries, at once and again. */
#define MOVES 32

static void test_moves(void)
{
	struct sightings here = { 0 }, gone = { 0 };
	pte_t *table;
	ulong before = 0;

	enter();
	table = page_alloc();
	for (unsigned int i = 0; i < MOVES; i++) {
		ulong base = slot_address(i % 8, LEVEL_2M, 14);
		unsigned int index = INDEX + 3 * i, old = INDEX + 3 * (i - 1);

		if (before)
			hang(before, NULL);
		tlb_flush();
		if (before)
			sight_page(&gone, before + old * PAGE_SIZE, i % access_kinds(),
				   frame_pick(i - 1));
		memset(table, 0, PAGE_SIZE);
		table[index] = frame_physical(frame_pick(i)) | PAGE_DEFAULT;
		hang(base, table);
		/* Nothing was cached for these addresses: no invalidation. */
		for (enum access access = READ; access < access_kinds(); access++)
			sight_page(&here, base + index * PAGE_SIZE, access, frame_pick(i - 1));
		if (i)
			sight_page(&here, base + old * PAGE_SIZE, i % access_kinds(),
				   frame_pick(i - 1));
		before = base;
	}
	check_sightings(&here, "here");
	check_sightings(&gone, "gone");
	leave();
}

SUBTEST("reuse-moves", test_moves);

#if PAGING_LEVELS > 2
/* A page goes up and down: leaf table, directory, leaf table again, in one region. */
static void test_levels(void)
{
	pte_t *pages[2], *top;
	ulong base;
	pte_t old;

	enter();
	pages[0] = page_alloc();
	pages[1] = page_alloc();
	base = slot_address(1, LEVEL_2M, 15) & ~(page_size_at(LEVEL_1G) - 1);
	page_entry(base, LEVEL_2M); /* the tables above */
	top = page_entry(base, LEVEL_1G);
	old = *top;
	for (unsigned int i = 0; i < 6; i++) {
		pte_t *directory = pages[i & 1], *leaf = pages[!(i & 1)];
		ulong page = base + (2 + i) * page_size_at(LEVEL_2M) + INDEX * PAGE_SIZE;

		pte_write(top, 0);
		tlb_flush();
		memset(directory, 0, PAGE_SIZE);
		memset(leaf, 0, PAGE_SIZE);
		directory[2 + i] = (ulong)leaf | PAGE_DEFAULT;
		leaf[INDEX] = frame_physical(100 + i) | PAGE_DEFAULT;
		pte_write(top,
			  (ulong)directory | (PAGING_LEVELS == 3 ? PTE_PRESENT : PAGE_DEFAULT));
		tlb_flush();
		prefix_push("turn-%u", i);
		for (enum access access = READ; access < access_kinds(); access++)
			check_page(page, access, 99 + i, "%s", access_names[access]);
		/* Where the page before was, and where it would be if the roles were not swapped.
		 */
		check_page(page - page_size_at(LEVEL_2M), READ, 99 + i, "where-it-was");
		check_page(base + INDEX * page_size_at(LEVEL_2M), READ, NO_FRAME, "other-role");
		prefix_pop();
	}
	pte_write(top, old);
	page_free(pages[0]);
	page_free(pages[1]);
	leave();
}

SUBTEST("reuse-levels", test_levels);
#endif

/* A root becomes a leaf table, and a leaf table a root: addresses of the pages stay. */
static void test_root(const void *unused)
{
	const unsigned int top_entries = PAGING_LEVELS == 3 ? 4 : ENTRIES;
	struct space second;
	pte_t *table;
	ulong page;

	(void)unused;
	enter();
	table = page_alloc();
	page = slot_address(0, LEVEL_2M, 16) + INDEX * PAGE_SIZE;
	table[INDEX] = frame_physical(110) | PAGE_DEFAULT;
	hang(page, table);
	check_page(page, READ, NO_FRAME, "as-leaf");
	hang(page, NULL);
	/* The leaf table's page is a root now, with the same region as ours. */
	memset(table, 0, PAGE_SIZE);
	memcpy(table, (void *)space.cr3, top_entries * sizeof(pte_t));
	second.cr3 = (ulong)table;
	space_enter(&second);
	expect_nothing(page, "as-root");
	page_entry(page, LEVEL_4K);
	pte_write(page_entry(page, LEVEL_4K), frame_physical(111) | PAGE_DEFAULT);
	check_page(page, WRITE, 110, "as-root.mapped");
	/* And the old root, which nobody uses, a leaf table of the new one. */
	table = (pte_t *)space.cr3;
	memset(table, 0, PAGE_SIZE);
	table[INDEX] = frame_physical(112) | PAGE_DEFAULT;
	page_free((pte_t *)(ulong)(*page_entry(page, LEVEL_2M) & PTE_ADDRESS));
	hang(page, table);
	tlb_flush();
	check_page(page, WRITE, 111, "root-as-leaf.write");
	check_page(page, READ, 111, "root-as-leaf.read");
	space = second;
	leave();
}

SUBTEST_ARG("reuse-root", test_root, NULL);
#ifdef __x86_64__
SUBTEST_LA57("reuse-la57-root", test_root, NULL);
#endif
