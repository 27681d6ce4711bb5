/* SPDX-License-Identifier: BSD-2-Clause */
/* The RAM there is, and pages of it. Not to be called on two CPUs at once. */
#ifndef LIB_X86_PAGE_ALLOC_H
#define LIB_X86_PAGE_ALLOC_H

#include "types.h"

struct ram_region {
	phys_addr start, end;
};

/* Regions of RAM in ascending order, as the machine tells; n is stored in *count. */
const struct ram_region *ram_regions(unsigned int *count);

/* Bytes of RAM in all regions. */
u64 ram_size(void);

/*
 * A page, filled with zeros, at the same linear and physical address. A guest
 * that asks for more than there is crashes with a message: no caller checks.
 */
void *page_alloc(void);

/* count contiguous pages, aligned to align bytes (a power of 2, at least a page). */
void *pages_alloc(unsigned long count, unsigned long align);

/* Gives back one page of either function. */
void page_free(void *page);

/*
 * A page above 4 GiB: its physical address, or 0 if there is none. Not zeroed. Under
 * x86_64 it is mapped there; pae needs physical_map(), i386 cannot reach it.
 */
phys_addr page_alloc_high(void);

/* Pages that page_alloc() could still give, for tests of the allocator. */
u64 pages_free_count(void);

#endif
