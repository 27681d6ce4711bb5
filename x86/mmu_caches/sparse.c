// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pages so far from each other that each access needs new tables at every level.
 *
 * KVM builds its own tables (shadow pages, or the second dimension's) while it handles
 * a fault, under a lock under which it cannot wait for memory. The objects come from small
 * caches of each vCPU, which mmu_topup_memory_caches() fills before: one count for
 * tables, one for the reverse map's descriptors, one for the tables' headers. If a count is
 * too small for some path through the fault handler the cache runs empty (a BUG_ON() until
 * 2020), and a cache with the wrong type of object gives a table that is none.
 * From inside that is a mapping that is lost, wrong, stale or not there at all.
 *
 * So: new tables at every level, as often as possible in a row, on one CPU and on all
 * at once, in the same tables, in neighbouring ones and in tables of their own. The other
 * files go on from there: storm.c (changes meanwhile), split.c, invalidation.c,
 * accessed_dirty.c, rights.c, tables.c and reuse.c (writes to tables), physical.c.
 */
#include "cpuid.h"
#include "mmu_caches.h"
#include "rendezvous.h"
#include "report.h"
#include "smp.h"
#include "tsc.h"

TEST_SUMMARY("every mapping leads to its page, however many tables are needed at once");
TEST_MANUAL("SDM volume 3A, \"Hierarchical Paging Structures: an Overview\"");
TEST_MANUAL("SDM volume 3A, \"32-Bit Paging\", \"PAE Paging\", "
	    "\"4-Level Paging and 5-Level Paging\"");
TEST_MANUAL("SDM volume 3A, \"Determination of Access Rights\", \"Page-Fault Exceptions\"");
TEST_MANUAL("SDM volume 3A, \"Accessed and Dirty Flags\"");
TEST_MANUAL("SDM volume 3A, \"Caching Translation Information\", \"Invalidation of TLBs and "
	    "Paging-Structure Caches\", \"Optional Invalidation\"");
TEST_GUARDS("KVM, the patch series \"Cleanup and unify kvm_mmu_memory_cache usage\" (June 2020): a "
	    "vCPU's MMU memory cache that ran empty under mmu_lock was a BUG_ON(), and the "
	    "minimums that mmu_topup_memory_caches() asked for were not derived from the need");
TEST_NEEDS("more than one CPU for the subtests that say smp");

#define MAX_ROUNDS 64
#define BUDGET_US  200000 /* after it no round begins; one always does */
#define SLOTS	   32
#define NEIGHBOURS 4 /* pages next to each other, the last two in the next table */

/* Which CPUs touch what. */
enum sharing {
	ALONE,	    /* the boot processor */
	SAME,	    /* all CPUs, the same pages in the same order */
	NEIGHBOUR,  /* each CPU a page next to the other's */
	OWN_SPACES, /* each CPU has tables of its own: other frames at the same addresses */
};

struct sparse {
	unsigned int level;
	enum sharing sharing;
};

/* What the CPUs share; the log goes on over all rounds. */
static struct round {
	const struct sparse *sparse;
	unsigned int number;
	struct space spaces[MAX_CPUS]; /* only the first, but for OWN_SPACES */
	struct sightings log[MAX_CPUS][ACCESSES];
	struct rendezvous start;
} current;

static unsigned int space_of(unsigned int cpu)
{
	return current.sparse->sharing == OWN_SPACES ? cpu : 0;
}

/* The frame of a slot differs by round and, in spaces of their own, by CPU. */
static unsigned int frame_of(unsigned int slot, unsigned int space, unsigned int neighbour)
{
	return frame_pick(slot + 11 * current.number + 5 * space + 3 * neighbour);
}

static ulong slot_page(unsigned int slot, unsigned int neighbour)
{
	unsigned int level = current.sparse->level;
	ulong address = slot_address(slot, level, current.number);

	if (current.sparse->sharing != NEIGHBOUR)
		return address;
	/* The last pages of one table and the first of the next one. */
	address &= ~(page_size_at(level + 1) - 1);
	return address + (ENTRIES - NEIGHBOURS / 2 + neighbour) * page_size_at(level);
}

static void build(unsigned int space, unsigned int neighbours)
{
	space_enter(&current.spaces[space]);
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		/* Every other directory: its last table's neighbour belongs to the next. */
		if (current.sparse->sharing == NEIGHBOUR && slot % 4 > 1)
			continue;
		for (unsigned int n = 0; n < neighbours; n++)
			map_frame(slot_page(slot, n), frame_of(slot, space, n),
				  current.sparse->level, PAGE_DEFAULT);
	}
	space_leave();
}

