// SPDX-License-Identifier: BSD-2-Clause
#include "crash.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

#define GiB (1ull << 30)

/* A free page holds the address of the next one. */
struct free_page {
	struct free_page *next;
};

static struct free_page *free_list;
static u64 free_list_length;
static phys_addr low_next, low_end;   /* never used yet, below 4 GiB */
static phys_addr high_next, high_end; /* the same above */

static void init(void)
{
	extern u8 image_end[];
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count);
	phys_addr image = ALIGN_UP((phys_addr)(ulong)image_end, PAGE_SIZE);

	for (unsigned int i = 0; i < count; i++) {
		const struct ram_region *region = &regions[i];

		if (region->start <= image && region->end > image) {
			low_next = image;
			low_end = MIN(region->end, 4 * GiB);
		}
		if (region->start >= 4 * GiB && !high_end) {
			high_next = ALIGN_UP(region->start, PAGE_SIZE);
			high_end = region->end;
		}
	}
	if (!low_end)
		crash("no RAM at the program's end, %p", (void *)image_end);
	if (high_end)
		paging_map_ram(high_end);
}

void *pages_alloc(unsigned long count, unsigned long align)
{
	phys_addr start;

	if (!low_end)
		init();
	start = ALIGN_UP(low_next, (phys_addr)align);
	if (start + count * PAGE_SIZE > low_end)
		crash("out of memory: %lu pages wanted, RAM ends at %#llx", count,
		      (unsigned long long)low_end);
	low_next = start + count * PAGE_SIZE;
	return memset((void *)(ulong)start, 0, count * PAGE_SIZE);
}

void *page_alloc(void)
{
	struct free_page *page = free_list;

	if (!page)
		return pages_alloc(1, PAGE_SIZE);
	free_list = page->next;
	free_list_length--;
	return memset(page, 0, PAGE_SIZE);
}

void page_free(void *address)
{
	struct free_page *page = address;

	page->next = free_list;
	free_list = page;
	free_list_length++;
}

phys_addr page_alloc_high(void)
{
	if (!low_end)
		init();
	if (high_next + PAGE_SIZE > high_end)
		return 0;
	high_next += PAGE_SIZE;
	return high_next - PAGE_SIZE;
}

u64 pages_free_count(void)
{
	if (!low_end)
		init();
	return (low_end - low_next) / PAGE_SIZE + free_list_length;
}
