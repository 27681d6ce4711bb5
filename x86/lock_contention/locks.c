// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "locks.h"
#include "smp.h"
#include "trap.h"

static u32 tas_lock(struct lock *lock)
{
	while (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE))
		while (READ_ONCE(lock->word))
			cpu_relax();
	return ORDER_NONE;
}

static void tas_unlock(struct lock *lock)
{
	__atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
}

/* Returns the ticket: holders must come in the order of their numbers. */
static u32 ticket_lock(struct lock *lock)
{
	u32 ticket = __atomic_fetch_add(&lock->next_ticket, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->now_serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
	return ticket;
}

static void ticket_unlock(struct lock *lock)
{
	__atomic_store_n(&lock->now_serving, lock->now_serving + 1, __ATOMIC_RELEASE);
}

/* Returns the CPU that stood before in the queue, which must have been the last holder. */
static u32 mcs_lock(struct lock *lock)
{
	struct mcs_node *node = &lock->nodes[cpu_index()], *before;

	node->next = NULL;
	node->locked = 1;
	node->cpu = cpu_index();
	before = __atomic_exchange_n(&lock->tail, node, __ATOMIC_ACQ_REL);
	if (!before)
		return ORDER_NONE;
	/* Read before the link is made: after it the other may take its node back. */
	u32 order = before->cpu;

	__atomic_store_n(&before->next, node, __ATOMIC_RELEASE);
	while (__atomic_load_n(&node->locked, __ATOMIC_ACQUIRE))
		cpu_relax();
	return order;
}

static void mcs_unlock(struct lock *lock)
{
	struct mcs_node *node = &lock->nodes[cpu_index()], *expected = node;

	if (!__atomic_load_n(&node->next, __ATOMIC_ACQUIRE)) {
		if (__atomic_compare_exchange_n(&lock->tail, &expected, (struct mcs_node *)NULL,
						false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
		while (!__atomic_load_n(&node->next, __ATOMIC_ACQUIRE))
			cpu_relax();
	}
	__atomic_store_n(&node->next->locked, 0, __ATOMIC_RELEASE);
}

/*
 * A mutex whose waiters halt until they are kicked. A holder with waiters gives the
 * lock to one of them and sends it an interrupt; so each of them gets it, and each
 * time only if the wake-up arrives. A waiter says that it sleeps, looks once more, and
 * halts with interrupts on in one step: a kick between the look and HLT must end the HLT.
 */
enum { AWAKE, SLEEPS, GRANTED };

static bool mutex_try(struct lock *lock)
{
	return !__atomic_exchange_n(&lock->word, 1, __ATOMIC_SEQ_CST);
}

static u32 mutex_lock(struct lock *lock)
{
	u8 *state = &lock->sleeps[cpu_index()];

	if (mutex_try(lock))
		return ORDER_NONE;
	__atomic_store_n(state, SLEEPS, __ATOMIC_SEQ_CST);
	for (;;) {
		irq_disable();
		if (__atomic_load_n(state, __ATOMIC_SEQ_CST) == GRANTED || mutex_try(lock))
			break;
		irq_enable_and_halt();
	}
	irq_enable();
	__atomic_store_n(state, AWAKE, __ATOMIC_SEQ_CST);
	return ORDER_NONE;
}

/* The caller holds the lock; it goes to the next sleeper in a circle, if there is one. */
static bool mutex_grant(struct lock *lock)
{
	for (unsigned int i = 1; i < cpu_count(); i++) {
		unsigned int cpu = (cpu_index() + i) % cpu_count();
		u8 expected = SLEEPS;

		if (__atomic_compare_exchange_n(&lock->sleeps[cpu], &expected, GRANTED, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			ipi_send(cpu, LOCK_KICK_VECTOR);
			return true;
		}
	}
	return false;
}

static bool mutex_has_sleepers(struct lock *lock)
{
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		if (__atomic_load_n(&lock->sleeps[cpu], __ATOMIC_SEQ_CST) == SLEEPS)
			return true;
	return false;
}

/* Whoever went to sleep after the look at the sleepers has to be seen after the lock is free. */
static void mutex_unlock(struct lock *lock)
{
	do {
		if (mutex_grant(lock))
			return;
		__atomic_store_n(&lock->word, 0, __ATOMIC_SEQ_CST);
	} while (mutex_has_sleepers(lock) && mutex_try(lock));
}

static bool on_kick(struct trap_frame *frame)
{
	apic_eoi();
	return true;
}

void locks_init(void)
{
	trap_set_handler(LOCK_KICK_VECTOR, on_kick);
}

const struct lock_kind lock_kinds[] = {
	{ "test-and-set", false, tas_lock, tas_unlock },
	{ "ticket", true, ticket_lock, ticket_unlock },
	{ "mcs", true, mcs_lock, mcs_unlock },
	{ "mutex", false, mutex_lock, mutex_unlock },
};

const unsigned int lock_kind_count = ARRAY_SIZE(lock_kinds);
