// SPDX-License-Identifier: BSD-2-Clause
/*
 * Clean bits: 15.15. A field whose bit is clear is loaded from the VMCB even if all other bits
 * are set; a field that has not changed since the last exit may come from a cache, which must have
 * what the VMCB has; a VMCB at another address is another guest. Bits are a hint, and a
 * CPU without the feature ignores them: the same must hold there.
 */
#include "control.h"
#include "msr.h"
#include "page_alloc.h"
#include "state.h"

#define CLEAN_ALL 0xfffu

DEFINE_GET(cr0, read_cr0())
DEFINE_GET(cr2, read_cr2())
DEFINE_GET(cr3, read_cr3())
DEFINE_GET(cr4, read_cr4())
DEFINE_GET(dr6, read_dr6())
DEFINE_GET(dr7, read_dr7())
DEFINE_GET(efer, rdmsr(MSR_EFER))
DEFINE_GET(pat, rdmsr(MSR_IA32_PAT))
DEFINE_GET(idt_limit, sidt().limit)
DEFINE_GET(gdt_limit, sgdt().limit)
DEFINE_GET(es, read_es())
DEFINE_GET(ds, read_ds())
#ifdef __x86_64__
DEFINE_GET(tpr, read_cr8())
#endif

/* What L1 flips, and L2 sees flipped. */
static const struct row {
	const char *id;
	u32 bit;
	struct field field;
	u64 (*read)(void);
	u64 flip;
} rows[] = {
	{ "cr.cr0", CLEAN_CR, FIELD_VALUE(save.cr0), get_cr0, CR0_MP },
	{ "cr.cr3", CLEAN_CR, FIELD_VALUE(save.cr3), get_cr3, 8 },
	{ "cr.cr4", CLEAN_CR, FIELD_VALUE(save.cr4), get_cr4, CR4_DE },
	{ "cr.efer", CLEAN_CR, FIELD_VALUE(save.efer), get_efer, EFER_SCE },
	{ "dr.dr6", CLEAN_DR, FIELD_VALUE(save.dr6), get_dr6, 3 },
	{ "dr.dr7", CLEAN_DR, FIELD_VALUE(save.dr7), get_dr7, 0x30000 },
	{ "dt.idtr", CLEAN_DT, FIELD_VALUE(save.idtr.limit), get_idt_limit, 0x1000 },
	{ "dt.gdtr", CLEAN_DT, FIELD_VALUE(save.gdtr.limit), get_gdt_limit, 0x1000 },
	{ "seg.es", CLEAN_SEG, FIELD_VALUE(save.es.selector), get_es, 0x5550 },
	{ "seg.ds", CLEAN_SEG, FIELD_VALUE(save.ds.selector), get_ds, 0x3330 },
	{ "cr2", CLEAN_CR2, FIELD_VALUE(save.cr2), get_cr2, 0x12345678 },
	{ "np.g_pat", CLEAN_NP, FIELD_VALUE(save.g_pat), get_pat, 0x0100 },
#ifdef __x86_64__
	{ "tpr", CLEAN_TPR, FIELD_VALUE(control.int_ctl), get_tpr, 0x5 },
#endif
};

static const struct row *row;
static u64 seen, l2_flip;

static void read_row(void)
{
	seen = row->read();
}

static void run_row(struct svm_guest *guest, u32 clean, u64 expected, const char *step)
{
	guest->vmcb->control.clean = clean;
	call_again(guest);
	if (called(guest, row->id))
		check_equal(seen, expected, "%s.%s", row->id, step);
}

static void test_row(void)
{
	struct svm_guest *guest = calling_guest(read_row);
	u64 first, value;

	if (row->bit == CLEAN_NP)
		svm_nested_paging(guest);
	if (row->bit == CLEAN_TPR)
		guest->vmcb->control.int_ctl = V_INTR_MASKING;
	if (!called(guest, row->id))
		return;
	first = seen;
	run_row(guest, CLEAN_ALL, first, "unchanged");
	value = field_get(guest->vmcb, row->field);
	field_set(guest->vmcb, row->field, value ^ row->flip);
	run_row(guest, CLEAN_ALL & ~row->bit, first ^ row->flip, "changed");
	run_row(guest, CLEAN_ALL, first ^ row->flip, "changed.kept");
	field_set(guest->vmcb, row->field, value);
	run_row(guest, 0, first, "back");
}

static void test_bits(void)
{
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->bit == CLEAN_NP && !cpu_has(FEATURE_SVM_NP))
			check_skip("the CPU has no nested paging", "%s", row->id);
		else
			test_row();
	}
}

SVM_SUBTEST("clean-bits", test_bits);

/* Intercepts and the permission maps are seen by their exits. */
L2_CODE(cpuid_and_rdmsr, "cpuid\n mov $0x174, %ecx\n rdmsr\n vmmcall\n ud2");

static void run_intercepts(struct svm_guest *guest, u32 clean, u64 exit, const char *id)
{
	guest->vmcb->save.rip = (ulong)cpuid_and_rdmsr;
	guest->vmcb->control.clean = clean;
	svm_run(guest);
	check_exit(guest, exit, "%s", id);
}

