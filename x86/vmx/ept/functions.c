// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is built on EPT. VM function 0 lets L2 change its EPT pointer to one of a list: which
 * registers mean an exit, #UD, or a switch that the next access sees. Some EPT violations become
 * virtualization exceptions, #VE, with what the exit would have told in a page of memory, unless
 * the entry suppresses it or the page is still in use. With mode-based execute control the right
 * to execute is two, for the pages of L2's supervisor and of its user.
 *
 * SDM volume 3C, "VM Functions", "EPTP Switching", "Virtualization Exceptions", "EPT
 * Violations".
 */
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

/* "Virtualization-Exception Information" */
struct ve_information {
	u32 reason, busy;
	u64 qualification, linear, physical;
	u16 eptp_index;
};
#define VE_BUSY 0xffffffffu

static struct ve_information *prepare_ve(struct place *place, enum access access)
{
	struct ve_information *information = page_alloc();

	place_again(place, FINAL, access);
	vmx_set(VMX_SECONDARY_EPT_VIOLATION_VE);
	vmcs_write(VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS, (ulong)information);
	vmcs_write(VMCS_EPTP_INDEX, 0x1234);
	return information;
}

static bool has_ve(void)
{
	return vmx_needs(VMX_SECONDARY_EPT_VIOLATION_VE) && vmx_needs(VMX_SECONDARY_EPT);
}

/* The exception, which exits as it is in the exception bitmap, and what the page then holds. */
static void test_ve(void)
{
	struct place place;

	if (!has_ve() || !place_make(&place, FINAL))
		return;
	for (enum access access = 0; access < ACCESSES; access++) {
		struct ve_information *information = prepare_ve(&place, access);
		ulong offset = access == FETCH ? 4 : 0;

		prefix_push("%s", access_names[access]);
		place_set(&place, 1, place_entry(&place, 1) & ~EPT_RIGHTS);
		vmx_run(place.guest);
		check_exception(place.guest, FAULT(VECTOR_VE), "exit");
		check_equal(information->reason, EXIT_EPT_VIOLATION, "reason");
		check_equal(information->busy, VE_BUSY, "busy");
		check_equal(information->qualification & VIOLATION_JUDGED,
			    BIT_ULL(access) | VIOLATION_LINEAR | VIOLATION_FINAL, "qualification");
		check_equal(information->linear, LINEAR + offset, "linear");
		check_equal(information->physical, GUEST_PHYSICAL + offset, "physical");
		check_equal(information->eptp_index, 0x1234, "eptp-index");
		prefix_pop();
	}
}
VMX_SUBTEST("ve", test_ve);

/* The exit that comes in its place, and leaves the page as it was. */
static void test_no_ve(void)
{
	static const struct {
		const char *name;
		unsigned int level;
		u64 set; /* in the entry, besides its loss of rights */
		u32 busy;
		bool misconfigured, ve;
	} rows[] = {
		{ "suppressed", 1, EPT_SUPPRESS_VE, 0, false, false },
		{ "suppressed-level-2", 2, EPT_SUPPRESS_VE, 0, false, false },
		{ "suppressed-level-3", 3, EPT_SUPPRESS_VE, 0, false, false },
		{ "not-suppressed-level-2", 2, 0, 0, false, true },
		{ "busy", 1, 0, VE_BUSY, false, false },
		{ "busy-1", 1, 0, 1, false, false },
		{ "busy-0x80000000", 1, 0, 0x80000000, false, false },
		{ "misconfigured", 1, 0, 0, true, false },
	};
	struct place place;

	if (!has_ve() || !place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ve_information *information = prepare_ve(&place, READ);
		u64 entry = place_entry(&place, rows[i].level);

		prefix_push("%s", rows[i].name);
		information->busy = rows[i].busy;
		place_set(&place, rows[i].level,
			  (entry & ~EPT_RIGHTS) | (rows[i].misconfigured ? EPT_WRITE : 0) |
			      rows[i].set);
		vmx_run(place.guest);
		if (rows[i].ve) {
			check_exception(place.guest, FAULT(VECTOR_VE), "exit");
		} else {
			check_exit(place.guest,
				   rows[i].misconfigured ? EXIT_EPT_MISCONFIGURATION
							 : EXIT_EPT_VIOLATION,
				   "exit");
			check_equal(information->busy, rows[i].busy, "busy");
			check_equal(information->reason, 0, "reason");
		}
		place_set(&place, rows[i].level, entry);
		prefix_pop();
	}
	/* Bit 63 in an entry that refers to a table does not suppress what lies below. */
	for (unsigned int level = 2; level < EPT_LEVELS; level++) {
		struct ve_information *information = prepare_ve(&place, READ);

		place_set(&place, 1, place_entry(&place, 1) & ~EPT_RIGHTS);
		place_set(&place, level, place_entry(&place, level) | EPT_SUPPRESS_VE);
		vmx_run(place.guest);
		check_exception(place.guest, FAULT(VECTOR_VE), "above-level-%u.exit", level);
		check_equal(information->busy, VE_BUSY, "above-level-%u.busy", level);
	}
}
VMX_SUBTEST("ve_not", test_no_ve);

