// SPDX-License-Identifier: BSD-2-Clause
/*
 * The page allocator, the page tables and the TLB: what tests of memory build on. SDM
 * volume 3A, "Paging", and there "Invalidation of TLBs and Paging-Structure Caches".
 */
#include "access.h"
#include "control.h"
#include "cpuid.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "string.h"
#include "trap.h"

#define GiB	      (1ull << 30)
#define PAGES	      32
#define WORDS	      (PAGE_SIZE / sizeof(ulong))

static bool is_zero(const void *memory, size_t size)
{
	const ulong *word = memory;

	for (size_t i = 0; i < size / sizeof(ulong); i++)
		if (word[i])
			return false;
	return true;
}

static void test_ram(void)
{
	unsigned int count;
	const struct ram_region *region = ram_regions(&count);
	phys_addr end = 0;
	u64 size = 0;

	check(count > 0, "regions");
	for (unsigned int i = 0; i < count; i++, region++) {
		check(region->start >= end && region->end > region->start, "region-%u", i);
		end = region->end;
		size += region->end - region->start;
	}
	check_equal(ram_size(), size, "size");
	check(pages_free_count() > 256 && pages_free_count() < size / PAGE_SIZE, "free");
}

SUBTEST("ram", test_ram);

static void test_alloc(void)
{
	u64 free = pages_free_count();
	ulong *pages[PAGES], *block, misaligned = 0, dirty = 0, overlapping = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		pages[i] = page_alloc();
		misaligned += (ulong)pages[i] % PAGE_SIZE != 0;
		dirty += !is_zero(pages[i], PAGE_SIZE);
		for (unsigned int n = 0; n < WORDS; n++)
			pages[i][n] = (ulong)&pages[i][n];
	}
	for (unsigned int i = 0; i < PAGES; i++)
		for (unsigned int n = 0; n < WORDS; n++)
			overlapping += pages[i][n] != (ulong)&pages[i][n];
	check_equal(misaligned, 0, "aligned");
	check_equal(dirty, 0, "zeroed");
	check_equal(overlapping, 0, "distinct");
	check_equal(free - pages_free_count(), PAGES, "count");

	page_free(pages[3]);
	check_equal(free - pages_free_count(), PAGES - 1, "free.count");
	block = page_alloc();
	check_equal((ulong)block, (ulong)pages[3], "free.reused");
	check(is_zero(block, PAGE_SIZE), "free.zeroed");
	for (unsigned int i = 0; i < PAGES; i++)
		page_free(pages[i]);
	check_equal(pages_free_count(), free, "free.all");

	block = pages_alloc(5, 0x10000);
	check_equal((ulong)block % 0x10000, 0, "contiguous.aligned");
	check(is_zero(block, 5 * PAGE_SIZE), "contiguous.zeroed");
	check(virt_to_phys(block) == (ulong)block, "identity");
}

SUBTEST("alloc", test_alloc);

/* Stanza selftest-6g has such RAM; elsewhere the allocator must not claim that there is. */
static void test_high(void)
{
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count);
	bool high = regions[count - 1].end > 4 * GiB;
	phys_addr page = page_alloc_high();
	volatile u64 *mapped;

	diagnostic("RAM up to %#llx", (u64)regions[count - 1].end);
	check_equal(page >= 4 * GiB, high, "there");
	if (!page)
		return;
	check(page < regions[count - 1].end && page % PAGE_SIZE == 0, "in-ram");
	check(page_alloc_high() != page, "distinct");
#if PAGING_LEVELS > 2
	mapped = PAGING_LEVELS > 3 ? (u64 *)(ulong)page :
				     physical_map(page, PAGE_SIZE, PAGE_DEFAULT);
	*mapped = 0x0123456789abcdef;
	check_equal(*mapped, 0x0123456789abcdef, "written");
	check_equal(virt_to_phys((void *)mapped), page, "physical");
	mapped = physical_map(page + 4, 4, PAGE_DEFAULT);
	check_equal(*(volatile u32 *)mapped, 0x01234567, "alias");
#else
	(void)mapped;
	diagnostic("two-level paging without PSE-36 does not reach %#llx", (u64)page);
#endif
}

SUBTEST("high-memory", test_high);

/* The level at which address is mapped; 0 if it is not. */
static unsigned int mapped_at(ulong address)
{
	unsigned int level;

	return page_walk(address, &level) ? level : 0;
}

