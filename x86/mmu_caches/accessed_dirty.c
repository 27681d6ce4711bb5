// SPDX-License-Identifier: BSD-2-Clause
/*
 * Accessed and dirty flags, exactly where SDM volume 3A, "Accessed and Dirty Flags", says:
 * the accessed flag in every entry that a translation uses, set by the access at the
 * latest; the dirty flag in the entry that maps the page, by a write and by nothing
 * else; no other bit of any entry changes. PAE's top level has no accessed flags.
 *
 * A hypervisor that shadows the tables sets them by software, and has to take notice when the guest
 * clears them: a page that is left writable in the shadow is written without a trace.
 * The processor may set an accessed flag early, so none is expected to be clear; and it may
 * leave a flag clear that software has cleared without an invalidation.
 *
 * The flags are set by locked cycles ("Automatic Locking"): what another CPU changes in
 * the same entry is not lost.
 */
#include "control.h"
#include "cpuid.h"
#include "extable.h"
#include "flush.h"
#include "mmu_caches.h"
#include "rendezvous.h"
#include "report.h"
#include "smp.h"
#include "tsc.h"

/* Bits that are software's: they stay. Bit 11 is not used, see PTE_BAD. */
#define SOFTWARE_BITS ((pte_t)3 << 9)

static bool has_flags(unsigned int level)
{
	return !(PAGING_LEVELS == 3 && level == 3);
}

/* Every entry on the way to page, as it should be: read now, with flags as given. */
static void set_all_entries(ulong page, unsigned int leaf, pte_t clear)
{
	for (unsigned int level = leaf; level <= paging_levels(); level++) {
		pte_t *entry = page_entry(page, level);

		if (has_flags(level))
			pte_write(entry, (*entry | SOFTWARE_BITS) & ~clear);
	}
}

/* dirty: what the leaf's dirty flag has to be; accessed: whether the others have to be set. */
static void check_entries(ulong page, unsigned int leaf, const pte_t *before, bool dirty)
{
	for (unsigned int level = leaf; level <= paging_levels(); level++) {
		pte_t expected = before[level];

		if (has_flags(level))
			expected |= PTE_ACCESSED;
		if (level == leaf && dirty)
			expected |= PTE_DIRTY;
		check_equal(*page_entry(page, level), expected, "level-%u", level);
	}
}

static void remember_entries(ulong page, unsigned int leaf, pte_t *entries)
{
	for (unsigned int level = leaf; level <= paging_levels(); level++)
		entries[level] = *page_entry(page, level);
}

static unsigned int next_slot;

static ulong new_page(unsigned int level, unsigned int frame, pte_t flags)
{
	return map_frame(slot_address(next_slot++, level, 4), frame, level, flags);
}

/* A first access to a page, with all flags clear. */
static void test_first(unsigned int level, enum access access)
{
	ulong page = new_page(level, 5, PAGE_DEFAULT);
	pte_t before[6];

	prefix_push("first-%s", access_names[access]);
	set_all_entries(page, level, PTE_ACCESSED | PTE_DIRTY);
	tlb_flush();
	remember_entries(page, level, before);
	if (check_page(page, access, NO_FRAME, "access"))
		check_entries(page, level, before, access_is_write(access));
	prefix_pop();
}

/* A translation that was cached clean is used for a write: the flag has to get there. */
static void test_write_after_read(unsigned int level)
{
	ulong page = new_page(level, 6, PAGE_DEFAULT);
	pte_t before[6];

	prefix_push("write-after-read");
	tlb_flush();
	for (unsigned int i = 0; i < 3; i++)
		access_page(page, i & 1 ? USER_READ : READ, 6, NO_FRAME);
	check(!(*page_entry(page, level) & PTE_DIRTY), "clean");
	remember_entries(page, level, before);
	check_page(page, WRITE, NO_FRAME, "write");
	check_entries(page, level, before, true);
	prefix_pop();
}

/* Cleared by software, with each invalidation, and set again. */
static void test_cleared(unsigned int level, const struct flush_method *method)
{
	ulong page = new_page(level, 7, PAGE_DEFAULT);
	pte_t before[6];

	prefix_push("cleared-%s", method->name);
	check_page(page, WRITE, NO_FRAME, "write");
	set_all_entries(page, level, PTE_ACCESSED | PTE_DIRTY);
	method->flush(page);
	remember_entries(page, level, before);
	prefix_push("read");
	check_page(page, READ, NO_FRAME, "access");
	check_entries(page, level, before, false);
	prefix_pop();
	prefix_push("write");
	check_page(page, WRITE, NO_FRAME, "access");
	check_entries(page, level, before, true);
	prefix_pop();
	prefix_pop();
}

