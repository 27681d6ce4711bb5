// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMLOAD and VMSAVE: they move FS, GS, TR, LDTR, KernelGSBase and the MSRs of system calls, and
 * nothing else; VMRUN and #VMEXIT leave these alone. 15.5.2
 */
#include "control.h"
#include "msr.h"
#include "page_alloc.h"
#include "state.h"

#ifdef __x86_64__
#define ADDRESS(n) (0xffff9876543000ull * 256 + (n)) /* canonical, all of its bits in use */
#else
#define ADDRESS(n) (0x76543000ull + (n))
#endif

static const struct msr_row {
	const char *id;
	struct field field;
	u32 msr;
	bool long_mode; /* only CPUs that have it */
	u64 value;
} msrs[] = {
	{ "star", FIELD_VALUE(save.star), MSR_STAR, false, 0x0123004556789abc },
	{ "lstar", FIELD_VALUE(save.lstar), MSR_LSTAR, true, ADDRESS(0x10) },
	{ "cstar", FIELD_VALUE(save.cstar), MSR_CSTAR, true, ADDRESS(0x20) },
	{ "sfmask", FIELD_VALUE(save.sfmask), MSR_SYSCALL_MASK, true, 0x00257fd5 },
	{ "kernel_gs_base", FIELD_VALUE(save.kernel_gs_base), MSR_KERNEL_GS_BASE, true,
	  ADDRESS(0x30) },
	{ "sysenter_cs", FIELD_VALUE(save.sysenter_cs), MSR_IA32_SYSENTER_CS, false, 0x1238 },
	{ "sysenter_esp", FIELD_VALUE(save.sysenter_esp), MSR_IA32_SYSENTER_ESP, false,
	  ADDRESS(0x40) },
	{ "sysenter_eip", FIELD_VALUE(save.sysenter_eip), MSR_IA32_SYSENTER_EIP, false,
	  ADDRESS(0x50) },
};

static const struct segment_row {
	const char *id;
	u16 offset;
	struct vmcb_segment value;
} segments[] = {
#define SEGMENT(name) #name, offsetof(struct vmcb, save.name)
	{ SEGMENT(fs), { 0x1230, VMCB_ATTRIB(0xf3, DESC_BIG), 0x11111, ADDRESS(0x60) } },
	{ SEGMENT(gs), { 0x2340, VMCB_ATTRIB(0xf1, DESC_BIG), 0x22222, ADDRESS(0x70) } },
	{ SEGMENT(ldtr), { 0x3450, VMCB_ATTRIB(0x82, 0), 0x3333, ADDRESS(0x80) } },
	{ SEGMENT(tr), { 0x4560, VMCB_ATTRIB(0x8b, 0), 0x4444, ADDRESS(0x90) } },
};

/* What of a segment VMLOAD observes: see segments.c; the whole of a data segment's is P to W. */
#define OBSERVED VMCB_ATTRIB(0x9e, 0)

static bool has(const struct msr_row *m)
{
	return !m->long_mode || cpu_has(FEATURE_LM);
}

static struct vmcb *pattern_page(void)
{
	struct vmcb *page = page_alloc();

	memset(page, 0x5a, sizeof(*page));
	return page;
}

static void fill(struct vmcb *page)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		field_set(page, msrs[i].field, msrs[i].value);
	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++)
		memcpy((u8 *)page + segments[i].offset, &segments[i].value,
		       sizeof(segments[i].value));
}

static u64 seen[ARRAY_SIZE(msrs)];

static void read_msrs(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		seen[i] = has(&msrs[i]) ? rdmsr(msrs[i].msr) : 0;
}

/* All bytes of the page that VMSAVE does not write have the pattern: the first that has not. */
static unsigned int first_changed(const struct vmcb *page)
{
	static struct vmcb expected;
	unsigned int i = 0;

	expected = *page;
	for (unsigned int n = 0; n < ARRAY_SIZE(msrs); n++)
		memset((u8 *)&expected + msrs[n].field.offset, 0x5a, msrs[n].field.size);
	for (unsigned int n = 0; n < ARRAY_SIZE(segments); n++)
		memset((u8 *)&expected + segments[n].offset, 0x5a, sizeof(struct vmcb_segment));
	while (i < sizeof(expected) && ((const u8 *)&expected)[i] == 0x5a)
		i++;
	return i;
}

