/* SPDX-License-Identifier: BSD-2-Clause */
/* Formatted output. */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include "types.h"

/*
 * As in C, for %c %s %d %i %u %x %X %o %p %%, the flags "-", "0", "+", " " and
 * "#", width and precision (also "*"), and the sizes hh, h, l, ll, z, t and j. One
 * conversion more: %pe takes a const struct fault * (lib/fault.h) and prints
 * it as the manuals write it, "#GP(0x18)" or "no fault".
 *
 * Returns the length that the whole text has; a text that does not fit is cut
 * and always terminated.
 */
int vsnprintf(char *buffer, size_t size, const char *fmt, va_list args) __printf(3, 0);
int snprintf(char *buffer, size_t size, const char *fmt, ...) __printf(3, 4);

/* To the console. */
int printf(const char *fmt, ...) __printf(1, 2);
int vprintf(const char *fmt, va_list args) __printf(1, 0);

#endif
