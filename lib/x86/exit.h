/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaving the machine. */
#ifndef LIB_X86_EXIT_H
#define LIB_X86_EXIT_H

#include "types.h"

/* Values for QEMU's debug-exit port; QEMU's exit status is 2n + 1. */
#define EXIT_DONE  0x2a
#define EXIT_CRASH 0x2b

/* Drains the console and ends the VMM, or halts where no VMM takes the hint. */
void machine_exit(u8 value) __noreturn;

#endif
