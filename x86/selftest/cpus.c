// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls and IPIs between CPUs, NMIs, time, and stack traces: what tests with more than
 * one CPU, and post-mortems, build on. SDM volume 3A, "APIC", "Issuing Interprocessor
 * Interrupts"; the stanza gives this test two CPUs.
 */
#include "apic.h"
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "extable.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "smp.h"
#include "stack.h"
#include "trap.h"
#include "tsc.h"

#define IPI_VECTOR 0x60
#define WAIT_US	   1000000

static volatile unsigned int received[MAX_CPUS], wrong_vectors;

static bool on_ipi(struct trap_frame *frame)
{
	received[cpu_index()]++;
	wrong_vectors += frame->vector != IPI_VECTOR;
	apic_eoi();
	return true;
}

static void test_ipi(void)
{
	unsigned int other = cpu_count() - 1;
	ulong flags = read_flags();

	check(cpu_count() >= 2, "two-cpus");
	apic_enable();
	trap_set_handler(IPI_VECTOR, on_ipi);
	irq_disable();
	ipi_send(0, IPI_VECTOR);
	delay_us(100);
	check_equal(received[0], 0, "self.held-back");
	check(apic_vector_bit(APIC_IRR, IPI_VECTOR), "self.pending");
	irq_enable();
	check(WAIT_UNTIL(received[0] == 1, WAIT_US), "self.received");
	irq_disable();
	check(!apic_vector_bit(APIC_IRR, IPI_VECTOR) && !apic_vector_bit(APIC_ISR, IPI_VECTOR),
	      "self.done");
	apic_icr_write(0, APIC_SHORTHAND_SELF | APIC_DELIVERY_FIXED | APIC_ASSERT | IPI_VECTOR);
	irq_enable();
	check(WAIT_UNTIL(received[0] == 2, WAIT_US), "self-shorthand.received");

	ipi_send(other, IPI_VECTOR);
	check(WAIT_UNTIL(received[other] == 1, WAIT_US), "other.received");
	apic_icr_write(0, APIC_SHORTHAND_ALL | APIC_DELIVERY_FIXED | APIC_ASSERT | IPI_VECTOR);
	check(WAIT_UNTIL(received[0] == 3 && received[other] == 2, WAIT_US), "all.received");
	check_equal(wrong_vectors, 0, "vector");
	write_flags(flags);
	trap_set_handler(IPI_VECTOR, NULL);
}

SUBTEST("ipi", test_ipi);

/* Everything that a CPU has for itself, as seen by the CPU. */
static struct seen {
	unsigned int calls, index;
	u32 apic_id;
	struct fault fault, user_fault;
	ulong user_result, cr2, stack;
	bool interrupts;
} seen[MAX_CPUS];

static ulong add_one(ulong argument)
{
	return argument + 1;
}

static void look_around(void *argument)
{
	struct seen *mine = &((struct seen *)argument)[cpu_index()];
	ulong page = 0x1000 * (1 + cpu_index());

	mine->calls++;
	mine->index = cpu_index();
	mine->apic_id = apic_id();
	mine->stack = (ulong)&page;
	mine->interrupts = read_flags() & EFLAGS_IF;
	mine->user_fault = user_call(add_one, page, &mine->user_result);
	mine->fault = fault_of("ud2");
}

static void check_seen(unsigned int cpu)
{
	const struct seen *his = &seen[cpu];

	prefix_push("cpu-%u", cpu);
	check_equal(his->calls, 1, "calls");
	check_equal(his->index, cpu, "index");
	check_equal(his->apic_id, cpus[cpu]->apic_id, "apic-id");
	check(his->stack < cpus[cpu]->stack_top && his->stack >= cpus[cpu]->stack_top - STACK_SIZE,
	      "stack");
	check_fault(his->user_fault, NO_FAULT, "user");
	check_equal(his->user_result, 0x1000 * (1 + cpu) + 1, "user.result");
	check_fault(his->fault, FAULT_UD, "fault");
	if (cpu)
		check(his->interrupts, "interrupts");
	for (unsigned int i = 0; i < cpu; i++)
		check(seen[i].apic_id != his->apic_id, "apic-id-not-%u", i);
	prefix_pop();
}

static void increment(void *counter)
{
	__atomic_add_fetch((unsigned int *)counter, 1, __ATOMIC_SEQ_CST);
}

static void test_calls(void)
{
	unsigned int counter = 0, other = cpu_count() - 1;

	on_all_cpus(look_around, seen);
	for (unsigned int i = 0; i < cpu_count(); i++)
		check_seen(i);
	for (unsigned int i = 0; i < 10; i++)
		on_all_cpus(increment, &counter);
	check_equal(counter, 10 * cpu_count(), "counter");
	smp_call(other, increment, &counter);
	check_equal(counter, 10 * cpu_count() + 1, "smp-call");
	smp_call_async(other, increment, &counter);
	smp_wait(other);
	check_equal(counter, 10 * cpu_count() + 2, "smp-call-async");
	smp_call(0, increment, &counter);
	check_equal(counter, 10 * cpu_count() + 3, "smp-call-self");
}

SUBTEST("calls", test_calls);

/* A remote CPU's TLB keeps an old entry until tlb_flush_all_cpus(). */
static void read_word(void *argument)
{
	ulong **word = argument;

	word[1] = (ulong *)*(volatile ulong *)word[0];
}

