// SPDX-License-Identifier: BSD-2-Clause
/*
 * The order in which CPUs see each other's loads and stores: the examples of
 * "Memory Ordering in P6 and More Recent Processor Families", SDM volume 3A. All
 * locations are 0 at first; an outcome that the manual forbids must never be seen. A
 * translator that turns x86's stores and loads into those of a weaker machine
 * without fences, or an emulator that does a store late, shows it.
 *
 * What is only allowed is counted and reported: store buffering (a load that is
 * reordered with an earlier store) tells that the CPUs really ran at the same time.
 *
 * Each example runs on many slots, one after the other, each on a cache line of
 * its own. The CPUs wait for each other before a slot, but not for long, so
 * that more CPUs than the host has do not cost time.
 */
#include "cpu.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define SLOTS	  8192
#define TIME_US	  20000 /* of each example; an emulator does fewer slots */
#define SPINS	  200
#define THREADS	  4

struct slot {
	u32 x, y;
	u32 r[6]; /* what the loads returned, in the order of the example's registers */
	u32 padding[8];
} __aligned(64);

/*
 * Instructions with a memory operand, one each: the compiler can neither reorder
 * nor change them.
 */
static inline void store(u32 *location, u32 value)
{
	asm volatile("movl %1, %0" : "=m"(*location) : "r"(value) : "memory");
}

static inline u32 load(u32 *location)
{
	u32 value;

	asm volatile("movl %1, %0" : "=r"(value) : "m"(*location) : "memory");
	return value;
}

static inline u32 exchange(u32 *location, u32 value)
{
	asm volatile("xchgl %0, %1" : "+r"(value), "+m"(*location) : : "memory");
	return value;
}

static inline void mfence(void)
{
	asm volatile("mfence" : : : "memory");
}

/* Names of registers as the manual has them would clash: results are s->r[0], s->r[1]... */
#define THREAD(name, ...)                                                                          \
	static void name(struct slot *s)                                                           \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define OUTCOME(name, condition)                                                                   \
	static bool name(const struct slot *s)                                                     \
	{                                                                                          \
		const u32 *r = s->r;                                                               \
                                                                                                   \
		return condition;                                                                  \
	}

THREAD(store_x, store(&s->x, 1);)
THREAD(store_y, store(&s->y, 1);)
THREAD(exchange_x, exchange(&s->x, 1);)
THREAD(exchange_y, exchange(&s->y, 1);)
THREAD(store_x_store_y, store(&s->x, 1); store(&s->y, 1);)
THREAD(exchange_x_store_y, exchange(&s->x, 1); store(&s->y, 1);)
THREAD(load_y_load_x, s->r[0] = load(&s->y); s->r[1] = load(&s->x);)
THREAD(load_x_store_y, s->r[0] = load(&s->x); store(&s->y, 1);)
THREAD(load_y_store_x, s->r[1] = load(&s->y); store(&s->x, 1);)
THREAD(store_x_load_y, store(&s->x, 1); s->r[0] = load(&s->y);)
THREAD(store_y_load_x, store(&s->y, 1); s->r[1] = load(&s->x);)
THREAD(store_x_fence_load_y, store(&s->x, 1); mfence(); s->r[0] = load(&s->y);)
THREAD(store_y_fence_load_x, store(&s->y, 1); mfence(); s->r[1] = load(&s->x);)
THREAD(exchange_x_load_y, exchange(&s->x, 1); s->r[0] = load(&s->y);)
THREAD(exchange_y_load_x, exchange(&s->y, 1); s->r[1] = load(&s->x);)
THREAD(forward_x, store(&s->x, 1); s->r[0] = load(&s->x); s->r[1] = load(&s->y);)
THREAD(forward_y, store(&s->y, 1); s->r[2] = load(&s->y); s->r[3] = load(&s->x);)
THREAD(last_load_y_load_x, s->r[1] = load(&s->y); s->r[2] = load(&s->x);)
THREAD(first_load_x_load_y, s->r[0] = load(&s->x); s->r[1] = load(&s->y);)
THREAD(second_load_y_load_x, s->r[2] = load(&s->y); s->r[3] = load(&s->x);)

OUTCOME(message_lost, r[0] == 1 && r[1] == 0)
OUTCOME(both_loads_late, r[0] == 1 && r[1] == 1)
OUTCOME(both_loads_early, r[0] == 0 && r[1] == 0)
OUTCOME(own_store_unseen, r[0] == 0 || r[2] == 0)
OUTCOME(forwarded, r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0)
OUTCOME(not_transitive, r[0] == 1 && r[1] == 1 && r[2] == 0)
OUTCOME(orders_differ, r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0)

static const struct example {
	const char *name;
	void (*thread[THREADS])(struct slot *slot);
	bool (*forbidden)(const struct slot *slot);
	bool (*allowed)(const struct slot *slot); /* counted */
} *running;

static const struct example pairs[] = {
	/* "Neither Loads Nor Stores Are Reordered with Like Operations" */
	{ "message-passing", { store_x_store_y, load_y_load_x }, message_lost, NULL },
	/* "Stores Are Not Reordered With Earlier Loads" */
	{ "load-buffering", { load_x_store_y, load_y_store_x }, both_loads_late, NULL },
	/* "Loads May Be Reordered with Earlier Stores to Different Locations" */
	{ "store-buffering", { store_x_load_y, store_y_load_x }, NULL, both_loads_early },
	/* The same with MFENCE between: "Strengthening or Weakening the Memory-Ordering Model" */
	{ "store-buffering-mfence", { store_x_fence_load_y, store_y_fence_load_x },
	  both_loads_early, NULL },
	/* "Intra-Processor Forwarding Is Allowed"; but a CPU sees its own stores. */
	{ "forwarding", { forward_x, forward_y }, own_store_unseen, forwarded },
	/* "Loads Are Not Reordered with Locks" */
	{ "locked-then-load", { exchange_x_load_y, exchange_y_load_x }, both_loads_early, NULL },
	/* "Stores Are Not Reordered with Locks" */
	{ "locked-then-store", { exchange_x_store_y, load_y_load_x }, message_lost, NULL },
};

