// SPDX-License-Identifier: BSD-2-Clause
/*
 * Task switches: SDM volume 3C, "Other Causes of VM Exits" and "Treatment of Task Switches". There
 * is no control: each is an exit, after the gate and the new TSS's descriptor have been checked,
 * before anything of either task has moved. The qualification has the new TSS's selector and
 * what caused it; the IDT-vectoring information has the event whose gate it was.
 *
 * L2 is in 32-bit mode with paging, and has tables of its own here.
 */
#include "exits.h"
#include "string.h"
#include "tss.h"

#define OLD_TSS	    0x38
#define NEW_TSS	    0x40
#define TASK_GATE   0x48
#define GATE_VECTOR 0x21

enum source { BY_CALL, BY_IRET, BY_JUMP, BY_GATE };

static u64 l2_gdt[16] __aligned(16);
static u64 l2_idt[GATE_VECTOR + 1] __aligned(16);
static struct tss32 old_tss, new_tss;

#define CODE32(label, text) L2_CODE(label, ".code32\n " text "\n vmcall")
CODE32(jump, "ljmp $0x40, $0");
CODE32(jump_gate, "ljmp $0x48, $0");
CODE32(call, "lcall $0x40, $0");
CODE32(call_gate, "lcall $0x48, $0");
CODE32(iret, "iret");
CODE32(int_n, "int $0x21");
CODE32(int3, "int3");
CODE32(icebp, ".byte 0xf1");
CODE32(ud, "ud2");
CODE32(gp, "mov $0xfff8, %eax\n mov %eax, %es");

static void set_tss(u16 selector, struct tss32 *tss, u8 type, u32 limit)
{
	l2_gdt[selector / 8] =
	    SEGMENT_DESCRIPTOR((ulong)tss, limit, DESC_PRESENT | DESC_TSS | type, 0);
}

static u64 task_gate(u16 selector)
{
	return (u64)(DESC_PRESENT | DESC_TASK_GATE) << 40 | (u64)selector << 16;
}

static void set_tables(bool busy)
{
	memcpy(l2_gdt, (void *)l2_gdtr().base, l2_gdtr().limit + 1);
	memset(&old_tss, 0, sizeof(old_tss));
	memset(&new_tss, 0, sizeof(new_tss));
	set_tss(OLD_TSS, &old_tss, DESC_TSS_BUSY, sizeof(old_tss) - 1);
	set_tss(NEW_TSS, &new_tss, busy ? DESC_TSS_BUSY : 0, sizeof(new_tss) - 1);
	l2_gdt[TASK_GATE / 8] = task_gate(NEW_TSS);
	for (unsigned int i = 0; i < ARRAY_SIZE(l2_idt); i++)
		l2_idt[i] = task_gate(NEW_TSS);
	old_tss.previous = NEW_TSS;
}

static struct vmx_guest *prepare(const u8 *code)
{
	struct vmx_guest *guest = exits_guest(L2_PAE, code);

	set_tables(code == iret);
	vmcs_write(VMCS_GUEST_GDTR_BASE, (ulong)l2_gdt);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, sizeof(l2_gdt) - 1);
	vmcs_write(VMCS_GUEST_IDTR_BASE, (ulong)l2_idt);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, sizeof(l2_idt) - 1);
	vmcs_write(VMCS_GUEST_TR_SELECTOR, OLD_TSS);
	vmcs_write(VMCS_GUEST_TR_BASE, (ulong)&old_tss);
	vmcs_write(VMCS_GUEST_TR_LIMIT, sizeof(old_tss) - 1);
	if (code == iret)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_NT);
	return guest;
}

struct row {
	const u8 *code;
	enum source source;
	u32 vectoring; /* 0: none */
	u32 error_code;
	u8 length; /* of an instruction; 0: undefined */
	u8 at;	   /* RIP, from the code's begin */
	bool fault;    /* RF is 1 in the image that the old TSS would get */
	u32 not_intercepted;
};

/* Nothing has moved yet. */
static void check_old_task(const struct row *row, u64 rsp)
{
	check_equal(vmcs_read(VMCS_GUEST_TR_SELECTOR), OLD_TSS, "tr");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)row->code + row->at, "rip");
	check_equal(vmcs_read(VMCS_GUEST_RSP), rsp, "rsp");
	/* "Saving RIP, RSP, RFLAGS, and SSP": as the task switch would have saved it. */
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_RF, row->fault ? EFLAGS_RF : 0, "rf");
	check_equal(old_tss.eip, 0, "old-tss");
	check_equal(new_tss.previous, 0, "new-tss");
	check_equal(vmcs_read(VMCS_GUEST_CR0) & CR0_TS, 0, "cr0-ts");
}

