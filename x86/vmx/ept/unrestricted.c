// SPDX-License-Identifier: BSD-2-Clause
/*
 * An unrestricted guest has CR0.PE and CR0.PG as it likes, and so real mode and protected mode
 * without paging, which EPT makes possible. Without the control, or without EPT, a VM entry
 * checks both as fixed bits, and the control without EPT is an invalid one. L2 changes between
 * its modes without an exit; linear addresses are then guest-physical ones.
 *
 * The entries of PAE's top level are in the VMCS under EPT: L2 loads them by MOV to CR3, and that
 * may cause an EPT violation, the one kind that has no linear address.
 *
 * SDM volume 3C, "Checks on VMX Controls", "Checks on Guest Control Registers, Debug Registers,
 * and MSRs", "Unrestricted Guests", "Exit Qualification for EPT Violations".
 */
#include "ept.h"
#include "control.h"

VMX_TEST("unrestricted_protected", ".code32\n mov %cr0, %eax\n cpuid", .mode = L2_PROTECTED,
	 .exits = { { .reason = EXIT_CPUID } });
VMX_TEST("unrestricted_real", ".code16\n push %ds\n pop %es\n mov %cr0, %eax\n cpuid",
	 .mode = L2_REAL, .exits = { { .reason = EXIT_CPUID } });

/* PE on and off again, by MOV and by LMSW, which cannot clear it. */
static void check_pe(struct vmx_guest *guest)
{
	check(guest->world.registers.ax & CR0_PE, "pe-1");
	check_equal(vmcs_read(VMCS_GUEST_CR0) & CR0_PE, CR0_PE, "saved.pe-1");
	vmx_skip();
}

static void check_no_pe(struct vmx_guest *guest)
{
	check(!(guest->world.registers.ax & CR0_PE), "pe-0");
	check_equal(vmcs_read(VMCS_GUEST_CR0) & CR0_PE, 0, "saved.pe-0");
	vmx_skip();
}

/* The selectors are those of where the code lies, and their low bits become RPLs. */
static void clear_rpl(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CS_SELECTOR, vmcs_read(VMCS_GUEST_CS_SELECTOR) & ~3ull);
	vmcs_write(VMCS_GUEST_SS_SELECTOR, vmcs_read(VMCS_GUEST_SS_SELECTOR) & ~3ull);
}

VMX_TEST("unrestricted_pe",
	 ".code16\n mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n mov %cr0, %eax\n hlt\n"
	 "and $0xfe, %al\n mov %eax, %cr0\n mov %cr0, %eax\n hlt\n"
	 "or $1, %al\n lmsw %ax\n mov %cr0, %eax\n hlt",
	 .mode = L2_REAL, .setup = clear_rpl,
	 .exits = { { EXIT_HLT, .then = check_pe },
		    { EXIT_HLT, .then = check_no_pe },
		    { .reason = EXIT_HLT } });

/*
 * An unrestricted guest's CS may have another RPL than SS, as it has right after real mode. The CPL
 * is SS's DPL: HLT and MOV from CR0 are not refused. "Checks on Guest Segment Registers"
 */
L2_CODE(code_privileged, ".code16\n mov %cr0, %eax\n hlt");

static void test_cpl(void)
{
	struct vmx_guest *guest;

	if (!vmx_mode_ready(L2_REAL))
		return;
	guest = vmx_guest(L2_REAL, code_privileged);
	for (unsigned int rpl = 0; rpl < 4; rpl++) {
		vmx_guest_again(guest, L2_REAL, code_privileged);
		clear_rpl(guest);
		vmcs_write(VMCS_GUEST_CS_SELECTOR, vmcs_read(VMCS_GUEST_CS_SELECTOR) | rpl);
		vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_PE);
		vmx_run(guest);
		check_exit(guest, EXIT_HLT, "rpl-%u", rpl);
	}
}
VMX_SUBTEST("unrestricted_cpl", test_cpl);

/* Paging on and off: the place is where it lies, and where L2's tables put it. */
L2_CODE(code_paging, ".code32\n"
		     "mov (%ebx), %esi\n"
		     "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
		     "mov (%edx), %edi\n"
		     "and $0x7fffffff, %eax\n mov %eax, %cr0\n"
		     "mov (%ebx), %ebp\n"
		     "vmcall");

