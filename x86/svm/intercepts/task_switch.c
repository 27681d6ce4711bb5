// SPDX-License-Identifier: BSD-2-Clause
/*
 * The intercept of task switches: APM volume 2, 15.14.1. One bit for all that JMP, CALL, IRET,
 * interrupts and exceptions can do; EXITINFO1 has the incoming TSS's selector, EXITINFO2 says
 * why, and the error code. It is checked after the TSS and the gate have been, before
 * anything of either task has moved. A hypervisor has to do the switch in software then, and
 * one that nests has it taken away from its own emulator.
 *
 * L2 is in 32-bit mode with paging, and has tables of its own here.
 */
#include "intercepts.h"
#include "string.h"

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};

#define OLD_TSS	    0x38
#define NEW_TSS	    0x40
#define GATE_VECTOR 0x21

/* EXITINFO2's high half. */
#define BY_IRET	   (1u << 4)
#define BY_JUMP	   (1u << 6)
#define WITH_ERROR (1u << 12)
#define REASONS	   (BY_IRET | BY_JUMP | WITH_ERROR)

static u64 l2_gdt[16] __aligned(16);
static u64 l2_idt[GATE_VECTOR + 1] __aligned(16);
static struct tss32 old_tss, new_tss;

#define CODE32(label, text) L2_CODE(label, ".code32\n " text "\n vmmcall")
CODE32(jump, "ljmp $0x40, $0");
CODE32(call, "lcall $0x40, $0");
CODE32(iret, "iret");
CODE32(int_n, "int $0x21");
CODE32(ud, "ud2");
CODE32(gp, "mov $0xfff8, %eax\n mov %eax, %es");
CODE32(task, "nop");

static void set_tss(u16 selector, struct tss32 *tss, u8 type, u32 limit)
{
	l2_gdt[selector / 8] =
	    SEGMENT_DESCRIPTOR((ulong)tss, limit, DESC_PRESENT | DESC_TSS | type, 0);
}

static u64 task_gate(u16 selector)
{
	return (u64)(DESC_PRESENT | DESC_TASK_GATE) << 40 | (u64)selector << 16;
}

static struct svm_guest *prepare(const u8 *code)
{
	struct svm_guest *guest = intercept_guest(L2_PAE, code);
	struct vmcb_save *save = &guest->vmcb->save;

	memset(l2_gdt, 0, sizeof(l2_gdt));
	memset(&old_tss, 0, sizeof(old_tss));
	l2_gdt[KERNEL_CS32 / 8] =
	    SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_PRESENT | DESC_ACCESSED | DESC_CODE_READABLE,
			       DESC_GRANULARITY | DESC_BIG);
	l2_gdt[KERNEL_DS / 8] =
	    SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_PRESENT | DESC_ACCESSED | DESC_DATA_WRITABLE,
			       DESC_GRANULARITY | DESC_BIG);
	set_tss(OLD_TSS, &old_tss, DESC_TSS_BUSY, sizeof(old_tss) - 1);
	set_tss(NEW_TSS, &new_tss, code == iret ? DESC_TSS_BUSY : 0, sizeof(new_tss) - 1);
	l2_idt[VECTOR_UD] = l2_idt[VECTOR_GP] = l2_idt[GATE_VECTOR] = task_gate(NEW_TSS);
	old_tss.link = NEW_TSS;
	new_tss = (struct tss32){
		.cr3 = save->cr3,
		.eip = (ulong)task,
		.eflags = EFLAGS_FIXED,
		.esp = (ulong)guest->stack_top - 256,
		.cs = KERNEL_CS32,
		.es = KERNEL_DS,
		.ss = KERNEL_DS,
		.ds = KERNEL_DS,
		.edx = 0x5678,
	};
	save->gdtr = (struct vmcb_segment){ .limit = sizeof(l2_gdt) - 1, .base = (ulong)l2_gdt };
	save->idtr = (struct vmcb_segment){ .limit = sizeof(l2_idt) - 1, .base = (ulong)l2_idt };
	save->tr = (struct vmcb_segment){
		.selector = OLD_TSS,
		.attrib = VMCB_ATTRIB(DESC_PRESENT | DESC_TSS | DESC_TSS_BUSY, 0),
		.limit = sizeof(old_tss) - 1,
		.base = (ulong)&old_tss,
	};
	if (code == iret)
		save->rflags |= EFLAGS_NT;
	svm_no_intercept(guest, EXCP(UD));
	if (code == gp)
		svm_no_intercept(guest, EXCP(GP));
	svm_intercept(guest, VMEXIT_TASK_SWITCH);
	return guest;
}

