// SPDX-License-Identifier: BSD-2-Clause
/* "Checks on Host Control Registers, MSRs, and SSP" */
#include "control.h"
#include "msr.h"
#include "vmx/entry.h"


/*
 * Bits that VMX operation fixes to 1 or to 0, one by one; and such that L1 may have either way.
 * The processor's own pairs of MSRs tell which: appendix A.7, A.8.
 */
static void test_cr0(void)
{
	static const struct {
		const char *id;
		ulong bit;
	} legal[] = {
		{ "mp", CR0_MP }, { "em", CR0_EM }, { "ts", CR0_TS },
		{ "wp", CR0_WP }, { "am", CR0_AM },
	};
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	ulong cr0 = read_cr0();

	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_CR0,
			 vmx_capabilities.cr0_fixed0 | ~vmx_capabilities.cr0_fixed1, "fixed");
	for (unsigned int i = 0; i < ARRAY_SIZE(legal); i++) {
		write_cr0(cr0 ^ legal[i].bit);
		must_enter_with(guest, VMCS_HOST_CR0, cr0 ^ legal[i].bit, "legal.%s", legal[i].id);
		write_cr0(cr0);
	}
}

ENTRY_SUBTEST("cr0", test_cr0);

static void test_cr4(void)
{
	static const struct {
		const char *id;
		ulong bit;
	} legal[] = {
		{ "tsd", CR4_TSD }, { "de", CR4_DE },	{ "mce", CR4_MCE },
		{ "pge", CR4_PGE }, { "pce", CR4_PCE },
	};
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	ulong cr4 = read_cr4();

	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_CR4,
			 vmx_capabilities.cr4_fixed0 | ~vmx_capabilities.cr4_fixed1, "fixed");
	for (unsigned int i = 0; i < ARRAY_SIZE(legal); i++) {
		if (~vmx_capabilities.cr4_fixed1 & legal[i].bit) {
			check_skip("the CPU has no such bit", "legal.%s", legal[i].id);
			continue;
		}
		write_cr4(cr4 ^ legal[i].bit);
		must_enter_with(guest, VMCS_HOST_CR4, cr4 ^ legal[i].bit, "legal.%s", legal[i].id);
		write_cr4(cr4);
	}
}

ENTRY_SUBTEST("cr4", test_cr4);

#ifdef __x86_64__
static void test_cr3(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 reserved = ~0ull << cpu_physical_address_bits();

	if (cpu_has(FEATURE_LAM))
		reserved &= ~(3ull << 61);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_CR3, reserved, "reserved");
}

ENTRY_SUBTEST("cr3", test_cr3);
#endif

/* Memory types are 0, 1 and 4 to 7. PA7 is not used by this image, so that L1 can have any. */
static void test_pat(void)
{
	struct vmx_guest *guest;
	u64 pat;

	if (!vmx_needs(VMX_EXIT_LOAD_PAT))
		return;
	guest = entry_guest(L2_NATIVE);
	pat = rdmsr(MSR_IA32_PAT);
	must_enter_with(guest, VMCS_HOST_IA32_PAT, ~0ull, "off");
	vmx_set(VMX_EXIT_LOAD_PAT);
	vmcs_write(VMCS_HOST_IA32_PAT, pat);
	must_enter(guest, "legal");
	for (unsigned int n = 0; n < 8; n++) {
		u64 without = pat & ~(0xffull << n * 8);

		must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_IA32_PAT, 0xf8ull << n * 8,
				 "reserved");
		for (u64 type = 0; type < 8; type++) {
			u64 value = without | type << n * 8;

			if (type == 2 || type == 3)
				must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_PAT, value,
					    "pa%u.type-%llu", n, type);
			else if (n == 7)
				must_enter_with(guest, VMCS_HOST_IA32_PAT, value, "pa%u.type-%llu",
						n, type);
		}
	}
	wrmsr(MSR_IA32_PAT, pat);
}

ENTRY_SUBTEST("pat", test_pat);

/* LMA and LME are each what "host address-space size" is; the rest as in the MSR. */
static void test_efer(void)
{
	struct vmx_guest *guest;
	u64 efer, legal = EFER_SCE | EFER_LME | EFER_LMA;

	if (!vmx_needs(VMX_EXIT_LOAD_EFER))
		return;
	if (cpu_has(FEATURE_NX))
		legal |= EFER_NX;
	guest = entry_guest(L2_NATIVE);
	efer = rdmsr(MSR_EFER);
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_IA32_EFER, ~legal, "reserved");
	must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_EFER, efer ^ EFER_LMA, "lma");
	must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_EFER, efer ^ EFER_LME, "lme");
	must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_EFER, efer ^ (EFER_LMA | EFER_LME),
		    "lma-lme");
	wrmsr(MSR_EFER, efer ^ EFER_SCE);
	must_enter_with(guest, VMCS_HOST_IA32_EFER, efer ^ EFER_SCE, "legal.sce");
	wrmsr(MSR_EFER, efer);
}

ENTRY_SUBTEST("efer", test_efer);

