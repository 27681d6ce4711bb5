// SPDX-License-Identifier: BSD-2-Clause
#include "events.h"
#include "page_alloc.h"
#include "tss.h"

#define PLACE(name, place_mode, place_ring3)                                                       \
	const struct place place_##name = { #name, place_mode, place_ring3 }
PLACE(long, L2_LONG, false);
PLACE(long_ring3, L2_LONG, true);
PLACE(compat, L2_COMPAT, false);
PLACE(compat_ring3, L2_COMPAT, true);
PLACE(pae, L2_PAE, false);
PLACE(pae_ring3, L2_PAE, true);
PLACE(32bit, L2_32BIT, false);
PLACE(32bit_ring3, L2_32BIT, true);
PLACE(protected, L2_PROTECTED, false);
PLACE(real, L2_REAL, false);
PLACE(v8086, L2_V8086, false);

enum { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };

/* A copy of l2_gdtr()'s with one more, the TSS of a task gate. */
static void set_gdt(struct events *events)
{
	events->gdt = page_alloc();
	memcpy(events->gdt, (void *)events->l2.gdtr.base, events->l2.gdtr.limit + 1u);
	events->gdt[TASK_SELECTOR / 8] = SEGMENT_DESCRIPTOR(
	    (ulong)page_alloc(), sizeof(struct tss32) - 1, DESC_PRESENT | DESC_TSS, 0);
	vmcs_write(VMCS_GUEST_GDTR_BASE, (ulong)events->gdt);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, TASK_SELECTOR + 7);
}

struct events *events_new(const struct place *place, const void *code)
{
	struct events *events;

	if (!vmx_mode_ready(place->mode))
		return NULL;
	events = page_alloc();
	events->place = place;
	events->l2 = l2_events(place->mode);
	if (place->mode == L2_REAL)
		code = l2_low_code(code, 64);
	events->guest = vmx_guest(place->mode, code);
	set_gdt(events);
	vmcs_write(VMCS_GUEST_IDTR_BASE, events->l2.idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, events->l2.idtr.limit);
	vmcs_write(VMCS_GUEST_TR_SELECTOR, events->l2.tr.selector);
	vmcs_write(VMCS_GUEST_TR_BASE, events->l2.tr.segment.base);
	vmcs_write(VMCS_GUEST_TR_LIMIT, events->l2.tr.segment.limit);
	if (place->ring3)
		vmx_enter_ring3(events->guest);
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_IF | EFLAGS_CF);
	events_snapshot(events);
	return events;
}

/* All of L2's state that an event changes. */
static unsigned int event_fields(u32 *fields)
{
	unsigned int n = 0;

	for (unsigned int i = ES; i < SEGMENTS; i++) {
		fields[n++] = VMCS_GUEST_ES_SELECTOR + 2 * i;
		fields[n++] = VMCS_GUEST_ES_BASE + 2 * i;
		fields[n++] = VMCS_GUEST_ES_LIMIT + 2 * i;
		fields[n++] = VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * i;
	}
	fields[n++] = VMCS_GUEST_RIP;
	fields[n++] = VMCS_GUEST_RSP;
	fields[n++] = VMCS_GUEST_RFLAGS;
	fields[n++] = VMCS_GUEST_INTERRUPTIBILITY_STATE;
	fields[n++] = VMCS_GUEST_ACTIVITY_STATE;
	fields[n++] = VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS;
	return n;
}

void events_snapshot(struct events *events)
{
	u32 fields[GUEST_FIELDS];
	unsigned int n = event_fields(fields);

	for (unsigned int i = 0; i < n; i++)
		events->before[i] = vmcs_read(fields[i]);
	events->rip = vmcs_read(VMCS_GUEST_RIP);
	events->rsp = vmcs_read(VMCS_GUEST_RSP);
	events->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	events->cs = vmcs_read(VMCS_GUEST_CS_SELECTOR);
	events->ss = vmcs_read(VMCS_GUEST_SS_SELECTOR);
	events->cs_base = vmcs_read(VMCS_GUEST_CS_BASE);
	events->ss_base = vmcs_read(VMCS_GUEST_SS_BASE);
}

void events_reset(struct events *events)
{
	u32 fields[GUEST_FIELDS];
	unsigned int n = event_fields(fields);

	vmx_current(events->guest);
	for (unsigned int i = 0; i < n; i++)
		vmcs_write(fields[i], events->before[i]);
}

