// SPDX-License-Identifier: BSD-2-Clause
#include "fault.h"
#include "printf.h"
#include "vmx/exit.h"

int vmx_reason_format(char *buffer, size_t size, u32 reason)
{
	const char *name = exit_reason_name(reason & EXIT_REASON_BASIC);
	const char *failure = reason & EXIT_ENTRY_FAILURE ? "entry failure: " : "";

	if (name)
		return snprintf(buffer, size, "%s%s", failure, name);
	return snprintf(buffer, size, "%sexit reason %#x", failure, reason);
}

static int format_exception(char *buffer, size_t size, u64 qualification)
{
	u32 information = vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION);
	struct fault fault = fault_make(information & 0xff, information & INTERRUPTION_ERROR_CODE,
					vmcs_read(VMCS_VM_EXIT_INTERRUPTION_ERROR_CODE));

	if ((information & 0xff) == VECTOR_NMI)
		return snprintf(buffer, size, "NMI");
	if ((information & 0xff) == VECTOR_PF)
		return snprintf(buffer, size, "exception %pe at %#llx", &fault, qualification);
	return snprintf(buffer, size, "exception %pe", &fault);
}

static int format_io(char *buffer, size_t size, u64 qualification)
{
	return snprintf(buffer, size, "I/O, %s%s%s %#x size %u",
			qualification & BIT(5) ? "REP " : "", qualification & BIT(3) ? "IN" : "OUT",
			qualification & BIT(4) ? "S" : "", (u32)qualification >> 16,
			(u32)(qualification & 7) + 1);
}

/* "Exit Qualification for Control-Register Accesses" */
static int format_cr(char *buffer, size_t size, u64 qualification)
{
	static const char *const accesses[] = { "MOV to CR", "MOV from CR", "CLTS of CR",
						"LMSW to CR" };

	return snprintf(buffer, size, "%s%u", accesses[qualification >> 4 & 3],
			(u32)qualification & 15);
}

static int format_ept_violation(char *buffer, size_t size, u64 qualification)
{
	const char *access = qualification & 2 ? "write" : qualification & 4 ? "fetch" : "read";
	int length = snprintf(buffer, size, "EPT violation, %s, gpa %#llx", access,
			      vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));

	if (qualification & BIT(7) && (size_t)length < size)
		length += snprintf(buffer + length, size - length, ", gla %#llx",
				   vmcs_read(VMCS_GUEST_LINEAR_ADDRESS));
	return length;
}

int vmx_exit_format(char *buffer, size_t size)
{
	u32 reason = vmcs_read(VMCS_EXIT_REASON);
	u64 qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	switch (reason) {
	case EXIT_EXCEPTION_OR_NMI:
		return format_exception(buffer, size, qualification);
	case EXIT_IO:
		return format_io(buffer, size, qualification);
	case EXIT_CR_ACCESS:
		return format_cr(buffer, size, qualification);
	case EXIT_EPT_VIOLATION:
		return format_ept_violation(buffer, size, qualification);
	case EXIT_EPT_MISCONFIGURATION:
		return snprintf(buffer, size, "EPT misconfiguration, gpa %#llx",
				vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));
	default:
		return vmx_reason_format(buffer, size, reason);
	}
}
