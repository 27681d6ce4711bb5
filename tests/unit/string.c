// SPDX-License-Identifier: BSD-2-Clause
/* lib/string.c against the host's C library, over every small case there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "tap.h"

#define SIZE 24 /* of the buffers; lengths and offsets run over all that fit */

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void fill(u8 *buffer)
{
	for (int i = 0; i < SIZE; i++)
		buffer[i] = 0x80 + i * 7;
}

static void test_set_and_copy(void)
{
	u8 got[SIZE], expected[SIZE], source[SIZE];
	unsigned int set = 0, copied = 0, moved = 0, returned = 0;

	for (size_t to = 0; to < SIZE; to++) {
		for (size_t size = 0; to + size <= SIZE; size++) {
			fill(got);
			fill(expected);
			returned += guest_memset(got + to, 0x1a5, size) != got + to;
			set += memcmp(got, memset(expected + to, 0x1a5, size) - to, SIZE) != 0;

			fill(source);
			memset(got, 0, SIZE);
			memset(expected, 0, SIZE);
			returned += guest_memcpy(got + to, source, size) != got + to;
			memcpy(expected + to, source, size);
			copied += memcmp(got, expected, SIZE) != 0;

			for (size_t from = 0; from + size <= SIZE; from++) {
				fill(got);
				fill(expected);
				returned += guest_memmove(got + to, got + from, size) != got + to;
				memmove(expected + to, expected + from, size);
				moved += memcmp(got, expected, SIZE) != 0;
			}
		}
	}
	tap_number(set, 0, "memset: wrong results");
	tap_number(copied, 0, "memcpy: wrong results");
	tap_number(moved, 0, "memmove, overlapping both ways: wrong results");
	tap_number(returned, 0, "memset, memcpy, memmove return the destination");
}

/* Pairs of texts, for what compares, searches and measures. */
static const char *const texts[] = {
	"",    "a",	"b",	     "ab",	   "abc",    "abd",	  "abcabd",
	"aab", "aabab", "\x7f\x80",  "\xff",	   "\x80\1", "abcabcabd", "cab",
	"x=1", "x=12",	"trapline ", "nonce=5d41", "=",	     "--",	  "\1",
};

static void test_compare_and_search(void)
{
	unsigned int compared = 0, compared_n = 0, memory = 0, found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
			const char *a = texts[i], *b = texts[j];
			size_t shorter = MIN(strlen(a), strlen(b));

			compared += sign(guest_strcmp(a, b)) != sign(strcmp(a, b));
			for (size_t n = 0; n < 12; n++)
				compared_n += sign(guest_strncmp(a, b, n)) != sign(strncmp(a, b, n));
			for (size_t n = 0; n <= shorter; n++)
				memory += sign(guest_memcmp(a, b, n)) != sign(memcmp(a, b, n));
			found += guest_strstr(a, b) != strstr(a, b);
		}
	}
	tap_number(compared, 0, "strcmp: wrong results");
	tap_number(compared_n, 0, "strncmp: wrong results");
	tap_number(memory, 0, "memcmp: wrong results");
	tap_number(found, 0, "strstr: wrong results");
}

static void test_characters(void)
{
	unsigned int length = 0, limited = 0, found = 0, memory = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *s = texts[i];
		size_t size = strlen(s) + 1;

		length += guest_strlen(s) != strlen(s);
		for (size_t max = 0; max <= size + 1; max++)
			limited += guest_strnlen(s, max) != strnlen(s, max);
		for (int c = 0; c < 256; c++) {
			found += guest_strchr(s, c) != strchr(s, c);
			for (size_t n = 0; n <= size; n++)
				memory += guest_memchr(s, c, n) != memchr(s, c, n);
		}
	}
	tap_number(length, 0, "strlen: wrong results");
	tap_number(limited, 0, "strnlen: wrong results");
	tap_number(found, 0, "strchr, the terminator included: wrong results");
	tap_number(memory, 0, "memchr: wrong results");
}

/* strlcpy as its header describes it: the host's library may have none. */
static void test_bounded_copy(void)
{
	unsigned int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t length = strlen(texts[i]);

		for (size_t size = 0; size <= length + 2; size++) {
			char buffer[SIZE];
			size_t kept = MIN(length, size ? size - 1 : 0);

			memset(buffer, 'Z', sizeof(buffer));
			wrong += guest_strlcpy(buffer, texts[i], size) != length;
			wrong += memcmp(buffer, texts[i], kept) != 0;
			wrong += buffer[kept] != (size ? '\0' : 'Z');
			wrong += buffer[kept + 1] != 'Z';
		}
	}
	tap_number(wrong, 0, "strlcpy: wrong results");
}

static const struct {
	const char *text;
	unsigned int base;
} numbers[] = {
	{ "0", 0 },	 { "0", 10 },	    { "00", 0 },	 { "017", 0 },	  { "017", 10 },
	{ "08", 0 },	 { "0x", 0 },	    { "0x", 16 },	 { "0xg", 0 },	  { "0x1F", 0 },
	{ "0X1f", 16 },	 { "ffffffff", 16 }, { "deadBEEF.", 16 }, { "12ab", 10 }, { "", 0 },
	{ "x", 10 },	 { "1010", 2 },	    { "1012", 2 },	 { "9,10", 0 },	  { "3-7", 10 },
	{ "5d41402abc4b2a76", 16 },	    { "18446744073709551615", 10 },
	{ "4294967296", 0 },		    { "0xffffffffffffffff", 0 },
};

static void test_numbers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *text = numbers[i].text;
		char *got_end, *expected_end;
		u64 got = guest_strtoull(text, &got_end, numbers[i].base);
		u64 expected = strtoull(text, &expected_end, numbers[i].base);

		tap_ok(got == expected && got_end == expected_end, "strtoull(\"%s\", %u)", text,
		       numbers[i].base);
	}
	tap_number(guest_strtoull("77", NULL, 8), 63, "strtoull without an end pointer");
}

int main(void)
{
	test_set_and_copy();
	test_compare_and_search();
	test_characters();
	test_bounded_copy();
	test_numbers();
	return tap_done();
}
