/* SPDX-License-Identifier: BSD-2-Clause */
/* Which accesses a segment's limit allows. SDM volume 3A, "Limit Checking". */
#ifndef LIB_X86_LIMIT_RULE_H
#define LIB_X86_LIMIT_RULE_H

#include "descriptor.h"
#include "types.h"

/* What the manual says about an access. */
enum verdict {
	WITHIN, /* no fault */
	BEYOND, /* #SS(0) through SS, #GP(0) through the others */
	OPEN,	/* wraps around at an upper bound of 0xffffffff: may or may not fault */
};

#define MAX_OFFSET 0xffffffffull

enum verdict limit_rule(const struct segment *segment, u64 offset, unsigned int size);

/* The last valid offset: the limit, or for expand-down 0xffff or 0xffffffff. */
u64 upper_bound(const struct segment *segment);

/* The base that puts a linear address at offset; linear addresses wrap at 4 GiB. */
static inline u32 base_for(const void *linear, u32 offset)
{
	return (u32)(ulong)linear - offset;
}

#endif
