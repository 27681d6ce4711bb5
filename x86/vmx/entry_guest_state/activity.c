// SPDX-License-Identifier: BSD-2-Clause
/* "Checks on Guest Non-Register State": activity, interruptibility, pending debug exceptions. */
#include "control.h"
#include "msr.h"
#include "segment.h"

#define EVENT VMCS_VM_ENTRY_INTERRUPTION_INFORMATION
#define STATE VMCS_GUEST_INTERRUPTIBILITY_STATE

#define BLOCKING_BY_ENCLAVE BIT(4)
#define FEATURE_SGX	    CPUID_FEATURE(0x7, 0, EBX, 2)

static u32 event(enum interruption_type type, unsigned int vector)
{
	return INTERRUPTION_VALID | INTERRUPTION_TYPE(type) | vector;
}

/* Interrupts are on, and L2's IDT is empty: each event that is injected ends in an exit by #GP. */
static struct vmx_guest *event_guest(u32 information)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);

	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 1);
	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
	vmcs_write(EVENT, information);
	if (information)
		entry_ends_with(EXIT_EXCEPTION_OR_NMI);
	return guest;
}

static bool has_state(u32 activity)
{
	return activity == ACTIVITY_ACTIVE || vmx_capabilities.misc >> (5 + activity) & 1;
}

/* What does not exist, and what the CPU has not. */
static void test_states(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);

	for (u32 activity = ACTIVITY_HLT; activity <= ACTIVITY_WAIT_FOR_SIPI; activity++)
		if (!has_state(activity))
			must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, activity,
				    "absent-%u", activity);
	for (u32 activity = 4; activity < 8; activity++)
		must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, activity,
			    "reserved-%u", activity);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, ~7u, "reserved");
}

ENTRY_SUBTEST("activity-states", test_states);

/* The interrupt window wakes it. Not outside of ring 0, as HLT is for ring 0 alone. */
static void test_hlt(void)
{
	struct vmx_guest *guest;

	if (!has_state(ACTIVITY_HLT)) {
		subtest_skip("the CPU has no activity state HLT");
		return;
	}
	guest = event_guest(0);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	entry_ends_with(EXIT_INTERRUPT_WINDOW);
	must_enter(guest, "ring-0.active");
	must_enter_with(guest, VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT, "ring-0.hlt");
	guest = ring3_guest();
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	entry_ends_with(EXIT_INTERRUPT_WINDOW);
	must_enter(guest, "ring-3.active");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT, "ring-3.hlt");
}

ENTRY_SUBTEST("hlt", test_hlt);

/* STI and MOV SS block for one instruction: only who executes one can be blocked so. */
static void test_activity_blocking(void)
{
	struct vmx_guest *guest = event_guest(0);

	for (u32 blocking = BLOCKING_BY_STI; blocking <= BLOCKING_BY_MOV_SS; blocking++) {
		vmcs_write(STATE, blocking);
		for (u32 activity = ACTIVITY_HLT; activity <= ACTIVITY_WAIT_FOR_SIPI; activity++)
			must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, activity,
				    "%s.activity-%u",
				    blocking == BLOCKING_BY_STI ? "sti" : "mov-ss", activity);
	}
}

ENTRY_SUBTEST("activity-blocking", test_activity_blocking);

/* What may be injected while the processor is not active: what wakes it from that state. */
static const struct activity_event {
	const char *id;
	u8 type, vector;
	bool error_code;
	bool wakes_hlt, wakes_shutdown;
} events[] = {
	{ "interrupt", TYPE_EXTERNAL_INTERRUPT, 32, false, true, false },
	{ "nmi", TYPE_NMI, VECTOR_NMI, false, true, true },
	{ "db", TYPE_HARDWARE_EXCEPTION, VECTOR_DB, false, true, false },
	{ "mc", TYPE_HARDWARE_EXCEPTION, VECTOR_MC, false, true, true },
	{ "de", TYPE_HARDWARE_EXCEPTION, VECTOR_DE, false, false, false },
	{ "exception-2", TYPE_HARDWARE_EXCEPTION, VECTOR_NMI, false, false, false },
	{ "ud", TYPE_HARDWARE_EXCEPTION, VECTOR_UD, false, false, false },
	{ "gp", TYPE_HARDWARE_EXCEPTION, VECTOR_GP, true, false, false },
	{ "pf", TYPE_HARDWARE_EXCEPTION, VECTOR_PF, true, false, false },
	{ "software-interrupt", TYPE_SOFTWARE_INTERRUPT, 32, false, false, false },
	{ "software-interrupt-1", TYPE_SOFTWARE_INTERRUPT, VECTOR_DB, false, false, false },
	{ "int1", TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, false, false, false },
	{ "int3", TYPE_SOFTWARE_EXCEPTION, VECTOR_BP, false, false, false },
};

