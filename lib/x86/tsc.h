/* SPDX-License-Identifier: BSD-2-Clause */
/* Time by the TSC, and delays. */
#ifndef LIB_X86_TSC_H
#define LIB_X86_TSC_H

#include "types.h"

static inline u64 rdtsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/*
 * TSC ticks per millisecond: told by the hypervisor, else measured against channel 2 of
 * the PIT, which takes 10 ms, once; without a PIT CPUID's, or a guess that is too high.
 */
u64 tsc_khz(void);

/* Busy-waits at least so long. */
void delay_us(u64 microseconds);

/* For bounded waits: TSC value that lies so far ahead; tsc_passed() says when it is reached. */
u64 tsc_deadline_us(u64 microseconds);
static inline bool tsc_passed(u64 deadline)
{
	return rdtsc() >= deadline;
}

/* Waits until the condition holds, at most so long; the condition's last value. */
#define WAIT_UNTIL(condition, microseconds)                                                        \
	({                                                                                         \
		u64 deadline_ = 0;                                                                 \
		bool held_;                                                                        \
		for (u32 spin_ = 0; !(held_ = (condition)); spin_++) {                             \
			/* Most waits are short: ask for the time only when they are not. */       \
			if (spin_ == 1000)                                                         \
				deadline_ = tsc_deadline_us(microseconds);                         \
			if (spin_ > 1000 && tsc_passed(deadline_)) {                               \
				held_ = (condition);                                               \
				break;                                                             \
			}                                                                          \
			asm volatile("pause" : : : "memory");                                      \
		}                                                                                  \
		held_;                                                                             \
	})

#endif
