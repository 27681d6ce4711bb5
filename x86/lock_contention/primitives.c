// SPDX-License-Identifier: BSD-2-Clause
/* The instructions that locks are made of, each as a way to add 1. */
#include "primitives.h"
#include "control.h"
#include "cpuid.h"
#include "extable.h"
#include "tsc.h"

#define TRY_LOCKED(instruction, memory)                                                            \
	({                                                                                         \
		struct fault fault_;                                                               \
		asm volatile(TRY(instruction)                                                      \
			     : TRY_RESULT(fault_), "+m"(memory)                                    \
			     :                                                                     \
			     : "cc", "memory");                                                    \
		fault_;                                                                            \
	})

static struct fault lock_add(volatile void *address)
{
	return TRY_LOCKED("lock addl $1, %1", *(volatile u32 *)address);
}

static struct fault lock_inc(volatile void *address)
{
	return TRY_LOCKED("lock incl %1", *(volatile u32 *)address);
}

static struct fault lock_xadd(volatile void *address)
{
	struct fault fault;
	u32 one = 1;

	asm volatile(TRY("lock xaddl %[one], %[memory]")
		     : TRY_RESULT(fault), [one] "+&r"(one), [memory] "+m"(*(volatile u32 *)address)
		     :
		     : "cc", "memory");
	return fault;
}

/* CMPXCHG wants EAX for itself, so the fault goes through it only after the instruction. */
static struct fault lock_cmpxchg(volatile void *address)
{
	volatile u32 *counter = address;
	struct fault fault;
	u8 done = 0;

	do {
		u32 old = *counter;

		asm volatile("771: lock cmpxchgl %[new], %[memory]\n"
			     "sete %[done]\n"
			     "movl $0, %%eax\n"
			     "772:\n"
			     ".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"
			     ".popsection\n"
			     : "=a"(fault.value), [memory] "+m"(*counter), [done] "+&q"(done)
			     : "0"(old), [new] "r"(old + 1)
			     : "cc", "memory");
	} while (!fault_raised(fault) && !done);
	return fault;
}

static struct fault lock_cmpxchg8b(volatile void *address)
{
	volatile u32 *half = address;
	struct fault fault;
	u8 done = 0;

	do {
		u32 low = half[0], high = half[1];

		asm volatile(
		    "771: lock cmpxchg8b %[memory]\n"
		    "sete %[done]\n"
		    "movl $0, %%eax\n"
		    "772:\n"
		    ".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"
		    ".popsection\n"
		    : "=a"(fault.value),
		      "+d"(high), [memory] "+m"(*(volatile u64 *)address), [done] "+m"(done)
		    : "0"(low), "b"(low + 1), "c"(~(low + 1))
		    : "cc", "memory");
	} while (!fault_raised(fault) && !done);
	return fault;
}

#ifdef __x86_64__
static struct fault lock_cmpxchg16b(volatile void *address)
{
	volatile u64 *half = address;
	struct fault fault;
	u8 done = 0;

	do {
		u64 low = half[0], high = half[1], result;

		asm volatile("771: lock cmpxchg16b (%[memory])\n"
			     "sete %[done]\n"
			     "movl $0, %%eax\n"
			     "772:\n"
			     ".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"
			     ".popsection\n"
			     : "=a"(result), "+d"(high), [done] "+m"(done)
			     : "0"(low), "b"(low + 1), "c"(~(low + 1)), [memory] "r"(address)
			     : "cc", "memory");
		fault.value = result;
	} while (!fault_raised(fault) && !done);
	return fault;
}
#endif

static bool lost;
static u64 deadline;

void primitives_start(u64 until)
{
	lost = false;
	deadline = until;
}

/* Waiting too long means that an update of the lock itself was lost: the sum will be short. */
static bool lost_after(u32 *spins)
{
	if (++*spins % 1024 == 0 && tsc_passed(deadline))
		WRITE_ONCE(lost, true);
	return READ_ONCE(lost);
}

/* A spinlock of one bit (BTS, then BTR to free it) or of one XCHG around a plain addition. */
static struct fault lock_bts(volatile void *address)
{
	volatile u32 *word = address;
	u32 spins = 0;
	struct fault fault;
	u8 was_set;

	do {
		asm volatile(TRY("lock btsl $31, %[memory]\n"
				 "setc %[was_set]")
			     : TRY_RESULT(fault), [memory] "+m"(*word), [was_set] "=&q"(was_set)
			     :
			     : "cc", "memory");
		if (fault_raised(fault))
			return fault;
		if (was_set && lost_after(&spins))
			return NO_FAULT;
	} while (was_set);
	/* The bit is ours: nobody else writes the word. */
	*word = *word + 1;
	return TRY_LOCKED("lock btrl $31, %1", *word);
}

/* Takes the counter away, leaving a mark, and puts it back one higher. XCHG locks by itself. */
static struct fault lock_xchg(volatile void *address)
{
	const u32 mark = 0xffffffff;
	volatile u32 *word = address;
	struct fault fault;
	u32 value, spins = 0;

	do {
		value = mark;
		asm volatile(TRY("xchgl %[value], %[memory]")
			     : TRY_RESULT(fault), [value] "+&r"(value), [memory] "+m"(*word)
			     :
			     : "memory");
		if (fault_raised(fault))
			return fault;
		if (value == mark && lost_after(&spins))
			return NO_FAULT;
	} while (value == mark);
	value++;
	asm volatile(TRY("xchgl %[value], %[memory]")
		     : TRY_RESULT(fault), [value] "+&r"(value), [memory] "+m"(*word)
		     :
		     : "memory");
	return fault;
}

const struct primitive primitives[] = {
	{ "add", 4, lock_add, 0, false },
	{ "inc", 4, lock_inc, 0, false },
	{ "xadd", 4, lock_xadd, 0, false },
	{ "cmpxchg", 4, lock_cmpxchg, 0, false },
	{ "cmpxchg8b", 8, lock_cmpxchg8b, FEATURE_CX8, false },
	{ "bts", 4, lock_bts, 0, false },
	{ "xchg", 4, lock_xchg, 0, false },
};

const unsigned int primitive_count = ARRAY_SIZE(primitives);

#ifdef __x86_64__
/* By itself: an emulator that lacks it ends the guest. */
const struct primitive primitive_cmpxchg16b = {
	"cmpxchg16b", 16, lock_cmpxchg16b, FEATURE_CX16, true,
};
#endif