/* Accesses each slot once, in an order that differs by kind of access. */
static void touch_all(unsigned int cpu, enum access access)
{
	unsigned int neighbour = current.sparse->sharing == NEIGHBOUR ? cpu % NEIGHBOURS : 0;
	ulong size = page_size_at(current.sparse->level);

	for (unsigned int i = 0; i < SLOTS; i++) {
		unsigned int slot = (i * 61 + access * 17) % SLOTS;
		unsigned int frame = frame_of(slot, space_of(cpu), neighbour);
		ulong page = slot_page(slot, neighbour) + (frame_physical(frame) & (size - 1));
		struct outcome expected = outcome_by_rights(PAGE_DEFAULT, frame, access), got;

		if (current.sparse->sharing == NEIGHBOUR && slot % 4 > 1)
			continue;
		got = access_page(page, access, frame, NO_FRAME);
		sight(&current.log[cpu][access], page, access, &expected, &got, NO_FRAME);
	}
}

static void run_round(void *argument)
{
	unsigned int cpu = cpu_index();

	(void)argument;
	space_enter(&current.spaces[space_of(cpu)]);
	if (current.sparse->sharing != ALONE)
		rendezvous(&current.start, cpu_count());
	/* The first access finds no tables; a different kind in each round. */
	for (enum access i = READ; i <= FETCH; i++)
		touch_all(cpu, (i + current.number) % (FETCH + 1));
	space_leave();
}

static void test_round(const struct sparse *sparse, unsigned int number)
{
	unsigned int spaces = sparse->sharing == OWN_SPACES ? cpu_count() : 1;

	current.number = number;
	for (unsigned int i = 0; i < spaces; i++) {
		current.spaces[i] = space_new();
		build(i, sparse->sharing == NEIGHBOUR ? NEIGHBOURS : 1);
	}
	checking("round-%u", number);
	if (sparse->sharing == ALONE)
		run_round(NULL);
	else
		on_all_cpus(run_round, NULL);
	for (unsigned int i = 0; i < spaces; i++)
		space_free(&current.spaces[i]);
}

static void test_sparse(const void *argument)
{
	unsigned int cpus_used, number;
	u64 deadline;
	const struct sparse *sparse = argument;

	if (sparse->sharing != ALONE && cpu_count() == 1) {
		subtest_skip("needs more than one CPU");
		return;
	}
	if (!page_level_supported(sparse->level)) {
		subtest_skip("the CPU has no 1 GiB pages");
		return;
	}
	frames_init();
	current = (struct round){ .sparse = sparse };
	deadline = tsc_deadline_us(BUDGET_US);
	for (number = 0; number < MAX_ROUNDS && (!number || !tsc_passed(deadline)); number++)
		test_round(sparse, number);
	if (number < MAX_ROUNDS)
		diagnostic("%u of %u rounds in the time there is", number, MAX_ROUNDS);
	cpus_used = sparse->sharing == ALONE ? 1 : cpu_count();
	for (unsigned int cpu = 0; cpu < cpus_used; cpu++)
		for (enum access i = READ; i <= FETCH; i++)
			check_sightings(&current.log[cpu][i], "cpu-%u.%s", cpu, access_names[i]);
}

#define SPARSE(name, ...)                                                                          \
	SUBTEST_ARG("sparse-" name, test_sparse, (&(const struct sparse){ __VA_ARGS__ }))
#define SPARSE_LA57(name, ...)                                                                     \
	SUBTEST_LA57("sparse-" name, test_sparse, (&(const struct sparse){ __VA_ARGS__ }))

SPARSE("4k", LEVEL_4K, ALONE);
SPARSE("2m", LEVEL_2M, ALONE);
SPARSE("smp-same-4k", LEVEL_4K, SAME);
SPARSE("smp-same-2m", LEVEL_2M, SAME);
SPARSE("smp-neighbour-4k", LEVEL_4K, NEIGHBOUR);
SPARSE("smp-own-4k", LEVEL_4K, OWN_SPACES);
SPARSE("smp-own-2m", LEVEL_2M, OWN_SPACES);
#ifdef __x86_64__
SPARSE("1g", LEVEL_1G, ALONE);
SPARSE("smp-same-1g", LEVEL_1G, SAME);
SPARSE_LA57("la57-4k", LEVEL_4K, ALONE);
SPARSE_LA57("la57-2m", LEVEL_2M, ALONE);
SPARSE_LA57("la57-1g", LEVEL_1G, ALONE);
SPARSE_LA57("smp-la57-same-4k", LEVEL_4K, SAME);
SPARSE_LA57("smp-la57-neighbour-4k", LEVEL_4K, NEIGHBOUR);
SPARSE_LA57("smp-la57-own-4k", LEVEL_4K, OWN_SPACES);
#endif
