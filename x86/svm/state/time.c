// SPDX-License-Identifier: BSD-2-Clause
/*
 * TSC offset (15.5.1) and ratio (15.30.5), DBGCTL and the last branch records (15.23). L2's TSC
 * is L1's times the ratio plus the offset, whichever instruction reads it; the offset is gone
 * after #VMEXIT.
 */
#include "control.h"
#include "msr.h"
#include "state.h"
#include "tsc.h"

#define MSR_LAST_BRANCH_FROM 0x1db
#define MSR_LAST_BRANCH_TO   0x1dc
#define MSR_LAST_INT_FROM    0x1dd
#define MSR_LAST_INT_TO	     0x1de
#define DEBUGCTL_LBR	     BIT(0)

static u64 l2_tsc[3];

static u64 rdtscp(void)
{
	u32 low, high;

	asm volatile("rdtscp" : "=a"(low), "=d"(high) : : "ecx", "memory");
	return (u64)high << 32 | low;
}

static void read_tsc(void)
{
	l2_tsc[0] = rdtsc();
	l2_tsc[1] = cpu_has(FEATURE_RDTSCP) ? rdtscp() : 0;
	l2_tsc[2] = rdmsr(MSR_IA32_TSC);
}

static void check_between(u64 tsc, u64 before, u64 after, const char *row, const char *how)
{
	/* One comparison, which a failure shows as the distance. */
	check_equal(tsc - before <= after - before ? 0 : tsc - before, 0, "%s.%s", row, how);
}

static void test_tsc_offset(void)
{
	static const struct {
		const char *id;
		u64 offset;
	} offsets[] = {
		{ "zero", 0 },
		{ "one-hour", 1ull << 43 },
		{ "odd", 0x123456789abcdefull },
		{ "negative", -(1ull << 43) },
		{ "wraps", 1ull << 63 },
	};

	u64 first = rdtsc(), msr = rdmsr(MSR_IA32_TSC);

	check_between(msr, first, rdtsc(), "l1", "rdmsr");
	for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct svm_guest *guest = calling_guest(read_tsc);
		u64 offset = offsets[i].offset, before, after;

		guest->vmcb->control.tsc_offset = offset;
		before = rdtsc();
		if (!called(guest, offsets[i].id))
			continue;
		after = rdtsc();
		check_between(l2_tsc[0] - offset, before, after, offsets[i].id, "rdtsc");
		if (cpu_has(FEATURE_RDTSCP))
			check_between(l2_tsc[1] - offset, before, after, offsets[i].id, "rdtscp");
		check_between(l2_tsc[2] - offset, before, after, offsets[i].id, "rdmsr");
		/* 15.6: without the offset again; no hour has passed. */
		check(after - before < 1ull << 42, "%s.l1", offsets[i].id);
	}
}

SVM_SUBTEST("tsc-offset", test_tsc_offset);

/* 8 bits of integer, 32 of fraction. */
static void test_tsc_ratio(void)
{
	static const struct {
		const char *id;
		u64 ratio;
	} ratios[] = {
		{ "half", 1ull << 31 },
		{ "double", 2ull << 32 },
		{ "odd", 0x140000000ull },
	};

	if (!cpu_has(FEATURE_SVM_TSC_RATE)) {
		subtest_skip("the CPU has no TSC ratio");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ratios); i++) {
		struct svm_guest *guest = calling_guest(read_tsc);
		u64 ratio = ratios[i].ratio, before, after;

		guest->vmcb->control.tsc_offset = 1ull << 43;
		wrmsr(MSR_TSC_RATIO, ratio);
		before = rdtsc();
		svm_run(guest);
		after = rdtsc();
		wrmsr(MSR_TSC_RATIO, 1ull << 32);
		check_exit(guest, VMEXIT_VMMCALL, "%s", ratios[i].id);
		/* The product's low 64 bits: the TSC has fewer than 56. */
		before = (before >> 32) * ratio + ((before & 0xffffffff) * (ratio >> 8) >> 24);
		after = (after >> 32) * ratio + ((after & 0xffffffff) * (ratio >> 8) >> 24);
		check_between(l2_tsc[0] - (1ull << 43), before, after + 1, ratios[i].id, "rdtsc");
	}
}

