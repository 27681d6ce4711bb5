// SPDX-License-Identifier: BSD-2-Clause
/*
 * SDM volume 3C, "Loading Host State": control registers, debug registers and MSRs; segment and
 * descriptor-table registers; RIP, RSP and RFLAGS.
 */
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "printf.h"
#include "vmx/exit.h"
#include "vmx/invariants.h"

void vmx_violation(struct vmx_guest *guest, const char *what, u64 expected, u64 got)
{
	char exit[64];

	if (guest->violations++)
		return;
	vmx_exit_format(exit, sizeof(exit));
	snprintf(guest->expected, sizeof(guest->expected), "%s %#llx after exit %u", what, expected,
		 guest->runs);
	snprintf(guest->got, sizeof(guest->got), "%#llx (%s)", got, exit);
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

struct vmx_host vmx_host_now(void)
{
	return (struct vmx_host){
		.cr0 = read_cr0(),
		.cr3 = read_cr3(),
		.cr4 = read_cr4(),
		.dr7 = read_dr7(),
		.efer = cpu_has(FEATURE_LM) ? rdmsr(MSR_EFER) : 0,
		.fs_base = sizeof(ulong) == 8 ? rdmsr(MSR_FS_BASE) : 0,
		.gs_base = sizeof(ulong) == 8 ? rdmsr(MSR_GS_BASE) : 0,
		.sysenter_cs = rdmsr(MSR_IA32_SYSENTER_CS),
		.sysenter_esp = rdmsr(MSR_IA32_SYSENTER_ESP),
		.sysenter_eip = rdmsr(MSR_IA32_SYSENTER_EIP),
		.debugctl = read_debugctl(),
		.es = read_es(),
		.cs = read_cs(),
		.ss = read_ss(),
		.ds = read_ds(),
		.fs = read_fs(),
		.gs = read_gs(),
		.tr = str(),
		.ldtr = sldt(),
		.gdtr = sgdt(),
		.idtr = sidt(),
	};
}

static void expect(struct vmx_guest *guest, const char *what, u64 expected, u64 got)
{
	if (expected != got)
		vmx_violation(guest, what, expected, got);
}

void vmx_invariants_after(struct vmx_guest *guest, const struct vmx_host *before)
{
	const struct vmx_host now = vmx_host_now();

	/* An exit sets the limits to 0xffff and the task is not busy: both are put right for L1. */
	lgdt(&before->gdtr);
	lidt(&before->idtr);

	expect(guest, "host's CR0", before->cr0, now.cr0);
	expect(guest, "host's CR3", before->cr3, now.cr3);
	expect(guest, "host's CR4", before->cr4, now.cr4);
	expect(guest, "host's EFER", before->efer, now.efer);
	if (sizeof(ulong) == 8) {
		expect(guest, "host's FS base", vmcs_read(VMCS_HOST_FS_BASE), now.fs_base);
		expect(guest, "host's GS base", vmcs_read(VMCS_HOST_GS_BASE), now.gs_base);
	}
	expect(guest, "host's DR7", 0x400, now.dr7);
	expect(guest, "host's IA32_DEBUGCTL", 0, now.debugctl);
	expect(guest, "host's IA32_SYSENTER_CS", before->sysenter_cs, now.sysenter_cs);
	expect(guest, "host's IA32_SYSENTER_ESP", before->sysenter_esp, now.sysenter_esp);
	expect(guest, "host's IA32_SYSENTER_EIP", before->sysenter_eip, now.sysenter_eip);
	expect(guest, "host's ES", before->es, now.es);
	expect(guest, "host's CS", before->cs, now.cs);
	expect(guest, "host's SS", before->ss, now.ss);
	expect(guest, "host's DS", before->ds, now.ds);
	expect(guest, "host's FS", before->fs, now.fs);
	expect(guest, "host's GS", before->gs, now.gs);
	expect(guest, "host's TR", before->tr, now.tr);
	expect(guest, "host's LDTR", 0, now.ldtr);
	expect(guest, "host's GDTR base", before->gdtr.base, now.gdtr.base);
	expect(guest, "host's GDTR limit", 0xffff, now.gdtr.limit);
	expect(guest, "host's IDTR base", before->idtr.base, now.idtr.base);
	expect(guest, "host's IDTR limit", 0xffff, now.idtr.limit);
	expect(guest, "host's RFLAGS", EFLAGS_FIXED, guest->world.flags);
	expect(guest, "VM-entry interruption information, no longer valid, ", 0,
	       vmcs_read(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID &&
		       !(vmcs_read(VMCS_EXIT_REASON) & EXIT_ENTRY_FAILURE));
}
