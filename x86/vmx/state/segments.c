// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segment registers. What an entry loads is what the next exit saves, for every type and size
 * that the checks let pass, and L2 sees the selector. What L2 loads is saved as the descriptor has
 * it. A register that is not usable is saved with bit 16 and its selector; the rest is undefined
 * but for what the manual names: the bases of FS and GS, the DPL of SS.
 *
 * KVM keeps segments of L2 in a cache, from which a null selector once came back as usable.
 *
 * SDM volume 3C, "Loading Guest Segment Registers and Descriptor-Table Registers", "Saving Segment
 * Registers and Descriptor-Table Registers".
 */
#include "control.h"
#include "msr.h"
#include "state.h"

#define PRESENT(access) (DESC_PRESENT | DESC_ACCESSED | (access))

enum { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };
static const char *const names[SEGMENTS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };

static u32 field(u32 of_es, unsigned int segment)
{
	return of_es + 2 * segment;
}
#define SELECTOR(segment) field(VMCS_GUEST_ES_SELECTOR, segment)
#define BASE(segment)	  field(VMCS_GUEST_ES_BASE, segment)
#define LIMIT(segment)	  field(VMCS_GUEST_ES_LIMIT, segment)
#define RIGHTS(segment)	  field(VMCS_GUEST_ES_ACCESS_RIGHTS, segment)

L2_CODE(code_nothing, "vmcall");

static void write_segment(unsigned int segment, u16 selector, u64 base, u32 limit, u32 rights)
{
	vmcs_write(SELECTOR(segment), selector);
	vmcs_write(BASE(segment), base);
	vmcs_write(LIMIT(segment), limit);
	vmcs_write(RIGHTS(segment), rights);
}

/* Types of data and code segments that DS, ES, FS and GS may have, with limits for both sizes. */
static void test_kept(void)
{
	static const struct {
		const char *name;
		u32 limit, rights;
	} types[] = {
		{ "read-only", 0xffffffff, ACCESS_RIGHTS(PRESENT(0x10), 0xc) },
		{ "read-write", 0xffffffff, ACCESS_RIGHTS(PRESENT(0x12), 0xc) },
		{ "expand-down", 0xfff, ACCESS_RIGHTS(PRESENT(0x16), 0x4) },
		{ "expand-down-16", 0x1234, ACCESS_RIGHTS(PRESENT(0x14), 0) },
		{ "code-readable", 0xfffff, ACCESS_RIGHTS(PRESENT(0x1a), 0x4) },
		{ "conforming", 0x7fffffff, ACCESS_RIGHTS(PRESENT(0x1e), 0xc) },
		{ "limit-0", 0, ACCESS_RIGHTS(PRESENT(0x12), 0x4) },
		{ "limit-0xfff-pages", 0xfff, ACCESS_RIGHTS(PRESENT(0x12), 0xc) },
		{ "available-bit", 0xffff, ACCESS_RIGHTS(PRESENT(0x12), 0x1) },
		{ "dpl-3", 0xffffffff, ACCESS_RIGHTS(PRESENT(0x72), 0xc) },
	};
	static const u8 segments[] = { ES, DS, FS, GS };
	struct vmx_guest *guest = vmx_guest(L2_PAE, code_nothing);

	for (unsigned int s = 0; s < ARRAY_SIZE(segments); s++)
		for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
			unsigned int segment = segments[s];

			prefix_push("%s.%s", names[segment], types[i].name);
			vmx_guest_again(guest, L2_PAE, code_nothing);
			write_segment(segment, 0x1238, 0x12345678, types[i].limit, types[i].rights);
			vmx_run(guest);
			check_exit(guest, EXIT_VMCALL, "exit");
			check_equal(vmcs_read(SELECTOR(segment)), 0x1238, "selector");
			check_equal(vmcs_read(BASE(segment)), 0x12345678, "base");
			check_equal(vmcs_read(LIMIT(segment)), types[i].limit, "limit");
			check_equal(vmcs_read(RIGHTS(segment)), types[i].rights, "rights");
			prefix_pop();
		}
}
VMX_SUBTEST("segments_kept", test_kept);

