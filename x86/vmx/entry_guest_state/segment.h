/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields of a segment register in the guest-state area, by its number. */
#ifndef X86_VMX_ENTRY_GUEST_STATE_SEGMENT_H
#define X86_VMX_ENTRY_GUEST_STATE_SEGMENT_H

#include "descriptor.h"
#include "vmx/entry.h"

enum segment_number { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };

#define SELECTOR(n) (VMCS_GUEST_ES_SELECTOR + 2 * (n))
#define BASE(n)	    (VMCS_GUEST_ES_BASE + 2 * (n))
#define LIMIT(n)    (VMCS_GUEST_ES_LIMIT + 2 * (n))
#define RIGHTS(n)   (VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * (n))

/* Access rights. "Guest Register State" */
#define RIGHTS_TYPE	 0xfu
#define RIGHTS_S	 BIT(4)
#define RIGHTS_DPL_OF(n) ((u32)(n) << 5)
#define RIGHTS_DPL	 RIGHTS_DPL_OF(3)
#define RIGHTS_P	 BIT(7)
#define RIGHTS_L	 BIT(13)
#define RIGHTS_DB	 BIT(14)
#define RIGHTS_G	 BIT(15)
#define RIGHTS_RESERVED	 0xfffe0f00u

extern const char *const segment_names[SEGMENTS];

/* Rules that all have: S, P, reserved bits, limit and G. */
void check_segment(struct vmx_guest *guest, enum segment_number n);

/* Of some bits of its access rights those that are not reserved, or that VMWRITE keeps. */
u32 kept_rights(enum segment_number n, u32 bits);

/* A guest in ring 3, of a 32-bit mode. */
struct vmx_guest *ring3_guest(void);

#endif
