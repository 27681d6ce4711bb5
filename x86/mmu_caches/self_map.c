// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables that are used at two levels, or that map themselves. The same page is then a table
 * at several levels and data as well: a shadow MMU has one shadow page for each role of
 * it, and a write through any mapping has to reach them all.
 */
#include "access.h"
#include "control.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "report.h"

static void enter(struct space *space)
{
	frames_init();
	*space = space_new();
	space_enter(space);
}

static void leave(const struct space *space)
{
	space_leave();
	space_free(space);
}

#if PAGING_LEVELS > 2
/*
 * ---- one table at level 1 and at level 2 ----
 *
 * Its entries refer to pages. At level 1 (entry of a directory) these pages are data; at
 * level 2 (entry of the table above) they are page tables, whose entries refer to frames.
 */
#define LEAVES 4

static struct {
	pte_t *middle, *leaf[LEAVES];
	ulong as_leaf, as_directory; /* where the linear addresses begin in which it is so */
} two;

static unsigned int two_index(unsigned int leaf)
{
	return 3 + 100 * leaf;
}

static void check_two(const char *id)
{
	prefix_push("%s", id);
	for (unsigned int i = 0; i < LEAVES; i++) {
		unsigned int index = two_index(i);
		const volatile pte_t *data = (void *)(two.as_leaf + index * PAGE_SIZE);
		const pte_t *leaf = (void *)(ulong)(two.middle[index] & PTE_ADDRESS);
		ulong page = two.as_directory + index * page_size_at(LEVEL_2M);

		checking("leaf-%u", i);
		for (enum access access = READ; access < access_kinds(); access++)
			check_page(page + 9 * PAGE_SIZE, access, NO_FRAME, "leaf-%u.%s", i,
				   access_names[access]);
		check_page(page + 10 * PAGE_SIZE, READ, NO_FRAME, "leaf-%u.not-present", i);
		/* The table as data, with the flags that the accesses have set. */
		check_equal(data[9], leaf[9], "leaf-%u.data", i);
	}
	prefix_pop();
}

static void test_two_levels(void)
{
	struct space space;
	pte_t *directory, old;

	enter(&space);
	two.middle = page_alloc();
	for (unsigned int i = 0; i < LEAVES; i++) {
		two.leaf[i] = page_alloc();
		two.leaf[i][9] = frame_physical(50 + i) | PAGE_DEFAULT;
		two.middle[two_index(i)] = (ulong)two.leaf[i] | PAGE_DEFAULT;
	}
	two.as_leaf = slot_address(0, LEVEL_2M, 10);
	two.as_directory = slot_address(1, LEVEL_2M, 10) & ~(page_size_at(LEVEL_1G) - 1);
	pte_write(page_entry(two.as_leaf, LEVEL_2M), (ulong)two.middle | PAGE_DEFAULT);
	directory = page_entry(two.as_directory, LEVEL_1G);
	old = *directory;
	pte_write(directory, (ulong)two.middle | (PAGING_LEVELS == 3 ? PTE_PRESENT : PAGE_DEFAULT));
	tlb_flush();
	check_two("first");

	/* A leaf is written through the mapping in which it is data. */
	for (unsigned int i = 0; i < LEAVES; i++)
		pte_write((pte_t *)(two.as_leaf + two_index(i) * PAGE_SIZE) + 9,
			  frame_physical(BLOCK(1) + 50 + i) | PAGE_DEFAULT);
	tlb_flush();
	check_two("leaf-written-as-data");

	/* The table's own entries change: other data, and other frames. */
	for (unsigned int i = 0; i < LEAVES; i++)
		pte_write(&two.middle[two_index(i)],
			  (ulong)two.leaf[(i + 1) % LEAVES] | PAGE_DEFAULT);
	tlb_flush();
	check_two("entries-changed");

	pte_write(directory, old);
	for (unsigned int i = 0; i < LEAVES; i++)
		page_free(two.leaf[i]);
	leave(&space);
}

SUBTEST("tables-two-levels", test_two_levels);
#endif

/*
 * ---- a recursive entry ----
 *
 * Entry RECURSIVE of the top table (PAE: of a directory, since its top level is none of
 * ordinary entries) refers to that table. The walk then ends one level early: the linear
 * addresses below it show all tables as pages.
 */
#if PAGING_LEVELS == 4
#define RECURSIVE 300ul
static pte_t *recursive_window(ulong address)
{
	const unsigned int top_bit = 12 + 9 * (paging_levels() - 1), unused = 64 - 9 - top_bit;
	const ulong base = ~0ul << (top_bit + 9) | RECURSIVE << top_bit;

	return (pte_t *)(base + (address << unused >> (unused + 12) << 3));
}
#elif PAGING_LEVELS == 3
#define RECURSIVE 511ul
static pte_t *recursive_window(ulong address)
{
	const ulong gigabyte = address & ~(page_size_at(LEVEL_1G) - 1);

	return (pte_t *)(gigabyte + RECURSIVE * page_size_at(LEVEL_2M) + (address << 2 >> 14 << 3));
}
#else
#define RECURSIVE 700ul
static pte_t *recursive_window(ulong address)
{
	return (pte_t *)(RECURSIVE * page_size_at(LEVEL_2M) + (address >> 12 << 2));
}
#endif

