// SPDX-License-Identifier: BSD-2-Clause
/*
 * An event whose delivery causes a VM exit is left in the IDT-vectoring information, with its
 * error code and, for the software types, its length; RIP and RSP are L2's. SDM volume 3C,
 * "Information for VM Exits That Occur During Event Delivery", "Saving RIP, RSP, RFLAGS, and SSP".
 * Injected again, with the cause gone, it is delivered as though nothing had been. Here each type
 * is stopped by each kind of cause: the gate, the IDT's limit, pages of the IDT and of the stack,
 * both in L2's tables and in EPT, a task gate.
 */
#include "events.h"
#include "paging.h"
#include "vmx/ept.h"

L2_CODE(waits, "hlt\n hlt\n hlt\n hlt");

static const struct event {
	const char *name;
	u32 info, length;
	bool ext; /* an error code of a fault on the way has EXT */
} events[] = {
	{ "interrupt", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), 0, true },
	{ "nmi", INFO(TYPE_NMI, VECTOR_NMI), 0, true },
	{ "ud", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), 0, true },
	{ "ac", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_AC), 0, true },
	{ "int", INFO(TYPE_SOFTWARE_INTERRUPT, 0x51), 2, false },
	{ "int3", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), 1, false },
	{ "int1", INFO(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB), 1, true },
};

/* What stops it: set up and taken away; the exit, and the page that its addresses lie in. */
struct cause {
	const char *name;
	void (*set)(struct events *e, u8 vector, bool on);
	u32 reason;
	u8 fault; /* EXIT_EXCEPTION_OR_NMI: which, and a fixed error code; or by the vector */
	u32 error_code;
	u64 (*page)(struct events *e);
	u64 qualification; /* EPT violation: the bits that are judged */
	bool ept;
};

#define BY_VECTOR ~0u

static void set_present(struct events *e, u8 vector, bool on)
{
	l2_gate(&e->l2, vector)[L2_GATE_ACCESS] ^= on ? DESC_PRESENT : 0;
	if (!on)
		l2_gate(&e->l2, vector)[L2_GATE_ACCESS] |= DESC_PRESENT;
}

static void set_limit(struct events *e, u8 vector, bool on)
{
	u8 *gate = l2_gate(&e->l2, vector), *next = l2_gate(&e->l2, 1);

	/* One byte short. */
	vmcs_write(VMCS_GUEST_IDTR_LIMIT,
		   on ? gate + (next - e->l2.idt) - e->l2.idt - 2 : e->l2.idtr.limit);
}

static u64 idt_page(struct events *e)
{
	return (ulong)e->l2.idt;
}

static u64 stack_page(struct events *e)
{
	if (e->place->ring3 || e->place->mode == L2_V8086)
		return e->l2.stack0 - PAGE_SIZE;
	return e->ss_base + e->rsp - PAGE_SIZE;
}

static void hide(struct tables *tables, u64 address, bool on)
{
	tables_map(tables, address, address, LEVEL_4K, 0);
	if (on)
		tables_set(tables, address, LEVEL_4K, 0);
}

static void hide_idt(struct events *e, u8 vector, bool on)
{
	(void)vector;
	hide(&e->guest->tables, idt_page(e), on);
}

static void hide_stack(struct events *e, u8 vector, bool on)
{
	(void)vector;
	hide(&e->guest->tables, stack_page(e), on);
}

static void hide_idt_in_ept(struct events *e, u8 vector, bool on)
{
	(void)vector;
	hide(&e->guest->ept, idt_page(e), on);
	vmx_ept_flush();
}

static void hide_stack_in_ept(struct events *e, u8 vector, bool on)
{
	(void)vector;
	hide(&e->guest->ept, stack_page(e), on);
	vmx_ept_flush();
}

static void set_task_gate(struct events *e, u8 vector, bool on)
{
	u8 *gate = l2_gate(&e->l2, vector);
	u16 selector = on ? TASK_SELECTOR : KERNEL_CS32;

	memcpy(gate + L2_GATE_SELECTOR, &selector, sizeof(selector));
	gate[L2_GATE_ACCESS] =
	    DESC_PRESENT | DESC_DPL3 | (on ? DESC_TASK_GATE : DESC_INTERRUPT_GATE);
}

static const struct cause gate_cause = { "gate",    set_present, EXIT_EXCEPTION_OR_NMI,
					 VECTOR_NP, BY_VECTOR,	 NULL,
					 0,	    false };
static const struct cause limit_cause = { "limit",   set_limit, EXIT_EXCEPTION_OR_NMI,
					  VECTOR_GP, BY_VECTOR, NULL,
					  0,	     false };
