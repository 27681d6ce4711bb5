// SPDX-License-Identifier: BSD-2-Clause
/*
 * "Locked Atomic Operations": a read-modify-write with LOCK (XCHG has it without
 * saying so) is indivisible for all CPUs, so that of updates from all of them at once none is
 * lost. An emulator or a translator that does one as a read and a write
 * loses some: every instruction with a LOCK form is run by all CPUs on one operand.
 *
 * Two kinds of evidence. Counting instructions add up. With the bit-setting kind each
 * CPU owns one bit: it must always find its bit as it left it, since a lost update of a
 * neighbour would bring back an old one. How much the same loop loses without LOCK is
 * reported, to show that the CPUs did meet.
 */
#include "cpu.h"
#include "cpuid.h"
#include "page_alloc.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define LINE	   64
#define LINE_END(page) ((page) + LINE - 2)
#define BATCH	   64
#define TIME_US	   4000 /* of an operation on each of up to 4 CPUs, and MIN_UPDATES at least */
#define MIN_UPDATES 1000
#define SPLIT_UPDATES 256 /* some hosts slow a split lock down on purpose */

struct operation {
	const char *name;
	/* One update of *operand by this CPU; returns how often it found a wrong value. */
	unsigned int (*update)(void *operand, unsigned int round);
	/* The operand's first eight bytes are (initial + updates * step) & mask at the end. */
	u64 initial, step, mask;
	u64 feature;
	bool split; /* the operand lies across two cache lines */
};

#define DEFINE_COUNT(name, instruction, type)                                                      \
	static unsigned int name(void *operand, unsigned int round)                                \
	{                                                                                          \
		asm volatile(instruction : "+m"(*(type *)operand) : : "memory", "cc");             \
		return 0;                                                                          \
	}

DEFINE_COUNT(add_byte, "lock addb $1, %0", u8)
DEFINE_COUNT(add_word, "lock addw $1, %0", u16)
DEFINE_COUNT(add_dword, "lock addl $1, %0", u32)
DEFINE_COUNT(sub_dword, "lock subl $1, %0", u32)
DEFINE_COUNT(inc_dword, "lock incl %0", u32)
DEFINE_COUNT(dec_dword, "lock decl %0", u32)
DEFINE_COUNT(adc_dword, "stc\n\tlock adcl $1, %0", u32)
DEFINE_COUNT(sbb_dword, "stc\n\tlock sbbl $1, %0", u32)
DEFINE_COUNT(inc_unlocked, "incl %0", u32)
#ifdef __x86_64__
DEFINE_COUNT(add_qword, "lock addq $0x10001, %0", u64)
#endif

static unsigned int xadd_dword(void *operand, unsigned int round)
{
	static u32 last[MAX_CPUS];
	unsigned int self = cpu_index();
	u32 value = 1;

	asm volatile("lock xaddl %0, %1" : "+r"(value), "+m"(*(u32 *)operand) : : "memory", "cc");
	/* What it returns only grows. */
	if (round && value <= last[self])
		return 1;
	last[self] = value;
	return 0;
}

static unsigned int cmpxchg_dword(void *operand, unsigned int round)
{
	u32 old = READ_ONCE(*(u32 *)operand);
	bool done;

	do
		asm volatile("lock cmpxchgl %3, %1\n\tsete %2"
			     : "+a"(old), "+m"(*(u32 *)operand), "=q"(done)
			     : "r"(old + 1)
			     : "memory", "cc");
	while (!done);
	return 0;
}

/* A torn value would be accepted by no one: both halves count, with the carry between them. */
static unsigned int cmpxchg8b(void *operand, unsigned int round)
{
	u32 *half = operand, low = READ_ONCE(half[0]), high = READ_ONCE(half[1]);
	bool done;

	do {
		u64 next = ((u64)high << 32 | low) + 0x40000001;

		asm volatile("lock cmpxchg8b %2\n\tsete %3"
			     : "+a"(low), "+d"(high), "+m"(*(u64 *)operand), "=q"(done)
			     : "b"((u32)next), "c"((u32)(next >> 32))
			     : "memory", "cc");
	} while (!done);
	return 0;
}

#ifdef __x86_64__
/* The second half counts down. Returns 1 for halves that do not belong together. */
static unsigned int cmpxchg16b(void *operand, unsigned int round)
{
	u64 low = 0, high = 0;
	unsigned int torn = 0;
	bool done;

	asm volatile("lock cmpxchg16b %2" /* reads: it writes what was there, or 0 over 0 */
		     : "+a"(low), "+d"(high), "+m"(*(unsigned __int128 *)operand)
		     : "b"(0ul), "c"(0ul)
		     : "memory", "cc");
	do {
		torn += low + high != 0;
		asm volatile("lock cmpxchg16b %2\n\tsete %3"
			     : "+a"(low), "+d"(high), "+m"(*(unsigned __int128 *)operand),
			       "=q"(done)
			     : "b"(low + 1), "c"(high - 1)
			     : "memory", "cc");
	} while (!done);
	return torn;
}
#endif

