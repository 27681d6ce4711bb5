// SPDX-License-Identifier: BSD-2-Clause
/*
 * lib/x86/descriptor.c: segment descriptors, bit by bit as SDM volume 3A, 3.4.5
 * "Segment Descriptors", figure "Segment Descriptor", lays them out. The values
 * are written out by hand.
 */
#include <stdio.h>

#include "guest.h"
#include "tap.h"

static const struct {
	const char *name;
	struct segment segment;
	u64 descriptor;
} cases[] = {
	{ "null", { 0 }, 0 },
	{ "flat 32-bit code", { 0, 0xffffffff, 0x9b, DESC_BIG }, 0x00cf9b000000ffff },
	{ "flat 32-bit data", { 0, 0xffffffff, 0x93, DESC_BIG }, 0x00cf93000000ffff },
	{ "64-bit code", { 0, 0xffffffff, 0x9b, DESC_LONG }, 0x00af9b000000ffff },
	{ "base in all its fields", { 0x12345678, 0xabcde, 0x93, 0 }, 0x120a93345678bcde },
	{ "largest byte limit", { 0, 0xfffff, 0x93, 0 }, 0x000f93000000ffff },
	{ "smallest page limit", { 0, 0x100fff, 0x93, 0 }, 0x0080930000000100 },
	{ "granularity asked for", { 0, 0xfff, 0x93, DESC_GRANULARITY }, 0x0080930000000000 },
	{ "limit 0", { 0xffffffff, 0, 0xf3, DESC_BIG | DESC_AVL }, 0xff50f3ffffff0000 },
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tap_number(guest_segment_descriptor(&cases[i].segment), cases[i].descriptor,
			   "segment_descriptor: %s", cases[i].name);
	return tap_done();
}
