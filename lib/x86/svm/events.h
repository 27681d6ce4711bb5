/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and exceptions of a guest: guests that have handlers (l2/events.h), in each mode and
 * ring, and checking what a handler found.
 *
 *	struct svm_events *events = svm_events(place, code);
 *
 *	svm_inject(events, EVENT(EVENT_TYPE_INTR, 33));
 *	check_event(events, 33, NO_ERROR_CODE, "interrupt-33");
 */
#ifndef LIB_X86_SVM_EVENTS_H
#define LIB_X86_SVM_EVENTS_H

#include "l2/events.h"
#include "report.h"
#include "svm/guest.h"

/* Where L2 runs when the event comes. A 32-bit L1 has no 64-bit places, and no compatibility mode.
 */
struct svm_place {
	const char *name;
	enum l2_mode mode;
	bool ring3;
};

#ifdef __x86_64__
extern const struct svm_place svm_long, svm_long_ring3, svm_compat, svm_compat_ring3;
#endif
extern const struct svm_place svm_pae, svm_pae_ring3, svm_32bit, svm_32bit_ring3, svm_protected,
    svm_protected_ring3, svm_real, svm_v8086;

/* Flat code of this image's size. */
#ifdef __x86_64__
#define svm_place_native svm_long
#else
#define svm_place_native svm_32bit
#endif

struct svm_events {
	struct svm_guest *guest;
	struct l2_events l2;
	struct vmcb_save
	    before;  /* what svm_inject() starts from, and check_event() compares with */
	ulong above; /* where the frame must begin if a gate names a stack, else 0 */
};

/*
 * A new guest that runs code there, with interrupts on. In the virtual-8086 and ring 3 places
 * IOPL is 3. 16-bit code is copied, up to 64 bytes, to where its handlers can return to it.
 */
struct svm_events *svm_events(const struct svm_place *place, const void *code);

/* Runs the guest from its first state, with an event to be injected, to the next exit. */
u64 svm_inject(struct svm_events *events, u64 event);

#define NO_ERROR_CODE (~0ull)

/*
 * One check: the last exit is the HLT of that vector's handler; the frame names the state
 * before, is on the right stack, and has that error code or none; interrupts and single steps are
 * off; the event is no longer in EXITINTINFO.
 */
#define check_event(events, vector, error_code, ...)                                               \
	svm_report_event(__FILE__, __LINE__, events, vector, error_code, __VA_ARGS__)

bool svm_report_event(const char *file, unsigned int line, const struct svm_events *events,
		      u8 vector, u64 error_code, const char *id, ...) __printf(6, 7);

#endif
