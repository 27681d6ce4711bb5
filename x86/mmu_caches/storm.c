// SPDX-License-Identifier: BSD-2-Clause
/*
 * All CPUs access pages while all CPUs change the translations of these pages:
 * unmap, remap, write-protect, NX, U/S, reserved bits, at the leaf and above it, and
 * shoot the old translation down with each operation that invalidates.
 *
 * SDM volume 3A, "Propagation of Paging-Structure Changes to Multiple Processors": until
 * a CPU has invalidated, it may use the old translation or the new one; afterwards
 * the new one only. So each page has a state word that says what it is mapped to, what it
 * was before, and whether a change is under way. An access between two reads of the word
 * knows which outcomes are allowed: an old one is never required.
 *
 * Where P or the reserved bits forbade the old translation nothing was cached ("no
 * TLB entry or paging-structure cache entry is created"), and the change is over with the
 * write to the table: "Optional Invalidation". The storms called lazy rely on it.
 */
#include "control.h"
#include "mmu_caches.h"
#include "rendezvous.h"
#include "report.h"
#include "shootdown.h"
#include "smp.h"
#include "tsc.h"

#define TARGETS_PER_CPU	 MAX_SHOOTDOWN_ADDRESSES
#define MAX_STORM_CPUS	 MAX_SHOOTDOWN_CPUS
#define MAX_TARGETS	 (TARGETS_PER_CPU * MAX_STORM_CPUS)
#define TURNS		 60 /* of each CPU */
#define CHANGES		 (TURNS * TARGETS_PER_CPU)
#define ACCESSES_BETWEEN 12
#define BUDGET_US	 150000

/* What a page can be mapped to: one of two frames, with rights. */
struct config {
	pte_t set, clear; /* against PAGE_DEFAULT; PTE_BAD stands for the level's reserved bit */
	bool second;	  /* the second frame */
};

struct storm {
	unsigned int level; /* of the entry that is changed */
	bool tables;	    /* it refers to tables, one of two ways to the page */
	bool lazy;	    /* no invalidation where none is needed */
	unsigned int configs;
	struct config config[4];
};

struct target {
	ulong page;
	pte_t *entry;
	pte_t value[2]; /* address bits of the two things it can lead to */
	pte_t *leaf[2]; /* for storms over tables: where these end */
	unsigned int frame[2];
	u32 state;
};

/* The state word. Each beginning and each end of a change counts the version up. */
#define STATE(version, changing, before, now)                                                      \
	((version) << 9 | (changing) << 8 | (before) << 4 | (now))
#define STATE_VERSION(state)  ((state) >> 9)
#define STATE_CHANGING(state) ((state) >> 8 & 1)
#define STATE_BEFORE(state)   ((state) >> 4 & 0xf)
#define STATE_NOW(state)      ((state)&0xf)

static const struct storm *storm;
static struct target targets[MAX_TARGETS];
static struct space space;
static struct sightings logs[MAX_CPUS];
static struct rendezvous start;
static unsigned int storm_cpus, poison_frame;
static u64 deadline;

static u32 lost_shootdowns[MAX_CPUS], changes[MAX_CPUS], unjudged[MAX_CPUS], unset_flags[MAX_CPUS];

static pte_t flags_of(const struct config *config)
{
	pte_t flags = (PAGE_DEFAULT | config->set) & ~config->clear;

	if (flags & PTE_BAD)
		flags ^=
		    PTE_BAD | reserved_bit(storm->level, storm->level > LEVEL_4K && !storm->tables);
	if (storm->level > LEVEL_4K && !storm->tables)
		flags |= PTE_LARGE;
	return flags;
}

static struct outcome outcome_of(const struct target *target, unsigned int config,
				 enum access access)
{
	const struct config *c = &storm->config[config];

	return outcome_by_rights((PAGE_DEFAULT | c->set) & ~c->clear, target->frame[c->second],
				 access);
}

/* Nothing can have been cached of it: not present, or reserved bits. */
static bool uncacheable(const struct config *config)
{
	return config->clear & PTE_PRESENT || config->set & PTE_BAD;
}

