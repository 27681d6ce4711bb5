// SPDX-License-Identifier: BSD-2-Clause
/*
 * 32-bit modes: the task that runs on #DF. SDM volume 3A, "Task Management".
 */
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "entry.h"

#ifndef __x86_64__

/* Makes the interrupted task the current one again, without loading its registers. */
static void leave_task(void)
{
	const u64 busy = (u64)DESC_TSS_BUSY << 40;

	gdt_set(TSS_SELECTOR, gdt_get(TSS_SELECTOR) & ~busy);
	ltr(TSS_SELECTOR);
	gdt_set(DF_TSS_SELECTOR, gdt_get(DF_TSS_SELECTOR) & ~busy);
	/* The task switch set CR0.TS, and EFLAGS.NT, which context_run() restores. */
	asm volatile("clts");
}

/* The state at the #DF is in the TSS that the task switch left; only this CPU's GDT is needed. */
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
		.vector = VECTOR_DF,
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