u32 inject_here(struct events *events, u32 info, u32 error_code, u32 length)
{
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, info);
	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, length);
	return vmx_run(events->guest);
}

u32 inject(struct events *events, u32 info, u32 error_code, u32 length)
{
	events_reset(events);
	return inject_here(events, info, error_code, length);
}

static void format_event(char *buffer, size_t size, const struct l2_event *event)
{
	size_t length = snprintf(buffer, size, "vector %u, from %#x:%#llx, flags %#llx",
				 event->vector, event->cs, event->ip, event->flags);

	if (event->has_error_code && length < size)
		length +=
		    snprintf(buffer + length, size - length, ", error code %#x", event->error_code);
	if (event->has_stack && length < size)
		snprintf(buffer + length, size - length, ", stack %#x:%#llx", event->ss, event->sp);
}

/* The flags that a handler begins with: "Interrupt 1", the operation of INT n. */
#define CLEARED (EFLAGS_IF | EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM)

bool check_event_from(const char *file, unsigned int line, struct events *events, u8 vector,
		      u32 error_code, u64 ip, const char *id, ...)
{
	enum l2_mode mode = events->place->mode;
	bool is_long = mode == L2_LONG || mode == L2_COMPAT;
	bool other_stack = events->place->ring3 || mode == L2_V8086;
	bool uses_ist = is_long && l2_gate(&events->l2, vector)[L2_GATE_IST];
	u64 above = uses_ist	  ? events->l2.ist
		    : other_stack ? events->l2.stack0
				  : events->ss_base + events->rsp;
	struct l2_event expected = {
		.vector = vector,
		.has_error_code = error_code != NO_ERROR_CODE,
		.has_stack = is_long || other_stack,
		.error_code = error_code == NO_ERROR_CODE ? 0 : error_code,
		.cs = events->cs,
		.ss = events->ss,
		.ip = ip,
		.flags = mode == L2_REAL ? (u16)events->rflags : events->rflags,
		.sp = events->rsp,
	};
	struct l2_event event;
	char want[144], got[144], name[96];

	FORMAT_ID(name, id);
	format_event(want, sizeof(want), &expected);
	if (!events->guest->world.exited)
		vmx_result_format(got, sizeof(got), events->guest->entry);
	else if (vmcs_read(VMCS_EXIT_REASON) != EXIT_HLT)
		vmx_exit_format(got, sizeof(got));
	else if (!l2_event_read(&events->l2, &event, vmx_rip(),
				vmcs_read(VMCS_GUEST_SS_BASE) + vmcs_read(VMCS_GUEST_RSP), above))
		snprintf(got, sizeof(got), "no handler's frame at %#llx", vmx_rip());
	else if (vmcs_read(VMCS_GUEST_RFLAGS) != (events->rflags & ~(u64)CLEARED))
		snprintf(got, sizeof(got), "a handler with flags %#llx",
			 vmcs_read(VMCS_GUEST_RFLAGS));
	else
		format_event(got, sizeof(got), &event);
	return report_text(file, line, !strcmp(want, got), want, got, "%s", name);
}

void not_intercepted(u8 vector)
{
	vmcs_write(VMCS_EXCEPTION_BITMAP, vmcs_read(VMCS_EXCEPTION_BITMAP) & ~(1u << vector));
}

#ifdef __x86_64__
L2_CODE(returns, "mov %rsp, %rax\n mov %ss, %ecx\n push %rcx\n push %rax\n pushf\n mov %cs, %ecx\n"
		 "push %rcx\n lea 1f(%rip), %rax\n push %rax\n iretq\n 1: hlt");
#else
L2_CODE(returns, "pushf\n push %cs\n push $1f\n iret\n 1: hlt");
#endif

void open_nmis(void)
{
	static struct vmx_guest *guest;

	unblock_nmis();
	if (!vmx_allows(VMX_PIN_VIRTUAL_NMIS))
		return;
	if (!guest)
		guest = vmx_guest(L2_NATIVE, returns);
	else
		vmx_guest_again(guest, L2_NATIVE, returns);
	vmx_set(VMX_PIN_NMI_EXITING);
	vmx_set(VMX_PIN_VIRTUAL_NMIS);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vmx_run(guest);
	unblock_nmis();
}
