// SPDX-License-Identifier: BSD-2-Clause
/*
 * What KVM offers to a guest's locks: a kick for a halted virtual CPU, a yield to
 * the one that is waited for, IPIs to many at once, and the time that was stolen.
 * Linux, Documentation/virt/kvm/x86/hypercalls.rst and msr.rst.
 */
#include "apic.h"
#include "control.h"
#include "extable.h"
#include "kvm_para.h"
#include "locks.h"
#include "msr.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

TEST_MANUAL("KVM x86/hypercalls.rst: KVM_HC_KICK_CPU, KVM_HC_SEND_IPI, KVM_HC_SCHED_YIELD");
TEST_MANUAL("KVM x86/msr.rst: MSR_KVM_STEAL_TIME");

#define WAIT_US	   2000000
#define QUIET_US   20000
#define IPI_VECTOR 0xe1

/*
 * A KVM whose CPU is its own emulator patches VMMCALL and then finds it again, for
 * ever: a timer ends that, so that it is a failed check and not a hang.
 */
#define TIMER_VECTOR 0xe2
#define TIMER_COUNT  200000000

static bool stuck;

static bool on_timer(struct trap_frame *frame)
{
	ulong after = extable_fixup(frame->ip, false);

	apic_eoi();
	if (after) {
		stuck = true;
		frame->ip = after;
		frame->ax = FAULT(TIMER_VECTOR).value;
	}
	return true;
}

static struct {
	bool done;
	struct fault fault;
	long result;
} probe;

static bool hypercalls_return(void)
{
	if (probe.done)
		return !stuck;
	apic_enable();
	trap_set_handler(TIMER_VECTOR, on_timer);
	apic_timer_oneshot(TIMER_VECTOR, TIMER_COUNT);
	irq_enable();
	probe.result = kvm_hypercall(KVM_HC_UNKNOWN, 0, 0, 0, 0, &probe.fault);
	irq_disable();
	apic_timer_oneshot(TIMER_VECTOR, 0);
	probe.done = true;
	return !stuck;
}

static void test_hypercall(void)
{
	if (!hypervisor_is("KVMKVMKVM")) {
		subtest_skip("not on KVM");
		return;
	}
	if (check(hypercalls_return(), "returns")) {
		check_fault(probe.fault, NO_FAULT, "unknown.fault");
		check_equal(probe.result, -KVM_ENOSYS, "unknown.result");
	}
}

static bool need(u64 feature, const char *name, unsigned int cpus)
{
	if (!hypervisor_is("KVMKVMKVM"))
		subtest_skip("not on KVM");
	else if (!cpu_has(feature))
		subtest_skip("KVM does not offer %s", name);
	else if (cpu_count() < cpus)
		subtest_skip("needs %u CPUs", cpus);
	else
		return true;
	return false;
}

static bool need_hypercall(u64 feature, const char *name, unsigned int cpus)
{
	if (!need(feature, name, cpus))
		return false;
	if (!hypercalls_return())
		subtest_skip("hypercalls do not return on this KVM");
	return !stuck;
}

/* Each halts once with interrupts off: only a kick can wake it. */
static struct {
	bool halting[MAX_CPUS], woke[MAX_CPUS];
	bool hold[MAX_CPUS]; /* wait with the HLT until this is false */
} sleepers;

static void halt_once(void *argument)
{
	u32 me = cpu_index();

	irq_disable();
	WRITE_ONCE(sleepers.halting[me], true);
	while (READ_ONCE(sleepers.hold[me]))
		cpu_relax();
	asm volatile("hlt" : : : "memory");
	WRITE_ONCE(sleepers.woke[me], true);
	irq_enable();
}

static long kick(u32 id, struct fault *fault)
{
	return kvm_hypercall(KVM_HC_KICK_CPU, 0, id, 0, 0, fault);
}

static void wait_quietly(void)
{
	delay_us(QUIET_US);
}

/*
 * A CPU that halts with interrupts off goes on when it is kicked, by name and alone; a
 * kick that comes before HLT is remembered; one for a CPU that is not there harms nobody.
 */
