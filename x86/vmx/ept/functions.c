// SPDX-License-Identifier: BSD-2-Clause
/*
 * VM function 0 lets L2 change its EPT pointer to one of a list: which registers mean an exit, #UD,
 * or a switch that the next access sees. It is L2's in each ring, and nobody's outside VMX non-root
 * operation. The index is kept for virtualization exceptions; the entries of PAE's top level are in
 * registers, and stay.
 *
 * SDM volume 3C, "VM Functions", "EPTP Switching"; "VMFUNC".
 */
#include "context.h"
#include "ept.h"
#include "string.h"

#define VMFUNC		      ".byte 0x0f, 0x01, 0xd4\n"
#define VMFUNC_LENGTH	      3
#define VMFUNC_EPTP_SWITCHING BIT_ULL(0)

L2_CODE(code_switch, VMFUNC "mov (%ebx), %eax\n vmcall");

static u64 *prepare_list(struct place *place, u64 functions)
{
	u64 *list = page_alloc();

	place_code(place, FINAL, code_switch);
	vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, functions);
	vmcs_write(VMCS_EPTP_LIST_ADDRESS, (ulong)list);
	return list;
}

static bool has_switching(void)
{
	if (!vmx_needs(VMX_SECONDARY_VM_FUNCTIONS) || !vmx_needs(VMX_SECONDARY_EPT))
		return false;
	if (rdmsr(MSR_IA32_VMX_VMFUNC) & VMFUNC_EPTP_SWITCHING)
		return true;
	subtest_skip("the CPU has no EPTP switching (IA32_VMX_VMFUNC)");
	return false;
}

/* EPT tables like the place's, with another page at the place. */
static u64 other_tables(const struct place *place, u32 value)
{
	struct tables other = tables_identity(TABLES_EPT);
	u32 *page = page_alloc();

	page[0] = value;
	tables_map(&other, GUEST_PHYSICAL, (ulong)page, LEVEL_4K, 0);
	return (ulong)other.root | place->eptp_flags;
}

static void test_switch(void)
{
	static const u16 indexes[] = { 0, 1, 255, 511 };
	struct place place;
	u64 eptp;

	if (!has_switching() || !place_make(&place, FINAL))
		return;
	eptp = other_tables(&place, READ_VALUE + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++) {
		u64 *list = prepare_list(&place, VMFUNC_EPTP_SWITCHING);

		prefix_push("index-%u", indexes[i]);
		list[indexes[i]] = eptp;
		place.guest->world.registers.cx = indexes[i];
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_VMCALL, "exit");
		check_equal((u32)place.guest->world.registers.ax, READ_VALUE + 1, "value");
		check_equal(vmcs_read(VMCS_EPT_POINTER), eptp, "pointer");
		prefix_pop();
	}
}
VMX_SUBTEST("vmfunc_switch", test_switch);

/* What does not switch: by the registers, the controls, and the entry of the list. */
static void test_no_switch(void)
{
	enum { EXITS, UNDEFINED };
	static const struct {
		const char *name;
		u32 ax, cx;
		u64 functions;
		u64 change; /* of the list's entry */
		int outcome;
	} rows[] = {
		{ "index-512", 0, 512, 1, 0, EXITS },
		{ "index-0xffffffff", 0, 0xffffffff, 1, 0, EXITS },
		{ "index-0x80000000", 0, 0x80000000, 1, 0, EXITS },
		{ "function-not-enabled", 0, 0, 0, 0, EXITS },
		{ "function-1", 1, 0, 1, 0, EXITS },
		{ "function-63", 63, 0, 1, 0, EXITS },
		{ "function-64", 64, 0, 1, 0, UNDEFINED },
		{ "function-0xffffffff", 0xffffffff, 0, 1, 0, UNDEFINED },
		{ "memory-type", 0, 0, 1, 1, EXITS },
		{ "walk-length", 0, 0, 1, BIT_ULL(3), EXITS },
		{ "reserved", 0, 0, 1, BIT_ULL(11), EXITS },
		{ "address", 0, 0, 1, BIT_ULL(52), EXITS },
	};
	struct place place;
	u64 eptp;

	if (!has_switching() || !place_make(&place, FINAL))
		return;
	eptp = other_tables(&place, READ_VALUE + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 *list = prepare_list(&place, rows[i].functions);
		u64 before = vmcs_read(VMCS_EPT_POINTER);

		prefix_push("%s", rows[i].name);
		list[0] = eptp ^ rows[i].change;
		place.guest->world.registers.ax = rows[i].ax;
		place.guest->world.registers.cx = rows[i].cx;
		vmx_run(place.guest);
		if (rows[i].outcome == UNDEFINED) {
			check_exception(place.guest, FAULT_UD, "exit");
		} else {
			check_exit(place.guest, EXIT_VMFUNC, "exit");
			check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), VMFUNC_LENGTH,
				    "length");
		}
		check_equal(vmx_rip(), (ulong)code_switch, "rip");
		check_equal(vmcs_read(VMCS_EPT_POINTER), before, "pointer");
		prefix_pop();
	}
	prepare_list(&place, 0);
	vmx_clear(VMX_SECONDARY_VM_FUNCTIONS);
	vmx_run(place.guest);
	check_exception(place.guest, FAULT_UD, "control-off");
}
VMX_SUBTEST("vmfunc_refused", test_no_switch);

