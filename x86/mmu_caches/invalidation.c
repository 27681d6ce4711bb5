// SPDX-License-Identifier: BSD-2-Clause
/*
 * When a change to a paging-structure entry takes effect, by the kind of change, the level
 * of the entry and the operation that invalidates. SDM volume 3A, "Invalidation of
 * TLBs and Paging-Structure Caches" and "Optional Invalidation".
 *
 * Before an invalidation the processor may use the old translation or the new one:
 * neither is required. There are changes after which it has to use the new one at once,
 * since it caches nothing of an entry that is not present or has reserved bits set;
 * and changes that give rights, after which an access may raise a spurious #PF,
 * which invalidates: at most once. Each access here comes right after the change, with a
 * translation that the CPU has used before in the very same way.
 */
#include "control.h"
#include "cpuid.h"
#include "flush.h"
#include "mmu_caches.h"
#include "report.h"

/* What an access may meet between the change and the invalidation. */
enum meanwhile {
	OLD_OR_NEW,
	NEW,	  /* no invalidation is necessary */
	SPURIOUS, /* the new translation, or one #PF by the old rights before it */
};

struct change {
	const char *name;
	pte_t old_set, old_clear, new_set,
	    new_clear; /* against PAGE_DEFAULT; PTE_BAD as in storms */
	bool remap;
	enum meanwhile meanwhile;
};

static const struct change changes[] = {
	{ "unmap", 0, 0, 0, PTE_PRESENT, false, OLD_OR_NEW },
	{ "remap", 0, 0, 0, 0, true, OLD_OR_NEW },
	{ "write-protect", 0, 0, 0, PTE_WRITABLE, false, OLD_OR_NEW },
	{ "remap-write-protect", 0, 0, 0, PTE_WRITABLE, true, OLD_OR_NEW },
	{ "supervisor", 0, 0, 0, PTE_USER, false, OLD_OR_NEW },
	{ "reserved", 0, 0, PTE_BAD, 0, false, OLD_OR_NEW },
	{ "map", 0, PTE_PRESENT, 0, 0, false, NEW },
	{ "map-other", 0, PTE_PRESENT, 0, 0, true, NEW },
	{ "reserved-clear", PTE_BAD, 0, 0, 0, false, NEW },
	{ "writable", 0, PTE_WRITABLE, 0, 0, false, SPURIOUS },
	{ "user", 0, PTE_USER, 0, 0, false, SPURIOUS },
#if PAGING_LEVELS > 2
	{ "nx", 0, 0, PTE_NX, 0, false, OLD_OR_NEW },
	{ "nx-clear", PTE_NX, 0, 0, 0, false, SPURIOUS },
#endif
};

/* The entry that is changed: a page's or, above it, a table's. */
struct place {
	unsigned int level;
	bool leaf;
	bool global; /* with CR4.PGE */
};

static struct {
	ulong page;
	pte_t *entry;
	pte_t to[2]; /* what the entry leads to: address bits, and PS */
	unsigned int frame[2];
} at;

static pte_t flags(const struct place *place, pte_t set, pte_t clear)
{
	pte_t value = (PAGE_DEFAULT | set) & ~clear;

	if (value & PTE_BAD)
		value ^=
		    PTE_BAD | reserved_bit(place->level, place->leaf && place->level > LEVEL_4K);
	if (place->leaf && place->level > LEVEL_4K)
		value |= PTE_LARGE;
	if (place->global && place->leaf)
		value |= PTE_GLOBAL;
	return value;
}

static void set_up(const struct place *place, unsigned int salt)
{
	unsigned int level = place->leaf ? place->level : LEVEL_4K;
	ulong slot = slot_address(salt, level, 3);

	at.frame[0] = BLOCK(0) + 3 + salt % 7;
	at.frame[1] = BLOCK(1) + 3 + salt % 7;
	at.page = map_frame(slot, at.frame[0], level, PAGE_DEFAULT);
	at.entry = page_entry(at.page, place->level);
	at.to[0] = *at.entry & PTE_ADDRESS;
	if (place->leaf)
		at.to[1] = frame_physical(at.frame[1]) & ~(pte_t)(page_size_at(level) - 1);
	else
		at.to[1] = (ulong)tables_new(place->level - 1, at.page, at.frame[1], NULL);
}

static struct outcome probe(enum access access)
{
	return access_page(at.page, access, at.frame[0], at.frame[1]);
}