static void test_shootdown(void)
{
	ulong *before = page_alloc(), *after = page_alloc();
	ulong *word[2] = { virtual_range(PAGE_SIZE, PAGE_SIZE), NULL };
	unsigned int other = cpu_count() - 1;

	*before = 1;
	*after = 2;
	for (unsigned int whole = 0; whole < 2; whole++) {
		const char *name = whole ? "whole" : "page";

		page_map((ulong)word[0], (ulong)before, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
		tlb_flush_all_cpus(word[0]);
		smp_call(other, read_word, word);
		check_equal((ulong)word[1], 1, "%s.before", name);
		*page_entry((ulong)word[0], LEVEL_4K) = (ulong)after | PAGE_DEFAULT;
		tlb_flush_all_cpus(whole ? NULL : word[0]);
		smp_call(other, read_word, word);
		check_equal((ulong)word[1], 2, "%s.after", name);
		check_equal(*(volatile ulong *)word[0], 2, "%s.after-here", name);
	}
	page_unmap((ulong)word[0], PAGE_SIZE);
	tlb_flush_all_cpus(word[0]);
	page_free(before);
	page_free(after);
}

SUBTEST("tlb-shootdown", test_shootdown);

/* NMI: to the own CPU in ring 0, and to one that runs in ring 3 with interrupts off. */
static volatile struct {
	unsigned int count, cpu;
	ulong vector, cs;
	bool user;
} nmi;
static volatile bool spinning, stop;

static bool on_nmi(struct trap_frame *frame)
{
	nmi.cpu = cpu_index();
	nmi.vector = frame->vector;
	nmi.cs = frame->cs;
	nmi.user = frame_is_user(frame);
	stop = true;
	nmi.count++;
	return true;
}

static ulong spin(ulong argument)
{
	spinning = true;
	while (!stop)
		cpu_relax();
	return argument;
}

static void spin_in_ring3(void *argument)
{
	ulong flags = read_flags();

	irq_disable();
	user_call(spin, 0x77, argument);
	write_flags(flags);
}

static void test_nmi(void)
{
	unsigned int other = cpu_count() - 1;
	ulong result = 0;

	trap_set_handler(VECTOR_NMI, on_nmi);
	apic_icr_write(apic_id(), APIC_DELIVERY_NMI | APIC_ASSERT);
	check(WAIT_UNTIL(nmi.count == 1, WAIT_US), "self.received");
	check_equal(nmi.vector, VECTOR_NMI, "self.vector");
	check_equal(nmi.cs, KERNEL_CS, "self.cs");
	check_equal(nmi.cpu, 0, "self.cpu");

	stop = false;
	smp_call_async(other, spin_in_ring3, &result);
	check(WAIT_UNTIL(spinning, WAIT_US), "user.spins");
	apic_icr_write(cpus[other]->apic_id, APIC_DELIVERY_NMI | APIC_ASSERT);
	check(WAIT_UNTIL(nmi.count == 2, WAIT_US), "user.received");
	stop = true;
	smp_wait(other);
	check_equal(nmi.cpu, other, "user.cpu");
	check_equal(nmi.cs, USER_CS, "user.cs");
	check(nmi.user, "user.ring");
	check_equal(result, 0x77, "user.went-on");
	trap_set_handler(VECTOR_NMI, NULL);
}

SUBTEST("nmi", test_nmi);

static void test_time(void)
{
	u64 start = rdtsc(), backwards = 0, khz = tsc_khz();

	for (unsigned int i = 0; i < 1000; i++) {
		u64 now = rdtsc();

		backwards += now < start;
		start = now;
	}
	check_equal(backwards, 0, "tsc-ascends");
	diagnostic("TSC: %llu kHz", khz);
	check(khz > 100, "khz");
	start = rdtsc();
	delay_us(1000);
	check(rdtsc() - start >= khz, "delay");
	check(!tsc_passed(tsc_deadline_us(WAIT_US)), "deadline.ahead");
	check(tsc_passed(rdtsc()), "deadline.passed");
	check(WAIT_UNTIL(true, 0), "wait.true");
	start = rdtsc();
	check(!WAIT_UNTIL(false, 1000), "wait.false");
	check(rdtsc() - start >= khz, "wait.time");
}

SUBTEST("time", test_time);

/* inner() is called by middle(), and that by test_stack(): so says the trace. */
static __noinline unsigned int inner(ulong *trace, unsigned int max)
{
	return stack_trace((ulong)__builtin_frame_address(0), trace, max);
}

static __noinline unsigned int middle(ulong *trace, unsigned int max)
{
	unsigned int depth = inner(trace, max);

	barrier();
	return depth;
}

static bool within(ulong address, const void *function)
{
	return address > (ulong)function && address - (ulong)function < 128;
}

static void test_stack(void)
{
	ulong trace[16];
	unsigned int depth = middle(trace, ARRAY_SIZE(trace));

	check(depth >= 4, "depth");
	check(within(trace[0], middle), "middle");
	check(within(trace[1], test_stack), "caller");
	check_equal(middle(trace, 2), 2, "bounded");
	trace[0] = 0;
	check_equal(stack_trace(0, trace, 16), 0, "null");
	check_equal(stack_trace((ulong)trace + 1, trace, 16), 0, "misaligned");
	check_equal(stack_trace((ulong)virtual_range(PAGE_SIZE, PAGE_SIZE), trace, 16), 0,
		    "unmapped");
}

SUBTEST("stack-trace", test_stack);
