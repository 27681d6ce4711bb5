// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMLAUNCH wants a VMCS whose launch state is "clear", VMRESUME one that is "launched"; only
 * VMCLEAR makes it clear, and only an entry makes it launched. Then the errors that these and
 * VMCALL have besides, and in which order: SDM volume 3C, VMLAUNCH/VMRESUME, VMCALL.
 */
#include "control.h"
#include "instructions.h"

L2_CODE(instructions_hlt, "1: hlt\n jmp 1b");

static struct vmx_result vmlaunch(void)
{
	return VMX_INSTRUCTION("vmlaunch", "i"(0));
}

static struct vmx_result vmresume(void)
{
	return VMX_INSTRUCTION("vmresume", "i"(0));
}

/* Until the next instruction's end, events are blocked by MOV SS. */
static struct vmx_result vmlaunch_after_mov_ss(void)
{
	return VMX_INSTRUCTION("mov %[ss], %%ss\n vmlaunch", [ss] "r"(KERNEL_DS));
}

static struct vmx_result vmresume_after_mov_ss(void)
{
	return VMX_INSTRUCTION("mov %[ss], %%ss\n vmresume", [ss] "r"(KERNEL_DS));
}

static struct vmx_result vmcall(void)
{
	return VMX_INSTRUCTION("vmcall", "i"(0));
}

/*
 * An entry that must be refused before the controls are looked at. Should it not be, it is by
 * these: no guest begins to run that this would not get out of.
 */
static struct vmx_result refused(struct vmx_result (*entry)(void))
{
	struct vmx_result result;

	vmcs_write(VMCS_CR3_TARGET_COUNT, 5);
	result = entry();
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	return result;
}

static void test_launch_state(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, instructions_hlt);
	struct pair vmcs;

	check_vmx(refused(vmresume), VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED),
		  "clear.vmresume");
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "clear.vmlaunch");
	check_vmx(refused(vmlaunch), VMX_FAIL_VALID(VM_ERROR_VMLAUNCH_NON_CLEAR),
		  "launched.vmlaunch");
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "launched.vmresume");

	/* Another VMCS is current in between: the state belongs to the VMCS. */
	vmcs.a = (ulong)vmx_region();
	vmclear(vmcs.a);
	vmptrld(vmcs.a);
	check_vmx(refused(vmresume), VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED),
		  "other.vmresume");
	vmptrld(guest->vmcs_pa);
	check_vmx(refused(vmlaunch), VMX_FAIL_VALID(VM_ERROR_VMLAUNCH_NON_CLEAR), "back.vmlaunch");
	vmclear(vmcs.a);
	check_vmx(refused(vmlaunch), VMX_FAIL_VALID(VM_ERROR_VMLAUNCH_NON_CLEAR),
		  "other-cleared.vmlaunch");

	vmclear(guest->vmcs_pa);
	vmptrld(guest->vmcs_pa);
	check_vmx(refused(vmresume), VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED),
		  "cleared.vmresume");
	guest->world.launched = false;
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "cleared.vmlaunch");
}

/* An entry that fails, in either way, leaves the launch state as it was. */
static void test_failed_entry(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, instructions_hlt);
	u64 host_cr0 = vmcs_read(VMCS_HOST_CR0), rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	vmcs_write(VMCS_CR3_TARGET_COUNT, 5);
	check_vmx(vmlaunch(), VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS), "controls");
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_HOST_CR0, host_cr0 & ~(u64)CR0_NE);
	check_vmx(vmlaunch(), VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_HOST_STATE), "host-state");
	vmcs_write(VMCS_HOST_CR0, host_cr0);
	vmcs_write(VMCS_GUEST_RFLAGS, 0);
	vmx_run(guest);
	check_exit(guest, EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE, "guest-state");
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
	check_vmx(refused(vmresume), VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED), "vmresume");
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "vmlaunch");

	/* The launch state is looked at before the controls. */
	check_vmx(refused(vmlaunch), VMX_FAIL_VALID(VM_ERROR_VMLAUNCH_NON_CLEAR),
		  "launched.vmlaunch");
	check_vmx(refused(vmresume), VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS),
		  "launched.vmresume");
}

static void test_mov_ss(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, instructions_hlt);
	const struct vmx_result blocked = VMX_FAIL_VALID(VM_ERROR_ENTRY_BLOCKED_BY_MOV_SS);

	check_vmx(refused(vmlaunch_after_mov_ss), blocked, "clear.vmlaunch");
	check_vmx(refused(vmresume_after_mov_ss), blocked, "clear.vmresume");
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "launch");
	check_vmx(refused(vmlaunch_after_mov_ss), blocked, "launched.vmlaunch");
	check_vmx(refused(vmresume_after_mov_ss), blocked, "launched.vmresume");
	two_vmcss();
	check_vmx(vmlaunch_after_mov_ss(), VMX_FAIL_INVALID, "no-current-vmcs");
	guest->world.launched = false;
}

static void test_no_vmcs(void)
{
	ulong value;

	two_vmcss();
	check_vmx(vmlaunch(), VMX_FAIL_INVALID, "vmlaunch");
	check_vmx(vmresume(), VMX_FAIL_INVALID, "vmresume");
	check_vmx(vmread(VMCS_GUEST_RIP, &value), VMX_FAIL_INVALID, "vmread");
	check_vmx(vmwrite(VMCS_GUEST_RIP, 0), VMX_FAIL_INVALID, "vmwrite");
	check_vmx(vmread(0x7ffe, &value), VMX_FAIL_INVALID, "vmread-unsupported");
	check_vmx(vmwrite(VMCS_EXIT_REASON, 0), VMX_FAIL_INVALID, "vmwrite-read-only");
}

/* In VMX root operation it is a call to the dual-monitor treatment of SMM. */
static void test_vmcall(void)
{
	struct pair vmcs = two_vmcss();

	check_vmx(vmcall(), VMX_FAIL_INVALID, "no-current-vmcs");
	vmptrld(vmcs.a);
	check_vmx(vmcall(), VMX_FAIL_VALID(VM_ERROR_VMCALL_IN_ROOT), "root");
	vmclear(vmcs.a);
}

/*
 * Error 6 is that of a VMCS which was launched before VMXOFF, and which was not cleared since.
 * Whether the CPU notices depends on what it keeps where: the manual has no pseudocode for it.
 * What was in the VMCS may be gone ("Software Use of the VMCS and Related Structures": VMXOFF may
 * corrupt one that is active, so that software executes VMCLEAR before), and is written again.
 */
static void test_vmxoff_between(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, instructions_hlt);
	char text[64];
	struct vmx_result result;

	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "launch");
	vmxoff();
	vmxon(vmx_on_region());
	vmptrld(guest->vmcs_pa);
	result = refused(vmresume);
	vmx_result_format(text, sizeof(text), result);
	diagnostic("VMRESUME of a VMCS that was launched before VMXOFF: %s (not judged)", text);
	vmx_guest_again(guest, L2_NATIVE, instructions_hlt);
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "cleared");
}

VMX_SUBTEST("launch-state", test_launch_state);
VMX_SUBTEST("failed-entry", test_failed_entry);
VMX_SUBTEST("mov-ss", test_mov_ss);
VMX_SUBTEST("no-current-vmcs", test_no_vmcs);
VMX_SUBTEST("vmcall", test_vmcall);
VMX_SUBTEST("vmxoff-between", test_vmxoff_between);
