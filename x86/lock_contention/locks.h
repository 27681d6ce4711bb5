/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four locks, from the one that promises least to the one that sleeps. Each
 * tells what a test of its promise needs to know.
 */
#ifndef LOCK_CONTENTION_LOCKS_H
#define LOCK_CONTENTION_LOCKS_H

#include "cpu.h"
#include "types.h"

/* The vector by which a sleeping waiter is kicked. */
#define LOCK_KICK_VECTOR 0xe0

struct mcs_node {
	struct mcs_node *next;
	u32 locked, cpu;
};

/* One of every kind; a test uses the part of the kind under test. */
struct lock {
	u32 word; /* test and set: 0 free; mutex: 0 free, 1 held */
	u32 next_ticket __aligned(64);
	u32 now_serving __aligned(64);
	struct mcs_node *tail __aligned(64);
	u8 sleeps[MAX_CPUS] __aligned(64); /* mutex: what each CPU does */
	struct mcs_node nodes[MAX_CPUS];
};

/*
 * What lock() promised about the order: for FIFO locks the holder that must have
 * been there before, as a ticket number or a CPU; ORDER_NONE where nothing is promised.
 */
#define ORDER_NONE ~0u

struct lock_kind {
	const char *name;
	bool fifo;
	u32 (*lock)(struct lock *lock);
	void (*unlock)(struct lock *lock);
};

extern const struct lock_kind lock_kinds[];
extern const unsigned int lock_kind_count;

/* Needed once before mutexes are used. */
void locks_init(void);

#endif
