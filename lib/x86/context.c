// SPDX-License-Identifier: BSD-2-Clause
#include "context.h"
#include "context_offsets.h"
#include "control.h"
#include "cpu.h"
#include "trap.h"

_Static_assert(CONTEXT_BP == offsetof(struct context, bp), "context_offsets.h");
_Static_assert(CONTEXT_DS == offsetof(struct context, ds), "context_offsets.h");
_Static_assert(CONTEXT_SS == offsetof(struct context, ss), "context_offsets.h");

extern const u8 context_load_start[], context_load_end[];
void context_enter(struct context *context, ulong *saved_sp, ulong *sp0);
void context_return(ulong saved_sp) __noreturn;

static u8 user_stacks[MAX_CPUS][USER_STACK_SIZE] __aligned(16) __section(".noinit");
static u8 kernel_stacks[MAX_CPUS][USER_STACK_SIZE] __aligned(16) __section(".noinit");

static struct context make(const void *ip, u16 cs, u16 ss, u8 *stack)
{
	struct context context = {
		.ds = ss,
		.es = ss,
		.fs = ss,
		.gs = ss,
		.ip = (ulong)ip,
		.cs = cs,
		.flags = EFLAGS_FIXED | (read_flags() & EFLAGS_IF),
		.ss = ss,
		.end = (ulong)context_end,
	};
	ulong *top = (ulong *)(stack + USER_STACK_SIZE);

	/* As after a CALL: the return address lies 8 (4) below a 16-byte boundary. */
	*--top = (ulong)context_end;
	context.sp = (ulong)top;
	return context;
}

struct context context_kernel(const void *ip)
{
	return make(ip, KERNEL_CS, KERNEL_DS, kernel_stacks[cpu_index()]);
}

struct context context_user(const void *ip)
{
	return make(ip, USER_CS, USER_DS, user_stacks[cpu_index()]);
}

struct context context_compat(const void *ip)
{
	return make(ip, USER_CS32, USER_DS, user_stacks[cpu_index()]);
}

/* Both kinds of TSS have the stack of ring 0 at offset 4, which is not aligned for 64 bits. */
static ulong *tss_sp0(struct cpu *cpu)
{
	return (ulong *)((u8 *)&cpu->tss + 4);
}

struct fault context_run(struct context *context)
{
	struct cpu *cpu = this_cpu();
	struct context *outer = cpu->context;
	ulong outer_stack = cpu->context_stack, outer_sp0 = *tss_sp0(cpu), flags = read_flags();

	cpu->context = context;
#ifndef __x86_64__
	cpu->tss.ss0 = KERNEL_DS;
#endif
	/* Traps from ring 3 push right below what context_enter() saved. */
	context_enter(context, &cpu->context_stack, tss_sp0(cpu));
	cpu->context = outer;
	cpu->context_stack = outer_stack;
	*tss_sp0(cpu) = outer_sp0;
	write_flags(flags);

	if (cpu->last_trap.vector == VECTOR_UD && cpu->last_trap.ip == context->end)
		return NO_FAULT;
	return frame_fault(&cpu->last_trap);
}

bool context_owns_trap(const struct cpu *cpu, const struct trap_frame *frame)
{
	return cpu->context && frame->vector != VECTOR_NMI && frame->vector != VECTOR_MC &&
	       (frame->vector != VECTOR_DF || cpu->context->catch_df);
}

void context_leave(struct cpu *cpu)
{
	const struct trap_frame *frame = &cpu->last_trap;
	struct context *context = cpu->context;
	bool loading =
	    frame->ip >= (ulong)context_load_start && frame->ip < (ulong)context_load_end;

	if (!loading) {
		context->ax = frame->ax;
		context->bx = frame->bx;
		context->cx = frame->cx;
		context->dx = frame->dx;
		context->si = frame->si;
		context->di = frame->di;
		context->bp = frame->bp;
		context->ip = frame->ip;
		context->cs = frame->cs;
		context->flags = frame->flags;
		context->sp = frame->sp;
		context->ss = frame->ss;
#ifdef __x86_64__
		context->r8 = frame->r8;
		context->r9 = frame->r9;
		context->r10 = frame->r10;
		context->r11 = frame->r11;
		context->r12 = frame->r12;
		context->r13 = frame->r13;
		context->r14 = frame->r14;
		context->r15 = frame->r15;
		context->ds = read_ds();
		context->es = read_es();
		context->fs = read_fs();
		context->gs = read_gs();
#else
		/* PUSH of a segment register may leave the upper half of the slot alone. */
		context->ds = (u16)frame->ds;
		context->es = (u16)frame->es;
		context->fs = (u16)frame->fs;
		context->gs = (u16)frame->gs;
#endif
	}
	write_ds(KERNEL_DS);
	write_es(KERNEL_DS);
	write_fs(KERNEL_DS);
	write_gs(KERNEL_DS);
	write_ss(KERNEL_DS);
	context_return(cpu->context_stack);
}

struct fault user_call(ulong (*function)(ulong argument), ulong argument, ulong *result)
{
	struct context context = context_user(function);
	struct fault fault;

#ifdef __x86_64__
	context.di = argument;
#else
	ulong *stack = (ulong *)context.sp - 3;

	stack[0] = (ulong)context_end;
	stack[1] = argument;
	context.sp = (ulong)stack;
#endif
	fault = context_run(&context);
	if (result)
		*result = context.ax;
	return fault;
}
