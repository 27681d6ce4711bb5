// SPDX-License-Identifier: BSD-2-Clause
/*
 * An L2 on another CPU that is not active: what ends each of its states, by an exit that saves the
 * state, and what does not. HLT takes all but a STARTUP IPI; shutdown takes NMI and INIT; an L2
 * that waits for a STARTUP IPI takes that alone, with the vector as exit qualification. What it
 * does not take is pending for L1, but a STARTUP IPI is discarded, as it is in the active state and
 * in VMX root operation.
 *
 * SDM volume 3C, "Activity State" of a VM entry, "Architectural State Before a VM Exit", "Other
 * Causes of VM Exits" (INIT signals, SIPI); 3D, "Basic VM-Exit Information". KVM kept a STARTUP IPI
 * that came to an L2 which did not wait, as an exit for later: Linux 6.1, commit c2086eca8658.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "lifecycle.h"
#include "msr.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

TEST_GUARDS("KVM kept a STARTUP IPI for an L2 that did not wait for one (Linux 6.1, commit "
	    "c2086eca8658)");

#define VECTOR	       0x56
#define STARTUP_VECTOR 0x9a
#define QUIET_US       1500 /* in which an exit would have come */
#define ENTRY_US       500
#define WAIT_US	       500000

static struct {
	struct vmx_guest *guest;
	u32 activity;
	volatile u32 started, stop, counted, interrupts, nmis, finished;
	u32 reason;
	u64 qualification, saved_activity;
} waiter;

L2_CODE(counts, "1: incl (%ebx)\n cmpl $0, (%ecx)\n je 1b\n vmcall");

static bool count_interrupt(struct trap_frame *frame)
{
	(void)frame;
	waiter.interrupts++;
	apic_eoi();
	return true;
}

static bool count_nmi(struct trap_frame *frame)
{
	(void)frame;
	waiter.nmis++;
	return true;
}

static void run_waiter(void *unused)
{
	(void)unused;
	irq_disable();
	vmx_guest_again(waiter.guest, L2_NATIVE, counts);
	waiter.guest->world.registers.bx = (ulong)&waiter.counted;
	waiter.guest->world.registers.cx = (ulong)&waiter.stop;
	vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
	vmx_set(VMX_PIN_NMI_EXITING);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, waiter.activity);
	waiter.started = 1;
	waiter.reason = vmx_run(waiter.guest);
	waiter.qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	waiter.saved_activity = vmcs_read(VMCS_GUEST_ACTIVITY_STATE);
	vmx_forget(waiter.guest);
	waiter.finished = 1;
	irq_enable();
}

/* CPU 1 in L2, with that activity state. */
static bool start_waiter(u32 activity)
{
	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return false;
	}
	if (!vmx_needs(VMX_PIN_NMI_EXITING))
		return false;
	if (activity && !(rdmsr(MSR_IA32_VMX_MISC) >> (5 + activity) & 1)) {
		subtest_skip("the CPU lacks the activity state");
		return false;
	}
	waiter.guest = vmx_guest(L2_NATIVE, counts);
	vmx_forget(waiter.guest);
	waiter.activity = activity;
	waiter.started = waiter.stop = waiter.counted = waiter.interrupts = waiter.finished = 0;
	waiter.nmis = 0;
	trap_set_handler(VECTOR, count_interrupt);
	trap_set_handler(VECTOR_NMI, count_nmi);
	smp_call_async(1, run_waiter, NULL);
	WAIT_UNTIL(waiter.started, WAIT_US);
	delay_us(ENTRY_US);
	return true;
}

static void send_startup(void)
{
	apic_icr_write(cpus[1]->apic_id, APIC_DELIVERY_STARTUP | APIC_ASSERT | STARTUP_VECTOR);
}

/*
 * The end of an L2 that waits, with more STARTUP IPIs if the first was not enough: CPU 1 is to be
 * out of L2 for the next subtest. That one was not enough is a failure all the same.
 */
static bool ends_by_startup(void)
{
	unsigned int more = 0;

	while (!WAIT_UNTIL(waiter.finished, WAIT_US / 50) && more < 50) {
		send_startup();
		more++;
	}
	check_equal(more, 0, "first-startup");
	return waiter.finished;
}

static void test_waiting(void)
{
	if (!start_waiter(ACTIVITY_WAIT_FOR_SIPI))
		return;
	checking("startup");
	check_equal(waiter.finished, 0, "waits");
	ipi_send(1, VECTOR);
	delay_us(QUIET_US);
	check_equal(waiter.finished, 0, "interrupt-ignored");
	check_equal(waiter.interrupts, 0, "interrupt-pending");
	apic_icr_write(cpus[1]->apic_id, APIC_DELIVERY_NMI | APIC_ASSERT);
	delay_us(QUIET_US);
	check_equal(waiter.finished, 0, "nmi-ignored");
	check_equal(waiter.nmis, 0, "nmi-pending");
	send_startup();
	if (!check(ends_by_startup(), "exits")) {
		restart_target();
		return;
	}
	smp_wait(1);
	check_equal(waiter.reason, EXIT_STARTUP_IPI, "reason");
	check_equal(waiter.qualification, STARTUP_VECTOR, "qualification");
	check_equal(waiter.saved_activity, ACTIVITY_WAIT_FOR_SIPI, "saved-activity");
	check_equal(waiter.counted, 0, "nothing-executed");
	check_equal(waiter.interrupts, 1, "interrupt-taken-by-l1");
	check_equal(waiter.nmis, 1, "nmi-taken-by-l1");
	trap_set_handler(VECTOR_NMI, NULL);
	/* Whatever of that state's blocking a machine may have kept ends here. */
	restart_target();
}
VMX_SUBTEST("sipi.waiting", test_waiting);

