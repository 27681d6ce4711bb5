// SPDX-License-Identifier: BSD-2-Clause
/*
 * STI and loads of SS hold events back for exactly one instruction.
 *
 * SDM volume 2B, STI: with IF 0 before, maskable interrupts are recognised after the
 * instruction that follows STI. SDM volume 3A, "Masking Exceptions and Interrupts When
 * Switching Stacks": MOV to SS and POP SS hold back interrupts and debug exceptions until
 * after the next instruction; LSS does not. What two such instructions in a row do
 * is left open: not judged.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "debug.h"
#include "environment.h"
#include "report.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define IPI_VECTOR 0x61

#define STI    "\xfb"
#define CLI    "\xfa"
#define NOP    "\x90"
#define POPF   "\x9d"
#define MOV_SS "\x8e\xd1" /* mov %ecx, %ss */
#define POP_SS "\x17"
#define LSS    "\x0f\xb2\x23" /* lss (%ebx), %esp */

#define CODE(bytes) bytes, sizeof(bytes) - 1

/* An interrupt is pending at the start; after how many bytes of code is it taken? */
#define NEVER 99
static const struct delay {
	const char *name;
	const char *code;
	unsigned int size, taken_after;
} delays[] = {
	{ "sti", CODE(STI NOP NOP NOP), 2 },
	{ "sti-cli", CODE(STI CLI NOP NOP), NEVER },
	{ "sti-nop-cli", CODE(STI NOP CLI NOP), 2 },
	{ "popf", CODE(POPF NOP NOP NOP), 1 },
};

static volatile ulong interrupted_at;

static bool on_ipi(struct trap_frame *frame)
{
	interrupted_at = frame->ip;
	frame->flags &= ~EFLAGS_IF;
	apic_eoi();
	return true;
}

static void test_delay(const struct delay *delay, const struct environment *environment)
{
	struct context context = environment_context(environment, delay->code, delay->size);
	ulong start = context.ip;
	ulong *stack = (ulong *)context.sp - 1;
	bool taken;

	/* For POPF, of 4 bytes in 32-bit code; at IOPL 3 ring 3 may do all of this. */
	*stack = EFLAGS_FIXED | EFLAGS_IF | EFLAGS_IOPL;
	context.sp = (ulong)stack;
	context.flags = (context.flags & ~EFLAGS_IF) | EFLAGS_IOPL;
	interrupted_at = 0;
	ipi_send(0, IPI_VECTOR);
	check_fault(context_run(&context), NO_FAULT, "%s.%s.fault", delay->name, environment->name);
	taken = interrupted_at;
	if (!taken) { /* now it has to come */
		irq_enable();
		WAIT_UNTIL(interrupted_at != 0, 1000);
		irq_disable();
	}
	check_equal(taken ? interrupted_at - start : NEVER, delay->taken_after, "%s.%s",
		    delay->name, environment->name);
	check(interrupted_at != 0, "%s.%s.pending", delay->name, environment->name);
}

static void test_interrupts(void)
{
	ulong flags = read_flags();

	irq_disable();
	apic_enable();
	cpus[0]->apic_id = apic_id();
	trap_set_handler(IPI_VECTOR, on_ipi);
	for (unsigned int i = 0; i < ARRAY_SIZE(delays); i++)
		for_each_environment(environment)
			test_delay(&delays[i], environment);
	trap_set_handler(IPI_VECTOR, NULL);
	write_flags(flags);
}

SUBTEST("shadow.interrupts", test_interrupts);

/* With TF set from the start: where the first single-step trap comes. */
static const struct step {
	const char *name;
	const char *code;
	unsigned int size, trapped_after;
	unsigned int where;
} steps[] = {
	{ "nop", CODE(NOP NOP NOP), 1, ENV_ANY },
	{ "sti", CODE(STI NOP NOP), 1, ENV_ANY },
	{ "mov-ss", CODE(MOV_SS NOP NOP), 3, ENV_ANY },
	{ "pop-ss", CODE(POP_SS NOP NOP), 2, ENV_ANY & ~ENV_CODE64 },
	{ "lss", CODE(LSS NOP NOP), 3, ENV_ANY },
};

static struct {
	u32 sp;
	u16 ss;
} far_stack;

static void test_steps(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		for_each_environment(environment) {
			struct context context;
			ulong start, *stack;

			if (!environment_in(environment, steps[i].where))
				continue;
			context = environment_context(environment, steps[i].code, steps[i].size);
			start = context.ip;
			stack = (ulong *)context.sp - 2;
			*stack = context.ss;
			far_stack.sp = context.sp;
			far_stack.ss = context.ss;
			context.cx = context.ss;
			context.bx = (ulong)&far_stack;
			context.sp = (ulong)stack;
			context.flags |= EFLAGS_TF | EFLAGS_IOPL;
			check_fault(context_run(&context), FAULT_DB, "%s.%s.fault", steps[i].name,
				    environment->name);
			check_equal(context.ip - start, steps[i].trapped_after, "%s.%s",
				    steps[i].name, environment->name);
		}
	}
}

SUBTEST("shadow.single-step", test_steps);

/* MOV to SS from memory under a data breakpoint: the trap waits for the next instruction too. */
static void test_data_breakpoint(void)
{
	static u16 selector;

	for_each_environment(environment) {
		struct context context = environment_context(environment, CODE("\x8e\x13" NOP NOP));
		ulong start = context.ip;

		selector = context.ss;
		context.bx = (ulong)&selector;
		breakpoint_set(0, (ulong)&selector, DR7_ACCESS, DR7_LEN_2);
		check_fault(context_run(&context), FAULT_DB, "%s.fault", environment->name);
		check_equal(read_dr6() & DR6_B0, DR6_B0, "%s.b0", environment->name);
		check_equal(context.ip - start, 3, "%s", environment->name);
		breakpoints_clear();
	}
}

SUBTEST("shadow.data-breakpoint", test_data_breakpoint);
