// SPDX-License-Identifier: BSD-2-Clause
/*
 * Events of an L2 in real mode and in virtual-8086 mode, where they have rules of their own. Real
 * mode: the IDTR's limit ends the interrupt vector table, a vector behind it is #GP, then #DF, then
 * a triple fault; no error code is pushed, and an exit says so. Virtual-8086 mode with CR4.VME: a
 * bit of the TSS says of each INT n whether it goes to the program's own vector table at 0, with
 * IOPL 3 and VIF in the flags it sees, or to the IDT.
 *
 * SDM volume 3B, "Interrupt and Exception Handling" (real-address mode), "Class 3--Software
 * Interrupt Handling in Virtual-8086 Mode"; volume 3C, "Vectored-Event Injection", "Information for
 * VM Exits Due to Vectored Events".
 */
#include "events.h"
#include "page_alloc.h"
#include "paging.h"
#include "tss.h"

L2_CODE(halts, ".code16\n hlt\n hlt");
L2_CODE(reads_across, ".code16\n mov 0xffff, %ax\n hlt");
L2_CODE(interrupts, ".code16\n int $0x50\n hlt");

/* Limits that leave out a vector, or its last byte alone. */
#define LIMIT_BEFORE(vector) ((vector)*4 - 1)
#define LIMIT_WITHIN(vector) ((vector)*4 + 2)

enum limit_end { TO_GP, TO_DF, TO_TRIPLE };

static const struct limit {
	const char *name;
	u32 info;
	u32 limit;
	enum limit_end end;
} limits[] = {
	{ "interrupt.before", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), LIMIT_BEFORE(0x50), TO_GP },
	{ "interrupt.within", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), LIMIT_WITHIN(0x50), TO_GP },
	{ "int.within", INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), LIMIT_WITHIN(0x50), TO_GP },
	{ "exception.within", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_MF), LIMIT_WITHIN(VECTOR_MF),
	  TO_GP },
	{ "interrupt.no-gp", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), LIMIT_WITHIN(VECTOR_GP), TO_DF },
	{ "int.no-gp", INFO(TYPE_SOFTWARE_INTERRUPT, 0x20), LIMIT_BEFORE(VECTOR_GP), TO_DF },
	{ "interrupt.no-df", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), LIMIT_WITHIN(VECTOR_DF),
	  TO_TRIPLE },
	{ "int.nothing", INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), 0, TO_TRIPLE },
};

/* "Bit 11 is always 0 if the VM exit occurred while the logical processor was in real-address mode"
 */
static void check_real_exception(struct events *e, u8 vector, const char *id)
{
	check_exit(e->guest, EXIT_EXCEPTION_OR_NMI, "%s.exit", id);
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION),
		    INFO(TYPE_HARDWARE_EXCEPTION, vector), "%s.information", id);
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "%s.rip", id);
	check_equal(vmcs_read(VMCS_GUEST_RSP), e->rsp, "%s.rsp", id);
}

static void run_limit(struct events *e, const struct limit *l)
{
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, l->limit);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	inject(e, l->info, 0, 2);
	if (l->end == TO_GP)
		check_event(e, VECTOR_GP, NO_ERROR_CODE, e->rip, "handler");
	else if (l->end == TO_DF)
		check_event(e, VECTOR_DF, NO_ERROR_CODE, e->rip, "handler");
	else
		check_exit_qualification(e->guest, EXIT_TRIPLE_FAULT, 0, "handler");
	/* #GP is the first; with an exit by it the event is left. */
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_GP);
	inject(e, l->info, 0, 2);
	check_real_exception(e, VECTOR_GP, "gp");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), l->info, "gp.vectoring");
	if (is_software(l->info))
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), 2, "gp.length");
	if (l->end == TO_GP)
		return;
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DF);
	inject(e, l->info, 0, 2);
	check_real_exception(e, VECTOR_DF, "df");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "df.vectoring");
}

static void test_limits(void)
{
	struct events *e = events_new(&place_real, halts);

	for (const struct limit *l = limits; e && l < limits + ARRAY_SIZE(limits); l++) {
		prefix_push("%s", l->name);
		run_limit(e, l);
		prefix_pop();
	}
}

VMX_SUBTEST("real.limit", test_limits);

/* L2's own: a word across the segment's end, whose #GP has no error code in real mode. */
static void test_own(void)
{
	struct events *e = events_new(&place_real, reads_across);

	if (!e)
		return;
	inject(e, 0, 0, 0);
	check_real_exception(e, VECTOR_GP, "exits");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "exits.vectoring");
	not_intercepted(VECTOR_GP);
	inject(e, 0, 0, 0);
	check_event(e, VECTOR_GP, NO_ERROR_CODE, e->rip, "handler");

	e = events_new(&place_real, interrupts);
	inject(e, 0, 0, 0);
	check_event(e, 0x50, NO_ERROR_CODE, e->rip + 2, "int");
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, LIMIT_WITHIN(0x50));
	inject(e, 0, 0, 0);
	check_real_exception(e, VECTOR_GP, "int-limit");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), INFO(TYPE_SOFTWARE_INTERRUPT, 0x50),
		    "int-limit.vectoring");
	check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), 2, "int-limit.length");
}

