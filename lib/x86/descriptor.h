/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segment, system and gate descriptors. SDM volume 3A, 3.4.5 "Segment
 * Descriptors", 3.5 "System Descriptor Types", 6.11 "IDT Descriptors".
 */
#ifndef LIB_X86_DESCRIPTOR_H
#define LIB_X86_DESCRIPTOR_H

#include "selectors.h"
#include "types.h"

/* The access byte: P, DPL, S and type. */
#define DESC_PRESENT	    0x80
#define DESC_DPL(n)	    ((n) << 5)
#define DESC_DPL3	    DESC_DPL(3)
#define DESC_CODE_OR_DATA   0x10
#define DESC_ACCESSED	    0x01
#define DESC_DATA	    (DESC_CODE_OR_DATA | 0x0)
#define DESC_DATA_WRITABLE  (DESC_CODE_OR_DATA | 0x2)
#define DESC_DATA_DOWN	    (DESC_CODE_OR_DATA | 0x4) /* expand-down */
#define DESC_CODE	    (DESC_CODE_OR_DATA | 0x8)
#define DESC_CODE_READABLE  (DESC_CODE_OR_DATA | 0xa)
#define DESC_CODE_CONFORMING 0x04
#define DESC_TSS16	    0x1
#define DESC_LDT	    0x2
#define DESC_TSS_BUSY	    0x2 /* ORed to the TSS types */
#define DESC_CALL_GATE16    0x4
#define DESC_TASK_GATE	    0x5
#define DESC_INTERRUPT_GATE16 0x6
#define DESC_TRAP_GATE16    0x7
#define DESC_TSS	    0x9 /* 32-bit, or 64-bit in long mode */
#define DESC_CALL_GATE	    0xc
#define DESC_INTERRUPT_GATE 0xe
#define DESC_TRAP_GATE	    0xf

/* The flags nibble. */
#define DESC_AVL	    0x1
#define DESC_LONG	    0x2 /* L: 64-bit code */
#define DESC_BIG	    0x4 /* D/B */
#define DESC_GRANULARITY    0x8 /* G: the limit counts pages */

/* An 8-byte descriptor as an integer; limit is the raw 20-bit field. */
#define SEGMENT_DESCRIPTOR(base, limit, access, flags)                                             \
	(((u64)(limit) & 0xffff) | (((u64)(base) & 0xffffff) << 16) | ((u64)(access) << 40) |      \
	 (((u64)(limit) >> 16 & 0xf) << 48) | ((u64)(flags) << 52) |                               \
	 (((u64)(base) >> 24 & 0xff) << 56))

struct segment {
	u64 base;
	u32 limit; /* in bytes, the last valid offset; low 12 bits must be 0xfff if over 0xfffff */
	u8 access; /* DESC_PRESENT | DESC_DPL3 | DESC_DATA_WRITABLE ... */
	u8 flags;  /* DESC_BIG ...; DESC_GRANULARITY is added where the limit needs it */
};

/*
 * The segment as a descriptor. With DESC_GRANULARITY in flags the limit is
 * expressed in pages (its low 12 bits are then read as ones by the CPU).
 */
u64 segment_descriptor(const struct segment *segment);

/* Puts the descriptor into this CPU's GDT; the selector's RPL is ignored. */
void gdt_set(u16 selector, u64 descriptor);
u64 gdt_get(u16 selector);
void gdt_set_segment(u16 selector, const struct segment *segment);

/*
 * System descriptors (TSS, LDT): one entry in the 32-bit modes, two in 64-bit
 * mode. size is in bytes.
 */
void gdt_set_system(u16 selector, ulong base, u32 size, u8 access);

/* Loads an LDT of n entries through LDT_SELECTOR; lldt(0) takes it away. */
void ldt_load(const u64 *entries, unsigned int n);

/* An IDT gate, or (8 bytes of it, in 32-bit modes) a gate for GDT and LDT. */
struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist; /* 64-bit: interrupt stack table index; call gates: number of parameters */
	u8 access;
	u16 offset_middle;
#ifdef __x86_64__
	u32 offset_high;
	u32 reserved;
#endif
} __packed;

struct gate gate_make(u16 selector, ulong offset, u8 access, u8 ist);

/* A call or task gate in this CPU's GDT (two entries in 64-bit mode). */
void gdt_set_gate(u16 selector, struct gate gate);

/* The IDT is shared by all CPUs. idt_set() replaces an entry, idt_get() reads it. */
#define IDT_ENTRIES 256
extern struct gate idt[IDT_ENTRIES];

void idt_init(void);
void idt_load(void); /* on the calling CPU */

struct descriptor_pointer {
	u16 limit;
	ulong base;
} __packed;

static inline struct descriptor_pointer sgdt(void)
{
	struct descriptor_pointer pointer;

	asm volatile("sgdt %0" : "=m"(pointer));
	return pointer;
}

static inline struct descriptor_pointer sidt(void)
{
	struct descriptor_pointer pointer;

	asm volatile("sidt %0" : "=m"(pointer));
	return pointer;
}

static inline void lgdt(const struct descriptor_pointer *pointer)
{
	asm volatile("lgdt %0" : : "m"(*pointer) : "memory");
}

static inline void lidt(const struct descriptor_pointer *pointer)
{
	asm volatile("lidt %0" : : "m"(*pointer) : "memory");
}

static inline void lldt(u16 selector)
{
	asm volatile("lldt %0" : : "r"(selector) : "memory");
}

static inline void ltr(u16 selector)
{
	asm volatile("ltr %0" : : "r"(selector) : "memory");
}

static inline u16 str(void)
{
	u16 selector;

	asm volatile("str %0" : "=r"(selector));
	return selector;
}

#define DEFINE_SEGMENT_REGISTER(name)                                                              \
	static inline u16 read_##name(void)                                                        \
	{                                                                                          \
		u16 selector;                                                                      \
                                                                                                   \
		asm volatile("movw %%" #name ", %0" : "=r"(selector));                             \
		return selector;                                                                   \
	}                                                                                          \
	static inline void write_##name(u16 selector)                                              \
	{                                                                                          \
		asm volatile("movl %0, %%" #name : : "r"((u32)selector) : "memory");               \
	}

DEFINE_SEGMENT_REGISTER(ds)
DEFINE_SEGMENT_REGISTER(es)
DEFINE_SEGMENT_REGISTER(fs)
DEFINE_SEGMENT_REGISTER(gs)
DEFINE_SEGMENT_REGISTER(ss)
#undef DEFINE_SEGMENT_REGISTER

static inline u16 read_cs(void)
{
	u16 selector;

	asm volatile("movw %%cs, %0" : "=r"(selector));
	return selector;
}

#endif