/* Ring 3 may switch as well, unlike all other instructions of VMX. */
static void test_ring3(void)
{
	struct place place;
	u64 eptp;

	if (!has_switching() || !place_make(&place, FINAL))
		return;
	eptp = other_tables(&place, READ_VALUE + 1);
	prepare_list(&place, VMFUNC_EPTP_SWITCHING)[7] = eptp;
	place.guest->world.registers.cx = 7;
	vmx_enter_ring3(place.guest);
	vmx_run(place.guest);
	check_exit(place.guest, EXIT_VMCALL, "exit");
	check_equal((u32)place.guest->world.registers.ax, READ_VALUE + 1, "value");
	check_equal(vmcs_read(VMCS_EPT_POINTER), eptp, "pointer");
}
VMX_SUBTEST("vmfunc.ring3", test_ring3);

/* EPTP_INDEX is written where there are virtualization exceptions, be they off. */
static void test_index(void)
{
	static const u16 indexes[] = { 0, 1, 256, 511 };
	struct place place;
	u64 eptp;

	if (!has_switching() || !vmx_needs(VMX_SECONDARY_EPT_VIOLATION_VE) ||
	    !place_make(&place, FINAL))
		return;
	eptp = other_tables(&place, READ_VALUE + 1);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(indexes); i++) {
		u16 index = indexes[i / 2];
		u64 *list = prepare_list(&place, VMFUNC_EPTP_SWITCHING);

		prefix_push("index-%u.ve-%s", index, i & 1 ? "on" : "off");
		list[index] = eptp;
		if (i & 1) {
			vmx_set(VMX_SECONDARY_EPT_VIOLATION_VE);
			vmcs_write(VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS,
				   (ulong)page_alloc());
		}
		vmcs_write(VMCS_EPTP_INDEX, 0x1234);
		place.guest->world.registers.cx = index;
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_VMCALL, "exit");
		check_equal(vmcs_read(VMCS_EPTP_INDEX), index, "field");
		prefix_pop();
	}
	/* No switch, no index. */
	prepare_list(&place, VMFUNC_EPTP_SWITCHING);
	vmcs_write(VMCS_EPTP_INDEX, 0x1234);
	place.guest->world.registers.cx = 512;
	vmx_run(place.guest);
	check_exit(place.guest, EXIT_VMFUNC, "refused.exit");
	check_equal(vmcs_read(VMCS_EPTP_INDEX), 0x1234, "refused.field");
}
VMX_SUBTEST("vmfunc.index", test_index);

/* L2's top level, which is not there in the other tables, is not read again. */
L2_CODE(code_switch_pae, ".code32\n" VMFUNC "mov (%ebx), %eax\n vmcall");

static void test_pdptes(void)
{
	struct vmx_guest *guest;
	struct tables other;
	u64 *list, pdptes[4];
	u32 *page;

	if (!has_switching() || !vmx_mode_ready(L2_PAE))
		return;
	guest = vmx_guest(L2_PAE, code_switch_pae);
	vmx_ept(guest);
	list = page_alloc();
	page = page_alloc();
	page[0] = READ_VALUE;
	other = tables_identity(TABLES_EPT);
	tables_map(&other, GUEST_PHYSICAL, (ulong)page, LEVEL_4K, 0);
	tables_map(&other, ALIGN_DOWN((ulong)guest->tables.root, PAGE_SIZE), (ulong)page_alloc(),
		   LEVEL_4K, 0);
	list[0] = (ulong)other.root | EPTP_WRITE_BACK | EPTP_WALK_4_LEVELS;
	tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, 0);
	for (unsigned int i = 0; i < 4; i++)
		pdptes[i] = vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i);
	vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, VMFUNC_EPTP_SWITCHING);
	vmcs_write(VMCS_EPTP_LIST_ADDRESS, (ulong)list);
	guest->world.registers.bx = LINEAR;
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal((u32)guest->world.registers.ax, READ_VALUE, "value");
	for (unsigned int i = 0; i < 4; i++)
		check_equal(vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i), pdptes[i], "pdpte-%u", i);
}
VMX_SUBTEST("vmfunc.pae", test_pdptes);

/* Outside VMX non-root operation there is none. */
static const u8 code_root[] __aligned(16) = { 0x0f, 0x01, 0xd4 };

static void test_root(void)
{
	struct context user = context_user(code_root), kernel = context_kernel(code_root);

	check_fault(context_run(&kernel), FAULT_UD, "ring0");
	check_fault(context_run(&user), FAULT_UD, "ring3");
}
VMX_SUBTEST("vmfunc.root", test_root);
