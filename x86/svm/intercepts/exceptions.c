// SPDX-License-Identifier: BSD-2-Clause
/*
 * The intercepts of exceptions: APM volume 2, 15.12. The exit has the error code where one
 * is defined, and rIP as the exception's frame would have it, but for INT3, INTO and BOUND, whose
 * own it is. Without the intercept L2's handler gets the exception, here that of this image, which
 * puts down what it saw.
 *
 * Software interrupts and external ones with an exception's vector are none.
 */
#include "fpu.h"
#include "intercepts.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"
#include "trap.h"

#define EXCEPTION(name, before, instruction, vector, ...)                                          \
	INTERCEPT(name, before, instruction, .intercept = VMEXIT_EXCP + (vector), __VA_ARGS__)

EXCEPTION("de", "", "div %cl", VECTOR_DE, .fault = FAULT_VALUE(VECTOR_DE), .flags = ALONE);

/* The trap of a single step; and 15.12.2, DR6 as a handler would see it. */
static void single_step(struct svm_guest *guest)
{
	guest->vmcb->save.rflags |= EFLAGS_TF;
}

EXCEPTION("db.single-step", "", "nop", VECTOR_DB, .setup = single_step,
	  .fault = FAULT_VALUE(VECTOR_DB), .flags = ALONE | TRAP);
EXCEPTION("bp", "", "int3", VECTOR_BP, .fault = FAULT_VALUE(VECTOR_BP),
	  .flags = ALONE | NEXT_RIP | NOT_RING3);
#ifndef __x86_64__
static void set_overflow(struct svm_guest *guest)
{
	guest->vmcb->save.rflags |= EFLAGS_OF;
}

EXCEPTION("of", "", "into", VECTOR_OF, .setup = set_overflow, .fault = FAULT_VALUE(VECTOR_OF),
	  .flags = ALONE | NEXT_RIP | NOT_RING3);

/* Bounds 0 and 0 for an index that is another. */
static void bounds(struct svm_guest *guest)
{
	memset(operand(), 0, 8);
	guest->vmcb->save.rax = (ulong)operand();
}

EXCEPTION("br", "", "bound %ecx, (%eax)", VECTOR_BR, .cx = 5, .setup = bounds,
	  .fault = FAULT_VALUE(VECTOR_BR), .flags = ALONE | NEXT_RIP | NOT_RING3);
#endif
EXCEPTION("ud", "", "ud2", VECTOR_UD, .fault = FAULT_VALUE(VECTOR_UD), .flags = ALONE);

static void task_switched(struct svm_guest *guest)
{
	guest->vmcb->save.cr0 |= CR0_TS;
}

EXCEPTION("nm", "", "fnop", VECTOR_NM, .setup = task_switched, .fault = FAULT_VALUE(VECTOR_NM),
	  .flags = ALONE | NOT_RING3);

/* A #GP whose delivery ends in another, beyond the IDT; both of them L2's. */
static void no_idt(struct svm_guest *guest)
{
	guest->vmcb->save.idtr.limit = 0;
	svm_no_intercept(guest, EXCP(GP));
}

EXCEPTION("df", "", "mov %eax, %es", VECTOR_DF, .ax = 0xfff8, .setup = no_idt,
	  .exitintinfo = EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0xfff8),
	  .flags = ANY_RIP | NOT_OFF | NOT_RING3);

/* The TSS is too short to hold the stack for a #UD of ring 3. */
static void short_tss(struct svm_guest *guest)
{
	guest->vmcb->save.tr.limit = 3;
	svm_no_intercept(guest, EXCP(UD));
}

EXCEPTION("ts", "", "ud2", VECTOR_TS, .setup = short_tss,
	  .exitintinfo = EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD), .flags = RING3 | NOT_OFF);

static void absent_segment(struct svm_guest *guest)
{
	gdt_set(TEST_SELECTOR(0),
		SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_DATA_WRITABLE, DESC_GRANULARITY | DESC_BIG));
}

EXCEPTION("np", "", "mov %eax, %es", VECTOR_NP, .ax = TEST_SELECTOR(0), .setup = absent_segment,
	  .info1 = TEST_SELECTOR(0), .fault = FAULT_VALUE_EC(VECTOR_NP, TEST_SELECTOR(0)),
	  .flags = ALONE | INFO1 | NOT_RING3);
