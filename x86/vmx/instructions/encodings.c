// SPDX-License-Identifier: BSD-2-Clause
/* The VMX instructions as bytes: for modes and rings that no compiler makes code for. */
#include "instructions.h"
#include "string.h"

const struct encoding encodings[] = {
	{ "vmxon", CODE_BYTES("\xf3\x0f\xc7\x33") },
	{ "vmxoff", CODE_BYTES("\x0f\x01\xc4") },
	{ "vmclear", CODE_BYTES("\x66\x0f\xc7\x33") },
	{ "vmptrld", CODE_BYTES("\x0f\xc7\x33") },
	{ "vmptrst", CODE_BYTES("\x0f\xc7\x3b") },
	{ "vmread", CODE_BYTES("\x0f\x78\x0b") },
	{ "vmread-register", CODE_BYTES("\x0f\x78\xca") },
	{ "vmwrite", CODE_BYTES("\x0f\x79\x0b") },
	{ "vmwrite-register", CODE_BYTES("\x0f\x79\xca") },
	{ "vmlaunch", CODE_BYTES("\x0f\x01\xc2") },
	{ "vmresume", CODE_BYTES("\x0f\x01\xc3") },
	{ "vmcall", CODE_BYTES("\x0f\x01\xc1") },
	{ "invept", CODE_BYTES("\x66\x0f\x38\x80\x0b") },
	{ "invvpid", CODE_BYTES("\x66\x0f\x38\x81\x0b") },
};

const unsigned int encoding_count = ARRAY_SIZE(encodings);

bool encoding_exists(const struct encoding *encoding)
{
	if (!strcmp(encoding->name, "invept"))
		return vmx_allows(VMX_SECONDARY_EPT);
	if (!strcmp(encoding->name, "invvpid"))
		return vmx_allows(VMX_SECONDARY_VPID);
	return true;
}

bool encoding_is_vmxon(const struct encoding *encoding)
{
	return encoding == encodings;
}
