// SPDX-License-Identifier: BSD-2-Clause
#include "args.h"
#include "string.h"

#define DEFAULT_MEM (32ull << 20)

struct args args = { .cpus = 1, .mem = DEFAULT_MEM };

static char buffer[ARGS_SIZE];

/* Where the words after "trapline" begin: a boot loader puts its own in front. */
static const char *find_start(const char *text)
{
	const char *magic = "trapline";
	size_t length = strlen(magic);
	const char *found = text;

	while ((found = strstr(found, magic))) {
		bool starts = found == text || found[-1] == ' ';

		found += length;
		if (starts && (*found == ' ' || !*found))
			return found;
	}
	return NULL;
}

/* Cuts the next word off *text; NULL at the end. */
static char *next_word(char **text)
{
	char *word = *text, *end;

	while (*word == ' ')
		word++;
	if (!*word)
		return NULL;
	for (end = word; *end && *end != ' '; end++)
		;
	*text = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static const char *value_of(const char *word, const char *name)
{
	size_t length = strlen(name);

	return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static void parse_word(const char *word)
{
	const char *value;

	if ((value = value_of(word, "nonce")))
		args.nonce = strtoull(value, NULL, 16);
	else if ((value = value_of(word, "cpus")))
		args.cpus = strtoull(value, NULL, 10);
	else if ((value = value_of(word, "verbose")))
		args.verbose = *value == '1';
	else if ((value = value_of(word, "mem")))
		args.mem = strtoull(value, NULL, 10);
	else if ((value = value_of(word, "run")))
		args.run = value;
}

void args_parse(const char *text)
{
	const char *start = text ? find_start(text) : NULL;
	char *rest = buffer, *word;

	if (!start)
		return;
	strlcpy(buffer, start, sizeof(buffer));
	while ((word = next_word(&rest)) && strcmp(word, "--") != 0)
		parse_word(word);
	while (args.argc < ARGS_MAX_WORDS && (word = next_word(&rest)))
		args.argv[args.argc++] = word;
	if (!args.cpus)
		args.cpus = 1;
}

bool args_list_has(const char *list, unsigned int index)
{
	char *end;

	while (list && *list) {
		u64 first = strtoull(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoull(end + 1, &end, 10);
		if (index >= first && index <= last)
			return true;
		if (*end != ',')
			return false;
		list = end + 1;
	}
	return !list;
}

const char *args_value(const char *name)
{
	const char *value;

	for (unsigned int i = 0; i < args.argc; i++)
		if ((value = value_of(args.argv[i], name)))
			return value;
	return NULL;
}
