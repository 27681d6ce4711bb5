// SPDX-License-Identifier: BSD-2-Clause
/*
 * The I/O bitmaps, A for ports 0 to 0x7fff and B for the others: an access exits if the bit of
 * any of its bytes is set, or if it wraps around the end of the port space. "I/O-Bitmap
 * Addresses", "Instructions That Cause VM Exits Conditionally"; "Exit Qualification for I/O
 * Instructions".
 */
#include "bitmaps_and_areas.h"
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "printf.h"
#include "string.h"

#define PORT 0x1237 /* no device is there; its neighbour's bit lies in another byte */

#define IO_SIZE(n)    ((n)-1)
#define IO_IN	      BIT(3)
#define IO_STRING     BIT(4)
#define IO_REP	      BIT(5)
#define IO_IMMEDIATE  BIT(6)
#define IO_PORT(port) ((u64)(port) << 16)

L2_CODE(in_1, "in %dx, %al\n vmcall");
L2_CODE(in_2, "in %dx, %ax\n vmcall");
L2_CODE(in_4, "in %dx, %eax\n vmcall");
L2_CODE(out_1, "out %al, %dx\n vmcall");
L2_CODE(out_2, "out %ax, %dx\n vmcall");
L2_CODE(out_4, "out %eax, %dx\n vmcall");

static const struct access {
	const char *name;
	const u8 *code;
	u8 size, length;
	u32 qualification; /* but for the port */
} accesses[] = {
	{ "in-1", in_1, 1, 1, IO_IN | IO_SIZE(1) }, { "in-2", in_2, 2, 2, IO_IN | IO_SIZE(2) },
	{ "in-4", in_4, 4, 1, IO_IN | IO_SIZE(4) }, { "out-1", out_1, 1, 1, IO_SIZE(1) },
	{ "out-2", out_2, 2, 2, IO_SIZE(2) },	    { "out-4", out_4, 4, 1, IO_SIZE(4) },
};

static struct vmx_guest *prepare(const u8 *code, u16 port)
{
	struct vmx_guest *guest = maps_guest(L2_NATIVE, code);

	guest->world.registers.dx = port;
	return guest;
}

/* One bit for each byte of the access and for its neighbours. */
static void test_bits(const struct access *access, u16 port, const char *where)
{
	for (int n = port ? -1 : 0; n <= access->size; n++) {
		struct vmx_guest *guest = prepare(access->code, port);
		bool hit = n >= 0 && n<access->size, wraps = port + access->size> 0x10000;

		if (port + n > 0xffff)
			continue;
		vmx_intercept_ports(guest, port + n, 1);
		vmx_run(guest);
		if (hit || wraps)
			check_exit_qualification(guest, EXIT_IO,
						 access->qualification | IO_PORT(port),
						 "%s.%s.bit%+d", where, access->name, n);
		else
			check_exit(guest, EXIT_VMCALL, "%s.%s.bit%+d", where, access->name, n);
	}
}

static void test_ports(u32 first, u32 last)
{
	for (u32 port = first; port <= last; port++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
			char where[16];

			snprintf(where, sizeof(where), "port-%#x", port);
			test_bits(&accesses[i], port, where);
		}
	}
}

static void test_size(void)
{
	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	test_ports(PORT - 5, PORT - 5); /* within a byte of the bitmap */
	test_ports(PORT, PORT);		/* between two */
	test_ports(0x80, 0x80);
}
VMX_SUBTEST("io.size", test_size);

/* Bitmap A ends with port 0x7fff: an access across it needs both. */
static void test_middle(void)
{
	if (vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		test_ports(0x7ffc, 0x8000);
}
VMX_SUBTEST("io.middle", test_middle);

/* Accesses that go beyond port 0xffff exit whatever the bits are. */
static void test_end(void)
{
	if (vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		test_ports(0xfffc, 0xffff);
}
VMX_SUBTEST("io.end", test_end);

static void test_wrap(void)
{
	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (u32 port = 0xfffc; port <= 0xffff; port++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
			struct vmx_guest *guest = prepare(accesses[i].code, port);

			vmx_run(guest);
			check_exit(guest, port + accesses[i].size > 0x10000 ? EXIT_IO : EXIT_VMCALL,
				   "port-%#x.%s", port, accesses[i].name);
		}
	}
}
VMX_SUBTEST("io.wrap", test_wrap);

/*
 * Every bit of a port's number: with this port's bit alone set it exits, with all others set it
 * does not. Only IN: nobody knows what a write would do to a device.
 */
static void test_every_bit(void)
{
	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (int bit = -1; bit < 16; bit++) {
		u16 port = bit < 0 ? 0 : 1 << bit;
		struct vmx_guest *guest = prepare(in_1, port);

		vmx_intercept_ports(guest, port, 1);
		vmx_run(guest);
		check_exit(guest, EXIT_IO, "port-%#x.alone", port);
		guest = prepare(in_1, port);
		memset(guest->io_bitmaps, 0xff, 2 * PAGE_SIZE);
		guest->io_bitmaps[port / 8] &= ~(1 << port % 8);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "port-%#x.all-others", port);
	}
}
VMX_SUBTEST("io.every-bit", test_every_bit);

