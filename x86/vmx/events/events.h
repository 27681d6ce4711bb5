/* SPDX-License-Identifier: BSD-2-Clause */
/* L2 with handlers for every vector; injection; what a handler, or the exit instead, must find. */
#ifndef VMX_EVENTS_H
#define VMX_EVENTS_H

#include "control.h"
#include "l2/events.h"
#include "printf.h"
#include "string.h"
#include "vmx/test.h"

struct place {
	const char *name;
	enum l2_mode mode;
	bool ring3;
};

extern const struct place place_long, place_long_ring3, place_compat, place_compat_ring3, place_pae,
    place_pae_ring3, place_32bit, place_32bit_ring3, place_protected, place_real, place_v8086;

/* The place that runs 32-bit or 64-bit code as this image does, for what is no matter of modes. */
#ifdef __x86_64__
#define PLACE_HERE place_long
#else
#define PLACE_HERE place_pae
#endif

#define GUEST_FIELDS 40

struct events {
	const struct place *place;
	struct l2_events l2;
	struct vmx_guest *guest;
	ulong before[GUEST_FIELDS]; /* what events_reset() writes */
	u64 rip, rsp, rflags, ss_base, cs_base;
	u16 cs, ss;
	u64 *gdt; /* of L2, with the available TSS's descriptor at TASK_SELECTOR */
};

#define TASK_SELECTOR TEST_SELECTOR(0)

/* NULL, and the subtest is skipped, if the CPU cannot run it. RFLAGS has IF and CF. */
struct events *events_new(const struct place *place, const void *code);

/* Remembers L2's state as it is now in the VMCS, and the way back to it. */
void events_snapshot(struct events *events);
void events_reset(struct events *events);

#define INFO(type, vector)    (INTERRUPTION_VALID | INTERRUPTION_TYPE(type) | (vector))
#define INFO_EC(type, vector) (INFO(type, vector) | INTERRUPTION_ERROR_CODE)
#define INJECTED_ERROR_CODE   0x18

static inline bool is_software(u32 info)
{
	return (info >> 8 & 7) >= TYPE_SOFTWARE_INTERRUPT && (info >> 8 & 7) < TYPE_OTHER_EVENT;
}

/* Resets, and enters with an event (0: none); the exit's reason. */
u32 inject(struct events *events, u32 info, u32 error_code, u32 length);

/* The same without the reset. */
u32 inject_here(struct events *events, u32 info, u32 error_code, u32 length);

/* The event that must be seen at the HLT of its handler; error_code may be NO_ERROR_CODE. */
#define NO_ERROR_CODE (~0u)
bool check_event_from(const char *file, unsigned int line, struct events *events, u8 vector,
		      u32 error_code, u64 ip, const char *id, ...) __printf(7, 8);
#define check_event(events, vector, error_code, ip, ...)                                           \
	check_event_from(__FILE__, __LINE__, events, vector, error_code, ip, __VA_ARGS__)

/*
 * For a test's start, with no NMI pending: neither NMIs nor virtual NMIs are blocked, nor will an
 * entry find them so. The latter should not outlast an exit, but on some machines they do.
 */
void open_nmis(void);

/* Clears an exception's bit: L2 takes it itself. */
void not_intercepted(u8 vector);

#endif
