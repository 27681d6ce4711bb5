/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that locks are made of, as a table (primitives.c). */
#ifndef LOCK_CONTENTION_PRIMITIVES_H
#define LOCK_CONTENTION_PRIMITIVES_H

#include "fault.h"
#include "types.h"

/*
 * Adds 1 to the counter of this width at address, in its own way; what it cannot
 * do (a fault) it returns. The wide ones count in their low half and keep the
 * high half the complement, so that a torn exchange is seen too.
 */
struct primitive {
	const char *name;
	unsigned int size;
	struct fault (*add)(volatile void *address);
	u64 feature; /* 0: every CPU has it */
	bool aligned_only;
};

extern const struct primitive primitives[];
extern const unsigned int primitive_count;

/* By itself, under x86_64: an emulator that lacks it ends the guest. */
extern const struct primitive primitive_cmpxchg16b;

/*
 * Before CPUs use them: those that wait for a lock of their own (BTS, XCHG) give up at this
 * TSC value, since an update that was lost can leave such a lock taken for ever.
 */
void primitives_start(u64 until);

#endif
