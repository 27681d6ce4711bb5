// SPDX-License-Identifier: BSD-2-Clause
/*
 * MSRs that an entry loads, an exit saves, and an exit loads, each by a control of its own. All
 * combinations of the three are run: L2 finds the guest's value or L1's, the field has L2's value
 * at the exit or its old one, and L1 then has the host's value or L2's.
 *
 * Where the controls of IA32_EFER are off, an entry still makes LME and LMA those of the "IA-32e
 * mode guest" control, and an exit those of "host address-space size".
 *
 * SDM volume 3C, "VM-Entry Controls", "VM-Exit Controls", "Loading Guest Control Registers, Debug
 * Registers, and MSRs", "Loading Host Control Registers, Debug Registers, MSRs".
 */
#include "msr.h"
#include "state.h"

#define MSR_IA32_BNDCFGS	  0xd90
#define MSR_IA32_S_CET		  0x6a2
#define MSR_IA32_INT_SSP_TABLE	  0x6a8
#define DEBUGCTL_BTF		  BIT(1)

/* IA32_PAT with write-back first, as tables here have it. */
#define PAT(type) (0x0007040600070006ull | (u64)(type) << 8)

enum { LOAD = 1, SAVE = 2, HOST = 4 };

static const struct msr_row {
	const char *name;
	u32 msr;
	u32 guest_field, host_field;	     /* host_field 0: an exit sets it to 0 */
	u32 load, save, host;		     /* controls; 0: there is none */
	u64 of_l1, of_guest, of_l2, of_host; /* values; with `change`, bits to change in L1's */
	bool change;
	bool always_saved; /* by a CPU that has the controls, whatever they are */
} rows[] = {
	{ "pat", MSR_IA32_PAT, VMCS_GUEST_IA32_PAT, VMCS_HOST_IA32_PAT, VMX_ENTRY_LOAD_PAT,
	  VMX_EXIT_SAVE_PAT, VMX_EXIT_LOAD_PAT, PAT(4), PAT(1), PAT(5), PAT(7), false, false },
	{ "efer", MSR_EFER, VMCS_GUEST_IA32_EFER, VMCS_HOST_IA32_EFER, VMX_ENTRY_LOAD_EFER,
	  VMX_EXIT_SAVE_EFER, VMX_EXIT_LOAD_EFER, 0, EFER_SCE, 0, EFER_SCE, true, false },
	{ "perf_global_ctrl", MSR_IA32_PERF_GLOBAL_CTRL, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
	  VMCS_HOST_IA32_PERF_GLOBAL_CTRL, VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL, 0,
	  VMX_EXIT_LOAD_PERF_GLOBAL_CTRL, 0, 1, 2, 3, false, false },
	{ "bndcfgs", MSR_IA32_BNDCFGS, VMCS_GUEST_IA32_BNDCFGS, 0, VMX_ENTRY_LOAD_BNDCFGS, 0,
	  VMX_EXIT_CLEAR_BNDCFGS, 0x1000, 0x2001, 0x3001, 0, false, true },
	/* With CR4.CET 0 nothing of it is in force. */
	{ "s-cet", MSR_IA32_S_CET, VMCS_GUEST_IA32_S_CET, VMCS_HOST_IA32_S_CET, VMX_ENTRY_LOAD_CET,
	  0, VMX_EXIT_LOAD_CET, 0x1000, 0x2010, 0x3400, 0x4008, false, true },
	{ "table", MSR_IA32_INT_SSP_TABLE, VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR,
	  VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, VMX_ENTRY_LOAD_CET, 0, VMX_EXIT_LOAD_CET, 0x1000,
	  0x2000, 0x3000, 0x4000, false, true },
};

static const struct msr_row *row;
static u64 seen, l2_value;

static void look_and_change(void)
{
	seen = rdmsr(row->msr);
	wrmsr(row->msr, l2_value);
}

static bool use(u32 control, bool on)
{
	if (on && !vmx_allows(control))
		return false;
	if (!on && control && vmx_requires(control))
		return false;
	if (control)
		(on ? vmx_set : vmx_clear)(control);
	return true;
}

static u64 value_of(u64 value, u64 original)
{
	return row->change ? original ^ value : value;
}

static void test_combination(unsigned int controls, u64 original)
{
	struct vmx_guest *guest = calling_guest(look_and_change);
	u64 l1 = value_of(row->of_l1, original), loaded = value_of(row->of_guest, original);
	u64 host = value_of(row->of_host, original), after, field;

	l2_value = value_of(row->of_l2, original);
	if (!use(row->load, controls & LOAD) || !use(row->save, controls & SAVE) ||
	    !use(row->host, controls & HOST)) {
		check_skip("the CPU does not allow these controls", "loaded");
		return;
	}
	vmcs_write(row->guest_field, loaded);
	if (row->host_field)
		vmcs_write(row->host_field, host);
	wrmsr(row->msr, l1);
	vmx_run(guest);
	after = rdmsr(row->msr);
	wrmsr(row->msr, original);
	field = vmcs_read(row->guest_field);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(seen, controls & LOAD ? loaded : l1, "loaded");
	/* "Saving Control Registers, Debug Registers, and MSRs" */
	if (row->always_saved)
		check_equal(field, l2_value, "saved");
	else
		check_equal(field, controls & SAVE ? l2_value : loaded, "saved");
	check_equal(after, controls & HOST ? host : l2_value, "in-l1");
}

