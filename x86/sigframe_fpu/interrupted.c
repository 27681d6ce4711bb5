// SPDX-License-Identifier: BSD-2-Clause
/*
 * A 32-bit program saves its state, again and again, while a timer and IPIs interrupt it
 * between any two instructions; their handlers save the interrupted state, put another in
 * every register, and bring the first one back, as a kernel does on a switch of tasks. What
 * the program saved, and what is in its registers in the end, is what it had at first.
 *
 * Under x86_64 this is compatibility mode: the program's FXSAVE and XSAVE know 8 XMM
 * registers, the kernel's 16 (SDM volume 1, "FXSAVE Area", "XSAVE-Managed Features and State
 * Components").
 */
#include "apic.h"
#include "control.h"
#include "environment.h"
#include "sigframe.h"
#include "smp.h"
#include "string.h"
#include "trap.h"
#include "tsc.h"

#define TIMER_VECTOR	 0x51
#define IPI_VECTOR	 0x52
#define INTERRUPTS	 50 /* of each kind */
#define LIMIT_US	 300000
#define FIRST_LIMIT_US	 3000000 /* for one of each, should the host have other things to do */
#define INNER_ROUNDS	 20

static struct {
	volatile unsigned int timer, ipi;
	volatile bool stop;
	bool wide;
	u32 program_ticks; /* how long the program takes alone, by the APIC's timer */
	u64 program_tsc;   /* and by the TSC */
	unsigned int failures; /* of the handlers' own saves and restores */
} run;

static struct xsave_area *handler_state, *handler_pattern;

/* Interrupts are off in it: one pair of buffers is enough. */
static void dirty_everything(void)
{
	struct fault saved, dirtied, restored;

	saved = state_save(handler_state, run.wide);
	dirtied = state_load(handler_pattern, run.wide);
	restored = state_load(handler_state, run.wide);
	run.failures += fault_raised(saved) + fault_raised(dirtied) + fault_raised(restored);
}

/*
 * The next timer interrupt comes after a part of the program's own time, a different one
 * each time, so that it gets on however slow the handlers are on this machine.
 */
static void restart_timer(void)
{
	u32 quarter = run.program_ticks / 4;

	apic_write(APIC_TIMER_INITIAL, quarter + run.timer * 7919 % (quarter + 1) + 1);
}

/* With one CPU the IPIs come from here. */
static bool on_timer(struct trap_frame *frame)
{
	(void)frame;
	dirty_everything();
	run.timer++;
	apic_eoi();
	if (cpu_count() == 1)
		apic_icr_write(0, APIC_SHORTHAND_SELF | APIC_ASSERT | IPI_VECTOR);
	else
		restart_timer();
	return true;
}

static bool on_ipi(struct trap_frame *frame)
{
	(void)frame;
	dirty_everything();
	run.ipi++;
	apic_eoi();
	if (cpu_count() == 1)
		restart_timer();
	return true;
}

static void send_ipis(void *unused)
{
	(void)unused;
	while (!READ_ONCE(run.stop)) {
		unsigned int before = run.ipi;
		u64 pause;

		ipi_send(0, IPI_VECTOR);
		WAIT_UNTIL(run.ipi != before || run.stop, 10000);
		pause = rdtsc() + READ_ONCE(run.program_tsc) / 2;
		while (!tsc_passed(pause))
			cpu_relax();
	}
}

/*
 * The program: ESI times { the row's instructions; a delay }. EBX is the area, EDX:EAX the
 * components. The same bytes mean the same in 64-bit code.
 */
static const struct row {
	enum fpu_instruction saver;
	bool frstor; /* FNSAVE leaves nothing in the registers: back with it */
	bool wide;
} rows[] = {
	{ FXSAVE, false, false }, { FNSAVE, true, false }, { XSAVE, false, true },
	{ XSAVEOPT, false, true }, { XSAVEC, false, true },
};

static unsigned int assemble(u8 *code, const struct row *row)
{
	/* pause; mov $100, %ecx; 1: sub $1, %ecx; jnz 1b; sub $1, %esi; jnz (start) */
	static const u8 tail[] = { 0xf3, 0x90, 0xb9, 100, 0, 0, 0, 0x83, 0xe9, 0x01,
				   0x75, 0xfb, 0x83, 0xee, 0x01, 0x75 };
	const struct fpu_instruction_info *saver = &fpu_instructions[row->saver];
	unsigned int length = saver->length;

	memcpy(code, saver->code, length);
	if (row->frstor) {
		memcpy(code + length, fpu_instructions[FRSTOR].code,
		       fpu_instructions[FRSTOR].length);
		length += fpu_instructions[FRSTOR].length;
	}
	memcpy(code + length, tail, sizeof(tail));
	length += sizeof(tail) + 1;
	code[length - 1] = (u8)-length;
	return length;
}

/* The image as XSAVE would have it. */
static void as_xsave(struct xsave_area *image, const struct row *row)
{
	struct fpstate_header header;

	if (row->saver == FNSAVE) {
		memcpy(&header.fsave, image, sizeof(header.fsave));
		memset(image, 0, XSAVE_MIN_SIZE);
		image_from_header(&image->legacy, &header);
	}
	if (!row->wide)
		image->header = (struct xsave_header){ .xstate_bv = components_of(row->saver) };
}