/* An access that is refused: the entry that maps the page is not dirty, and whole. */
static void test_refused(unsigned int level)
{
	ulong page = new_page(level, 8, PAGE_DEFAULT & ~PTE_WRITABLE);
	pte_t *entry = page_entry(page, level), was = *entry;

	prefix_push("refused");
	check_page(page, WRITE, NO_FRAME, "read-only");
	check_page(page, USER_WRITE, NO_FRAME, "read-only-user");
	check_equal(*entry & ~PTE_ACCESSED, was, "read-only-entry");
	check_page(page, READ, NO_FRAME, "read");
	check_equal(*entry, was | PTE_ACCESSED, "read-entry");
	/* What is not present is not used, and all its bits are software's. */
	was = (was & ~PTE_PRESENT) | PTE_WRITABLE | SOFTWARE_BITS;
	pte_write(entry, was);
	tlb_flush();
	check_page(page, READ, NO_FRAME, "not-present");
	check_page(page, USER_WRITE, NO_FRAME, "not-present-write");
	check_equal(*entry, was, "not-present-entry");
	prefix_pop();
}

/* With CR0.WP clear ring 0 writes to read-only pages, and the page is dirty then. */
static void test_write_protect_off(unsigned int level)
{
	ulong page = new_page(level, 9, PAGE_DEFAULT & ~PTE_WRITABLE), cr0 = read_cr0();
	pte_t before[6];

	prefix_push("wp-off");
	remember_entries(page, level, before);
	write_cr0(cr0 & ~CR0_WP);
	check_page(page, WRITE, NO_FRAME, "write");
	write_cr0(cr0);
	check(*page_entry(page, level) & PTE_DIRTY, "dirty");
	check_page(page, WRITE, NO_FRAME, "write-wp-on");
	check_page(page, USER_WRITE, NO_FRAME, "user-write");
	prefix_pop();
}

/* CMPXCHG writes to its destination in any case (SDM volume 2A): what was there, if not equal. */
static void test_compare_that_fails(unsigned int level)
{
	ulong page = new_page(level, 10, PAGE_DEFAULT);
	pte_t *entry = page_entry(page, level);
	u32 old = 1;

	prefix_push("cmpxchg-not-equal");
	pte_write(entry, *entry & ~(PTE_ACCESSED | PTE_DIRTY));
	tlb_flush();
	asm volatile("lock cmpxchgl %[new], (%[page])"
		     : "+a"(old)
		     : [new] "r"(2), [page] "r"(page)
		     : "memory", "cc");
	check_equal(old, frame_tag(10), "value");
	check(*entry & PTE_DIRTY, "dirty");
	prefix_pop();
}

static void test_level(const void *argument)
{
	unsigned int level = (ulong)argument;
	struct space space;

	if (!page_level_supported(level)) {
		subtest_skip("the CPU has no 1 GiB pages");
		return;
	}
	frames_init();
	next_slot = 0;
	space = space_new();
	space_enter(&space);
	for (enum access access = READ; access < access_kinds(); access++)
		test_first(level, access);
	test_write_after_read(level);
	for (unsigned int i = 0; i < flush_method_count; i++)
		if (flush_methods[i].supported())
			test_cleared(level, &flush_methods[i]);
	test_refused(level);
	test_write_protect_off(level);
	test_compare_that_fails(level);
	space_leave();
	space_free(&space);
}

SUBTEST_ARG("flags-4k", test_level, (void *)LEVEL_4K);
SUBTEST_ARG("flags-2m", test_level, (void *)LEVEL_2M);
#ifdef __x86_64__
SUBTEST_ARG("flags-1g", test_level, (void *)LEVEL_1G);
SUBTEST_LA57("flags-la57-4k", test_level, (void *)LEVEL_4K);
SUBTEST_LA57("flags-la57-2m", test_level, (void *)LEVEL_2M);
#endif

