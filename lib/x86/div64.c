// SPDX-License-Identifier: BSD-2-Clause
/*
 * 64-bit division in the 32-bit modes: the compilers call these functions, which
 * elsewhere come from libgcc; a 32-bit one is not on every build machine.
 */
#ifndef __x86_64__
#include "types.h"

u64 __udivmoddi4(u64 value, u64 by, u64 *rest);
u64 __udivdi3(u64 value, u64 by);
u64 __umoddi3(u64 value, u64 by);
s64 __divdi3(s64 value, s64 by);
s64 __moddi3(s64 value, s64 by);

/* Two DIVs where the divisor has 32 bits, else one bit at a time. */
u64 __udivmoddi4(u64 value, u64 by, u64 *rest)
{
	u64 quotient = 0, remainder = 0;

	if (by >> 32 == 0) {
		u32 high = value >> 32, low = value, divisor = by, left;

		asm("divl %4"
		    : "=a"(low), "=d"(left)
		    : "a"(low), "d"(high % divisor), "r"(divisor)
		    : "cc");
		quotient = (u64)(high / divisor) << 32 | low;
		remainder = left;
	} else {
		for (int bit = 63; bit >= 0; bit--) {
			remainder = remainder << 1 | (value >> bit & 1);
			if (remainder >= by) {
				remainder -= by;
				quotient |= BIT_ULL(bit);
			}
		}
	}
	if (rest)
		*rest = remainder;
	return quotient;
}

u64 __udivdi3(u64 value, u64 by)
{
	return __udivmoddi4(value, by, NULL);
}

u64 __umoddi3(u64 value, u64 by)
{
	u64 rest;

	__udivmoddi4(value, by, &rest);
	return rest;
}

static u64 magnitude(s64 value)
{
	return value < 0 ? -(u64)value : (u64)value;
}

s64 __divdi3(s64 value, s64 by)
{
	u64 quotient = __udivdi3(magnitude(value), magnitude(by));

	return (value < 0) != (by < 0) ? -quotient : quotient;
}

/* The remainder has the sign of the dividend. */
s64 __moddi3(s64 value, s64 by)
{
	u64 rest = __umoddi3(magnitude(value), magnitude(by));

	return value < 0 ? -rest : rest;
}
#endif
