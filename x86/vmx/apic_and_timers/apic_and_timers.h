/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2 with a virtual-APIC page, an APIC-access page, and a handler for every vector. In the 32-bit
 * images it is 32-bit code, in the 64-bit image 64-bit code.
 */
#ifndef X86_VMX_APIC_AND_TIMERS_H
#define X86_VMX_APIC_AND_TIMERS_H

#include "apic.h"
#include "control.h"
#include "l2/events.h"
#include "vmx/test.h"

#ifdef __x86_64__
#define R(name)	  "%r" #name
#define APIC_MODE L2_LONG
#else
#define R(name)	  "%e" #name
#define APIC_MODE L2_PAE
#endif

/* Where L2 finds the APIC-access page; nothing else of it is mapped in that entry's table. */
#define ACCESS_LINEAR 0xd0000000ul

/* Registers of the virtual-APIC page have the APIC's offsets (apic.h). */
#define VTPR  APIC_TPR
#define VPPR  APIC_PPR
#define VEOI  APIC_EOI
#define VISR  APIC_ISR
#define VIRR  APIC_IRR
#define VICR  APIC_ICR
#define VICR2 APIC_ICR2

struct apic {
	struct vmx_guest *guest;
	struct l2_events events;
	u32 *page;   /* the virtual-APIC page */
	u32 *memory; /* RAM at the APIC-access address, which accesses that are virtualised leave
			alone */
};

/*
 * A guest about to run code, its registers 0, with these controls; the same memory in each call.
 * Both pages are 0, MSR bitmaps too, TPR threshold and guest interrupt status as well. NULL, and
 * the subtest is skipped, if the CPU lacks a control.
 */
struct apic *apic_guest(const void *code, const u32 *controls);

/* Runs code from here on, its interrupt flag as told; the page stays. */
u32 apic_run(struct apic *apic, const void *code, ulong flags);

/* Fills both pages: each word tells which it is and its offset. */
void apic_fill(struct apic *apic);
#define PAGE_WORD(offset)   (0x5a000000u | (offset))
#define MEMORY_WORD(offset) (0xac000000u | (offset))

/* Bits of VISR and VIRR. */
void apic_set(struct apic *apic, unsigned int base, u8 vector);
bool apic_has(const struct apic *apic, unsigned int base, u8 vector);

/* How many bits are set in VISR or VIRR. */
unsigned int apic_count(const struct apic *apic, unsigned int base);

#define STATUS(rvi, svi) ((u32)(svi) << 8 | (rvi))

/* apic_guest() with a vector requested and one in service, in the status and in the page; 0: none.
 */
struct apic *apic_guest_with(const void *code, const u32 *controls, u8 rvi, u8 svi);

/* L2 is at the HLT of a vector's handler: checks "id.exit" and "id.vector". */
bool apic_check_handler(struct apic *apic, u8 vector, const char *id);

/*
 * A limit of the IDT by which exceptions have gates and the vectors here have none: instead of an
 * interrupt there is an exit, by a #GP whose error code has IDT and EXT set.
 */
#define SHORT_IDT		 0x1ff
#define BEYOND_SHORT_IDT(vector) FAULT_GP((vector) << 3 | 3)

/* What its frame returns to. */
ulong apic_return_address(void);

/* L2's code: to VMCALL by a few instructions that nothing intercepts. */
extern const u8 apic_nops[], apic_wrmsr[], apic_rdmsr[];
extern const u8 apic_nops_end[], apic_wrmsr_end[], apic_rdmsr_end[];

/* Controls of virtual-interrupt delivery, registers by WRMSR or by memory. */
extern const u32 apic_delivery_x2apic[], apic_delivery_memory[];

#endif
