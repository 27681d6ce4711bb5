/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug registers. SDM volume 3B, "Debug Registers"; APM volume 2, "Debug Registers". */
#ifndef LIB_X86_DEBUG_H
#define LIB_X86_DEBUG_H

#include "control.h"
#include "types.h"

/* What DR6 and DR7 hold after reset. */
#define DR6_INITIAL  0xffff0ff0ul
#define DR7_INITIAL  0x400ul

#define DR7_L(n)     (1ul << 2 * (n))
#define DR7_G(n)     (2ul << 2 * (n))

/* R/W and LEN of breakpoint n. */
#define DR7_EXECUTE  0ul
#define DR7_WRITE    1ul
#define DR7_IO	     2ul /* with CR4.DE */
#define DR7_ACCESS   3ul
#define DR7_LEN_1    0ul
#define DR7_LEN_2    1ul
#define DR7_LEN_8    2ul
#define DR7_LEN_4    3ul
#define DR7_RW(n, rw)	(((ulong)(rw)) << (16 + 4 * (n)))
#define DR7_LEN(n, len) (((ulong)(len)) << (18 + 4 * (n)))

/* Sets breakpoint n (enabled by L), leaving the others, and clears DR6. */
void breakpoint_set(unsigned int n, ulong address, ulong rw, ulong len);

/* All off, DR6 as after reset. */
void breakpoints_clear(void);

#endif
