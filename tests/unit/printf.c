// SPDX-License-Identifier: BSD-2-Clause
/*
 * lib/printf.c against the host's snprintf: every combination of flags, width,
 * precision, size and conversion over values at the edges. Conversions that C
 * leaves open, or does not have, are compared with what lib/printf.h says.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "tap.h"

static const char *const flag_sets[] = {
	"", "-", "0", "+", " ", "#", "-0", "+0", " 0", "#0", "-+", "- ", "-#", "+ ", "+-0#",
};
static const char *const widths[] = { "", "1", "5", "12", "31" };
static const char *const precisions[] = { "", ".", ".0", ".1", ".4", ".22" };

static const unsigned long long values[] = {
	0,	     1,		  7,	      8,	  9,	    10,	       15,
	16,	     127,	  128,	      255,	  256,	    32767,     32768,
	65535,	     65536,	  0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 9999999999,
	0xfffffff6,  0x123456789abcdef0,      0x7fffffffffffffff, 0x8000000000000000,
	0xffffffffffffffff,
};

/* Both printers on the same arguments; true if text and length agree. */
#define SAME(fmt, ...)                                                                             \
	({                                                                                         \
		char got[128], expected[128];                                                      \
		int got_length = guest_snprintf(got, sizeof(got), fmt, ##__VA_ARGS__);             \
		int length = snprintf(expected, sizeof(expected), fmt, ##__VA_ARGS__);             \
		bool same = got_length == length && !strcmp(got, expected);                        \
                                                                                                   \
		if (!same)                                                                         \
			tap_note("\"%s\": expected \"%s\", got \"%s\"", fmt, expected, got);       \
		same;                                                                              \
	})

enum argument { INT, LONG, LONG_LONG, SIZE };

static bool same_number(const char *fmt, enum argument argument, unsigned long long value)
{
	switch (argument) {
	case INT:
		return SAME(fmt, (unsigned int)value);
	case LONG:
		return SAME(fmt, (unsigned long)value);
	case SIZE:
		return SAME(fmt, (size_t)value);
	default:
		return SAME(fmt, value);
	}
}

static const struct {
	const char *text;
	enum argument argument;
} sizes[] = {
	{ "hh", INT }, { "h", INT },  { "", INT },   { "l", LONG },
	{ "ll", LONG_LONG }, { "j", LONG_LONG }, { "z", SIZE }, { "t", SIZE },
};

/* Runs one conversion through all flags, widths and precisions. */
#define FOR_EACH_FORMAT(fmt, tail)                                                                 \
	for (size_t f = 0; f < ARRAY_SIZE(flag_sets); f++)                                         \
		for (size_t w = 0; w < ARRAY_SIZE(widths); w++)                                    \
			for (size_t p = 0; p < ARRAY_SIZE(precisions); p++)                        \
				if (snprintf(fmt, sizeof(fmt), "[%%%s%s%s%s]", flag_sets[f],       \
					     widths[w], precisions[p], tail) > 0)

static void test_integers(void)
{
	for (const char *conversion = "diuxXo"; *conversion; conversion++) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			unsigned int wrong = 0, compared = 0;
			char tail[8], fmt[40];

			snprintf(tail, sizeof(tail), "%s%c", sizes[s].text, *conversion);
			FOR_EACH_FORMAT(fmt, tail)
				for (size_t v = 0; v < ARRAY_SIZE(values) && wrong < 5; v++, compared++)
					wrong += !same_number(fmt, sizes[s].argument, values[v]);
			tap_ok(!wrong, "%%%s as the host prints it, %u cases", tail, compared);
		}
	}
}

static void test_text(void)
{
	static const char *const texts[] = { "", "a", "trap", "a longer text" };
	unsigned int wrong = 0;
	char fmt[40];

	FOR_EACH_FORMAT(fmt, "s")
		for (size_t i = 0; i < ARRAY_SIZE(texts) && wrong < 5; i++)
			wrong += !SAME(fmt, texts[i]);
	tap_ok(!wrong, "%%s as the host prints it");

	wrong = 0;
	FOR_EACH_FORMAT(fmt, "c")
		if (wrong < 5)
			wrong += !SAME(fmt, 'x');
	tap_ok(!wrong, "%%c as the host prints it");

	tap_ok(SAME("%.3s|", "abcdef"), "%%.3s stops after three characters");
	tap_ok(SAME("%*d|%-*d|%*d|", 6, 42, 6, 42, -6, 42), "a width given as an argument");
	tap_ok(SAME("%.*d|%.*d|%.*s|", 4, 42, -4, 42, 2, "abc"), "a precision given as an argument");
	tap_ok(SAME("100%% of %d%%", 3), "%%%%");
	tap_ok(SAME("%d %s %c %llx %u %ld", -1, "two", '3', 4ull, 5u, -6l), "several arguments");
	tap_ok(SAME("%s", ""), "nothing at all");
}

static void test_cut(void)
{
	unsigned int wrong = 0;

	for (size_t size = 0; size < 12; size++) {
		char got[16], expected[16];

		memset(got, 'Z', sizeof(got));
		memset(expected, 'Z', sizeof(expected));
		wrong += guest_snprintf(got, size, "%s=%04x", "word", 0xbeef) != 9;
		wrong += snprintf(expected, size, "%s=%04x", "word", 0xbeef) != 9;
		wrong += memcmp(got, expected, sizeof(got)) != 0;
	}
	tap_number(wrong, 0, "a text that does not fit is cut, terminated and measured");
}

static void print(char *buffer, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	guest_vsnprintf(buffer, size, fmt, args);
	va_end(args);
}

static void test_own(void)
{
	struct fault gp = FAULT_GP(0x18), none = NO_FAULT;
	char text[64];

	print(text, sizeof(text), "%p", (void *)0x1234ab);
	tap_text(text, "0x1234ab", "%%p");
	print(text, sizeof(text), "%s", (char *)NULL);
	tap_text(text, "(null)", "%%s of a null pointer");
	print(text, sizeof(text), "%pe|%pe", &gp, &none);
	tap_text(text, "#GP(0x18)|no fault", "%%pe");
	print(text, sizeof(text), "[%12pe]", &gp);
	tap_text(text, "[   #GP(0x18)]", "%%pe with a width");
	print(text, sizeof(text), "a%y", 1);
	tap_text(text, "a%y", "an unknown conversion is shown");
	print(text, sizeof(text), "a%");
	tap_text(text, "a", "a lone %% at the end does not run on");
}

/* What the guest's printf hands to its console. */
static char console[1024];
static size_t console_length;

void guest_console_write(const char *s, size_t size);
void guest_console_write(const char *s, size_t size)
{
	memcpy(console + console_length, s, MIN(size, sizeof(console) - 1 - console_length));
	console_length += size;
}

static void test_console(void)
{
	char line[700];

	tap_number(guest_printf("%d subtests\n", 3), 11, "printf returns the length");
	tap_text(console, "3 subtests\n", "printf writes to the console");

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	console_length = 0;
	guest_printf("%s", line);
	tap_ok(console_length < sizeof(line) && console_length > 0 && console[0] == 'x',
	       "a line longer than printf's buffer is cut");
}

int main(void)
{
	test_integers();
	test_text();
	test_cut();
	test_own();
	test_console();
	return tap_done();
}
