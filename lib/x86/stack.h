/* SPDX-License-Identifier: BSD-2-Clause */
/* Stack traces by frame pointer: all of the library and the tests keep one. */
#ifndef LIB_X86_STACK_H
#define LIB_X86_STACK_H

#include "types.h"

/*
 * Return addresses of the frames from frame pointer bp on, innermost first, at
 * most max; returns how many. A broken chain ends the trace, it does not fault.
 */
unsigned int stack_trace(ulong bp, ulong *trace, unsigned int max);

#endif