EXCEPTION("ss", "", "mov %eax, %ss", VECTOR_SS, .ax = TEST_SELECTOR(0), .setup = absent_segment,
	  .info1 = TEST_SELECTOR(0), .fault = FAULT_VALUE_EC(VECTOR_SS, TEST_SELECTOR(0)),
	  .flags = ALONE | INFO1 | NOT_RING3);
EXCEPTION("gp.selector", "", "mov %eax, %es", VECTOR_GP, .ax = 0xfff8, .info1 = 0xfff8,
	  .fault = FAULT_VALUE_EC(VECTOR_GP, 0xfff8), .flags = ALONE | INFO1);
EXCEPTION("gp.0", "", "cli", VECTOR_GP, .info1 = 0, .flags = INFO1 | RING3 | NOT_OFF);

/* 1 / 0 with the exception unmasked: FWAIT raises it. */
static void unmask_x87(struct svm_guest *guest)
{
	*(u16 *)operand() = 0x37b;
	guest->vmcb->save.rax = (ulong)operand();
}

EXCEPTION("mf", "fninit\n fldcw (" R(ax) ")\n fld1\n fldz\n fdivrp", "fwait", VECTOR_MF,
	  .setup = unmask_x87, .fault = FAULT_VALUE(VECTOR_MF), .flags = ALONE | NOT_RING3);

static void check_alignment(struct svm_guest *guest)
{
	guest->vmcb->save.cr0 |= CR0_AM;
	guest->vmcb->save.rflags |= EFLAGS_AC;
	guest->vmcb->save.rax = (ulong)operand();
}

EXCEPTION("ac", "", "movl 1(" R(ax) "), %ecx", VECTOR_AC, .setup = check_alignment, .info1 = 0,
	  .flags = INFO1 | RING3 | NOT_OFF);

static void unmask_sse(struct svm_guest *guest)
{
	*(u32 *)operand() = 0x1d80;
	*(u32 *)(operand() + 16) = 0x3f800000; /* 1.0 */
	guest->vmcb->save.rax = (ulong)operand();
	guest->vmcb->save.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
}

EXCEPTION("xf", "ldmxcsr (" R(ax) ")\n movss 16(" R(ax) "), %xmm0\n xorps %xmm1, %xmm1",
	  "divss %xmm1, %xmm0", VECTOR_XM, .setup = unmask_sse, .feature = FEATURE_SSE,
	  .fault = FAULT_VALUE(VECTOR_XM), .flags = ALONE | NOT_RING3);

/* The same vectors as software interrupts: no exception's intercept takes them. 15.12 */
INTERCEPT("int-n.of", "", "int $4", .intercept = EXCP(OF), .exit = VMEXIT_VMMCALL,
	  .flags = TRAP | ANY_RIP | NOT_OFF | NOT_RING3);

L2_TEXT(step, "", "nop");
L2_TEXT(fetch, "", "jmp *" R(ax));

/* 15.12.2: DR6 is written before the exit, DR7 keeps what it had. */
static void test_debug(void)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, step);

	guest->vmcb->save.rflags |= EFLAGS_TF;
	svm_run(guest);
	check_exit(guest, EXCP(DB), "single-step");
	check_equal(guest->vmcb->save.dr6 & DR6_BS, DR6_BS, "single-step.dr6");

	/* A breakpoint on the instruction, in DR0, which no world switch moves. */
	guest = intercept_guest(L2_NATIVE, step);
	guest->vmcb->save.dr7 |= 3;
	write_dr0((ulong)step_at);
	svm_run(guest);
	write_dr0(0);
	check_exit(guest, EXCP(DB), "breakpoint");
	check_equal(guest->vmcb->save.rip, (ulong)step_at, "breakpoint.rip");
	check_equal(guest->vmcb->save.dr6 & DR6_B0, DR6_B0, "breakpoint.dr6");
	check_equal(guest->vmcb->save.dr7, 0x403, "breakpoint.dr7");
}
SVM_SUBTEST("db.registers", test_debug);

L2_TEXT(read_ax, "", "movl (" R(ax) "), %ecx");
L2_TEXT(write_ax, "", "movl %ecx, (" R(ax) ")");

struct page_fault {
	const char *name;
	const u8 *code, *at;
	bool present, ring3;
	u64 error;
};

static u8 *fault_page(struct svm_guest *guest, bool present)
{
	static u8 *pages[2];
	u64 flags = tables_page_flags(guest->tables.format) & ~(PTE_WRITABLE | PTE_USER);

	if (!pages[present])
		pages[present] = page_alloc();
	tables_set(&guest->tables, (ulong)pages[present], 1,
		   present ? (ulong)pages[present] | flags : 0);
	return pages[present];
}