static void begin_change(struct target *target, unsigned int random)
{
	u32 state = target->state, old = STATE_NOW(state);
	u32 new = (old + 1 + random % (storm->configs - 1)) % storm->configs;
	const struct config *to = &storm->config[new];

	/* A table that was out of use led elsewhere meanwhile. */
	if (storm->tables)
		pte_write(target->leaf[to->second],
			  frame_physical(target->frame[to->second]) | PAGE_DEFAULT);
	__atomic_store_n(&target->state, STATE(STATE_VERSION(state) + 1, 1u, old, new),
			 __ATOMIC_SEQ_CST);
	pte_write(target->entry, target->value[to->second] | flags_of(to));
}

static void end_change(struct target *target)
{
	u32 state = target->state, old = STATE_BEFORE(state), new = STATE_NOW(state);
	const struct config *from = &storm->config[old], *to = &storm->config[new];

	__atomic_store_n(&target->state, STATE(STATE_VERSION(state) + 1, 0u, 0u, new),
			 __ATOMIC_SEQ_CST);
	if (storm->tables && from->second != to->second)
		pte_write(target->leaf[from->second], frame_physical(poison_frame) | PAGE_DEFAULT);
	changes[cpu_index()]++;
}

/*
 * The two configurations that an access between two readings of the state may have met;
 * false if there were more changes than that.
 */
static bool allowed(u32 first, u32 last, unsigned int *one, unsigned int *other)
{
	*one = STATE_CHANGING(first) ? STATE_BEFORE(first) : STATE_NOW(first);
	*other = STATE_NOW(last);
	return STATE_VERSION(last) - STATE_VERSION(first) <= 2u - STATE_CHANGING(first);
}

static void access_target(struct target *target, enum access access)
{
	unsigned int self = cpu_index(), one, other;
	u32 first = __atomic_load_n(&target->state, __ATOMIC_SEQ_CST), last;
	struct outcome got, expected, also;
	pte_t entry, flags = PTE_ACCESSED;

	/* A walk that began before the word was read is none of this access's. */
	asm volatile("lock addl $0, (%0)" : : "r"(&first) : "memory", "cc");
	got = access_page(target->page, access, target->frame[0], target->frame[1]);
	entry = *(volatile pte_t *)target->entry;
	last = __atomic_load_n(&target->state, __ATOMIC_SEQ_CST);
	if (!allowed(first, last, &one, &other)) {
		unjudged[self]++;
		return;
	}
	/* The access used an entry that nobody has written since: its flags are there by now. */
	if (access_is_write(access) && !storm->tables)
		flags |= PTE_DIRTY;
	if (first == last && !STATE_CHANGING(first) && !fault_raised(got.fault))
		unset_flags[self] += (entry & flags) != flags;
	expected = outcome_of(target, other, access);
	also = outcome_of(target, one, access);
	/* A read loads twice: once on either side of the change. */
	if (got.content == TAG_TORN && expected.frame != also.frame) {
		unjudged[self]++;
		return;
	}
	if (outcome_equal(&got, &also))
		expected = also;
	sight(&logs[self], target->page, access, &expected, &got,
	      target->frame[!storm->config[other].second]);
}

static u32 randoms[MAX_STORM_CPUS];

static void access_any(void)
{
	u32 *random = &randoms[cpu_index()];

	*random = mix(*random + 1);
	access_target(&targets[*random % (storm_cpus * TARGETS_PER_CPU)],
		      (*random >> 8) % ACCESSES);
}

/* All targets of this CPU, one after the other, and one shootdown for all that need one. */
static void change_own(void)
{
	unsigned int self = cpu_index(), count = 0;
	struct target *own = &targets[self * TARGETS_PER_CPU];
	const struct flush_method *method;
	ulong addresses[TARGETS_PER_CPU];

	do {
		randoms[self] = mix(randoms[self] + 1);
		method = &flush_methods[randoms[self] % flush_method_count];
	} while (!method->supported());
	for (unsigned int i = 0; i < TARGETS_PER_CPU; i++) {
		begin_change(&own[i], randoms[self] >> (8 + 4 * i));
		if (storm->lazy && uncacheable(&storm->config[STATE_BEFORE(own[i].state)]))
			end_change(&own[i]);
		else
			addresses[count++] = own[i].page;
	}
	if (count)
		lost_shootdowns[self] += !shoot_down(addresses, count, method, access_any);
	for (unsigned int i = 0; i < TARGETS_PER_CPU; i++)
		if (STATE_CHANGING(own[i].state))
			end_change(&own[i]);
}