static bool may_meet(const struct change *change, const struct outcome *got,
		     const struct outcome *old, const struct outcome *new)
{
	if (outcome_equal(got, new))
		return true;
	if (change->meanwhile == NEW)
		return false;
	/* A read loads twice, and the old translation may go in between. */
	if (got->content == TAG_TORN && old->frame != new->frame)
		return true;
	return outcome_equal(got, old);
}

/* The change without an invalidation, then with one. */
static void test_one(const struct place *place, const struct change *change, enum access access,
		     const struct flush_method *method, struct sightings *early,
		     struct sightings *late)
{
	struct outcome old, new, got;
	unsigned int before = at.frame[0];

	pte_write(at.entry, at.to[0] | flags(place, change->old_set, change->old_clear));
	tlb_flush_global();
	tlb_flush();
	old = outcome_by_walk(at.page, access);
	probe(access);
	probe(access);

	pte_write(at.entry,
		  at.to[change->remap] | flags(place, change->new_set, change->new_clear));
	new = outcome_by_walk(at.page, access);
	got = probe(access);
	/* If it is none of those that are allowed, it is compared with the new one. */
	sight(early, at.page, access, may_meet(change, &got, &old, &new) ? &got : &new, &got,
	      before);
	if (fault_raised(got.fault)) {
		/* A #PF has invalidated: the second is not spurious. */
		got = probe(access);
		sight(early, at.page, access, &new, &got, before);
	}
	if (place->global && !method->global)
		return;
	/* Cached once more by the old translation, where it still is. */
	method->flush(at.page);
	got = probe(access);
	sight(late, at.page, access, &new, &got, before);
}

static void test_change(const struct place *place, const struct change *change)
{
	struct sightings early = { 0 };

	prefix_push("%s", change->name);
	for (unsigned int m = 0; m < flush_method_count; m++) {
		const struct flush_method *method = &flush_methods[m];
		struct sightings late = { 0 };

		if (!method->supported())
			continue;
		checking("%s", method->name);
		for (enum access access = READ; access < access_kinds(); access++)
			test_one(place, change, access, method, &early, &late);
		if (late.accesses)
			check_sightings(&late, "%s", method->name);
	}
	check_sightings(&early, "before");
	prefix_pop();
}

static bool possible(const struct place *place, const struct change *change)
{
	if ((change->old_set | change->new_set) & PTE_NX_IF_ANY && !nx_supported())
		return false;
	if ((change->old_set | change->new_set) & PTE_BAD &&
	    !reserved_bit(place->level, place->leaf && place->level > LEVEL_4K))
		return false;
	/* Of 1 GiB pages there is one that has frames. */
	return !change->remap || !place->leaf || place->level != LEVEL_1G;
}

static void test_place(const void *argument)
{
	const struct place *place = argument;
	struct space space;
	ulong cr4 = read_cr4();

	if (place->leaf && !page_level_supported(place->level)) {
		subtest_skip("the CPU has no 1 GiB pages");
		return;
	}
	if (place->global && !cpu_has(FEATURE_PGE)) {
		subtest_skip("the CPU has no global pages");
		return;
	}
	frames_init();
	space = space_new();
	space_enter(&space);
	if (place->global)
		write_cr4(cr4 | CR4_PGE);
	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
		if (!possible(place, &changes[i]))
			continue;
		set_up(place, i);
		test_change(place, &changes[i]);
		/* What the entry led to first is freed with the space. */
		pte_write(at.entry, at.to[0] | flags(place, 0, 0));
		tlb_flush();
		if (!place->leaf)
			tables_free((pte_t *)(ulong)at.to[1], place->level - 1);
	}
	write_cr4(cr4);
	space_leave();
	space_free(&space);
}

#define PLACE(name, ...)                                                                           \
	SUBTEST_ARG("invalidate-" name, test_place, (&(const struct place){ __VA_ARGS__ }))

PLACE("4k", LEVEL_4K, true, false);
PLACE("2m", LEVEL_2M, true, false);
PLACE("global-4k", LEVEL_4K, true, true);
PLACE("global-2m", LEVEL_2M, true, true);
PLACE("table-2m", LEVEL_2M, false, false);
#ifdef __x86_64__
PLACE("1g", LEVEL_1G, true, false);
PLACE("table-1g", 3, false, false);
PLACE("table-512g", 4, false, false);
SUBTEST_LA57("invalidate-la57-4k", test_place, (&(const struct place){ LEVEL_4K, true, false }));
SUBTEST_LA57("invalidate-la57-table-256t", test_place, (&(const struct place){ 5, false, false }));
#endif
