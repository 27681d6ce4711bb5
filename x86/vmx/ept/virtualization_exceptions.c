// SPDX-License-Identifier: BSD-2-Clause
/*
 * Some EPT violations become virtualization exceptions, #VE, with what the exit would have told in
 * a page of memory. Not if the entry suppresses it, the page is still in use, an event is being
 * delivered, which would be lost, or L2 is in real mode: then it is the exit.
 *
 * SDM volume 3C, "Virtualization Exceptions", "Convertible EPT Violations",
 * "Virtualization-Exception Information".
 */
#include "control.h"
#include "ept.h"
#include "string.h"

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

/*
 * A push of an event's delivery. The event is in the IDT-vectoring information, to be injected
 * again; with #VE in its place nobody would know of it.
 */
static void test_ve_during_delivery(void)
{
	static const u32 events[] = {
		INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | VECTOR_UD,
		INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_HARDWARE_EXCEPTION) | VECTOR_UD,
		INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_SOFTWARE_INTERRUPT) | VECTOR_UD,
	};
	static const char *const names[] = { "interrupt", "exception", "int" };
	struct place place;

	if (!has_ve() || !place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++) {
		struct ve_information *information = prepare_ve(&place, READ);

		prefix_push("%s", names[i]);
		place_set(&place, 1, place_entry(&place, 1) & ~EPT_RIGHTS);
		vmcs_write(VMCS_GUEST_RSP, LINEAR + PAGE_SIZE);
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_IF);
		vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, events[i]);
		vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 2);
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_EPT_VIOLATION, "exit");
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), events[i], "vectoring");
		check_equal(information->busy, 0, "busy");
		check_equal(information->reason, 0, "reason");
		prefix_pop();
	}
}
VMX_SUBTEST("ve.during-delivery", test_ve_during_delivery);

L2_CODE(code_real, ".code16\n movl (%bx), %eax\n vmcall");

static void test_ve_real(void)
{
	struct ve_information *information;
	struct vmx_guest *guest;

	if (!has_ve() || !vmx_mode_ready(L2_REAL))
		return;
	information = page_alloc();
	guest = vmx_guest(L2_REAL, code_real);
	vmx_set(VMX_SECONDARY_EPT_VIOLATION_VE);
	vmcs_write(VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS, (ulong)information);
	vmcs_write(VMCS_GUEST_DS_BASE, GUEST_PHYSICAL);
	tables_set(&guest->ept, GUEST_PHYSICAL, LEVEL_4K, 0);
	vmx_ept_flush();
	vmx_run(guest);
	check_exit(guest, EXIT_EPT_VIOLATION, "exit");
	check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), GUEST_PHYSICAL, "physical");
	check_equal(information->busy, 0, "busy");
	check_equal(information->reason, 0, "reason");
}
VMX_SUBTEST("ve.real", test_ve_real);