static void test_switch(const void *argument)
{
	const struct row *row = argument;
	struct vmx_guest *guest;
	u32 vectoring;
	u64 rsp;

	if (!vmx_ready())
		return;
	guest = prepare(row->code);
	rsp = vmcs_read(VMCS_GUEST_RSP);
	vmcs_write(VMCS_EXCEPTION_BITMAP, ~row->not_intercepted);
	vmx_run(guest);
	if (check_exit_qualification(guest, EXIT_TASK_SWITCH, (u64)row->source << 30 | NEW_TSS,
				     "exit")) {
		vectoring = vmcs_read(VMCS_IDT_VECTORING_INFORMATION);
		if (row->vectoring)
			check_equal(vectoring & 0x80000fff, row->vectoring, "idt-vectoring");
		else
			check_equal(vectoring & INTERRUPTION_VALID, 0, "idt-vectoring");
		if (row->vectoring & INTERRUPTION_ERROR_CODE)
			check_equal(vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE), row->error_code,
				    "error-code");
		check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID,
			    0, "no-interruption");
		if (row->length)
			check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), row->length,
				    "length");
		check_old_task(row, rsp);
	}
	vmx_check_invariants();
}

#define VECTORING(kind, vector) (INTERRUPTION_VALID | INTERRUPTION_TYPE(kind) | (vector))
#define TASK_SWITCH(name, ...)                                                                     \
	static const struct row CONCAT(row_, __LINE__) = { __VA_ARGS__ };                          \
	SUBTEST_ARG("task-switch." name, test_switch, &CONCAT(row_, __LINE__))

TASK_SWITCH("jmp", .code = jump, .source = BY_JUMP, .length = 7);
TASK_SWITCH("jmp-gate", .code = jump_gate, .source = BY_JUMP, .length = 7);
TASK_SWITCH("call", .code = call, .source = BY_CALL, .length = 7);
TASK_SWITCH("call-gate", .code = call_gate, .source = BY_CALL, .length = 7);
TASK_SWITCH("iret", .code = iret, .source = BY_IRET, .length = 1);
TASK_SWITCH("int-n", .code = int_n, .source = BY_GATE, .length = 2,
	    .vectoring = VECTORING(TYPE_SOFTWARE_INTERRUPT, GATE_VECTOR));
TASK_SWITCH("int3", .code = int3, .source = BY_GATE, .length = 1,
	    .vectoring = VECTORING(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP),
	    .not_intercepted = 1u << VECTOR_BP);
TASK_SWITCH("icebp", .code = icebp, .source = BY_GATE, .length = 1,
	    .vectoring = VECTORING(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB),
	    .not_intercepted = 1u << VECTOR_DB);
TASK_SWITCH("exception", .code = ud, .source = BY_GATE, .fault = true,
	    .vectoring = VECTORING(TYPE_HARDWARE_EXCEPTION, VECTOR_UD),
	    .not_intercepted = 1u << VECTOR_UD);
TASK_SWITCH("error-code", .code = gp, .source = BY_GATE, .at = 5, .fault = true,
	    .vectoring = VECTORING(TYPE_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE,
	    .error_code = 0xfff8, .not_intercepted = 1u << VECTOR_GP);

/* What is checked of the descriptor comes before; what is in the TSS does not matter. */
static void test_bad_tss(void)
{
	struct vmx_guest *guest = prepare(jump);

	l2_gdt[NEW_TSS / 8] &= ~((u64)DESC_PRESENT << 40);
	vmx_run(guest);
	check_exception(guest, FAULT_NP(NEW_TSS), "not-present");

	guest = prepare(jump);
	set_tss(NEW_TSS, &new_tss, DESC_TSS_BUSY, sizeof(new_tss) - 1);
	vmx_run(guest);
	check_exception(guest, FAULT_GP(NEW_TSS), "busy");

	guest = prepare(jump);
	set_tss(NEW_TSS, &new_tss, 0, 0x66);
	vmx_run(guest);
	check_exception(guest, FAULT_TS(NEW_TSS), "limit");

	guest = prepare(jump_gate);
	l2_gdt[TASK_GATE / 8] &= ~((u64)DESC_PRESENT << 40);
	vmx_run(guest);
	check_exception(guest, FAULT_NP(TASK_GATE), "gate-not-present");

	guest = prepare(iret);
	set_tss(NEW_TSS, &new_tss, 0, sizeof(new_tss) - 1);
	vmx_run(guest);
	check_exception(guest, FAULT_TS(NEW_TSS), "iret-not-busy");

	guest = prepare(jump);
	new_tss.cr3 = 0x1001;
	new_tss.cs = 0xfff8;
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_TASK_SWITCH, (u64)BY_JUMP << 30 | NEW_TSS, "contents");
}
VMX_SUBTEST("task-switch.bad-tss", test_bad_tss);

#ifdef __x86_64__
/* In IA-32e mode there are none: a task gate is a #GP. */
L2_CODE(compat_jump, ".code32\n ljmp $0x40, $0\n vmcall");

static void test_long_mode(void)
{
	struct vmx_guest *guest = exits_guest(L2_COMPAT, compat_jump);

	set_tables(false);
	vmcs_write(VMCS_GUEST_GDTR_BASE, (ulong)l2_gdt);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, sizeof(l2_gdt) - 1);
	vmx_run(guest);
	check_exception(guest, FAULT_GP(NEW_TSS), "exit");
}
VMX_SUBTEST("task-switch.long-mode", test_long_mode);
#endif
