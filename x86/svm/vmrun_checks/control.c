// SPDX-License-Identifier: BSD-2-Clause
/* Control registers, EFER, DR6 and DR7: bits that must be zero, and combinations. 15.5.1 */
#include "control.h"
#include "msr.h"
#include "paging.h"
#include "refuse.h"

#define UPPER_HALF (0xffffffffull << 32)

#define FEATURE_SYSCALL	   CPUID_FEATURE(0x80000001, 0, EDX, 11)
#define FEATURE_FFXSR	   CPUID_FEATURE(0x80000001, 0, EDX, 25)
#define FEATURE_TCE	   CPUID_FEATURE(0x80000001, 0, ECX, 17)
#define FEATURE_INT_WBINVD CPUID_FEATURE(0x80000008, 0, EBX, 13)
#define FEATURE_UAI	   CPUID_FEATURE(0x80000021, 0, EAX, 7)
#define FEATURE_AIBRS	   CPUID_FEATURE(0x80000021, 0, EAX, 8)
#define FEATURE_VME	   CPUID_FEATURE(0x1, 0, EDX, 1)
#define FEATURE_MCE	   CPUID_FEATURE(0x1, 0, EDX, 7)
#define FEATURE_CET_SS	   CPUID_FEATURE(0x7, 0, ECX, 7)

static void test_upper_halves(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	must_refuse_bits(guest, FIELD(save.cr0), UPPER_HALF, "cr0");
	must_refuse_bits(guest, FIELD(save.dr6), UPPER_HALF, "dr6");
	must_refuse_bits(guest, FIELD(save.dr7), UPPER_HALF, "dr7");
}

SVM_SUBTEST("upper-half", test_upper_halves);

/* NW without CD is the one combination of the two that means nothing. */
static void test_caching(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);
	u64 cr0 = guest->vmcb->save.cr0;

	must_refuse(guest, FIELD(save.cr0), cr0 | CR0_NW, "nw");
	guest->vmcb->save.cr0 = cr0 | CR0_CD;
	must_run(guest, "cd");
	guest->vmcb->save.cr0 = cr0 | CR0_CD | CR0_NW;
	must_run(guest, "cd-nw");
}

SVM_SUBTEST("caching", test_caching);

#ifdef __x86_64__
#define CR3_RESERVED (0xfffull << 52)

static void test_cr3(void)
{
	struct svm_guest *guest = counting_guest(L2_LONG);
	u64 cr3 = guest->vmcb->save.cr3;

	must_refuse_bits(guest, FIELD(save.cr3), CR3_RESERVED, "long");
	guest->vmcb->save.cr3 = cr3 | PTE_PWT;
	must_run(guest, "long.pwt");
	guest->vmcb->save.cr3 = cr3 | PTE_PCD;
	must_run(guest, "long.pcd");
	guest->vmcb->save.cr3 = cr3;
	/* Reserved, without the manual's saying that they must be zero. */
	may_refuse(guest, FIELD(save.cr3), cr3 | 0x7, "CR3 bits 2:0 in long mode");
	may_refuse(guest, FIELD(save.cr3), cr3 | 0xfe0, "CR3 bits 11:5 in long mode");
	guest = counting_guest(L2_PAE);
	cr3 = guest->vmcb->save.cr3;
	may_refuse(guest, FIELD(save.cr3), cr3 | BIT_ULL(63), "CR3 bit 63 in PAE mode");
}

SVM_SUBTEST("cr3", test_cr3);

/* A table at an address that this CPU does not have. */
static void test_cr3_address(void)
{
	must_refuse_bits(counting_guest(L2_LONG), FIELD(save.cr3),
			 (~0ull << cpu_physical_address_bits()) & ~CR3_RESERVED, "long");
}

SVM_SUBTEST("cr3-address", test_cr3_address);
#endif

/* A bit of a feature is legal where CPUID has it, and else must be zero. */
struct feature_bit {
	const char *id;
	u8 bit;
	u64 feature;
};

static const struct feature_bit cr4_bits[] = {
	{ "vme", 0, FEATURE_VME },
	{ "tsd", 2, FEATURE_TSC },
	{ "de", 3, FEATURE_DE },
	{ "pse", 4, FEATURE_PSE },
	{ "pae", 5, FEATURE_PAE },
	{ "mce", 6, FEATURE_MCE },
	{ "pge", 7, FEATURE_PGE },
	{ "osfxsr", 9, FEATURE_FXSR },
	{ "osxmmexcpt", 10, FEATURE_SSE },
	{ "umip", 11, FEATURE_UMIP },
	{ "la57", 12, FEATURE_LA57 },
	{ "fsgsbase", 16, FEATURE_FSGSBASE },
	{ "osxsave", 18, FEATURE_XSAVE },
	{ "smep", 20, FEATURE_SMEP },
	{ "smap", 21, FEATURE_SMAP },
	{ "pke", 22, FEATURE_PKU },
	{ "cet", 23, FEATURE_CET_SS },
	/* Not AMD's so far, but legal where CPUID has them. */
	{ "vmxe", 13, FEATURE_VMX },
	{ "smxe", 14, CPUID_FEATURE(0x1, 0, ECX, 6) },
	{ "kl", 19, CPUID_FEATURE(0x7, 0, ECX, 23) },
	{ "pks", 24, CPUID_FEATURE(0x7, 0, ECX, 31) },
	{ "uintr", 25, CPUID_FEATURE(0x7, 0, EDX, 5) },
	{ "lass", 27, CPUID_FEATURE(0x7, 1, EAX, 6) },
	{ "lam", 28, CPUID_FEATURE(0x7, 1, EAX, 26) },
	{ "fred", 32, CPUID_FEATURE(0x7, 1, EAX, 17) },
};

