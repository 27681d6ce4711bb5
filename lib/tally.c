// SPDX-License-Identifier: BSD-2-Clause
#include "printf.h"
#include "string.h"
#include "tally.h"

const char *fault_text(struct fault fault)
{
	static char text[24];

	fault_format(text, sizeof(text), fault);
	return text;
}

void tally_add(struct tally *tally, const char *problem, const char *expected, ...)
{
	va_list list;

	tally->count++;
	if (!problem || tally->wrong++)
		return;
	va_start(list, expected);
	vsnprintf(tally->expected, sizeof(tally->expected), expected, list);
	va_end(list);
	strlcpy(tally->got, problem, sizeof(tally->got));
}

const char *tally_got(const struct tally *tally)
{
	static char text[96];

	snprintf(text, sizeof(text), "%s (%u of %u wrong)", tally->got, tally->wrong, tally->count);
	return text;
}