static const struct cause idt_cause = { "idt",	   hide_idt, EXIT_EXCEPTION_OR_NMI,
					VECTOR_PF, 0,	     idt_page,
					0,	   false };
static const struct cause stack_cause = { "stack",   hide_stack, EXIT_EXCEPTION_OR_NMI,
					  VECTOR_PF, 2,		 stack_page,
					  0,	     false };
/* Read or write; the linear address is valid, and that of the access itself, not of a walk. */
static const struct cause ept_idt_cause = {
	"ept-idt", hide_idt_in_ept, EXIT_EPT_VIOLATION,	      0,
	0,	   idt_page,	    VIOLATION_READ | VIOLATION_LINEAR | VIOLATION_FINAL, true
};
static const struct cause ept_stack_cause = {
	"ept-stack", hide_stack_in_ept, EXIT_EPT_VIOLATION,	  0,
	0,	     stack_page,	VIOLATION_WRITE | VIOLATION_LINEAR | VIOLATION_FINAL, true
};
static const struct cause task_cause = { "task-gate", set_task_gate, EXIT_TASK_SWITCH, 0, 0, NULL,
					 0,	      false };

/* The exit itself. */
static bool check_cause(struct events *e, const struct cause *cause, const struct event *event)
{
	u32 error_code = cause->error_code;
	u8 vector = event->info;

	if (cause->reason == EXIT_TASK_SWITCH)
		return check_exit_qualification(e->guest, EXIT_TASK_SWITCH,
						3u << 30 | TASK_SELECTOR, "%s.exit", event->name);
	if (cause->reason == EXIT_EPT_VIOLATION) {
		u64 judged = VIOLATION_JUDGED & ~VIOLATION_RIGHTS(7);

		if (!check_exit(e->guest, EXIT_EPT_VIOLATION, "%s.exit", event->name))
			return false;
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & judged, cause->qualification,
			    "%s.qualification", event->name);
		check_equal(ALIGN_DOWN(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), PAGE_SIZE),
			    cause->page(e), "%s.gpa", event->name);
		return check_equal(ALIGN_DOWN(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), PAGE_SIZE),
				   cause->page(e), "%s.gla", event->name);
	}
	if (error_code == BY_VECTOR)
		error_code = vector * 8 + 2 + event->ext;
	if (!check_exception(e->guest, FAULT_EC(cause->fault, error_code), "%s.exit", event->name))
		return false;
	return !cause->page ||
	       check_equal(ALIGN_DOWN(vmcs_read(VMCS_EXIT_QUALIFICATION), PAGE_SIZE),
			   cause->page(e), "%s.address", event->name);
}

/* What an exit of any cause leaves: the event, and L2 as it was. */
static void check_left(struct events *e, const struct event *event)
{
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), event->info, "%s.vectoring",
		    event->name);
	if (event->info & INTERRUPTION_ERROR_CODE)
		check_equal(vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE), INJECTED_ERROR_CODE,
			    "%s.vectoring-error-code", event->name);
	if (is_software(event->info))
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), event->length, "%s.length",
			    event->name);
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "%s.rip", event->name);
	check_equal(vmcs_read(VMCS_GUEST_RSP), e->rsp, "%s.rsp", event->name);
	check_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), e->cs, "%s.cs", event->name);
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & ~(u64)EFLAGS_RF, e->rflags, "%s.rflags",
		    event->name);
}

static void run_row(struct events *e, const struct cause *cause, const struct event *event)
{
	u8 vector = event->info;

	cause->set(e, vector, true);
	inject(e, event->info, INJECTED_ERROR_CODE, event->length);
	if (check_cause(e, cause, event))
		check_left(e, event);
	cause->set(e, vector, false);
	/* As a hypervisor does: from the one field into the other. */
	inject_here(e, vmcs_read(VMCS_IDT_VECTORING_INFORMATION),
		    vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE),
		    vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH));
	check_event(
	    e, vector, event->info & INTERRUPTION_ERROR_CODE ? INJECTED_ERROR_CODE : NO_ERROR_CODE,
	    e->rip + (is_software(event->info) ? event->length : 0), "%s.again", event->name);
	/* Nothing is left of it. */
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0, "%s.spent",
		    event->name);
}

struct stopped {
	const struct place *place;
	const struct cause *cause;
};

