/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables of the mode: 4 levels (x86_64), 3 (pae), 2 (i386). SDM volume 3A,
 * chapter 4. All CPUs share one set. At start-up linear addresses are physical
 * addresses from 0 to 4 GiB (x86_64: to the end of RAM), present, writable and open to ring 3.
 */
#ifndef LIB_X86_PAGING_H
#define LIB_X86_PAGING_H

#include "types.h"

#if defined(__x86_64__)
#define PAGING_LEVELS 4
typedef u64 pte_t;
#elif defined(MODE_PAE)
#define PAGING_LEVELS 3
typedef u64 pte_t;
#else
#define PAGING_LEVELS 2
typedef u32 pte_t;
#endif

#define PAGE_SIZE	  4096ul
#define PAGE_SHIFT	  12

#define PTE_PRESENT	  ((pte_t)1 << 0)
#define PTE_WRITABLE	  ((pte_t)1 << 1)
#define PTE_USER	  ((pte_t)1 << 2)
#define PTE_PWT		  ((pte_t)1 << 3)
#define PTE_PCD		  ((pte_t)1 << 4)
#define PTE_ACCESSED	  ((pte_t)1 << 5)
#define PTE_DIRTY	  ((pte_t)1 << 6)
#define PTE_LARGE	  ((pte_t)1 << 7)
#define PTE_PAT_4K	  ((pte_t)1 << 7)
#define PTE_GLOBAL	  ((pte_t)1 << 8)
#if PAGING_LEVELS > 2
#define PTE_NX		  ((pte_t)1 << 63)
#define PTE_ADDRESS	  ((pte_t)0x000ffffffffff000)
#else
#define PTE_ADDRESS	  ((pte_t)0xfffff000)
#endif

/* What a normal page has. */
#define PAGE_DEFAULT	  (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

/* Levels of page_entry() and page_walk(): 1 is the 4 KiB page's entry. */
#define LEVEL_4K	  1
#define LEVEL_2M	  2 /* 4 MiB under i386 */
#define LEVEL_1G	  3

/* Error code of #PF. SDM volume 3A, 4.7. */
#define PF_PRESENT	  BIT(0)
#define PF_WRITE	  BIT(1)
#define PF_USER		  BIT(2)
#define PF_RESERVED	  BIT(3)
#define PF_FETCH	  BIT(4)

/* Levels of tables in use: PAGING_LEVELS, or 5 with CR4.LA57 (la57.h). */
unsigned int paging_levels(void);

/* Bytes that one entry at this level maps. */
ulong page_size_at(unsigned int level);

/* True if pages of this level can be used: 1G needs the CPU's feature, and 64-bit mode. */
bool page_level_supported(unsigned int level);

/*
 * The entry that maps address, and its level; NULL with the level at which
 * the walk ended if it is not present. Changing an entry leaves the TLB to the caller.
 */
pte_t *page_walk(ulong address, unsigned int *level);

/*
 * The entry for address at just this level: makes the tables above it, splits a
 * larger page (same translation and rights); a table that hangs below it is left alone.
 */
pte_t *page_entry(ulong address, unsigned int level);

/*
 * Writes an entry at once, also where it is wider than a register: for tables
 * that other CPUs walk meanwhile. What was there (as an accessed flag set just now) is lost.
 */
void pte_write(pte_t *entry, pte_t value);

/* Map size bytes (both addresses aligned to the level's page size) and flush them here. */
void page_map(ulong address, phys_addr physical, ulong size, unsigned int level, pte_t flags);
void page_unmap(ulong address, ulong size); /* 4 KiB pages */

/* Changes bits of the 4 KiB pages of a range; what the entries map stays. */
void page_protect(ulong address, ulong size, pte_t set, pte_t clear);

/*
 * The bit that makes a page private under SEV, 0 on all other machines. page_map() sets
 * it for RAM; without it (page_protect()) the page is shared with the hypervisor.
 */
pte_t paging_c_bit(void);

/* The physical address, or ~0 where nothing is mapped. */
phys_addr virt_to_phys(const void *address);

/*
 * Linear address space of size bytes that nothing uses, aligned to align
 * (a power of 2); its pages are not present. It is never given back.
 */
void *virtual_range(ulong size, ulong align);

/* A mapping of physical memory at a new address, with 4 KiB pages. */
void *physical_map(phys_addr physical, ulong size, pte_t flags);

void tlb_flush_page(const volatile void *address); /* INVLPG, this CPU */
void tlb_flush(void);				   /* all but global pages: CR3, this CPU */
void tlb_flush_global(void);			   /* all, by CR4.PGE */

/* Finishes what the start-up code began: NX on, the guard page below the boot stack. */
void paging_init(void);

/* Makes [address, address + PAGE_SIZE) a guard page: every access faults. */
void page_guard(ulong address);

/* Under x86_64: maps RAM above 4 GiB at its physical address, up to end. */
void paging_map_ram(phys_addr end);

#endif
