// SPDX-License-Identifier: BSD-2-Clause
#include "extable.h"
#include "kvm_para.h"

/* The number is in EAX, where a fault would be reported: the result moves to EDI first. */
#define HYPERCALL(instruction)                                                                     \
	asm volatile("771: " instruction "\n"                                                      \
		     "mov %%" AX ", %[result]\n"                                                   \
		     "movl $0, %%eax\n"                                                            \
		     "772:\n"                                                                      \
		     ".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 771b, 772b\n"              \
		     ".popsection\n"                                                               \
		     : "=a"(value), [result] "=&D"(result)                                         \
		     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d)                                 \
		     : "memory")

#ifdef __x86_64__
#define AX "rax"
#else
#define AX "eax"
#endif

long kvm_hypercall(ulong number, ulong a, ulong b, ulong c, ulong d, struct fault *fault)
{
	ulong value;
	long result = 0;

	if (cpu_is_amd())
		HYPERCALL("vmmcall");
	else
		HYPERCALL("vmcall");
	fault->value = value;
	return fault_raised(*fault) ? -1 : result;
}
