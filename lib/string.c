// SPDX-License-Identifier: BSD-2-Clause
#include "string.h"

/*
 * The memory functions use string instructions: on a hypervisor that emulates
 * every instruction, one REP is far cheaper than a loop, and words are cheaper than bytes.
 */
#ifdef __x86_64__
#define WORD "q"
#else
#define WORD "l"
#endif

void *memset(void *dest, int byte, size_t size)
{
	ulong word = (u8)byte * (~0ul / 0xff);
	size_t words = size / sizeof(word);
	void *d = dest;

	size %= sizeof(word);
	asm volatile("rep stos" WORD : "+D"(d), "+c"(words) : "a"(word) : "memory");
	asm volatile("rep stosb" : "+D"(d), "+c"(size) : "a"(word) : "memory");
	return dest;
}

void *memcpy(void *dest, const void *src, size_t size)
{
	size_t words = size / sizeof(ulong);
	void *d = dest;

	size %= sizeof(ulong);
	asm volatile("rep movs" WORD : "+D"(d), "+S"(src), "+c"(words) : : "memory");
	asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(size) : : "memory");
	return dest;
}

void *memmove(void *dest, const void *src, size_t size)
{
	u8 *d = dest;
	const u8 *s = src;

	if (d <= s || d >= s + size)
		return memcpy(dest, src, size);
	while (size--)
		d[size] = s[size];
	return dest;
}

int memcmp(const void *a, const void *b, size_t size)
{
	typedef ulong __attribute__((may_alias, aligned(1))) word;
	const u8 *x = a, *y = b;

	while (size >= sizeof(word) && *(const word *)x == *(const word *)y) {
		x += sizeof(word);
		y += sizeof(word);
		size -= sizeof(word);
	}
	for (; size; size--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memchr(const void *s, int byte, size_t size)
{
	const u8 *p = s;

	for (; size; size--, p++)
		if (*p == (u8)byte)
			return (void *)p;
	return NULL;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return p - s;
}

size_t strnlen(const char *s, size_t max)
{
	size_t length = 0;

	while (length < max && s[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t max)
{
	for (; max; max--, a++, b++)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

char *strstr(const char *s, const char *needle)
{
	size_t length = strlen(needle);

	for (; strncmp(s, needle, length); s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

size_t strlcpy(char *dest, const char *src, size_t size)
{
	size_t length = strlen(src), n = MIN(length, size - 1);

	if (size) {
		memcpy(dest, src, n);
		dest[n] = '\0';
	}
	return length;
}

static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

u64 strtoull(const char *s, char **end, unsigned int base)
{
	u64 value = 0;

	if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x' &&
	    digit_value(s[2]) < 16) {
		s += 2;
		base = 16;
	} else if (base == 0) {
		base = s[0] == '0' ? 8 : 10;
	}
	for (; digit_value(*s) < base; s++)
		value = value * base + digit_value(*s);
	if (end)
		*end = (char *)s;
	return value;
}
