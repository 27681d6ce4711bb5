/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A point at which CPUs wait for each other, so that what follows happens on all of
 * them at the same time. Interrupts stay as they are: a CPU that waits can take IPIs.
 */
#ifndef LIB_X86_RENDEZVOUS_H
#define LIB_X86_RENDEZVOUS_H

#include "control.h"
#include "types.h"

/* Zeroed before its first use; may be used again and again by the same number of CPUs. */
struct rendezvous {
	u32 arrived, round;
};

/* Returns when count CPUs have come; the last one opens the way for all. */
static inline void rendezvous(struct rendezvous *point, u32 count)
{
	u32 round = READ_ONCE(point->round);

	if (__atomic_add_fetch(&point->arrived, 1, __ATOMIC_SEQ_CST) == count) {
		WRITE_ONCE(point->arrived, 0);
		__atomic_store_n(&point->round, round + 1, __ATOMIC_SEQ_CST);
		return;
	}
	while (READ_ONCE(point->round) == round)
		cpu_relax();
}

#endif
