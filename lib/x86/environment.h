/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environments in which code can run: the ring, and the size of its code
 * segment. Tests of the CPU's behaviour loop over them with the same machine code, which
 * means the same in 32-bit and in 64-bit code as long as it addresses memory by one register.
 */
#ifndef LIB_X86_ENVIRONMENT_H
#define LIB_X86_ENVIRONMENT_H

#include "context.h"
#include "types.h"

/* As a set: what an environment is. */
#define ENV_KERNEL 0x1
#define ENV_USER   0x2
#define ENV_CODE64 0x4
#define ENV_COMPAT 0x8 /* 32-bit code under a 64-bit kernel */
#define ENV_LEGACY 0x10 /* 32-bit code under a 32-bit kernel */
#define ENV_CODE32 (ENV_COMPAT | ENV_LEGACY)
#define ENV_ANY	   0x1f

struct environment {
	const char *name; /* "kernel", "user", "compat" (ring 3), "kernel-compat" (ring 0) */
	unsigned int is;
	struct context (*context)(const void *ip);
};

extern const struct environment environments[];
extern const unsigned int environment_count;

static inline bool environment_is_user(const struct environment *environment)
{
	return environment->is & ENV_USER;
}

/* Is everything that environment is within the set? */
static inline bool environment_in(const struct environment *environment, unsigned int set)
{
	return !(environment->is & ~set);
}

#define for_each_environment(environment)                                                          \
	for (const struct environment *environment = environments;                                 \
	     environment < environments + environment_count; environment++)

/* Room for the machine code of one context; each CPU has one. */
#define CODE_SIZE 256

/*
 * Copies machine code to where every environment can run it, and puts a UD2
 * behind it. The context starts at it and ends at that UD2, or with any exception, #DF too.
 */
struct context environment_context(const struct environment *environment, const void *code,
				   size_t size);

#endif
