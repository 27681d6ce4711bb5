// SPDX-License-Identifier: BSD-2-Clause
#include "extable.h"

extern struct extable_entry extable_start[], extable_end[];

/* The linker leaves the table almost sorted; insertion sort is linear then. */
static void sort(void)
{
	for (struct extable_entry *next = extable_start + 1; next < extable_end; next++) {
		struct extable_entry entry = *next, *hole = next;

		for (; hole > extable_start && hole[-1].start > entry.start; hole--)
			*hole = hole[-1];
		*hole = entry;
	}
}

/* The last entry that starts at or before ip. */
static const struct extable_entry *search(ulong ip)
{
	size_t low = 0, high = extable_end - extable_start;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (extable_start[middle].start <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &extable_start[low - 1] : NULL;
}

ulong extable_fixup(ulong ip, bool is_trap)
{
	static bool sorted;
	const struct extable_entry *entry;

	if (!sorted) {
		sort();
		sorted = true;
	}
	entry = search(is_trap ? ip - 1 : ip);
	if (!entry || ip > entry->end || (ip == entry->end && !is_trap))
		return 0;
	return entry->end;
}
