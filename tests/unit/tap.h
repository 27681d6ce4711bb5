/* SPDX-License-Identifier: BSD-2-Clause */
/* Test Anything Protocol output for the programs that test lib/ on the build host. */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdbool.h>

/* One result line; the description is a printf format. Returns passed. */
bool tap_ok(bool passed, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A comment line below a result, to say what was expected. */
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A text compared; on a difference both are shown. */
bool tap_text(const char *got, const char *expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A number compared; on a difference both are shown. */
bool tap_number(unsigned long long got, unsigned long long expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints the plan. Returns the exit status for main: 0 if nothing failed. */
int tap_done(void);

#endif
