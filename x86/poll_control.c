// SPDX-License-Identifier: BSD-2-Clause
/*
 * MSR_KVM_POLL_CONTROL: a guest that polls before it halts tells KVM by bit 0 not to
 * poll as well. The bit is per vCPU and 1 at first; all others are reserved. A
 * vCPU that halts must wake, whether the host polls for it or lets its thread sleep: the
 * two ways out of HLT are different code in KVM, and an event that arrives just
 * as one gives way to the other must not be lost.
 *
 * KVM's Documentation/virt/kvm/x86/msr.rst (MSR_KVM_POLL_CONTROL) and cpuid.rst
 * (KVM_FEATURE_POLL_CONTROL, bit 12 of EAX of leaf 0x40000001). poll_control_hidden.c is for
 * machines that hide it.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "msr.h"
#include "report.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

TEST_SUMMARY("HLT polling control: its values, and that a halted vCPU wakes with and without it");
TEST_MANUAL("KVM, Documentation/virt/kvm/x86/msr.rst, \"MSR_KVM_POLL_CONTROL\"");
TEST_MANUAL("KVM, Documentation/virt/kvm/x86/cpuid.rst, \"KVM_FEATURE_POLL_CONTROL\"");
TEST_NEEDS("KVM with KVM_FEATURE_POLL_CONTROL");

#define IPI_VECTOR   0x50
#define TIMER_VECTOR 0x51
#define WAKE_US	     1000000
#define REPEATS	     4

/* Skips the subtest where there is nothing to test. */
static bool available(void)
{
	if (!hypervisor_is("KVMKVMKVM")) {
		subtest_skip("not KVM: the hypervisor's signature is \"%s\"",
			     hypervisor_signature());
		return false;
	}
	if (!cpu_has(FEATURE_KVM_POLL_CONTROL)) {
		subtest_skip("this KVM has no KVM_FEATURE_POLL_CONTROL");
		return false;
	}
	return true;
}

static void set_control(unsigned int cpu, u64 value)
{
	wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, value);
}

static void check_value(unsigned int cpu, u64 expected, const char *id)
{
	u64 value;

	check_fault(rdmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, &value), NO_FAULT, "cpu-%u.%s.read",
		    cpu, id);
	check_equal(value, expected, "cpu-%u.%s.value", cpu, id);
}

static void test_initial(void)
{
	if (!available())
		return;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		check_value(cpu, 1, "initial");
}

SUBTEST("initial", test_initial);

static void test_valid(void)
{
	if (!available())
		return;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		for (unsigned int value = 0; value <= 1; value++) {
			check_fault(wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, value), NO_FAULT,
				    "cpu-%u.write-%u", cpu, value);
			check_value(cpu, value, value ? "1" : "0");
		}
	}
}

SUBTEST("valid-values", test_valid);

/* Refused, and nothing of it done: bit 0 would change with each of these values. */
static void check_refused(unsigned int cpu, u64 current, u64 value)
{
	u64 after = ~current;

	check_fault(wrmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, value), FAULT_GP(0), "cpu-%u.%#llx",
		    cpu, (unsigned long long)value);
	rdmsr_on_cpu(cpu, MSR_KVM_POLL_CONTROL, &after);
	check_equal(after, current, "cpu-%u.%#llx.unchanged", cpu, (unsigned long long)value);
}

static void test_reserved(void)
{
	if (!available())
		return;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		for (unsigned int current = 0; current <= 1; current++) {
			set_control(cpu, current);
			for (unsigned int bit = 1; bit < 64; bit++)
				check_refused(cpu, current, BIT_ULL(bit) | (current ^ 1));
			check_refused(cpu, current, ~1ull | (current ^ 1));
		}
	}
}

SUBTEST("reserved-bits", test_reserved);

static void test_per_cpu(void)
{
	if (!available())
		return;
	for (unsigned int odd = 0; odd <= 1; odd++) {
		for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
			set_control(cpu, (cpu + odd) % 2);
		for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
			check_value(cpu, (cpu + odd) % 2, odd ? "odd-off" : "odd-on");
	}
}

SUBTEST("per-cpu", test_per_cpu);

/* A halt by one CPU, watched by another. */
static struct halt {
	unsigned int cpu;
	u32 timer;    /* the APIC timer's count, 0: it is woken by IPI */
	u64 pause_us; /* from there on to the IPI */
	u32 interrupts;
	bool halting, woken, woke_in_time;
} halt;

static bool on_wake(struct trap_frame *frame)
{
	(void)frame;
	WRITE_ONCE(halt.interrupts, halt.interrupts + 1);
	apic_eoi();
	return true;
}

static void halt_once(void *argument)
{
	irq_disable();
	if (halt.timer)
		apic_timer_oneshot(TIMER_VECTOR, halt.timer);
	WRITE_ONCE(halt.halting, true);
	/* The interrupt that called this function may come late, and is not the one. */
	while (!READ_ONCE(halt.interrupts)) {
		irq_enable_and_halt();
		irq_disable();
	}
	WRITE_ONCE(halt.woken, true);
}

/* A CPU that does not wake is woken, to go on with the others. */
static void watch(void *argument)
{
	WAIT_UNTIL(READ_ONCE(halt.halting), WAKE_US);
	delay_us(halt.pause_us);
	if (!halt.timer)
		ipi_send(halt.cpu, IPI_VECTOR);
	halt.woke_in_time = WAIT_UNTIL(READ_ONCE(halt.woken), WAKE_US);
	while (!WAIT_UNTIL(READ_ONCE(halt.woken), 1000))
		ipi_send(halt.cpu, IPI_VECTOR);
}

static bool halt_wakes(unsigned int cpu, u32 timer, u64 pause_us)
{
	halt = (struct halt){ .cpu = cpu, .timer = timer, .pause_us = pause_us };
	if (cpu) {
		smp_call_async(cpu, halt_once, NULL);
		watch(NULL);
		smp_wait(cpu);
	} else {
		smp_call_async(1, watch, NULL);
		halt_once(NULL);
		smp_wait(1);
	}
	return halt.woke_in_time && halt.interrupts == 1;
}

/*
 * How long a CPU sleeps: less than a host polls (some tens of microseconds), and
 * more than it ever does (halt_poll_ns is 200 microseconds). KVM's APIC timer counts nanoseconds.
 */
static const struct wait {
	const char *name;
	u64 us;
} waits[] = { { "soon", 20 }, { "late", 2000 } };

static void test_halt(const void *argument)
{
	const bool by_timer = *(const bool *)argument;

	if (!available())
		return;
	if (cpu_count() < 2) {
		subtest_skip("needs a second CPU to watch");
		return;
	}
	trap_set_handler(IPI_VECTOR, on_wake);
	trap_set_handler(TIMER_VECTOR, on_wake);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		for (unsigned int poll = 0; poll <= 1; poll++) {
			set_control(cpu, poll);
			for (const struct wait *wait = waits; wait < waits + ARRAY_SIZE(waits);
			     wait++) {
				unsigned int woke = 0;

				checking("cpu-%u.poll-%u.%s", cpu, poll, wait->name);
				for (unsigned int i = 0; i < REPEATS; i++)
					woke += halt_wakes(cpu, by_timer ? wait->us * 1000 : 0,
							   by_timer ? 0 : wait->us);
				check_equal(woke, REPEATS, "cpu-%u.poll-%u.%s", cpu, poll,
					    wait->name);
			}
		}
	}
}

SUBTEST_ARG("halt-ipi", test_halt, (&(const bool){ false }));
SUBTEST_ARG("halt-timer", test_halt, (&(const bool){ true }));