static void test_intercepts(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, cpuid_and_rdmsr);
	u8 *msrpm = guest->msrpm, *other = pages_alloc(MSRPM_SIZE / 4096, 4096);

	run_intercepts(guest, 0, VMEXIT_VMMCALL, "none");
	svm_intercept(guest, VMEXIT_CPUID);
	run_intercepts(guest, CLEAN_ALL & ~CLEAN_INTERCEPTS, VMEXIT_CPUID, "set");
	run_intercepts(guest, CLEAN_ALL, VMEXIT_CPUID, "set.kept");
	svm_no_intercept(guest, VMEXIT_CPUID);
	svm_intercept(guest, VMEXIT_MSR);
	run_intercepts(guest, CLEAN_ALL & ~CLEAN_INTERCEPTS, VMEXIT_VMMCALL, "cleared");
	guest->msrpm = other;
	svm_intercept_msr(guest, MSR_IA32_SYSENTER_CS, true, false);
	guest->msrpm = msrpm;
	guest->vmcb->control.msrpm_base_pa = (ulong)other;
	run_intercepts(guest, CLEAN_ALL & ~CLEAN_IOPM, VMEXIT_MSR, "other-map");
	run_intercepts(guest, CLEAN_ALL, VMEXIT_MSR, "other-map.kept");
	guest->vmcb->control.msrpm_base_pa = (ulong)msrpm;
	run_intercepts(guest, CLEAN_ALL & ~CLEAN_IOPM, VMEXIT_VMMCALL, "first-map");
}

SVM_SUBTEST("clean-bits.intercepts", test_intercepts);

/* No bit covers these; they are loaded always. 15.15.3 */
L2_CODE(add_to_ax, "add $1, %eax\n vmmcall\n ud2");

static void test_never_cached(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, add_to_ax);
	struct vmcb_save *save = &guest->vmcb->save;
	ulong sp = save->rsp;

	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "first");
	for (u32 i = 0; i < 3; i++) {
		guest->vmcb->control.clean = CLEAN_ALL;
		save->rip = (ulong)add_to_ax;
		save->rax = 0x1000 * i;
		save->rsp = sp - 16 * i;
		save->rflags = EFLAGS_FIXED | (i % 2 ? EFLAGS_ID : 0);
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "run-%u", i);
		check_equal(save->rax, 0x1000 * i + 1, "run-%u.ax", i);
		check_equal(save->rsp, sp - 16 * i, "run-%u.sp", i);
		check_equal(save->rflags & EFLAGS_ID, i % 2 ? EFLAGS_ID : 0, "run-%u.flags", i);
	}
	guest->vmcb->control.clean = CLEAN_ALL;
	save->rip = (ulong)add_to_ax;
	save->idtr.limit = 0; /* cleared as well: the #GP is the injected event's */
	guest->vmcb->control.clean &= ~CLEAN_DT;
	guest->vmcb->control.eventinj = EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD);
	svm_run(guest);
	check_exit(guest, VMEXIT_EXCP + VECTOR_GP, "event");
}

SVM_SUBTEST("clean-bits.never-cached", test_never_cached);

/* What L2 itself changed is current state, which is cached or saved, but not lost. */
static void read_and_flip(void)
{
	seen = read_dr6();
	write_dr6(seen ^ l2_flip);
	write_cr2(l2_flip);
}

static void test_l2_changes(void)
{
	struct svm_guest *guest = calling_guest(read_and_flip);

	l2_flip = 0xf;
	if (!called(guest, "first"))
		return;
	check_equal(guest->vmcb->save.cr2, 0xf, "cr2");
	guest->vmcb->control.clean = CLEAN_ALL;
	call_again(guest);
	if (!called(guest, "second"))
		return;
	check_equal(seen, 0xffff0fff, "l2");
	check_equal(guest->vmcb->save.dr6, 0xffff0ff0, "saved");
}

SVM_SUBTEST("clean-bits.changed-by-l2", test_l2_changes);

/* Two VMCBs take turns with all bits set: neither gets the other's state. */
static void read_dr6_and_es(void)
{
	seen = read_dr6() << 16 | read_es();
}

static void test_two_vmcbs(void)
{
	struct svm_guest *guest = calling_guest(read_dr6_and_es);
	static const char *const turns[] = { "turn-0", "turn-1", "turn-2",
					     "turn-3", "turn-4", "turn-5" };
	struct vmcb *vmcbs[2] = { guest->vmcb, page_alloc() };

	*vmcbs[1] = *vmcbs[0];
	for (u32 i = 0; i < ARRAY_SIZE(turns); i++) {
		struct vmcb *vmcb = vmcbs[i % 2];

		guest->vmcb = vmcb;
		guest->world.vmcb_pa = (ulong)vmcb;
		if (i < 2) {
			vmcb->save.dr6 = 0xffff0ff0 | (i + 1);
			vmcb->save.es.selector = 0x1000 + 8 * i;
		} else {
			vmcb->control.clean = CLEAN_ALL;
			call_again(guest);
		}
		if (called(guest, turns[i]))
			check_equal((u32)seen,
				    (0x0ff0u | (i % 2 + 1)) << 16 | (0x1000 + 8 * (i % 2)), "%s",
				    turns[i]);
	}
	svm_guest_place(guest, vmcbs[0]);
}

SVM_SUBTEST("clean-bits.two-vmcbs", test_two_vmcbs);
