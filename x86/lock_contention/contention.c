// SPDX-License-Identifier: BSD-2-Clause
/*
 * Contended locks, with more virtual CPUs than the host has cores.
 *
 * When KVM turned its kvm_lock from a spinlock into a mutex, two things had to
 * hold that a spinlock gives for free: that a waiter which sleeps is woken, and that
 * nobody takes the lock where sleeping is not allowed. The guest's own locks need the
 * same things of the hypervisor: an atomic access that is atomic although the
 * holder's virtual CPU was descheduled, a wake-up IPI that is not lost between
 * the last look and HLT, and progress for a waiter that only spins.
 *
 * Each lock guards a record of two words that always belong together. A torn record
 * is a lock that two CPUs held; a FIFO lock names who came before, and that must have
 * been the last holder. Time is bounded, not measured: speed is a diagnostic.
 */
#include "control.h"
#include "locks.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

TEST_SUMMARY("locks exclude, hand over in order, wake their sleepers and make progress");
TEST_MANUAL("SDM volume 3A, \"Locked Atomic Operations\"");
TEST_MANUAL("SDM volume 2B, PAUSE and HLT");
TEST_MANUAL("APM volume 2, 7.3 \"Memory Coherency and Protocol\"");
TEST_GUARDS(
    "Linux 5.1, \"kvm: Convert kvm_lock to a mutex\": a lock under which nobody may sleep became "
    "one whose waiters sleep and have to be woken");
TEST_NEEDS("2 CPUs or more");

/* Each CPU must get the lock so often within the bound. */
#define ENOUGH	 10
#define BOUND_US 20000000
#define LEAST_US 50000 /* contention lasts at least so long, or for so many acquisitions */
#define PLENTY	 20000
/* And until it was handed from one CPU to another so often, or that long at the most. */
#define HANDOVERS 2000
#define MOST_US	  500000
#define SAMPLES	  256 /* waits that are kept for the percentiles, per CPU */

static struct {
	const struct lock_kind *kind;
	struct lock lock;

	/* Guarded by the lock. */
	u64 first __aligned(64);
	u64 last_holder, judged, order_errors, torn, handovers;
	u32 expected_ticket;
	u64 second __aligned(64);

	/* The start signal, and who is not done yet. */
	u32 waiting __aligned(64);
	u32 enough, give_up;
	u64 deadline, earliest_end, latest_end;

	u32 acquisitions[MAX_CPUS];
	u64 waits[MAX_CPUS][SAMPLES];
} shared;

/* Called with the lock held. */
static void use_record(u32 order)
{
	u32 me = cpu_index();

	if (shared.first != ~shared.second)
		shared.torn++;
	shared.first++;
	if (shared.kind->fifo && order != ORDER_NONE) {
		bool right = shared.kind->lock == lock_kinds[1].lock
				 ? order == shared.expected_ticket
				 : order == shared.last_holder;

		shared.judged++;
		shared.order_errors += !right;
	}
	shared.expected_ticket++;
	shared.handovers += shared.last_holder != me;
	shared.last_holder = me;
	shared.second = ~shared.first;
}

/* All begin together: the first ones must not be through before the last one starts. */
static void wait_for_all(void)
{
	__atomic_fetch_sub(&shared.waiting, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(shared.waiting))
		cpu_relax();
}

static bool still_early(void)
{
	if (READ_ONCE(shared.handovers) < HANDOVERS && !tsc_passed(shared.latest_end))
		return true;
	return READ_ONCE(shared.first) < PLENTY && !tsc_passed(shared.earliest_end);
}

/* Without it the CPUs would come to the lock one by one, in the order in which it let them go. */
static void think(u32 *seed)
{
	*seed = *seed * 1103515245 + 12345;
	for (u32 i = *seed >> 16 & 63; i; i--)
		barrier();
}

