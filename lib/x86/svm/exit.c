// SPDX-License-Identifier: BSD-2-Clause
#include "fault.h"
#include "paging.h"
#include "printf.h"
#include "svm/exit.h"
#include "trap.h"

static const char *const names[] = {
#define NAME(name) [VMEXIT_##name] = #name
	NAME(INTR), NAME(NMI), NAME(SMI), NAME(INIT), NAME(VINTR), NAME(CR0_SEL_WRITE),
	NAME(IDTR_READ), NAME(GDTR_READ), NAME(LDTR_READ), NAME(TR_READ), NAME(IDTR_WRITE),
	NAME(GDTR_WRITE), NAME(LDTR_WRITE), NAME(TR_WRITE), NAME(RDTSC), NAME(RDPMC),
	NAME(PUSHF), NAME(POPF), NAME(CPUID), NAME(RSM), NAME(IRET), NAME(SWINT), NAME(INVD),
	NAME(PAUSE), NAME(HLT), NAME(INVLPG), NAME(INVLPGA), NAME(IOIO), NAME(MSR),
	NAME(TASK_SWITCH), NAME(FERR_FREEZE), NAME(SHUTDOWN), NAME(VMRUN), NAME(VMMCALL),
	NAME(VMLOAD), NAME(VMSAVE), NAME(STGI), NAME(CLGI), NAME(SKINIT), NAME(RDTSCP),
	NAME(ICEBP), NAME(WBINVD), NAME(MONITOR), NAME(MWAIT), NAME(MWAIT_CONDITIONAL),
	NAME(XSETBV), NAME(RDPRU), NAME(EFER_WRITE_TRAP), NAME(INVLPGB),
	NAME(INVLPGB_ILLEGAL), NAME(INVPCID), NAME(MCOMMIT), NAME(TLBSYNC), NAME(BUSLOCK),
	NAME(IDLE_HLT), NAME(NPF), NAME(AVIC_INCOMPLETE_IPI), NAME(AVIC_NOACCEL),
	NAME(VMGEXIT),
#undef NAME
};

/* Exits that are numbered by register. */
static const struct {
	u16 first, count;
	const char *format;
} ranges[] = {
	{ VMEXIT_CR0_READ, 16, "VMEXIT_CR%u_READ" },
	{ VMEXIT_CR0_WRITE, 16, "VMEXIT_CR%u_WRITE" },
	{ VMEXIT_DR0_READ, 16, "VMEXIT_DR%u_READ" },
	{ VMEXIT_DR0_WRITE, 16, "VMEXIT_DR%u_WRITE" },
	{ VMEXIT_CR0_WRITE_TRAP, 16, "VMEXIT_CR%u_WRITE_TRAP" },
};

int svm_exitcode_format(char *buffer, size_t size, u64 code)
{
	const char *vector;

	if (code == VMEXIT_INVALID)
		return snprintf(buffer, size, "VMEXIT_INVALID");
	if (code == VMEXIT_BUSY)
		return snprintf(buffer, size, "VMEXIT_BUSY");
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		/* The format takes the number from the table alone. */
		if (code >= ranges[i].first && code < ranges[i].first + ranges[i].count)
			return snprintf(buffer, size, ranges[i].format,
					(unsigned int)code - ranges[i].first);
	}
	if (code >= VMEXIT_EXCP && code < VMEXIT_EXCP + 32) {
		vector = vector_name(code - VMEXIT_EXCP);
		if (vector)
			return snprintf(buffer, size, "VMEXIT_EXCP %s", vector);
		return snprintf(buffer, size, "VMEXIT_EXCP vector %u",
				(unsigned int)code - VMEXIT_EXCP);
	}
	if (code < ARRAY_SIZE(names) && names[code])
		return snprintf(buffer, size, "VMEXIT_%s", names[code]);
	return snprintf(buffer, size, "exit code %#llx", code);
}

static int format_ioio(char *buffer, size_t size, u64 info)
{
	unsigned int bytes = info & IOIO_SIZE_8 ? 1 : info & IOIO_SIZE_16 ? 2 : 4;

	return snprintf(buffer, size, "VMEXIT_IOIO %s%s%s %#x size %u",
			info & IOIO_REP ? "REP " : "", info & IOIO_IN ? "IN" : "OUT",
			info & IOIO_STRING ? "S" : "", (unsigned int)(info >> 16 & 0xffff), bytes);
}

static int format_npf(char *buffer, size_t size, u64 error_code, u64 address)
{
	const char *access = error_code & PF_FETCH ? "fetch" : error_code & PF_WRITE ? "write" : "read";

	return snprintf(buffer, size, "VMEXIT_NPF %s at %#llx (%#llx)%s", access, address, error_code,
			error_code & NPF_TABLE ? " of the guest's tables" : "");
}

static int format_exception(char *buffer, size_t size, const struct vmcb_control *control)
{
	unsigned int vector = control->exitcode - VMEXIT_EXCP;
	struct fault fault =
		fault_make(vector, vector_has_error_code(vector), control->exitinfo1);

	if (vector == VECTOR_PF)
		return snprintf(buffer, size, "VMEXIT_EXCP %pe at %#llx", &fault, control->exitinfo2);
	return snprintf(buffer, size, "VMEXIT_EXCP %pe", &fault);
}

int svm_exit_format(char *buffer, size_t size, const struct vmcb *vmcb)
{
	const struct vmcb_control *control = &vmcb->control;
	u64 code = control->exitcode;

	if (code == VMEXIT_IOIO)
		return format_ioio(buffer, size, control->exitinfo1);
	if (code == VMEXIT_NPF)
		return format_npf(buffer, size, control->exitinfo1, control->exitinfo2);
	if (code >= VMEXIT_EXCP && code < VMEXIT_EXCP + 32)
		return format_exception(buffer, size, control);
	if (code == VMEXIT_MSR)
		return snprintf(buffer, size, "VMEXIT_MSR %s",
				control->exitinfo1 ? "WRMSR" : "RDMSR");
	return svm_exitcode_format(buffer, size, code);
}