#define CR4_RESERVED (BIT(15) | BIT(26) | BIT(29) | BIT(30) | BIT(31) | ~0ull << 33)

static const struct feature_bit efer_bits[] = {
	{ "sce", 0, FEATURE_SYSCALL },	    { "nxe", 11, FEATURE_NX },
	{ "ffxsr", 14, FEATURE_FFXSR },	    { "tce", 15, FEATURE_TCE },
	{ "mcommit", 17, FEATURE_MCOMMIT }, { "intwb", 18, FEATURE_INT_WBINVD },
	{ "uaie", 20, FEATURE_UAI },	    { "aibrse", 21, FEATURE_AIBRS },
};

static void test_feature_bit(struct svm_guest *guest, struct field field,
			     const struct feature_bit *row)
{
	u64 value = field_get(guest->vmcb, field);

	if (!cpu_has(row->feature)) {
		must_refuse(guest, field, value | BIT_ULL(row->bit), "%s.absent", row->id);
		return;
	}
	field_set(guest->vmcb, field, value | BIT_ULL(row->bit));
	must_run(guest, "%s", row->id);
	field_set(guest->vmcb, field, value);
}

/* Without paging none of these bits means anything to what L2 executes. */
static void test_cr4(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	guest->vmcb->save.cr0 |= CR0_WP; /* or CET may not be set */
	for (unsigned int i = 0; i < ARRAY_SIZE(cr4_bits); i++)
		test_feature_bit(guest, FIELD(save.cr4), &cr4_bits[i]);
	must_refuse_bits(guest, FIELD(save.cr4), CR4_RESERVED, "reserved");
}

SVM_SUBTEST("cr4", test_cr4);

static void test_pcide(void)
{
	struct svm_guest *guest = counting_guest(L2_NATIVE);

	if (!cpu_has(FEATURE_PCID)) {
		must_refuse(guest, FIELD(save.cr4), guest->vmcb->save.cr4 | CR4_PCIDE, "absent");
		return;
	}
#ifdef __x86_64__
	guest->vmcb->save.cr4 |= CR4_PCIDE;
	must_run(guest, "long");
#else
	may_refuse(guest, FIELD(save.cr4), guest->vmcb->save.cr4 | CR4_PCIDE,
		   "CR4.PCIDE outside of long mode");
#endif
}

SVM_SUBTEST("cr4-pcide", test_pcide);

/* 15.5.1: shadow stacks and CR0.WP go together. */
static void test_cet(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	if (!cpu_has(FEATURE_CET_SS)) {
		subtest_skip("the CPU has no shadow stacks");
		return;
	}
	guest->vmcb->save.cr4 |= BIT(23);
	guest->vmcb->save.cr0 |= CR0_WP;
	must_refuse(guest, FIELD(save.cr0), guest->vmcb->save.cr0 & ~CR0_WP, "without-wp");
	must_refuse_bits(guest, FIELD(save.s_cet), 0x3c0, "s_cet");
}

SVM_SUBTEST("cet", test_cet);

/* Bits 7:1 read as zero, which is not "must be zero"; 13 is LMSLE, which CPUs lost. */
static void test_efer(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);
	u64 efer = guest->vmcb->save.efer;

	must_refuse(guest, FIELD(save.efer), efer & ~EFER_SVME, "svme-clear");
	for (unsigned int i = 0; i < ARRAY_SIZE(efer_bits); i++)
		test_feature_bit(guest, FIELD(save.efer), &efer_bits[i]);
	must_refuse_bits(guest, FIELD(save.efer), BIT(9) | BIT(16) | BIT(19) | ~0ull << 22,
			 "reserved");
	may_refuse(guest, FIELD(save.efer), efer | 0xfe, "EFER bits 7:1");
	may_refuse(guest, FIELD(save.efer), efer | BIT(13), "EFER.LMSLE");
}

SVM_SUBTEST("efer", test_efer);

/* What is flipped, from a guest of a mode. */
struct combination {
	const char *id;
	enum l2_mode mode;
	u64 efer, cr0, cr4;
	u16 cs_attrib;
	bool legal;
};

