/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vmcs_write() has last given each control and host-state field of a guest's VMCS: neither
 * entries nor exits change them. So they are known without a VMREAD, each of which may be an exit,
 * and can be compared.
 */
#ifndef LIB_X86_VMX_WRITTEN_H
#define LIB_X86_VMX_WRITTEN_H

#include "types.h"

#define VMCS_WRITTEN_FIELDS 512 /* places, by type, width and index */

struct vmcs_written {
	u64 *values;
	u8 known[VMCS_WRITTEN_FIELDS / 8];
};

/* Whose VMCS this CPU's accesses are about; NULL: of no guest. */
void vmcs_written_by(struct vmcs_written *written);

/* For vmcs_write(). */
void vmcs_note_write(u32 field, u64 value);

/* Of the current guest. */
bool vmcs_is_written(u32 field);
u64 vmcs_written(u32 field);

#endif