static void test_recursive(const void *unused)
{
	const unsigned int top = PAGING_LEVELS == 3 ? 2 : paging_levels();
	struct space space;
	pte_t *entry, *self;
	ulong page;
	u32 value = 0;

	(void)unused;
	enter(&space);
	page = slot_address(0, LEVEL_4K, 11);
	map_frame(page, 60, LEVEL_4K, PAGE_DEFAULT);
	entry = page_entry(page, LEVEL_4K);
	/* The top table, by any of its entries. */
	self = (pte_t *)((ulong)page_entry(page, top) & ~(PAGE_SIZE - 1)) + RECURSIVE;
	pte_write(self, ((ulong)self & ~(PAGE_SIZE - 1)) | PAGE_DEFAULT);
	tlb_flush();
	check_page(page, READ, NO_FRAME, "page");
	check_equal(*(volatile pte_t *)recursive_window(page), *entry, "entry");
	/* The window of the window: the entry one level up. */
	check_equal(*(volatile pte_t *)recursive_window((ulong)recursive_window(page)),
		    *page_entry(page, LEVEL_2M), "directory-entry");

	pte_write(recursive_window(page), frame_physical(61) | PAGE_DEFAULT);
	tlb_flush_page((void *)page);
	for (enum access access = READ; access < access_kinds(); access++)
		check_page(page, access, 60, "remapped.%s", access_names[access]);
	check(*recursive_window(page) & PTE_DIRTY, "dirty-in-window");
	pte_write(recursive_window(page), (frame_physical(61) | PAGE_DEFAULT) & ~PTE_WRITABLE);
	tlb_flush_page((void *)page);
	check_page(page, WRITE, 61, "read-only.write");
	check_page(page, READ, 61, "read-only.read");

	/* A whole table is hung in and filled through windows alone. */
	page = slot_address(0, LEVEL_4K, 11) ^ page_size_at(LEVEL_2M);
	pte_write(recursive_window((ulong)recursive_window(page)),
		  (ulong)page_alloc() | PAGE_DEFAULT);
	check_page(page, READ, NO_FRAME, "empty-table");
	tlb_flush_page(recursive_window(page));
	pte_write(recursive_window(page), frame_physical(62) | PAGE_DEFAULT);
	for (enum access access = READ; access < access_kinds(); access++)
		check_page(page, access, NO_FRAME, "new-table.%s", access_names[access]);
	/* And taken away through the window that is there because of it. */
	pte_write(self, 0);
	tlb_flush();
	check_fault(try_read32((ulong)recursive_window(page), &value), FAULT_PF(0), "window-gone");
	check_page(page, READ, NO_FRAME, "page-stays");
	leave(&space);
}

SUBTEST_ARG("tables-recursive", test_recursive, NULL);
#ifdef __x86_64__
SUBTEST_LA57("tables-la57-recursive", test_recursive, NULL);
#endif

/* A leaf table that maps itself, and takes that mapping away through it. */
static void test_leaf_maps_itself(void)
{
	struct space space;
	pte_t *table, *window;
	ulong base;

	enter(&space);
	base = slot_address(0, LEVEL_2M, 12);
	table = page_entry(base, LEVEL_4K);
	pte_write(&table[33], (ulong)table | PAGE_DEFAULT);
	window = (pte_t *)(base + 33 * PAGE_SIZE);
	pte_write(&window[34], frame_physical(70) | PAGE_DEFAULT);
	check_page(base + 34 * PAGE_SIZE, READ, NO_FRAME, "mapped");
	pte_write(&window[34], frame_physical(BLOCK(1) + 70) | PAGE_DEFAULT);
	tlb_flush_page((void *)(base + 34 * PAGE_SIZE));
	for (enum access access = READ; access < access_kinds(); access++)
		check_page(base + 34 * PAGE_SIZE, access, 70, "remapped.%s", access_names[access]);
	check(window[33] & PTE_DIRTY, "own-entry-dirty");
	/* Read-only now: the entry can be read where it forbids to write it. */
	pte_write(&window[33], ((ulong)table | PAGE_DEFAULT) & ~PTE_WRITABLE);
	tlb_flush_page(window);
	check_equal(window[34] & PTE_ADDRESS, frame_physical(BLOCK(1) + 70), "read-only.read");
	check_fault(try_write32((ulong)&window[34], window[34]), FAULT_PF(PF_PRESENT | PF_WRITE),
		    "read-only.write");
	pte_write(&table[33], (ulong)table | PAGE_DEFAULT);
	tlb_flush_page(window);
	pte_write(&window[33], frame_physical(71) | PAGE_DEFAULT);
	tlb_flush_page(window);
	check_page((ulong)window, READ, NO_FRAME, "replaced");
	leave(&space);
}

SUBTEST("tables-leaf-maps-itself", test_leaf_maps_itself);
