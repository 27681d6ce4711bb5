// SPDX-License-Identifier: BSD-2-Clause
/*
 * IRET that faults has unblocked NMIs nevertheless. If L1 takes that fault, L2 will execute the
 * IRET again and must have NMIs blocked until then, so the exit tells that they were: bit 12 of the
 * VM-exit interruption information, or of an EPT violation's qualification. SDM volume 3C,
 * "Information for VM Exits Due to Vectored Events", "Exit Qualification for EPT Violations",
 * "Architectural State Before a VM Exit"; "Changes to Instruction Behavior in VMX Non-Root
 * Operation", IRET.
 *
 * What is unblocked is NMIs, or with "virtual NMIs" virtual NMIs; and with "NMI exiting" alone
 * nothing is, when bit 12 is undefined. The fault of another instruction unblocks nothing.
 */
#include "control.h"
#include "events.h"
#include "paging.h"

#define BAD_SELECTOR  0xfff8
#define HIDDEN_LINEAR 0xd0000000ul
#define HIDDEN	      0x50000000ull /* guest-physical, where EPT has nothing */

#ifdef __x86_64__
L2_CODE(iret, "iretq\n vmcall");
L2_CODE(pop, "pop %rax\n vmcall");
#else
L2_CODE(iret, "iret\n vmcall");
L2_CODE(pop, "pop %eax\n vmcall");
#endif
L2_CODE(load_selector, "mov $0xfff8, %eax\n mov %eax, %es\n vmcall");

struct fault_of {
	const u8 *code;
	bool ept; /* the stack is hidden; else a selector is bad */
	bool is_iret;
};

enum { GP, EPT, GP_OTHER, EPT_OTHER };
static const struct fault_of faults[] = {
	[GP] = { iret, false, true },
	[EPT] = { iret, true, true },
	[GP_OTHER] = { load_selector, false, false },
	[EPT_OTHER] = { pop, true, false },
};

enum { NMIS, NMI_EXITING, VIRTUAL_NMIS };
static const struct {
	const char *name;
	u32 controls[3];
	bool unblocks, is_defined;
} controls[] = {
	[NMIS] = { "nmis", { 0 }, true, true },
	[NMI_EXITING] = { "nmi-exiting", { VMX_PIN_NMI_EXITING, 0 }, false, false },
	[VIRTUAL_NMIS] = { "virtual-nmis",
			   { VMX_PIN_NMI_EXITING, VMX_PIN_VIRTUAL_NMIS, 0 },
			   true,
			   true },
};

static void prepare(struct vmx_guest *guest, const struct fault_of *fault)
{
	ulong *stack = (ulong *)guest->stack_top - 8;

	if (fault->ept) {
		vmx_ept(guest);
		tables_map(&guest->tables, HIDDEN_LINEAR, HIDDEN, LEVEL_4K, 0);
		tables_set(&guest->ept, HIDDEN, LEVEL_4K, 0);
		vmx_ept_flush();
		vmcs_write(VMCS_GUEST_RSP, HIDDEN_LINEAR);
		return;
	}
	stack[0] = (ulong)iret;
	stack[1] = BAD_SELECTOR;
	stack[2] = EFLAGS_FIXED;
	stack[3] = (ulong)guest->stack_top;
	stack[4] = vmcs_read(VMCS_GUEST_SS_SELECTOR);
	vmcs_write(VMCS_GUEST_RSP, (ulong)stack);
}

static void prepare_with(struct vmx_guest *guest, const struct fault_of *fault, unsigned int i,
			 bool blocked)
{
	vmx_guest_again(guest, L2_NATIVE, fault->code);
	prepare(guest, fault);
	for (const u32 *control = controls[i].controls; *control; control++)
		vmx_set(*control);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? BLOCKING_BY_NMI : 0);
}

static bool has_controls(unsigned int i)
{
	for (const u32 *control = controls[i].controls; *control; control++)
		if (!vmx_allows(*control))
			return false;
	return true;
}

static void run_row(struct vmx_guest *guest, const struct fault_of *fault, unsigned int i,
		    bool blocked)
{
	bool left = blocked && !(fault->is_iret && controls[i].unblocks);
	u32 field = fault->ept ? VMCS_EXIT_QUALIFICATION : VMCS_VM_EXIT_INTERRUPTION_INFORMATION;
	bool ok;

	open_nmis();
	prepare_with(guest, fault, i, blocked);
	vmx_run(guest);
	if (fault->ept)
		ok = check_exit(guest, EXIT_EPT_VIOLATION, "exit");
	else
		ok = check_exception(guest, FAULT_GP(BAD_SELECTOR), "exit");
	if (!ok)
		return;
	if (fault->is_iret)
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)iret, "rip");
	/* The same bit in both fields. */
	if (controls[i].is_defined)
		check_equal(vmcs_read(field) & INTERRUPTION_NMI_UNBLOCKED,
			    blocked && fault->is_iret ? INTERRUPTION_NMI_UNBLOCKED : 0, "bit-12");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), left ? BLOCKING_BY_NMI : 0,
		    left ? "blocked" : "unblocked");
}

static void test_faults(const void *argument)
{
	const struct fault_of *fault = argument;
	struct vmx_guest *guest;

	if (!vmx_ready() || (fault->ept && !vmx_needs(VMX_SECONDARY_EPT)))
		return;
	guest = vmx_guest(L2_NATIVE, fault->code);
	for (unsigned int i = 0; i < ARRAY_SIZE(controls); i++)
		for (unsigned int blocked = 0; blocked < 2; blocked++) {
			prefix_push("%s.%s", controls[i].name,
				    blocked ? "blocked" : "not-blocked");
			if (has_controls(i))
				run_row(guest, fault, i, blocked);
			else
				check_skip("the CPU does not allow the controls", "exit");
			prefix_pop();
		}
	open_nmis();
	vmx_check_invariants();
}

SUBTEST_ARG("iret.gp", test_faults, &faults[GP]);
SUBTEST_ARG("iret.ept", test_faults, &faults[EPT]);
SUBTEST_ARG("iret.gp-other", test_faults, &faults[GP_OTHER]);
SUBTEST_ARG("iret.ept-other", test_faults, &faults[EPT_OTHER]);

/* An entry blocks and unblocks by the field alone, whatever was before. "Interruptibility State" */
static void test_entry(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, load_selector);

	for (unsigned int i = 0; i < ARRAY_SIZE(controls); i++) {
		if (!has_controls(i)) {
			check_skip("the CPU does not allow the controls", "%s", controls[i].name);
			continue;
		}
		open_nmis();
		for (unsigned int blocked = 2; blocked-- > 0;) {
			prepare_with(guest, &faults[GP_OTHER], i, blocked);
			vmx_run(guest);
			check_exception(guest, FAULT_GP(BAD_SELECTOR), "%s.%s.exit",
					controls[i].name, blocked ? "blocked" : "then-not");
			check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE),
				    blocked ? BLOCKING_BY_NMI : 0, "%s.%s.saved", controls[i].name,
				    blocked ? "blocked" : "then-not");
		}
	}
	open_nmis();
}
VMX_SUBTEST("nmi-blocking-of-entry", test_entry);
