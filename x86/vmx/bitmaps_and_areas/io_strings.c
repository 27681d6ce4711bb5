// SPDX-License-Identifier: BSD-2-Clause
/*
 * INS and OUTS, whose exits have an address, and information on the operand; and what comes before
 * the exit of any I/O instruction: IOPL and the TSS's bitmap. SDM volume 3C, "Exit Qualification
 * for I/O Instructions", "Information for VM Exits Due to Instruction Execution", "Relative
 * Priority of Faults and VM Exits".
 */
#include "io.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

L2_CODE(in_1, "in %dx, %al\n vmcall");

struct protection {
	const char *name;
	u8 iopl, bitmap;
	u32 exit;
};

/* "Relative Priority of Faults and VM Exits": IOPL and the TSS's bitmap come first. */
static void test_protection(enum l2_mode mode, const u8 *code, const struct protection *row)
{
	static u8 *tss;
	struct vmx_guest *guest = maps_guest(mode, code);

	if (!tss)
		tss = pages_alloc(3, PAGE_SIZE);
	memset(tss, row->bitmap, 3 * PAGE_SIZE);
	*(u16 *)(tss + 0x66) = 0x68;
	vmcs_write(VMCS_GUEST_TR_BASE, (ulong)tss);
	vmcs_write(VMCS_GUEST_TR_LIMIT, 0x68 + 65536 / 8);
	guest->world.registers.dx = PORT;
	vmx_intercept_ports(guest, PORT, 1);
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | (ulong)row->iopl << 12);
	if (mode != L2_V8086)
		vmx_enter_ring3(guest);
	vmx_run(guest);
	if (row->exit == EXIT_IO)
		check_exit(guest, EXIT_IO, "%s", row->name);
	else
		check_exception(guest, FAULT_GP(0), "%s", row->name);
}

static void test_ring3(void)
{
	static const struct protection rows[] = {
		{ "bitmap-denies", 0, 0xff, EXIT_EXCEPTION_OR_NMI },
		{ "bitmap-permits", 0, 0, EXIT_IO },
		{ "iopl", 3, 0xff, EXIT_IO },
	};

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		test_protection(L2_NATIVE, in_1, &rows[i]);
}
VMX_SUBTEST("io.ring3", test_ring3);

L2_CODE(v8086_in, ".code16\n in %dx, %al\n int3");

/* Where the bitmap alone counts. */
static void test_v8086(void)
{
	static const struct protection rows[] = {
		{ "bitmap-denies", 0, 0xff, EXIT_EXCEPTION_OR_NMI },
		{ "bitmap-denies.iopl", 3, 0xff, EXIT_EXCEPTION_OR_NMI },
		{ "bitmap-permits", 0, 0, EXIT_IO },
	};

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		test_protection(L2_V8086, v8086_in, &rows[i]);
}
VMX_SUBTEST("io.v8086", test_v8086);

/* INS and OUTS. Bits 9:7 of the information are the address size, 17:15 OUTS's segment. */
L2_CODE(insb, "insb\n vmcall");
L2_CODE(insl, "insl\n vmcall");
L2_CODE(rep_insw, "rep insw\n vmcall");
L2_CODE(outsb, "outsb\n vmcall");
L2_CODE(outsl_gs, ".byte 0x65\n outsl\n vmcall");
L2_CODE(rep_outsb, "rep outsb\n vmcall");
L2_CODE(outsb_small, ".byte 0x67\n outsb\n vmcall");

#define ADDRESS(n) ((u32)(n) << 7)
#define SEGMENT(n) ((u32)(n) << 15)
#ifdef __x86_64__
#define NATIVE 2
#else
#define NATIVE 1
#endif

static const struct string_access {
	const char *name;
	const u8 *code;
	u32 qualification;
	bool out;
	u8 address, segment, length;
	u32 base; /* the segment's */
} strings[] = {
	{ "insb", insb, IO_IN | IO_SIZE(1), false, NATIVE, 0, 1, 0 },
	{ "insl", insl, IO_IN | IO_SIZE(4), false, NATIVE, 0, 1, 0 },
	{ "rep-insw", rep_insw, IO_IN | IO_SIZE(2) | IO_REP, false, NATIVE, 0, 3, 0 },
	{ "outsb", outsb, IO_SIZE(1), true, NATIVE, 3, 1, 0 },
	{ "outsl-gs", outsl_gs, IO_SIZE(4), true, NATIVE, 5, 2, 0x10000 },
	{ "rep-outsb", rep_outsb, IO_SIZE(1) | IO_REP, true, NATIVE, 3, 2, 0 },
	{ "outsb-address-size", outsb_small, IO_SIZE(1), true, NATIVE - 1, 3, 2, 0 },
};

/* The operands lie where L2 has no page: the exit comes before the fault. */
static void test_strings(void)
{
	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(strings); i++) {
		const struct string_access *row = &strings[i];
		struct vmx_guest *guest = maps_guest(L2_NATIVE, row->code);
		u32 mask = ADDRESS(7) | (row->out ? SEGMENT(7) : 0);

		prefix_push("%s", row->name);
		vmx_intercept_ports(guest, PORT, 1);
		vmcs_write(VMCS_GUEST_GS_BASE, 0x10000);
		guest->world.registers.dx = PORT;
		guest->world.registers.cx = 3;
		guest->world.registers.si = 0x5008;
		guest->world.registers.di = 0x6008;
		tables_set(&guest->tables, 0x5000, 1, 0);
		tables_set(&guest->tables, 0x6000, 1, 0);
		tables_set(&guest->tables, 0x15000, 1, 0);
		vmx_run(guest);
		check_exit_qualification(guest, EXIT_IO,
					 row->qualification | IO_STRING | IO_PORT(PORT), "exit");
		check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS),
			    row->base + (row->out ? 0x5008 : 0x6008), "linear-address");
		if (rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_INS_OUTS)
			check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_INFORMATION) & mask,
				    ADDRESS(row->address) | SEGMENT(row->segment), "information");
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), row->length, "length");
		check_equal(guest->world.registers.cx, 3, "cx");
		prefix_pop();
	}
}
VMX_SUBTEST("io.strings", test_strings);
