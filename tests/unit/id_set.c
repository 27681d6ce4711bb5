// SPDX-License-Identifier: BSD-2-Clause
/* lib/id_set.c: an id is new exactly once, also after the set has grown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "tap.h"

#define IDS 100000

/* The guest's page allocator hands out zeroed pages; so does this one. */
void *guest_pages_alloc(unsigned long count, unsigned long align)
{
	void *pages = aligned_alloc(align, count * 4096);

	if (!pages)
		abort();
	return memset(pages, 0, count * 4096);
}

int main(void)
{
	unsigned int refused = 0, accepted = 0;
	char id[64];

	for (int i = 0; i < IDS; i++) {
		snprintf(id, sizeof(id), "ds.dword.limit-%d", i);
		refused += !guest_id_set_add(id);
		accepted += guest_id_set_add(id);
	}
	tap_number(refused, 0, "%d different ids are new", IDS);
	tap_number(accepted, 0, "the same id again is not");

	for (int i = 0; i < IDS; i++) {
		snprintf(id, sizeof(id), "ds.dword.limit-%d", i);
		accepted += guest_id_set_add(id);
	}
	tap_number(accepted, 0, "none is new after the set has grown");
	tap_ok(guest_id_set_add("") && !guest_id_set_add(""), "the empty id is an id");
	return tap_done();
}
