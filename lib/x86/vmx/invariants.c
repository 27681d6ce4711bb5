// SPDX-License-Identifier: BSD-2-Clause
/*
 * SDM volume 3C, "Loading Host State": control registers, debug registers and MSRs; segment and
 * descriptor-table registers; RIP, RSP and RFLAGS. "Saving Guest State": what no guest can be in.
 */
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "vmx/exit.h"
#include "vmx/invariants.h"

void vmx_violation(struct vmx_guest *guest, const char *what, u64 expected, u64 got)
{
	char exit[64] = "";

	if (!guest->invariants.violations) /* else it is only counted */
		vmx_exit_format(exit, sizeof(exit));
	l2_violation(&guest->invariants, what, expected, got, exit);
}

static void expect(struct vmx_guest *guest, const char *what, u64 expected, u64 got)
{
	if (expected != got)
		vmx_violation(guest, what, expected, got);
}

static u16 sldt(void)
{
	u16 selector;

	asm volatile("sldt %0" : "=r"(selector));
	return selector;
}

/* A hypervisor may leave the MSR out: then it holds nothing, and is asked once. */
static u64 read_debugctl(void)
{
	static bool missing;
	u64 value = 0;

	if (!missing)
		missing = fault_raised(rdmsr_safe(MSR_IA32_DEBUGCTL, &value));
	return value;
}

/* An exit leaves ET, CD, NW and the reserved bits of CR0 as they were in the guest. */
#define CR0_LOADED (~(ulong)(CR0_ET | CR0_NW | CR0_CD | 0x1ffaffc0))

static u64 read_loaded_cr0(void)
{
	return (read_cr0() & CR0_LOADED) | (vmcs_written(VMCS_HOST_CR0) & ~CR0_LOADED);
}

/* X(field of the host-state area, register, its value) for each that an exit loads in any case. */
#define LOADED(X)                                                                                  \
	X(CR0, "CR0", read_loaded_cr0())                                                           \
	X(CR3, "CR3", read_cr3())                                                                  \
	X(CR4, "CR4", read_cr4())                                                                  \
	X(IA32_SYSENTER_CS, "IA32_SYSENTER_CS", rdmsr(MSR_IA32_SYSENTER_CS))                       \
	X(IA32_SYSENTER_ESP, "IA32_SYSENTER_ESP", rdmsr(MSR_IA32_SYSENTER_ESP))                    \
	X(IA32_SYSENTER_EIP, "IA32_SYSENTER_EIP", rdmsr(MSR_IA32_SYSENTER_EIP))                    \
	X(ES_SELECTOR, "ES", read_es())                                                            \
	X(CS_SELECTOR, "CS", read_cs())                                                            \
	X(SS_SELECTOR, "SS", read_ss())                                                            \
	X(DS_SELECTOR, "DS", read_ds())                                                            \
	X(FS_SELECTOR, "FS", read_fs())                                                            \
	X(GS_SELECTOR, "GS", read_gs())                                                            \
	X(TR_SELECTOR, "TR", str())

static void check_host(struct vmx_guest *guest)
{
	u64 exit_controls = vmcs_written(VMCS_VM_EXIT_CONTROLS);

#define X(field, name, value) expect(guest, "host's " name, vmcs_written(VMCS_HOST_##field), value);
	LOADED(X)
#undef X
	if (sizeof(ulong) == 8) {
		expect(guest, "host's FS base", vmcs_written(VMCS_HOST_FS_BASE),
		       rdmsr(MSR_FS_BASE));
		expect(guest, "host's GS base", vmcs_written(VMCS_HOST_GS_BASE),
		       rdmsr(MSR_GS_BASE));
	}
	/* Else LMA and LME are the host's, and the rest is the guest's still. */
	if (exit_controls >> VMX_CONTROL_BIT(VMX_EXIT_LOAD_EFER) & 1)
		expect(guest, "host's EFER", vmcs_written(VMCS_HOST_IA32_EFER), rdmsr(MSR_EFER));
	else if (sizeof(ulong) == 8)
		expect(guest, "host's EFER, LMA and LME,", EFER_LMA | EFER_LME,
		       rdmsr(MSR_EFER) & (EFER_LMA | EFER_LME));
	expect(guest, "host's DR7", 0x400, read_dr7());
	expect(guest, "host's IA32_DEBUGCTL", 0, read_debugctl());
	expect(guest, "host's LDTR", 0, sldt());
	expect(guest, "host's RFLAGS", EFLAGS_FIXED, guest->world.flags);
}

/* Either way of blocking is of one instruction, whose beginning one of them was. */
static void check_guest(struct vmx_guest *guest)
{
	const u64 both = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
	u64 blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE);
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	expect(guest, "interruptibility state, reserved bits,", 0,
	       blocking & ~(u64)INTERRUPTIBILITY_DEFINED);
	if ((blocking & both) == both)
		vmx_violation(guest, "interruptibility state, not both STI and MOV SS,", 0, both);
	expect(guest, "activity state, reserved bits,", 0,
	       vmcs_read(VMCS_GUEST_ACTIVITY_STATE) & ~(u64)ACTIVITY_WAIT_FOR_SIPI);
	expect(guest, "guest's RFLAGS, fixed bits,", EFLAGS_FIXED,
	       rflags & (~0x3fffffull | BIT(15) | BIT(5) | BIT(3) | BIT(1)));
}

void vmx_invariants_after(struct vmx_guest *guest, const struct vmx_tables *before)
{
	struct vmx_tables now = { sgdt(), sidt() };
	u64 reason = vmcs_read(VMCS_EXIT_REASON);

	expect(guest, "host's GDTR base", vmcs_written(VMCS_HOST_GDTR_BASE), now.gdtr.base);
	expect(guest, "host's IDTR base", vmcs_written(VMCS_HOST_IDTR_BASE), now.idtr.base);
	expect(guest, "host's GDTR limit", 0xffff, now.gdtr.limit);
	expect(guest, "host's IDTR limit", 0xffff, now.idtr.limit);
	/* L1 has its limits again. */
	now.gdtr.limit = before->gdtr.limit;
	now.idtr.limit = before->idtr.limit;
	lgdt(&now.gdtr);
	lidt(&now.idtr);

	check_host(guest);
	expect(guest, "exit reason, reserved bits,", 0, reason & EXIT_REASON_RESERVED);
	/* An entry that fails saves no state, and leaves the event that it was to inject. */
	if (reason & EXIT_ENTRY_FAILURE)
		return;
	check_guest(guest);
	expect(guest, "VM-entry interruption information, no longer valid,", 0,
	       vmcs_read(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID);
}

/* Of the control fields what an exit, or L2 by VMFUNC, may change. */
static u64 changeable(u32 field)
{
	switch (field) {
	case VMCS_VM_ENTRY_CONTROLS:
		return BIT(VMX_CONTROL_BIT(VMX_ENTRY_IA32E_MODE_GUEST));
	case VMCS_VM_ENTRY_INTERRUPTION_INFORMATION:
	case VMCS_EPT_POINTER:
	case VMCS_EPTP_INDEX:
		return ~0ull;
	default:
		return 0;
	}
}

void vmx_invariants_of_fields(struct vmx_guest *guest)
{
	for (unsigned int i = 0; i < vmcs_field_count; i++) {
		u32 field = vmcs_fields[i].encoding;
		u64 kept = ~changeable(field);

		if (vmcs_is_written(field))
			expect(guest, vmcs_fields[i].name, vmcs_written(field) & kept,
			       vmcs_read(field) & kept);
	}
}
