/* SPDX-License-Identifier: BSD-2-Clause */
/* What the runner tells the guest; docs/result-stream.md, "Arguments". */
#ifndef LIB_ARGS_H
#define LIB_ARGS_H

#include "types.h"

#define ARGS_SIZE      2048
#define ARGS_MAX_WORDS 32

struct args {
	u64 nonce;
	unsigned int cpus;
	bool verbose;
	u64 mem;	  /* bytes */
	const char *run;  /* "0-3,7"; NULL: all */
	unsigned int argc; /* the test's own words */
	const char *argv[ARGS_MAX_WORDS];
};

extern struct args args;

/* Parses the argument block or a multiboot command line; NULL gives the defaults. */
void args_parse(const char *text);

/* Is index in a list like "0-3,7"? NULL holds everything. */
bool args_list_has(const char *list, unsigned int index);

/* The value of the test's word "name=value", NULL if there is none. */
const char *args_value(const char *name);

#endif