/* LDTR and TR, whose selectors L2 reads; TR's limits of both granularities. */
#ifdef __x86_64__
L2_CODE(code_store, "sldt %ax\n str %bx\n vmcall");
#else
L2_CODE(code_store, ".byte 0x66\n sldt %ax\n .byte 0x66\n str %bx\n vmcall");
#endif

static void test_system(void)
{
	static const struct {
		const char *name;
		unsigned int segment;
		u16 selector;
		u64 base;
		u32 limit, rights;
	} rows[] = {
		{ "ldtr", LDTR, 0x1238, 0x12345678, 0xffff, ACCESS_RIGHTS(0x82, 0) },
		{ "ldtr-pages", LDTR, 0x4320, 0x7bcdef00, 0xfffff, ACCESS_RIGHTS(0x82, 8) },
		{ "tr", TR, 0x1238, 0x12345678, 0x67, ACCESS_RIGHTS(0x8b, 0) },
		{ "tr-pages", TR, 0x4321, 0x7bcdef00, 0xfffff, ACCESS_RIGHTS(0x8b, 8) },
	};
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_store);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int segment = rows[i].segment;

		prefix_push("%s", rows[i].name);
		vmx_guest_again(guest, L2_NATIVE, code_store);
		write_segment(segment, rows[i].selector, rows[i].base, rows[i].limit,
			      rows[i].rights);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(
		    (u16)(segment == TR ? guest->world.registers.bx : guest->world.registers.ax),
		    rows[i].selector, "in-l2");
		check_equal(vmcs_read(SELECTOR(segment)), rows[i].selector, "selector");
		check_equal(vmcs_read(BASE(segment)), rows[i].base, "base");
		check_equal(vmcs_read(LIMIT(segment)), rows[i].limit, "limit");
		check_equal(vmcs_read(RIGHTS(segment)), rows[i].rights, "rights");
		prefix_pop();
	}
}
VMX_SUBTEST("ldtr_tr", test_system);

/* Not usable: bit 16 and the selector come back; FS's and GS's base as well. */
static void test_unusable(void)
{
	static const u8 segments[] = { ES, DS, FS, GS, LDTR };
	static const u16 selectors[] = { 0, 3, 0x1238 };
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_nothing);

	for (unsigned int s = 0; s < ARRAY_SIZE(segments); s++)
		for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
			unsigned int segment = segments[s];
			u16 selector = selectors[i];

			prefix_push("%s.selector-%#x", names[segment], selector);
			vmx_guest_again(guest, L2_NATIVE, code_nothing);
			write_segment(segment, selector, 0x12345678, 0xffff,
				      ACCESS_RIGHTS_UNUSABLE);
			vmx_run(guest);
			check_exit(guest, EXIT_VMCALL, "exit");
			check_equal(vmcs_read(SELECTOR(segment)), selector, "selector");
			check(vmcs_read(RIGHTS(segment)) & ACCESS_RIGHTS_UNUSABLE, "unusable");
			if (segment == FS || segment == GS)
				check_equal(vmcs_read(BASE(segment)), 0x12345678, "base");
			else if (segment == ES || segment == DS)
				check_equal(vmcs_read(BASE(segment)) >> 32, 0, "base-high");
			prefix_pop();
		}
}
VMX_SUBTEST("unusable", test_unusable);

/* An access through a register that is not usable faults in 32-bit code, and not in 64-bit code. */
L2_CODE(code_through_32, ".code32\n mov %es:(%ebx), %eax\n vmcall");
#ifdef __x86_64__
L2_CODE(code_through_64, ".code64\n mov %es:(%rbx), %eax\n mov %fs:(%rbx), %ecx\n vmcall");
#endif

static void test_access(void)
{
	static u32 value = 0x5eadbeef;
	struct vmx_guest *guest = vmx_guest(L2_PAE, code_through_32);

	guest->world.registers.bx = (ulong)&value;
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "usable.32-bit");
	vmcs_write(VMCS_GUEST_RIP, (ulong)code_through_32);
	vmcs_write(RIGHTS(ES), ACCESS_RIGHTS_UNUSABLE);
	vmx_run(guest);
	check_exception(guest, FAULT_GP(0), "unusable.32-bit");
