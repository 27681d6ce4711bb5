// SPDX-License-Identifier: BSD-2-Clause
#include "msr.h"
#include "printf.h"
#include "vmx/vmx.h"

static const struct {
	u32 msr, true_msr; /* the secondary controls have one MSR alone */
	u32 field;
} words[WORDS] = {
	[WORD_PIN] = { MSR_IA32_VMX_PINBASED, MSR_IA32_VMX_TRUE_PINBASED, VMCS_PIN_BASED_CONTROLS },
	[WORD_PRIMARY] = { MSR_IA32_VMX_PROCBASED, MSR_IA32_VMX_TRUE_PROCBASED,
			   VMCS_PRIMARY_CONTROLS },
	[WORD_SECONDARY] = { MSR_IA32_VMX_PROCBASED2, MSR_IA32_VMX_PROCBASED2,
			     VMCS_SECONDARY_CONTROLS },
	[WORD_EXIT] = { MSR_IA32_VMX_EXIT, MSR_IA32_VMX_TRUE_EXIT, VMCS_VM_EXIT_CONTROLS },
	[WORD_ENTRY] = { MSR_IA32_VMX_ENTRY, MSR_IA32_VMX_TRUE_ENTRY, VMCS_VM_ENTRY_CONTROLS },
};

static const struct {
	u16 control;
	const char *name;
} names[] = {
#define X(word, bit, name) { VMX_CONTROL(WORD_##word, bit), #word "_" #name },
	VMX_CONTROLS(X)
#undef X
};

static const char *name_of(u32 control)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].control == control)
			return names[i].name;
	return NULL;
}

const char *vmx_control_name(u32 control)
{
	const char *name = name_of(control);

	return name ? name : "a reserved control";
}

static bool is_active(enum vmx_word word)
{
	u32 primary = vmcs_read(VMCS_PRIMARY_CONTROLS);

	return word != WORD_SECONDARY ||
	       primary >> VMX_CONTROL_BIT(VMX_PRIMARY_SECONDARY_CONTROLS) & 1;
}

int vmx_format_refused(char *buffer, size_t size)
{
	static const char *const word_names[WORDS] = { "PIN", "PRIMARY", "SECONDARY", "EXIT",
						       "ENTRY" };

	for (enum vmx_word word = 0; word < WORDS; word++) {
		u32 value = is_active(word) ? vmcs_read(words[word].field) : vmx_allowed0(word);
		u32 wrong = (value & ~vmx_allowed1(word)) | (~value & vmx_allowed0(word));
		unsigned int bit = wrong ? __builtin_ctz(wrong) : 0;
		const char *how = value >> bit & 1 ? "is refused" : "is required";

		if (!wrong)
			continue;
		if (name_of(VMX_CONTROL(word, bit)))
			return snprintf(buffer, size, "%s %s", name_of(VMX_CONTROL(word, bit)),
					how);
		return snprintf(buffer, size, "bit %u of %s %s", bit, word_names[word], how);
	}
	return snprintf(buffer, size, "%s", "");
}

u32 vmx_word_field(enum vmx_word word)
{
	return words[word].field;
}

struct vmx_capabilities vmx_capabilities;

void vmx_read_capabilities(void)
{
	struct vmx_capabilities *to = &vmx_capabilities;
	bool has_true;

	to->basic = rdmsr(MSR_IA32_VMX_BASIC);
	to->misc = rdmsr(MSR_IA32_VMX_MISC);
	to->cr0_fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	to->cr0_fixed1 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	to->cr4_fixed0 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	to->cr4_fixed1 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	has_true = to->basic & VMX_BASIC_TRUE_CONTROLS;
	for (enum vmx_word word = 0; word < WORDS; word++)
		/* The MSR of the secondary controls exists only if they can be activated. */
		if (word != WORD_SECONDARY || vmx_allows(VMX_PRIMARY_SECONDARY_CONTROLS))
			to->controls[word] =
			    rdmsr(has_true ? words[word].true_msr : words[word].msr);
	if (vmx_allows(VMX_SECONDARY_EPT) || vmx_allows(VMX_SECONDARY_VPID))
		to->ept_vpid = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	if (vmx_allows(VMX_SECONDARY_VM_FUNCTIONS))
		to->vmfunc = rdmsr(MSR_IA32_VMX_VMFUNC);
}

u32 vmx_allowed1(enum vmx_word word)
{
	return vmx_capabilities.controls[word] >> 32;
}

u32 vmx_allowed0(enum vmx_word word)
{
	return vmx_capabilities.controls[word];
}

bool vmx_allows(u32 control)
{
	return vmx_allowed1(VMX_CONTROL_WORD(control)) >> VMX_CONTROL_BIT(control) & 1;
}

bool vmx_requires(u32 control)
{
	return vmx_allowed0(VMX_CONTROL_WORD(control)) >> VMX_CONTROL_BIT(control) & 1;
}
