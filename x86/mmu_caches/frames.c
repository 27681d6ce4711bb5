// SPDX-License-Identifier: BSD-2-Clause
/* Physical pages whose content proves which page it is. */
#include "mmu_caches.h"
#include "page_alloc.h"

#define TAG_BASE 0xf4a30000u

#define MOV_IMM32_TO_EAX 0xb8
#define RET		 0xc3

static phys_addr low_start, high_start;
static u8 *high_alias;
static unsigned int high_count;

unsigned int high_frame_count(void)
{
	return high_count;
}

phys_addr frame_physical(unsigned int frame)
{
	if (frame < LOW_FRAMES)
		return low_start + (phys_addr)frame * PAGE_SIZE;
	return high_start + (phys_addr)(frame - LOW_FRAMES) * PAGE_SIZE;
}

unsigned int frame_at(phys_addr physical)
{
	if (physical >= low_start && physical < low_start + LOW_FRAMES * PAGE_SIZE)
		return (physical - low_start) / PAGE_SIZE;
	if (physical >= high_start && physical < high_start + high_count * PAGE_SIZE)
		return LOW_FRAMES + (physical - high_start) / PAGE_SIZE;
	return NO_FRAME;
}

u8 *frame_alias(unsigned int frame)
{
	if (frame < LOW_FRAMES)
		return (u8 *)(ulong)frame_physical(frame);
	return high_alias + (frame - LOW_FRAMES) * PAGE_SIZE;
}

unsigned int frame_pick(unsigned int n)
{
	if (high_count && n & 1)
		return LOW_FRAMES + n / 2 % high_count;
	/* From both blocks, and not one after the other. */
	return n * 37 % LOW_FRAMES;
}

u32 frame_tag(unsigned int frame)
{
	return TAG_BASE + frame;
}

unsigned int frame_of_tag(u32 tag)
{
	unsigned int frame = tag - TAG_BASE;

	return frame < LOW_FRAMES + high_count ? frame : NO_FRAME;
}

void frame_fill(unsigned int frame)
{
	u8 *page = frame_alias(frame);
	u32 tag = frame_tag(frame);

	*(u32 *)page = tag;
	*(u32 *)(page + FRAME_MIDDLE) = tag;
	*(u32 *)(page + FRAME_LAST) = tag;
	page[FRAME_CODE] = MOV_IMM32_TO_EAX;
	__builtin_memcpy(page + FRAME_CODE + 1, &tag, sizeof(tag));
	page[FRAME_CODE + 1 + sizeof(tag)] = RET;
}

/* i386 does not reach memory above 4 GiB with 4 KiB pages: see physical.c. */
static void find_high_frames(void)
{
	if (PAGING_LEVELS == 2)
		return;
	while (high_count < HIGH_FRAMES) {
		phys_addr physical = page_alloc_high();

		if (!physical)
			break;
		if (!high_count)
			high_start = physical;
		high_count++;
	}
	if (!high_count)
		return;
	if (PAGING_LEVELS == 4)
		high_alias = (u8 *)(ulong)high_start;
	else
		high_alias = physical_map(high_start, high_count * PAGE_SIZE, PAGE_DEFAULT);
}

void frames_init(void)
{
	if (low_start)
		return;
	low_start = (ulong)pages_alloc(LOW_FRAMES, page_size_at(LEVEL_2M));
	find_high_frames();
	for (unsigned int i = 0; i < LOW_FRAMES + high_count; i++)
		frame_fill(i);
}
