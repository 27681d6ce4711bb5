// SPDX-License-Identifier: BSD-2-Clause
#include "extable.h"
#include "stack.h"

static bool load(ulong address, ulong *value)
{
	struct fault fault;

	asm volatile(TRY("mov (%[address]), %[value]")
		     : TRY_RESULT(fault), [value] "=&r"(*value)
		     : [address] "r"(address)
		     : "memory");
	return !fault_raised(fault);
}

static bool is_code(ulong address)
{
	extern u8 text_start[], text_end[];

	return address >= (ulong)text_start && address < (ulong)text_end;
}

unsigned int stack_trace(ulong bp, ulong *trace, unsigned int max)
{
	unsigned int depth = 0;
	ulong next, return_address;

	while (depth < max && bp % sizeof(ulong) == 0 && load(bp, &next) &&
	       load(bp + sizeof(ulong), &return_address) && is_code(return_address)) {
		trace[depth++] = return_address;
		/* Frames lie at ascending addresses. */
		if (next <= bp)
			break;
		bp = next;
	}
	return depth;
}
