// SPDX-License-Identifier: BSD-2-Clause
/*
 * L2's writes to the registers that virtual-interrupt delivery emulates: TPR, EOI, self-IPI, by
 * WRMSR and by memory. SDM volume 3C, "TPR Virtualization", "PPR Virtualization", "EOI
 * Virtualization", "Self-IPI Virtualization", "APIC-Write Emulation".
 */
#include "apic_and_timers.h"
#include "msr.h"

L2_CODE(stores, "movl %eax, (" R(bx) ")\n vmcall");
L2_CODE(stores_and_opens, "movl %eax, (" R(bx) ")\n sti\n nop\n nop\n hlt");
L2_CODE(wrmsr_and_opens, "wrmsr\n sti\n nop\n nop\n hlt");

/* All of these stores have two bytes, as WRMSR has. */
#define LENGTH 2

static const struct way {
	const char *name;
	const u32 *controls;
	const u8 *code, *opens; /* a write; one with STI behind it */
	unsigned int self_ipi;
	u32 self_ipi_value;
} ways[] = {
	{ "msr", apic_delivery_x2apic, apic_wrmsr, wrmsr_and_opens, APIC_SELF_IPI, 0 },
	{ "memory", apic_delivery_memory, stores, stores_and_opens, VICR, APIC_SHORTHAND_SELF },
};

static struct apic *way_guest(const struct way *way, u8 rvi, u8 svi)
{
	return apic_guest_with(way->code, way->controls, rvi, svi);
}

static u32 way_write(struct apic *a, const u8 *code, unsigned int offset, u32 value, ulong flags)
{
	a->guest->world.registers.ax = value;
	a->guest->world.registers.dx = 0;
	a->guest->world.registers.cx = MSR_X2APIC_BASE + offset / 16;
	a->guest->world.registers.bx = ACCESS_LINEAR + offset;
	return apic_run(a, code, flags);
}

static void check_written(struct apic *a, const struct way *way, u32 exit, u16 status)
{
	check_exit(a->guest, exit, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)way->code + LENGTH, "rip");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), status, "status");
}

static void check_interrupted(struct apic *a, const u8 *code, u8 vector, u16 status)
{
	apic_check_handler(a, vector, "delivered");
	check_equal(apic_return_address(), (ulong)code + LENGTH, "from");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), status, "status");
	check(apic_has(a, VISR, vector) && !apic_has(a, VIRR, vector), "in-service");
	check_equal(a->page[VPPR / 4], vector & 0xf0, "vppr");
}

/* EOI ends the service of SVI's vector; the next is the highest that VISR has. */
static void test_eoi(const struct way *way)
{
	static const struct {
		u8 service, next, tpr, ppr;
	} rows[] = {
		{ 0x51, 0, 0, 0 },	    { 0x51, 0x41, 0, 0x40 },	{ 0x51, 0x41, 0x4f, 0x4f },
		{ 0x51, 0x41, 0x3f, 0x40 }, { 0x60, 0x5f, 0xff, 0xff }, { 0xff, 0xfe, 0, 0xf0 },
		{ 0x20, 0x10, 0x07, 0x10 }, { 0x51, 0, 0x73, 0x73 },	{ 0, 0, 0x12, 0x12 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct apic *a = way_guest(way, 0, rows[i].service);

		if (!a)
			return;
		prefix_push("svi-%02x.next-%02x.tpr-%02x", rows[i].service, rows[i].next,
			    rows[i].tpr);
		if (rows[i].next)
			apic_set(a, VISR, rows[i].next);
		a->page[VTPR / 4] = rows[i].tpr;
		a->page[VEOI / 4] = 0x1234;
		way_write(a, way->code, VEOI, 0, EFLAGS_IF);
		check_written(a, way, EXIT_VMCALL, STATUS(0, rows[i].next));
		check_equal(apic_count(a, VISR), rows[i].next != 0, "visr");
		check_equal(a->page[VPPR / 4], rows[i].ppr, "vppr");
		check_equal(a->page[VEOI / 4], 0, "veoi");
		prefix_pop();
	}
}

/* By memory any value will do. */
static void test_eoi_value(void)
{
	struct apic *a = way_guest(&ways[1], 0, 0x51);

	if (!a)
		return;
	way_write(a, stores, VEOI, 0xffffffff, 0);
	check_written(a, &ways[1], EXIT_VMCALL, STATUS(0, 0));
	check_equal(a->page[VEOI / 4], 0, "veoi");
}

VMX_SUBTEST("virtual-eoi.value", test_eoi_value);

/* Each vector's bit of the EOI-exit bitmap, alone and alone not set; the exit follows the write. */
static void test_eoi_bitmap(const struct way *way)
{
	for (unsigned int vector = 16; vector < 256; vector += vector % 32 == 31 ? 1 : 5)
		for (unsigned int exits = 0; exits < 2; exits++) {
			struct apic *a = way_guest(way, 0x91, vector);

			if (!a)
				return;
			prefix_push("%u.%s", vector, exits ? "set" : "clear");
			for (unsigned int i = 0; i < 4; i++) {
				u64 bit = i == vector / 64 ? 1ull << vector % 64 : 0;

				vmcs_write(VMCS_EOI_EXIT_BITMAP_0 + 2 * i, exits ? bit : ~bit);
			}
			way_write(a, way->code, VEOI, 0, 0);
			check_written(a, way, exits ? EXIT_VIRTUALIZED_EOI : EXIT_VMCALL,
				      STATUS(0x91, 0));
			if (exits)
				check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), vector,
					    "qualification");
			check_equal(apic_count(a, VISR), 0, "visr");
			prefix_pop();
		}
}

