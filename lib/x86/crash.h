/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a guest that cannot go on: the post-mortem of docs/result-stream.md. */
#ifndef LIB_X86_CRASH_H
#define LIB_X86_CRASH_H

#include "types.h"

struct trap_frame;

/* Says why, dumps every CPU's registers and stack, and leaves. For what a test cannot survive. */
void crash(const char *reason, ...) __printf(1, 2) __noreturn;

/* A trap that nobody wanted; and the NMI by which a crash stops the other CPUs. */
void crash_trap(const struct trap_frame *frame, ulong sp) __noreturn; /* sp: at the trap */
void crash_stop_cpu(const struct trap_frame *frame) __noreturn;

#endif
