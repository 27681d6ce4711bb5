/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's string and memory functions, as far as guests need them. */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include "types.h"

void *memset(void *dest, int byte, size_t size);
void *memcpy(void *dest, const void *src, size_t size);
void *memmove(void *dest, const void *src, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *s, int byte, size_t size);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *needle);

/*
 * Copies at most size - 1 characters and always terminates. Returns the length
 * of src, so that a return value >= size tells of a cut.
 */
size_t strlcpy(char *dest, const char *src, size_t size);

/* Unsigned number in base 2 to 16, or by its prefix for base 0; *end is what follows. */
u64 strtoull(const char *s, char **end, unsigned int base);

#endif
