// SPDX-License-Identifier: BSD-2-Clause
/*
 * An L2 on another CPU that waits for a STARTUP IPI: nothing but that ends it, with an exit whose
 * qualification is the vector; an interrupt or NMI that comes meanwhile is L1's afterwards. In all
 * other activity states, and in VMX root operation, a STARTUP IPI is discarded.
 *
 * SDM volume 3C, "Activity State" of a VM entry, "Other Causes of VM Exits" (SIPI); 3D, "Basic
 * VM-Exit Information", exit qualification. KVM kept a STARTUP IPI that came to an L2 which did not
 * wait, as an exit for later: Linux 6.1, commit c2086eca8658.
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
#define QUIET_US       2000
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
	delay_us(QUIET_US);
	return true;
}

static void send_startup(void)
{
	apic_icr_write(cpus[1]->apic_id, APIC_DELIVERY_STARTUP | APIC_ASSERT | STARTUP_VECTOR);
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
	if (!check(WAIT_UNTIL(waiter.finished, WAIT_US), "exits"))
		return;
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