static void weather(void *argument)
{
	unsigned int self = cpu_index();

	(void)argument;
	if (self >= storm_cpus)
		return;
	randoms[self] = self;
	space_enter(&space);
	rendezvous(&start, storm_cpus);
	irq_enable();
	for (unsigned int i = 0; i < TURNS && (!i || !tsc_passed(deadline)); i++) {
		for (unsigned int n = 0; n < ACCESSES_BETWEEN; n++)
			access_any();
		change_own();
	}
	/* Others may still want something of this CPU. */
	rendezvous(&start, storm_cpus);
	space_leave();
	if (!self)
		irq_disable();
}

static void set_up_target(struct target *target, unsigned int n)
{
	ulong slot = slot_address(n, storm->tables ? LEVEL_4K : storm->level, 1), offset = 0;

	for (unsigned int i = 0; i < 2; i++) {
		/* Of two large pages the frames differ by the block, of others by anything. */
		target->frame[i] = storm->level > LEVEL_4K && !storm->tables
				       ? BLOCK(i) + n * 3 + 1
				       : frame_pick(2 * n + i);
		target->value[i] =
		    frame_physical(target->frame[i]) & ~(pte_t)(page_size_at(storm->level) - 1);
		offset = frame_physical(target->frame[i]) & (page_size_at(storm->level) - 1);
		if (!storm->tables)
			continue;
		target->value[i] =
		    (ulong)tables_new(storm->level - 1, slot, target->frame[i], &target->leaf[i]);
		offset = 0;
		note_mapping(slot, target->frame[i]);
	}
	target->page = slot + offset;
	target->entry = page_entry(slot, storm->level);
	pte_write(target->entry,
		  target->value[storm->config[0].second] | flags_of(&storm->config[0]));
	target->state = STATE(0u, 0u, 0u, 0u);
}

static bool possible(void)
{
	if (cpu_count() == 1) {
		subtest_skip("needs more than one CPU");
		return false;
	}
	for (unsigned int i = 0; i < storm->configs; i++) {
		if (storm->config[i].set & PTE_NX_IF_ANY && !nx_supported()) {
			subtest_skip("the CPU has no NX");
			return false;
		}
		if (storm->config[i].set & PTE_BAD &&
		    !reserved_bit(storm->level, storm->level > LEVEL_4K && !storm->tables)) {
			subtest_skip("all bits of an address are implemented");
			return false;
		}
	}
	return true;
}

static void test_storm(const void *argument)
{
	storm = argument;
	if (!possible())
		return;
	frames_init();
	storm_cpus = MIN(cpu_count(), (unsigned int)MAX_STORM_CPUS);
	poison_frame = frame_pick(2 * MAX_TARGETS);
	space = space_new();
	space_enter(&space);
	for (unsigned int i = 0; i < storm_cpus * TARGETS_PER_CPU; i++)
		set_up_target(&targets[i], i);
	space_leave();
	for (unsigned int i = 0; i < storm_cpus; i++) {
		logs[i] = (struct sightings){ 0 };
		lost_shootdowns[i] = changes[i] = unjudged[i] = unset_flags[i] = 0;
	}
	shootdown_init(storm_cpus);
	deadline = tsc_deadline_us(BUDGET_US);
	on_all_cpus(weather, NULL);
	for (unsigned int i = 0; i < storm_cpus; i++) {
		check_sightings(&logs[i], "cpu-%u.accesses", i);
		check_equal(lost_shootdowns[i], 0, "cpu-%u.lost-shootdowns", i);
		check_equal(unset_flags[i], 0, "cpu-%u.unset-flags", i);
		check(changes[i] > 0, "cpu-%u.changes", i);
		if (changes[i] < CHANGES)
			diagnostic("cpu %u: %u of %u changes in the time there is", i, changes[i],
				   CHANGES);
		if (unjudged[i] > logs[i].accesses / 2)
			diagnostic("cpu %u: %u accesses met too many changes to judge", i,
				   unjudged[i]);
	}
	for (unsigned int i = 0; storm->tables && i < storm_cpus * TARGETS_PER_CPU; i++) {
		pte_write(targets[i].entry, targets[i].value[0] | PAGE_DEFAULT);
		tables_free((pte_t *)(ulong)targets[i].value[1], storm->level - 1);
	}
	space_free(&space);
}

