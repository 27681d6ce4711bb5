// SPDX-License-Identifier: BSD-2-Clause
/*
 * The instructions that locks are made of, contended by all CPUs: on RAM each is atomic,
 * or refused (a split lock with #AC where the CPU detects those), but never torn: no
 * update is lost. Also across a cache line and a page, and for each memory type, since a
 * hypervisor's emulator takes other ways there. SDM volume 3A, "Guaranteed Atomic
 * Operations" and "Bus Locking"; LOCK on any alignment: "Software Controlled Bus Locking".
 *
 * A host may slow down split locks on purpose: their number is bounded.
 */
#include "control.h"
#include "cpuid.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "primitives.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

/*
 * A round is over when the CPUs have met so often, that is found another's additions between
 * two of their own; or at its end, if they never ran at the same time. Split locks are few:
 * there each CPU waits a little before each, so that another does the same at the same time.
 */
#define ROUND_US      12000
#define LEAST_US      4000
#define MEETINGS      2000
#define ROUNDS	      200000 /* additions of each CPU at the most */
#define SPLIT_ROUNDS  40
#define PARTNER_SPINS 250
#define BOUND_US      2000000 /* for all rounds together, which take milliseconds */
#define LINE	      64

/* Where the counter lies in two pages, all of whose lines are free. */
static const struct placement {
	const char *name;
	unsigned int offset; /* of the counter's middle, so that any size is split there */
	bool split;
} placements[] = {
	{ "aligned", LINE, false },
	{ "split-line", 2 * LINE, true },
	{ "split-page", PAGE_SIZE, true },
};

/*
 * PAT at reset: WB, WT, UC-, UC in entries 0 to 3, and once more in 4 to 7; WC and WP take the
 * place of 4 and 5. SDM volume 3A, "Page Attribute Table (PAT)".
 */
#define PAT_WC	       1ull
#define PAT_WP	       5ull
#define PAT_ENTRY(n)   (8 * (n))
#define PAT_ENTRIES_45 (0xffffull << PAT_ENTRY(4))

static const struct memory_type {
	const char *name;
	pte_t flags;
} memory_types[] = {
	{ "wb", 0 },
	{ "wt", PTE_PWT },
	{ "uc-minus", PTE_PCD },
	{ "uc", PTE_PCD | PTE_PWT },
	{ "wc", PTE_PAT_4K },
	{ "wp", PTE_PAT_4K | PTE_PWT },
};

/* The same on every CPU, and nothing in a cache that was cached by another type. */
static void program_pat(void *argument)
{
	u64 pat = rdmsr(MSR_IA32_PAT) & ~PAT_ENTRIES_45;

	(void)argument;
	wrmsr(MSR_IA32_PAT, pat | PAT_WC << PAT_ENTRY(4) | PAT_WP << PAT_ENTRY(5));
	asm volatile("wbinvd" : : : "memory");
	tlb_flush_global();
}

static struct {
	const struct primitive *primitive;
	u8 *address;
	u32 rounds, waiting, arrived, meetings;
	bool split;
	u64 least, end;
	u32 done[MAX_CPUS]; /* additions without a fault */
	struct fault fault[MAX_CPUS];
} job;

/* Every other CPU that comes here waits for the next one; that one goes on a moment later. */
static void meet_another(u32 *seed)
{
	u32 mine = __atomic_add_fetch(&job.arrived, 1, __ATOMIC_SEQ_CST);

	for (u32 spin = 0; mine & 1 && spin < PARTNER_SPINS && READ_ONCE(job.arrived) == mine;
	     spin++)
		cpu_relax();
	*seed = *seed * 1103515245 + 12345;
	for (u32 i = *seed >> 16 & 63; !(mine & 1) && i; i--)
		barrier();
}

static bool enough(void)
{
	return tsc_passed(job.end) ||
	       (READ_ONCE(job.meetings) >= MEETINGS && tsc_passed(job.least));
}

static void add_rounds(void *argument)
{
	u32 me = cpu_index(), seed = me, last = 0;

	(void)argument;
	__atomic_fetch_sub(&job.waiting, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(job.waiting))
		cpu_relax();
	for (u32 i = 0; i < job.rounds && (i % 16 || !enough()); i++) {
		struct fault fault;
		u32 now;

		if (job.split)
			meet_another(&seed);
		fault = job.primitive->add(job.address);
		if (fault_raised(fault)) {
			job.fault[me] = fault;
			return;
		}
		job.done[me]++;
		now = *(volatile u32 *)job.address;
		if (!job.split && now != last + 1)
			__atomic_add_fetch(&job.meetings, 1, __ATOMIC_SEQ_CST);
		last = now;
	}
}

