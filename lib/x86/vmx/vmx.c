// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "msr.h"
#include "page_alloc.h"
#include "printf.h"
#include "report.h"
#include "smp.h"
#include "vmx/vmx.h"
#include "vmx/written.h"

static u32 *on_regions[MAX_CPUS];

struct vmx_result vmx_result(struct fault fault, bool carry, bool zero)
{
	ulong error = 0;

	if (fault_raised(fault))
		return VMX_FAULT(fault);
	if (carry)
		return VMX_FAIL_INVALID;
	if (!zero)
		return VMX_SUCCEED;
	vmread(VMCS_VM_INSTRUCTION_ERROR, &error);
	return VMX_FAIL_VALID(error);
}

int vmx_result_format(char *buffer, size_t size, struct vmx_result result)
{
	struct fault fault = { result.value };
	u32 error = result.value & 0xffff;
	const char *name = vm_error_name(error);

	if (fault_raised(fault))
		return snprintf(buffer, size, "%pe", &fault);
	if (result.value & VMX_FAIL_INVALID_VALUE)
		return snprintf(buffer, size, "VMfailInvalid");
	if (result.value & VMX_FAIL_VALID_VALUE(0))
		return snprintf(buffer, size, "VMfailValid %u (%s)", error,
				name ? name : "unknown");
	return snprintf(buffer, size, "VMsucceed");
}

static void must_succeed(struct vmx_result result, const char *what, u32 field)
{
	const char *name;
	char text[64];

	if (!result.value)
		return;
	/* Not before: each access to a field comes by here, and the name is searched for. */
	name = vmcs_field_name(field);
	vmx_result_format(text, sizeof(text), result);
	crash("%s of field %#x (%s): %s", what, field, name ? name : "unknown", text);
}

/* Where a register holds half of a field, the other half has an encoding of its own. */
static bool is_split(u32 field)
{
	return sizeof(ulong) == 4 && VMCS_WIDTH(field) == VMCS_64BIT;
}

u64 vmcs_read(u32 field)
{
	ulong value, high = 0;

	must_succeed(vmread(field, &value), "VMREAD", field);
	if (is_split(field))
		must_succeed(vmread(field | 1, &high), "VMREAD", field | 1);
	return value | (u64)high << 32;
}

unsigned int vmcs_writes;

void vmcs_write(u32 field, u64 value)
{
	vmcs_writes++;
	vmcs_note_write(field, value);
	must_succeed(vmwrite(field, value), "VMWRITE", field);
	if (is_split(field))
		must_succeed(vmwrite(field | 1, value >> 32), "VMWRITE", field | 1);
}

void *vmx_region(void)
{
	u32 *region = page_alloc();

	region[0] = vmx_capabilities.basic & VMX_BASIC_REVISION;
	return region;
}

u64 vmx_on_region(void)
{
	return (ulong)on_regions[cpu_index()];
}

/* "Restrictions on VMX Operation", "Enabling and Entering VMX Operation" */
static void enter(void *unused)
{
	const struct vmx_capabilities *can = &vmx_capabilities;
	u64 feature_control;

	apic_enable();
	if (!fault_raised(rdmsr_safe(MSR_IA32_FEATURE_CONTROL, &feature_control)) &&
	    !(feature_control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_IA32_FEATURE_CONTROL,
		      feature_control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
	write_cr0((read_cr0() | can->cr0_fixed0) & can->cr0_fixed1);
	write_cr4((read_cr4() | can->cr4_fixed0) & can->cr4_fixed1);
	if (vmxon(vmx_on_region()).value)
		crash("VMXON fails on CPU %u", cpu_index());
}

bool vmx_ready(void)
{
	static bool entered;
	u64 feature_control;

	if (!cpu_has(FEATURE_VMX)) {
		subtest_skip("the CPU has no VMX");
		return false;
	}
	if (entered)
		return true;
	if (!fault_raised(rdmsr_safe(MSR_IA32_FEATURE_CONTROL, &feature_control)) &&
	    (feature_control & (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX)) ==
		FEATURE_CONTROL_LOCK) {
		subtest_skip("VMX is switched off (IA32_FEATURE_CONTROL)");
		return false;
	}
	vmx_read_capabilities();
	for (unsigned int i = 0; i < cpu_count(); i++)
		on_regions[i] = vmx_region();
	on_all_cpus(enter, NULL);
	entered = true;
	return true;
}
