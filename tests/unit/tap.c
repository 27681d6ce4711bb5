// SPDX-License-Identifier: BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

static unsigned int results, failures;

static bool result(bool passed, const char *fmt, va_list args)
{
	results++;
	failures += !passed;
	printf("%s %u - ", passed ? "ok" : "not ok", results);
	vprintf(fmt, args);
	putchar('\n');
	return passed;
}

bool tap_ok(bool passed, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	result(passed, fmt, args);
	va_end(args);
	return passed;
}

void tap_note(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

bool tap_text(const char *got, const char *expected, const char *fmt, ...)
{
	bool passed = got && expected ? !strcmp(got, expected) : got == expected;
	va_list args;

	va_start(args, fmt);
	result(passed, fmt, args);
	va_end(args);
	if (!passed)
		tap_note("expected \"%s\", got \"%s\"", expected ? expected : "(null)",
			 got ? got : "(null)");
	return passed;
}

bool tap_number(unsigned long long got, unsigned long long expected, const char *fmt, ...)
{
	bool passed = got == expected;
	va_list args;

	va_start(args, fmt);
	result(passed, fmt, args);
	va_end(args);
	if (!passed)
		tap_note("expected %llu (%#llx), got %llu (%#llx)", expected, expected, got, got);
	return passed;
}

int tap_done(void)
{
	printf("1..%u\n", results);
	return failures != 0;
}