static void test_msr(unsigned int index)
{
	u64 original;

	row = &rows[index];
	if (!vmx_needs(row->load) || !vmx_needs(row->host))
		return;
	if (fault_raised(rdmsr_safe(row->msr, &original)) ||
	    fault_raised(wrmsr_safe(row->msr, original))) {
		subtest_skip("the CPU has no such MSR");
		return;
	}
	for (unsigned int controls = 0; controls < 8; controls++) {
		if (!row->save && controls & SAVE)
			continue;
		prefix_push("%s.%s.%s", controls & LOAD ? "load" : "no-load",
			    controls & SAVE ? "save" : "no-save",
			    controls & HOST ? "host" : "no-host");
		test_combination(controls, original);
		prefix_pop();
	}
}

static void test_pat(void)
{
	test_msr(0);
}
VMX_SUBTEST("pat", test_pat);

static void test_efer(void)
{
	test_msr(1);
}
VMX_SUBTEST("efer", test_efer);

static void test_perf(void)
{
	test_msr(2);
}
VMX_SUBTEST("perf_global_ctrl", test_perf);

static void test_bndcfgs(void)
{
	test_msr(3);
}
VMX_SUBTEST("bndcfgs", test_bndcfgs);

/*
 * SSP cannot be read where shadow stacks are off, but an exit saves it: what an entry has loaded,
 * or what L1 has, which is what the exit before has loaded. "Saving RIP, RSP, RFLAGS, and SSP"
 */
L2_CODE(code_exit, "vmcall");

static void test_ssp(void)
{
	static const struct {
		const char *name;
		bool load;
		u64 field, host, saved;
	} runs[] = {
		{ "load", true, 0x1000, 0x2000, 0x1000 },
		{ "no-load", false, 0x3000, 0x4000, 0x2000 },
		{ "no-load-again", false, 0x3000, 0, 0x4000 },
	};
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_exit);

	vmx_set(VMX_EXIT_LOAD_CET);
	vmcs_write(VMCS_GUEST_IA32_S_CET, 0);
	vmcs_write(VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
	vmcs_write(VMCS_HOST_IA32_S_CET, 0);
	vmcs_write(VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(runs); i++) {
		(runs[i].load ? vmx_set : vmx_clear)(VMX_ENTRY_LOAD_CET);
		vmcs_write(VMCS_GUEST_SSP, runs[i].field);
		vmcs_write(VMCS_HOST_SSP, runs[i].host);
		vmcs_write(VMCS_GUEST_RIP, (ulong)code_exit);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "ssp.%s.exit", runs[i].name);
		check_equal(vmcs_read(VMCS_GUEST_SSP), runs[i].saved, "ssp.%s.saved", runs[i].name);
	}
}

static void test_cet(void)
{
	if (!vmx_needs(VMX_ENTRY_LOAD_CET) || !vmx_needs(VMX_EXIT_LOAD_CET))
		return;
	for (unsigned int index = 4; index < ARRAY_SIZE(rows); index++) {
		prefix_push("%s", rows[index].name);
		test_msr(index);
		prefix_pop();
	}
	test_ssp();
}
VMX_SUBTEST("cet", test_cet);

/* IA32_DEBUGCTL: loaded and saved by the controls of DR7, and 0 in L1 after every exit. */
static void look_at_debugctl(void)
{
	seen = rdmsr(MSR_IA32_DEBUGCTL);
	wrmsr(MSR_IA32_DEBUGCTL, l2_value);
}

static void test_debugctl(void)
{
	u64 value;

	if (fault_raised(wrmsr_safe(MSR_IA32_DEBUGCTL, DEBUGCTL_BTF)) ||
	    fault_raised(rdmsr_safe(MSR_IA32_DEBUGCTL, &value)) || value != DEBUGCTL_BTF) {
		subtest_skip("IA32_DEBUGCTL does not hold what is written");
		return;
	}
	wrmsr(MSR_IA32_DEBUGCTL, 0);
	for (unsigned int row_number = 0; row_number < 8; row_number++) {
		struct vmx_guest *guest = calling_guest(look_at_debugctl);
		bool load = row_number & 1, save = row_number & 2;
		/* Of L1 before the entry, and of the VMCS; L2's is the other one. */
		u64 l1 = row_number & 4 ? DEBUGCTL_BTF : 0, field = l1 ^ DEBUGCTL_BTF;

		prefix_push("%s.%s.l1-%llu", load ? "load" : "no-load", save ? "save" : "no-save",
			    l1);
		if (!use(VMX_ENTRY_LOAD_DEBUG_CONTROLS, load) ||
		    !use(VMX_EXIT_SAVE_DEBUG_CONTROLS, save)) {
			check_skip("the CPU requires the controls", "loaded");
			prefix_pop();
			continue;
		}
		l2_value = l1;
		vmcs_write(VMCS_GUEST_IA32_DEBUGCTL, field);
		wrmsr(MSR_IA32_DEBUGCTL, l1);
		vmx_run(guest);
		value = rdmsr(MSR_IA32_DEBUGCTL);
		wrmsr(MSR_IA32_DEBUGCTL, 0);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(seen, load ? field : l1, "loaded");
		check_equal(vmcs_read(VMCS_GUEST_IA32_DEBUGCTL), save ? l2_value : field, "saved");
		check_equal(value, 0, "in-l1");
		prefix_pop();
	}
}
VMX_SUBTEST("debugctl", test_debugctl);
