// SPDX-License-Identifier: BSD-2-Clause
/*
 * The I/O bitmaps, A for ports 0 to 0x7fff and B for the others: an access exits if the bit of
 * any of its bytes is set, or if it wraps around the end of the port space. "I/O-Bitmap
 * Addresses", "Instructions That Cause VM Exits Conditionally"; "Exit Qualification for I/O
 * Instructions".
 */
#include "io.h"
#include "paging.h"
#include "printf.h"
#include "string.h"

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
