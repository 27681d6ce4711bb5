/* SPDX-License-Identifier: BSD-2-Clause */
/* What vmx_run() holds each exit against; see vmx_check_invariants(). */
#ifndef LIB_X86_VMX_INVARIANTS_H
#define LIB_X86_VMX_INVARIANTS_H

#include "vmx/guest.h"

/* What an exit loads from the host-state area, or sets. "Loading Host State" */
struct vmx_host {
	ulong cr0, cr3, cr4, dr7;
	u64 efer, fs_base, gs_base, sysenter_cs, sysenter_esp, sysenter_eip, debugctl;
	u16 es, cs, ss, ds, fs, gs, tr, ldtr;
	struct descriptor_pointer gdtr, idtr;
};

struct vmx_host vmx_host_now(void);
void vmx_invariants_after(struct vmx_guest *guest, const struct vmx_host *before);

#endif
