// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "cpuid.h"
#include "crash.h"
#include "entry.h"
#include "extable.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

/* Where APs begin, in real mode: any free page below 1 MiB. */
#define TRAMPOLINE    0x8000ul
#define START_TIME_US 5000000
#define INIT_TIME_US  100 /* the SDM says 10 ms, for a bus of old; 64-bit CPUs and VMMs need none */
#define MEETING_US    5000

#define SEND_INIT     (APIC_DELIVERY_INIT | APIC_ASSERT)
#define SEND_STARTUP  (APIC_DELIVERY_STARTUP | APIC_ASSERT | TRAMPOLINE >> 12)

extern u8 trampoline_start[], trampoline_end[];

/* For start.S: an AP that comes up takes the next number, and cpus[number]. */
u32 smp_next_cpu = 1;
u32 smp_wanted;
ulong smp_cr3, smp_cr4;

static unsigned int online = 1;
static u64 efer; /* the boot processor's: start-up code sets only what it needs itself */

unsigned int cpu_count(void)
{
	return online;
}

static bool on_call_interrupt(struct trap_frame *frame)
{
	(void)frame;
	apic_eoi();
	return true;
}

static void run_call(struct cpu *cpu)
{
	void (*function)(void *) = READ_ONCE(cpu->called);

	if (!function)
		return;
	irq_enable();
	function(cpu->call_argument);
	barrier();
	WRITE_ONCE(cpu->called, NULL);
}

void smp_ap_main(struct cpu *cpu)
{
	cpu_init(cpu);
	if (efer)
		wrmsr(MSR_EFER, efer);
	apic_enable();
	cpu->apic_id = apic_id();
	WRITE_ONCE(cpu->online, true);
	for (;;) {
		irq_disable();
		if (READ_ONCE(cpu->called))
			run_call(cpu);
		else
			irq_enable_and_halt();
	}
}

/* A stack with a guard page below, and a struct cpu. */
static void prepare(unsigned int index)
{
	struct cpu *cpu = pages_alloc(ALIGN_UP(sizeof(*cpu), PAGE_SIZE) / PAGE_SIZE, PAGE_SIZE);
	u8 *stack = pages_alloc(1 + STACK_SIZE / PAGE_SIZE, PAGE_SIZE);

	page_guard((ulong)stack);
	cpu->index = index;
	cpu->stack_top = (ulong)stack + PAGE_SIZE + STACK_SIZE;
	cpus[index] = cpu;
}

static unsigned int count_online(void)
{
	unsigned int count = 1;

	for (unsigned int i = 1; i < MAX_CPUS && cpus[i]; i++)
		count += READ_ONCE(cpus[i]->online);
	return count;
}

/* What the CPUs that come up need, and the trampoline, which a test may have overwritten. */
static void prepare_trampoline(void)
{
	memcpy((void *)TRAMPOLINE, trampoline_start, trampoline_end - trampoline_start);
	smp_cr3 = read_cr3();
	smp_cr4 = read_cr4();
	if (cpu_has(FEATURE_NX))
		efer = rdmsr(MSR_EFER);
}

void smp_start(unsigned int wanted)
{
	unsigned int came;

	if (wanted <= 1)
		return;
	if (wanted > MAX_CPUS)
		crash("%u CPUs wanted, %u is the most", wanted, MAX_CPUS);
	for (unsigned int i = 1; i < wanted; i++)
		prepare(i);
	apic_enable();
	cpus[0]->apic_id = apic_id();
	trap_set_handler(SMP_CALL_VECTOR, on_call_interrupt);
	extable_fixup(0, false); /* sorts the table: not to be done by two CPUs at once */
	smp_wanted = wanted;
	prepare_trampoline();

	apic_icr_write(0, APIC_SHORTHAND_OTHERS | SEND_INIT);
	delay_us(INIT_TIME_US);
	apic_icr_write(0, APIC_SHORTHAND_OTHERS | SEND_STARTUP);
	/* The second one is for CPUs that missed the first; others ignore it. */
	if (!WAIT_UNTIL(count_online() == wanted, 100000))
		apic_icr_write(0, APIC_SHORTHAND_OTHERS | SEND_STARTUP);
	WAIT_UNTIL((came = count_online()) == wanted, START_TIME_US);
	if (came != wanted)
		crash("%u of %u CPUs came up", came, wanted);
	if (READ_ONCE(smp_next_cpu) > wanted)
		crash("%u CPUs came up, the runner said %u", smp_next_cpu, wanted);
	online = wanted;
}

void smp_stop(unsigned int cpu)
{
	WRITE_ONCE(cpus[cpu]->online, false);
	apic_icr_write(cpus[cpu]->apic_id, SEND_INIT);
	delay_us(INIT_TIME_US);
}

void smp_restart(unsigned int cpu)
{
	struct cpu *restarted = cpus[cpu];

	if (READ_ONCE(restarted->online))
		smp_stop(cpu);
	restarted->called = NULL;
	restarted->context = NULL;
	smp_next_cpu = cpu;
	prepare_trampoline();
	apic_icr_write(restarted->apic_id, SEND_STARTUP);
	if (!WAIT_UNTIL(READ_ONCE(restarted->online), START_TIME_US))
		crash("CPU %u did not come up again", cpu);
}

void ipi_send(unsigned int cpu, u8 vector)
{
	apic_icr_write(cpus[cpu]->apic_id, APIC_DELIVERY_FIXED | APIC_ASSERT | vector);
}

void smp_call_async(unsigned int cpu, void (*function)(void *), void *argument)
{
	if (cpu == cpu_index()) {
		function(argument);
		return;
	}
	cpus[cpu]->call_argument = argument;
	barrier();
	WRITE_ONCE(cpus[cpu]->called, function);
	ipi_send(cpu, SMP_CALL_VECTOR);
}

void smp_wait(unsigned int cpu)
{
	while (READ_ONCE(cpus[cpu]->called))
		cpu_relax();
}

void smp_call(unsigned int cpu, void (*function)(void *), void *argument)
{
	smp_call_async(cpu, function, argument);
	smp_wait(cpu);
}

static u32 meetings[MAX_CPUS]; /* how many each CPU has come to */

void smp_meet(void)
{
	unsigned int self = cpu_index();
	u32 meeting = meetings[self] + 1;
	u64 deadline;

	WRITE_ONCE(meetings[self], meeting);
	deadline = tsc_deadline_us(MEETING_US);
	for (unsigned int i = 0; i < online && !tsc_passed(deadline);)
		if ((s32)(READ_ONCE(meetings[i]) - meeting) >= 0)
			i++;
		else
			cpu_relax();
}

void on_all_cpus(void (*function)(void *), void *argument)
{
	unsigned int self = cpu_index();

	for (unsigned int i = 0; i < online; i++)
		if (i != self)
			smp_call_async(i, function, argument);
	function(argument);
	for (unsigned int i = 0; i < online; i++)
		if (i != self)
			smp_wait(i);
}

static void flush(void *address)
{
	if (address)
		tlb_flush_page(address);
	else
		tlb_flush();
}

void tlb_flush_all_cpus(const void *address)
{
	on_all_cpus(flush, (void *)address);
}