static void test_activity_event(const struct activity_event *row)
{
	u32 information = event(row->type, row->vector);
	struct vmx_guest *guest =
	    event_guest(information | (row->error_code ? INTERRUPTION_ERROR_CODE : 0));
	const bool legal[] = { true, row->wakes_hlt, row->wakes_shutdown, false };

	for (u32 activity = ACTIVITY_ACTIVE; activity <= ACTIVITY_WAIT_FOR_SIPI; activity++) {
		if (has_state(activity) && legal[activity])
			must_enter_with(guest, VMCS_GUEST_ACTIVITY_STATE, activity,
					"%s.activity-%u", row->id, activity);
		else
			must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_ACTIVITY_STATE, activity,
				    "%s.activity-%u", row->id, activity);
	}
}

static void test_activity_events(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++)
		test_activity_event(&events[i]);
}

ENTRY_SUBTEST("activity-events", test_activity_events);

static void test_interruptibility(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u32 reserved = ~0x1fu | BLOCKING_BY_SMI; /* L1 is not in SMM */

	if (!cpu_has(FEATURE_SGX))
		reserved |= BLOCKING_BY_ENCLAVE;
	must_refuse_bits(guest, BY_GUEST_STATE, STATE, reserved, "reserved");
	/* STI cannot have just set an IF that is 0. */
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_STI, "if-0.sti");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_STI | BLOCKING_BY_MOV_SS,
		    "if-0.sti-mov-ss");
	must_enter_with(guest, STATE, BLOCKING_BY_MOV_SS, "if-0.mov-ss");
	must_enter_with(guest, STATE, BLOCKING_BY_NMI, "if-0.nmi");
	must_enter_with(guest, STATE, BLOCKING_BY_NMI | BLOCKING_BY_MOV_SS, "if-0.nmi-mov-ss");
	guest = event_guest(0);
	must_enter_with(guest, STATE, BLOCKING_BY_STI, "if-1.sti");
	must_enter_with(guest, STATE, BLOCKING_BY_MOV_SS, "if-1.mov-ss");
	must_enter_with(guest, STATE, BLOCKING_BY_NMI | BLOCKING_BY_STI, "if-1.nmi-sti");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_STI | BLOCKING_BY_MOV_SS,
		    "if-1.sti-mov-ss");
	vmcs_write(STATE, BLOCKING_BY_STI);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, EFLAGS_FIXED, "sti.if-0");
}

ENTRY_SUBTEST("interruptibility", test_interruptibility);

/* An interrupt needs IF, and none that blocks it. */
static void test_interrupt_blocking(void)
{
	struct vmx_guest *guest = event_guest(event(TYPE_EXTERNAL_INTERRUPT, 32));

	must_enter(guest, "legal");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, EFLAGS_FIXED, "if-0");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_STI, "sti");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_MOV_SS, "mov-ss");
	must_enter_with(guest, STATE, BLOCKING_BY_NMI, "nmi");
	/* A software interrupt and an exception need neither. */
	guest = event_guest(event(TYPE_SOFTWARE_INTERRUPT, 32));
	must_enter_with(guest, VMCS_GUEST_RFLAGS, EFLAGS_FIXED, "software.if-0");
	must_enter_with(guest, STATE, BLOCKING_BY_STI, "software.sti");
	must_enter_with(guest, STATE, BLOCKING_BY_MOV_SS, "software.mov-ss");
	guest = event_guest(event(TYPE_HARDWARE_EXCEPTION, VECTOR_UD));
	must_enter_with(guest, VMCS_GUEST_RFLAGS, EFLAGS_FIXED, "exception.if-0");
	must_enter_with(guest, STATE, BLOCKING_BY_STI, "exception.sti");
	must_enter_with(guest, STATE, BLOCKING_BY_MOV_SS, "exception.mov-ss");
}

ENTRY_SUBTEST("interrupt-blocking", test_interrupt_blocking);

/* Blocking by STI is the processor's choice, and then qualification 3. */
static void test_nmi_blocking(void)
{
	struct vmx_guest *guest = event_guest(event(TYPE_NMI, VECTOR_NMI));

	must_enter(guest, "legal");
	must_enter_with(guest, VMCS_GUEST_RFLAGS, EFLAGS_FIXED, "if-0");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_MOV_SS, "mov-ss");
	may_refuse(guest, STATE, BLOCKING_BY_STI, "an NMI while STI blocks");
	must_enter_with(guest, STATE, BLOCKING_BY_NMI, "nmi");
}

