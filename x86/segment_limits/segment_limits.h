/* SPDX-License-Identifier: BSD-2-Clause */
/* What the subjects of segment_limits share: the rule, the memory, running an instruction. */
#ifndef SEGMENT_LIMITS_H
#define SEGMENT_LIMITS_H

#include "context.h"
#include "descriptor.h"
#include "limit_rule.h"
#include "paging.h"
#include "tally.h"
#include "types.h"

#define TEST_SEGMENT (TEST_SELECTOR(0) | 3) /* the segment under test */

#define DATA_UP	     (DESC_PRESENT | DESC_DPL3 | DESC_DATA_WRITABLE | DESC_ACCESSED)
#define DATA_DOWN    (DATA_UP | DESC_DATA_DOWN)
#define CODE	     (DESC_PRESENT | DESC_DPL3 | DESC_CODE_READABLE | DESC_ACCESSED)

/*
 * Every access goes to the same memory, target(): it is the segment's base that
 * moves, so that the offset under test lies there. Code is in the page below it,
 * within reach of small code segments.
 */
#define TARGET_SIZE 512
#define GUARD	    16 /* bytes on either side that no access may change */

extern struct arena {
	u8 code[PAGE_SIZE];
	u8 memory[GUARD + TARGET_SIZE + GUARD] __aligned(64);
} arena;

static inline u8 *target(void)
{
	return &arena.memory[GUARD];
}

/*
 * Fills the memory with a pattern: valid operands of LFS, BOUND and FXRSTOR. memory_set()
 * puts another operand at target() and into the pattern; memory_restore() writes the pattern again.
 */
void memory_init(void);
void memory_set(const void *operand, unsigned int size);
void memory_restore(void);
u32 pattern_dword(unsigned int index);

/* Does memory differ from the pattern between these offsets from target? */
bool memory_changed(int from, int to);

/*
 * Every case is executed by the CPU and, where KVM's forced emulation is available, by its
 * emulator: one right behind the other, with the same code and the same memory.
 */
enum way { BY_CPU, EMULATED, WAYS };

extern const char *const way_prefix[WAYS]; /* of the ids of checks */

/* How many there are. Says once, in a diagnostic, that there is no emulator. */
unsigned int ways(void);

#define for_each_way(way) for (unsigned int way = 0; way < ways(); way++)

/*
 * An instruction in arena.code, followed by a UD2. The emulator's way begins at the prefix
 * in front of it: its faults and its end have the same EIP as the CPU's.
 */
#define SLOT_SIZE 32

struct slot {
	u8 *start;
	unsigned int length; /* without the UD2 */
};

/* Writes forced emulation prefix, [prefix, if not 0,] code and UD2 to slot number index. */
struct slot slot_write(unsigned int index, u8 prefix, const char *code, unsigned int length);

/* Ring 3 and 32-bit code (compatibility mode under x86_64), registers that are all different. */
struct context slot_context(const struct slot *slot);

/* The same in ring 0. */
struct context slot_context_ring0(const struct slot *slot);

/* In the code segment under test, with this base: ip and end are offsets in it. */
void slot_move(struct context *context, const struct slot *slot, u32 base);

/* The name of a register that differs, or NULL; ESP, SS and RF are not compared. */
const char *register_changed(const struct context *before, const struct context *after);

/* What one way came to. */
struct outcome {
	struct fault fault;
	struct context after;
	u8 memory[sizeof(arena.memory)]; /* if there are two ways: to be compared */
};

/* Runs a slot's context, whose ip is that of the instruction; arena.memory is as it left it. */
void run_way(enum way way, const struct context *before, struct outcome *outcome);

/*
 * How the emulator's outcome differs from the CPU's: a text that the next call overwrites,
 * or NULL. Registers are compared as by register_changed(), and memory between these offsets
 * from target().
 */
const char *outcomes_differ(const struct outcome outcomes[WAYS], int from, int to);

/*
 * Does the instruction run at all, here in flat segments? If not, its matrix has nothing to
 * tell that way; false if there is none left. What KVM's emulator lacks (#UD) is skipped,
 * what a CPU lacks is a failure. The id is "[emulated.]ID.flat".
 */
bool check_runs(const struct context *start, bool runs[WAYS], const char *id, ...)
	__printf(3, 4);

/* The checks of a row of cases. */
struct tallies {
	struct tally within[WAYS], beyond[WAYS]; /* against the manual's rule */
	struct tally cached[WAYS]; /* the same, of code that was executed before */
	struct tally agree;	   /* the emulator against the CPU */
};

/*
 * Reports those that have cases, and starts again: "[emulated.]ID.within" and so on, and
 * "emulated.ID.agree".
 */
#define check_row(tallies, id, ...)                                                                \
	do {                                                                                       \
		for_each_way(way_) {                                                               \
			const char *prefix_ = way_prefix[way_];                                    \
                                                                                                   \
			check_and_reset(&(tallies)->within[way_], "%s" id ".within", prefix_,      \
					__VA_ARGS__);                                              \
			check_and_reset(&(tallies)->beyond[way_], "%s" id ".beyond", prefix_,      \
					__VA_ARGS__);                                              \
			check_and_reset(&(tallies)->cached[way_], "%s" id ".cached", prefix_,      \
					__VA_ARGS__);                                              \
		}                                                                                  \
		check_and_reset(&(tallies)->agree, "emulated." id ".agree", __VA_ARGS__);          \
	} while (0)

/* Cases that the manual leaves open: counted and compared, not judged. */
struct open {
	unsigned int count[WAYS], faults[WAYS];
	struct tally agree;
};

void open_add(struct open *open, enum way way, struct fault fault);

/* In diagnostics; the cases are accesses that WHAT. */
void open_tell(const struct open *open, const char *what);

#endif
