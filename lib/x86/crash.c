// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "entry.h"
#include "exit.h"
#include "extable.h"
#include "printf.h"
#include "report.h"
#include "smp.h"
#include "stack.h"
#include "trap.h"

#define STACK_DEPTH 16

static u32 crashing;

static void print_registers(unsigned int cpu, const struct trap_frame *f, ulong sp)
{
#ifdef __x86_64__
	printf("# CRASH cpu %u registers: rip=%#lx cs=%#lx rflags=%#lx rsp=%#lx ss=%#lx rax=%#lx "
	       "rbx=%#lx rcx=%#lx rdx=%#lx rsi=%#lx rdi=%#lx rbp=%#lx\n",
	       cpu, f->ip, f->cs, f->flags, sp, f->ss, f->ax, f->bx, f->cx, f->dx, f->si, f->di,
	       f->bp);
	printf("# CRASH cpu %u registers: r8=%#lx r9=%#lx r10=%#lx r11=%#lx r12=%#lx r13=%#lx "
	       "r14=%#lx r15=%#lx\n",
	       cpu, f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15);
#else
	printf("# CRASH cpu %u registers: eip=%#lx cs=%#lx eflags=%#lx esp=%#lx eax=%#lx ebx=%#lx "
	       "ecx=%#lx edx=%#lx esi=%#lx edi=%#lx ebp=%#lx ds=%#x es=%#x fs=%#x gs=%#x\n",
	       cpu, f->ip, f->cs, f->flags, sp, f->ax, f->bx, f->cx, f->dx, f->si, f->di,
	       f->bp, (u16)f->ds, (u16)f->es, (u16)f->fs, (u16)f->gs);
#endif
}

static void print_stack(unsigned int cpu, ulong ip, ulong bp)
{
	ulong trace[STACK_DEPTH];
	unsigned int depth = stack_trace(bp, trace, STACK_DEPTH);

	printf("# CRASH cpu %u stack: %#lx", cpu, ip);
	for (unsigned int i = 0; i < depth; i++)
		printf(" %#lx", trace[i]);
	printf("\n");
}

/* Other CPUs are stopped by NMI, since they may have interrupts off; not all may answer. */
static void stop_other_cpus(void)
{
	unsigned int self = cpu_index();

	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		if (i == self || !cpus[i] || !cpus[i]->online)
			continue;
		cpus[i]->nmi_stops = true;
		apic_icr_write(cpus[i]->apic_id, APIC_DELIVERY_NMI | APIC_ASSERT);
		for (unsigned int spin = 0; spin < 1000000 && !cpus[i]->stopped; spin++)
			cpu_relax();
	}
}

static void print_other_cpus(void)
{
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		const struct trap_frame *frame = cpus[i] ? cpus[i]->stopped : NULL;

		if (!frame)
			continue;
		print_registers(i, frame, frame_sp(frame));
		print_stack(i, frame->ip, frame->bp);
	}
}

/* A crash within a crash report has nothing to add; a second CPU's waits to be stopped. */
static void begin(void)
{
	irq_disable();
	if (!__sync_bool_compare_and_swap(&crashing, 0, cpu_index() + 1)) {
		if (crashing == cpu_index() + 1)
			machine_exit(EXIT_CRASH);
		for (;;)
			cpu_relax();
	}
	stop_other_cpus();
}

static __noreturn void finish(void)
{
	printf("# CRASH check: %s\n", report_last_check());
	print_other_cpus();
	machine_exit(EXIT_CRASH);
}

void crash(const char *reason, ...)
{
	va_list list;

	begin();
	printf("# CRASH reason: ");
	va_start(list, reason);
	vprintf(reason, list);
	va_end(list);
	printf("\n");
	print_stack(cpu_index(), (ulong)__builtin_return_address(0),
		    *(ulong *)__builtin_frame_address(0));
	finish();
}

void crash_stop_cpu(const struct trap_frame *frame)
{
	this_cpu()->stopped = frame;
	for (;;)
		asm volatile("cli\n\thlt");
}

/* Whose guard page is it? MAX_CPUS: nobody's. */
static unsigned int guard_page_owner(ulong address)
{
	unsigned int i;

	for (i = 0; i < MAX_CPUS; i++) {
		ulong bottom = cpus[i] ? cpus[i]->stack_top - STACK_SIZE : 0;

		if (bottom && address < bottom && address >= bottom - 4096)
			break;
	}
	return i;
}

void crash_trap(const struct trap_frame *frame, ulong sp)
{
	const struct fault fault = frame_fault(frame);
	ulong cr2 = read_cr2();
	unsigned int owner = guard_page_owner(cr2);

	begin();
	/* A push onto the guard page cannot deliver its #PF: #DF, on a stack of its own. */
	if (frame->vector == VECTOR_DF && owner < MAX_CPUS)
		printf("# CRASH reason: stack overflow on cpu %u: %pe, guard page at %#lx\n", owner,
		       &fault, cr2);
	else if (frame->vector == VECTOR_PF || frame->vector == VECTOR_DF)
		printf("# CRASH reason: unexpected %pe at %#lx%s\n", &fault, cr2,
		       frame_is_user(frame) ? " in ring 3" : "");
	else
		printf("# CRASH reason: unexpected %pe%s\n", &fault,
		       frame_is_user(frame) ? " in ring 3" : "");
	print_registers(cpu_index(), frame, sp);
	print_stack(cpu_index(), frame->ip, frame->bp);
	finish();
}