static void test_paging(void)
{
	struct tables tables;
	struct vmx_guest *guest;
	u32 *page = page_alloc();

	if (!vmx_mode_ready(L2_PROTECTED))
		return;
	guest = vmx_guest(L2_PROTECTED, code_paging);
	page[0] = READ_VALUE;
	tables = tables_identity(TABLES_2_LEVELS);
	tables_map(&tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, 0);
	tables_map(&guest->ept, GUEST_PHYSICAL, (ulong)page, LEVEL_4K, 0);
	vmx_ept_flush();
	vmcs_write(VMCS_GUEST_CR3, (ulong)tables.root);
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PSE);
	guest->world.registers.bx = GUEST_PHYSICAL;
	guest->world.registers.dx = LINEAR;
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal((u32)guest->world.registers.si, READ_VALUE, "off");
	check_equal((u32)guest->world.registers.di, READ_VALUE, "on");
	check_equal((u32)guest->world.registers.bp, READ_VALUE, "off-again");

	/* Without paging the guest linear address is the guest-physical one. */
	tables_set(&guest->ept, GUEST_PHYSICAL, LEVEL_4K, 0);
	vmx_ept_flush();
	vmcs_write(VMCS_GUEST_RIP, (ulong)code_paging);
	vmx_run(guest);
	check_exit(guest, EXIT_EPT_VIOLATION, "violation.exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED,
		    VIOLATION_READ | VIOLATION_LINEAR | VIOLATION_FINAL, "violation.qualification");
	check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), GUEST_PHYSICAL, "violation.linear");
}
VMX_SUBTEST("unrestricted_paging", test_paging);

/* What an entry refuses, with the legal neighbour first. */
static void test_entry(void)
{
	struct vmx_guest *guest;

	if (!vmx_mode_ready(L2_REAL))
		return;
	guest = vmx_guest(L2_PROTECTED, code_paging);
	vmx_clear(VMX_SECONDARY_UNRESTRICTED_GUEST);
	vmx_run(guest);
	check_exit(guest, EXIT_ENTRY_FAILURE | EXIT_INVALID_GUEST_STATE, "no-paging.control-off");

	vmx_guest_again(guest, L2_REAL, code_paging);
	vmx_clear(VMX_SECONDARY_UNRESTRICTED_GUEST);
	vmx_run(guest);
	check_exit(guest, EXIT_ENTRY_FAILURE | EXIT_INVALID_GUEST_STATE, "real.control-off");

	vmx_guest_again(guest, L2_PROTECTED, code_paging);
	vmx_clear(VMX_SECONDARY_EPT);
	vmx_run(guest);
	check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS), "without-ept");

	/* PG needs PE, for an unrestricted guest as well. */
	vmx_guest_again(guest, L2_PROTECTED, code_paging);
	vmcs_write(VMCS_GUEST_CR0, (vmcs_read(VMCS_GUEST_CR0) & ~(u64)CR0_PE) | CR0_PG);
	vmx_run(guest);
	check_exit(guest, EXIT_ENTRY_FAILURE | EXIT_INVALID_GUEST_STATE, "paging-without-pe");
}
VMX_SUBTEST("unrestricted_entry", test_entry);

/* L2 loads a top level of PAE that lies at the place. */
L2_CODE(code_load_cr3, ".code32\n mov %ebx, %cr3\n vmcall");

static void test_pdptes(void)
{
	u64 *page = page_alloc(), entry;
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	guest = vmx_guest(L2_PAE, code_load_cr3);
	vmx_ept(guest);
	for (unsigned int i = 0; i < 4; i++)
		page[i] = ((u64 *)guest->tables.root)[i];
	/* A 4th entry that tells the tables from those before. */
	page[3] |= BIT(9);
	entry = (ulong)page | tables_page_flags(TABLES_EPT);
	tables_set(&guest->ept, GUEST_PHYSICAL, LEVEL_4K, entry & ~EPT_RIGHTS);
	vmx_ept_flush();
	guest->world.registers.bx = GUEST_PHYSICAL;
	vmx_run(guest);
	check_exit(guest, EXIT_EPT_VIOLATION, "violation.exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED & ~VIOLATION_FINAL,
		    VIOLATION_READ, "violation.qualification");
	check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xfffull, GUEST_PHYSICAL,
		    "violation.physical");
	check_equal(vmcs_read(VMCS_GUEST_CR3), (ulong)guest->tables.root, "violation.cr3");
	tables_set(&guest->ept, GUEST_PHYSICAL, LEVEL_4K, entry);
	vmx_ept_flush();
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "loaded.exit");
	check_equal(vmcs_read(VMCS_GUEST_CR3), GUEST_PHYSICAL, "loaded.cr3");
	for (unsigned int i = 0; i < 4; i++)
		check_equal(vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i), page[i], "loaded.pdpte%u", i);

	/* A present entry with a reserved bit is L2's #GP. "MOV to CR3", PAE paging */
	page[2] |= BIT(1);
	vmcs_write(VMCS_GUEST_RIP, (ulong)code_load_cr3);
	vmx_run(guest);
	check_exception(guest, FAULT_GP(0), "reserved");
}
VMX_SUBTEST("pdptes", test_pdptes);
