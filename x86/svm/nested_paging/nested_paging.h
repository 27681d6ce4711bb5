/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A place in L2's address space whose translation is a test's to change: linear address
 * LINEAR, guest physical address GUEST_PHYSICAL, and pages of RAM behind it. Nothing else
 * of L2 shares an entry with it, at any level below PML4.
 */
#ifndef NESTED_PAGING_H
#define NESTED_PAGING_H

#include "paging.h"
#include "svm/test.h"

#define NESTED_LEVELS  PAGING_LEVELS /* nested tables have the host's format: 15.25.3 */
#define LINEAR	       0xd0000000ul
#define GUEST_PHYSICAL 0x50000000ull

enum access { READ, WRITE, FETCH, ACCESSES };

/* Which of the two kinds of nested walk reaches GUEST_PHYSICAL. 15.25.6 */
enum walk {
	FINAL, /* the access itself */
	TABLE, /* the CPU's, to the entry of L2's table that maps LINEAR */
	WALKS,
};

extern const char *const access_names[ACCESSES], *const walk_names[WALKS];

struct place {
	struct svm_guest *guest;
	u32 *page; /* what GUEST_PHYSICAL is mapped to at first */
	u32 *data; /* what LINEAR reads: page, or for TABLE the page of the entry in page */
	u64 guest_physical; /* GUEST_PHYSICAL, unless a test puts it elsewhere */
};

/* A guest with nested paging and the place; false with the subtest skipped if there is none. */
bool place_make(struct place *place, enum walk walk);

/* Sets all anew: L2's registers, both kinds of tables, RIP at the code of an access. */
void place_again(struct place *place, enum walk walk, enum access access);

/* What is read there, and what L2 writes. */
#define READ_VALUE  0x5eadbeefu
#define WRITE_VALUE 0x3717e000u

#endif