#define STORM(name, ...)                                                                           \
	SUBTEST_ARG("storm-" name, test_storm, (&(const struct storm){ __VA_ARGS__ }))

#define UNMAP                                                                                      \
	{                                                                                          \
		0, PTE_PRESENT, false                                                              \
	}
#define FIRST                                                                                      \
	{                                                                                          \
		0, 0, false                                                                        \
	}
#define SECOND                                                                                     \
	{                                                                                          \
		0, 0, true                                                                         \
	}
#define RO                                                                                         \
	{                                                                                          \
		0, PTE_WRITABLE, false                                                             \
	}
#define NX                                                                                         \
	{                                                                                          \
		PTE_NX_IF_ANY, 0, true                                                             \
	}
#define KERNEL                                                                                     \
	{                                                                                          \
		0, PTE_USER, true                                                                  \
	}
#define BAD                                                                                        \
	{                                                                                          \
		PTE_BAD, 0, true                                                                   \
	}

STORM("remap", LEVEL_4K, false, false, 2, { FIRST, SECOND });
STORM("unmap", LEVEL_4K, false, false, 3, { FIRST, UNMAP, SECOND });
STORM("write-protect", LEVEL_4K, false, false, 2, { FIRST, RO });
#if PAGING_LEVELS > 2
STORM("nx", LEVEL_4K, false, false, 2, { FIRST, NX });
STORM("reserved", LEVEL_4K, false, false, 3, { FIRST, BAD, RO });
#endif
STORM("user", LEVEL_4K, false, false, 2, { FIRST, KERNEL });
STORM("lazy", LEVEL_4K, false, true, 3, { FIRST, UNMAP, SECOND });
STORM("large", LEVEL_2M, false, false, 4, { FIRST, UNMAP, SECOND, RO });
STORM("large-reserved", LEVEL_2M, false, true, 3, { FIRST, BAD, KERNEL });
STORM("table", LEVEL_2M, true, false, 4, { FIRST, SECOND, RO, KERNEL });
STORM("table-lazy", LEVEL_2M, true, true, 4, { FIRST, UNMAP, SECOND, KERNEL });
#ifdef __x86_64__
STORM("table-1g", 3, true, false, 4, { FIRST, SECOND, RO, BAD });
STORM("table-512g", 4, true, true, 4, { FIRST, UNMAP, SECOND, NX });

#define STORM_LA57(name, ...)                                                                      \
	SUBTEST_LA57("storm-la57-" name, test_storm, (&(const struct storm){ __VA_ARGS__ }))

STORM_LA57("unmap", LEVEL_4K, false, false, 3, { FIRST, UNMAP, SECOND });
STORM_LA57("rights", LEVEL_4K, false, false, 4, { FIRST, RO, NX, KERNEL });
STORM_LA57("reserved", LEVEL_4K, false, true, 3, { FIRST, BAD, SECOND });
STORM_LA57("large", LEVEL_2M, false, false, 4, { FIRST, UNMAP, SECOND, RO });
STORM_LA57("table-512g", 4, true, false, 4, { FIRST, SECOND, RO, KERNEL });
STORM_LA57("table-256t", 5, true, false, 4, { FIRST, SECOND, RO, NX });
STORM_LA57("table-256t-lazy", 5, true, true, 4, { FIRST, UNMAP, SECOND, BAD });
#endif
