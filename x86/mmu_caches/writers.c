// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stores to a pair of page-table entries. They pass through whatever lies between the old and
 * the new values: nobody uses the entries meanwhile, and the caller invalidates.
 */
#include "writers.h"
#include "control.h"
#include "cpuid.h"
#include "string.h"

#define PAIR_SIZE (2 * sizeof(pte_t))

#ifdef __x86_64__
#define PUSH_SP "rsp"
#else
#define PUSH_SP "esp"
#endif

static void write_mov(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < 2; i++)
		WRITE_ONCE(entries[i], values[i]);
}

static void write_bytes(pte_t *entries, const pte_t *values)
{
	/* From the end: the byte with the P flag is the last of each entry. */
	for (unsigned int i = PAIR_SIZE; i-- > 0;)
		WRITE_ONCE(((u8 *)entries)[i], ((const u8 *)values)[i]);
}

static void write_words(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < PAIR_SIZE / 2; i++)
		WRITE_ONCE(((u16 *)entries)[i], ((const u16 *)values)[i]);
}

static void write_dwords(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = PAIR_SIZE / 4; i-- > 0;)
		WRITE_ONCE(((u32 *)entries)[i], ((const u32 *)values)[i]);
}

static void store_unaligned(void *to, const void *from)
{
	u32 value;

	memcpy(&value, from, sizeof(value));
	asm volatile("movl %[value], (%[to])" : : [value] "r"(value), [to] "r"(to) : "memory");
}

/* 4 bytes each, two bytes beside an aligned place; the ends by words. */
static void write_unaligned(pte_t *entries, const pte_t *values)
{
	u8 *to = (u8 *)entries;
	const u8 *from = (const u8 *)values;

	WRITE_ONCE(*(u16 *)to, *(const u16 *)from);
	for (unsigned int i = 2; i + 4 <= PAIR_SIZE; i += 4)
		store_unaligned(to + i, from + i);
	WRITE_ONCE(*(u16 *)(to + PAIR_SIZE - 2), *(const u16 *)(from + PAIR_SIZE - 2));
}

/* One store that ends the first entry and begins the second, which gets its P flag by it. */
static void write_across(pte_t *entries, const pte_t *values)
{
	const unsigned int middle = sizeof(pte_t) - 2;
	u8 *to = (u8 *)entries;
	const u8 *from = (const u8 *)values;

	for (unsigned int i = 0; i < PAIR_SIZE; i++)
		if (i < middle || i >= middle + 4)
			WRITE_ONCE(to[i], from[i]);
	store_unaligned(to + middle, from + middle);
}

static void write_xchg(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < PAIR_SIZE / sizeof(ulong); i++) {
		ulong value = ((const ulong *)values)[i];

		asm volatile("xchg %[value], %[entry]"
			     : [value] "+r"(value), [entry] "+m"(((ulong *)entries)[i])
			     :
			     : "memory");
	}
}

static void write_cmpxchg(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < PAIR_SIZE / sizeof(ulong); i++) {
		ulong old = ((ulong *)entries)[i];

		asm volatile("lock cmpxchg %[value], %[entry]"
			     : "+a"(old), [entry] "+m"(((ulong *)entries)[i])
			     : [value] "r"(((const ulong *)values)[i])
			     : "memory", "cc");
	}
}

static void write_xor(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < PAIR_SIZE / sizeof(ulong); i++)
		asm volatile("lock xor %[change], %[entry]"
			     : [entry] "+m"(((ulong *)entries)[i])
			     : [change] "r"(((const ulong *)values)[i] ^ ((ulong *)entries)[i])
			     : "memory", "cc");
}

/* With a register as bit number BTC reaches any byte from its operand's address on. */
static void write_bits(pte_t *entries, const pte_t *values)
{
	for (unsigned int bit = 0; bit < PAIR_SIZE * 8; bit++)
		if ((((u8 *)entries)[bit / 8] ^ ((const u8 *)values)[bit / 8]) >> bit % 8 & 1)
			asm volatile("lock btcl %[bit], (%[entries])"
				     :
				     : [bit] "r"(bit), [entries] "r"(entries)
				     : "memory", "cc");
}

