// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes to page tables: each kind of store, through each mapping of the table; many leaf
 * tables out of date until one flush; a table that is used at two levels; tables that map
 * themselves. Shadow paging has to notice each of these writes, whole or in
 * parts, aligned or across two entries, and must not mistake the one role for the other.
 *
 * To the processor an entry is what memory holds when the walk reads it: SDM volume 3A,
 * "Hierarchical Paging Structures", and nothing more than an invalidation is necessary.
 */
#include "control.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "report.h"
#include "writers.h"

/* ---- each kind of store ---- */

#define PAIR_INDEX 77 /* odd: two entries that no 16-byte store may take aligned start at 78 */

/* Pairs of entries that follow each other; each differs from the one before in other bits. */
static const struct pair {
	const char *name;
	unsigned int frame[2];
	pte_t clear[2];
} pairs[] = {
	{ "mapped", { 20, 21 }, { 0, 0 } },
	{ "swapped", { 21, 20 }, { 0, 0 } },
	{ "read-only-first", { 21, 20 }, { PTE_WRITABLE, 0 } },
	{ "unmapped-second", { 21, 20 }, { PTE_WRITABLE, PTE_PRESENT } },
	{ "far-away", { BLOCK(1) + 300, 40 }, { 0, PTE_USER } },
	{ "unmapped", { BLOCK(1) + 300, 40 }, { PTE_PRESENT, PTE_PRESENT } },
	{ "mapped-again", { 22, BLOCK(1) + 21 }, { 0, 0 } },
};

static void check_pair(const struct writer *writer, pte_t *entries, pte_t *via, ulong page,
		       const struct pair *pair, const struct pair *before)
{
	pte_t values[2];

	for (unsigned int i = 0; i < 2; i++)
		values[i] = (frame_physical(pair->frame[i]) | PAGE_DEFAULT | PTE_ACCESSED) &
			    ~pair->clear[i];
	prefix_push("%s", pair->name);
	checking("write");
	writer->write(via, values);
	check(entries[0] == values[0] && entries[1] == values[1], "memory");
	tlb_flush_page((void *)page);
	tlb_flush_page((void *)(page + PAGE_SIZE));
	for (unsigned int i = 0; i < 2; i++) {
		struct sightings log = { 0 };

		for (enum access access = READ; access < access_kinds(); access++)
			sight_page(&log, page + i * PAGE_SIZE, access,
				   before ? before->frame[i] : NO_FRAME);
		check_sightings(&log, "page-%u", i);
	}
	prefix_pop();
}

static void test_writer(const void *argument)
{
	const struct writer *writer = argument;
	pte_t *entries, *alias;
	struct space space;
	ulong page, window;

	if (!writer_supported(writer)) {
		subtest_skip("the CPU has no %s", writer->name);
		return;
	}
	frames_init();
	space = space_new();
	space_enter(&space);
	page = slot_address(0, LEVEL_2M, 8) + (PAIR_INDEX + 1) * PAGE_SIZE;
	entries = page_entry(page, LEVEL_4K);
	/* The second mapping of the table. */
	window = slot_address(1, LEVEL_4K, 8);
	page_map(window, (ulong)entries & ~(PAGE_SIZE - 1), PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	alias = (pte_t *)(window + ((ulong)entries & (PAGE_SIZE - 1)));
	for (unsigned int way = 0; way < 2; way++) {
		prefix_push(way ? "second-mapping" : "identity");
		for (unsigned int i = 0; i < ARRAY_SIZE(pairs); i++)
			check_pair(writer, entries, way ? alias : entries, page, &pairs[i],
				   i ? &pairs[i - 1] : NULL);
		prefix_pop();
	}
	space_leave();
	space_free(&space);
}

#define WRITER(index, name) SUBTEST_ARG("write-" name, test_writer, &writers[index])

WRITER(0, "mov");
WRITER(1, "bytes");
WRITER(2, "words");
WRITER(3, "dwords");
WRITER(4, "unaligned");
WRITER(5, "across-entries");
WRITER(6, "xchg");
WRITER(7, "cmpxchg");
WRITER(8, "lock-xor");
WRITER(9, "bit-complement");
WRITER(10, "cmpxchg8b");
WRITER(11, "rep-movs");
WRITER(12, "push");
WRITER(13, "movups");
#ifdef __x86_64__
WRITER(14, "cmpxchg16b");
#endif

/* ---- many leaf tables, one flush ---- */

#define TABLES		  24
#define ENTRIES_PER_TABLE 6
#define UNSYNC_ROUNDS	  4

static ulong unsync_page(unsigned int table, unsigned int n)
{
	return slot_address(table, LEVEL_2M, 9) +
	       (mix(table * 64 + n) % (ENTRIES / 8) * 8 + n) * PAGE_SIZE;
}

static unsigned int unsync_frame(unsigned int table, unsigned int n, unsigned int round)
{
	return frame_pick(table * ENTRIES_PER_TABLE + n + 19 * round);
}

/* In each round some entries are taken away, which the next one puts back without a flush. */
static bool unsync_absent(unsigned int table, unsigned int n, unsigned int round)
{
	return (table + n + round) % 5 == 0;
}

static void test_unsync(void)
{
	struct space space;

	frames_init();
	space = space_new();
	space_enter(&space);
	for (unsigned int round = 0; round < UNSYNC_ROUNDS; round++) {
		struct sightings log = { 0 }, lazy = { 0 };

		for (unsigned int t = 0; t < TABLES; t++)
			for (unsigned int n = 0; n < ENTRIES_PER_TABLE; n++) {
				unsigned int frame = unsync_frame(t, n, round);
				pte_t flags = unsync_absent(t, n, round) ? 0 : PAGE_DEFAULT;

				pte_write(page_entry(unsync_page(t, n), LEVEL_4K),
					  frame_physical(frame) | flags);
			}
		tlb_flush();
		for (unsigned int t = 0; t < TABLES; t++)
			for (unsigned int n = 0; n < ENTRIES_PER_TABLE; n++)
				sight_page(&log, unsync_page(t, n), (t + n) % (WRITE + 1),
					   round ? unsync_frame(t, n, round - 1) : NO_FRAME);
		/* From not present to present: nothing to invalidate. */
		for (unsigned int t = 0; t < TABLES; t++)
			for (unsigned int n = 0; n < ENTRIES_PER_TABLE; n++) {
				if (!unsync_absent(t, n, round))
					continue;
				pte_write(page_entry(unsync_page(t, n), LEVEL_4K),
					  frame_physical(unsync_frame(t, n, round)) | PAGE_DEFAULT);
				sight_page(&lazy, unsync_page(t, n), (t + n) % access_kinds(),
					   NO_FRAME);
			}
		check_sightings(&log, "round-%u.flushed", round);
		check_sightings(&lazy, "round-%u.without-flush", round);
	}
	space_leave();
	space_free(&space);
}

SUBTEST("tables-unsync", test_unsync);
