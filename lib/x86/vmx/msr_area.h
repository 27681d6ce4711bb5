/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR areas: SDM volume 3C, "VM-Exit Controls for MSRs", "VM-Entry Controls for MSRs". */
#ifndef LIB_X86_VMX_MSR_AREA_H
#define LIB_X86_VMX_MSR_AREA_H

#include "types.h"

struct msr_entry {
	u32 msr, reserved;
	u64 value;
};

#endif
