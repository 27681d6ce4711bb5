/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways in which software can write to a page table, as a table (writers.c). */
#ifndef X86_MMU_CACHES_WRITERS_H
#define X86_MMU_CACHES_WRITERS_H

#include "paging.h"

struct writer {
	const char *name;
	/* Makes two entries, of which the first lies at a multiple of 16 bytes, these values. */
	void (*write)(pte_t *entries, const pte_t *values);
	u64 needs; /* a CPUID feature, or 0 */
};

extern const struct writer writers[];

bool writer_supported(const struct writer *writer);

#endif