VMX_SUBTEST("real.own", test_own);

/*
 * The TSS of virtual-8086 mode: the redirection bitmap's 32 bytes lie below the I/O bitmap. The
 * program's vector table is a page of ours, mapped at linear address 0; its handler is the code.
 */
#define REDIRECTION_SIZE 32
#define PROGRAM_HANDLER	 0x800u
#define FEATURE_VME	 CPUID_FEATURE(0x1, 0, EDX, 1)

struct v8086 {
	struct events *e;
	u8 *redirection;
	u16 *vectors;
};

static struct v8086 new_v8086(const void *code)
{
	struct v8086 v = { .e = events_new(&place_v8086, code), .vectors = page_alloc() };
	struct tss32 *tss = (struct tss32 *)(ulong)v.e->l2.tr.segment.base;

	tss->iomap_base = sizeof(*tss) + REDIRECTION_SIZE;
	v.redirection = (u8 *)(tss + 1);
	memset(v.redirection, 0, REDIRECTION_SIZE);
	vmcs_write(VMCS_GUEST_TR_LIMIT, tss->iomap_base);
	events_snapshot(v.e);
	tables_map(&v.e->guest->tables, 0, (ulong)v.vectors, LEVEL_4K, 0);
	memset((u8 *)v.vectors + PROGRAM_HANDLER, 0xf4, 16);
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_VME);
	for (unsigned int vector = 0; vector < 256; vector++) {
		v.vectors[2 * vector] = PROGRAM_HANDLER;
		v.vectors[2 * vector + 1] = 0;
		l2_gate(&v.e->l2, vector)[L2_GATE_ACCESS] |= DESC_DPL3;
	}
	return v;
}

/* To the program: IP, CS and FLAGS on its own stack, of which IOPL and IF are not the real ones. */
static void check_program(struct v8086 *v, unsigned int iopl, bool vif, u64 ip, const char *id)
{
	u16 *frame = (u16 *)(v->e->guest->stack_top - 6);
	u16 flags = v->e->rflags;

	if (iopl < 3) {
		flags |= EFLAGS_IOPL;
		flags = (flags & ~EFLAGS_IF) | (vif ? EFLAGS_IF : 0);
	}
	/* Its HLT is privileged. */
	check_exception(v->e->guest, FAULT_GP(0), "%s.hlt", id);
	check_equal(vmcs_read(VMCS_GUEST_RIP), PROGRAM_HANDLER, "%s.rip", id);
	check_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), 0, "%s.cs", id);
	check_equal(frame[0], ip, "%s.pushed-ip", id);
	check_equal(frame[1], v->e->cs, "%s.pushed-cs", id);
	check_equal(frame[2], flags, "%s.pushed-flags", id);
	/* IOPL 3: IF is the real one; below it is VIF that the interrupt clears. */
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & (EFLAGS_IF | EFLAGS_VIF),
		    iopl == 3 ? (vif ? EFLAGS_VIF : 0) : EFLAGS_IF, "%s.if", id);
}

static void run_v8086(struct v8086 *v, bool injected, bool redirected, unsigned int iopl, bool vif)
{
	struct events *e = v->e;

	prefix_push("%s.%s.iopl-%u.vif-%u", injected ? "injected" : "own",
		    redirected ? "program" : "idt", iopl, vif);
	events_reset(e);
	vmcs_write(VMCS_GUEST_RFLAGS, (e->rflags & ~(u64)(EFLAGS_IOPL | EFLAGS_VIF)) | iopl << 12 |
					  (vif ? EFLAGS_VIF : 0));
	events_snapshot(e);
	v->redirection[0x50 / 8] = redirected ? 0 : 1 << 0x50 % 8;
	inject(e, injected ? INFO(TYPE_SOFTWARE_INTERRUPT, 0x50) : 0, 0, 2);
	if (redirected)
		check_program(v, iopl, vif, e->rip + 2, "program");
	else if (iopl == 3)
		check_event(e, 0x50, NO_ERROR_CODE, e->rip + 2, "idt");
	else
		check_exception(e->guest, FAULT_GP(0), "iopl");
	prefix_pop();
}

static void test_redirection(void)
{
	struct v8086 v;

	if (!cpu_has(FEATURE_VME)) {
		subtest_skip("the CPU has no VME");
		return;
	}
	v = new_v8086(interrupts);
	for (unsigned int row = 0; row < 32; row++)
		run_v8086(&v, row & 16, row & 8, row >> 1 & 3, row & 1);
}

VMX_SUBTEST("v8086.redirection", test_redirection);
