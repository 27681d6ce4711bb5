/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold after each run of a guest's guest, whatever it was about: what did not is written
 * down, and a subtest ends with one check that tells of the first.
 */
#ifndef LIB_X86_L2_INVARIANTS_H
#define LIB_X86_L2_INVARIANTS_H

#include "types.h"

/* Of one guest. */
struct l2_invariants {
	unsigned int runs;
	unsigned int violations; /* since the last check */
	unsigned int when;	 /* the first of them was: the number of the run, of all guests' */
	char expected[96], got[96]; /* the first of them */
	struct l2_invariants *next;
};

/* A guest was made; it runs, once more. */
void l2_invariants_add(struct l2_invariants *invariants);
void l2_invariants_run(struct l2_invariants *invariants);

/* exit: what the run has come to, in words. */
void l2_violation(struct l2_invariants *invariants, const char *what, u64 expected, u64 got,
		  const char *exit);

/*
 * One check, "invariants", that fails with the first violation, in time, of any guest since the
 * last call. None if no guest has run, as in a subtest that is skipped: it has nothing to say.
 */
void l2_check_invariants(void);

#endif