/* Discarded: L2 goes on, and no later L2 that waits finds it. */
static void test_active(void)
{
	if (!start_waiter(ACTIVITY_ACTIVE))
		return;
	send_startup();
	delay_us(QUIET_US);
	check_equal(waiter.finished, 0, "goes-on");
	waiter.stop = 1;
	check(WAIT_UNTIL(waiter.finished, WAIT_US), "ends");
	smp_wait(1);
	check_equal(waiter.reason, EXIT_VMCALL, "reason");
	check(waiter.counted, "counted");
}
VMX_SUBTEST("sipi.active", test_active);

static void count_in_root(void *unused)
{
	(void)unused;
	waiter.started = 1;
	while (!waiter.stop)
		waiter.counted++;
}

static void test_root(void)
{
	u32 counted;

	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return;
	}
	waiter.started = waiter.stop = waiter.counted = 0;
	smp_call_async(1, count_in_root, NULL);
	WAIT_UNTIL(waiter.started, WAIT_US);
	send_startup();
	delay_us(QUIET_US);
	counted = waiter.counted;
	check(WAIT_UNTIL(waiter.counted != counted, WAIT_US), "goes-on");
	waiter.stop = 1;
	smp_wait(1);
}
VMX_SUBTEST("sipi.root", test_root);

/* Each state and event: the exit, or none. */
static const struct arrival {
	u32 activity;
	u32 delivery;
	u32 reason; /* EXIT_NONE: it does not end the state */
} arrivals[] = {
	{ ACTIVITY_HLT, APIC_DELIVERY_FIXED, EXIT_EXTERNAL_INTERRUPT },
	{ ACTIVITY_HLT, APIC_DELIVERY_NMI, EXIT_EXCEPTION_OR_NMI },
	{ ACTIVITY_HLT, APIC_DELIVERY_INIT, EXIT_INIT },
	{ ACTIVITY_HLT, APIC_DELIVERY_STARTUP, EXIT_NONE },
	{ ACTIVITY_SHUTDOWN, APIC_DELIVERY_FIXED, EXIT_NONE },
	{ ACTIVITY_SHUTDOWN, APIC_DELIVERY_NMI, EXIT_EXCEPTION_OR_NMI },
	{ ACTIVITY_SHUTDOWN, APIC_DELIVERY_INIT, EXIT_INIT },
	{ ACTIVITY_SHUTDOWN, APIC_DELIVERY_STARTUP, EXIT_NONE },
	{ ACTIVITY_WAIT_FOR_SIPI, APIC_DELIVERY_FIXED, EXIT_NONE },
	{ ACTIVITY_WAIT_FOR_SIPI, APIC_DELIVERY_NMI, EXIT_NONE },
	{ ACTIVITY_WAIT_FOR_SIPI, APIC_DELIVERY_INIT, EXIT_NONE },
	{ ACTIVITY_WAIT_FOR_SIPI, APIC_DELIVERY_STARTUP, EXIT_STARTUP_IPI },
};

static void send(u32 delivery)
{
	u32 vector = delivery == APIC_DELIVERY_FIXED	 ? VECTOR
		     : delivery == APIC_DELIVERY_STARTUP ? STARTUP_VECTOR
							 : 0;

	apic_icr_write(cpus[1]->apic_id, delivery | APIC_ASSERT | vector);
}

static void test_arrival(const void *argument)
{
	const struct arrival *a = argument;
	bool waits = a->activity == ACTIVITY_WAIT_FOR_SIPI;
	u32 reason = a->reason;

	if (!vmx_ready() || !start_waiter(a->activity))
		return;
	send(a->delivery);
	/* Something else gets it out. */
	if (reason == EXIT_NONE) {
		check(!WAIT_UNTIL(waiter.finished, QUIET_US), "stays");
		send(waits ? APIC_DELIVERY_STARTUP : APIC_DELIVERY_NMI);
		reason = waits ? EXIT_STARTUP_IPI : EXIT_EXCEPTION_OR_NMI;
	}
	if (!check(reason == EXIT_STARTUP_IPI ? ends_by_startup() :
						WAIT_UNTIL(waiter.finished, WAIT_US),
		   "exits")) {
		restart_target();
		return;
	}
	check_equal(waiter.reason, reason, "reason");
	check_equal(waiter.qualification, waits ? STARTUP_VECTOR : 0, "qualification");
	check_equal(waiter.saved_activity, a->activity, "saved-activity");
	check_equal(waiter.counted, 0, "nothing-executed");
	restart_target();
	trap_set_handler(VECTOR_NMI, NULL);
	vmx_check_invariants();
}

SUBTEST_ARG("activity.hlt.interrupt", test_arrival, &arrivals[0]);
SUBTEST_ARG("activity.hlt.nmi", test_arrival, &arrivals[1]);
SUBTEST_ARG("activity.hlt.init", test_arrival, &arrivals[2]);
SUBTEST_ARG("activity.hlt.startup", test_arrival, &arrivals[3]);
SUBTEST_ARG("activity.shutdown.interrupt", test_arrival, &arrivals[4]);
SUBTEST_ARG("activity.shutdown.nmi", test_arrival, &arrivals[5]);
SUBTEST_ARG("activity.shutdown.init", test_arrival, &arrivals[6]);
SUBTEST_ARG("activity.shutdown.startup", test_arrival, &arrivals[7]);
SUBTEST_ARG("activity.wait.interrupt", test_arrival, &arrivals[8]);
SUBTEST_ARG("activity.wait.nmi", test_arrival, &arrivals[9]);
SUBTEST_ARG("activity.wait.init", test_arrival, &arrivals[10]);
SUBTEST_ARG("activity.wait.startup", test_arrival, &arrivals[11]);
