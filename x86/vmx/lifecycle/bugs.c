// SPDX-License-Identifier: BSD-2-Clause
/*
 * Published bugs of nested VMX, as tests that a fixed machine passes. Each does what the report
 * describes up to the wrong answer, and no further: nothing here harms a machine that has the bug,
 * but for those that crashed it, where L1's end is the finding.
 *
 * SDM volume 3D, "VMX Instruction Reference"; 3C, "VM Entries", "VMX-Preemption Timer".
 */
#include "context.h"
#include "control.h"
#include "lifecycle.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "tsc.h"

/*
 * CVE-2018-12904 (Linux 4.17.2): ring 3 of an L1 in VMX operation could execute VMX instructions,
 * VMXOFF among them. Safe: each has operands that L1 itself may use at this point.
 */
enum instruction {
	VMXON,
	VMXOFF,
	VMCLEAR,
	VMPTRLD,
	VMPTRST,
	VMREAD,
	VMWRITE,
	VMLAUNCH,
	VMRESUME,
	INVEPT,
	INVVPID,
	INSTRUCTIONS,
};

static const char *const instruction_names[INSTRUCTIONS] = {
	"vmxon",   "vmxoff",   "vmclear",  "vmptrld", "vmptrst", "vmread",
	"vmwrite", "vmlaunch", "vmresume", "invept",  "invvpid",
};

static u64 region;

static ulong execute(ulong instruction)
{
	static const struct invept_descriptor ept;
	static const struct invvpid_descriptor vpid = { .vpid = 1 };
	static u64 pointer;
	static ulong value;

	switch ((enum instruction)instruction) {
	case VMXON:
		return vmxon(region).value;
	case VMXOFF:
		return vmxoff().value;
	case VMCLEAR:
		return vmclear(region).value;
	case VMPTRLD:
		return vmptrld(region).value;
	case VMPTRST:
		return vmptrst(&pointer).value;
	case VMREAD:
		return vmread(VMCS_GUEST_RIP, &value).value;
	case VMWRITE:
		return vmwrite(VMCS_GUEST_RIP, 0).value;
	case VMLAUNCH:
		return VMX_INSTRUCTION("vmlaunch", "i"(0)).value;
	case VMRESUME:
		return VMX_INSTRUCTION("vmresume", "i"(0)).value;
	case INVEPT:
		return invept(2, &ept).value;
	case INVVPID:
		return invvpid(2, &vpid).value;
	default:
		return 0;
	}
}

/* The CPU has them if it has what they are about. */
static bool has_instruction(enum instruction instruction)
{
	if (instruction == INVEPT)
		return vmx_allows(VMX_SECONDARY_EPT);
	return instruction != INVVPID || vmx_allows(VMX_SECONDARY_VPID);
}

static void test_ring3(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);

	region = guest->vmcs_pa;
	vmx_run(guest);
	for (enum instruction i = 0; i < INSTRUCTIONS; i++) {
		ulong result = 0;

		if (!has_instruction(i)) {
			check_skip("the CPU does not have it", "%s", instruction_names[i]);
			continue;
		}
		user_call(execute, i, &result);
		check_vmx((struct vmx_result){ result }, VMX_FAULT(FAULT_GP(0)), "%s",
			  instruction_names[i]);
	}
	vmx_skip();
	check_equal(vmx_run(guest), EXIT_VMCALL, "afterwards");
}
VMX_SUBTEST("bug_ring3", test_ring3);

/*
 * CVE-2014-3645 and CVE-2014-3646 (Linux 3.12, 3.18): there was no handler for the exits of INVEPT
 * and INVVPID, so that a user of a guest could end it. Safe: L1 gets an exit, as of ring 0.
 */
/* INVEPT and INVVPID with the type in EAX or RAX, the descriptor at EBX or RBX. */
L2_CODE(code_invept, ".byte 0x66, 0x0f, 0x38, 0x80, 0x03");
L2_CODE(code_invvpid, ".byte 0x66, 0x0f, 0x38, 0x81, 0x03");