/* Bit instructions: this CPU's bit goes on and off, and CF tells what it was. */
#define DEFINE_BIT_TEST(name, instruction)                                                         \
	static bool name(void *operand)                                                            \
	{                                                                                          \
		bool was;                                                                          \
                                                                                                   \
		asm volatile("lock " instruction " %2, %0\n\tsetc %1"                              \
			     : "+m"(*(u32 *)operand), "=q"(was)                                    \
			     : "r"(cpu_index())                                                    \
			     : "memory", "cc");                                                    \
		return was;                                                                        \
	}

DEFINE_BIT_TEST(bts, "btsl")
DEFINE_BIT_TEST(btr, "btrl")
DEFINE_BIT_TEST(btc, "btcl")

/* The register form of the bit offset goes beyond the dword: 64 CPUs have two. */
/* Set in even rounds, cleared in odd ones: CF is what this CPU left, or somebody has undone it. */
static unsigned int bts_btr(void *operand, unsigned int round)
{
	return round % 2 ? !btr(operand) : bts(operand);
}

static unsigned int btc_btc(void *operand, unsigned int round)
{
	return btc(operand) != round % 2;
}

#define DEFINE_LOGIC(name, instruction)                                                            \
	static void name(u32 *dword, u32 mask)                                                     \
	{                                                                                          \
		asm volatile("lock " instruction " %1, %0"                                         \
			     : "+m"(*dword)                                                        \
			     : "r"(mask)                                                           \
			     : "memory", "cc");                                                    \
	}

DEFINE_LOGIC(or, "orl")
DEFINE_LOGIC(and, "andl")
DEFINE_LOGIC(xor, "xorl")

static unsigned int or_and(void *operand, unsigned int round)
{
	u32 *dword = (u32 *)operand + cpu_index() / 32, bit = 1u << cpu_index() % 32;
	bool was = READ_ONCE(*dword) & bit;

	if (round % 2)
		and(dword, ~bit);
	else
		or(dword, bit);
	return was != round % 2;
}

static unsigned int xor_xor(void *operand, unsigned int round)
{
	u32 *dword = (u32 *)operand + cpu_index() / 32, bit = 1u << cpu_index() % 32;
	bool was = READ_ONCE(*dword) & bit;

	xor(dword, bit);
	return was != round % 2;
}

/* XCHG as a lock around an INC that is not one: the lock is the first dword. */
static unsigned int xchg_lock(void *operand, unsigned int round)
{
	u32 *lock = operand, *counter = lock + 1, taken;

	for (;;) {
		taken = 1;
		asm volatile("xchgl %0, %1" : "+r"(taken), "+m"(*lock) : : "memory");
		if (!taken)
			break;
		asm volatile("pause" : : : "memory");
	}
	WRITE_ONCE(*counter, READ_ONCE(*counter) + 1);
	asm volatile("xchgl %0, %1" : "+r"(taken), "+m"(*lock) : : "memory");
	return 0;
}

/* NOT and NEG are their own inverse: an even number of updates changes nothing. */
DEFINE_COUNT(not_dword, "lock notl %0", u32)
DEFINE_COUNT(neg_dword, "lock negl %0", u32)

#define BYTE	0xffull
#define WORD	0xffffull
#define DWORD	0xffffffffull
#define QWORD	(~0ull)
#define COUNT(step, mask) 0, (u64)(step), mask

static const struct operation counting[] = {
	{ "add.byte", add_byte, COUNT(1, BYTE), 0, false },
	{ "add.word", add_word, COUNT(1, WORD), 0, false },
	{ "add.dword", add_dword, COUNT(1, DWORD), 0, false },
	{ "adc.dword", adc_dword, COUNT(2, DWORD), 0, false },
	{ "sub.dword", sub_dword, COUNT(-1, DWORD), 0, false },
	{ "sbb.dword", sbb_dword, COUNT(-2, DWORD), 0, false },
	{ "inc.dword", inc_dword, COUNT(1, DWORD), 0, false },
	{ "dec.dword", dec_dword, COUNT(-1, DWORD), 0, false },
	{ "xadd.dword", xadd_dword, COUNT(1, DWORD), 0, false },
	{ "cmpxchg.dword", cmpxchg_dword, COUNT(1, DWORD), 0, false },
	{ "cmpxchg8b", cmpxchg8b, COUNT(0x40000001, QWORD), FEATURE_CX8, false },
#ifdef __x86_64__
	{ "add.qword", add_qword, COUNT(0x10001, QWORD), 0, false },
#endif
	{ "xchg", xchg_lock, COUNT(1ull << 32, QWORD), 0, false },
};

