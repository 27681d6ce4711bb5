// SPDX-License-Identifier: BSD-2-Clause
/*
 * The I/O permissions map: one bit for each of 65536 ports of a byte, and three more for
 * what an access to the last ports reaches beyond them. APM volume 2, 15.10.
 *
 * An access of several bytes is intercepted if the bit of any of its bytes is set. A hypervisor
 * that looks at the first bit alone, or reads two bytes of a map where it has to read
 * three, lets L2 reach a device that L1 keeps for itself; one that runs off the map at port 0xffff
 * reads what lies behind it.
 */
#include "cpu.h"
#include "page_alloc.h"
#include "paging.h"
#include "permission_maps.h"
#include "string.h"

#define PORT 0x1237 /* no device is there; its neighbour's bit lies in another byte */

/* IN and OUT by DX, of each size; the code's length is the instruction's. */
L2_CODE(in_1, "in %dx, %al\n vmmcall");
L2_CODE(in_2, "in %dx, %ax\n vmmcall");
L2_CODE(in_4, "in %dx, %eax\n vmmcall");
L2_CODE(out_1, "out %al, %dx\n vmmcall");
L2_CODE(out_2, "out %ax, %dx\n vmmcall");
L2_CODE(out_4, "out %eax, %dx\n vmmcall");

static const struct access {
	const char *name;
	const u8 *code;
	u8 size, length;
	u32 info; /* EXITINFO1, but for the port */
} accesses[] = {
	{ "in-1", in_1, 1, 1, IOIO_IN | IOIO_SIZE_8 },
	{ "in-2", in_2, 2, 2, IOIO_IN | IOIO_SIZE_16 },
	{ "in-4", in_4, 4, 1, IOIO_IN | IOIO_SIZE_32 },
	{ "out-1", out_1, 1, 1, IOIO_SIZE_8 },
	{ "out-2", out_2, 2, 2, IOIO_SIZE_16 },
	{ "out-4", out_4, 4, 1, IOIO_SIZE_32 },
};

/* What EXITINFO1 of IN and OUT says; address size and segment are of string accesses. */
#define INFO                                                                                       \
	(IOIO_PORT(0xffff) | IOIO_SIZE_8 | IOIO_SIZE_16 | IOIO_SIZE_32 | IOIO_IN | IOIO_STRING |   \
	 IOIO_REP)

static struct svm_guest *prepare(const u8 *code, u16 port)
{
	struct svm_guest *guest = maps_guest(L2_NATIVE, code);

	svm_intercept(guest, VMEXIT_IOIO);
	guest->world.registers.dx = port;
	return guest;
}

static void set_bit(struct svm_guest *guest, unsigned int bit)
{
	guest->iopm[bit / 8] |= 1 << bit % 8;
}

/* One bit of the map for each byte of the access and for its neighbours. */
static void test_bits(const struct access *access, u16 port, const char *where)
{
	int first = port ? -1 : 0;

	for (int n = first; n <= access->size; n++) {
		struct svm_guest *guest = prepare(access->code, port);
		bool hit = n >= 0 && n < access->size;

		/* The map ends three bits beyond port 0xffff. */
		if (port + n > 65538)
			continue;
		set_bit(guest, port + n);
		svm_run(guest);
		check_exit(guest, hit ? VMEXIT_IOIO : VMEXIT_VMMCALL, "%s.%s.bit%+d", where,
			   access->name, n);
	}
}

static void test_port(const char *where, u16 port)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++)
		test_bits(&accesses[i], port, where);
}

static void test_size(void)
{
	test_port("within-a-byte", PORT - 5);
	test_port("between-bytes", PORT);
	test_port("port-0x80", 0x80);
}
SVM_SUBTEST("iopm.size", test_size);

/* 15.10.1: the map's second page begins with port 0x8000. */
static void test_page(void)
{
	for (u16 port = 0x7ffd; port <= 0x8000; port++) {
		char where[16];

		snprintf(where, sizeof(where), "port-%#x", port);
		test_port(where, port);
	}
}
SVM_SUBTEST("iopm.page", test_page);

