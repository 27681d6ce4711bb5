// SPDX-License-Identifier: BSD-2-Clause
#include "limit_rule.h"

static bool expands_down(const struct segment *segment)
{
	return (segment->access & (DESC_CODE | DESC_DATA_DOWN)) == DESC_DATA_DOWN;
}

u64 upper_bound(const struct segment *segment)
{
	if (expands_down(segment))
		return segment->flags & DESC_BIG ? MAX_OFFSET : 0xffff;
	return segment->limit;
}

/*
 * SDM volume 3A, "Limit Checking", in 64 bits so that nothing wraps. Where the upper
 * bound is 0xffffffff, an access that begins inside and wraps around is left open.
 */
enum verdict limit_rule(const struct segment *segment, u64 offset, unsigned int size)
{
	u64 last = offset + size - 1, bound = upper_bound(segment);

	if (expands_down(segment) && offset <= segment->limit)
		return BEYOND;
	if (last <= bound)
		return WITHIN;
	return bound == MAX_OFFSET ? OPEN : BEYOND;
}
