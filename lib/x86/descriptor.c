// SPDX-License-Identifier: BSD-2-Clause
#include "cpu.h"
#include "descriptor.h"
#include "trap.h"

struct gate idt[IDT_ENTRIES] __aligned(16);

u64 segment_descriptor(const struct segment *segment)
{
	u32 limit = segment->limit;
	u8 flags = segment->flags;

	if (limit > 0xfffff)
		flags |= DESC_GRANULARITY;
	if (flags & DESC_GRANULARITY)
		limit >>= 12;
	return SEGMENT_DESCRIPTOR(segment->base, limit, segment->access, flags);
}

void gdt_set(u16 selector, u64 descriptor)
{
	this_cpu()->gdt[selector >> 3] = descriptor;
}

u64 gdt_get(u16 selector)
{
	return this_cpu()->gdt[selector >> 3];
}

void gdt_set_segment(u16 selector, const struct segment *segment)
{
	gdt_set(selector, segment_descriptor(segment));
}

static void set_system(u64 *entry, ulong base, u32 size, u8 access)
{
	entry[0] = SEGMENT_DESCRIPTOR(base, size - 1, access, 0);
#ifdef __x86_64__
	entry[1] = base >> 32;
#endif
}

void gdt_set_system(u16 selector, ulong base, u32 size, u8 access)
{
	set_system(&this_cpu()->gdt[selector >> 3], base, size, access);
}

void ldt_load(const u64 *entries, unsigned int n)
{
	gdt_set_system(LDT_SELECTOR, (ulong)entries, n * 8, DESC_PRESENT | DESC_LDT);
	lldt(LDT_SELECTOR);
}

struct gate gate_make(u16 selector, ulong offset, u8 access, u8 ist)
{
	return (struct gate){
		.offset_low = offset,
		.offset_middle = offset >> 16,
#ifdef __x86_64__
		.offset_high = offset >> 32,
#endif
		.selector = selector,
		.access = access,
		.ist = ist,
	};
}

void gdt_set_gate(u16 selector, struct gate gate)
{
	union {
		struct gate gate;
		u64 entry[sizeof(struct gate) / 8];
	} u = { .gate = gate };

	for (unsigned int i = 0; i < ARRAY_SIZE(u.entry); i++)
		this_cpu()->gdt[(selector >> 3) + i] = u.entry[i];
}

/*
 * All gates have DPL 0 but for #BP's and #OF's, as in most kernels: INT3 and
 * INTO are meant for ring 3. Everything goes through interrupt gates. Vectors
 * from 32 on get theirs from trap_set_handler().
 */
void idt_init(void)
{
	for (unsigned int i = 0; i < 32; i++)
		idt[i] = gate_make(KERNEL_CS, trap_entry_address(i),
				   DESC_PRESENT | DESC_INTERRUPT_GATE, 0);
	idt[VECTOR_BP].access |= DESC_DPL3;
	idt[VECTOR_OF].access |= DESC_DPL3;
#ifdef __x86_64__
	idt[VECTOR_DF].ist = IST_DF;
	idt[VECTOR_NMI].ist = IST_NMI;
#else
	idt[VECTOR_DF] = gate_make(DF_TSS_SELECTOR, 0, DESC_PRESENT | DESC_TASK_GATE, 0);
#endif
	idt_load();
}

void idt_load(void)
{
	struct descriptor_pointer pointer = { sizeof(idt) - 1, (ulong)idt };

	lidt(&pointer);
}

static const u64 flat_segments[] = {
#ifdef __x86_64__
#define NATIVE_FLAGS (DESC_GRANULARITY | DESC_LONG)
#else
#define NATIVE_FLAGS (DESC_GRANULARITY | DESC_BIG)
#endif
#define FLAT(access, flags)                                                                        \
	SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_PRESENT | DESC_ACCESSED | (access), flags)
	[KERNEL_CS / 8] = FLAT(DESC_CODE_READABLE, NATIVE_FLAGS),
	[KERNEL_DS / 8] = FLAT(DESC_DATA_WRITABLE, DESC_GRANULARITY | DESC_BIG),
	[KERNEL_CS32 / 8] = FLAT(DESC_CODE_READABLE, DESC_GRANULARITY | DESC_BIG),
	[USER_CS32 / 8] = FLAT(DESC_DPL3 | DESC_CODE_READABLE, DESC_GRANULARITY | DESC_BIG),
	[USER_DS / 8] = FLAT(DESC_DPL3 | DESC_DATA_WRITABLE, DESC_GRANULARITY | DESC_BIG),
	[USER_CS / 8] = FLAT(DESC_DPL3 | DESC_CODE_READABLE, NATIVE_FLAGS),
};

/* The GDT is the first member of struct cpu: this_cpu() finds it by SGDT. */
void gdt_init(struct cpu *cpu)
{
	struct descriptor_pointer pointer = { sizeof(cpu->gdt) - 1, (ulong)cpu->gdt };

	for (unsigned int i = 0; i < ARRAY_SIZE(flat_segments); i++)
		cpu->gdt[i] = flat_segments[i];
	set_system(&cpu->gdt[TSS_SELECTOR / 8], (ulong)&cpu->tss, sizeof(cpu->tss),
		   DESC_PRESENT | DESC_TSS);
#ifndef __x86_64__
	set_system(&cpu->gdt[DF_TSS_SELECTOR / 8], (ulong)&cpu->df_tss, sizeof(cpu->df_tss),
		   DESC_PRESENT | DESC_TSS);
#endif
	lgdt(&pointer);
	asm volatile("movl %0, %%ds\n"
		     "movl %0, %%es\n"
		     "movl %0, %%fs\n"
		     "movl %0, %%gs\n"
		     "movl %0, %%ss\n"
		     :
		     : "r"(KERNEL_DS)
		     : "memory");
}
