// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who may execute VMX instructions, and what is looked at first: in compatibility mode and
 * outside VMX operation #UD, whatever the ring; in ring 3 #GP(0), before the operand. SDM volume
 * 3C, "VMX Instruction Reference". (Virtual-8086 mode would be #UD as well.) Outside VMX
 * operation VMXON is legal in ring 0, #GP(0) in ring 3, and #UD with CR4.VMXE clear.
 */
#include "context.h"
#include "control.h"
#include "instructions.h"
#include "paging.h"
#include "string.h"

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes

static const struct row {
	const char *name;
	u8 length;
	const char *code; /* the operand is at (E)BX, the other one in ECX */
} rows[] = {
	{ "vmxon", CODE_BYTES("\xf3\x0f\xc7\x33") },
	{ "vmxoff", CODE_BYTES("\x0f\x01\xc4") },
	{ "vmclear", CODE_BYTES("\x66\x0f\xc7\x33") },
	{ "vmptrld", CODE_BYTES("\x0f\xc7\x33") },
	{ "vmptrst", CODE_BYTES("\x0f\xc7\x3b") },
	{ "vmread", CODE_BYTES("\x0f\x78\x0b") },
	{ "vmread-register", CODE_BYTES("\x0f\x78\xca") },
	{ "vmwrite", CODE_BYTES("\x0f\x79\x0b") },
	{ "vmwrite-register", CODE_BYTES("\x0f\x79\xca") },
	{ "vmlaunch", CODE_BYTES("\x0f\x01\xc2") },
	{ "vmresume", CODE_BYTES("\x0f\x01\xc3") },
	{ "vmcall", CODE_BYTES("\x0f\x01\xc1") },
	{ "invept", CODE_BYTES("\x66\x0f\x38\x80\x0b") },
	{ "invvpid", CODE_BYTES("\x66\x0f\x38\x81\x0b") },
};

static u8 code[32] __aligned(32);
static u8 operand[16] __aligned(16);

/* Runs an instruction in a context that starts at code. A UD2 behind it is a success. */
static struct fault run(const struct row *row, struct context context)
{
	memcpy(code, row->code, row->length);
	memcpy(code + row->length, "\x0f\x0b", 2);
	context.end = (ulong)code + row->length;
	context.bx = (ulong)operand;
	context.cx = VMCS_GUEST_RIP;
	return context_run(&context);
}

static bool exists(const struct row *row)
{
	if (!strcmp(row->name, "invept"))
		return vmx_allows(VMX_SECONDARY_EPT);
	if (!strcmp(row->name, "invvpid"))
		return vmx_allows(VMX_SECONDARY_VPID);
	return true;
}

static bool is_vmxon(const struct row *row)
{
	return row == rows;
}

#define for_each_row(row)                                                                          \
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++)                   \
		if (exists(row))

/* The operand's address is one that is not mapped, too: no #PF comes before these. */
static void test_ring3(void)
{
	two_vmcss();
	for_each_row(row) check_fault(run(row, context_user(code)), FAULT_GP(0), "%s", row->name);
}

static void test_ring3_unmapped(void)
{
	void *hole = virtual_range(PAGE_SIZE, PAGE_SIZE);

	two_vmcss();
	for_each_row(row)
	{
		struct context context = context_user(code);

		memcpy(code, row->code, row->length);
		context.bx = (ulong)hole;
		context.cx = VMCS_GUEST_RIP;
		check_fault(context_run(&context), FAULT_GP(0), "%s", row->name);
	}
}

static void test_off(void)
{
	vmxoff();
	for_each_row(row)
	{
		if (!is_vmxon(row))
			check_fault(run(row, context_kernel(code)), FAULT_UD, "ring-0.%s",
				    row->name);
		check_fault(run(row, context_user(code)), is_vmxon(row) ? FAULT_GP(0) : FAULT_UD,
			    "ring-3.%s", row->name);
	}
	vmxon(vmx_on_region());
}

static void test_vmxe_clear(void)
{
	ulong cr4 = read_cr4();

	vmxoff();
	write_cr4(cr4 & ~CR4_VMXE);
	for_each_row(row)
	{
		check_fault(run(row, context_kernel(code)), FAULT_UD, "ring-0.%s", row->name);
		check_fault(run(row, context_user(code)), FAULT_UD, "ring-3.%s", row->name);
	}
	write_cr4(cr4);
	vmxon(vmx_on_region());
}

/* The forms with a register that exist for none of these; 0F C7 /6 and /7 are RDRAND, RDSEED. */
static const struct row registers[] = {
	{ "invept", CODE_BYTES("\x66\x0f\x38\x80\xca") },
	{ "invvpid", CODE_BYTES("\x66\x0f\x38\x81\xca") },
};

static void test_register_operand(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		if (!exists(&registers[i])) {
			check_skip("the CPU does not have it", "%s", registers[i].name);
			continue;
		}
		check_fault(run(&registers[i], context_kernel(code)), FAULT_UD, "ring-0.%s",
			    registers[i].name);
		check_fault(run(&registers[i], context_user(code)), FAULT_UD, "ring-3.%s",
			    registers[i].name);
	}
}

VMX_SUBTEST("ring3", test_ring3);
VMX_SUBTEST("ring3-unmapped", test_ring3_unmapped);
VMX_SUBTEST("vmx-off", test_off);
VMX_SUBTEST("vmxe-clear", test_vmxe_clear);
VMX_SUBTEST("register-operand", test_register_operand);

#ifdef __x86_64__
static void test_compatibility(void)
{
	two_vmcss();
	for_each_row(row)
	{
		struct context context = context_kernel(code);

		context.cs = KERNEL_CS32;
		check_fault(run(row, context), FAULT_UD, "ring-0.%s", row->name);
		check_fault(run(row, context_compat(code)), FAULT_UD, "ring-3.%s", row->name);
	}
}

VMX_SUBTEST("compatibility-mode", test_compatibility);
#endif
