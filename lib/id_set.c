// SPDX-License-Identifier: BSD-2-Clause
#include "id_set.h"
#include "x86/page_alloc.h"
#include "x86/paging.h"

/*
 * Open addressing; 0 marks a free slot. The ids themselves are not kept: with 64 bits
 * of FNV-1a, two of a hundred thousand ids collide with a probability of 3e-10.
 */
#define FIRST_CAPACITY 256

static u64 first[FIRST_CAPACITY];
static u64 *slots = first;
static u32 capacity = FIRST_CAPACITY, used;

static u64 hash(const char *id)
{
	u64 h = 0xcbf29ce484222325ull;

	for (; *id; id++)
		h = (h ^ (u8)*id) * 0x100000001b3ull;
	return h ? h : 1;
}

static bool add(u64 h)
{
	u32 at = (u32)(h ^ h >> 32) & (capacity - 1);

	for (; slots[at]; at = (at + 1) & (capacity - 1))
		if (slots[at] == h)
			return false;
	slots[at] = h;
	return true;
}

/* The old pages stay allocated: all of them together are smaller than the new ones. */
static void grow(void)
{
	u64 *old = slots;
	u32 old_capacity = capacity;

	capacity *= 4;
	slots = pages_alloc(ALIGN_UP(capacity * sizeof(u64), PAGE_SIZE) / PAGE_SIZE, PAGE_SIZE);
	for (u32 i = 0; i < old_capacity; i++)
		if (old[i])
			add(old[i]);
}

bool id_set_add(const char *id)
{
	if (!add(hash(id)))
		return false;
	if (++used > capacity / 2)
		grow();
	return true;
}