static void contend(void *argument)
{
	u32 me = cpu_index(), count = 0, seed = me;

	irq_enable();
	wait_for_all();
	/* Those that have enough go on, so that contention stays until all have. */
	while ((READ_ONCE(shared.enough) < cpu_count() || still_early()) &&
	       !READ_ONCE(shared.give_up)) {
		u64 start = rdtsc();
		u32 order = shared.kind->lock(&shared.lock);

		shared.waits[me][count % SAMPLES] = rdtsc() - start;
		use_record(order);
		shared.kind->unlock(&shared.lock);
		think(&seed);
		if (++count == ENOUGH)
			__atomic_fetch_add(&shared.enough, 1, __ATOMIC_SEQ_CST);
		if (tsc_passed(shared.deadline))
			WRITE_ONCE(shared.give_up, 1);
	}
	shared.acquisitions[me] = count;
}

static void sort(u64 *values, unsigned int n)
{
	for (unsigned int gap = n / 2; gap; gap /= 2)
		for (unsigned int i = gap; i < n; i++)
			for (unsigned int j = i; j >= gap && values[j - gap] > values[j];
			     j -= gap) {
				u64 swap = values[j];

				values[j] = values[j - gap];
				values[j - gap] = swap;
			}
}

static u64 nanoseconds(u64 ticks)
{
	return ticks * 1000000 / tsc_khz();
}

static void report_speed(u64 elapsed, u64 total)
{
	static u64 waits[MAX_CPUS * SAMPLES];
	unsigned int n = 0;

	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		for (unsigned int i = 0; i < MIN(shared.acquisitions[cpu], (u32)SAMPLES); i++)
			waits[n++] = shared.waits[cpu][i];
	sort(waits, n);
	diagnostic(
	    "%s: %llu acquisitions, %llu a second, wait p50 %llu ns, p99 %llu ns, max %llu ns, "
	    "%llu handed to another CPU",
	    shared.kind->name, total, total * 1000000 / MAX(nanoseconds(elapsed) / 1000, 1ull),
	    nanoseconds(waits[n / 2]), nanoseconds(waits[n * 99 / 100]), nanoseconds(waits[n - 1]),
	    shared.handovers);
}

static void test_kind(const void *argument)
{
	const struct lock_kind *kind = argument;
	u64 start, elapsed, total = 0;

	if (cpu_count() < 2) {
		subtest_skip("one CPU: nobody to contend with");
		return;
	}
	locks_init();
	memset(&shared, 0, sizeof(shared));
	shared.kind = kind;
	shared.second = ~shared.first;
	shared.last_holder = MAX_CPUS;
	shared.waiting = cpu_count();
	checking("progress");
	start = rdtsc();
	shared.deadline = tsc_deadline_us(BOUND_US);
	shared.earliest_end = tsc_deadline_us(LEAST_US);
	shared.latest_end = tsc_deadline_us(MOST_US);
	on_all_cpus(contend, NULL);
	elapsed = rdtsc() - start;

	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		total += shared.acquisitions[cpu];
		/* What only test-and-set does not promise: a CPU may starve there. */
		if (kind->fifo || kind->lock == lock_kinds[3].lock)
			check(shared.acquisitions[cpu] >= ENOUGH, "progress.cpu-%u", cpu);
		else if (shared.acquisitions[cpu] < ENOUGH)
			diagnostic("cpu %u starved: %u acquisitions", cpu,
				   shared.acquisitions[cpu]);
	}
	check_equal(shared.torn, 0, "torn-records");
	check_equal(shared.first, total, "acquisitions-counted");
	check(total >= ENOUGH, "progress.any");
	if (kind->fifo) {
		/* A queue that was never more than one long says nothing about its order. */
		check(shared.judged > 0, "order-judged");
		check_equal(shared.order_errors, 0, "out-of-order");
	}
	report_speed(elapsed, total);
}

SUBTEST_ARG("test_and_set", test_kind, &lock_kinds[0]);
SUBTEST_ARG("ticket", test_kind, &lock_kinds[1]);
SUBTEST_ARG("mcs", test_kind, &lock_kinds[2]);
SUBTEST_ARG("mutex", test_kind, &lock_kinds[3]);
