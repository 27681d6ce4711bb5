// SPDX-License-Identifier: BSD-2-Clause
/*
 * Large pages split and joined. A split keeps each translation: before, during and after it
 * every address leads to the same page, on every CPU, with or without an
 * invalidation (SDM volume 3A, "Details of TLB Use": the processor may use translations
 * of either size, and here they agree). Then small pages change one by one, and the whole
 * is joined again, to the same large page or to another one.
 *
 * A hypervisor needs a table and 512 (1024) reverse-map entries for a split at once.
 */
#include "control.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "rendezvous.h"
#include "report.h"
#include "shootdown.h"
#include "smp.h"
#include "tsc.h"

#define SAMPLES 24
#define TURNS	6

static struct space space;
static ulong base; /* of a large page that maps a block */

static unsigned int sample(unsigned int n)
{
	return (n * 43 + 1) % PAGES_IN_LARGE;
}

static void check_samples(unsigned int before, const char *id)
{
	struct sightings log = { 0 };

	checking("%s", id);
	for (unsigned int i = 0; i < SAMPLES; i++)
		sight_page(&log, base + sample(i) * PAGE_SIZE, i % access_kinds(),
			   before + sample(i));
	check_sightings(&log, "%s", id);
}

static void map_block(unsigned int block, pte_t flags)
{
	pte_write(page_entry(base, LEVEL_2M), frame_physical(BLOCK(block)) | PTE_LARGE | flags);
}

/* Splitting is what page_entry() does when it is asked for a smaller page's entry. */
static pte_t *split(void)
{
	return (pte_t *)((ulong)page_entry(base, LEVEL_4K) & ~(PAGE_SIZE - 1));
}

static void test_split(void)
{
	pte_t *table;

	frames_init();
	space = space_new();
	space_enter(&space);
	base = slot_address(0, LEVEL_2M, 17);
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		unsigned int block = turn & 1;

		prefix_push("turn-%u", turn);
		map_block(block, PAGE_DEFAULT);
		tlb_flush_page((void *)base);
		tlb_flush();
		check_samples(BLOCK(!block), "large");
		table = split();
		check_samples(NO_FRAME, "split");
		tlb_flush();
		check_samples(NO_FRAME, "split-flushed");
		for (unsigned int i = 0; i < SAMPLES; i++) {
			ulong page = base + sample(i) * PAGE_SIZE;
			pte_t flags[] = { 0, PAGE_DEFAULT, PTE_PRESENT | PTE_USER, PTE_PRESENT };

			pte_write(page_entry(page, LEVEL_4K),
				  frame_physical(BLOCK(!block) + sample(i)) | flags[i % 4]);
			tlb_flush_page((void *)page);
		}
		check_samples(BLOCK(block), "changed");
		/* Those between were not touched by any of it. */
		for (unsigned int i = 0; i < 4; i++)
			check_page(base + (sample(i) + 1) * PAGE_SIZE, i, NO_FRAME, "neighbour-%u",
				   i);
		map_block(block, PTE_PRESENT | PTE_WRITABLE);
		tlb_flush();
		check_samples(BLOCK(!block), "joined-kernel");
		page_free(table);
		prefix_pop();
	}
	space_leave();
	space_free(&space);
}

SUBTEST("split-2m", test_split);

