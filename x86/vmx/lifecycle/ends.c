// SPDX-License-Identifier: BSD-2-Clause
/*
 * Leaving VMX operation with VMCSs active and launched, and coming back: no VMCS is current then,
 * and each can be used again after VMCLEAR. What cannot be had in VMX operation: CR4.VMXE or the
 * fixed bits of CR0 clear. VMCS regions whose data was written over: an entry with them fails or
 * not, but L1 goes on, and after VMCLEAR and new values the region is as good as before.
 *
 * The manual calls what a processor does with a corrupted region unpredictable; a hypervisor
 * that keeps it in the guest's memory has to expect anything there. L1's host state lies in it:
 * what is written makes the controls invalid, which are checked before any of it is loaded.
 *
 * SDM volume 3C, "Restrictions on VMX Operation", "VMCS Regions", "Software Access to Related
 * Structures"; volume 3D, "VMXOFF", "VMXON", "VMPTRST".
 */
#include "control.h"
#include "lifecycle.h"
#include "msr.h"
#include "paging.h"

void vmx_off_and_on(void)
{
	vmxoff();
	vmxon(vmx_on_region());
}

static struct vmx_result try_vmread(void)
{
	ulong value;

	return vmread(VMCS_GUEST_RIP, &value);
}

static void test_vmxoff(void)
{
	struct vmx_guest *guests[3];
	u64 current = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(guests); i++) {
		guests[i] = vmx_guest(L2_NATIVE, add_and_exit);
		vmx_run(guests[i]);
		check_exit(guests[i], EXIT_VMCALL, "before.%u", i);
	}
	check_vmx(vmxoff(), VMX_SUCCEED, "vmxoff");
	check_vmx(try_vmread(), VMX_FAULT(FAULT_UD), "off.vmread");
	check_vmx(vmclear(guests[0]->vmcs_pa), VMX_FAULT(FAULT_UD), "off.vmclear");
	check_vmx(vmxoff(), VMX_FAULT(FAULT_UD), "off.vmxoff");
	check_vmx(vmxon(vmx_on_region()), VMX_SUCCEED, "vmxon");
	check_vmx(vmptrst(&current), VMX_SUCCEED, "on.vmptrst");
	check_equal(current, ~0ull, "on.current");
	check_vmx(try_vmread(), VMX_FAIL_INVALID, "on.vmread");
	check_vmx(VMX_INSTRUCTION("vmlaunch", "i"(0)), VMX_FAIL_INVALID, "on.vmlaunch");
	check_vmx(VMX_INSTRUCTION("vmresume", "i"(0)), VMX_FAIL_INVALID, "on.vmresume");
	for (unsigned int i = 0; i < ARRAY_SIZE(guests); i++) {
		runs_anew(guests[i]);
		check_exit(guests[i], EXIT_VMCALL, "after.%u", i);
	}
}
VMX_SUBTEST("vmxoff_active", test_vmxoff);

/* In and out many times, each time with one VMCS launched. */
static void test_many(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);
	unsigned int ran = 0;

	for (unsigned int i = 0; i < 50; i++) {
		vmx_off_and_on();
		ran += runs_anew(guest);
	}
	check_equal(ran, 50, "ran");
}
VMX_SUBTEST("vmxoff_often", test_many);

static struct fault try_cr0(ulong value)
{
	struct fault fault;

	asm volatile(TRY("mov %[value], %%cr0")
		     : TRY_RESULT(fault)
		     : [value] "r"(value)
		     : "memory");
	return fault;
}

static struct fault try_cr4(ulong value)
{
	struct fault fault;

	asm volatile(TRY("mov %[value], %%cr4")
		     : TRY_RESULT(fault)
		     : [value] "r"(value)
		     : "memory");
	return fault;
}

