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

static u64 read_idt_limit(void)
{
	return sidt().limit;
}

static u64 read_gdt_limit(void)
{
	return sgdt().limit;
}

static u64 read_tpr(void)
{
#ifdef __x86_64__
	return read_cr8();
#else
	return 0;
#endif
}

static u64 read_es_selector(void)
{
	return read_es();
}

static u64 read_ds_selector(void)
{
	return read_ds();
}

static u64 get_cr0(void)
{
	return read_cr0();
}

static u64 get_cr2(void)
{
	return read_cr2();
}

static u64 get_cr3(void)
{
	return read_cr3();
}

static u64 get_cr4(void)
{
	return read_cr4();
}

static u64 get_dr6(void)
{
	return read_dr6();
}

static u64 get_dr7(void)
{
	return read_dr7();
}

static u64 get_efer(void)
{
	return rdmsr(MSR_EFER);
}

static u64 get_pat(void)
{
	return rdmsr(MSR_IA32_PAT);
}

/* What L1 flips; and what L2 then sees flipped, which int_ctl has elsewhere than CR8. */
static const struct row {
	const char *id;
	u32 bit;
	struct field field;
	u64 (*read)(void);
	u64 flip, seen_flip;
	bool nested, x86_64;
} rows[] = {
#define ROW(id, bit, name, read, flip) id, bit, FIELD_VALUE(name), read, flip, flip
	{ ROW("cr.cr0", CLEAN_CR, save.cr0, get_cr0, CR0_MP), false, false },
	{ ROW("cr.cr3", CLEAN_CR, save.cr3, get_cr3, 8), false, false },
	{ ROW("cr.cr4", CLEAN_CR, save.cr4, get_cr4, CR4_DE), false, false },
	{ ROW("cr.efer", CLEAN_CR, save.efer, get_efer, EFER_SCE), false, false },
	{ ROW("dr.dr6", CLEAN_DR, save.dr6, get_dr6, 3), false, false },
	{ ROW("dr.dr7", CLEAN_DR, save.dr7, get_dr7, 0x30000), false, false },
	{ ROW("dt.idtr", CLEAN_DT, save.idtr.limit, read_idt_limit, 0x1000), false, false },
	{ ROW("dt.gdtr", CLEAN_DT, save.gdtr.limit, read_gdt_limit, 0x1000), false, false },
	{ ROW("seg.es", CLEAN_SEG, save.es.selector, read_es_selector, 0x5550), false, false },
	{ ROW("seg.ds", CLEAN_SEG, save.ds.selector, read_ds_selector, 0x3330), false, false },
	{ ROW("cr2", CLEAN_CR2, save.cr2, get_cr2, 0x12345678), false, false },
	{ ROW("np.g_pat", CLEAN_NP, save.g_pat, get_pat, 0x0100), true, false },
	{ "tpr", CLEAN_TPR, FIELD_VALUE(control.int_ctl), read_tpr, 0x5, 0x5, false, true },
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

	if (row->nested)
		svm_nested_paging(guest);
	if (row->bit == CLEAN_TPR)
		guest->vmcb->control.int_ctl = V_INTR_MASKING;
	if (!called(guest, row->id))
		return;
	first = seen;
	run_row(guest, CLEAN_ALL, first, "unchanged");
	value = field_get(guest->vmcb, row->field);
	field_set(guest->vmcb, row->field, value ^ row->flip);
	run_row(guest, CLEAN_ALL & ~row->bit, first ^ row->seen_flip, "changed");
	run_row(guest, CLEAN_ALL, first ^ row->seen_flip, "changed.kept");
	field_set(guest->vmcb, row->field, value);
	run_row(guest, 0, first, "back");
}

static void test_bits(void)
{
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->x86_64 && sizeof(ulong) != 8)
			continue;
		if (row->nested && !cpu_has(FEATURE_SVM_NP))
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
	struct vmcb *vmcbs[2] = { guest->vmcb, page_alloc() };

	*vmcbs[1] = *vmcbs[0];
	for (u32 i = 0; i < 6; i++) {
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
		if (called(guest, "run"))
			check_equal((u32)seen,
				    (0x0ff0u | (i % 2 + 1)) << 16 | (0x1000 + 8 * (i % 2)),
				    "turn-%u", i);
	}
	svm_guest_place(guest, vmcbs[0]);
}

SVM_SUBTEST("clean-bits.two-vmcbs", test_two_vmcbs);
