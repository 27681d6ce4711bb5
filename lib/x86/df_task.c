// SPDX-License-Identifier: BSD-2-Clause
/*
 * 32-bit modes: the task that runs on #DF, and on what else trap_by_task() gives it. SDM
 * volume 3A, "Task Management".
 */
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "entry.h"

#ifndef __x86_64__

/* What arrives through a descriptor of the task's TSS that is not DF_TSS_SELECTOR. */
static u8 vectors[GDT_ENTRIES];

void trap_by_task(unsigned int vector, u16 selector)
{
	struct cpu *cpu = this_cpu();

	gdt_set_system(selector, (ulong)&cpu->df_tss, sizeof(cpu->df_tss),
		       DESC_PRESENT | DESC_TSS);
	vectors[selector / 8] = vector;
	idt[vector] = gate_make(selector, 0, DESC_PRESENT | DESC_TASK_GATE, 0);
}

void trap_by_gate(unsigned int vector)
{
	idt[vector] = gate_make(KERNEL_CS, trap_entry_address(vector),
				DESC_PRESENT | DESC_INTERRUPT_GATE, 0);
}

/* Makes the interrupted task the current one again, without loading its registers. */
static void leave_task(void)
{
	const u64 busy = (u64)DESC_TSS_BUSY << 40;
	u16 own = str();

	gdt_set(TSS_SELECTOR, gdt_get(TSS_SELECTOR) & ~busy);
	ltr(TSS_SELECTOR);
	gdt_set(own, gdt_get(own) & ~busy);
	/* The task switch set CR0.TS, and EFLAGS.NT, which context_run() restores. */
	asm volatile("clts");
}

/*
 * The state at the fault is in the TSS that the task switch left; only this CPU's GDT is needed.
 * Where the vector has no error code, none was pushed, and the value means nothing.
 */
void df_task(u32 error_code)
{
	struct cpu *cpu = this_cpu();
	const struct tss32 *tss = &cpu->tss;
	struct trap_frame frame = {
		.gs = tss->gs,
		.fs = tss->fs,
		.es = tss->es,
		.ds = tss->ds,
		.di = tss->edi,
		.si = tss->esi,
		.bp = tss->ebp,
		.bx = tss->ebx,
		.dx = tss->edx,
		.cx = tss->ecx,
		.ax = tss->eax,
		.vector = str() == DF_TSS_SELECTOR ? VECTOR_DF : vectors[str() / 8],
		.error_code = error_code,
		.ip = tss->eip,
		.cs = tss->cs,
		.flags = tss->eflags,
		.sp = tss->esp,
		.ss = tss->ss,
	};

	if (!context_owns_trap(cpu, &frame))
		crash_trap(&frame, tss->esp);
	cpu->last_trap = frame;
	cpu->last_cr2 = read_cr2();
	leave_task();
	context_leave(cpu);
}

#endif