/*
 * Counters that there are: CPUID leaf 0xa. Between the two kinds, and above, each bit is reserved,
 * but for IA32_PERF_GLOBAL_CTRL's bit 48 where there are performance metrics.
 */
static void test_perf_global_ctrl(void)
{
	struct cpuid leaf = cpuid(0xa);
	struct vmx_guest *guest;
	u64 old, counters;

	if (!vmx_needs(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL))
		return;
	counters = (BIT_ULL(leaf.eax >> 8 & 0xff) - 1) | (BIT_ULL(leaf.edx & 0x1f) - 1) << 32;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_HOST_IA32_PERF_GLOBAL_CTRL, ~0ull, "off");
	vmx_set(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL);
	rdmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, &old);
	vmcs_write(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0);
	must_enter(guest, "legal");
	must_enter_bits(guest, VMCS_HOST_IA32_PERF_GLOBAL_CTRL, counters, "counter");
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_IA32_PERF_GLOBAL_CTRL,
			 ~counters & ~(1ull << 48), "reserved");
	wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, old);
}

ENTRY_SUBTEST("perf-global-ctrl", test_perf_global_ctrl);

/* IA32_S_CET: 9:6 are reserved, SUPPRESS (10) and TRACKER (11) not both 1, the rest an address. */
static void test_cet(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_EXIT_LOAD_CET))
		return;
	guest = entry_guest(L2_NATIVE);
	vmx_set(VMX_EXIT_LOAD_CET);
	vmcs_write(VMCS_HOST_IA32_S_CET, 0);
	vmcs_write(VMCS_HOST_SSP, 0);
	vmcs_write(VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_IA32_S_CET, 0x3c0, "s-cet");
	must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_S_CET, 0xc00, "s-cet.suppress-tracker");
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_SSP, 3, "ssp");
	must_enter_with(guest, VMCS_HOST_IA32_S_CET, 0x400, "s-cet.suppress");
	must_enter_with(guest, VMCS_HOST_SSP, 0x1000, "ssp.aligned");
	must_enter_with(guest, VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0x1000, "table");
	if (sizeof(ulong) == 8) {
		for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++) {
			must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_S_CET,
				    bad->value & ~0xfffull, "s-cet.%s", bad->id);
			must_refuse(guest, BY_HOST_STATE, VMCS_HOST_SSP, bad->value & ~7ull,
				    "ssp.%s", bad->id);
			must_refuse(guest, BY_HOST_STATE, VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR,
				    bad->value, "table.%s", bad->id);
		}
	}
	vmcs_write(VMCS_HOST_IA32_S_CET, 0);
	must_enter(guest, "restored");
}

ENTRY_SUBTEST("cet", test_cet);

/* CET needs write protection, whether or not the exit loads CET's own state. */
static void test_cr4_cet(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	ulong cr4 = read_cr4(), cr0 = read_cr0();

	if (!(vmx_capabilities.cr4_fixed1 & CR4_CET)) {
		subtest_skip("the CPU has no CET");
		return;
	}
	write_cr0(cr0 | CR0_WP);
	write_cr4(cr4 | CR4_CET);
	vmcs_write(VMCS_HOST_CR4, cr4 | CR4_CET);
	must_enter_with(guest, VMCS_HOST_CR0, cr0 | CR0_WP, "with-wp");
	write_cr4(cr4);
	write_cr0(cr0 & ~(ulong)CR0_WP);
	vmcs_write(VMCS_HOST_CR4, cr4);
	vmcs_write(VMCS_HOST_CR0, cr0 & ~(ulong)CR0_WP);
	must_refuse(guest, BY_HOST_STATE, VMCS_HOST_CR4, cr4 | CR4_CET, "without-wp");
	write_cr4(cr4);
	if (vmx_allows(VMX_EXIT_LOAD_CET)) {
		vmx_set(VMX_EXIT_LOAD_CET);
		vmcs_write(VMCS_HOST_IA32_S_CET, 0);
		vmcs_write(VMCS_HOST_SSP, 0);
		vmcs_write(VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
		must_refuse(guest, BY_HOST_STATE, VMCS_HOST_CR4, cr4 | CR4_CET,
			    "without-wp.load-cet");
	}
	write_cr4(cr4);
	write_cr0(cr0);
}

ENTRY_SUBTEST("cr4-cet", test_cr4_cet);

static void test_pkrs(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_EXIT_LOAD_PKRS))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_HOST_IA32_PKRS, ~0ull, "off");
	vmx_set(VMX_EXIT_LOAD_PKRS);
	vmcs_write(VMCS_HOST_IA32_PKRS, 0);
	must_enter(guest, "legal");
	must_enter_with(guest, VMCS_HOST_IA32_PKRS, 0xffffffff, "all");
	must_refuse_bits(guest, BY_HOST_STATE, VMCS_HOST_IA32_PKRS, ~0ull << 32, "reserved");
	must_enter(guest, "restored");
}

ENTRY_SUBTEST("pkrs", test_pkrs);