/* One write across two pages: both are dirty; to one byte before, only the first. */
static void test_two_pages(void)
{
	struct space space;
	ulong first;

	frames_init();
	space = space_new();
	space_enter(&space);
	first = slot_address(0, LEVEL_2M, 5) + 7 * PAGE_SIZE;
	map_frame(first, 11, LEVEL_4K, PAGE_DEFAULT);
	map_frame(first + PAGE_SIZE, 30, LEVEL_4K, PAGE_DEFAULT);
	*(volatile u32 *)(first + PAGE_SIZE - 8) = 1;
	check(*page_entry(first, LEVEL_4K) & PTE_DIRTY, "before.first");
	check(!(*page_entry(first + PAGE_SIZE, LEVEL_4K) & PTE_DIRTY), "before.second");
	*(volatile u32 *)(first + PAGE_SIZE - 2) = 0x44332211;
	check(*page_entry(first, LEVEL_4K) & PTE_DIRTY, "across.first");
	check(*page_entry(first + PAGE_SIZE, LEVEL_4K) & PTE_DIRTY, "across.second");
	check_equal(*(u16 *)(frame_alias(11) + PAGE_SIZE - 2), 0x2211, "across.low-half");
	check_equal(*(u16 *)frame_alias(30), 0x4433, "across.high-half");
	space_leave();
	space_free(&space);
	frame_fill(11);
	frame_fill(30);
}

SUBTEST("flags-two-pages", test_two_pages);

/*
 * Each other CPU toggles a software bit of the entry with a locked instruction, which tells
 * what the bit was: it is as this CPU left it, or somebody wrote the entry back whole.
 */
#define TOGGLERS   3
#define MAX_CLEARS 20000
#define BUDGET_US  150000
#define BITS	   "\x09\x0a\x0b"

static struct {
	struct space space;
	ulong page;
	pte_t *entry;
	struct rendezvous start;
	u32 lost[TOGGLERS + 1], toggles[TOGGLERS + 1], unset;
	bool running;
	struct sightings log;
} locked;

static void toggle(unsigned int cpu)
{
	unsigned long bit = BITS[cpu - 1];
	bool was, expected = false;

	for (; READ_ONCE(locked.running) || expected; expected = !expected) {
		asm volatile("lock btcl %k[bit], %[entry]"
			     : "=@ccc"(was), [entry] "+m"(*(u32 *)locked.entry)
			     : [bit] "r"(bit)
			     : "memory");
		locked.lost[cpu] += was != expected;
		expected = was; /* one that is lost is counted once */
		locked.toggles[cpu]++;
	}
}

/* Clears the flags with a locked instruction, and has the processor set them. */
static void access_meanwhile(void)
{
	u64 deadline = tsc_deadline_us(BUDGET_US);

	for (unsigned int i = 0; i < MAX_CLEARS && (i < 20 || !tsc_passed(deadline)); i++) {
		enum access access = i & 1 ? WRITE : READ;

		__atomic_and_fetch((u32 *)locked.entry, ~(u32)(PTE_ACCESSED | PTE_DIRTY),
				   __ATOMIC_SEQ_CST);
		tlb_flush_page((void *)locked.page);
		sight_page(&locked.log, locked.page, access, NO_FRAME);
		if (!(*locked.entry & PTE_ACCESSED) || !(*locked.entry & PTE_DIRTY) != !(i & 1))
			locked.unset++;
	}
	WRITE_ONCE(locked.running, false);
}

static void run_locked(void *argument)
{
	unsigned int cpu = cpu_index();

	(void)argument;
	if (cpu > TOGGLERS)
		return;
	space_enter(&locked.space);
	rendezvous(&locked.start, MIN(cpu_count(), TOGGLERS + 1u));
	if (cpu)
		toggle(cpu);
	else
		access_meanwhile();
	space_leave();
}

static void test_locked(void)
{
	if (cpu_count() == 1) {
		subtest_skip("needs more than one CPU");
		return;
	}
	frames_init();
	__builtin_memset(&locked, 0, sizeof(locked));
	locked.space = space_new();
	space_enter(&locked.space);
	locked.page = map_frame(slot_address(0, LEVEL_4K, 6), 12, LEVEL_4K, PAGE_DEFAULT);
	locked.entry = page_entry(locked.page, LEVEL_4K);
	space_leave();
	locked.running = true;
	on_all_cpus(run_locked, NULL);
	check_sightings(&locked.log, "accesses");
	check_equal(locked.unset, 0, "flags");
	for (unsigned int i = 1; i < MIN(cpu_count(), TOGGLERS + 1u); i++) {
		check_equal(locked.lost[i], 0, "cpu-%u.lost-changes", i);
		check(locked.toggles[i] > 0, "cpu-%u.toggles", i);
	}
	space_free(&locked.space);
}

SUBTEST("flags-locked", test_locked);