static void check_segments(const struct vmcb *page)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++) {
		const struct segment_row *s = &segments[i];
		const struct vmcb_segment *now = (const void *)((const u8 *)page + s->offset);

		check_equal(now->selector, s->value.selector, "%s.selector", s->id);
		check_equal(now->limit, s->value.limit, "%s.limit", s->id);
		check_equal(now->base, s->value.base, "%s.base", s->id);
		check_equal(now->attrib & OBSERVED, s->value.attrib & OBSERVED, "%s.attributes",
			    s->id);
	}
}

/* From one page into the processor, and from there into another. */
static void test_round_trip(void)
{
	static struct vmcb before;
	struct vmcb *host = page_alloc(), *from = pattern_page(), *to = pattern_page();
	struct fault load, save;

	fill(from);
	before = *from;
	/* No trap may come in while FS, GS and TR are not the host's. */
	clgi();
	svm_vmsave((ulong)host);
	load = svm_vmload((ulong)from);
	read_msrs();
	save = svm_vmsave((ulong)to);
	svm_vmload((ulong)host);
	stgi();
	check_fault(load, NO_FAULT, "vmload");
	check_fault(save, NO_FAULT, "vmsave");
	check(!memcmp(from, &before, sizeof(before)), "vmload.page-unchanged");
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (!has(&msrs[i]))
			continue;
		check_equal(seen[i], msrs[i].value, "%s.loaded", msrs[i].id);
		check_equal(field_get(to, msrs[i].field), msrs[i].value, "%s.saved", msrs[i].id);
	}
	check_segments(to);
	check_equal(first_changed(to), sizeof(*to), "vmsave.first-other-byte");
}

SVM_SUBTEST("vmload-vmsave", test_round_trip);

/* L2 executes them without an intercept: the same, with physical addresses of its own. */
static struct vmcb *l2_from, *l2_to, *l2_host;

static void move_in_l2(void)
{
	svm_vmsave((ulong)l2_host);
	svm_vmload((ulong)l2_from);
	read_msrs();
	svm_vmsave((ulong)l2_to);
	svm_vmload((ulong)l2_host);
}

static void test_in_l2(void)
{
	struct svm_guest *guest = calling_guest(move_in_l2);

	l2_host = page_alloc();
	l2_from = pattern_page();
	l2_to = pattern_page();
	fill(l2_from);
	if (!called(guest, "function"))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (!has(&msrs[i]))
			continue;
		check_equal(seen[i], msrs[i].value, "%s.loaded", msrs[i].id);
		check_equal(field_get(l2_to, msrs[i].field), msrs[i].value, "%s.saved", msrs[i].id);
	}
	check_segments(l2_to);
	check_equal(first_changed(l2_to), sizeof(*l2_to), "vmsave.first-other-byte");
}

SVM_SUBTEST("vmload-vmsave-in-l2", test_in_l2);

static u16 l2_tr;

static void change_msrs(void)
{
	l2_tr = str();
	read_msrs();
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (has(&msrs[i]))
			wrmsr(msrs[i].msr, msrs[i].value ^ 8);
	}
}

/*
 * Without VMLOAD and VMSAVE L2 has L1's MSRs and segments, L1 has L2's MSRs, whatever the VMCB
 * says; and the VMCB keeps what it says.
 */
static void test_not_switched(void)
{
	struct svm_guest *guest = calling_guest(change_msrs);
	u64 host[ARRAY_SIZE(msrs)], now[ARRAY_SIZE(msrs)];

	guest->options = SVM_NO_VMLOAD;
	fill(guest->vmcb);
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		field_set(guest->vmcb, msrs[i].field, 0x1110 + i);
		if (!has(&msrs[i]))
			continue;
		host[i] = rdmsr(msrs[i].msr);
		wrmsr(msrs[i].msr, msrs[i].value);
	}
	svm_run(guest);
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (!has(&msrs[i]))
			continue;
		now[i] = rdmsr(msrs[i].msr);
		wrmsr(msrs[i].msr, host[i]);
	}
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		check_equal(field_get(guest->vmcb, msrs[i].field), 0x1110 + i, "%s.vmcb",
			    msrs[i].id);
		if (!has(&msrs[i]))
			continue;
		check_equal(seen[i], msrs[i].value, "%s.l2", msrs[i].id);
		check_equal(now[i], msrs[i].value ^ 8, "%s.l1", msrs[i].id);
	}
	check_equal(l2_tr, str(), "tr.l2");
	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++) {
		check(!memcmp((u8 *)guest->vmcb + segments[i].offset, &segments[i].value,
			      sizeof(segments[i].value)),
		      "%s.vmcb", segments[i].id);
	}
}

SVM_SUBTEST("not-by-vmrun", test_not_switched);
