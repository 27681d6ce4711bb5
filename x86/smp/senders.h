/* SPDX-License-Identifier: BSD-2-Clause */
/* Who acts on the others, in subtests that take it in turns. */
#ifndef X86_SMP_SENDERS_H
#define X86_SMP_SENDERS_H

#include "smp.h"

#define ALL_SEND_UP_TO 8

/* After CPU 0: all, or of many CPUs a few, since what each does takes longer as well. */
static inline unsigned int next_sender(unsigned int cpu)
{
	unsigned int count = cpu_count();

	if (count <= ALL_SEND_UP_TO || cpu == 0 || cpu == count - 1)
		return cpu + 1;
	return cpu < count / 2 ? count / 2 : count - 1;
}

#endif
