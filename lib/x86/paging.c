// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "cpuid.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

#define INDEX_BITS  (sizeof(pte_t) == 8 ? 9 : 10)
#define ENTRIES	    (PAGE_SIZE / sizeof(pte_t))
#define GiB	    (1ull << 30)
#define DEVICES_START 0xc0000000ull

/* Entries above it have no PS bit. */
#define LARGEST_PAGE_LEVEL (PAGING_LEVELS == 4 ? LEVEL_1G : LEVEL_2M)

/* Linear address space for virtual_range(): no machine has RAM or a device there. */
#if PAGING_LEVELS == 4
#define RANGE_START 0x700000000000ul
#define RANGE_END   0x710000000000ul
#else
#define RANGE_START 0xd0000000ul
#define RANGE_END   0xf0000000ul
#endif

#if PAGING_LEVELS > 2
extern u32 paging_c_bit_high; /* start.S */

pte_t paging_c_bit(void)
{
	return (pte_t)paging_c_bit_high << 32;
}
#else
pte_t paging_c_bit(void)
{
	return 0;
}
#endif

static unsigned int level_shift(unsigned int level)
{
	return PAGE_SHIFT + INDEX_BITS * (level - 1);
}

ulong page_size_at(unsigned int level)
{
	return 1ul << level_shift(level);
}

bool page_level_supported(unsigned int level)
{
	if (level == LEVEL_1G)
		return PAGING_LEVELS == 4 && cpu_has(FEATURE_GBPAGES);
	return level == LEVEL_4K || level == LEVEL_2M;
}

static pte_t *entry_in(pte_t *table, ulong address, unsigned int level)
{
	return &table[address >> level_shift(level) & (ENTRIES - 1)];
}

/* Tables lie in identity-mapped memory. */
static pte_t *table_of(pte_t entry)
{
	return (pte_t *)(ulong)(entry & PTE_ADDRESS);
}

static pte_t *root(void)
{
#if PAGING_LEVELS == 3
	return (pte_t *)(read_cr3() & ~0x1ful);
#else
	return (pte_t *)(read_cr3() & ~(PAGE_SIZE - 1) & (ulong)PTE_ADDRESS);
#endif
}

unsigned int paging_levels(void)
{
#ifdef __x86_64__
	if (read_cr4() & CR4_LA57)
		return 5;
#endif
	return PAGING_LEVELS;
}

static bool is_leaf(pte_t entry, unsigned int level)
{
	return level == LEVEL_4K || (level <= LARGEST_PAGE_LEVEL && entry & PTE_LARGE);
}

pte_t *page_walk(ulong address, unsigned int *level)
{
	pte_t *table = root();

	for (*level = paging_levels();; --*level) {
		pte_t *entry = entry_in(table, address, *level);

		if (!(*entry & PTE_PRESENT))
			return NULL;
		if (is_leaf(*entry, *level))
			return entry;
		table = table_of(*entry);
	}
}

/* Replaces a page by a table of the next smaller pages, or an empty entry by an empty table. */
static void make_table(pte_t *entry, unsigned int level, pte_t *table)
{
	pte_t old = *entry;
	/* The entries of PAE's top level have no rights. */
	pte_t rights = PAGING_LEVELS == 3 && level == 3 ? 0 : PTE_WRITABLE | PTE_USER;

	if (old & PTE_PRESENT) {
		ulong size = page_size_at(level - 1);
		pte_t flags = level - 1 == LEVEL_4K ? old & ~PTE_LARGE : old;

		for (unsigned int i = 0; i < ENTRIES; i++)
			table[i] = flags + (pte_t)size * i;
	}
	WRITE_ONCE(*entry, (ulong)table | PTE_PRESENT | rights);
}

pte_t *page_entry(ulong address, unsigned int level)
{
	pte_t *table = root();

	for (unsigned int at = paging_levels();; at--) {
		pte_t *entry = entry_in(table, address, at);

		if (at == level)
			return entry;
		if (!(*entry & PTE_PRESENT) || is_leaf(*entry, at)) {
			make_table(entry, at, page_alloc());
			/* PAE keeps the top level in registers that only CR3 loads. */
			if (PAGING_LEVELS == 3 && at == 3)
				tlb_flush();
		}
		table = table_of(*entry);
	}
}

