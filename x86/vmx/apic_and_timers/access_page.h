/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to the APIC-access page, and what becomes of them by the controls in use. SDM volume
 * 3C, "Virtualizing Memory-Mapped APIC Accesses".
 */
#ifndef X86_VMX_APIC_AND_TIMERS_ACCESS_PAGE_H
#define X86_VMX_APIC_AND_TIMERS_ACCESS_PAGE_H

#include "apic_and_timers.h"

/* Table "Exit Qualification for APIC-Access VM Exits" */
enum access_type {
	DATA_READ = 0,
	DATA_WRITE = 1,
	FETCH = 2,
	EVENT_DELIVERY = 3,
	PHYSICAL_EVENT_DELIVERY = 10, /* of a guest-physical address */
	PHYSICAL = 15,
};
#define ACCESS_QUALIFICATION(type, offset) ((u64)(type) << 12 | (offset))

/* The combinations of controls that matter. */
struct apic_set {
	const char *name;
	const u32 *controls;
	bool shadow, registers, delivery;
};
enum { SET_NONE, SET_SHADOW, SET_REGISTERS, SET_DELIVERY, SET_BOTH, APIC_SETS };
extern const struct apic_set apic_sets[APIC_SETS];

/* A guest of a set, both pages filled, but VISR 0; NULL without a skip if the CPU lacks a control.
 */
struct apic *access_guest(const struct apic_set *set, const void *code);

/* Runs code with BX at an offset of the page, AX a value. */
u32 access_run(struct apic *apic, const void *code, unsigned int offset, u32 value);

/* The first word of the RAM at the APIC-access address that was written; PAGE_SIZE if none was. */
unsigned int access_memory_touched(const struct apic *apic);

#endif