#ifdef __x86_64__
	guest = vmx_guest(L2_LONG, code_through_64);
	guest->world.registers.bx = (ulong)&value - 0x1000;
	write_segment(ES, 0, 0x7000, 0, ACCESS_RIGHTS_UNUSABLE);
	write_segment(FS, 0, 0x1000, 0, ACCESS_RIGHTS_UNUSABLE);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "unusable.64-bit");
	check_equal((u32)guest->world.registers.ax, *(u32 *)guest->world.registers.bx,
		    "unusable.64-bit.es-base-0");
	check_equal((u32)guest->world.registers.cx, value, "unusable.64-bit.fs-base");
#endif
}
VMX_SUBTEST("unusable_access", test_access);

/* What L2 loads from its GDT, flat data segments; and null selectors. */
L2_CODE(code_load, "mov %eax, %es\n mov %eax, %ds\n mov %ebx, %fs\n mov %ecx, %gs\n vmcall");

static void test_loaded(void)
{
	static const enum l2_mode modes[] = { L2_NATIVE, L2_LONG, L2_COMPAT, L2_PAE, L2_32BIT };
	const u32 flat = ACCESS_RIGHTS(PRESENT(DESC_DATA_WRITABLE), DESC_GRANULARITY | DESC_BIG);

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest;

		if (!l2_mode_supported(modes[i]))
			continue;
		guest = vmx_guest(modes[i], code_load);
		prefix_push("%s", l2_mode_name(modes[i]));
		write_segment(ES, 0, 0, 0, ACCESS_RIGHTS_UNUSABLE);
		write_segment(DS, 0x1238, 0x1000, 0xfff, ACCESS_RIGHTS(PRESENT(0x10), 4));
		guest->world.registers.ax = KERNEL_DS;
		guest->world.registers.bx = 0;
		guest->world.registers.cx = 3;
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "exit");
		for (unsigned int segment = ES; segment <= DS; segment += DS - ES) {
			check_equal(vmcs_read(SELECTOR(segment)), KERNEL_DS, "%s.selector",
				    names[segment]);
			check_equal(vmcs_read(BASE(segment)), 0, "%s.base", names[segment]);
			check_equal(vmcs_read(LIMIT(segment)), 0xffffffff, "%s.limit",
				    names[segment]);
			check_equal(vmcs_read(RIGHTS(segment)), flat, "%s.rights", names[segment]);
		}
		for (unsigned int segment = FS; segment <= GS; segment++) {
			check_equal(vmcs_read(SELECTOR(segment)), segment == FS ? 0 : 3,
				    "%s.selector", names[segment]);
			check(vmcs_read(RIGHTS(segment)) & ACCESS_RIGHTS_UNUSABLE, "%s.unusable",
			      names[segment]);
		}
		prefix_pop();
	}
}
VMX_SUBTEST("segments_loaded_by_l2", test_loaded);

#ifdef __x86_64__
/* A null SS, legal in 64-bit code below ring 3: not usable, and its DPL is the CPL still. */
L2_CODE(code_null_ss, ".code64\n mov %eax, %ss\n vmcall");

static void test_null_ss(void)
{
	struct vmx_guest *guest = vmx_guest(L2_LONG, code_null_ss);

	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(vmcs_read(SELECTOR(SS)), 0, "selector");
	check(vmcs_read(RIGHTS(SS)) & ACCESS_RIGHTS_UNUSABLE, "unusable");
	check_equal(vmcs_read(RIGHTS(SS)) & DESC_DPL3, 0, "dpl");
	/* The next entry takes what was saved. */
	vmcs_write(VMCS_GUEST_RIP, (ulong)code_nothing);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "again.exit");
	check(vmcs_read(RIGHTS(SS)) & ACCESS_RIGHTS_UNUSABLE, "again.unusable");
}
VMX_SUBTEST("null_ss", test_null_ss);
#endif