/* 15.10.1: 64K + 3 bits, for accesses that begin below 0x10000 and end above. */
static void test_end(void)
{
	for (unsigned int port = 0xfffc; port <= 0xffff; port++) {
		char where[16];

		snprintf(where, sizeof(where), "port-%#x", port);
		test_port(where, port);
	}
}
SVM_SUBTEST("iopm.end", test_end);

/*
 * Every bit of a port's number: with the bit of this port alone set it is intercepted, with
 * all others set it is not. Only IN: nobody knows what a write would do to a device.
 */
static void test_every_bit(void)
{
	for (int bit = -1; bit < 16; bit++) {
		u16 port = bit < 0 ? 0 : 1 << bit;
		struct svm_guest *guest = prepare(in_1, port);

		set_bit(guest, port);
		svm_run(guest);
		check_exit(guest, VMEXIT_IOIO, "port-%#x.alone", port);
		guest = prepare(in_1, port);
		memset(guest->iopm, 0xff, IOPM_SIZE);
		guest->iopm[port / 8] &= ~(1 << port % 8);
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "port-%#x.all-others", port);
	}
}
SVM_SUBTEST("iopm.every-bit", test_every_bit);

/* 15.10.2: what was intercepted, the next instruction's rIP; nothing has happened yet. */
static void test_information(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		const struct access *access = &accesses[i];
		struct svm_guest *guest = prepare(access->code, PORT);
		struct vmcb_control *control = &guest->vmcb->control;

		prefix_push("%s", access->name);
		set_bit(guest, PORT);
		guest->vmcb->save.rax = 0x12345678;
		svm_run(guest);
		check_exit(guest, VMEXIT_IOIO, "exit");
		check_equal(control->exitinfo1 & INFO, access->info | IOIO_PORT(PORT), "exitinfo1");
		check_equal(control->exitinfo2, (ulong)access->code + access->length, "exitinfo2");
		check_equal(svm_rip(guest), (ulong)access->code, "rip");
		check_equal(guest->vmcb->save.rax, 0x12345678, "rax");
		check_next_rip(guest, (ulong)access->code + access->length);
		prefix_pop();
	}
}
SVM_SUBTEST("iopm.information", test_information);

L2_CODE(in_immediate, "in $0x80, %al\n vmmcall");
L2_CODE(out_immediate, "out %eax, $0x80\n vmmcall");

/* The port in the instruction, of 8 bits; DX says another. */
static void test_immediate(void)
{
	struct svm_guest *guest = prepare(in_immediate, PORT);

	set_bit(guest, 0x80);
	svm_run(guest);
	check_exit(guest, VMEXIT_IOIO, "in");
	check_equal(guest->vmcb->control.exitinfo1 & INFO, IOIO_PORT(0x80) | IOIO_SIZE_8 | IOIO_IN,
		    "in.exitinfo1");
	guest = prepare(out_immediate, PORT);
	set_bit(guest, 0x83);
	svm_run(guest);
	check_exit(guest, VMEXIT_IOIO, "out-last-byte");
	check_equal(guest->vmcb->control.exitinfo1 & INFO, IOIO_PORT(0x80) | IOIO_SIZE_32,
		    "out-last-byte.exitinfo1");
	guest = prepare(in_immediate, PORT);
	set_bit(guest, PORT);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "in.bit-of-dx");
}
SVM_SUBTEST("iopm.immediate", test_immediate);

