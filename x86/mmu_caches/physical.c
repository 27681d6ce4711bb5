// SPDX-License-Identifier: BSD-2-Clause
/*
 * Physical memory, sparsely: one page in each of many large pages of it, from below 4 GiB
 * and above, by all CPUs at once, and addresses where there is nothing at all. Under nested
 * paging it is here, and not with linear addresses, that each access needs new tables
 * at every level; a hypervisor has entries for addresses without memory, too.
 */
#include "access.h"
#include "cpuid.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "rendezvous.h"
#include "report.h"
#include "smp.h"

/* At most so many large pages of the host's memory are used. */
#define MAX_PLACES 96
#define BELOW_4G   64

#define MiB (1ull << 20)
#define GiB (1ull << 30)

static struct place {
	phys_addr physical;
	ulong page;
	u64 saved[2];
} places[MAX_PLACES];
static unsigned int place_count;

static struct space space;
static struct rendezvous start;
static unsigned int mismatches[MAX_CPUS];

/* Evenly over [begin, end), each in a large page of its own, at different offsets in it. */
static void choose(phys_addr begin, phys_addr end, unsigned int most)
{
	const phys_addr large = page_size_at(LEVEL_2M);
	phys_addr step;

	begin = ALIGN_UP(begin, large);
	if (end < begin + large)
		return;
	step = MAX(ALIGN_UP((end - begin) / most, large), large);
	for (phys_addr at = begin; at + large <= end && most && place_count < MAX_PLACES;
	     at += step, most--)
		places[place_count++].physical =
		    at + (mix(at / large) & (large / PAGE_SIZE - 1)) * PAGE_SIZE;
}

static void choose_places(void)
{
	/* Whatever is in use lies below what would be given next. */
	phys_addr unused = (ulong)pages_alloc(1, PAGE_SIZE);
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count);

	place_count = 0;
	/* Room for the tables of this subtest and of those that follow. */
	unused += 4 * MiB;
	for (unsigned int i = 0; i < count; i++)
		if (regions[i].end <= 4 * GiB && regions[i].end > unused)
			choose(MAX(regions[i].start, unused), regions[i].end, BELOW_4G);
	for (unsigned int i = 0; i < count && PAGING_LEVELS > 2; i++)
		if (regions[i].start >= 4 * GiB)
			choose(regions[i].start + high_frame_count() * PAGE_SIZE, regions[i].end,
			       MAX_PLACES - place_count);
}

static u64 token(unsigned int place, unsigned int word)
{
	return places[place].physical ^ (word ? 0x5a5aa5a500000000ull : 0x3c3c0000c3c3ull);
}

static volatile u64 *word(unsigned int place, unsigned int n)
{
	return (u64 *)(places[place].page + (n ? PAGE_SIZE - 8 : 0));
}

/* Each CPU writes to its share, in the same order, then reads what all have written. */
static void touch(void *argument)
{
	unsigned int cpu = cpu_index(), cpus = cpu_count();

	(void)argument;
	space_enter(&space);
	rendezvous(&start, cpus);
	for (unsigned int i = cpu; i < place_count; i += cpus)
		for (unsigned int n = 0; n < 2; n++) {
			places[i].saved[n] = *word(i, n);
			*word(i, n) = token(i, n);
		}
	rendezvous(&start, cpus);
	for (unsigned int k = 0; k < place_count; k++) {
		unsigned int i = (k + cpu * 7) % place_count;

		for (unsigned int n = 0; n < 2; n++)
			mismatches[cpu] += *word(i, n) != token(i, n);
	}
	rendezvous(&start, cpus);
	for (unsigned int i = cpu; i < place_count; i += cpus)
		for (unsigned int n = 0; n < 2; n++)
			*word(i, n) = places[i].saved[n];
	space_leave();
}