static const struct example groups[] = {
	/* "Stores Are Transitively Visible" */
	{ "transitive", { store_x, load_x_store_y, last_load_y_load_x }, not_transitive, NULL },
	/* "Stores Are Seen in a Consistent Order by Other Processors" */
	{ "consistent-order", { store_x, store_y, first_load_x_load_y, second_load_y_load_x },
	  orders_differ, NULL },
	/* "Locked Instructions Have a Total Order" */
	{ "locked-order", { exchange_x, exchange_y, first_load_x_load_y, second_load_y_load_x },
	  orders_differ, NULL },
};

static struct slot *slots;
static u32 done[MAX_CPUS]; /* slots that each CPU has finished */
static unsigned int threads;

/* All threads are at this slot, or it took too long. */
static void wait_for_others(u32 slot)
{
	for (unsigned int i = 0, spin = 0; i < threads && spin < SPINS; spin++)
		if (READ_ONCE(done[i]) >= slot)
			i++;
}

static void run_thread(void *argument)
{
	unsigned int self = cpu_index();
	u64 deadline;

	(void)argument;
	if (self >= threads)
		return;
	smp_meet();
	deadline = tsc_deadline_us(TIME_US);
	for (u32 slot = 0; slot < SLOTS && !tsc_passed(deadline); slot++) {
		wait_for_others(slot);
		/* Each distance between the threads comes up. */
		for (u32 wait = slot >> 3 * self & 7; wait; wait--)
			barrier();
		running->thread[self](&slots[slot]);
		WRITE_ONCE(done[self], slot + 1);
	}
}

static unsigned int count(bool (*outcome)(const struct slot *), u32 complete)
{
	unsigned int seen = 0;

	for (u32 slot = 0; slot < complete; slot++)
		seen += outcome(&slots[slot]);
	return seen;
}

static void run_example(const struct example *example)
{
	u32 complete = SLOTS, used = 0;

	for (threads = 0; threads < THREADS && example->thread[threads];)
		threads++;
	checking("%s", example->name);
	memset(done, 0, sizeof(done));
	running = example;
	on_all_cpus(run_thread, NULL);
	for (unsigned int i = 0; i < threads; i++) {
		complete = MIN(complete, done[i]);
		used = MAX(used, done[i]);
	}
	if (example->forbidden)
		check_equal(count(example->forbidden, complete), 0, "%s", example->name);
	if (example->allowed)
		diagnostic("%s: %u of %u times, which is allowed", example->name,
			   count(example->allowed, complete), complete);
	check(complete > 0, "%s.ran", example->name);
	memset(slots, 0, used * sizeof(*slots));
}

static void run_examples(const struct example *examples, size_t n)
{
	if (!slots)
		slots = pages_alloc(SLOTS * sizeof(*slots) / PAGE_SIZE, PAGE_SIZE);
	for (size_t i = 0; i < n; i++)
		run_example(&examples[i]);
}

static void test_pairs(void)
{
	run_examples(pairs, ARRAY_SIZE(pairs));
}

SUBTEST("ordering", test_pairs);

/* With an observer or two of their own. */
static void test_groups(void)
{
	if (cpu_count() < THREADS)
		subtest_skip("needs %u CPUs", THREADS);
	else
		run_examples(groups, ARRAY_SIZE(groups));
}

SUBTEST("ordering-observed", test_groups);

/*
 * Message passing without waiting for each other: one CPU counts x and then y up,
 * the others read y and then x, and must find x at least where y was. Neither may ever go back.
 */
static struct slot stream;
static u32 stream_wrong[MAX_CPUS], stream_reads[MAX_CPUS];

static void write_stream(u64 deadline)
{
	for (u32 i = 1; !tsc_passed(deadline);)
		for (u32 batch = 0; batch < 64; batch++, i++) {
			store(&stream.x, i);
			store(&stream.y, i);
		}
}

static void read_stream(u64 deadline)
{
	u32 wrong = 0, reads = 0, last_x = 0, last_y = 0;

	while (!tsc_passed(deadline))
		for (u32 batch = 0; batch < 64; batch++, reads++) {
			u32 y = load(&stream.y), x = load(&stream.x);

			wrong += x < y || x < last_x || y < last_y;
			last_x = x;
			last_y = y;
		}
	stream_wrong[cpu_index()] = wrong;
	stream_reads[cpu_index()] = reads;
}

static void run_stream(void *argument)
{
	(void)argument;
	smp_meet();
	if (cpu_index() == 0)
		write_stream(tsc_deadline_us(TIME_US));
	else
		read_stream(tsc_deadline_us(TIME_US));
}

static void test_stream(void)
{
	stream = (struct slot){ 0 };
	on_all_cpus(run_stream, NULL);
	for (unsigned int i = 1; i < cpu_count(); i++) {
		check_equal(stream_wrong[i], 0, "cpu-%u", i);
		check(stream_reads[i] > 0, "cpu-%u.reads", i);
	}
}

SUBTEST("message-stream", test_stream);
