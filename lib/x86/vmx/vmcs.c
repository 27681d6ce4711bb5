// SPDX-License-Identifier: BSD-2-Clause
#include "vmx/vmcs.h"

const struct vmcs_field_name vmcs_fields[] = {
#define X(name, encoding) { encoding, #name },
	VMCS_FIELDS(X) VMCS_LATER_FIELDS(X)
#undef X
};
const unsigned int vmcs_field_count = ARRAY_SIZE(vmcs_fields);

const char *vmcs_field_name(u32 encoding)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(vmcs_fields); i++)
		if (vmcs_fields[i].encoding == encoding)
			return vmcs_fields[i].name;
	return NULL;
}

bool vmcs_field_is_later(u32 encoding)
{
	static const u16 later[] = {
#define X(name, encoding) encoding,
		VMCS_LATER_FIELDS(X)
#undef X
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(later); i++)
		if (later[i] == encoding)
			return true;
	return false;
}

u64 vmcs_field_mask(u32 field)
{
	switch (VMCS_WIDTH(field)) {
	case VMCS_16BIT:
		return 0xffff;
	case VMCS_32BIT:
		return 0xffffffff;
	case VMCS_NATURAL:
		return (ulong)~0ul;
	default:
		return ~0ull;
	}
}

static const char *const reasons[] = {
#define X(name, reason) [reason] = #name,
	EXIT_REASONS(X)
#undef X
};

const char *exit_reason_name(u32 basic)
{
	return basic < ARRAY_SIZE(reasons) ? reasons[basic] : NULL;
}

static const char *const errors[] = {
#define X(name, number) [number] = #name,
	VM_ERRORS(X)
#undef X
};

const char *vm_error_name(u32 number)
{
	return number < ARRAY_SIZE(errors) ? errors[number] : NULL;
}