static void test_sparse_memory(void)
{
	unsigned int above = 0;

	frames_init();
	choose_places();
	if (!place_count) {
		subtest_skip("too little memory");
		return;
	}
	space = space_new();
	space_enter(&space);
	for (unsigned int i = 0; i < place_count; i++) {
		places[i].page = slot_address(i, LEVEL_4K, 20);
		page_map(places[i].page, places[i].physical, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
		above += places[i].physical >= 4 * GiB;
	}
	space_leave();
	diagnostic("%u pages, %u of them above 4 GiB", place_count, above);
	for (unsigned int i = 0; i < cpu_count(); i++)
		mismatches[i] = 0;
	on_all_cpus(touch, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++)
		check_equal(mismatches[i], 0, "cpu-%u.mismatches", i);
	space_free(&space);
}

SUBTEST("physical-sparse", test_sparse_memory);

#if PAGING_LEVELS > 2
/*
 * Nothing answers there, so nothing is said of what is read; but each such address may
 * get tables and entries of its own, and RAM must still be where it was.
 */
#define NOWHERE 24

static void test_nowhere(void)
{
	unsigned int bits = cpu_physical_address_bits(), count;
	const struct ram_region *regions = ram_regions(&count);
	struct sightings log = { 0 };
	unsigned int faults = 0;
	u32 value = 0;

	if (bits < 38 || regions[count - 1].end >= 1ull << (bits - 1)) {
		subtest_skip("%u physical address bits are too few to leave something free", bits);
		return;
	}
	frames_init();
	space = space_new();
	space_enter(&space);
	for (unsigned int i = 0; i < NOWHERE; i++) {
		/* In the upper half, spread over all levels of the second dimension. */
		phys_addr physical =
		    1ull << (bits - 1) | (phys_addr)i << (bits - 7) | (i * 3ull) << 21;
		ulong nothing = slot_address(2 * i, LEVEL_4K, 21);
		ulong page = slot_address(2 * i + 1, LEVEL_4K, 21);

		checking("address-%#llx", (unsigned long long)physical);
		page_map(nothing, physical, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT | PTE_PCD | PTE_PWT);
		map_frame(page, frame_pick(i), LEVEL_4K, PAGE_DEFAULT);
		faults += fault_raised(try_read32(nothing, &value));
		sight_page(&log, page, i % access_kinds(), NO_FRAME);
	}
	check_equal(faults, 0, "faults");
	check_sightings(&log, "memory-after-it");
	space_leave();
	space_free(&space);
}

SUBTEST("physical-nowhere", test_nowhere);

/* A leaf table that lies above 4 GiB itself. */
static void test_high_table(void)
{
	phys_addr physical;
	pte_t *table;
	ulong page;

	frames_init();
	physical = high_frame_count() ? page_alloc_high() : 0;
	if (!physical) {
		subtest_skip("no memory above 4 GiB");
		return;
	}
	table = PAGING_LEVELS == 4 ? (pte_t *)(ulong)physical
				   : physical_map(physical, PAGE_SIZE, PAGE_DEFAULT);
	__builtin_memset(table, 0, PAGE_SIZE);
	space = space_new();
	space_enter(&space);
	page = slot_address(0, LEVEL_2M, 22);
	pte_write(page_entry(page, LEVEL_2M), physical | PAGE_DEFAULT);
	for (unsigned int i = 0; i < 8; i++) {
		unsigned int frame = frame_pick(120 + i);
		struct sightings log = { 0 };
		pte_t entry = frame_physical(frame) | PAGE_DEFAULT;

		/* The walk by software cannot read this table under PAE: the rights are all there.
		 */
		pte_write(&table[i], entry);
		for (enum access access = READ; access < access_kinds(); access++) {
			struct outcome expected = outcome_by_rights(PAGE_DEFAULT, frame, access);
			struct outcome got =
			    access_page(page + i * PAGE_SIZE, access, frame, NO_FRAME);

			sight(&log, page + i * PAGE_SIZE, access, &expected, &got, NO_FRAME);
		}
		check_sightings(&log, "entry-%u", i);
		check_equal(table[i], entry | PTE_ACCESSED | PTE_DIRTY, "entry-%u.flags", i);
	}
	pte_write(page_entry(page, LEVEL_2M), 0);
	space_leave();
	space_free(&space);
}

SUBTEST("physical-high-table", test_high_table);
#else
/*
 * PSE-36: a 4 MiB page's entry holds bits 39:32 of the address in its bits 20:13 (SDM volume
 * 3A, "32-Bit Paging"), so that memory above 4 GiB can be reached, by such pages alone.
 */
static pte_t pse36_entry(phys_addr physical)
{
	return (pte_t)(physical & 0xffc00000) | (pte_t)(physical >> 32) << 13 | PAGE_DEFAULT |
	       PTE_LARGE;
}

static void test_pse36(void)
{
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count), *last = &regions[count - 1];
	const ulong large = page_size_at(LEVEL_2M);
	volatile u32 *window[2];
	phys_addr physical;

	frames_init();
	/* A CPU that ignores the upper bits hits frames, where that is seen. */
	physical = 4 * GiB + frame_physical(BLOCK(0));
	if (last->start > physical || physical + 2 * large > last->end) {
		subtest_skip("no memory above 4 GiB");
		return;
	}
	if (!cpu_has(FEATURE_PSE36) || cpu_physical_address_bits() < 33) {
		subtest_skip("the CPU has no PSE-36");
		return;
	}
	space = space_new();
	space_enter(&space);
	/* The same two large pages twice: written by one window, read by the other. */
	for (unsigned int way = 0; way < 2; way++)
		for (unsigned int i = 0; i < 2; i++) {
			ulong address = slot_address(way * 40 + i * 3, LEVEL_2M, 23);

			pte_write(page_entry(address, LEVEL_2M), pse36_entry(physical + i * large));
			window[way] = (u32 *)address;
			if (!way)
				for (unsigned int n = 0; n < 4; n++)
					window[0][n * 0x40000 + n] = 0x36360000 + i * 16 + n;
			else
				for (unsigned int n = 0; n < 4; n++)
					check_equal(window[1][n * 0x40000 + n],
						    0x36360000 + i * 16 + n, "page-%u.word-%u", i,
						    n);
		}
	for (unsigned int i = 0; i < 2; i++)
		check_equal(*(u32 *)frame_alias(BLOCK(i)), frame_tag(BLOCK(i)),
			    "page-%u.low-memory", i);
	check(*page_entry((ulong)window[1], LEVEL_2M) & PTE_ACCESSED, "accessed");
	check_page(slot_address(99, LEVEL_4K, 23), READ, NO_FRAME, "not-present");
	space_leave();
	space_free(&space);
}

SUBTEST("physical-pse36", test_pse36);
#endif
