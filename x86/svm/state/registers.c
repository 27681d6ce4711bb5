// SPDX-License-Identifier: BSD-2-Clause
/* Control and debug registers, EFER, RFLAGS, CPL and PAT. 15.5.1, 15.6 */
#include "control.h"
#include "msr.h"
#include "state.h"

DEFINE_GET(cr0, read_cr0())
DEFINE_SET(cr0, write_cr0(value))
DEFINE_GET(cr2, read_cr2())
DEFINE_SET(cr2, write_cr2(value))
DEFINE_GET(cr3, read_cr3())
DEFINE_SET(cr3, write_cr3(value))
DEFINE_GET(cr4, read_cr4())
DEFINE_SET(cr4, write_cr4(value))
DEFINE_GET(dr6, read_dr6())
DEFINE_SET(dr6, write_dr6(value))
DEFINE_GET(dr7, read_dr7())
DEFINE_SET(dr7, write_dr7(value))
DEFINE_GET(flags, read_flags())
DEFINE_SET(flags, write_flags(value))
DEFINE_GET(efer, rdmsr(MSR_EFER))
DEFINE_SET(efer, wrmsr(MSR_EFER, value))

#define ALL	 (~0ull)
#define OF_FLAGS (EFLAGS_ID | EFLAGS_AC | EFLAGS_NT | EFLAGS_IOPL)

/* What L1 flips in the VMCB and L2 must see; what L2 then flips and the VMCB must have. */
static const struct row {
	const char *id;
	struct field field;
	u64 (*read)(void);
	void (*write)(u64 value);
	u64 flip, l2_flip, compared;
} rows[] = {
	{ "cr0.ts", FIELD_VALUE(save.cr0), get_cr0, set_cr0, CR0_TS, CR0_TS, ALL },
	{ "cr0.mp", FIELD_VALUE(save.cr0), get_cr0, set_cr0, CR0_MP, CR0_AM, ALL },
	{ "cr0.wp", FIELD_VALUE(save.cr0), get_cr0, set_cr0, CR0_WP, CR0_NE, ALL },
	{ "cr2", FIELD_VALUE(save.cr2), get_cr2, set_cr2, 0xdeadbee1, 0x76543210, ALL },
	{ "cr3.pwt", FIELD_VALUE(save.cr3), get_cr3, set_cr3, 8, 16, ALL },
	{ "cr4.de", FIELD_VALUE(save.cr4), get_cr4, set_cr4, CR4_DE, CR4_DE, ALL },
	{ "cr4.tsd", FIELD_VALUE(save.cr4), get_cr4, set_cr4, CR4_TSD, CR4_PCE, ALL },
	{ "cr4.pge", FIELD_VALUE(save.cr4), get_cr4, set_cr4, CR4_PGE, CR4_MCE, ALL },
	{ "efer.sce", FIELD_VALUE(save.efer), get_efer, set_efer, EFER_SCE, EFER_SCE, ALL },
	{ "efer.nxe", FIELD_VALUE(save.efer), get_efer, set_efer, EFER_NX, EFER_SCE, ALL },
	{ "dr6.b", FIELD_VALUE(save.dr6), get_dr6, set_dr6, 0xf, 0xf, ALL },
	{ "dr6.bs", FIELD_VALUE(save.dr6), get_dr6, set_dr6, DR6_BS, DR6_BS | DR6_BT, ALL },
	{ "dr6.bd", FIELD_VALUE(save.dr6), get_dr6, set_dr6, DR6_BD, DR6_B2, ALL },
	/* Conditions without an enable bit: nothing is to strike. */
	{ "dr7.rw0", FIELD_VALUE(save.dr7), get_dr7, set_dr7, 0x30000, 0xd0300, ALL },
	{ "dr7.len3", FIELD_VALUE(save.dr7), get_dr7, set_dr7, 0xd0000000, 0xf0000000, ALL },
	{ "rflags", FIELD_VALUE(save.rflags), get_flags, set_flags, EFLAGS_ID | EFLAGS_AC, OF_FLAGS,
	  OF_FLAGS },
};

static const struct row *row;
static u64 seen;

static void read_and_write(void)
{
	seen = row->read();
	row->write(seen ^ row->l2_flip);
}

static void test_row(void)
{
	struct svm_guest *guest = calling_guest(read_and_write);
	u64 loaded = field_get(guest->vmcb, row->field) ^ row->flip;

	field_set(guest->vmcb, row->field, loaded);
	if (!called(guest, row->id))
		return;
	check_equal(seen & row->compared, loaded & row->compared, "%s.loaded", row->id);
	check_equal(field_get(guest->vmcb, row->field) & row->compared,
		    (loaded ^ row->l2_flip) & row->compared, "%s.saved", row->id);
}

static void test_registers(void)
{
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++)
		test_row();
}

SVM_SUBTEST("registers", test_registers);

/* With nested paging L2's PAT is G_PAT, and L1's stays. Without, there is one PAT. 15.25.8 */
#define OTHER_PAT   0x0004040600070106ull
#define ANOTHER_PAT 0x0600010400070406ull

static void write_pat(void)
{
	seen = rdmsr(MSR_IA32_PAT);
	wrmsr(MSR_IA32_PAT, ANOTHER_PAT);
}