static const struct operation toggling[] = {
	{ "bts-btr", bts_btr, COUNT(0, QWORD), 0, false },
	{ "btc", btc_btc, COUNT(0, QWORD), 0, false },
	{ "or-and", or_and, COUNT(0, QWORD), 0, false },
	{ "xor", xor_xor, COUNT(0, QWORD), 0, false },
	{ "not", not_dword, 0x5555, 0, DWORD, 0, false },
	{ "neg", neg_dword, 0x5555, 0, DWORD, 0, false },
};

static const struct operation split[] = {
	{ "add.dword", add_dword, COUNT(1, DWORD), 0, true },
	{ "xadd.dword", xadd_dword, COUNT(1, DWORD), 0, true },
	{ "xchg", xchg_lock, COUNT(1ull << 32, QWORD), 0, true },
	{ "cmpxchg.dword", cmpxchg_dword, COUNT(1, DWORD), 0, true },
	{ "cmpxchg8b", cmpxchg8b, COUNT(0x40000001, QWORD), FEATURE_CX8, true },
};

#ifdef __x86_64__
/* By itself: KVM's instruction emulator does not have it, and stops. */
static const struct operation wide[] = {
	{ "cmpxchg16b", cmpxchg16b, COUNT(1, QWORD), FEATURE_CX16, false },
};
#endif

static const struct operation unlocked = {
	"inc.unlocked", inc_unlocked, COUNT(1, DWORD), 0, false
};

static u8 *operand;

/* By CPU: how many updates it made, and how many of them saw something wrong. */
static struct tally {
	u32 updates, wrong;
} tallies[MAX_CPUS];

static void update_many(void *argument)
{
	const struct operation *operation = argument;
	struct tally tally = { 0, 0 };
	u64 deadline;

	smp_meet();
	deadline = tsc_deadline_us(cpu_count() > 4 ? 4 * TIME_US / cpu_count() : TIME_US);
	do {
		for (unsigned int i = 0; i < BATCH; i++)
			tally.wrong += operation->update(operand, tally.updates++);
	} while (operation->split ? tally.updates < SPLIT_UPDATES :
				    tally.updates < MIN_UPDATES || !tsc_passed(deadline));
	tallies[cpu_index()] = tally;
}

/* Returns the operand's first eight bytes, and the sums of what the CPUs counted. */
static u64 run(const struct operation *operation, struct tally *sum)
{
	static u8 *page;
	u64 value = operation->initial;

	if (!page)
		page = page_alloc();
	memset(page, 0, 2 * LINE);
	operand = operation->split ? LINE_END(page) : page;
	memcpy(operand, &value, sizeof(value));
	on_all_cpus(update_many, (void *)operation);
	memcpy(&value, operand, sizeof(value));
	*sum = (struct tally){ 0, 0 };
	for (unsigned int i = 0; i < cpu_count(); i++) {
		sum->updates += tallies[i].updates;
		sum->wrong += tallies[i].wrong;
	}
	return value;
}

struct table {
	const struct operation *rows;
	size_t count;
};

static void test_locked(const void *argument)
{
	const struct table *table = argument;

	for (const struct operation *op = table->rows; op < table->rows + table->count; op++) {
		struct tally sum;
		u64 value;

		if (op->feature && !cpu_has(op->feature)) {
			check_skip("the CPU has no such instruction", "%s", op->name);
			continue;
		}
		checking("%s", op->name);
		value = run(op, &sum);
		check_equal(value, (op->initial + op->step * sum.updates) & op->mask, "%s.result",
			    op->name);
		check_equal(sum.wrong, 0, "%s.seen", op->name);
	}
}

#define LOCKED_SUBTEST(name, rows)                                                                 \
	SUBTEST_ARG(name, test_locked, (&(const struct table){ rows, ARRAY_SIZE(rows) }))

LOCKED_SUBTEST("locked-count", counting);
LOCKED_SUBTEST("locked-toggle", toggling);
LOCKED_SUBTEST("locked-split", split);
#ifdef __x86_64__
LOCKED_SUBTEST("locked-cmpxchg16b", wide);
#endif

/* What a wrong implementation would lose; on a simulator that runs one CPU at a time, little. */
static void test_unlocked(void)
{
	struct tally sum;
	u32 value = run(&unlocked, &sum);

	check(value <= sum.updates, "not-more-than-updates");
	diagnostic("without LOCK %u of %u updates were lost", sum.updates - value, sum.updates);
}

SUBTEST("unlocked", test_unlocked);
