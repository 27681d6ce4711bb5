// SPDX-License-Identifier: BSD-2-Clause
/* From start-up code to the test, and out. */
#include "args.h"
#include "console.h"
#include "control.h"
#include "cpu.h"
#include "cpu_offsets.h"
#include "cpuid.h"
#include "entry.h"
#include "exit.h"
#include "paging.h"
#include "report.h"
#include "smp.h"

_Static_assert(CPU_STACK_TOP == offsetof(struct cpu, stack_top), "cpu_offsets.h");

extern u8 df_task_entry[];
extern u8 boot_stack_top[];

static struct cpu boot_cpu __section(".noinit");
struct cpu *cpus[MAX_CPUS];

void cpu_init(struct cpu *cpu)
{
	gdt_init(cpu);
#ifdef __x86_64__
	cpu->tss.ist[IST_DF - 1] = (ulong)cpu->df_stack + TRAP_STACK_SIZE;
	cpu->tss.ist[IST_NMI - 1] = (ulong)cpu->nmi_stack + NMI_STACK_SIZE;
	cpu->tss.iomap_base = sizeof(cpu->tss);
#else
	cpu->tss.iomap_base = sizeof(cpu->tss);
	cpu->df_tss = (struct tss32){
		.cr3 = read_cr3(),
		.eip = (ulong)df_task_entry,
		.eflags = EFLAGS_FIXED,
		.esp = (ulong)cpu->df_stack + TRAP_STACK_SIZE,
		.cs = KERNEL_CS,
		.ds = KERNEL_DS,
		.es = KERNEL_DS,
		.fs = KERNEL_DS,
		.gs = KERNEL_DS,
		.ss = KERNEL_DS,
		.iomap_base = sizeof(struct tss32),
	};
#endif
	ltr(TSS_SELECTOR);
	idt_load();
}

/* FXSAVE and SSE are for tests to use; the other CPUs take CR4 from this one. */
static void enable_sse(void)
{
	ulong cr4 = read_cr4();

	if (cpu_has(FEATURE_FXSR))
		cr4 |= CR4_OSFXSR;
	if (cpu_has(FEATURE_SSE))
		cr4 |= CR4_OSXMMEXCPT;
	write_cr4(cr4);
}

static void boot_cpu_init(void)
{
	/* Only what is read before it is written; the rest of it is large. */
	boot_cpu.tss = (tss_t){ 0 };
	for (unsigned int i = 0; i < GDT_ENTRIES; i++)
		boot_cpu.gdt[i] = 0;
	boot_cpu.index = 0;
	boot_cpu.stack_top = (ulong)boot_stack_top;
	boot_cpu.context = NULL;
	boot_cpu.called = NULL;
	boot_cpu.stopped = NULL;
	boot_cpu.nmi_stops = false;
	boot_cpu.online = true;
	cpus[0] = &boot_cpu;
	cpu_init(&boot_cpu);
	idt_init();
	enable_sse();
}

void start_main(const char *text)
{
	boot_cpu_init();
	console_init();
	args_parse(text);
	paging_init();
	smp_start(args.cpus);
	report_run();
	machine_exit(EXIT_DONE);
}