#if PAGING_LEVELS > 3
/* 1 GiB into 2 MiB pages, one of these into 4 KiB pages, and back. */
static void test_split_1g(void)
{
	struct space gigabyte;
	pte_t *large, *directory;
	ulong page;
	pte_t whole;

	if (!page_level_supported(LEVEL_1G)) {
		subtest_skip("the CPU has no 1 GiB pages");
		return;
	}
	frames_init();
	gigabyte = space_new();
	space_enter(&gigabyte);
	page = map_frame(slot_address(0, LEVEL_1G, 18), BLOCK(0), LEVEL_1G, PAGE_DEFAULT);
	base = page;
	large = page_entry(page, LEVEL_1G);
	whole = *large;
	check_samples(NO_FRAME, "whole");
	directory = (pte_t *)((ulong)page_entry(page, LEVEL_2M) & ~(PAGE_SIZE - 1));
	check_samples(NO_FRAME, "2m");
	tlb_flush();
	check_samples(NO_FRAME, "2m-flushed");
	split();
	check_samples(NO_FRAME, "4k");
	tlb_flush();
	check_samples(NO_FRAME, "4k-flushed");
	page_map(page, frame_physical(BLOCK(1)), PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	check_page(page, READ, BLOCK(0), "4k-remapped");
	check_page(page + PAGE_SIZE, READ, NO_FRAME, "4k-neighbour");
	check_page(page + page_size_at(LEVEL_2M), READ, NO_FRAME, "2m-neighbour");
	page_free((void *)(ulong)(*page_entry(page, LEVEL_2M) & PTE_ADDRESS));
	pte_write(large, whole);
	tlb_flush();
	page_free(directory);
	check_samples(BLOCK(1), "joined");
	space_leave();
	space_free(&gigabyte);
}

SUBTEST("split-1g", test_split_1g);
#endif

/* The others access without a break while the boot processor splits and joins. */
static struct rendezvous start;
static struct sightings logs[MAX_CPUS];
static u32 splitting, lost_shootdowns;

static void keep_accessing(void)
{
	unsigned int cpu = cpu_index();

	for (unsigned int i = 0; READ_ONCE(splitting) || i < SAMPLES; i++) {
		unsigned int n = sample(i * 5 + cpu);
		enum access access = i % access_kinds();
		struct outcome expected = outcome_by_rights(PAGE_DEFAULT, n, access), got;

		got = access_page(base + n * PAGE_SIZE, access, n, NO_FRAME);
		sight(&logs[cpu], base + n * PAGE_SIZE, access, &expected, &got, NO_FRAME);
	}
}

static void keep_splitting(void)
{
	pte_t *entry = page_entry(base, LEVEL_2M), whole = *entry;

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		pte_t *table;

		delay_us(300);
		table = split();
		delay_us(300);
		pte_write(entry, whole);
		for (unsigned int i = 0; i < 2; i++) /* INVLPG for what is large now, then all */
			lost_shootdowns += !shoot_down(&base, 1, &flush_methods[i], NULL);
		page_free(table);
	}
	WRITE_ONCE(splitting, 0);
}

static void run_split(void *argument)
{
	unsigned int cpu = cpu_index(), cpus = *(unsigned int *)argument;

	if (cpu >= cpus)
		return;
	space_enter(&space);
	rendezvous(&start, cpus);
	irq_enable();
	if (cpu)
		keep_accessing();
	else
		keep_splitting();
	/* A CPU that has done its part still answers. */
	rendezvous(&start, cpus);
	space_leave();
	if (!cpu)
		irq_disable();
}

static void test_split_smp(void)
{
	unsigned int cpus = MIN(cpu_count(), (unsigned int)MAX_SHOOTDOWN_CPUS);

	if (cpus == 1) {
		subtest_skip("needs more than one CPU");
		return;
	}
	frames_init();
	space = space_new();
	space_enter(&space);
	base = slot_address(0, LEVEL_2M, 19);
	map_block(0, PAGE_DEFAULT);
	space_leave();
	for (unsigned int i = 0; i < cpus; i++)
		logs[i] = (struct sightings){ 0 };
	splitting = 1;
	lost_shootdowns = 0;
	shootdown_init(cpus);
	on_all_cpus(run_split, &cpus);
	check_equal(lost_shootdowns, 0, "lost-shootdowns");
	for (unsigned int i = 1; i < cpus; i++)
		check_sightings(&logs[i], "cpu-%u", i);
	space_free(&space);
}

SUBTEST("split-smp", test_split_smp);