ENTRY_SUBTEST("nmi-blocking", test_nmi_blocking);

static void test_virtual_nmi_blocking(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_NMI_EXITING) || !vmx_needs(VMX_PIN_VIRTUAL_NMIS))
		return;
	guest = event_guest(event(TYPE_NMI, VECTOR_NMI));
	vmx_set(VMX_PIN_NMI_EXITING);
	must_enter_with(guest, STATE, BLOCKING_BY_NMI, "nmi-exiting");
	vmx_set(VMX_PIN_VIRTUAL_NMIS);
	must_enter(guest, "legal");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_NMI, "virtual-nmis");
}

ENTRY_SUBTEST("virtual-nmi-blocking", test_virtual_nmi_blocking);

#define PENDING VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS

static void test_pending_debug(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u64 reserved = ~0x1ffffull | BIT(15) | BIT(13) | 0x7f0;

	if (!cpu_has(FEATURE_BUS_LOCK_DETECT))
		reserved |= PENDING_BUS_LOCK;
	must_refuse_bits(guest, BY_GUEST_STATE, PENDING, reserved, "reserved");
	/* B3 to B0 alone are no exception. */
	must_enter_bits(guest, PENDING, 0xf, "condition");
	may_refuse(guest, PENDING, PENDING_ENABLED, "an enabled breakpoint of which none is met");
	entry_ends_with(EXIT_EXCEPTION_OR_NMI);
	must_enter_with(guest, PENDING, PENDING_ENABLED | 0xf, "enabled-all");
	must_enter_with(guest, PENDING, PENDING_BS, "step");
}

ENTRY_SUBTEST("pending-debug", test_pending_debug);

/* An exception in a transaction: with bit 12, and with nothing else. */
static void test_pending_rtm(void)
{
	static const u32 others = 0x0fff | BIT(13) | BIT(14) | BIT(15);
	struct vmx_guest *guest = entry_guest(L2_PAE);

	must_refuse(guest, BY_GUEST_STATE, PENDING, PENDING_RTM, "alone");
	if (!cpu_has(FEATURE_RTM)) {
		must_refuse(guest, BY_GUEST_STATE, PENDING, PENDING_RTM | PENDING_ENABLED,
			    "absent");
		return;
	}
	entry_ends_with(EXIT_EXCEPTION_OR_NMI);
	vmcs_write(PENDING, PENDING_RTM | PENDING_ENABLED);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, PENDING, others, "others");
	must_refuse(guest, BY_GUEST_STATE, STATE, BLOCKING_BY_MOV_SS, "mov-ss");
}

ENTRY_SUBTEST("pending-rtm", test_pending_rtm);

/*
 * While STI or MOV SS blocks, or in HLT, the step of the instruction before is pending if and only
 * if TF is 1 and BTF is 0.
 */
static void check_step(struct vmx_guest *guest, u32 without_step)
{
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	entry_ends_with(without_step);
	must_enter(guest, "tf-0.bs-0");
	must_refuse(guest, BY_GUEST_STATE, PENDING, PENDING_BS, "tf-0.bs-1");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, rflags | EFLAGS_TF, "tf-1.bs-0");
	entry_ends_with(EXIT_EXCEPTION_OR_NMI);
	vmcs_write(VMCS_GUEST_RFLAGS, rflags | EFLAGS_TF);
	vmcs_write(PENDING, PENDING_BS);
	must_enter(guest, "tf-1.bs-1");
	must_refuse(guest, BY_GUEST_STATE, PENDING, 0, "tf-1.without-bs");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, rflags, "bs-1.without-tf");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_DEBUGCTL, 2, "tf-1.btf-1.bs-1");
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
	vmcs_write(PENDING, 0);
}

static void test_step(void)
{
	struct vmx_guest *guest = event_guest(0);

	vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	vmcs_write(STATE, BLOCKING_BY_STI);
	prefix_push("sti");
	check_step(guest, EXIT_VMCALL);
	prefix_pop();
	vmcs_write(STATE, BLOCKING_BY_MOV_SS);
	prefix_push("mov-ss");
	check_step(guest, EXIT_VMCALL);
	prefix_pop();
}

ENTRY_SUBTEST("pending-step", test_step);

static void test_step_hlt(void)
{
	struct vmx_guest *guest;

	if (!has_state(ACTIVITY_HLT)) {
		subtest_skip("the CPU has no activity state HLT");
		return;
	}
	guest = event_guest(0);
	vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	vmx_set(VMX_PRIMARY_INTERRUPT_WINDOW_EXITING);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	check_step(guest, EXIT_INTERRUPT_WINDOW);
}

ENTRY_SUBTEST("pending-step-hlt", test_step_hlt);
