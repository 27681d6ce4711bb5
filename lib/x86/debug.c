// SPDX-License-Identifier: BSD-2-Clause
#include "debug.h"

void breakpoint_set(unsigned int n, ulong address, ulong rw, ulong len)
{
	ulong dr7 = read_dr7() & ~(DR7_RW(n, 3) | DR7_LEN(n, 3));

	switch (n) {
	case 0:
		write_dr0(address);
		break;
	case 1:
		write_dr1(address);
		break;
	case 2:
		write_dr2(address);
		break;
	default:
		write_dr3(address);
	}
	write_dr6(DR6_INITIAL);
	write_dr7(dr7 | DR7_L(n) | DR7_RW(n, rw) | DR7_LEN(n, len));
}

void breakpoints_clear(void)
{
	write_dr7(DR7_INITIAL);
	write_dr6(DR6_INITIAL);
}
