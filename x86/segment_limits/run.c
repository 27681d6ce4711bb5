// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "forced_emulation.h"
#include "printf.h"
#include "report.h"
#include "segment_limits.h"
#include "string.h"

const char *const way_prefix[WAYS] = { "", "emulated." };

struct arena arena __aligned(4096) __section(".noinit");

static u8 pattern[sizeof(arena.memory)];

u32 pattern_dword(unsigned int index)
{
	u32 value;

	memcpy(&value, &pattern[GUARD + 4 * index], sizeof(value));
	return value;
}

void memory_init(void)
{
	/* BOUND's lower bound; LFS's selector, and BOUND's upper bound; FXRSTOR's MXCSR. */
	static const u8 operand[] = { 0xc0, 0xd1, 0xe2, 0xf3, USER_DS, 0x00, 0x71, 0x65 };
	static const u8 mxcsr[] = { 0x80, 0x1f, 0x00, 0x00 };

	for (unsigned int i = 0; i < sizeof(pattern); i++)
		pattern[i] = 0x81 + 37 * i % 61;
	memcpy(&pattern[GUARD], operand, sizeof(operand));
	memcpy(&pattern[GUARD + 24], mxcsr, sizeof(mxcsr));
	memory_restore();
}

void memory_set(const void *operand, unsigned int size)
{
	memcpy(&pattern[GUARD], operand, size);
	memcpy(target(), operand, size);
}

void memory_restore(void)
{
	memcpy(arena.memory, pattern, sizeof(pattern));
}

/* By string instructions, which are cheap where each is emulated. A count of 0 leaves ZF. */
static bool dwords_differ(const void **a, const void **b, ulong count)
{
	bool differs;

	asm volatile("cmp %[count], %[count]\n\t"
		     "repe cmpsl"
		     : "+S"(*a), "+D"(*b), [count] "+c"(count), "=@ccne"(differs)
		     :
		     : "memory");
	return differs;
}

bool memory_changed(int from, int to)
{
	const void *a = &arena.memory[GUARD + from], *b = &pattern[GUARD + from];
	bool differs = dwords_differ(&a, &b, (to - from) / 4);

	return differs || memcmp(a, b, (to - from) % 4);
}

struct slot slot_write(unsigned int index, u8 prefix, const char *code, unsigned int length)
{
	static const u8 ud2[] = { 0x0f, 0x0b };
	u8 *at = &arena.code[PAGE_SIZE - (index + 1) * SLOT_SIZE];
	struct slot slot = { .start = at + FORCED_EMULATION_LENGTH };

	memcpy(at, FORCED_EMULATION_BYTES, FORCED_EMULATION_LENGTH);
	at = slot.start;
	if (prefix)
		*at++ = prefix;
	memcpy(at, code, length);
	memcpy(at + length, ud2, sizeof(ud2));
	slot.length = at + length - slot.start;
	return slot;
}

static struct context with_registers(struct context context, const struct slot *slot)
{
	context.end = (ulong)slot->start + slot->length;
	context.ax = pattern_dword(0); /* what CMPXCHG finds in memory */
	context.dx = pattern_dword(1);
	context.cx = 0x01234567; /* within BOUND's bounds */
	context.bx = 0x0b0b0b0b;
	context.si = 0x51515151;
	context.di = 0x0d1d1d1d;
	context.bp = 0x0bb0bb0b;
	return context;
}

struct context slot_context(const struct slot *slot)
{
	return with_registers(context_compat(slot->start), slot);
}

struct context slot_context_ring0(const struct slot *slot)
{
	struct context context = context_kernel(slot->start);

#ifdef __x86_64__
	context.cs = KERNEL_CS32;
#endif
	return with_registers(context, slot);
}

void slot_move(struct context *context, const struct slot *slot, u32 base)
{
	context->cs = TEST_SEGMENT;
	context->ip = (u32)(ulong)slot->start - base;
	context->end = (u32)(context->ip + slot->length);
}