/* Its exit comes before the delivery of what EOI makes deliverable; the next entry delivers it. */
static void test_eoi_delivers(const struct way *way)
{
	for (unsigned int exits = 0; exits < 2; exits++) {
		struct apic *a = way_guest(way, 0x51, 0x61);

		if (!a)
			return;
		prefix_push(exits ? "exits" : "delivers");
		if (exits)
			vmcs_write(VMCS_EOI_EXIT_BITMAP_1, 1ull << (0x61 - 64));
		way_write(a, way->code, VEOI, 0, EFLAGS_IF);
		if (exits) {
			check_exit_qualification(a->guest, EXIT_VIRTUALIZED_EOI, 0x61, "exit");
			vmx_run(a->guest);
		}
		check_interrupted(a, way->code, 0x51, STATUS(0, 0x51));
		prefix_pop();
	}
	/* Not if the task's class is no lower. */
	struct apic *a = way_guest(way, 0x51, 0x61);

	prefix_push("task");
	a->page[VTPR / 4] = 0x50;
	way_write(a, way->code, VEOI, 0, EFLAGS_IF);
	check_written(a, way, EXIT_VMCALL, STATUS(0x51, 0));
	prefix_pop();
}

/* Requests of a vector: set in VIRR, and in RVI if it is the highest. */
static void test_self_ipi(const struct way *way)
{
	for (unsigned int vector = 16; vector < 256; vector += 13)
		for (unsigned int open = 0; open < 2; open++) {
			struct apic *a = way_guest(way, 0x80, 0);
			u8 highest = MAX(vector, 0x80u);

			if (!a)
				return;
			prefix_push("%u.%s", vector, open ? "open" : "closed");
			a->page[VTPR / 4] = open ? 0x80 : 0; /* 0x80 itself does not come */
			way_write(a, way->code, way->self_ipi, way->self_ipi_value | vector,
				  open ? EFLAGS_IF : 0);
			if (open && vector >= 0x90) {
				check_interrupted(a, way->code, vector, STATUS(0x80, vector));
			} else {
				check_written(a, way, EXIT_VMCALL, STATUS(highest, 0));
				check(apic_has(a, VIRR, vector), "virr");
				check_equal(apic_count(a, VIRR), 1 + (vector != 0x80),
					    "virr.alone");
			}
			prefix_pop();
		}
}

/* Bits of the interrupt command that make it no self-IPI: an exit, and no request. */
static void test_icr(void)
{
	const struct way *way = &ways[1];

	for (unsigned int bit = 8; bit < 32; bit++) {
		struct apic *a = way_guest(way, 0, 0);
		u32 command = (APIC_SHORTHAND_SELF | 0x51) ^ 1u << bit;
		/* Destination mode and level are not looked at. */
		bool self = bit == 11 || bit == 14;

		if (!a)
			return;
		prefix_push("bit-%u", bit);
		way_write(a, stores, VICR, command, 0);
		check_written(a, way, self ? EXIT_VMCALL : EXIT_APIC_WRITE,
			      self ? STATUS(0x51, 0) : 0);
		if (!self)
			check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), VICR, "qualification");
		check_equal(apic_count(a, VIRR), self, "virr");
		check_equal(a->page[VICR / 4], command, "vicr");
		prefix_pop();
	}
	for (unsigned int vector = 0; vector < 16; vector++) {
		struct apic *a = way_guest(way, 0, 0);

		prefix_push("vector-%u", vector);
		way_write(a, stores, VICR, APIC_SHORTHAND_SELF | vector, 0);
		check_written(a, way, EXIT_APIC_WRITE, 0);
		check_equal(apic_count(a, VIRR), 0, "virr");
		prefix_pop();
	}
}

VMX_SUBTEST("virtual-icr", test_icr);

