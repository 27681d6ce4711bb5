// SPDX-License-Identifier: BSD-2-Clause
#include "fault.h"
#include "printf.h"
#include "vmx/exit.h"
#include "vmx/guest.h"

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

static int format_ept_misconfiguration(char *buffer, size_t size, u64 qualification)
{
	(void)qualification;
	return snprintf(buffer, size, "EPT misconfiguration, gpa %#llx",
			vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));
}

/* "Exit Qualification for MOV DR" */
static int format_dr(char *buffer, size_t size, u64 qualification)
{
	return snprintf(buffer, size, "MOV %s DR%u", qualification & BIT(4) ? "from" : "to",
			(u32)qualification & 7);
}

/* "Exit Qualification for Task Switches" */
static int format_task_switch(char *buffer, size_t size, u64 qualification)
{
	static const char *const sources[] = { "CALL", "IRET", "JMP", "task gate" };

	return snprintf(buffer, size, "task switch, %s, TSS %#x", sources[qualification >> 30 & 3],
			(u32)qualification & 0xffff);
}

static int format_invlpg(char *buffer, size_t size, u64 qualification)
{
	return snprintf(buffer, size, "INVLPG %#llx", qualification);
}

/* "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses" */
static int format_apic_access(char *buffer, size_t size, u64 qualification)
{
	static const char *const types[16] = {
		[0] = "read", [1] = "write", [2] = "fetch", [3] = "event delivery",
		[10] = "guest-physical event delivery", [15] = "guest-physical access",
	};
	const char *type = types[qualification >> 12 & 15];

	return snprintf(buffer, size, "APIC access, %s, offset %#x", type ? type : "reserved type",
			(u32)qualification & 0xfff);
}

/* The MSR is in a register of L2, which the VMCS does not have. */
static int format_msr(char *buffer, size_t size, u64 qualification)
{
	const struct vmx_guest *guest = vmx_current_guest();
	const char *name = exit_reason_name(vmcs_read(VMCS_EXIT_REASON));

	(void)qualification;
	if (!guest)
		return snprintf(buffer, size, "%s", name);
	return snprintf(buffer, size, "%s %#x", name, (u32)guest->world.registers.cx);
}

static const struct {
	u32 reason;
	int (*format)(char *buffer, size_t size, u64 qualification);
} formats[] = {
	{ EXIT_EXCEPTION_OR_NMI, format_exception },
	{ EXIT_TASK_SWITCH, format_task_switch },
	{ EXIT_INVLPG, format_invlpg },
	{ EXIT_CR_ACCESS, format_cr },
	{ EXIT_MOV_DR, format_dr },
	{ EXIT_IO, format_io },
	{ EXIT_RDMSR, format_msr },
	{ EXIT_WRMSR, format_msr },
	{ EXIT_APIC_ACCESS, format_apic_access },
	{ EXIT_EPT_VIOLATION, format_ept_violation },
	{ EXIT_EPT_MISCONFIGURATION, format_ept_misconfiguration },
};

int vmx_exit_format(char *buffer, size_t size)
{
	u32 reason = vmcs_read(VMCS_EXIT_REASON);

	for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].reason == reason)
			return formats[i].format(buffer, size, vmcs_read(VMCS_EXIT_QUALIFICATION));
	return vmx_reason_format(buffer, size, reason);
}
