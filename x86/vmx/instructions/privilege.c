// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who may execute VMX instructions, and what is looked at first: in compatibility mode and
 * outside VMX operation #UD, whatever the ring; in ring 3 #GP(0), before the operand. SDM volume
 * 3C, "VMX Instruction Reference". Outside VMX operation VMXON is legal in ring 0, #GP(0) in ring
 * 3, and #UD with CR4.VMXE clear. Real and virtual-8086 mode are in old_modes.c.
 */
#include "context.h"
#include "control.h"
#include "instructions.h"
#include "paging.h"
#include "string.h"

static u8 code[32] __aligned(32);
static u8 operand[16] __aligned(16);

/* Runs an instruction in a context that starts at code. A UD2 behind it is a success. */
static struct fault run(const struct encoding *row, struct context context)
{
	memcpy(code, row->code, row->length);
	memcpy(code + row->length, "\x0f\x0b", 2);
	context.end = (ulong)code + row->length;
	context.bx = (ulong)operand;
	context.cx = VMCS_GUEST_RIP;
	return context_run(&context);
}

/* The operand's address is one that is not mapped, too: no #PF comes before these. */
static void test_ring3(void)
{
	two_vmcss();
	for_each_encoding(row)
	    check_fault(run(row, context_user(code)), FAULT_GP(0), "%s", row->name);
}

static void test_ring3_unmapped(void)
{
	void *hole = virtual_range(PAGE_SIZE, PAGE_SIZE);

	two_vmcss();
	for_each_encoding(row)
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
	for_each_encoding(row)
	{
		if (!encoding_is_vmxon(row))
			check_fault(run(row, context_kernel(code)), FAULT_UD, "ring-0.%s",
				    row->name);
		check_fault(run(row, context_user(code)),
			    encoding_is_vmxon(row) ? FAULT_GP(0) : FAULT_UD, "ring-3.%s",
			    row->name);
	}
	vmxon(vmx_on_region());
}

static void test_vmxe_clear(void)
{
	ulong cr4 = read_cr4();

	vmxoff();
	write_cr4(cr4 & ~CR4_VMXE);
	for_each_encoding(row)
	{
		check_fault(run(row, context_kernel(code)), FAULT_UD, "ring-0.%s", row->name);
		check_fault(run(row, context_user(code)), FAULT_UD, "ring-3.%s", row->name);
	}
	write_cr4(cr4);
	vmxon(vmx_on_region());
}

/* The forms with a register that exist for none of these; 0F C7 /6 and /7 are RDRAND, RDSEED. */
static const struct encoding registers[] = {
	{ "invept", CODE_BYTES("\x66\x0f\x38\x80\xca") },
	{ "invvpid", CODE_BYTES("\x66\x0f\x38\x81\xca") },
};

static void test_register_operand(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		if (!encoding_exists(&registers[i])) {
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
	for_each_encoding(row)
	{
		struct context context = context_kernel(code);

		context.cs = KERNEL_CS32;
		check_fault(run(row, context), FAULT_UD, "ring-0.%s", row->name);
		check_fault(run(row, context_compat(code)), FAULT_UD, "ring-3.%s", row->name);
	}
}

VMX_SUBTEST("compatibility-mode", test_compatibility);
#endif
