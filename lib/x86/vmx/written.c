// SPDX-License-Identifier: BSD-2-Clause
#include "cpu.h"
#include "vmx/vmcs.h"
#include "vmx/written.h"

static struct vmcs_written *current[MAX_CPUS];

void vmcs_written_by(struct vmcs_written *written)
{
	current[cpu_index()] = written;
}

static bool is_noted(u32 field)
{
	return VMCS_TYPE(field) == VMCS_CONTROL || VMCS_TYPE(field) == VMCS_HOST;
}

static unsigned int place(u32 field)
{
	return (VMCS_TYPE(field) == VMCS_HOST) << 8 | VMCS_WIDTH(field) << 6 | (field >> 1 & 0x3f);
}

void vmcs_note_write(u32 field, u64 value)
{
	struct vmcs_written *written = current[cpu_index()];
	unsigned int at = place(field);

	if (!written || !is_noted(field))
		return;
	written->values[at] = value & vmcs_field_mask(field);
	written->known[at / 8] |= 1 << at % 8;
}

bool vmcs_is_written(u32 field)
{
	const struct vmcs_written *written = current[cpu_index()];
	unsigned int at = place(field);

	return written && is_noted(field) && written->known[at / 8] >> at % 8 & 1;
}

u64 vmcs_written(u32 field)
{
	return vmcs_is_written(field) ? current[cpu_index()]->values[place(field)] : 0;
}
