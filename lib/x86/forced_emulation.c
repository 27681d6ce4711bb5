// SPDX-License-Identifier: BSD-2-Clause
#include "forced_emulation.h"

bool forced_emulation_available(void)
{
	static enum { UNKNOWN, ABSENT, PRESENT } state;

	if (state == UNKNOWN)
		state = fault_raised(fault_of_emulated("nop")) ? ABSENT : PRESENT;
	return state == PRESENT;
}
