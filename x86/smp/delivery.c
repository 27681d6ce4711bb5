// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "ipi.h"
#include "report.h"
#include "senders.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define ARRIVAL_US	   300000
#define ARRIVAL_AFTER_LOSS 10000

#define DFR_FLAT	   0xffffffffu
#define DFR_CLUSTER	   0x0fffffffu

/* How many CPUs each kind of destination can name. */
#define FLAT_CPUS	   8
#define CLUSTER_CPUS	   60 /* 15 clusters of 4; cluster 15 is the broadcast */

static u32 received[MAX_CPUS];
static bool lost; /* an interrupt of this subtest was: do not wait as long for others */

static void count_arrival(void)
{
	unsigned int self = cpu_index();

	WRITE_ONCE(received[self], received[self] + 1);
}

static bool on_ipi(struct trap_frame *frame)
{
	(void)frame;
	count_arrival();
	apic_eoi();
	return true;
}

static bool on_nmi(struct trap_frame *frame)
{
	(void)frame;
	count_arrival();
	return true;
}

/* "Logical Destination Register": for software to choose, in x2APIC mode made of the APIC ID. */
u32 ipi_logical_id(const struct ipi_mode *mode, unsigned int cpu)
{
	u32 id = cpus[cpu]->apic_id;

	if (mode->x2apic)
		return (id >> 4) << 16 | 1u << (id & 15);
	if (cpu >= ipi_reachable_cpus(mode))
		return 0;
	return mode->destination == FLAT ? 1u << cpu : cpu / 4 << 4 | 1u << cpu % 4;
}

u32 ipi_destination(const struct ipi_mode *mode, unsigned int cpu)
{
	return mode->destination == PHYSICAL ? cpus[cpu]->apic_id : ipi_logical_id(mode, cpu);
}

u32 ipi_command(const struct ipi_mode *mode)
{
	return mode->command | (mode->destination == PHYSICAL ? 0 : APIC_DEST_LOGICAL);
}

unsigned int ipi_reachable_cpus(const struct ipi_mode *mode)
{
	if (mode->x2apic || mode->destination == PHYSICAL)
		return cpu_count();
	return MIN(cpu_count(), mode->destination == FLAT ? FLAT_CPUS : CLUSTER_CPUS);
}

static void set_up_cpu(void *argument)
{
	const struct ipi_mode *mode = argument;

	if (mode->x2apic) {
		if (!apic_is_x2apic())
			apic_enable_x2apic();
		return;
	}
	apic_write(APIC_DFR, mode->destination == CLUSTER ? DFR_CLUSTER : DFR_FLAT);
	apic_write(APIC_LDR, ipi_logical_id(mode, cpu_index()) << 24);
}

bool ipi_set_up(const struct ipi_mode *mode)
{
	if (mode->x2apic && !cpu_has(FEATURE_X2APIC)) {
		subtest_skip("the CPU has no x2APIC");
		return false;
	}
	lost = false;
	trap_set_handler(IPI_VECTOR, on_ipi);
	trap_set_handler(VECTOR_NMI, on_nmi);
	on_all_cpus(set_up_cpu, (void *)mode);
	/* The others run calls with interrupts on; the boot processor has them off as a rule. */
	irq_enable();
	return true;
}

static void tear_down_cpu(void *argument)
{
	(void)argument;
	if (!apic_is_x2apic())
		apic_write(APIC_LDR, 0);
}

void ipi_tear_down(void)
{
	on_all_cpus(tear_down_cpu, NULL);
	irq_disable();
	trap_set_handler(VECTOR_NMI, NULL);
}

unsigned int ipi_arrivals(void)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < cpu_count(); i++)
		sum += READ_ONCE(received[i]);
	return sum;
}

static void nothing(void *argument)
{
	(void)argument;
}

u64 ipi_receivers(unsigned int from, void (*sender)(void *), void *argument, unsigned int expected)
{
	u64 set = 0;

	for (unsigned int i = 0; i < cpu_count(); i++)
		WRITE_ONCE(received[i], 0);
	smp_call(from, sender, argument);
	if (!WAIT_UNTIL(ipi_arrivals() >= expected, lost ? ARRIVAL_AFTER_LOSS : ARRIVAL_US))
		lost = true;
	on_all_cpus(nothing, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		if (READ_ONCE(received[i]) == 1)
			set |= BIT_ULL(i);
		else if (READ_ONCE(received[i]))
			diagnostic("cpu %u got %s %u times", i, report_last_check(), received[i]);
	}
	return set;
}

struct icr {
	u32 destination, command;
};

static void send(void *argument)
{
	const struct icr *icr = argument;

	apic_icr_write(icr->destination, icr->command);
}

void ipi_check(unsigned int from, u32 destination, u32 command, u64 expected, const char *id)
{
	struct icr icr = { destination, command };
	unsigned int count = 0;

	for (u64 set = expected; set; set &= set - 1)
		count++;
	checking("%s.from-%u", id, from);
	check_equal(ipi_receivers(from, send, &icr, count), expected, "%s.from-%u", id, from);
}

void ipi_test_pairs(const void *argument)
{
	const struct ipi_mode *mode = argument;

	if (!ipi_set_up(mode))
		return;
	for (unsigned int to = 0; to < ipi_reachable_cpus(mode); to++) {
		prefix_push("to-%u", to);
		for (unsigned int from = 0; from < cpu_count(); from = next_sender(from))
			ipi_check(from, ipi_destination(mode, to), ipi_command(mode), BIT_ULL(to),
				  "one");
		prefix_pop();
	}
	ipi_tear_down();
}

static void read_ldr(void *argument)
{
	((u32 *)argument)[cpu_index()] = apic_read(APIC_LDR);
}

/* Every set of the first four CPUs, which are in one cluster. */
void ipi_test_sets(const void *argument)
{
	const struct ipi_mode *mode = argument;
	unsigned int n = MIN(cpu_count(), 4u);
	u32 ldr[MAX_CPUS];

	if (!ipi_set_up(mode))
		return;
	on_all_cpus(read_ldr, ldr);
	for (unsigned int i = 0; i < cpu_count(); i++)
		check_equal(mode->x2apic ? ldr[i] : ldr[i] >> 24, ipi_logical_id(mode, i),
			    "ldr.cpu-%u", i);
	for (unsigned int set = 1; set < 1u << n; set++) {
		u32 destination = 0;

		for (unsigned int i = 0; i < n; i++)
			if (set >> i & 1)
				destination |= ipi_logical_id(mode, i);
		prefix_push("set-%#x", set);
		for (unsigned int from = 0; from < n; from++)
			ipi_check(from, destination, ipi_command(mode), set, "all");
		prefix_pop();
	}
	ipi_tear_down();
}

void ipi_test_broadcasts(const struct ipi_mode *mode, const struct ipi_broadcast *rows,
			 size_t count)
{
	u64 everyone = ~0ull >> (64 - cpu_count());

	if (!ipi_set_up(mode))
		return;
	for (const struct ipi_broadcast *row = rows; row < rows + count; row++) {
		u64 named = everyone;

		/* A CPU without a logical ID is not named by a logical destination. */
		if (row->command & APIC_DEST_LOGICAL)
			named = ~0ull >> (64 - ipi_reachable_cpus(mode));
		for (unsigned int from = 0; from < cpu_count(); from = next_sender(from)) {
			u64 expected = (row->self ? BIT_ULL(from) : 0) |
				       (row->others ? ~BIT_ULL(from) : 0);

			ipi_check(from, row->destination, row->command, expected & named,
				  row->name);
		}
	}
	ipi_tear_down();
}
