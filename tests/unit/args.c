// SPDX-License-Identifier: BSD-2-Clause
/* lib/args.c: what the runner writes is what the guest reads (docs/result-stream.md). */
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "tap.h"

#define DEFAULT_MEM (32ull << 20)

static const struct {
	const char *text;
	struct args expected;
} cases[] = {
	{ "trapline", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "no magic word nonce=1", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "traplines nonce=1", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "trapline nonce=5d41402abc4b2a76 cpus=2 run=0-3,7 verbose=1 mem=134217728 -- word more",
	  { .nonce = 0x5d41402abc4b2a76, .cpus = 2, .run = "0-3,7", .verbose = true,
	    .mem = 134217728, .argc = 2, .argv = { "word", "more" } } },
	{ "/boot/image.elf trapline nonce=7f",
	  { .nonce = 0x7f, .cpus = 1, .mem = DEFAULT_MEM } },
	{ "build/trapline/x trapline cpus=3", { .cpus = 3, .mem = DEFAULT_MEM } },
	{ "trapline  cpus=4   nonce=1 ", { .cpus = 4, .nonce = 1, .mem = DEFAULT_MEM } },
	{ "trapline verbose=0 cpus=0", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "trapline mem=6442450944", { .cpus = 1, .mem = 6442450944 } },
	{ "trapline unknown=1 nonces=2 cpu=8", { .cpus = 1, .mem = DEFAULT_MEM } },
	{ "trapline -- nonce=5 cpus=9",
	  { .cpus = 1, .mem = DEFAULT_MEM, .argc = 2, .argv = { "nonce=5", "cpus=9" } } },
	{ "trapline -- a -- b",
	  { .cpus = 1, .mem = DEFAULT_MEM, .argc = 3, .argv = { "a", "--", "b" } } },
	{ "trapline --", { .cpus = 1, .mem = DEFAULT_MEM } },
};

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void reset(void)
{
	guest_args = (struct args){ .cpus = 1, .mem = DEFAULT_MEM };
}

static bool same_args(const struct args *got, const struct args *expected)
{
	if (got->nonce != expected->nonce || got->cpus != expected->cpus ||
	    got->verbose != expected->verbose || got->mem != expected->mem ||
	    !same_text(got->run, expected->run) || got->argc != expected->argc)
		return false;
	for (unsigned int i = 0; i < got->argc; i++)
		if (!same_text(got->argv[i], expected->argv[i]))
			return false;
	return true;
}

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset();
		guest_args_parse(cases[i].text);
		if (!tap_ok(same_args(&guest_args, &cases[i].expected), "args_parse(\"%s\")",
			    cases[i].text))
			tap_note("got nonce=%#llx cpus=%u verbose=%d mem=%llu run=%s argc=%u",
				 (unsigned long long)guest_args.nonce, guest_args.cpus,
				 guest_args.verbose, (unsigned long long)guest_args.mem,
				 guest_args.run ? guest_args.run : "(null)", guest_args.argc);
	}
	reset();
	guest_args_parse(NULL);
	tap_ok(same_args(&guest_args, &cases[0].expected), "args_parse(NULL) leaves the defaults");
}

/* More words than there is room for: none is written past the array. */
static void test_many_words(void)
{
	char text[ARGS_SIZE] = "trapline --";

	for (unsigned int i = 0; i < 2 * ARGS_MAX_WORDS; i++)
		strcat(text, " w");
	reset();
	guest_args_parse(text);
	tap_number(guest_args.argc, ARGS_MAX_WORDS, "args_parse stops at the last word it can hold");
}

static const struct {
	const char *list;
	u32 members; /* bit n: index n is in the list */
} lists[] = {
	{ NULL, 0xffffffff },  { "0", 0x1 },	  { "0-3,7", 0x8f },   { "31", 0x80000000 },
	{ "1,3,5", 0x2a },     { "2-2", 0x4 },	  { "4-", 0x0 },       { "10-12,14-31", 0xffffdc00 },
	{ "100-200", 0x0 },    { "", 0x0 },	  { "0x1", 0x1 },      { "0-40", 0xffffffff },
};

static void test_lists(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		u32 members = 0;

		for (unsigned int index = 0; index < 32; index++)
			if (guest_args_list_has(lists[i].list, index))
				members |= 1u << index;
		tap_number(members, lists[i].members, "run=%s",
			   lists[i].list ? lists[i].list : "(not given)");
	}
}

static void test_values(void)
{
	reset();
	guest_args_parse("trapline -- poll=1 polling=2 empty= bare");
	tap_text(guest_args_value("poll"), "1", "args_value of a word");
	tap_text(guest_args_value("polling"), "2", "args_value of a word with the same start");
	tap_text(guest_args_value("empty"), "", "args_value of an empty value");
	tap_text(guest_args_value("bare"), NULL, "args_value of a word without a value");
	tap_text(guest_args_value("nonce"), NULL, "args_value knows the test's own words alone");
}

int main(void)
{
	test_parse();
	test_many_words();
	test_lists();
	test_values();
	return tap_done();
}
