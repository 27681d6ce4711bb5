/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that cover many cases each, where one for every case would be thousands. */
#ifndef LIB_TALLY_H
#define LIB_TALLY_H

#include "report.h"

/* A check that covers many accesses: it fails if one of them is wrong, and tells of the first. */
struct tally {
	unsigned int count, wrong;
	char expected[80], got[64];
};

/* problem is what was seen, or NULL if all was well; then what was expected. */
void tally_add(struct tally *tally, const char *problem, const char *expected, ...) __printf(3, 4);

#define check_tally(tally, ...)                                                                    \
	report_text(__FILE__, __LINE__, !(tally)->wrong, (tally)->expected, tally_got(tally),      \
		    __VA_ARGS__)

const char *tally_got(const struct tally *tally);

/* The fault as text, in a buffer that the next call fills again. */
const char *fault_text(struct fault fault);

/* One that has cases is reported; all start again. */
#define check_and_reset(tally, ...)                                                                \
	do {                                                                                       \
		if ((tally)->count)                                                                \
			check_tally(tally, __VA_ARGS__);                                           \
		(tally)->count = (tally)->wrong = 0;                                               \
	} while (0)

#endif
