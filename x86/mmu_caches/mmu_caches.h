/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this test share:
 * - frames (frames.c): physical pages whose content says which page it is;
 * - accesses (access.c): the six ways to touch a page, what they saw, what they
 *   should have seen, and the difference in words: a wrong, stale or aliased mapping;
 * - spaces (space.c): page tables of their own, which share the program's part with the
 *   start-up tables and have a large region that is free for tests.
 */
#ifndef X86_MMU_CACHES_H
#define X86_MMU_CACHES_H

#include "cpu.h"
#include "fault.h"
#include "paging.h"
#include "types.h"

#define ENTRIES	       (PAGE_SIZE / sizeof(pte_t))
#define PAGES_IN_LARGE ENTRIES /* 4 KiB pages of a LEVEL_2M page */

/* ---- frames ---- */

/*
 * Frames 0 to LOW_FRAMES - 1 are two large pages' worth of contiguous memory; those
 * that follow, if there are any, lie above 4 GiB.
 */
#define BLOCK(n)    ((n)*PAGES_IN_LARGE)
#define LOW_FRAMES  BLOCK(2)
#define HIGH_FRAMES 64
#define NO_FRAME    0xffffu

/* Idempotent; the other functions want it called before. */
void frames_init(void);
unsigned int high_frame_count(void);
phys_addr frame_physical(unsigned int frame);
unsigned int frame_at(phys_addr physical); /* NO_FRAME: it is none of them */

/* The frame at a linear address that is the same in all spaces. */
u8 *frame_alias(unsigned int frame);

/* The n-th of a mixture of low and high frames; different for n < 2 * HIGH_FRAMES. */
unsigned int frame_pick(unsigned int n);

/* What a frame holds: its tag in several places, code that returns it, a word for each CPU. */
u32 frame_tag(unsigned int frame);
unsigned int frame_of_tag(u32 tag);

/* What a read makes of a page whose first and last tag are two. */
#define TAG_TORN 1u
#define FRAME_MIDDLE	0x400
#define FRAME_CODE	0x800
#define FRAME_LAST	(PAGE_SIZE - 4)
#define FRAME_WORD(cpu) (0x200 + 4 * (cpu))

/* Writes the content anew, for a frame that was used for something else. */
void frame_fill(unsigned int frame);

/* ---- accesses ---- */

enum access { READ, WRITE, FETCH, USER_READ, USER_WRITE, USER_FETCH, ACCESSES };
extern const char *const access_names[ACCESSES];

/*
 * How many of them, from READ on, the subtests loop over that care about rights: all, or with the
 * test's word "memory" reads and writes only, where the stanza is about the memory there is.
 */
unsigned int access_kinds(void);

static inline bool access_is_write(enum access access)
{
	return access == WRITE || access == USER_WRITE;
}

/* What came of an access: a fault, or the frame that it reached. */
struct outcome {
	struct fault fault;
	unsigned int frame; /* NO_FRAME with a fault, or if the content is no frame's */
	u32 content;
};

/*
 * Touches a page by this CPU. A write leaves a new value in the CPU's word, and the
 * outcome names the frame in which it is found; the guesses are searched first.
 */
struct outcome access_page(ulong page, enum access access, unsigned int guess, unsigned int guess2);

/* Do both say the same? What content there was does not matter. */
static inline bool outcome_equal(const struct outcome *a, const struct outcome *b)
{
	return fault_equal(a->fault, b->fault) && a->frame == b->frame;
}

/*
 * What should come of it: SDM volume 3A, "Determination of Access Rights" and "Page-Fault
 * Exceptions". effective holds P, the rights of all levels combined, and PTE_BAD
 * if a reserved bit is set on the way.
 */
#define PTE_BAD ((pte_t)1 << 11)
struct outcome outcome_by_rights(pte_t effective, unsigned int frame, enum access access);

/* The same by a walk through the tables in memory, as the manual describes it. */
struct outcome outcome_by_walk(ulong page, enum access access);

/* The reserved bit that can be set in an entry, 0 if there is none at this level. */
pte_t reserved_bit(unsigned int level, bool leaf);

/* Notes that frame is mapped at page now, so that an aliased mapping can be told. */
void note_mapping(ulong page, unsigned int frame);

/* One CPU's accesses: how many there were, and the first that went wrong. */
struct sightings {
	unsigned int accesses, wrong;
	ulong page;
	enum access access;
	struct outcome expected, got;
	unsigned int before; /* the frame that was mapped there before, or NO_FRAME */
};

void sight(struct sightings *log, ulong page, enum access access, const struct outcome *expected,
	   const struct outcome *got, unsigned int before);

/* Accesses the page and compares with outcome_by_walk(). */
void sight_page(struct sightings *log, ulong page, enum access access, unsigned int before);

/* On the boot processor: a check that there were accesses and that none went wrong. */
#define check_sightings(log, ...) report_sightings(__FILE__, __LINE__, log, __VA_ARGS__)
bool report_sightings(const char *file, unsigned int line, const struct sightings *log,
		      const char *id, ...) __printf(4, 5);

/* One access as a check: against the walk, or against what the caller says. */
#define check_page(page, access, before, ...)                                                      \
	report_page(__FILE__, __LINE__, page, access, before, __VA_ARGS__)
bool report_page(const char *file, unsigned int line, ulong page, enum access access,
		 unsigned int before, const char *id, ...) __printf(6, 7);

/* ---- spaces ---- */

struct space {
	ulong cr3;
};

/* Tables of its own for the test region, nothing mapped there. Called, and left, outside of spaces.
 */
struct space space_new(void);

/* Loads CR3 on this CPU; space_leave() loads the program's own. */
void space_enter(const struct space *space);
void space_leave(void);

/* Frees all tables of the region. No CPU may be in the space. */
void space_free(const struct space *space);

/*
 * The n-th page of a level in the test region, each in tables of its own: where the mode has
 * the room, at every level. There are MAX_SLOTS; salt varies the lower indexes.
 */
#define MAX_SLOTS 400
ulong slot_address(unsigned int n, unsigned int level, unsigned int salt);

/*
 * Maps the page of this level that holds the frame, at a slot of the space that is
 * entered, and returns the linear address of the frame.
 */
ulong map_frame(ulong slot, unsigned int frame, unsigned int level, pte_t flags);

/*
 * New tables, the first of this level, that lead page to the frame; *leaf is the last one's
 * entry, if it is not NULL. tables_free() frees a table of this level and all that hang below it.
 */
pte_t *tables_new(unsigned int level, ulong page, unsigned int frame, pte_t **leaf);
void tables_free(pte_t *table, unsigned int level);

/* A subtest once more, with 5-level paging; skipped where the CPU has none. */
struct la57_subtest {
	void (*run)(const void *argument);
	const void *argument;
};
void test_with_la57(const void *subtest);

#define SUBTEST_LA57(name, run, argument)                                                          \
	SUBTEST_ARG(name, test_with_la57, (&(const struct la57_subtest){ run, argument }))

/* True if the CPU can execute-disable pages in this mode. */
bool nx_supported(void);

#if PAGING_LEVELS > 2
#define PTE_NX_IF_ANY PTE_NX
#else
#define PTE_NX_IF_ANY ((pte_t)0)
#endif

/* A small generator, for orders and addresses that are mixed but the same in each run. */
static inline u32 mix(u32 x)
{
	x = (x ^ x >> 16) * 0x45d9f3bu;
	x = (x ^ x >> 16) * 0x45d9f3bu;
	return x ^ x >> 16;
}

#endif