/* Compatibility mode's image lacks the registers that only 64-bit mode has; taken from pattern. */
static void complete(struct xsave_area *image, const struct xsave_area *pattern,
		     const struct environment *environment)
{
	if (!environment_in(environment, ENV_USER | ENV_COMPAT))
		return;
	memcpy(image->legacy.xmm[8], pattern->legacy.xmm[8], 8 * 16);
	for (unsigned int n = XSTATE_AVX; n < XSTATE_MAX; n++) {
		u32 size = xstate_component(n).size, skip = n == XSTATE_HI16_ZMM ? 0 : size / 2;
		u32 to = xstate_offset(image->header.xcomp_bv, n) + skip;

		if (!(image->header.xstate_bv >> n & 1) ||
		    (n != XSTATE_AVX && n != XSTATE_ZMM_HI256 && n != XSTATE_HI16_ZMM))
			continue;
		memcpy((u8 *)image + to,
		       (const u8 *)pattern + xstate_component(n).offset + skip, size - skip);
	}
}

/* One run with interrupts off; the registers do not matter. */
static void calibrate(const struct context *context)
{
	struct context alone = *context;
	u64 start = rdtsc();

	alone.flags &= ~EFLAGS_IF;
	apic_timer_oneshot(TIMER_VECTOR, 0xffffffff);
	context_run(&alone);
	run.program_ticks = 0xffffffff - apic_read(APIC_TIMER_CURRENT);
	WRITE_ONCE(run.program_tsc, rdtsc() - start);
	apic_timer_oneshot(TIMER_VECTOR, 1);
}

static bool more_interrupts(u64 deadline, u64 first_deadline)
{
	if (!run.timer || !run.ipi)
		return !tsc_passed(first_deadline);
	return (run.timer < INTERRUPTS || run.ipi < INTERRUPTS) && !tsc_passed(deadline);
}

static void run_program(const struct row *row, const struct environment *environment)
{
	struct xsave_area *pattern = state_buffer(0), *image = state_buffer(1);
	struct xsave_area *got = state_buffer(2);
	u64 all = components_of(row->wide ? XSAVE : FXSAVE), saved = components_of(row->saver);
	struct context context;
	struct fault fault = NO_FAULT;
	u8 code[CODE_SIZE];
	u64 deadline, first_deadline;
	bool state_kept = true, image_right = true;

	run.timer = run.ipi = run.failures = 0;
	context = environment_context(environment, code, assemble(code, row));
	context.bx = (ulong)image;
	context.ax = (u32)saved;
	context.dx = saved >> 32;
	context.si = INNER_ROUNDS;
	context.flags |= EFLAGS_IF;
	calibrate(&context);
	deadline = tsc_deadline_us(LIMIT_US);
	first_deadline = tsc_deadline_us(FIRST_LIMIT_US);
	for (u32 round = 0; more_interrupts(deadline, first_deadline) && state_kept && image_right;
	     round++) {
		struct context start = context;
		struct fpu_difference difference;

		fpu_state_fill(pattern, all, false, round);
		memset(image, 0, XSAVE_MAX_SIZE);
		state_load(pattern, row->wide);
		fault = context_run(&start);
		state_save(got, row->wide);
		as_xsave(image, row);
		complete(image, pattern, environment);
		state_kept = !fault_raised(fault) &&
			     fpu_state_equal(got, pattern, all, &difference);
		image_right = fpu_state_equal(image, pattern, saved, &difference);
	}
	check_fault(fault, NO_FAULT, "end");
	check_state(got, pattern, all, "registers");
	check_state(image, pattern, saved, "image");
	check_equal(run.failures, 0, "handlers");
	check(run.timer > 0, "timer");
	check(run.ipi > 0, "ipi");
	diagnostic("%s in %s: %u timer interrupts, %u IPIs", fpu_instructions[row->saver].name,
		   environment->name, run.timer, run.ipi);
}

static void test_interrupted(const void *argument)
{
	const struct row *row = argument;

	if (!fpu_ready())
		return;
	if (!needs(row->saver))
		return;
	handler_state = state_buffer(3);
	handler_pattern = state_buffer(4);
	run.wide = row->wide;
	fpu_state_fill(handler_pattern, fpu_state_components(), fpu_state_compacted(), 0xd1e7);
	trap_set_handler(TIMER_VECTOR, on_timer);
	trap_set_handler(IPI_VECTOR, on_ipi);
	apic_enable();
	run.stop = false;
	if (cpu_count() > 1)
		smp_call_async(1, send_ipis, NULL);
	for_each_environment(environment) {
		if (!environment_is_user(environment))
			continue;
		prefix_push("%s", environment->name);
		run_program(row, environment);
		prefix_pop();
	}
	run.stop = true;
	irq_enable();
	if (cpu_count() > 1)
		smp_wait(1);
	apic_timer_oneshot(TIMER_VECTOR, 0);
	delay_us(100);
	irq_disable();
	fpu_init();
}

SUBTEST_ARG("interrupted-fxsave", test_interrupted, &rows[0]);
SUBTEST_ARG("interrupted-fnsave", test_interrupted, &rows[1]);
SUBTEST_ARG("interrupted-xsave", test_interrupted, &rows[2]);
SUBTEST_ARG("interrupted-xsaveopt", test_interrupted, &rows[3]);
SUBTEST_ARG("interrupted-xsavec", test_interrupted, &rows[4]);
