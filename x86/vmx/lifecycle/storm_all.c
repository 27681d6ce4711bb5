// SPDX-License-Identifier: BSD-2-Clause
/*
 * A storm in which every CPU is a hypervisor: each runs an L2 of its own and sends to the next
 * CPU, one at a time, while the one before sends to it. None may be lost, doubled or given to
 * another CPU's L2, and each exit is told on the CPU that it came to.
 *
 * SDM volume 3C, "Other Causes of VM Exits", "Information for VM Exits Due to Vectored Events".
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "lifecycle.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define VECTOR	    0x56
#define SENT	    100
#define DEADLINE_US 3000000

L2_CODE(spin, "mov $4000, %ecx\n 1: dec %ecx\n jnz 1b\n vmcall\n ud2");

static const struct storm {
	u32 delivery;
	u32 control;
	u32 information; /* of the exit */
} storm_intr = { APIC_DELIVERY_FIXED, VMX_PIN_EXTERNAL_INTERRUPT_EXITING,
		 INTERRUPTION_VALID | VECTOR },
  storm_nmi = { APIC_DELIVERY_NMI, VMX_PIN_NMI_EXITING,
		INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_NMI) | VECTOR_NMI };

static const struct storm *storm;

/* What one CPU has seen; sent and received are read by its neighbours. */
static struct seat {
	struct vmx_guest *guest;
	volatile u32 sent, received;
	u32 exits;
	u32 other; /* reason of an exit that should not have been */
} seats[MAX_CPUS];

/* An NMI that comes while L1 runs; an interrupt that is left when all is over. */
static bool on_nmi(struct trap_frame *frame)
{
	(void)frame;
	seats[cpu_index()].received++;
	return true;
}

static bool on_interrupt(struct trap_frame *frame)
{
	(void)frame;
	seats[cpu_index()].received++;
	apic_eoi();
	return true;
}

static void prepare(struct seat *own)
{
	vmx_guest_again(own->guest, L2_NATIVE, spin);
	vmx_set(storm->control);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	if (storm->delivery == APIC_DELIVERY_FIXED)
		vmx_set(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
}

/* False if the exit is neither L2's end nor what was sent. */
static bool take_exit(struct seat *own, u32 reason)
{
	if (reason == EXIT_VMCALL) {
		vmcs_write(VMCS_GUEST_RIP, (ulong)spin);
		return true;
	}
	if ((reason != EXIT_EXTERNAL_INTERRUPT && reason != EXIT_EXCEPTION_OR_NMI) ||
	    vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) != storm->information)
		return false;
	own->exits++;
	if (storm->delivery == APIC_DELIVERY_FIXED) {
		apic_eoi();
	} else {
		unblock_nmis();
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
	}
	own->received++;
	return true;
}

static void take_part(void *unused)
{
	unsigned int neighbour = (cpu_index() + 1) % cpu_count();
	struct seat *own = &seats[cpu_index()], *next = &seats[neighbour];
	u64 deadline = tsc_deadline_us(DEADLINE_US);

	(void)unused;
	irq_disable();
	prepare(own);
	smp_meet();
	while ((own->sent < SENT || own->received < SENT) && !tsc_passed(deadline)) {
		u32 reason;

		if (own->sent < SENT && next->received == own->sent) {
			own->sent++;
			apic_icr_write(cpus[neighbour]->apic_id,
				       storm->delivery | APIC_ASSERT | VECTOR);
		}
		reason = vmx_run(own->guest);
		if (!take_exit(own, reason)) {
			own->other = reason;
			break;
		}
	}
	vmx_forget(own->guest);
	irq_enable();
}

static void test_storm_all(const void *argument)
{
	storm = argument;
	if (!vmx_ready())
		return;
	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return;
	}
	if (!vmx_needs(storm->control) || !vmx_needs(VMX_EXIT_ACKNOWLEDGE_INTERRUPT))
		return;
	trap_set_handler(VECTOR_NMI, on_nmi);
	trap_set_handler(VECTOR, on_interrupt);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		seats[i] = (struct seat){ .guest = vmx_guest(L2_NATIVE, spin),
					  .other = EXIT_VMCALL };
		vmx_forget(seats[i].guest);
	}
	on_all_cpus(take_part, NULL);
	irq_disable();
	delay_us(1000);
	trap_set_handler(VECTOR_NMI, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++) {
		check_equal(seats[i].other, EXIT_VMCALL, "cpu-%u.no-other-exit", i);
		check_equal(seats[i].sent, SENT, "cpu-%u.sent", i);
		check_equal(seats[i].received, SENT, "cpu-%u.received", i);
		/* Some came while L2 ran. */
		check(seats[i].exits, "cpu-%u.exits", i);
	}
	vmx_check_invariants();
}

SUBTEST_ARG("storm_all_intr", test_storm_all, &storm_intr);
SUBTEST_ARG("storm_all_nmi", test_storm_all, &storm_nmi);