/* The exit comes before the access; the length leads behind the instruction. */
static void test_information(void)
{
	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		const struct access *access = &accesses[i];
		struct vmx_guest *guest = prepare(access->code, PORT);

		prefix_push("%s", access->name);
		vmx_intercept_ports(guest, PORT, 1);
		guest->world.registers.ax = 0x12345678;
		vmx_run(guest);
		check_exit(guest, EXIT_IO, "exit");
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), access->length, "length");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)access->code, "rip");
		check_equal(guest->world.registers.ax, 0x12345678, "ax");
		check_equal(vmcs_read(VMCS_GUEST_RFLAGS), EFLAGS_FIXED, "rflags");
		prefix_pop();
	}
}
VMX_SUBTEST("io.information", test_information);

L2_CODE(in_immediate, "in $0x80, %al\n vmcall");
L2_CODE(out_immediate, "out %eax, $0x80\n vmcall");

/* The port in the instruction; DX says another. */
static void test_immediate(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	guest = prepare(in_immediate, PORT);
	vmx_intercept_ports(guest, 0x80, 1);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_IO, IO_PORT(0x80) | IO_SIZE(1) | IO_IN | IO_IMMEDIATE,
				 "in");
	guest = prepare(out_immediate, PORT);
	vmx_intercept_ports(guest, 0x83, 1);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_IO, IO_PORT(0x80) | IO_SIZE(4) | IO_IMMEDIATE,
				 "out-last-byte");
	guest = prepare(in_immediate, PORT);
	vmx_intercept_ports(guest, PORT, 1);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "in.bit-of-dx");
}
VMX_SUBTEST("io.immediate", test_immediate);

/* The two controls: with the bitmaps in use, unconditional exiting says nothing. */
static void test_controls(void)
{
	static const struct {
		const char *name;
		bool unconditional, bitmaps;
		u8 bits;
		u32 exit;
	} rows[] = {
		{ "none", false, false, 0xff, EXIT_VMCALL },
		{ "unconditional", true, false, 0, EXIT_IO },
		{ "both.clear", true, true, 0, EXIT_VMCALL },
		{ "both.set", true, true, 0xff, EXIT_IO },
		{ "bitmaps.clear", false, true, 0, EXIT_VMCALL },
		{ "bitmaps.set", false, true, 0xff, EXIT_IO },
	};

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS) || !vmx_needs(VMX_PRIMARY_UNCONDITIONAL_IO_EXITING))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_guest *guest = prepare(in_1, PORT);

		(rows[i].unconditional ? vmx_set : vmx_clear)(VMX_PRIMARY_UNCONDITIONAL_IO_EXITING);
		(rows[i].bitmaps ? vmx_set : vmx_clear)(VMX_PRIMARY_IO_BITMAPS);
		memset(guest->io_bitmaps, rows[i].bits, 2 * PAGE_SIZE);
		vmx_run(guest);
		check_exit(guest, rows[i].exit, "%s", rows[i].name);
	}
}
VMX_SUBTEST("io.controls", test_controls);

/* "Checks on VM-Execution Control Fields": both addresses are of pages, if they are in use. */
static void test_addresses(void)
{
	static const struct {
		const char *name;
		u32 field;
	} fields[] = { { "a", VMCS_IO_BITMAP_A }, { "b", VMCS_IO_BITMAP_B } };

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		static const u64 bad[] = { 1, 0x800, 1ull << 63 };

		for (unsigned int n = 0; n < ARRAY_SIZE(bad); n++) {
			struct vmx_guest *guest = prepare(in_1, PORT);

			vmcs_write(fields[i].field, vmcs_read(fields[i].field) | bad[n]);
			vmx_run(guest);
			check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS),
				  "%s.%llx", fields[i].name, bad[n]);
			vmx_clear(VMX_PRIMARY_IO_BITMAPS);
			vmx_run(guest);
			check_exit(guest, EXIT_VMCALL, "%s.%llx.not-in-use", fields[i].name,
				   bad[n]);
		}
	}
}
VMX_SUBTEST("io.addresses", test_addresses);

/* Bits that change while L2 is out of the CPU. */
static void test_change(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_IO_BITMAPS))
		return;
	guest = prepare(in_1, PORT);
	for (unsigned int n = 0; n < 3; n++) {
		vmx_intercept_ports(guest, PORT, 1);
		vmx_run(guest);
		check_exit(guest, EXIT_IO, "set.%u", n);
		guest->io_bitmaps[PORT / 8] = 0;
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "cleared.%u", n);
		vmcs_write(VMCS_GUEST_RIP, (ulong)in_1);
	}
}
VMX_SUBTEST("io.change", test_change);

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
		struct vmx_guest *guest = prepare(row->code, PORT);
		u32 mask = ADDRESS(7) | (row->out ? SEGMENT(7) : 0);

		prefix_push("%s", row->name);
		vmx_intercept_ports(guest, PORT, 1);
		vmcs_write(VMCS_GUEST_GS_BASE, 0x10000);
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
