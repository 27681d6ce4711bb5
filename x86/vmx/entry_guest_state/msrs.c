// SPDX-License-Identifier: BSD-2-Clause
/* "Checks on Guest Control Registers, Debug Registers, and MSRs"; "Loading MSRs" */
#include "control.h"
#include "msr.h"
#include "vmx/entry.h"
#include "vmx/msr_area.h"

#define MSR_IA32_SMM_MONITOR_CTL 0x9b

/* Bits 5:3 and 63:16 are reserved in each processor's IA32_DEBUGCTL. */
static void test_debugctl(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_DEBUG_CONTROLS))
		return;
	guest = entry_guest(L2_NATIVE);
	vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_DEBUGCTL, 0x38 | ~0xffffull,
			 "reserved");
	if (vmx_requires(VMX_ENTRY_LOAD_DEBUG_CONTROLS)) {
		check_skip("the control must be 1", "off");
		return;
	}
	vmx_clear(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	must_enter_with(guest, VMCS_GUEST_IA32_DEBUGCTL, ~0ull, "off");
}

ENTRY_SUBTEST("debugctl", test_debugctl);

#ifdef __x86_64__
static void test_dr7(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_DEBUG_CONTROLS))
		return;
	guest = entry_guest(L2_NATIVE);
	vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	must_enter_with(guest, VMCS_GUEST_DR7, 0x400, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_DR7, ~0ull << 32, "reserved");
	if (vmx_requires(VMX_ENTRY_LOAD_DEBUG_CONTROLS)) {
		check_skip("the control must be 1", "off");
		return;
	}
	vmx_clear(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	must_enter_with(guest, VMCS_GUEST_DR7, ~0ull, "off");
}

ENTRY_SUBTEST("dr7", test_dr7);

/* In each mode of the guest alike. */
static void test_sysenter(void)
{
	static const struct {
		const char *id;
		u32 field;
		u8 mode;
	} rows[] = {
		{ "long.esp", VMCS_GUEST_IA32_SYSENTER_ESP, L2_LONG },
		{ "long.eip", VMCS_GUEST_IA32_SYSENTER_EIP, L2_LONG },
		{ "pae.esp", VMCS_GUEST_IA32_SYSENTER_ESP, L2_PAE },
		{ "pae.eip", VMCS_GUEST_IA32_SYSENTER_EIP, L2_PAE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_guest *guest = entry_guest(rows[i].mode);

		for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++)
			must_refuse(guest, BY_GUEST_STATE, rows[i].field, bad->value, "%s.%s",
				    rows[i].id, bad->id);
		for (unsigned int j = 0; j < ARRAY_SIZE(entry_canonical); j++)
			must_enter_with(guest, rows[i].field, entry_canonical[j].value,
					"%s.legal.%s", rows[i].id, entry_canonical[j].id);
	}
}

ENTRY_SUBTEST("sysenter", test_sysenter);
#endif

static void test_pat(void)
{
	const u64 pat = 0x0007040600070406ull; /* as after reset */
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_PAT))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_GUEST_IA32_PAT, ~0ull, "off");
	vmx_set(VMX_ENTRY_LOAD_PAT);
	/* What L2 leaves is saved, and L1's own is loaded, where the CPU can. */
	if (vmx_allows(VMX_EXIT_LOAD_PAT)) {
		vmx_set(VMX_EXIT_LOAD_PAT);
		vmcs_write(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));
	}
	vmcs_write(VMCS_GUEST_IA32_PAT, pat);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_PAT, 0xf8f8f8f8f8f8f8f8ull,
			 "reserved");
	for (unsigned int n = 0; n < 8; n++) {
		for (u64 type = 0; type < 8; type++) {
			u64 value = (pat & ~(0xffull << n * 8)) | type << n * 8;

			if (type == 2 || type == 3)
				must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_PAT, value,
					    "pa%u.type-%llu", n, type);
			else
				must_enter_with(guest, VMCS_GUEST_IA32_PAT, value, "pa%u.type-%llu",
						n, type);
		}
	}
}