/* A lower TPR lets a request in, a higher one takes it back; the threshold is not looked at. */
static void test_tpr(const struct way *way)
{
	static const struct {
		u8 before, after;
		bool delivered;
	} rows[] = { { 0x50, 0x4f, true },  { 0xff, 0, true },	   { 0x60, 0x5f, false },
		     { 0x50, 0x50, false }, { 0x00, 0x60, false }, { 0x00, 0x40, true } };

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct apic *a = way_guest(way, 0x51, 0x22);
		bool first = rows[i].before < 0x50; /* recognised at the entry */

		if (!a)
			return;
		prefix_push("%02x-%02x", rows[i].before, rows[i].after);
		a->page[VTPR / 4] = rows[i].before;
		vmcs_write(VMCS_TPR_THRESHOLD, 15);
		way_write(a, way->opens, VTPR, rows[i].after, first ? 0 : EFLAGS_IF);
		if (rows[i].delivered && !first) {
			check_interrupted(a, way->opens, 0x51, STATUS(0, 0x51));
		} else if (rows[i].delivered) {
			/* Behind STI, which is one byte, and the instruction after it. */
			apic_check_handler(a, 0x51, "delivered");
			check_equal(apic_return_address(), (ulong)way->opens + LENGTH + 2, "from");
		} else {
			check_exit(a->guest, EXIT_HLT, "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)way->opens + LENGTH + 3,
				    "rip");
			check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), STATUS(0x51, 0x22),
				    "status");
			check_equal(a->page[VPPR / 4], MAX(rows[i].after, (u8)0x20), "vppr");
		}
		check_equal(a->page[VTPR / 4], rows[i].after, "vtpr");
		prefix_pop();
	}
}

static void both_ways(void (*test)(const struct way *way))
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!vmx_needs_all(ways[i].controls))
			return;
		prefix_push("%s", ways[i].name);
		test(&ways[i]);
		prefix_pop();
	}
}

#define BOTH_WAYS(name, test)                                                                      \
	static void CONCAT(test, _both)(void)                                                      \
	{                                                                                          \
		both_ways(test);                                                                   \
	}                                                                                          \
	VMX_SUBTEST(name, CONCAT(test, _both))

BOTH_WAYS("virtual-eoi", test_eoi);
BOTH_WAYS("virtual-eoi.bitmap", test_eoi_bitmap);
BOTH_WAYS("virtual-eoi.delivers", test_eoi_delivers);
BOTH_WAYS("virtual-self-ipi", test_self_ipi);
BOTH_WAYS("virtual-tpr", test_tpr);

#ifdef __x86_64__
L2_CODE(cr8_and_more, "xchg %ax, %ax\n mov %rcx, %cr8\n vmcall");

/* MOV CR8 is a write of it, too: it lets the request in. */
static void test_cr8(void)
{
	struct apic *a = way_guest(&ways[0], 0x51, 0);

	if (!a)
		return;
	vmx_clear(VMX_PRIMARY_CR8_LOAD_EXITING);
	a->page[VTPR / 4] = 0x7f;
	a->guest->world.registers.cx = 4;
	apic_run(a, cr8_and_more, EFLAGS_IF);
	apic_check_handler(a, 0x51, "delivered");
	check_equal(apic_return_address() - (ulong)cr8_and_more, 6, "from");
	check_equal(a->page[VTPR / 4], 0x40, "vtpr");
}

VMX_SUBTEST("virtual-tpr.cr8", test_cr8);

L2_CODE(eoi_and_return, "wrmsr\n iretq");
#else
L2_CODE(eoi_and_return, "wrmsr\n iret");
#endif

/* Several requests: the highest first, the next as EOI ends its class, each once. */
static void test_order(void)
{
	static const u8 order[] = { 0xa0, 0x9f, 0x52, 0x51, 0x31 };
	struct apic *a = way_guest(&ways[0], 0xa0, 0);

	if (!a)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		apic_set(a, VIRR, order[i]);
	apic_run(a, apic_nops, EFLAGS_IF);
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
		u8 next = i + 1 < ARRAY_SIZE(order) ? order[i + 1] : 0;

		prefix_push("%02x", order[i]);
		apic_check_handler(a, order[i], "delivered");
		check_equal(apic_return_address(), (ulong)apic_nops, "from");
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), STATUS(next, order[i]),
			    "status");
		prefix_pop();
		way_write(a, eoi_and_return, VEOI, 0, 0);
	}
	check_exit(a->guest, EXIT_VMCALL, "end");
	check_equal(apic_count(a, VISR) + apic_count(a, VIRR), 0, "nothing-left");
}

VMX_SUBTEST("virtual-interrupts.order", test_order);

/* A handler that lets interrupts in: those of a higher class come, others wait. */
static void test_nested(void)
{
	static const u8 vectors[] = { 0x62, 0x5f, 0x52, 0x41 };

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct apic *a = way_guest(&ways[0], 0x51, 0);
		bool higher = vectors[i] >> 4 > 5;

		if (!a)
			return;
		prefix_push("%02x", vectors[i]);
		apic_run(a, apic_nops, EFLAGS_IF);
		apic_check_handler(a, 0x51, "first");
		way_write(a, apic_wrmsr, APIC_SELF_IPI, vectors[i], EFLAGS_IF);
		if (higher) {
			apic_check_handler(a, vectors[i], "second");
			check(apic_has(a, VISR, 0x51) && apic_has(a, VISR, vectors[i]), "both");
		} else {
			check_written(a, &ways[0], EXIT_VMCALL, STATUS(vectors[i], 0x51));
		}
		prefix_pop();
	}
}

VMX_SUBTEST("virtual-interrupts.nested", test_nested);
