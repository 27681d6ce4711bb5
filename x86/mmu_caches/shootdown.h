/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidation on other CPUs while they run code of the test, by IPI. SDM volume
 * 3A, "Propagation of Paging-Structure Changes to Multiple Processors".
 */
#ifndef X86_MMU_CACHES_SHOOTDOWN_H
#define X86_MMU_CACHES_SHOOTDOWN_H

#include "flush.h"
#include "types.h"

#define MAX_SHOOTDOWN_CPUS	8
#define MAX_SHOOTDOWN_ADDRESSES 4

/* Before the CPUs 0 to cpus - 1 take part; none of them is in a shootdown. */
void shootdown_init(unsigned int cpus);

/*
 * Invalidates on this CPU and on all others, which have interrupts on. This one's are on too:
 * others may want the same at the same time. meanwhile, if not NULL, is called until they have
 * answered. False if a CPU did not answer in time.
 */
bool shoot_down(const ulong *addresses, unsigned int count, const struct flush_method *method,
		void (*meanwhile)(void));

#endif
