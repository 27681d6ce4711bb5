/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A place in L2's address space whose translation is a test's to change: linear address
 * LINEAR, guest-physical address GUEST_PHYSICAL, and pages of RAM behind it. Nothing else
 * of L2 shares an entry with it, at any level below the PML4.
 */
#ifndef EPT_H
#define EPT_H

#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "vmx/ept.h"
#include "vmx/test.h"

#define EPT_LEVELS     4
#define LINEAR	       0xd0000000ul
#define GUEST_PHYSICAL 0x50000000ull

enum access { READ, WRITE, FETCH, ACCESSES };

/* Which translation of a guest-physical address reaches GUEST_PHYSICAL. */
enum walk {
	FINAL, /* that of the access itself */
	TABLE, /* that of the entry of L2's table that maps LINEAR */
	WALKS,
};

extern const char *const access_names[ACCESSES], *const walk_names[WALKS];

struct place {
	struct vmx_guest *guest;
	u32 *page; /* what GUEST_PHYSICAL is mapped to at first */
	u32 *data; /* what LINEAR reads: page, or for TABLE the page of the entry in page */
	u64 physical; /* where the access goes: GUEST_PHYSICAL, but for tests of large pages */
	u64 eptp_flags;
};

/* A guest with EPT and the place; false with the subtest skipped if there is none. */
bool place_make(struct place *place, enum walk walk);

/* The same with accessed and dirty flags on; clearing them in the entries of the place. */
bool place_make_with_flags(struct place *place, enum walk walk);
void place_clear_flags(const struct place *place);

/*
 * Sets all anew: L2's registers, both kinds of tables, RIP at the code of an access; no
 * translation is cached. place_code() has code of a test's own.
 */
void place_again(struct place *place, enum walk walk, enum access access);
void place_code(struct place *place, enum walk walk, const void *code);

/*
 * place_again() with the place's page inside of a large page of EPT, which has these rights and
 * neither flag; false with the subtest skipped if the CPU has none of that level.
 */
bool place_large(struct place *place, enum access access, unsigned int level, u64 rights);

/* The EPT entry for the place at a level; writing it flushes. */
u64 place_entry(const struct place *place, unsigned int level);
void place_set(const struct place *place, unsigned int level, u64 entry);

/* Did the access happen, and the guest end where it should? */
void place_check_done(const struct place *place, enum access access, const char *id);

/* The exit is an EPT violation with this qualification, at the place. */
void place_check_violation(const struct place *place, enum walk walk, enum access access,
			   u64 qualification, const char *id);

/* Is an entry with these rights an EPT misconfiguration? */
bool ept_is_misconfigured(unsigned int rights);
extern const char *const rights_names[8];

/*
 * EPT violations and misconfigurations save RF as 1 if no event was being delivered, as a fault
 * would: "Saving RIP, RSP, RFLAGS, and SSP". L2 has entered with 0.
 */
void place_check_rf(const char *id);

/* IA32_VMX_EPT_VPID_CAP; skips the subtest if a capability is missing. */
u64 ept_capabilities(void);
bool ept_needs(u64 capability, const char *name);

/* What is read there, and what L2 writes. */
#define READ_VALUE  0x5eadbeefu
#define WRITE_VALUE 0x3717e000u

#endif
