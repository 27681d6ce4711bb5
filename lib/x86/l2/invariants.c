// SPDX-License-Identifier: BSD-2-Clause
#include "l2/invariants.h"
#include "printf.h"
#include "report.h"

static struct l2_invariants *all; /* guests that were made */
static unsigned int total_runs;

void l2_invariants_add(struct l2_invariants *invariants)
{
	invariants->next = all;
	all = invariants;
}

/* Guests of several CPUs may run at a time. */
void l2_invariants_run(struct l2_invariants *invariants)
{
	invariants->runs++;
	__atomic_add_fetch(&total_runs, 1, __ATOMIC_RELAXED);
}

void l2_violation(struct l2_invariants *invariants, const char *what, u64 expected, u64 got,
		  const char *exit)
{
	if (invariants->violations++)
		return;
	invariants->when = total_runs;
	snprintf(invariants->expected, sizeof(invariants->expected), "%s %#llx after exit %u", what,
		 expected, invariants->runs);
	snprintf(invariants->got, sizeof(invariants->got), "%#llx (%s)", got, exit);
}

void l2_check_invariants(void)
{
	static unsigned int checked_runs;
	const struct l2_invariants *first = NULL;

	if (total_runs == checked_runs)
		return;
	checked_runs = total_runs;
	for (const struct l2_invariants *one = all; one; one = one->next)
		if (one->violations && (!first || one->when < first->when))
			first = one;
	report_text(__FILE__, __LINE__, !first, first ? first->expected : "",
		    first ? first->got : "", "invariants");
	for (struct l2_invariants *one = all; one; one = one->next)
		one->violations = 0;
}
