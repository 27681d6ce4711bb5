// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "page_alloc.h"
#include "paging.h"
#include "printf.h"
#include "string.h"
#include "svm/events.h"
#include "svm/exit.h"

#define LOW_CODE_SIZE 64

#ifdef __x86_64__
const struct svm_place svm_long = { "long", L2_LONG, false };
const struct svm_place svm_long_ring3 = { "long-ring3", L2_LONG, true };
const struct svm_place svm_compat = { "compat", L2_COMPAT, false };
const struct svm_place svm_compat_ring3 = { "compat-ring3", L2_COMPAT, true };
#endif
const struct svm_place svm_pae = { "pae", L2_PAE, false };
const struct svm_place svm_pae_ring3 = { "pae-ring3", L2_PAE, true };
const struct svm_place svm_32bit = { "32bit", L2_32BIT, false };
const struct svm_place svm_32bit_ring3 = { "32bit-ring3", L2_32BIT, true };
const struct svm_place svm_protected = { "protected", L2_PROTECTED, false };
const struct svm_place svm_protected_ring3 = { "protected-ring3", L2_PROTECTED, true };
const struct svm_place svm_real = { "real", L2_REAL, false };
const struct svm_place svm_v8086 = { "v8086", L2_V8086, true };

static void to_ring3(struct vmcb_save *save, enum l2_mode mode)
{
	const u16 dpl = VMCB_ATTRIB(DESC_DPL3, 0);

	save->cs.selector = mode == L2_LONG ? USER_CS : USER_CS32;
	save->cs.attrib |= dpl;
	save->ss.selector = save->ds.selector = save->es.selector = USER_DS;
	save->ss.attrib |= dpl;
	save->ds.attrib |= dpl;
	save->es.attrib |= dpl;
	save->cpl = 3;
	save->rflags |= EFLAGS_IOPL;
}

struct svm_events *svm_events(const struct svm_place *place, const void *code)
{
	struct svm_events *events = page_alloc();
	const struct l2_events *l2 = &events->l2;
	struct vmcb_save *save;

	_Static_assert(sizeof(*events) <= PAGE_SIZE, "struct svm_events");
	if (place->mode == L2_REAL || place->mode == L2_V8086)
		code = l2_low_code(code, LOW_CODE_SIZE);
	events->l2 = l2_events(place->mode);
	events->guest = svm_guest(place->mode, code);
	save = &events->guest->vmcb->save;
	save->gdtr = (struct vmcb_segment){ .limit = l2->gdtr.limit, .base = l2->gdtr.base };
	save->idtr = (struct vmcb_segment){ .limit = l2->idtr.limit, .base = l2->idtr.base };
	/* VMSAVE of some processors does not show that a TSS is busy, and QEMU dies of one that is.
	 */
	save->tr = (struct vmcb_segment){ .selector = l2->tr.selector,
					  .attrib = l2->tr.segment.access & ~DESC_TSS_BUSY,
					  .limit = l2->tr.segment.limit,
					  .base = l2->tr.segment.base };
	save->rflags |= EFLAGS_IF;
	if (place->mode == L2_V8086)
		save->rflags |= EFLAGS_IOPL;
	else if (place->ring3)
		to_ring3(save, place->mode);
	events->before = *save;
	return events;
}

u64 svm_inject(struct svm_events *events, u64 event)
{
	struct vmcb_control *control = &events->guest->vmcb->control;

	events->guest->vmcb->save = events->before;
	control->eventinj = event;
	control->nrip = events->before.rip;
	control->interrupt_shadow = 0;
	return svm_run(events->guest);
}

/* Where the frame begins: on the stack of the TSS, of the gate, or of the interrupted code. */
static u64 frame_top(const struct svm_events *events)
{
	const struct vmcb_save *before = &events->before;

	if (events->above)
		return events->above;
	if (before->cpl == 3)
		return events->l2.stack0;
	return before->ss.base + before->rsp;
}

static int format(char *buffer, size_t size, const struct l2_event *event, ulong more_flags)
{
	int length = snprintf(buffer, size, "vector %u", event->vector);

	if (event->has_error_code)
		length +=
		    snprintf(buffer + length, size - length, " error code %#x", event->error_code);
	length += snprintf(buffer + length, size - length, " at %#x:%#llx flags %#llx", event->cs,
			   event->ip, event->flags);
	if (event->has_stack)
		length += snprintf(buffer + length, size - length, " stack %#x:%#llx", event->ss,
				   event->sp);
	return length + snprintf(buffer + length, size - length, ", then flags %#lx", more_flags);
}

static void format_expected(char *buffer, size_t size, const struct svm_events *events, u8 vector,
			    u64 error_code)
{
	const struct vmcb_save *before = &events->before;
	bool is_real = events->l2.mode == L2_REAL;
	const struct l2_event event = {
		.vector = vector,
		.has_error_code = error_code != NO_ERROR_CODE,
		.error_code = error_code,
		.cs = before->cs.selector,
		.ip = before->rip,
		.flags = before->rflags & ~(u64)EFLAGS_RF & (is_real ? 0xffff : ~0ull),
		.ss = before->ss.selector,
		.sp = before->rsp,
		/* Always pushed in long mode, else with a change of stack. */
		.has_stack =
		    events->l2.mode == L2_LONG || events->l2.mode == L2_COMPAT || before->cpl == 3,
	};

	format(buffer, size, &event, 0);
}

bool svm_report_event(const char *file, unsigned int line, const struct svm_events *events,
		      u8 vector, u64 error_code, const char *id, ...)
{
	const ulong cleared = EFLAGS_IF | EFLAGS_TF | EFLAGS_VM;
	const struct vmcb *vmcb = events->guest->vmcb;
	const struct vmcb_save *save = &vmcb->save;
	struct fault fault = svm_fault(events->guest);
	char want[128], got[128], name[112];
	struct l2_event event;

	FORMAT_ID(name, id);
	format_expected(want, sizeof(want), events, vector, error_code);
	if (fault_raised(fault)) {
		snprintf(got, sizeof(got), "%pe at VMRUN", &fault);
	} else if (vmcb->control.exitcode != VMEXIT_HLT) {
		svm_exit_format(got, sizeof(got), vmcb);
	} else if (!l2_event_read(&events->l2, &event, svm_rip(events->guest),
				  save->ss.base + save->rsp, frame_top(events))) {
		snprintf(got, sizeof(got), "HLT at %#llx, stack %#llx, frame expected below %#llx",
			 svm_rip(events->guest), save->ss.base + save->rsp, frame_top(events));
	} else if (vmcb->control.exitintinfo & EVENT_VALID) {
		snprintf(got, sizeof(got), "EXITINTINFO %#llx", vmcb->control.exitintinfo);
	} else {
		event.flags &= ~(u64)EFLAGS_RF;
		format(got, sizeof(got), &event, save->rflags & cleared);
	}
	return report_text(file, line, !strcmp(want, got), want, got, "%s", name);
}