static void test_pat_nested(void)
{
	struct svm_guest *guest;
	u64 host = rdmsr(MSR_IA32_PAT);

	if (!cpu_has(FEATURE_SVM_NP)) {
		subtest_skip("the CPU has no nested paging");
		return;
	}
	guest = calling_guest(write_pat);
	svm_nested_paging(guest);
	guest->vmcb->save.g_pat = OTHER_PAT;
	if (!called(guest, "nested"))
		return;
	check_equal(seen, OTHER_PAT, "loaded");
	check_equal(guest->vmcb->save.g_pat, ANOTHER_PAT, "saved");
	check_equal(rdmsr(MSR_IA32_PAT), host, "host");
	wrmsr(MSR_IA32_PAT, host);
}

SVM_SUBTEST("pat.nested-paging", test_pat_nested);

static void test_pat_shared(void)
{
	struct svm_guest *guest = calling_guest(write_pat);
	u64 host = rdmsr(MSR_IA32_PAT);

	guest->vmcb->save.g_pat = OTHER_PAT;
	if (!called(guest, "shared"))
		return;
	check_equal(seen, host, "l2-has-the-host's");
	check_equal(rdmsr(MSR_IA32_PAT), ANOTHER_PAT, "host-has-l2's");
	wrmsr(MSR_IA32_PAT, host);
}

SVM_SUBTEST("pat.no-nested-paging", test_pat_shared);

/* 15.12.15: an intercepted #PF writes no CR2; its address is EXITINFO2. */
static void touch_nothing(void)
{
	asm volatile("movl (%0), %%eax" : : "r"(0x40000000) : "eax", "memory");
}

static void test_cr2(void)
{
	struct svm_guest *guest = calling_guest(touch_nothing);
	u64 page = tables_get(&guest->tables, 0x40000000, 2);

	guest->vmcb->save.cr2 = 0x1234;
	tables_set(&guest->tables, 0x40000000, 2, 0);
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_PF, 0, 0x40000000, "exit");
	check_equal(guest->vmcb->save.cr2, 0x1234, "cr2");
	tables_set(&guest->tables, 0x40000000, 2, page);
}

SVM_SUBTEST("intercepted-page-fault", test_cr2);

L2_CODE(nops, "nop\n nop\n vmmcall\n ud2");

/* TF from the VMCB traps after L2's first instruction, not before it. 15.5.1 */
static void test_tf(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, nops);

	guest->vmcb->save.rflags |= EFLAGS_TF;
	svm_run(guest);
	check_exit(guest, VMEXIT_EXCP + VECTOR_DB, "exit");
	check_equal(svm_rip(guest), (ulong)nops + 1, "ip");
	check(guest->vmcb->save.rflags & EFLAGS_TF, "saved");
}

SVM_SUBTEST("rflags.tf", test_tf);

/* RF from the VMCB lets L2's first instruction pass a breakpoint on it. */
static void test_rf(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, nops);

	write_dr0((ulong)nops);
	guest->vmcb->save.dr7 |= BIT(0);
	svm_run(guest);
	check_exit(guest, VMEXIT_EXCP + VECTOR_DB, "clear");
	check_equal(svm_rip(guest), (ulong)nops, "clear.ip");
	svm_guest_again(guest, L2_NATIVE, nops);
	guest->vmcb->save.dr7 |= BIT(0);
	guest->vmcb->save.rflags |= EFLAGS_RF;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "set");
	write_dr0(0);
}

SVM_SUBTEST("rflags.rf", test_rf);

/* Privileged or not; VMMCALL is for all. */
L2_CODE(privileged, "clts\n vmmcall\n ud2");

static const struct cpl_case {
	const char *id;
	enum l2_mode mode;
	u8 cpl, ss_dpl, saved;
	bool faults;
} cpl_cases[] = {
	{ "0", L2_PROTECTED, 0, 0, 0, false },
	{ "3", L2_PROTECTED, 3, 3, 3, true },
	{ "1", L2_PROTECTED, 1, 1, 1, true },
	/* The field counts, whatever the segments say. */
	{ "0.ss-dpl-3", L2_PROTECTED, 0, 3, 0, false },
	{ "3.ss-dpl-0", L2_PROTECTED, 3, 0, 3, true },
	{ "real.field-3", L2_REAL, 3, 0, 0, false },
};

static void run_cpl(const struct cpl_case *c)
{
	struct svm_guest *guest = svm_guest(c->mode, privileged);
	struct vmcb_save *save = &guest->vmcb->save;

	save->cpl = c->cpl;
	if (c->mode == L2_PROTECTED) {
		save->cs.attrib |= DESC_DPL(c->cpl);
		save->ss.attrib |= DESC_DPL(c->ss_dpl);
	}
	svm_run(guest);
	check_exit(guest, c->faults ? VMEXIT_EXCP + VECTOR_GP : VMEXIT_VMMCALL, "%s", c->id);
	check_equal(save->cpl, c->saved, "%s.saved", c->id);
}

static void test_cpl(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(cpl_cases); i++)
		run_cpl(&cpl_cases[i]);
}

SVM_SUBTEST("cpl", test_cpl);

static void test_cpl_v8086(void)
{
	static const struct cpl_case v8086 = { "field-0", L2_V8086, 0, 0, 3, true };

	run_cpl(&v8086);
}

SVM_SUBTEST("cpl.v8086", test_cpl_v8086);