static void test_map(void)
{
	ulong *page = page_alloc(), range = (ulong)virtual_range(2 * PAGE_SIZE, PAGE_SIZE),
	      value = 0;

	check_fault(try_read_word(range, &value), FAULT_PF(0), "range.not-present");
	check_equal(mapped_at(range), 0, "range.walk");
	check(virt_to_phys((void *)range) == ~0ull, "range.virt-to-phys");

	*page = 1234;
	page_map(range, (ulong)page, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	check_fault(try_read_word(range, &value), NO_FAULT, "map");
	check_equal(value, 1234, "map.alias");
	check_equal(mapped_at(range), LEVEL_4K, "map.walk");
	check_equal(virt_to_phys((void *)(range + 8)), (ulong)page + 8, "map.virt-to-phys");
	check_fault(try_read_word(range + PAGE_SIZE, &value), FAULT_PF(0), "map.next-page");

	page_protect(range, PAGE_SIZE, 0, PTE_WRITABLE);
	check_fault(try_write_word(range, 1), FAULT_PF(PF_PRESENT | PF_WRITE), "protect");
	check_equal(last_cr2(), range, "protect.cr2");
	check_equal(*page, 1234, "protect.unchanged");
	page_protect(range, PAGE_SIZE, PTE_WRITABLE, 0);
	check_fault(try_write_word(range, 5678), NO_FAULT, "protect.undone");
	check_equal(*page, 5678, "protect.written");

	page_unmap(range, PAGE_SIZE);
	check_fault(try_read_word(range, &value), FAULT_PF(0), "unmap");
	page_guard((ulong)page);
	check_fault(try_read_word((ulong)page, &value), FAULT_PF(0), "guard");
	page_protect((ulong)page, PAGE_SIZE, PTE_PRESENT, 0);
	page_free(page);
}

SUBTEST("map", test_map);

/*
 * A page of each larger size shows the memory behind it; split, it still
 * does, and one small page can be taken out without the others.
 */
static void test_large(unsigned int level, ulong range)
{
	static const ulong marker = 0x13579bdf;
	ulong size = page_size_at(level), small = page_size_at(level - 1), value = 0;
	/* The marker's own address is in the identity-mapped first pages. */
	ulong at = range + ((ulong)&marker & (size - 1));

	page_map(range, ALIGN_DOWN((ulong)&marker, size), size, level, PAGE_DEFAULT);
	check_equal(mapped_at(at), level, "walk");
	check_fault(try_read_word(at, &value), NO_FAULT, "load");
	check_equal(value, marker, "value");
	check_equal(virt_to_phys((void *)at), (ulong)&marker, "virt-to-phys");

	page_entry(at, level - 1);
	tlb_flush();
	check_equal(mapped_at(at), level - 1, "split.walk");
	value = 0;
	check_fault(try_read_word(at, &value), NO_FAULT, "split.load");
	check_equal(value, marker, "split.value");
	check_equal(virt_to_phys((void *)(range + size - 1)),
		    ALIGN_DOWN((ulong)&marker, size) + size - 1, "split.last-byte");

	*page_entry(at, level - 1) = 0;
	tlb_flush_page((void *)at);
	check_fault(try_read_word(at, &value), FAULT_PF(0), "hole");
	check_equal(mapped_at(ALIGN_DOWN(at, small) + small), level - 1, "hole.neighbour");
	page_unmap(range, PAGE_SIZE);
}

static void test_sizes(void)
{
	check(page_level_supported(LEVEL_4K) && page_level_supported(LEVEL_2M), "supported");
	check_equal(page_size_at(LEVEL_2M), PAGING_LEVELS == 2 ? 4 << 20 : 2 << 20, "size");
	prefix_push("2m");
	test_large(LEVEL_2M, (ulong)virtual_range(page_size_at(LEVEL_2M), page_size_at(LEVEL_2M)));
	prefix_pop();
#if PAGING_LEVELS == 4
	if (!page_level_supported(LEVEL_1G))
		return check_skip("the CPU has no 1 GiB pages", "1g");
	prefix_push("1g");
	test_large(LEVEL_1G, (ulong)virtual_range(GiB, GiB));
	prefix_pop();
#endif
}

SUBTEST("page-sizes", test_sizes);

static void flush_cr3(const volatile void *address)
{
	(void)address;
	tlb_flush();
}

static void flush_global(const volatile void *address)
{
	(void)address;
	tlb_flush_global();
}

/* What each way of flushing has to forget. */
static const struct flush {
	const char *name;
	void (*flush)(const volatile void *address);
	pte_t flags;
} flushes[] = {
	{ "invlpg", tlb_flush_page, 0 },
	{ "cr3", flush_cr3, 0 },
	{ "invlpg-global", tlb_flush_page, PTE_GLOBAL },
	{ "cr4-pge-global", flush_global, PTE_GLOBAL },
};

/* An entry is changed behind the TLB's back; until the flush the old one may be used. */
static void test_flush(const struct flush *flush)
{
	volatile ulong *range = virtual_range(PAGE_SIZE, PAGE_SIZE);
	ulong *before = page_alloc(), *after = page_alloc(), value;

	*before = 1;
	*after = 2;
	page_map((ulong)range, (ulong)before, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT | flush->flags);
	check_equal(*range, 1, "%s.before", flush->name);
	*page_entry((ulong)range, LEVEL_4K) = (ulong)after | PAGE_DEFAULT | flush->flags;
	value = *range;
	diagnostic("%s: without a flush the %s page is seen", flush->name,
		   value == 1 ? "old" : "new");
	flush->flush(range);
	check_equal(*range, 2, "%s.after", flush->name);

	*page_entry((ulong)range, LEVEL_4K) = 0;
	flush->flush(range);
	check_fault(try_read_word((ulong)range, &value), FAULT_PF(0), "%s.not-present",
		    flush->name);
	page_free(before);
	page_free(after);
}

static void test_tlb(void)
{
	ulong cr4 = read_cr4();

	if (cpu_has(FEATURE_PGE))
		write_cr4(cr4 | CR4_PGE);
	for (unsigned int i = 0; i < ARRAY_SIZE(flushes); i++)
		test_flush(&flushes[i]);
	write_cr4(cr4);
}

SUBTEST("tlb", test_tlb);