static void write_cmpxchg8b(pte_t *entries, const pte_t *values)
{
	for (unsigned int i = 0; i < PAIR_SIZE / 8; i++) {
		u64 old = ((u64 *)entries)[i], new = ((const u64 *)values)[i];
		u32 low = old, high = old >> 32;

		asm volatile("lock cmpxchg8b (%[entry])"
			     : "+a"(low), "+d"(high)
			     : "b"((u32) new),
			       "c"((u32)(new >> 32)), [entry] "S"((u64 *)entries + i)
			     : "memory", "cc");
	}
}

static void write_movs(pte_t *entries, const pte_t *values)
{
	ulong count = PAIR_SIZE / 4;

	asm volatile("rep movsl" : "+D"(entries), "+S"(values), "+c"(count) : : "memory");
}

/*
 * The table as a stack for a moment, so with interrupts off; an exception there would be
 * no surprise to a hypervisor, but one to us. PUSH goes down: the second entry comes first.
 */
static void write_push(pte_t *entries, const pte_t *values)
{
	ulong flags = read_flags(), *end = (ulong *)(entries + 2);

	irq_disable();
	for (unsigned int i = PAIR_SIZE / sizeof(ulong); i-- > 0;) {
		ulong sp;

		asm volatile("mov %%" PUSH_SP ", %[sp]\n\t"
			     "mov %[end], %%" PUSH_SP "\n\t"
			     "push %[value]\n\t"
			     "mov %[sp], %%" PUSH_SP
			     : [sp] "=&r"(sp)
			     : [end] "r"(end--), [value] "r"(((const ulong *)values)[i])
			     : "memory");
	}
	write_flags(flags);
}

static void write_movups(pte_t *entries, const pte_t *values)
{
	u8 whole[16];

	/* i386's pair is half as long: what follows it is written as it was. */
	memcpy(whole, entries, sizeof(whole));
	memcpy(whole, values, PAIR_SIZE);
	asm volatile("movups (%[from]), %%xmm0\n\t"
		     "movups %%xmm0, (%[to])"
		     :
		     : [from] "r"(whole), [to] "r"(entries)
		     : "memory");
}

#ifdef __x86_64__
static void write_cmpxchg16b(pte_t *entries, const pte_t *values)
{
	u64 low = entries[0], high = entries[1];

	asm volatile("lock cmpxchg16b (%[entries])"
		     : "+a"(low), "+d"(high)
		     : "b"(values[0]), "c"(values[1]), [entries] "r"(entries)
		     : "memory", "cc");
}
#endif

const struct writer writers[] = {
	{ "MOV", write_mov, 0 },
	{ "MOV of bytes", write_bytes, 0 },
	{ "MOV of words", write_words, 0 },
	{ "MOV of doublewords", write_dwords, 0 },
	{ "unaligned MOV", write_unaligned, 0 },
	{ "MOV across entries", write_across, 0 },
	{ "XCHG", write_xchg, 0 },
	{ "CMPXCHG", write_cmpxchg, 0 },
	{ "LOCK XOR", write_xor, 0 },
	{ "LOCK BTC", write_bits, 0 },
	{ "CMPXCHG8B", write_cmpxchg8b, FEATURE_CX8 },
	{ "REP MOVS", write_movs, 0 },
	{ "PUSH", write_push, 0 },
	{ "MOVUPS", write_movups, FEATURE_SSE },
#ifdef __x86_64__
	{ "CMPXCHG16B", write_cmpxchg16b, FEATURE_CX16 },
#endif
};

bool writer_supported(const struct writer *writer)
{
	return !writer->needs || cpu_has(writer->needs);
}
