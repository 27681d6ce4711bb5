/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, in xAPIC or x2APIC mode. SDM volume 3A, chapter "APIC". */
#ifndef LIB_X86_APIC_H
#define LIB_X86_APIC_H

#include "types.h"

#define APIC_DEFAULT_BASE	0xfee00000ul

/* Register offsets of xAPIC; the x2APIC MSR is 0x800 + offset / 16. */
#define APIC_ID			0x20
#define APIC_VERSION		0x30
#define APIC_TPR		0x80
#define APIC_PPR		0xa0
#define APIC_EOI		0xb0
#define APIC_LDR		0xd0
#define APIC_DFR		0xe0 /* xAPIC only */
#define APIC_SPIV		0xf0
#define APIC_ISR		0x100
#define APIC_TMR		0x180
#define APIC_IRR		0x200
#define APIC_ESR		0x280
#define APIC_ICR		0x300
#define APIC_ICR2		0x310 /* xAPIC only */
#define APIC_LVT_TIMER		0x320
#define APIC_LVT_LINT0		0x350
#define APIC_LVT_LINT1		0x360
#define APIC_LVT_ERROR		0x370
#define APIC_TIMER_INITIAL	0x380
#define APIC_TIMER_CURRENT	0x390
#define APIC_TIMER_DIVIDE	0x3e0
#define APIC_SELF_IPI		0x3f0 /* x2APIC only */

/* ICR */
#define APIC_DELIVERY_FIXED	(0u << 8)
#define APIC_DELIVERY_LOWEST	(1u << 8)
#define APIC_DELIVERY_NMI	(4u << 8)
#define APIC_DELIVERY_INIT	(5u << 8)
#define APIC_DELIVERY_STARTUP	(6u << 8)
#define APIC_DEST_LOGICAL	(1u << 11)
#define APIC_PENDING		(1u << 12)
#define APIC_ASSERT		(1u << 14)
#define APIC_LEVEL		(1u << 15)
#define APIC_SHORTHAND_SELF	(1u << 18)
#define APIC_SHORTHAND_ALL	(2u << 18)
#define APIC_SHORTHAND_OTHERS	(3u << 18)

/* LVT */
#define APIC_LVT_MASKED		(1u << 16)
#define APIC_TIMER_ONESHOT	(0u << 17)
#define APIC_TIMER_PERIODIC	(1u << 17)
#define APIC_TIMER_DEADLINE	(2u << 17)

#define APIC_SPIV_ENABLE	(1u << 8)

/* Divide configuration for dividing by 1. */
#define APIC_DIVIDE_BY_1	0xb

/* The vector that the lib gives to spurious interrupts. */
#define APIC_SPURIOUS_VECTOR	0xff

/* True while the calling CPU's APIC is in x2APIC mode. */
bool apic_is_x2apic(void);

u32 apic_read(unsigned int offset);
void apic_write(unsigned int offset, u32 value);

/* Sends an IPI: dest is a (logical or physical) APIC id; waits for the ICR to be idle first. */
void apic_icr_write(u32 dest, u32 command);

u32 apic_id(void);
void apic_eoi(void);

/* Software-enables the calling CPU's APIC with all LVTs masked. Idempotent. */
void apic_enable(void);

/*
 * Changes the calling CPU's APIC to x2APIC mode. The way back leads through disabled, and
 * Bochs does not enable an APIC again that was disabled: no test should need it.
 */
void apic_enable_x2apic(void);

/* True if vector is set in the 256-bit register (APIC_IRR, APIC_ISR, APIC_TMR). */
bool apic_vector_bit(unsigned int offset, unsigned int vector);

/* One-shot timer interrupt after count bus clocks (divided by 1), or stops it with count 0. */
void apic_timer_oneshot(u8 vector, u32 count);

#endif