/* 15.8.4: 15 bytes from rIP on, as the next page can be read here, too. */
static void check_bytes(const struct svm_guest *guest, const struct page_fault *row)
{
	const struct vmcb_control *control = &guest->vmcb->control;

	if (!cpu_has(FEATURE_SVM_DECODE_ASSISTS) || row->error & PF_FETCH)
		return;
	check_equal(control->fetched_count, 15, "%s.bytes.count", row->name);
	check_equal(memcmp(control->fetched, row->at, 15), 0, "%s.bytes", row->name);
}

/* 15.12.15: error code and address in the VMCB, CR2 not yet written. */
static void test_page_faults(void)
{
	static const struct page_fault rows[] = {
		{ "read", read_ax, read_ax_at, false, false, 0 },
		{ "write", write_ax, write_ax_at, false, false, PF_WRITE },
		{ "write-protected", write_ax, write_ax_at, true, false, PF_PRESENT | PF_WRITE },
		{ "ring3-read", read_ax, read_ax_at, true, true, PF_PRESENT | PF_USER },
		{ "ring3-write", write_ax, write_ax_at, false, true, PF_WRITE | PF_USER },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct svm_guest *guest = intercept_guest(L2_NATIVE, rows[i].code);
		u8 *address = fault_page(guest, rows[i].present) + 0x123;

		guest->vmcb->save.rax = (ulong)address;
		guest->vmcb->save.cr2 = 0x5a5a;
		if (rows[i].ring3)
			svm_enter_ring3(guest);
		svm_run(guest);
		check_exit_info(guest, EXCP(PF), rows[i].error, (ulong)address, "%s", rows[i].name);
		check_equal(guest->vmcb->save.cr2, 0x5a5a, "%s.cr2", rows[i].name);
		check_equal(guest->vmcb->save.rip, (ulong)rows[i].at, "%s.rip", rows[i].name);
		check_bytes(guest, &rows[i]);
		if (rows[i].ring3)
			continue;
		svm_no_intercept(guest, EXCP(PF));
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "%s.off", rows[i].name);
		check_fault((struct fault){ (u32)guest->vmcb->save.rax }, FAULT_PF(rows[i].error),
			    "%s.off.fault", rows[i].name);
		check_equal(guest->vmcb->save.cr2, (ulong)address, "%s.off.cr2", rows[i].name);
	}
}
SVM_SUBTEST("pf", test_page_faults);

/* The instruction that cannot be fetched: no bytes. */
static void test_fetch(void)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, fetch);
	u8 *address = fault_page(guest, false);
	bool nx = guest->vmcb->save.efer & EFER_NX && guest->vmcb->save.cr4 & CR4_PAE;

	guest->vmcb->save.rax = (ulong)address;
	guest->vmcb->save.cr2 = 0x5a5a;
	svm_run(guest);
	check_exit_info(guest, EXCP(PF), nx ? PF_FETCH : 0, (ulong)address, "exit");
	check_equal(guest->vmcb->save.rip, (ulong)address, "rip");
	check_equal(guest->vmcb->save.cr2, 0x5a5a, "cr2");
}
SVM_SUBTEST("pf-fetch", test_fetch);

/* 15.12: an exception while another is delivered is intercepted before they are combined. */
static void test_second(void)
{
	static const struct {
		const char *name;
		u64 exit, off;
	} rows[] = {
		{ "gp", EXCP(GP), 0 },
		{ "df", EXCP(DF), EXCP(GP) },
	};
	struct svm_guest *guest;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		guest = intercept_guest(L2_NATIVE, fetch);
		guest->vmcb->save.rax = (ulong)fault_page(guest, false);
		guest->vmcb->save.idtr.limit = 0;
		svm_no_intercept(guest, EXCP(PF));
		for (unsigned int n = 0; n <= i; n++)
			if (rows[n].off)
				svm_no_intercept(guest, rows[n].off);
		svm_run(guest);
		check_exit(guest, rows[i].exit, "%s", rows[i].name);
		if (rows[i].exit == EXCP(GP))
			check_equal(guest->vmcb->control.exitinfo1, VECTOR_PF * 8 + 2 + 1,
				    "gp.exitinfo1");
	}
}
SVM_SUBTEST("second-exception", test_second);