const char *register_changed(const struct context *before, const struct context *after)
{
#define REGISTER(name, field) { name, offsetof(struct context, field) }
	static const struct {
		const char *name;
		size_t offset;
	} registers[] = {
		REGISTER("eax", ax), REGISTER("ebx", bx), REGISTER("ecx", cx), REGISTER("edx", dx),
		REGISTER("esi", si), REGISTER("edi", di), REGISTER("ebp", bp), REGISTER("ds", ds),
		REGISTER("es", es),  REGISTER("fs", fs),  REGISTER("gs", gs),  REGISTER("eip", ip),
		REGISTER("cs", cs),
	};
	const void *a = before, *b = after;
	size_t offset;

	if (!dwords_differ(&a, &b, offsetof(struct context, flags) / 4))
		return (before->flags ^ after->flags) & ~EFLAGS_RF ? "eflags" : NULL;
	offset = ALIGN_DOWN((size_t)((const u8 *)a - (const u8 *)before) - 1, sizeof(ulong));
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++)
		if (registers[i].offset == offset)
			return registers[i].name;
	return "r8 to r15";
}

unsigned int ways(void)
{
	static bool told;

	if (forced_emulation_available())
		return 2;
	if (!told)
		diagnostic("no forced emulation here: the CPU alone executes");
	told = true;
	return 1;
}

void run_way(enum way way, const struct context *before, struct outcome *outcome)
{
	outcome->after = *before;
	if (way == EMULATED)
		outcome->after.ip = (u32)(before->ip - FORCED_EMULATION_LENGTH);
	outcome->fault = context_run(&outcome->after);
	if (ways() == WAYS)
		memcpy(outcome->memory, arena.memory, sizeof(outcome->memory));
}

const char *outcomes_differ(const struct outcome outcomes[WAYS], int from, int to)
{
	const struct outcome *cpu = &outcomes[BY_CPU], *emulated = &outcomes[EMULATED];
	static char text[48];
	const char *name;

	if (!fault_equal(cpu->fault, emulated->fault))
		return fault_text(emulated->fault);
	name = register_changed(&cpu->after, &emulated->after);
	if (name) {
		snprintf(text, sizeof(text), "another %s", name);
		return text;
	}
	for (int i = from; i < to; i++) {
		u8 a = cpu->memory[GUARD + i], b = emulated->memory[GUARD + i];

		if (a == b)
			continue;
		snprintf(text, sizeof(text), "%#x in place of %#x in byte %d", b, a, i);
		return text;
	}
	return NULL;
}

bool check_runs(const struct context *start, bool runs[WAYS], const char *id, ...)
{
	static struct outcome outcome;
	bool any = false;
	char name[48];

	FORMAT_ID(name, id);
	for_each_way(way) {
		run_way(way, start, &outcome);
		memory_restore();
		runs[way] = false;
		if (way == EMULATED && fault_equal(outcome.fault, FAULT_UD))
			check_skip("the emulator does not have it", "%s%s.flat", way_prefix[way],
				   name);
		else
			runs[way] = check_fault(outcome.fault, NO_FAULT, "%s%s.flat",
						way_prefix[way], name);
		any |= runs[way];
	}
	return any;
}

void open_add(struct open *open, enum way way, struct fault fault)
{
	open->count[way]++;
	open->faults[way] += fault_raised(fault);
}

void open_tell(const struct open *open, const char *what)
{
	const struct tally *agree = &open->agree;

	for_each_way(way)
		if (open->count[way])
			diagnostic("of %u accesses that %s, %u faulted%s (not judged)",
				   open->count[way], what, open->faults[way],
				   way == EMULATED ? " in the emulator" : "");
	if (agree->wrong)
		diagnostic("the emulator disagrees with the CPU on %u of %u that %s (not judged), the first: %s, emulated %s",
			   agree->wrong, agree->count, what, agree->expected, agree->got);
	else if (agree->count)
		diagnostic("the emulator agrees with the CPU on the %u that %s", agree->count,
			   what);
}