static void test_kick(void)
{
	struct fault fault;

	if (!need_hypercall(FEATURE_KVM_PV_UNHALT, "PV unhalt", 3))
		return;
	memset(&sleepers, 0, sizeof(sleepers));
	smp_call_async(1, halt_once, NULL);
	smp_call_async(2, halt_once, NULL);
	check(WAIT_UNTIL(READ_ONCE(sleepers.halting[1]) && READ_ONCE(sleepers.halting[2]), WAIT_US),
	      "both-halt");
	wait_quietly();
	check(!sleepers.woke[1] && !sleepers.woke[2], "no-wake-without-kick");

	kick(0xfe, &fault);
	check_fault(fault, NO_FAULT, "wrong-apic-id.fault");
	wait_quietly();
	check(!sleepers.woke[1] && !sleepers.woke[2], "wrong-apic-id.wakes-nobody");

	check_equal(kick(cpus[1]->apic_id, &fault), 0, "kick.result");
	check_fault(fault, NO_FAULT, "kick.fault");
	checking("kick.wakes");
	check(WAIT_UNTIL(READ_ONCE(sleepers.woke[1]), WAIT_US), "kick.wakes");
	wait_quietly();
	check(!READ_ONCE(sleepers.woke[2]), "kick.wakes-only-it");
	kick(cpus[2]->apic_id, &fault);
	check(WAIT_UNTIL(READ_ONCE(sleepers.woke[2]), WAIT_US), "kick.second");
	smp_wait(1);
	smp_wait(2);

	memset(&sleepers, 0, sizeof(sleepers));
	sleepers.hold[1] = true;
	smp_call_async(1, halt_once, NULL);
	check(WAIT_UNTIL(READ_ONCE(sleepers.halting[1]), WAIT_US), "early.ready");
	kick(cpus[1]->apic_id, &fault);
	WRITE_ONCE(sleepers.hold[1], false);
	checking("early.remembered");
	check(WAIT_UNTIL(READ_ONCE(sleepers.woke[1]), WAIT_US), "early.remembered");
	if (!sleepers.woke[1])
		kick(cpus[1]->apic_id, &fault);
	smp_wait(1);
}

static void test_yield(void)
{
	struct fault fault;

	if (!need_hypercall(FEATURE_KVM_PV_SCHED_YIELD, "PV sched yield", 2))
		return;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		check_equal(kvm_hypercall(KVM_HC_SCHED_YIELD, cpus[cpu]->apic_id, 0, 0, 0, &fault),
			    0, "cpu-%u.result", cpu);
		check_fault(fault, NO_FAULT, "cpu-%u.fault", cpu);
	}
	kvm_hypercall(KVM_HC_SCHED_YIELD, 0xfe, 0, 0, 0, &fault);
	check_fault(fault, NO_FAULT, "wrong-apic-id");
}

static u32 ipis[MAX_CPUS];

static bool on_ipi(struct trap_frame *frame)
{
	__atomic_fetch_add(&ipis[cpu_index()], 1, __ATOMIC_SEQ_CST);
	apic_eoi();
	return true;
}

static u32 ipis_received(void)
{
	u32 sum = 0;

	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		sum += READ_ONCE(ipis[cpu]);
	return sum;
}

/* The CPU with this APIC id; cpu_count() if there is none. */
static unsigned int cpu_of_apic(u32 id)
{
	unsigned int cpu = 0;

	while (cpu < cpu_count() && cpus[cpu]->apic_id != id)
		cpu++;
	return cpu;
}

/*
 * The bitmap's bit n means APIC id minimum + n. Every position with every minimum that a CPU
 * can be reached by, and beyond: exactly that CPU is interrupted, or nobody. True if so.
 */
static bool ipi_arrives(u32 minimum, unsigned int bit)
{
	const unsigned int half = 8 * sizeof(ulong);
	unsigned int cpu = cpu_of_apic(minimum + bit);
	u32 expected = cpu < cpu_count();
	struct fault fault;
	bool right;
	long sent;

	memset(ipis, 0, sizeof(ipis));
	sent = kvm_hypercall(KVM_HC_SEND_IPI, bit < half ? 1ul << bit : 0,
			     bit < half ? 0 : 1ul << (bit - half), minimum, IPI_VECTOR, &fault);
	irq_enable();
	right = !fault_raised(fault) && sent == (long)expected &&
		(!expected || WAIT_UNTIL(READ_ONCE(ipis[cpu]) == 1, WAIT_US)) &&
		ipis_received() == expected;
	irq_disable();
	if (!right)
		diagnostic("minimum %u, bit %u: sent %ld, %u received, %u expected", minimum, bit,
			   sent, ipis_received(), expected);
	return right;
}

