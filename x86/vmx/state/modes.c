// SPDX-License-Identifier: BSD-2-Clause
/*
 * L2 in each mode that a CPU has, with EPT and without; from one mode to another by L1 between
 * two runs of one VMCS, and by L2 itself, where "IA-32e mode guest" in the VM-entry controls
 * follows; and the exit to an L1 of another address-space size than L2's.
 *
 * SDM volume 3C, "VM-Entry Controls", "VM-Exit Controls", "Saving Control Registers, Debug
 * Registers, and MSRs", "Checks on Host Control Registers, MSRs, and SSP", "Checks Related to
 * Address-Space Size".
 */
#include "control.h"
#include "msr.h"
#include "paging.h"
#include "state.h"

/* XOR EAX, EAX; INC EAX, or a REX prefix of the NOP that follows; SMSW EBX; VMCALL. */
L2_CODE(identify, ".byte 0x31, 0xc0, 0x40, 0x90, 0x0f, 0x01, 0xe3, 0x0f, 0x01, 0xc1, 0x0f, 0x0b");

#define END_OF_IDENTIFY 7

struct before {
	u64 cr0, cr3, cr4, efer, rip, cs, entry;
};

static struct before look(void)
{
	return (struct before){
		.cr0 = vmcs_read(VMCS_GUEST_CR0),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = vmcs_read(VMCS_GUEST_CR4),
		.efer = vmx_allows(VMX_EXIT_SAVE_EFER) ? vmcs_read(VMCS_GUEST_IA32_EFER) : 0,
		.rip = vmcs_read(VMCS_GUEST_RIP),
		.cs = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS),
		.entry = vmcs_read(VMCS_VM_ENTRY_CONTROLS),
	};
}

static void run_mode(struct vmx_guest *guest, enum l2_mode mode, const char *id)
{
	struct before was, is;
	bool is_64bit;

	if (vmx_allows(VMX_EXIT_SAVE_EFER))
		vmx_set(VMX_EXIT_SAVE_EFER);
	was = look();
	is_64bit = was.cs & ACCESS_RIGHTS(0, DESC_LONG);
	vmx_run(guest);
	if (!check_exit(guest, EXIT_VMCALL, "%s", id))
		return;
	is = look();
	check_equal(guest->world.registers.ax & 0xffff, is_64bit ? 0 : 1, "%s.code-size", id);
	check_equal(guest->world.registers.bx & CR0_PE, was.cr0 & CR0_PE, "%s.pe", id);
	check_equal(is.rip, was.rip + END_OF_IDENTIFY, "%s.ip", id);
	check_equal(is.cr0, was.cr0, "%s.cr0", id);
	check_equal(is.cr3, was.cr3, "%s.cr3", id);
	check_equal(is.cr4, was.cr4, "%s.cr4", id);
	check_equal(is.efer, was.efer, "%s.efer", id);
	check_equal(is.cs, was.cs, "%s.cs", id);
	check_equal(is.entry, was.entry, "%s.entry-controls", id);
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_VM, mode == L2_V8086 ? EFLAGS_VM : 0,
		    "%s.vm", id);
}

static void test_modes(void)
{
	for (enum l2_mode mode = 0; mode < L2_MODES; mode++) {
		bool unpaged = mode == L2_PROTECTED || mode == L2_REAL;
		struct vmx_guest *guest;

		if (!l2_mode_supported(mode))
			continue;
		if (unpaged && (!vmx_allows(VMX_SECONDARY_EPT) ||
				!vmx_allows(VMX_SECONDARY_UNRESTRICTED_GUEST))) {
			check_skip("the CPU has no unrestricted guest", "%s", l2_mode_name(mode));
			continue;
		}
		guest = vmx_guest(mode, identify);
		run_mode(guest, mode, l2_mode_name(mode));
		if (unpaged || !vmx_allows(VMX_SECONDARY_EPT))
			continue;
		vmx_guest_again(guest, mode, identify);
		vmx_ept(guest);
		prefix_push("ept");
		run_mode(guest, mode, l2_mode_name(mode));
		prefix_pop();
	}
}
VMX_SUBTEST("modes", test_modes);

/* L1 changes the mode of one VMCS between two runs: from each to each, by the fields alone. */
static struct tables mode_tables[L2_MODES];

static void change_mode(struct vmx_guest *guest, enum l2_mode mode)
{
	struct l2_state state;
	bool unpaged = mode == L2_PROTECTED || mode == L2_REAL;

	if (!unpaged && !mode_tables[mode].root)
		mode_tables[mode] = l2_tables(mode);
	state = l2_state(mode, identify, guest->stack_top, &mode_tables[mode]);
	vmx_clear(VMX_ENTRY_IA32E_MODE_GUEST);
	vmcs_set_state(&state);
	for (unsigned int i = 0; mode_tables[mode].format == TABLES_PAE && !unpaged && i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, ((u64 *)mode_tables[mode].root)[i]);
	run_mode(guest, mode, "run");
}