SVM_SUBTEST("tsc-ratio", test_tsc_ratio);

static u64 l2_debugctl, l2_records[4];

static void read_branch_records(void)
{
	l2_debugctl = rdmsr(MSR_IA32_DEBUGCTL);
	for (unsigned int i = 0; i < 4; i++)
		l2_records[i] = rdmsr(MSR_LAST_BRANCH_FROM + i);
	wrmsr(MSR_IA32_DEBUGCTL, 0);
}

/* CPUID's bit promises the MSRs as well. */
static bool has_lbr_virtualization(void)
{
	u64 value;

	if (cpu_has(FEATURE_SVM_LBRV))
		return check_fault(rdmsr_safe(MSR_IA32_DEBUGCTL, &value), NO_FAULT, "msr");
	subtest_skip("the CPU does not virtualize last branch records");
	return false;
}

/* With LBR_VIRTUALIZATION_ENABLE the five MSRs are L2's own, loaded and saved. */
static void test_branch_records(void)
{
	struct svm_guest *guest;
	struct vmcb_save *save;
	u64 host;

	if (!has_lbr_virtualization())
		return;
	host = rdmsr(MSR_IA32_DEBUGCTL);
	guest = calling_guest(read_branch_records);
	save = &guest->vmcb->save;
	guest->vmcb->control.lbr_control = LBR_VIRTUALIZATION;
	save->dbgctl = BIT(1); /* BTF, which does nothing without TF */
	save->br_from = 0x1111;
	save->br_to = 0x2222;
	save->last_excp_from = 0x3333;
	save->last_excp_to = 0x4444;
	if (!called(guest, "records"))
		return;
	check_equal(l2_debugctl, BIT(1), "dbgctl.loaded");
	check_equal(save->dbgctl, 0, "dbgctl.saved");
	check_equal(rdmsr(MSR_IA32_DEBUGCTL), host, "dbgctl.host");
	for (unsigned int i = 0; i < 4; i++)
		check_equal(l2_records[i], 0x1111 * (i + 1), "record-%u.loaded", i);
	check_equal(save->br_from, 0x1111, "br_from.saved");
	check_equal(save->last_excp_to, 0x4444, "last_excp_to.saved");
}

SVM_SUBTEST("branch-records", test_branch_records);

/* L2 records branches, which L1's registers do not show. */
L2_CODE(branch, "jmp branch_target\n nop\n nop\n branch_target: vmmcall\n ud2");
extern const u8 branch_target[];

static void test_recorded(void)
{
	struct svm_guest *guest;
	u64 host_to;

	if (!has_lbr_virtualization())
		return;
	host_to = rdmsr(MSR_LAST_BRANCH_TO);
	guest = svm_guest(L2_NATIVE, branch);
	guest->vmcb->control.lbr_control = LBR_VIRTUALIZATION;
	guest->vmcb->save.dbgctl = DEBUGCTL_LBR;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(guest->vmcb->save.br_from, (ulong)branch, "from");
	check_equal(guest->vmcb->save.br_to, (ulong)branch_target, "to");
	check_equal(guest->vmcb->save.dbgctl, DEBUGCTL_LBR, "dbgctl");
	check_equal(rdmsr(MSR_LAST_BRANCH_TO), host_to, "host");
}

SVM_SUBTEST("branch-records.recorded", test_recorded);

static void read_debugctl(void)
{
	l2_debugctl = rdmsr(MSR_IA32_DEBUGCTL);
}

/* Without it the VMCB's DBGCTL is nothing: L2 has L1's. */
static void test_debugctl_shared(void)
{
	struct svm_guest *guest;

	if (!has_lbr_virtualization())
		return;
	guest = calling_guest(read_debugctl);
	guest->vmcb->save.dbgctl = BIT(1);
	if (called(guest, "shared"))
		check_equal(l2_debugctl, rdmsr(MSR_IA32_DEBUGCTL), "l2");
	check_equal(guest->vmcb->save.dbgctl, BIT(1), "vmcb");
}

SVM_SUBTEST("branch-records.off", test_debugctl_shared);
