/* SPDX-License-Identifier: BSD-2-Clause */
/* What vmx_run() holds each exit against; see vmx_check_invariants(). */
#ifndef LIB_X86_VMX_INVARIANTS_H
#define LIB_X86_VMX_INVARIANTS_H

#include "vmx/guest.h"

/* An exit sets the limits to 0xffff: L1's own, to be put right. */
struct vmx_tables {
	struct descriptor_pointer gdtr, idtr;
};

/* After each exit, with the guest's VMCS current. */
void vmx_invariants_after(struct vmx_guest *guest, const struct vmx_tables *before);

/* After many: control fields and host-state area are as software has written them. */
void vmx_invariants_of_fields(struct vmx_guest *guest);

#endif
