// SPDX-License-Identifier: BSD-2-Clause
/*
 * External interrupts that are pending when L2 is entered. With "external-interrupt exiting" they
 * exit whatever L2's RFLAGS.IF is, but not while STI or MOV SS block them; "acknowledge interrupt
 * on exit" takes the vector from the APIC, else it stays pending there. Without, L2 gets them by
 * its own IF. SDM volume 3C, "Event Blocking", "Information for VM Exits Due to Vectored
 * Events".
 */
#include "apic.h"
#include "events.h"
#include "msr.h"

#define PHYSICAL 0x61

L2_CODE(nops, "nop\n nop\n nop\n hlt");

static const struct external {
	const char *name;
	bool exiting, acknowledge, interrupts;
	u32 blocking;
	u32 exit;
	unsigned int rip;
	u32 activity;
} externals[] = {
	{ "exiting", true, false, true, 0, EXIT_EXTERNAL_INTERRUPT, 0, 0 },
	{ "exiting-if-0", true, false, false, 0, EXIT_EXTERNAL_INTERRUPT, 0, 0 },
	{ "acknowledge", true, true, true, 0, EXIT_EXTERNAL_INTERRUPT, 0, 0 },
	{ "acknowledge-if-0", true, true, false, 0, EXIT_EXTERNAL_INTERRUPT, 0, 0 },
	{ "sti", true, false, true, BLOCKING_BY_STI, EXIT_EXTERNAL_INTERRUPT, 1, 0 },
	{ "mov-ss", true, false, true, BLOCKING_BY_MOV_SS, EXIT_EXTERNAL_INTERRUPT, 1, 0 },
	{ "hlt", true, false, true, 0, EXIT_EXTERNAL_INTERRUPT, 0, ACTIVITY_HLT },
	{ "hlt-acknowledge", true, true, true, 0, EXIT_EXTERNAL_INTERRUPT, 0, ACTIVITY_HLT },
	{ "not-exiting-if-0", false, false, false, 0, EXIT_HLT, 3, 0 },
};

static void test_external(void)
{
	if (!vmx_needs(VMX_EXIT_ACKNOWLEDGE_INTERRUPT))
		return;
	apic_enable();
	for (const struct external *x = externals; x < externals + ARRAY_SIZE(externals); x++) {
		struct events *e;
		bool acknowledged = x->exiting && x->acknowledge;

		if (x->activity && !(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
			check_skip("the CPU has no activity state HLT", "%s", x->name);
			continue;
		}
		e = events_new(&PLACE_HERE, nops);
		if (x->exiting)
			vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
		if (x->acknowledge)
			vmx_set(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
		vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | (x->interrupts ? EFLAGS_IF : 0));
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, x->blocking);
		vmcs_write(VMCS_GUEST_ACTIVITY_STATE, x->activity);
		irq_disable();
		apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PHYSICAL);
		vmx_run(e->guest);
		check_exit(e->guest, x->exit, "%s.exit", x->name);
		check_equal(vmcs_read(VMCS_GUEST_RIP) - e->rip, x->rip, "%s.rip", x->name);
		/* The return to the active state comes only after the exit. */
		check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), x->activity, "%s.activity",
			    x->name);
		if (x->exiting)
			check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION),
				    acknowledged ? INFO(TYPE_EXTERNAL_INTERRUPT, PHYSICAL) : 0,
				    "%s.information", x->name);
		check_equal(apic_vector_bit(APIC_IRR, PHYSICAL), !acknowledged, "%s.irr", x->name);
		check_equal(apic_vector_bit(APIC_ISR, PHYSICAL), acknowledged, "%s.isr", x->name);
		/* What is left of it is taken by an acknowledging exit. */
		if (!acknowledged) {
			events_reset(e);
			vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
			vmx_set(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
			vmx_run(e->guest);
			check_exit(e->guest, EXIT_EXTERNAL_INTERRUPT, "%s.later", x->name);
		}
		apic_eoi();
	}
}

VMX_SUBTEST("external-interrupt", test_external);

/* Without exiting L2 takes it by its IDT, as soon as its own IF and blocking let it. */
static void test_taken(void)
{
	static const struct {
		const char *name;
		u32 blocking, activity;
		unsigned int rip;
	} rows[] = {
		{ "open", 0, 0, 0 },
		{ "sti", BLOCKING_BY_STI, 0, 1 },
		{ "mov-ss", BLOCKING_BY_MOV_SS, 0, 1 },
		{ "hlt", 0, ACTIVITY_HLT, 0 },
	};

	apic_enable();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct events *e;

		if (rows[i].activity && !(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
			check_skip("the CPU has no activity state HLT", "%s", rows[i].name);
			continue;
		}
		e = events_new(&PLACE_HERE, nops);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, rows[i].blocking);
		vmcs_write(VMCS_GUEST_ACTIVITY_STATE, rows[i].activity);
		irq_disable();
		apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PHYSICAL);
		vmx_run(e->guest);
		check_event(e, PHYSICAL, NO_ERROR_CODE, e->rip + rows[i].rip, "%s", rows[i].name);
		check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE, "%s.active",
			    rows[i].name);
		check_equal(apic_vector_bit(APIC_ISR, PHYSICAL), 1, "%s.isr", rows[i].name);
		apic_eoi();
	}
}

VMX_SUBTEST("external-interrupt.taken", test_taken);