/* Atomic or refused: #AC for split-lock detection, #GP for CMPXCHG16B's alignment. */
static bool may_refuse(const struct primitive *p, const struct placement *place, struct fault fault)
{
	if (p->aligned_only && place->split)
		return fault_equal(fault, FAULT_GP(0));
	return !fault_raised(fault) || (place->split && fault_equal(fault, FAULT_AC));
}

static void probe(u8 *pages, const struct primitive *p, const struct placement *place)
{
	u32 sum = 0, counted, high;
	struct fault refused = NO_FAULT;

	job.primitive = p;
	job.address = pages + place->offset - (place->split ? p->size / 2 : 0);
	job.rounds = place->split ? SPLIT_ROUNDS : ROUNDS;
	job.split = place->split;
	job.waiting = cpu_count();
	job.arrived = job.meetings = 0;
	job.least = tsc_deadline_us(LEAST_US);
	job.end = tsc_deadline_us(ROUND_US);
	primitives_start(tsc_deadline_us(BOUND_US));
	memset(job.done, 0, sizeof(job.done));
	memset(job.fault, 0, sizeof(job.fault));
	memset(job.address, 0, p->size);
	if (p->size > 4)
		memset(job.address + p->size / 2, 0xff, p->size / 2);

	checking("%s.%s", p->name, place->name);
	on_all_cpus(add_rounds, NULL);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		sum += job.done[cpu];
		if (fault_raised(job.fault[cpu]))
			refused = job.fault[cpu];
	}
	memcpy(&counted, job.address, sizeof(counted));
	if (!may_refuse(p, place, refused))
		check_fault(refused, NO_FAULT, "%s.%s", p->name, place->name);
	else
		check_equal(counted, sum, "%s.%s", p->name, place->name);
	if (p->size > 4) {
		memcpy(&high, job.address + p->size / 2, sizeof(high));
		check_equal(high, (u32)~sum, "%s.%s.high-half", p->name, place->name);
	}
}

static bool several_cpus(void)
{
	if (cpu_count() < 2)
		subtest_skip("one CPU: nobody to contend with");
	return cpu_count() >= 2;
}

/* NULL, and the subtest is skipped, on a CPU without PAT. */
static u8 *map_pages(const struct memory_type *type)
{
	u8 *pages;

	if (!cpu_has(FEATURE_PAT)) {
		subtest_skip("the CPU has no PAT");
		return NULL;
	}
	pages = physical_map(virt_to_phys(pages_alloc(2, PAGE_SIZE)), 2 * PAGE_SIZE,
			     PAGE_DEFAULT | type->flags);
	on_all_cpus(program_pat, NULL);
	return pages;
}

static void probe_placements(u8 *pages, const struct primitive *p)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(placements); i++) {
		if (p->feature && !cpu_has(p->feature))
			check_skip("the CPU does not have it", "%s.%s", p->name,
				   placements[i].name);
		else
			probe(pages, p, &placements[i]);
	}
}

static void test_memory_type(const void *argument)
{
	u8 *pages;

	if (!several_cpus())
		return;
	pages = map_pages(argument);
	for (unsigned int i = 0; pages && i < primitive_count; i++)
		probe_placements(pages, &primitives[i]);
}

SUBTEST_ARG("primitives.wb", test_memory_type, &memory_types[0]);
SUBTEST_ARG("primitives.wt", test_memory_type, &memory_types[1]);
SUBTEST_ARG("primitives.uc-minus", test_memory_type, &memory_types[2]);
SUBTEST_ARG("primitives.uc", test_memory_type, &memory_types[3]);
SUBTEST_ARG("primitives.wc", test_memory_type, &memory_types[4]);
SUBTEST_ARG("primitives.wp", test_memory_type, &memory_types[5]);

#ifdef __x86_64__
static void test_cmpxchg16b(void)
{
	if (!several_cpus())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(memory_types); i++) {
		u8 *pages = map_pages(&memory_types[i]);

		if (!pages)
			return;
		prefix_push("%s", memory_types[i].name);
		probe_placements(pages, &primitive_cmpxchg16b);
		prefix_pop();
	}
}

SUBTEST("primitives.cmpxchg16b", test_cmpxchg16b);
#endif
