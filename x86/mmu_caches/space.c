// SPDX-License-Identifier: BSD-2-Clause
/* Page tables of the test's own, and pages in them that are far from each other. */
#include "control.h"
#include "cpuid.h"
#include "la57.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "report.h"

/*
 * The test region: entries of the top-level table. What is not in it is the program's
 * (with the identity mapping and what virtual_range() gave), the same in all spaces.
 */
static bool in_region(unsigned int index)
{
	switch (paging_levels()) {
	case 5:
		return index != 0; /* below entry 0 hang the 4-level tables */
	case 4:
		return (index >= 1 && index <= 200) || index >= ENTRIES / 2;
	case 3:
		return index == 1 || index == 2;
	default:
		return index >= ENTRIES / 4 && index < ENTRIES / 4 * 3;
	}
}

static unsigned int top_entries(void)
{
	return paging_levels() == 3 ? 4 : ENTRIES;
}

static ulong home; /* CR3 outside of spaces, of all CPUs */

struct space space_new(void)
{
	pte_t *root = page_alloc(), *old;

	home = read_cr3();
	old = (pte_t *)home;

	for (unsigned int i = 0; i < top_entries(); i++)
		if (!in_region(i))
			root[i] = old[i];
		else if (paging_levels() == 3)
			root[i] =
			    (ulong)page_alloc() | PTE_PRESENT; /* CPUs read it at MOV CR3 only */
	return (struct space){ (ulong)root };
}

void space_enter(const struct space *space)
{
	write_cr3(space->cr3);
}

void space_leave(void)
{
	write_cr3(home);
}

/*
 * The first entry of a table, from index on, that is not zero; ENTRIES if all are. One
 * instruction: where each is emulated, a loop over a table would be what costs most.
 */
static unsigned int next_used(const pte_t *table, unsigned int index)
{
	const u32 *at = (const u32 *)(table + index);
	ulong left = (ENTRIES - index) * (sizeof(pte_t) / sizeof(u32));
	bool zero = true;

	if (left)
		asm volatile("repe scasl"
			     : "+D"(at), "+c"(left), "=@ccz"(zero)
			     : "a"(0)
			     : "memory");
	return zero ? ENTRIES : ((ulong)(at - 1) - (ulong)table) / sizeof(pte_t);
}

void tables_free(pte_t *table, unsigned int level)
{
	for (unsigned int i = 0; level > LEVEL_4K && (i = next_used(table, i)) < ENTRIES; i++)
		if (table[i] & PTE_PRESENT && !(table[i] & PTE_LARGE))
			tables_free((pte_t *)(ulong)(table[i] & PTE_ADDRESS), level - 1);
	page_free(table);
}

pte_t *tables_new(unsigned int level, ulong page, unsigned int frame, pte_t **leaf)
{
	pte_t *table = page_alloc(), *entry = &table[page / page_size_at(level) & (ENTRIES - 1)];

	if (level > LEVEL_4K)
		*entry = (ulong)tables_new(level - 1, page, frame, leaf) | PAGE_DEFAULT;
	else
		*entry = frame_physical(frame) | PAGE_DEFAULT;
	if (level == LEVEL_4K && leaf)
		*leaf = entry;
	return table;
}

void space_free(const struct space *space)
{
	pte_t *root = (pte_t *)space->cr3;
	unsigned int level = paging_levels();

	for (unsigned int i = 0; (i = next_used(root, i)) < top_entries(); i++)
		if (in_region(i) && root[i] & PTE_PRESENT && !(root[i] & PTE_LARGE))
			tables_free((pte_t *)(ulong)(root[i] & PTE_ADDRESS), level - 1);
	page_free(root);
}

/* An index at a level below the top: any of the table's entries. */
static ulong index_at(unsigned int level, u32 random)
{
	return (ulong)(random & (ENTRIES - 1)) * page_size_at(level);
}

ulong slot_address(unsigned int n, unsigned int level, unsigned int salt)
{
	unsigned int top = paging_levels();
	u32 random = mix(n * 1009 + salt * 7919 + 1);
	ulong address = 0;

	switch (top) {
#ifdef __x86_64__
	case 5:
		address = (n < 200 ? n + 1 : n - 200 + ENTRIES / 2) * page_size_at(5);
		break;
	case 4:
		address = (n < 200 ? n + 1 : n - 200 + ENTRIES / 2) * page_size_at(4);
		break;
#endif
	case 3:
		/* 2 directories of 512 entries, used from both at once. */
		address = (1 + (n & 1)) * page_size_at(3) + n / 2 * page_size_at(2);
		break;
	default:
		address = (ENTRIES / 4 + n) * page_size_at(2);
	}
	for (unsigned int below = (top > 3 ? top - 1 : 1); below >= level; below--)
		address += index_at(below, random >> 3 * below);
#ifdef __x86_64__
	/* Canonical: the bits above the highest index repeat it. */
	if (address >> (top == 5 ? 56 : 47) & 1)
		address |= ~0ul << (top == 5 ? 57 : 48);
#endif
	return address;
}

ulong map_frame(ulong slot, unsigned int frame, unsigned int level, pte_t flags)
{
	phys_addr physical = frame_physical(frame);
	ulong size = page_size_at(level), offset = physical & (size - 1);

	page_map(slot, physical - offset, size, level, flags);
	note_mapping(slot + offset, frame);
	return slot + offset;
}

bool nx_supported(void)
{
	return PAGING_LEVELS > 2 && cpu_has(FEATURE_NX);
}

void test_with_la57(const void *argument)
{
	const struct la57_subtest *subtest = argument;

	if (!la57_supported()) {
		subtest_skip("the CPU has no 5-level paging");
		return;
	}
	la57_switch(true);
	subtest->run(subtest->argument);
	la57_switch(false);
}