static void test_changes(void)
{
	struct vmx_guest *guest;

	if (!vmx_mode_ready(L2_REAL))
		return;
	/* EPT and the unrestricted guest stay on. */
	guest = vmx_guest(L2_PROTECTED, identify);
	for (enum l2_mode a = L2_NATIVE + 1; a < L2_V8086; a++)
		for (enum l2_mode b = L2_NATIVE + 1; b < L2_V8086; b++) {
			if (a == b || !l2_mode_supported(a) || !l2_mode_supported(b))
				continue;
			prefix_push("%s-to-%s", l2_mode_name(a), l2_mode_name(b));
			prefix_push("from");
			change_mode(guest, a);
			prefix_pop();
			change_mode(guest, b);
			prefix_pop();
		}
}
VMX_SUBTEST("changes_by_l1", test_changes);

/*
 * L2 leaves IA-32e mode, and enters it, in 32-bit code: PG with EFER.LME, PAE and tables of 4
 * levels. The exit writes LMA to the VM-entry control, so that the next entry finds the mode that
 * it was. In the 32-bit modes of this image L1 has an L2 in IA-32e mode then, "host address-space
 * size" 0.
 */
L2_CODE(code_paging, ".code32\n"
		     "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n vmcall\n"
		     "nop\n vmcall\n"
		     "and $0x7fffffff, %eax\n mov %eax, %cr0\n vmcall\n"
		     "nop\n vmcall");

static void check_ia32e(struct vmx_guest *guest, bool expected, const char *id)
{
	u32 control;

	vmx_run(guest);
	if (!check_exit(guest, EXIT_VMCALL, "%s.exit", id))
		return;
	control =
	    vmcs_read(VMCS_VM_ENTRY_CONTROLS) >> VMX_CONTROL_BIT(VMX_ENTRY_IA32E_MODE_GUEST) & 1;
	check_equal(control, expected, "%s.entry-control", id);
	check_equal(vmcs_read(VMCS_GUEST_IA32_EFER) & (EFER_LME | EFER_LMA),
		    EFER_LME | (expected ? EFER_LMA : 0), "%s.efer", id);
	check_equal(!!(vmcs_read(VMCS_GUEST_CR0) & CR0_PG), expected, "%s.pg", id);
	vmx_skip();
}

static void test_ia32e(void)
{
	struct vmx_guest *guest;
	struct tables tables;

	if (!vmx_mode_ready(L2_PROTECTED) || !vmx_needs(VMX_ENTRY_LOAD_EFER) ||
	    !vmx_needs(VMX_EXIT_SAVE_EFER))
		return;
	if (!cpu_has(FEATURE_LM)) {
		subtest_skip("the CPU has no long mode");
		return;
	}
	guest = vmx_guest(L2_PROTECTED, code_paging);
	tables = tables_identity(TABLES_4_LEVELS);
	vmx_set(VMX_EXIT_SAVE_EFER);
	vmcs_write(VMCS_GUEST_CR3, (ulong)tables.root);
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PAE);
	vmcs_write(VMCS_GUEST_IA32_EFER, EFER_LME);
	check_ia32e(guest, true, "entered");
	if (sizeof(ulong) == 4) {
		/* An L1 outside IA-32e mode cannot enter what it has got. */
		vmx_run(guest);
		check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_HOST_STATE),
			  "entered-again");
		return;
	}
	check_ia32e(guest, true, "entered-again");
	check_ia32e(guest, false, "left");
	check_ia32e(guest, false, "left-again");
}
VMX_SUBTEST("changes_by_l2", test_ia32e);

/* "Host address-space size" must be what L1 is in: else the entry fails with error 8. */
static void test_host_size(void)
{
	struct vmx_guest *guest = vmx_guest(L2_PAE, identify);

	run_mode(guest, L2_PAE, "legal");
	vmx_guest_again(guest, L2_PAE, identify);
	(sizeof(ulong) == 8 ? vmx_clear : vmx_set)(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
	/* Where the other size is no 1-setting at all it is the control that is refused. */
	if (sizeof(ulong) == 4 && !vmx_allows(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE)) {
		check_skip("the CPU has no 64-bit host", "other-size");
		return;
	}
	vmx_run(guest);
	check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_HOST_STATE), "other-size");
}
VMX_SUBTEST("host_address_space_size", test_host_size);

/*
 * EFER without its controls: an entry sets LME and LMA to "IA-32e mode guest", an exit to the
 * host's size, and neither changes the other bits.
 */
static u64 seen;

static void look_at_efer(void)
{
	seen = rdmsr(MSR_EFER);
}

static void test_efer(void)
{
	struct vmx_guest *guest = calling_guest(look_at_efer);
	u64 l1;

	if (!cpu_has(FEATURE_LM)) {
		subtest_skip("the CPU has no long mode");
		return;
	}
	l1 = rdmsr(MSR_EFER);
	vmx_clear(VMX_ENTRY_LOAD_EFER);
	vmx_clear(VMX_EXIT_LOAD_EFER);
	wrmsr(MSR_EFER, l1 ^ EFER_SCE);
	vmx_run(guest);
	wrmsr(MSR_EFER, l1);
	check_exit(guest, EXIT_VMCALL, "native.exit");
	check_equal(seen, l1 ^ EFER_SCE, "native.in-l2");

	/* L2 in the other width: L1 is itself again, which the invariants look at. */
	guest = vmx_guest(L2_PAE, identify);
	vmx_clear(VMX_ENTRY_LOAD_EFER);
	vmx_clear(VMX_EXIT_LOAD_EFER);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "pae.exit");
	check_equal(rdmsr(MSR_EFER), l1, "pae.in-l1");
}
VMX_SUBTEST("efer_without_controls", test_efer);