void pte_write(pte_t *entry, pte_t value)
{
#if PAGING_LEVELS == 3
	pte_t old = *entry;

	asm volatile("1: lock cmpxchg8b %[entry]\n\tjnz 1b"
		     : [entry] "+m"(*entry), "+A"(old)
		     : "b"((u32)value), "c"((u32)(value >> 32))
		     : "memory", "cc");
#else
	WRITE_ONCE(*entry, value);
#endif
}

/* The C-bit for RAM under SEV; devices have none. */
static pte_t c_bit_of(phys_addr physical)
{
	return physical >= DEVICES_START && physical < 4 * GiB ? 0 : paging_c_bit();
}

void page_map(ulong address, phys_addr physical, ulong size, unsigned int level, pte_t flags)
{
	ulong step = page_size_at(level);

	if (level > LEVEL_4K)
		flags |= PTE_LARGE;
	for (ulong done = 0; done < size; done += step) {
		pte_t *entry = page_entry(address + done, level);

		*entry = (pte_t)(physical + done) | flags | (flags ? c_bit_of(physical + done) : 0);
		tlb_flush_page((void *)(address + done));
	}
}

void page_unmap(ulong address, ulong size)
{
	page_map(address, 0, size, LEVEL_4K, 0);
}

void page_protect(ulong address, ulong size, pte_t set, pte_t clear)
{
	for (ulong done = 0; done < size; done += PAGE_SIZE) {
		pte_t *entry = page_entry(address + done, LEVEL_4K);

		*entry = (*entry & ~clear) | set;
		tlb_flush_page((void *)(address + done));
	}
}

phys_addr virt_to_phys(const void *address)
{
	unsigned int level;
	pte_t *entry = page_walk((ulong)address, &level);
	ulong mask;

	if (!entry)
		return ~0ull;
	mask = page_size_at(level) - 1;
	return (*entry & PTE_ADDRESS & ~paging_c_bit() & ~(pte_t)mask) | ((ulong)address & mask);
}

void *virtual_range(ulong size, ulong align)
{
	static ulong next = RANGE_START;
	ulong address = ALIGN_UP(next, MAX(align, PAGE_SIZE));

	size = ALIGN_UP(size, PAGE_SIZE);
	if (address + size > RANGE_END)
		asm volatile("ud2"); /* a test's mistake: a crash with a stack trace */
	next = address + size;
	/* The 32-bit modes have an identity mapping there. */
	if (PAGING_LEVELS < 4)
		page_unmap(address, size);
	return (void *)address;
}

void *physical_map(phys_addr physical, ulong size, pte_t flags)
{
	ulong offset = physical & (PAGE_SIZE - 1);
	void *range;

	size = ALIGN_UP(size + offset, PAGE_SIZE);
	range = virtual_range(size, PAGE_SIZE);
	page_map((ulong)range, physical - offset, size, LEVEL_4K, flags);
	return (u8 *)range + offset;
}

void tlb_flush_page(const volatile void *address)
{
	asm volatile("invlpg %0" : : "m"(*(const volatile u8 *)address) : "memory");
}

void tlb_flush(void)
{
	write_cr3(read_cr3());
}

void tlb_flush_global(void)
{
	ulong cr4 = read_cr4();

	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(cr4);
}

void page_guard(ulong address)
{
	page_protect(address, PAGE_SIZE, 0, PTE_PRESENT);
}

void paging_map_ram(phys_addr end)
{
#if PAGING_LEVELS == 4
	unsigned int level = page_level_supported(LEVEL_1G) ? LEVEL_1G : LEVEL_2M;

	for (phys_addr address = 4 * GiB; address < end; address += page_size_at(level))
		page_map(address, address, page_size_at(level), level, PAGE_DEFAULT);
#else
	(void)end;
#endif
}

/*
 * The guard page needs a table before there is an allocator: most tests never
 * ask for memory, and then the machine is never asked how much it has.
 */
void paging_init(void)
{
	extern u8 boot_stack_guard[];
	static pte_t table[ENTRIES] __aligned(4096) __section(".noinit");
	unsigned int level;
	pte_t *entry = page_walk((ulong)boot_stack_guard, &level);

	make_table(entry, level, table);
	*entry_in(table, (ulong)boot_stack_guard, LEVEL_4K) &= ~PTE_PRESENT;
	tlb_flush();
#if PAGING_LEVELS > 2
	if (cpu_has(FEATURE_NX))
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NX);
#endif
}