static void test_fixed(void)
{
	ulong cr0 = read_cr0(), cr4 = read_cr4();

	check_fault(try_cr4(cr4 & ~(ulong)CR4_VMXE), FAULT_GP(0), "in-root.cr4-vmxe");
	check_fault(try_cr0(cr0 & ~(ulong)CR0_NE), FAULT_GP(0), "in-root.cr0-ne");
	check_fault(try_cr0(cr0 & ~(ulong)CR0_PG), FAULT_GP(0), "in-root.cr0-pg");
	check_equal(read_cr4(), cr4, "in-root.cr4");
	check_equal(read_cr0(), cr0, "in-root.cr0");
	vmxoff();
	check_fault(try_cr0(cr0 & ~(ulong)CR0_NE), NO_FAULT, "outside.cr0-ne");
	check_vmx(vmxon(vmx_on_region()), VMX_FAULT(FAULT_GP(0)), "vmxon-without-ne");
	write_cr0(cr0);
	check_fault(try_cr4(cr4 & ~(ulong)CR4_VMXE), NO_FAULT, "outside.cr4-vmxe");
	check_vmx(vmxon(vmx_on_region()), VMX_FAULT(FAULT_UD), "vmxon-without-vmxe");
	write_cr4(cr4);
	check_vmx(vmxon(vmx_on_region()), VMX_SUCCEED, "vmxon");
}
VMX_SUBTEST("vmxe_cleared", test_fixed);

/* L2 clears the same bits: they are fixed for it, too, or L1 owns them and is asked. */
#ifdef __x86_64__
L2_CODE(clear_vmxe, "mov %cr4, %rax\n btr $13, %rax\n mov %rax, %cr4\n vmcall");
#else
L2_CODE(clear_vmxe, "mov %cr4, %eax\n btr $13, %eax\n mov %eax, %cr4\n vmcall");
#endif

static void test_fixed_in_l2(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, clear_vmxe);

	vmx_run(guest);
	check_exception(guest, FAULT_GP(0), "not-owned");
	check(vmcs_read(VMCS_GUEST_CR4) & CR4_VMXE, "not-owned.cr4");

	vmx_guest_again(guest, L2_NATIVE, clear_vmxe);
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
	vmcs_write(VMCS_CR4_READ_SHADOW, CR4_VMXE);
	vmx_run(guest);
	/* Control register 4, MOV to it, from RAX. */
	check_exit_qualification(guest, EXIT_CR_ACCESS, 4, "owned");

	/* Where L1's shadow has it clear L2 changes nothing, and nobody is asked. */
	vmx_guest_again(guest, L2_NATIVE, clear_vmxe);
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
	vmcs_write(VMCS_CR4_READ_SHADOW, 0);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "shadowed");
	check(!(guest->world.registers.ax & CR4_VMXE), "shadowed.in-l2");
	check(vmcs_read(VMCS_GUEST_CR4) & CR4_VMXE, "shadowed.cr4");
}
VMX_SUBTEST("vmxe_cleared_by_l2", test_fixed_in_l2);

#define HEADER 8 /* revision identifier and abort indicator */

static void fill(struct vmx_guest *guest, unsigned int pattern)
{
	u8 *data = (u8 *)guest->vmcs + HEADER;
	u32 random = 0x12345678 + pattern;

	for (unsigned int i = 0; i < PAGE_SIZE - HEADER; i++) {
		random = random * 1664525 + 1013904223;
		data[i] = pattern == 0 ? 0 : pattern == 1 ? 0xff : random >> 24;
	}
}

static void test_corrupted(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);

	for (unsigned int pattern = 0; pattern < 6; pattern++) {
		char outcome[64];

		prefix_push("pattern-%u", pattern);
		checking("launch");
		vmx_run(guest);
		vmx_forget(guest);
		fill(guest, pattern);
		vmx_current(guest);
		vmx_run(guest);
		if (guest->world.exited)
			vmx_exit_format(outcome, sizeof(outcome));
		else
			vmx_result_format(outcome, sizeof(outcome), guest->entry);
		diagnostic("pattern %u: %s", pattern, outcome);
		vmx_forget(guest);
		runs_anew(guest);
		check_exit(guest, EXIT_VMCALL, "again");
		prefix_pop();
	}
}
VMX_SUBTEST("corrupted", test_corrupted);

/* A revision identifier that is another's, or has the bit of a shadow VMCS, after use. */
static void test_revision(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);
	u32 *region = guest->vmcs, revision = region[0];

	for (unsigned int bit = 0; bit < 31; bit += 5) {
		vmx_run(guest);
		vmx_forget(guest);
		region[0] = revision ^ BIT(bit);
		check_vmx(vmptrld(guest->vmcs_pa), VMX_FAIL_INVALID, "bit-%u.no-vmcs", bit);
		region[0] = revision;
		check(runs_anew(guest), "bit-%u.again", bit);
	}
}
VMX_SUBTEST("corrupted_revision", test_revision);