static void test_inv_exits(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 control, reason;
	} rows[] = {
		{ "invept", code_invept, VMX_SECONDARY_EPT, EXIT_INVEPT },
		{ "invvpid", code_invvpid, VMX_SECONDARY_VPID, EXIT_INVVPID },
	};
	static u64 descriptor[2];
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!vmx_allows(rows[i].control)) {
			check_skip("the CPU does not have it", "%s", rows[i].name);
			continue;
		}
		for (ulong type = 0; type < 5; type++) {
			vmx_guest_again(guest, L2_NATIVE, rows[i].code);
			/* All are types that there are, or not: L1 is asked before that. */
			guest->world.registers.ax = type == 4 ? ~0ul : type;
			guest->world.registers.bx = (ulong)descriptor;
			vmx_run(guest);
			check_exit(guest, rows[i].reason, "%s.type-%lu", rows[i].name, type);
		}
	}
}
VMX_SUBTEST("bug_inv_exits", test_inv_exits);

#ifdef __x86_64__
/*
 * CVE-2017-12154 (Linux 4.14, commit 51aa68e7d57e): with neither a TPR shadow nor exits of CR8 L2
 * had the host's CR8. Safe: L2's CR8 is L1's then, which raises its own and lowers it again.
 */
L2_CODE(code_cr8, "mov %cr8, %rax\n mov %rcx, %cr8\n mov %cr8, %rbx\n vmcall");

static void test_cr8(void)
{
	struct vmx_guest *guest;

	if (vmx_requires(VMX_PRIMARY_CR8_LOAD_EXITING) ||
	    vmx_requires(VMX_PRIMARY_CR8_STORE_EXITING)) {
		subtest_skip("the CPU requires exits of CR8");
		return;
	}
	guest = vmx_guest(L2_LONG, code_cr8);
	for (ulong of_l1 = 0; of_l1 < 16; of_l1 += 5) {
		ulong after;

		prefix_push("l1-%lu", of_l1);
		vmx_guest_again(guest, L2_LONG, code_cr8);
		guest->world.registers.cx = 15 - of_l1;
		write_cr8(of_l1);
		vmx_run(guest);
		after = read_cr8();
		write_cr8(0);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(guest->world.registers.ax, of_l1, "read-by-l2");
		check_equal(guest->world.registers.bx, 15 - of_l1, "written-by-l2");
		check_equal(after, 15 - of_l1, "read-by-l1");
		prefix_pop();
	}
}
VMX_SUBTEST("bug_cr8", test_cr8);
#endif

/*
 * CVE-2019-7221 (Linux 5.0, commit ecec76885bcf): the timer that stood for L2's preemption timer
 * was still running when VMXOFF freed what it pointed to. Safe: the timer is far away or near, but
 * nobody waits in L2; a fixed machine forgets it.
 */
static void test_timer(void)
{
	static const u32 values[] = { 1000, 10000, 100000, 1000000, 0x7fffffff };
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_PREEMPTION_TIMER))
		return;
	guest = vmx_guest(L2_NATIVE, add_and_exit);
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		u32 reason;

		prefix_push("timer-%u", values[i]);
		vmx_guest_again(guest, L2_NATIVE, add_and_exit);
		vmx_set(VMX_PIN_PREEMPTION_TIMER);
		vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, values[i]);
		/* A slow machine may take the nearest ones for over. */
		reason = vmx_run(guest);
		check(reason == EXIT_VMCALL || reason == EXIT_PREEMPTION_TIMER, "exit");
		/* Off with the VMCS active, and the second time without. */
		vmx_off_and_on();
		delay_us(1000);
		runs_anew(guest);
		check_exit(guest, EXIT_VMCALL, "after-vmxoff");
		vmx_forget(guest);
		vmx_off_and_on();
		runs_anew(guest);
		check_exit(guest, EXIT_VMCALL, "after-vmclear");
		prefix_pop();
	}
}
VMX_SUBTEST("bug_timer", test_timer);