static const struct combination with_paging[] = {
#define CS_L VMCB_ATTRIB(0, DESC_LONG)
#define CS_D VMCB_ATTRIB(0, DESC_BIG)
	{ "lme-pg-without-pae", L2_LONG, 0, 0, CR4_PAE, 0, false },
	{ "lme-pg-without-pae.compat", L2_COMPAT, 0, 0, CR4_PAE, 0, false },
	{ "lme-pg-pae-l-d", L2_LONG, 0, 0, 0, CS_D, false },
	{ "lme-pg-pae-d", L2_LONG, 0, 0, 0, CS_L | CS_D, true },
	{ "lme-pg-without-pae.32bit", L2_32BIT, EFER_LME, 0, 0, 0, false },
	{ "lme-lma-pg-without-pae.32bit", L2_32BIT, EFER_LME | EFER_LMA, 0, 0, 0, false },
	{ "pg-pae-l-d", L2_PAE, 0, 0, 0, CS_L, true },
	{ "pg-l-d", L2_32BIT, 0, 0, 0, CS_L, true },
};

static const struct combination without_pe[] = {
	{ "long", L2_LONG, 0, CR0_PE, 0, 0, false },
	{ "compat", L2_COMPAT, 0, CR0_PE, 0, 0, false },
	{ "long-without-pae", L2_LONG, 0, CR0_PE, CR4_PAE, 0, false },
	{ "pae", L2_PAE, EFER_LME, CR0_PE, 0, 0, false },
};

/* LME alone is long mode that is not active, as kernels have it while they turn long mode on. */
static const struct combination without_paging[] = {
	{ "pae", L2_PROTECTED, EFER_LME, 0, CR4_PAE, 0, true },
	{ "pae-l-d", L2_PROTECTED, EFER_LME, 0, CR4_PAE, CS_L, true },
	{ "pae-real", L2_REAL, EFER_LME, 0, CR4_PAE, 0, true },
};

/* The host's PG must come back although the guest has LME and no PAE. */
static const struct combination without_pae[] = {
	{ "protected", L2_PROTECTED, EFER_LME, 0, 0, 0, true },
	{ "real", L2_REAL, EFER_LME, 0, 0, 0, true },
};

static void test_combination(const struct combination *row)
{
	struct svm_guest *guest = counting_guest(row->mode);
	struct vmcb_save *save = &guest->vmcb->save;

	save->cr0 ^= row->cr0;
	save->cr4 ^= row->cr4;
	save->cs.attrib ^= row->cs_attrib;
	save->efer ^= row->efer;
	if (row->legal) {
		must_run(guest, "%s", row->id);
		return;
	}
	svm_run(guest);
	is_refused(guest, "%s", row->id);
}

static void test_combinations(const struct combination *rows, unsigned int count)
{
	if (!cpu_has(FEATURE_LM)) {
		subtest_skip("the CPU has no long mode");
		return;
	}
	for (const struct combination *row = rows; row < rows + count; row++) {
		if (l2_mode_supported(row->mode))
			test_combination(row);
	}
}

static void test_with_paging(void)
{
	test_combinations(with_paging, ARRAY_SIZE(with_paging));
}

SVM_SUBTEST("long-mode", test_with_paging);

static void test_without_pe(void)
{
	test_combinations(without_pe, ARRAY_SIZE(without_pe));
}

SVM_SUBTEST("long-mode-without-pe", test_without_pe);

static void test_without_paging(void)
{
	test_combinations(without_paging, ARRAY_SIZE(without_paging));
}

SVM_SUBTEST("lme-without-paging", test_without_paging);

static void test_without_pae(void)
{
	test_combinations(without_pae, ARRAY_SIZE(without_pae));
}

SVM_SUBTEST("lme-without-pae", test_without_pae);

/* PG without PE is what no MOV to CR0 makes: real mode's segments, and paging. 15.19 */
static void test_paged_real_mode(void)
{
	struct svm_guest *guest = counting_guest(L2_REAL);
	struct vmcb_save *save = &guest->vmcb->save;

	save->cr0 |= CR0_PG;
	save->cr3 = (ulong)counting_guest(L2_32BIT)->tables.root;
	save->cr4 |= CR4_PSE;
	must_run(guest, "two-level");
	save->cr3 = (ulong)counting_guest(L2_PAE)->tables.root;
	save->cr4 = CR4_PAE;
	must_run(guest, "pae");
}

SVM_SUBTEST("paged-real-mode", test_paged_real_mode);

static void test_no_long_mode(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);
	u64 efer = guest->vmcb->save.efer;

	if (cpu_has(FEATURE_LM)) {
		subtest_skip("the CPU has long mode");
		return;
	}
	must_refuse(guest, FIELD(save.efer), efer | EFER_LME, "lme");
	must_refuse(guest, FIELD(save.efer), efer | EFER_LMA, "lma");
}

SVM_SUBTEST("no-long-mode", test_no_long_mode);