ENTRY_SUBTEST("pat", test_pat);

static u64 efer_bits(void)
{
	return EFER_SCE | EFER_LME | EFER_LMA | (cpu_has(FEATURE_NX) ? EFER_NX : 0);
}

/* Without paging LME is free, and LMA is what "IA-32e mode guest" is. */
static void test_efer_unpaged(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_EFER) || !vmx_mode_ready(L2_PROTECTED))
		return;
	guest = entry_guest(L2_PROTECTED);
	must_enter_with(guest, VMCS_GUEST_IA32_EFER, EFER_LME, "lme");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LMA, "lma");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LME | EFER_LMA, "lma-lme");
}

ENTRY_SUBTEST("efer-unpaged", test_efer_unpaged);

static void test_efer(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_EFER))
		return;
	guest = entry_guest(L2_PAE);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, ~efer_bits(), "reserved");
	must_enter_bits(guest, VMCS_GUEST_IA32_EFER, efer_bits() & ~(u64)(EFER_LME | EFER_LMA),
			"legal");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LMA, "pae.lma");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LME, "pae.lme");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LME | EFER_LMA,
		    "pae.lma-lme");
	vmx_clear(VMX_ENTRY_LOAD_EFER);
	must_enter_with(guest, VMCS_GUEST_IA32_EFER, ~0ull, "off");
#ifdef __x86_64__
	guest = entry_guest(L2_LONG);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, ~efer_bits(),
			 "long.reserved");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LME, "long.lme");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, EFER_LMA, "long.lma");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_EFER, 0, "long.none");
	must_enter_with(guest, VMCS_GUEST_IA32_EFER, EFER_LME | EFER_LMA, "long.lma-lme");
#endif
}

ENTRY_SUBTEST("efer", test_efer);

/* Counters that there are: CPUID leaf 0xa. Bit 48 is one where there are performance metrics. */
static void test_perf_global_ctrl(void)
{
	struct cpuid leaf = cpuid(0xa);
	u64 counters = (BIT_ULL(leaf.eax >> 8 & 0xff) - 1) | (BIT_ULL(leaf.edx & 0x1f) - 1) << 32;
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, ~0ull, "off");
	vmx_set(VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL);
	/* L1 has no counters running, and keeps it so. */
	if (vmx_allows(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL)) {
		vmx_set(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL);
		vmcs_write(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0);
	}
	vmcs_write(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, 0);
	must_enter(guest, "legal");
	must_enter_bits(guest, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, counters, "counter");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
			 ~counters & ~(1ull << 48), "reserved");
}

ENTRY_SUBTEST("perf-global-ctrl", test_perf_global_ctrl);

/* IA32_BNDCFGS: 11:2 are reserved, the rest is an address. */
static void test_bndcfgs(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_BNDCFGS))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_GUEST_IA32_BNDCFGS, ~0ull, "off");
	vmx_set(VMX_ENTRY_LOAD_BNDCFGS);
	vmcs_write(VMCS_GUEST_IA32_BNDCFGS, 0);
	must_enter(guest, "legal");
	must_enter_bits(guest, VMCS_GUEST_IA32_BNDCFGS, 3, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_BNDCFGS, 0xffc, "reserved");
	for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++)
		must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_BNDCFGS, bad->value & ~0xfffull,
			    "%s", bad->id);
}

ENTRY_SUBTEST("bndcfgs", test_bndcfgs);

