// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "cpuid.h"
#include "la57.h"
#include "page_alloc.h"
#include "paging.h"
#include "selectors.h"
#include "smp.h"

#ifdef __x86_64__

bool la57_supported(void)
{
	return cpu_has(FEATURE_LA57);
}

struct mode {
	ulong cr3, cr4;
};

/*
 * Outside of 64-bit mode the upper halves of the registers are not kept, so what
 * a function has to preserve goes to the stack, which like the code lies below 4 GiB.
 */
static void switch_this_cpu(void *argument)
{
	const struct mode *mode = argument;
	ulong cr3 = mode->cr3, cr4 = mode->cr4;

	asm volatile("pushf\n\t"
		     "cli\n\t"
		     "push %%rbx\n\tpush %%rbp\n\t"
		     "push %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush %%r15\n\t"
		     "push %[cs32]\n\t"
		     "push $1f\n\t"
		     "lretq\n\t"
		     ".code32\n"
		     "1:\tmov %%cr0, %%eax\n\t"
		     "and $0x7fffffff, %%eax\n\t"
		     "mov %%eax, %%cr0\n\t"
		     "mov %%esi, %%cr4\n\t"
		     "mov %%edi, %%cr3\n\t"
		     "or $0x80000000, %%eax\n\t"
		     "mov %%eax, %%cr0\n\t"
		     "ljmpl %[cs], $2f\n\t"
		     ".code64\n"
		     "2:\tmov %%esp, %%esp\n\t"
		     "pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\t"
		     "pop %%rbp\n\tpop %%rbx\n\t"
		     "popf"
		     : "+D"(cr3), "+S"(cr4)
		     : [cs32] "i"(KERNEL_CS32), [cs] "i"(KERNEL_CS)
		     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
}

void la57_switch(bool on)
{
	static pte_t *root;
	static ulong root4;
	struct mode mode = { read_cr3(), read_cr4() };

	if (on == !!(mode.cr4 & CR4_LA57))
		return;
	if (on) {
		if (!root)
			root = page_alloc();
		root4 = mode.cr3;
		root[0] = root4 | PAGE_DEFAULT;
	}
	mode.cr3 = on ? (ulong)root : root4;
	mode.cr4 ^= CR4_LA57;
	on_all_cpus(switch_this_cpu, &mode);
}

#else

bool la57_supported(void)
{
	return false;
}

void la57_switch(bool on)
{
	(void)on;
}

#endif