static void test_send_ipi(void)
{
	const unsigned int bits = 2 * 8 * sizeof(ulong);
	u32 highest = 0;
	struct fault fault;

	if (!need_hypercall(FEATURE_KVM_PV_SEND_IPI, "PV send IPI", 2))
		return;
	trap_set_handler(IPI_VECTOR, on_ipi);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		highest = MAX(highest, (u32)cpus[cpu]->apic_id);
	for (u32 minimum = 0; minimum <= highest; minimum++) {
		bool all = true;

		for (unsigned int bit = 0; bit < bits; bit++)
			all &= ipi_arrives(minimum, bit);
		check(all, "minimum-%u.every-bit", minimum);
	}
	memset(ipis, 0, sizeof(ipis));
	kvm_hypercall(KVM_HC_SEND_IPI, ~0ul, 0, 0, IPI_VECTOR, &fault);
	check_fault(fault, NO_FAULT, "all-bits.fault");
	irq_enable();
	check(WAIT_UNTIL(ipis_received() == cpu_count(), WAIT_US), "all-bits.each-once");
	irq_disable();
	trap_set_handler(IPI_VECTOR, NULL);
}

static struct kvm_steal_time steal[MAX_CPUS];

static bool steal_written(const struct kvm_steal_time *s)
{
	u32 version = READ_ONCE(s->version);

	return version && !(version & 1);
}

/* A CPU that sleeps is not run, and so gets no update: each waits for its first one itself. */
static void enable_steal_time(void *argument)
{
	struct kvm_steal_time *mine = &steal[cpu_index()];

	wrmsr(MSR_KVM_STEAL_TIME, (ulong)mine | (argument ? KVM_STEAL_TIME_ENABLE : 0));
	if (argument)
		(void)WAIT_UNTIL(steal_written(mine), WAIT_US);
}

/*
 * Twice the same even version around the value means that the host was not writing. What it
 * was before, if the host never gets there.
 */
static u64 stolen(const struct kvm_steal_time *s, u64 before)
{
	u64 end = tsc_deadline_us(WAIT_US);

	while (!tsc_passed(end)) {
		u32 version = READ_ONCE(s->version);
		u64 value;

		barrier();
		value = READ_ONCE(s->steal);
		barrier();
		if (!(version & 1) && version == READ_ONCE(s->version))
			return value;
	}
	return before;
}

static void test_steal_time(void)
{
	u64 before[MAX_CPUS], sum = 0;
	bool forward = true;

	if (!need(FEATURE_KVM_STEAL_TIME, "steal time", 1))
		return;
	on_all_cpus(enable_steal_time, steal);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		/* From zero on: an even version other than that says that the host has written. */
		check(steal_written(&steal[cpu]), "cpu-%u.written", cpu);
		before[cpu] = stolen(&steal[cpu], 0);
	}
	for (unsigned int i = 0; i < 20; i++) {
		delay_us(1000);
		for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
			u64 now = stolen(&steal[cpu], before[cpu]);

			forward &= now >= before[cpu];
			before[cpu] = now;
		}
	}
	check(forward, "never-backward");
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		sum += before[cpu];
	diagnostic("%llu ns stolen from all CPUs", sum);
	check_equal(rdmsr(MSR_KVM_STEAL_TIME), (ulong)&steal[0] | KVM_STEAL_TIME_ENABLE,
		    "reads-back");
	check_fault(wrmsr_safe(MSR_KVM_STEAL_TIME, ((ulong)&steal[0] + 2) | KVM_STEAL_TIME_ENABLE),
		    FAULT_GP(0), "reserved-bits");
	on_all_cpus(enable_steal_time, NULL);
}

SUBTEST("paravirt.hypercall", test_hypercall);
SUBTEST("paravirt.kick", test_kick);
SUBTEST("paravirt.yield", test_yield);
SUBTEST("paravirt.send_ipi", test_send_ipi);
SUBTEST("paravirt.steal_time", test_steal_time);