/* IA32_S_CET: 9:6 are reserved, SUPPRESS (10) and TRACKER (11) not both 1, the rest an address. */
static void test_cet(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_CET))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_GUEST_IA32_S_CET, (ulong)~0ul, "off");
	vmx_set(VMX_ENTRY_LOAD_CET);
	vmcs_write(VMCS_GUEST_IA32_S_CET, 0);
	vmcs_write(VMCS_GUEST_SSP, 0);
	vmcs_write(VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_S_CET, 0x3c0, "s-cet");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_S_CET, 0xc00, "s-cet.suppress-tracker");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_SSP, 3, "ssp");
	must_enter_with(guest, VMCS_GUEST_IA32_S_CET, 0x400, "s-cet.suppress");
	must_enter_with(guest, VMCS_GUEST_SSP, 0x1000, "ssp.aligned");
	must_enter_with(guest, VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0x1000, "table");
	if (sizeof(ulong) == 4)
		return;
	for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++) {
		must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_S_CET, bad->value & ~0xfffull,
			    "s-cet.%s", bad->id);
		must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR,
			    bad->value, "table.%s", bad->id);
	}
	/* SSP's check is RIP's: bits beyond the linear address width are alike. */
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_SSP, ~0ull << cpu_linear_address_bits(),
			 "ssp.not-canonical");
}

ENTRY_SUBTEST("cet", test_cet);

static void test_pkrs(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_PKRS))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_GUEST_IA32_PKRS, ~0ull, "off");
	vmx_set(VMX_ENTRY_LOAD_PKRS);
	vmcs_write(VMCS_GUEST_IA32_PKRS, 0);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_IA32_PKRS, ~0ull << 32, "reserved");
}

ENTRY_SUBTEST("pkrs", test_pkrs);

/* An entry of the MSR area that is refused; the qualification is its number, from 1. */
static const struct msr_row {
	const char *id;
	u32 msr, reserved;
	u64 value;
} msr_rows[] = {
	{ "fs-base", MSR_FS_BASE, 0, 0 },
	{ "gs-base", MSR_GS_BASE, 0, 0 },
	{ "x2apic.first", 0x800, 0, 0 },
	{ "x2apic.last", 0x8ff, 0, 0 },
	{ "smm-monitor-ctl", MSR_IA32_SMM_MONITOR_CTL, 0, 0 },
	{ "reserved.low", MSR_IA32_SYSENTER_CS, 1, 0 },
	{ "reserved.high", MSR_IA32_SYSENTER_CS, BIT(31), 0 },
	{ "read-only", MSR_IA32_VMX_BASIC, 0, 0 },
	{ "value", MSR_IA32_PAT, 0, 0x0202020202020202ull },
};

static void test_msr_loading(void)
{
	static struct msr_entry area[3] __aligned(16);
	struct vmx_guest *guest = entry_guest(L2_NATIVE);

	vmcs_write(VMCS_VM_ENTRY_MSR_LOAD_ADDRESS, (ulong)area);
	for (unsigned int i = 0; i < ARRAY_SIZE(msr_rows); i++) {
		for (unsigned int number = 1; number <= ARRAY_SIZE(area); number++) {
			for (unsigned int n = 0; n < ARRAY_SIZE(area); n++) {
				area[n].msr = MSR_IA32_SYSENTER_CS;
				area[n].reserved = 0;
				area[n].value = 0;
			}
			if (i == 0 && number == 1)
				must_enter_with(guest, VMCS_VM_ENTRY_MSR_LOAD_COUNT, 3, "legal");
			area[number - 1].msr = msr_rows[i].msr;
			area[number - 1].reserved = msr_rows[i].reserved;
			area[number - 1].value = msr_rows[i].value;
			if (number > 1)
				must_enter_with(guest, VMCS_VM_ENTRY_MSR_LOAD_COUNT, number - 1,
						"%s.before-%u", msr_rows[i].id, number);
			must_refuse(guest, BY_MSR_LOADING + number, VMCS_VM_ENTRY_MSR_LOAD_COUNT, 3,
				    "%s.entry-%u", msr_rows[i].id, number);
		}
	}
}

ENTRY_SUBTEST("msr-loading", test_msr_loading);