/*
 * CVE-2017-2596 (Linux 4.10): each VMXON that was refused for its region's revision kept a page.
 * Safe: 500 pages; that they are gone shows in the host alone, but each answer is checked.
 */
static void test_vmxon(void)
{
	u32 *bad = vmx_region();
	unsigned int refused = 0, misaligned = 0;

	bad[0] ^= 1;
	vmxoff();
	for (unsigned int i = 0; i < 500; i++) {
		refused += vmxon((ulong)bad).value == VMX_FAIL_INVALID_VALUE;
		misaligned += vmxon((ulong)bad + 8).value == VMX_FAIL_INVALID_VALUE;
	}
	check_equal(refused, 500, "revision");
	check_equal(misaligned, 500, "alignment");
	check_vmx(vmxon(vmx_on_region()), VMX_SUCCEED, "right");
}
VMX_SUBTEST("bug_vmxon", test_vmxon);

/*
 * CVE-2023-30456 (Linux 6.2.8, commit 112e66017bff): CR0 and CR4 of L2 were checked against what
 * the CPU, but not what L1's controls allow: an L2 without paging came in without "unrestricted
 * guest". Safe: the entry fails.
 */
static void test_entry(void)
{
	static const struct {
		const char *name;
		u64 cr0, cr4; /* bits to clear */
		bool ept;
	} rows[] = {
		{ "no-paging", CR0_PG, 0, false },    { "real", CR0_PG | CR0_PE, 0, false },
		{ "no-ne", CR0_NE, 0, false },	      { "no-vmxe", 0, CR4_VMXE, false },
		{ "ept.no-paging", CR0_PG, 0, true }, { "ept.real", CR0_PG | CR0_PE, 0, true },
		{ "ept.no-ne", CR0_NE, 0, true },     { "ept.no-vmxe", 0, CR4_VMXE, true },
	};
	struct vmx_guest *guest = vmx_guest(L2_PAE, add_and_exit);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		prefix_push("%s", rows[i].name);
		vmx_guest_again(guest, L2_PAE, add_and_exit);
		if (rows[i].ept && !vmx_allows(VMX_SECONDARY_EPT)) {
			check_skip("the CPU has no EPT", "exit");
			prefix_pop();
			continue;
		}
		if (rows[i].ept)
			vmx_ept(guest);
		vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) & ~rows[i].cr0);
		vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) & ~rows[i].cr4);
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_ENTRY_FAILURE | EXIT_INVALID_GUEST_STATE, 0,
					 "exit");
		prefix_pop();
	}
	vmx_guest_again(guest, L2_PAE, add_and_exit);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "afterwards");
}
VMX_SUBTEST("bug_entry_cr0_cr4", test_entry);

/*
 * Linux 4.9 and before (commit 587d7e72aedc): VMCLEAR of an address without memory shut L1 down.
 * Safe: a write to where nothing is.
 */
#define NO_MEMORY 0xd0000000ull

static void test_no_memory(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, add_and_exit);
	u64 current = 0;

	if (ram_size() > NO_MEMORY) {
		subtest_skip("there is memory at %#llx", NO_MEMORY);
		return;
	}
	vmx_current(guest);
	checking("vmclear");
	check_vmx(vmclear(NO_MEMORY), VMX_SUCCEED, "vmclear");
	/* What is read there is no revision identifier. */
	check_vmx(vmptrld(NO_MEMORY), VMX_FAIL_VALID(VM_ERROR_VMPTRLD_WRONG_REVISION), "vmptrld");
	vmptrst(&current);
	check_equal(current, guest->vmcs_pa, "current");
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "afterwards");
}
VMX_SUBTEST("bug_no_memory", test_no_memory);