struct row {
	const u8 *code;
	u32 reasons, error;
	u64 exitintinfo;
};

static void test_switch(const void *argument)
{
	const struct row *row = argument;
	struct svm_guest *guest;
	u64 info2;

	if (!svm_ready())
		return;
	guest = prepare(row->code);
	svm_run(guest);
	if (check_exit(guest, VMEXIT_TASK_SWITCH, "on")) {
		info2 = guest->vmcb->control.exitinfo2;
		check_equal(guest->vmcb->control.exitinfo1 & 0xffff, NEW_TSS, "on.selector");
		check_equal(info2 >> 32 & REASONS, row->reasons, "on.reasons");
		if (row->reasons & WITH_ERROR)
			check_equal((u32)info2, row->error, "on.error-code");
		check_equal(row->exitintinfo ? guest->vmcb->control.exitintinfo
					     : guest->vmcb->control.exitintinfo & EVENT_VALID,
			    row->exitintinfo, "on.exitintinfo");
		check_equal(guest->vmcb->save.tr.selector, OLD_TSS, "on.tr");
		check_equal(old_tss.eip, 0, "on.old-tss");
	}

	/* From the beginning: the switch takes place. */
	guest = prepare(row->code);
	svm_no_intercept(guest, VMEXIT_TASK_SWITCH);
	svm_run(guest);
	if (check_exit(guest, VMEXIT_VMMCALL, "off")) {
		check_equal(guest->vmcb->save.rip, (ulong)task + 1, "off.rip");
		check_equal(guest->vmcb->save.tr.selector, NEW_TSS, "off.tr");
		check_equal((u32)guest->world.registers.dx, 0x5678, "off.edx");
		check(old_tss.eip != 0, "off.old-tss");
	}
	svm_check_invariants();
}

#define TASK_SWITCH(name, ...)                                                                     \
	SUBTEST_ARG("task-switch." name, test_switch, (&(const struct row){ __VA_ARGS__ }))

TASK_SWITCH("jmp", jump, BY_JUMP, 0, 0);
TASK_SWITCH("call", call, 0, 0, 0);
TASK_SWITCH("iret", iret, BY_IRET, 0, 0);
TASK_SWITCH("int-n", int_n, 0, 0, EVENT(EVENT_TYPE_SOFT, GATE_VECTOR));
TASK_SWITCH("exception", ud, 0, 0, EVENT(EVENT_TYPE_EXCEPTION, VECTOR_UD));
TASK_SWITCH("error-code", gp, WITH_ERROR, 0xfff8,
	    EVENT_EC(EVENT_TYPE_EXCEPTION, VECTOR_GP, 0xfff8));

/* The incoming TSS has been checked before. */
static void test_bad_tss(void)
{
	struct svm_guest *guest = prepare(jump);

	l2_gdt[NEW_TSS / 8] &= ~((u64)DESC_PRESENT << 40);
	svm_run(guest);
	check_exit(guest, EXCP(NP), "not-present");
	check_equal(guest->vmcb->control.exitinfo1, NEW_TSS, "not-present.error-code");

	guest = prepare(jump);
	set_tss(NEW_TSS, &new_tss, DESC_TSS_BUSY, sizeof(new_tss) - 1);
	svm_run(guest);
	check_exit(guest, EXCP(GP), "busy");

	guest = prepare(jump);
	set_tss(NEW_TSS, &new_tss, 0, 0x66);
	svm_run(guest);
	check_exit(guest, EXCP(TS), "limit");
}
SVM_SUBTEST("task-switch.bad-tss", test_bad_tss);
