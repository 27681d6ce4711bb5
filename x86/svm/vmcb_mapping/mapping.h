/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical pages that SVM's structures are put at. All others keep a poison pattern that
 * is different in each page, so that what goes to a wrong page, or comes from one, is seen.
 */
#ifndef X86_SVM_VMCB_MAPPING_H
#define X86_SVM_VMCB_MAPPING_H

#include "paging.h"
#include "report.h"
#include "svm/guest.h"

#define GiB (1ull << 30)

/* Where a place is; the name is the subtest's. */
enum region {
	LOW,	   /* below 1 MiB */
	BELOW_1G,  /* each address bit up to 1 GiB */
	AT_1G,	   /* just below, at and above 1 GiB */
	BELOW_4G,  /* 2 GiB, and the last RAM below the PCI hole */
	AT_4G,	   /* 4 GiB and above */
	BEYOND_4G, /* each address bit above 4 GiB */
	LAST,	   /* the last page of RAM */
	RELATED,   /* no subtest's: what a place could be mistaken for */
};

/* An area is as long as the largest structure, the I/O permission map. */
#define AREA_PAGES 3

struct place {
	char name[20];
	enum region region;
	phys_addr physical;
	u8 *page; /* where it is mapped */
	phys_addr
	    start; /* of an area that has the page in it, and ends with it at the end of RAM */
	u8 *area;
	bool live; /* in use: not poison now */
};

/* What a place's address becomes by a mistake: a shift by the page's bits, or 32 bits kept. */
#define RELATIONS 3
struct relation {
	struct place *place;
	const char *how;
};

/* Makes all places; whoever needs memory besides asks for it later. */
void places_init(void);

/* Those of them that are places; returns how many. */
unsigned int related_places(const struct place *place, struct relation relations[RELATIONS]);

/*
 * A subtest for a region: runs the function for each of its places, all others being poison
 * at the beginning, and checks at the end that they are. Skipped where the region has no RAM
 * that this mode can reach, or with operand set no address that a register can hold.
 */
void for_each_place(enum region region, bool operand, void (*run)(struct place *place));

/* The pages of [start, start + pages) are in use; are poison again. */
void places_claim(phys_addr start, unsigned int pages);
void places_release(phys_addr start, unsigned int pages);

/*
 * One check, named id: the related places of a place, if not live, are poison, and so are those
 * words of all others that SVM would write first. The text of a failure says what was found where.
 */
void check_others(const struct place *place, const char *id);

/* The same for every word of every place. */
void check_all_poison(void);

/* The place at an address, or NULL; "0x2000000 (0x2000 << 12)". */
struct place *place_at(phys_addr physical);
int place_format(char *buffer, size_t size, phys_addr physical, const struct place *from);

/* One guest for all of this test; it runs with the host's FS, GS, TR and LDTR. */
struct svm_guest *mapping_guest(const void *code);

/* Puts the VMCB back to where it was made. */
void mapping_guest_home(void);

/*
 * A good VMCB, for a page's tag in RAX: its guest tells the tag in BX, and inverts RAX.
 * check_told() checks its exit, and whose guest it was that ran.
 */
struct svm_guest *telling_guest(void);
u32 tag_of(const struct place *place);
void check_told(struct svm_guest *guest, const struct place *place, const char *id);

#endif