/* Handled by L2 itself: the handler's frame, and no exit at all. */
static void read_ve(void *argument)
{
	struct fault *fault = argument;

	asm volatile(TRY("movl (%[place]), %%ecx")
		     : TRY_RESULT(*fault)
		     : [place] "r"(LINEAR)
		     : "ecx", "memory");
}

static void test_ve_delivered(void)
{
	struct ve_information *information = page_alloc();
	struct fault fault = NO_FAULT;
	struct vmx_guest *guest;

	if (!has_ve())
		return;
	guest = vmx_guest_call(read_ve, &fault);
	vmx_ept(guest);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	vmx_set(VMX_SECONDARY_EPT_VIOLATION_VE);
	vmcs_write(VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS, (ulong)information);
	tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, 0);
	tables_set(&guest->ept, GUEST_PHYSICAL, LEVEL_4K, 0);
	vmx_ept_flush();
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_fault(fault, FAULT(VECTOR_VE), "exception");
	check_equal(information->physical, GUEST_PHYSICAL, "physical");
}
VMX_SUBTEST("ve_delivered", test_ve_delivered);

/* Bit 2 is for pages of the supervisor, bit 10 for those of the user; the control off: bit 2. */
static void test_mode_based(void)
{
	struct place place;

	if (!vmx_needs(VMX_SECONDARY_MODE_BASED_EXECUTE) || !place_make(&place, FINAL))
		return;
	for (unsigned int row = 0; row < 16; row++) {
		bool user = row & 1, control = row & 8;
		u64 rights = (row & 2 ? EPT_EXECUTE : 0) | (row & 4 ? EPT_EXECUTE_USER : 0);
		bool allowed = rights & (control && user ? EPT_EXECUTE_USER : EPT_EXECUTE);
		u64 entry;

		prefix_push("%s.%s.supervisor-%u.user-%u", control ? "on" : "off",
			    user ? "user-page" : "supervisor-page", row >> 1 & 1, row >> 2 & 1);
		place_again(&place, FINAL, FETCH);
		if (control) {
			/* L2's own code is in pages of its user. */
			for (u64 address = 0; address < ram_size(); address += 2u << 20)
				tables_set(&place.guest->ept, address, LEVEL_2M,
					   tables_get(&place.guest->ept, address, LEVEL_2M) |
					       EPT_EXECUTE_USER);
			for (unsigned int level = 2; level <= EPT_LEVELS; level++) {
				tables_set(&place.guest->ept, 0, level,
					   tables_get(&place.guest->ept, 0, level) |
					       EPT_EXECUTE_USER);
				place_set(&place, level,
					  place_entry(&place, level) | EPT_EXECUTE_USER);
			}
			vmx_set(VMX_SECONDARY_MODE_BASED_EXECUTE);
		}
		tables_map(&place.guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K,
			   user ? 0 : PTE_USER);
		entry = place_entry(&place, 1);
		place_set(&place, 1, (entry & ~(EPT_EXECUTE | EPT_EXECUTE_USER)) | rights);
		vmx_run(place.guest);
		if (allowed) {
			place_check_done(&place, FETCH, "allowed");
		} else if (check_exit(place.guest, EXIT_EPT_VIOLATION, "violation")) {
			u64 qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

			check(!!(qualification & BIT(5)) == !!(rights & EPT_EXECUTE),
			      "bit-5.supervisor");
			if (control)
				check(!!(qualification & BIT(6)) == !!(rights & EPT_EXECUTE_USER),
				      "bit-6.user");
		}
		prefix_pop();
	}
}
VMX_SUBTEST("mode_based_execute", test_mode_based);