static void test_stopped(const void *argument)
{
	const struct stopped *stopped = argument;
	struct events *e;

	if (!vmx_ready() || (stopped->cause->ept && !vmx_needs(VMX_SECONDARY_EPT)))
		return;
	e = events_new(stopped->place, waits);
	if (!e)
		return;
	if (stopped->cause->ept)
		vmx_ept(e->guest);
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++) {
		l2_gate(&e->l2, (u8)events[i].info)[L2_GATE_ACCESS] |= DESC_DPL3;
		run_row(e, stopped->cause, &events[i]);
	}
	vmx_check_invariants();
}

#define STOPPED(id, place, cause)                                                                  \
	SUBTEST_ARG("stopped." id, test_stopped, &((const struct stopped){ &(place), &(cause) }))

#ifdef __x86_64__
STOPPED("gate.long", place_long, gate_cause);
STOPPED("limit.long", place_long, limit_cause);
STOPPED("idt.long", place_long, idt_cause);
STOPPED("stack.long", place_long, stack_cause);
STOPPED("ept-idt.long", place_long, ept_idt_cause);
STOPPED("ept-stack.long", place_long, ept_stack_cause);
STOPPED("gate.long_ring3", place_long_ring3, gate_cause);
STOPPED("limit.long_ring3", place_long_ring3, limit_cause);
STOPPED("idt.long_ring3", place_long_ring3, idt_cause);
STOPPED("stack.long_ring3", place_long_ring3, stack_cause);
STOPPED("ept-idt.long_ring3", place_long_ring3, ept_idt_cause);
STOPPED("ept-stack.long_ring3", place_long_ring3, ept_stack_cause);
STOPPED("gate.compat", place_compat, gate_cause);
STOPPED("limit.compat", place_compat, limit_cause);
STOPPED("idt.compat", place_compat, idt_cause);
STOPPED("stack.compat", place_compat, stack_cause);
STOPPED("ept-idt.compat", place_compat, ept_idt_cause);
STOPPED("ept-stack.compat", place_compat, ept_stack_cause);
#endif
STOPPED("gate.pae", place_pae, gate_cause);
STOPPED("limit.pae", place_pae, limit_cause);
STOPPED("idt.pae", place_pae, idt_cause);
STOPPED("stack.pae", place_pae, stack_cause);
STOPPED("ept-idt.pae", place_pae, ept_idt_cause);
STOPPED("ept-stack.pae", place_pae, ept_stack_cause);
STOPPED("task.pae", place_pae, task_cause);
STOPPED("gate.pae_ring3", place_pae_ring3, gate_cause);
STOPPED("limit.pae_ring3", place_pae_ring3, limit_cause);
STOPPED("idt.pae_ring3", place_pae_ring3, idt_cause);
STOPPED("stack.pae_ring3", place_pae_ring3, stack_cause);
STOPPED("ept-idt.pae_ring3", place_pae_ring3, ept_idt_cause);
STOPPED("ept-stack.pae_ring3", place_pae_ring3, ept_stack_cause);
STOPPED("task.pae_ring3", place_pae_ring3, task_cause);
STOPPED("gate.32bit", place_32bit, gate_cause);
STOPPED("limit.32bit", place_32bit, limit_cause);
STOPPED("idt.32bit", place_32bit, idt_cause);
STOPPED("stack.32bit", place_32bit, stack_cause);
STOPPED("ept-idt.32bit", place_32bit, ept_idt_cause);
STOPPED("ept-stack.32bit", place_32bit, ept_stack_cause);
STOPPED("task.32bit", place_32bit, task_cause);
STOPPED("gate.32bit_ring3", place_32bit_ring3, gate_cause);
STOPPED("limit.32bit_ring3", place_32bit_ring3, limit_cause);
STOPPED("idt.32bit_ring3", place_32bit_ring3, idt_cause);
STOPPED("stack.32bit_ring3", place_32bit_ring3, stack_cause);
STOPPED("ept-idt.32bit_ring3", place_32bit_ring3, ept_idt_cause);
STOPPED("ept-stack.32bit_ring3", place_32bit_ring3, ept_stack_cause);
STOPPED("task.32bit_ring3", place_32bit_ring3, task_cause);
STOPPED("gate.v8086", place_v8086, gate_cause);
STOPPED("limit.v8086", place_v8086, limit_cause);
STOPPED("idt.v8086", place_v8086, idt_cause);
STOPPED("stack.v8086", place_v8086, stack_cause);
STOPPED("ept-idt.v8086", place_v8086, ept_idt_cause);
STOPPED("ept-stack.v8086", place_v8086, ept_stack_cause);
STOPPED("task.v8086", place_v8086, task_cause);
STOPPED("ept-idt.protected", place_protected, ept_idt_cause);
STOPPED("ept-stack.protected", place_protected, ept_stack_cause);
