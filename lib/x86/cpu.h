/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU has for itself. It is found by SGDT, since each CPU's GDT is the
 * first member of its struct cpu: no test can destroy that by loading %gs, and
 * a CPU without its GDT could not take a trap either.
 */
#ifndef LIB_X86_CPU_H
#define LIB_X86_CPU_H

#include "descriptor.h"
#include "trap.h"
#include "tss.h"

#define MAX_CPUS	64

#define STACK_SIZE	16384 /* each CPU's main stack, below it a guard page */
#define TRAP_STACK_SIZE 4096  /* the stack of #DF */
#define NMI_STACK_SIZE	4096

#define IST_DF		1
#define IST_NMI		2

struct context;

struct cpu {
	u64 gdt[GDT_ENTRIES];
	ulong stack_top; /* of the main stack; its guard page ends at stack_top - STACK_SIZE */
	tss_t tss;
#ifndef __x86_64__
	struct tss32 df_tss;
#endif
	unsigned int index; /* 0 is the boot processor */
	u32 apic_id;

	struct trap_frame last_trap; /* the last fault that became a value */
	ulong last_cr2;		     /* CR2 after it */

	struct context *context; /* what context_run() runs now, else NULL */
	ulong context_stack;	 /* where it saved the caller's registers */

	/* A call from another CPU, see smp.h: called is cleared when it is done. */
	void (*called)(void *argument);
	void *call_argument;

	/* The registers of a CPU that was stopped for a post-mortem, see crash.c. */
	const struct trap_frame *volatile stopped;

	bool online;
	bool nmi_stops; /* the next NMI is crash.c's */

	u8 df_stack[TRAP_STACK_SIZE] __aligned(16);
	u8 nmi_stack[NMI_STACK_SIZE] __aligned(16);
} __aligned(4096);

extern struct cpu *cpus[MAX_CPUS];

static inline struct cpu *this_cpu(void)
{
	return (struct cpu *)sgdt().base;
}

static inline unsigned int cpu_index(void)
{
	return this_cpu()->index;
}

/* Loads GDT, TSS and IDT of a CPU whose stack_top and index are set; for start-up code. */
void cpu_init(struct cpu *cpu);
void gdt_init(struct cpu *cpu);

#endif