/* 15.10.2: without the intercept the map says nothing; 15.10.1: its address has no low 12 bits. */
static void test_in_use(void)
{
	struct svm_guest *guest = prepare(in_1, PORT);

	memset(guest->iopm, 0xff, IOPM_SIZE);
	svm_no_intercept(guest, VMEXIT_IOIO);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "without-the-intercept");

	guest = prepare(in_1, PORT);
	set_bit(guest, PORT);
	guest->vmcb->control.iopm_base_pa |= 0xfff;
	svm_run(guest);
	check_exit(guest, VMEXIT_IOIO, "low-bits-of-the-address");

	guest = prepare(in_1, PORT);
	guest->vmcb->control.iopm_base_pa |= 0xfff;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "low-bits-of-the-address.clear");
}
SVM_SUBTEST("iopm.in-use", test_in_use);

/* A map that changes while L2 is out of the CPU, and two VMCBs with a map each. */
static void test_change(void)
{
	struct svm_guest *guest = prepare(in_1, PORT), *other = svm_guest(L2_NATIVE, in_1);

	svm_intercept(other, VMEXIT_IOIO);
	for (unsigned int n = 0; n < 3; n++) {
		set_bit(guest, PORT);
		svm_run(guest);
		check_exit(guest, VMEXIT_IOIO, "set.%u", n);

		other->vmcb->save.rip = (ulong)in_1;
		other->world.registers.dx = PORT;
		svm_run(other);
		check_exit(other, VMEXIT_VMMCALL, "other-vmcb.%u", n);

		guest->iopm[PORT / 8] = 0;
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "cleared.%u", n);
		guest->vmcb->save.rip = (ulong)in_1;
	}
}
SVM_SUBTEST("iopm.change", test_change);

/* A TSS whose bitmap lets all ports through, or none. */
static void give_tss(struct svm_guest *guest, u8 bitmap)
{
	static u8 *tss;

	if (!tss)
		tss = pages_alloc(3, PAGE_SIZE);
	memset(tss, bitmap, 3 * PAGE_SIZE);
	*(u16 *)(tss + 0x66) = 0x68;
	guest->vmcb->save.tr = (struct vmcb_segment){
		.selector = TSS_SELECTOR,
		.attrib = VMCB_ATTRIB(DESC_PRESENT | DESC_TSS | DESC_TSS_BUSY, 0),
		.limit = 0x68 + 65536 / 8,
		.base = (ulong)tss,
	};
}

struct protection {
	const char *name;
	u8 iopl, bitmap;
	u64 exit;
};

static void test_protection(enum l2_mode mode, const u8 *code, const struct protection *row)
{
	struct svm_guest *guest = maps_guest(mode, code);

	svm_intercept(guest, VMEXIT_IOIO);
	guest->world.registers.dx = PORT;
	memset(guest->iopm, 0xff, IOPM_SIZE);
	give_tss(guest, row->bitmap);
	guest->vmcb->save.rflags |= (ulong)row->iopl << 12;
	if (mode != L2_V8086)
		svm_enter_ring3(guest);
	svm_run(guest);
	check_exit(guest, row->exit, "%s", row->name);
}

/* 15.10.2: virtual-8086 mode, IOPL and the TSS's bitmap come before the intercept. */
static void test_ring3(void)
{
	static const struct protection rows[] = {
		{ "bitmap-denies", 0, 0xff, VMEXIT_EXCP + VECTOR_GP },
		{ "bitmap-permits", 0, 0, VMEXIT_IOIO },
		{ "iopl", 3, 0xff, VMEXIT_IOIO },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		test_protection(L2_NATIVE, in_1, &rows[i]);
}
SVM_SUBTEST("iopm.ring3", test_ring3);

L2_CODE(v8086_in, ".code16\n in %dx, %al\n int3");

/* Where the bitmap alone counts. */
static void test_v8086(void)
{
	static const struct protection rows[] = {
		{ "bitmap-denies", 0, 0xff, VMEXIT_EXCP + VECTOR_GP },
		{ "bitmap-denies.iopl", 3, 0xff, VMEXIT_EXCP + VECTOR_GP },
		{ "bitmap-permits", 0, 0, VMEXIT_IOIO },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		test_protection(L2_V8086, v8086_in, &rows[i]);
}
SVM_SUBTEST("iopm.v8086", test_v8086);
