/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How exceptions are caused: for each that a machine can be brought to raise, machine
 * code that raises it by what the manual gives as its reason, not by INT n. Tests
 * of exceptions loop over this table; SDM volume 3A, "Exception and Interrupt Reference".
 */
#ifndef LIB_X86_CAUSE_H
#define LIB_X86_CAUSE_H

#include "context.h"
#include "environment.h"
#include "fault.h"
#include "types.h"

/* What is to come of a cause in an environment. */
struct expected_trap {
	struct fault fault;
	ulong ip;
	ulong cr2;	/* for #PF */
};

struct cause {
	const char *name;	 /* unique for its vector */
	struct fault fault;	 /* in ring 0; a #PF from ring 3 has PF_USER as well */
	const char *code;
	unsigned int size;	 /* of code */
	unsigned int saved_ip;	 /* relative to code: 0 for faults, size for traps */
	unsigned int where;	 /* set of environments, see environment.h */
	u64 needs;		 /* a CPUID feature, or 0 */
	/* Both may be NULL. prepare() may change the context and what is expected of it. */
	void (*prepare)(struct context *context, const struct environment *environment,
			struct expected_trap *expected);
	void (*undo)(void);
};

extern const struct cause causes[];
extern const unsigned int cause_count;

#define for_each_cause(cause)                                                                      \
	for (const struct cause *cause = causes; cause < causes + cause_count; cause++)

static inline unsigned int cause_vector(const struct cause *cause)
{
	return fault_vector(cause->fault);
}

/* Can this environment, on this CPU, raise it? If not, *reason says why. */
bool cause_possible(const struct cause *cause, const struct environment *environment,
		    const char **reason);

/*
 * Makes everything ready and returns the context; after context_run(), or instead of
 * it, cause_undo() puts things back. Both leave the FPU's registers changed.
 */
struct context cause_prepare(const struct cause *cause, const struct environment *environment,
			     struct expected_trap *expected);
void cause_undo(const struct cause *cause);

/* The row of a vector with this name; the first one for NULL. Always there. */
const struct cause *cause_find(unsigned int vector, const char *name);

#endif
