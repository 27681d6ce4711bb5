// SPDX-License-Identifier: BSD-2-Clause
/*
 * Page-modification logging: when a dirty flag is set, the address of the 4-KByte page that was
 * written is put into a log, whatever the size of the page that EPT maps it with. The log is filled
 * from its end; its index falls by one with each address, and one more than there is place for is
 * an exit.
 *
 * SDM volume 3C, "Page-Modification Logging".
 */
#include "ept.h"

#define PML_ENTRIES 512

static u64 *start_log(struct place *place, u16 index)
{
	u64 *log = page_alloc();

	vmx_set(VMX_SECONDARY_PML);
	vmcs_write(VMCS_PML_ADDRESS, (ulong)log);
	vmcs_write(VMCS_PML_INDEX, index);
	return log;
}

/* Is a page in the entries that were written? The walks of L2's tables are logged as well. */
static unsigned int logged(const u64 *log, u16 index, u64 page)
{
	unsigned int found = 0;

	for (unsigned int i = (u16)(index + 1); i < PML_ENTRIES; i++)
		found += log[i] == page;
	return found;
}

static void test_log(void)
{
	struct place place;
	u64 *log;

	if (!vmx_needs(VMX_SECONDARY_PML) || !place_make_with_flags(&place, FINAL))
		return;
	for (enum access access = READ; access <= WRITE; access++) {
		prefix_push("%s", access_names[access]);
		place_again(&place, FINAL, access);
		place_clear_flags(&place);
		log = start_log(&place, PML_ENTRIES - 1);
		vmx_run(place.guest);
		place_check_done(&place, access, "first");
		check_equal(logged(log, vmcs_read(VMCS_PML_INDEX), GUEST_PHYSICAL), access == WRITE,
			    "logged");
		/* The flag is set now: another write logs nothing. */
		vmcs_write(VMCS_GUEST_RIP, (ulong)place.guest->code);
		vmx_run(place.guest);
		check_equal(logged(log, vmcs_read(VMCS_PML_INDEX), GUEST_PHYSICAL), access == WRITE,
			    "not-again");
		prefix_pop();
	}
}
VMX_SUBTEST("log", test_log);

/* Indexes that are not 511 to 0 are a full log: the exit comes before the flag and the write. */
static void test_log_full(void)
{
	static const u16 indexes[] = { 512, 0x7fff, 0x8000, 0xffff };
	struct place place;

	if (!vmx_needs(VMX_SECONDARY_PML) || !place_make_with_flags(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++) {
		prefix_push("index-%#x", indexes[i]);
		/* L2's tables have their dirty flags since this run. */
		place_again(&place, FINAL, READ);
		vmx_run(place.guest);
		place_again(&place, FINAL, WRITE);
		place_clear_flags(&place);
		start_log(&place, indexes[i]);
		vmx_run(place.guest);
		check_exit(place.guest, EXIT_PML_FULL, "exit");
		check(!(place_entry(&place, 1) & EPT_DIRTY), "not-dirty");
		check_equal(place.data[0], READ_VALUE, "nothing-written");
		check_equal(vmcs_read(VMCS_PML_INDEX), indexes[i], "index");
		vmcs_write(VMCS_PML_INDEX, PML_ENTRIES - 1);
		vmx_run(place.guest);
		place_check_done(&place, WRITE, "emptied");
		prefix_pop();
	}
}
VMX_SUBTEST("log_full", test_log_full);

/* Three pages in another order than that of their addresses; each has one entry, in this order. */
L2_CODE(code_three, "mov %ecx, 0x2000(%ebx)\n mov %ecx, (%ebx)\n mov %ecx, 0x1000(%ebx)\n"
		    "mov %ecx, 4(%ebx)\n vmcall");

static void test_log_order(void)
{
	static const u16 order[] = { 2, 0, 1 };
	struct place place;
	u64 *log;

	if (!vmx_needs(VMX_SECONDARY_PML) || !place_make_with_flags(&place, FINAL))
		return;
	place_code(&place, FINAL, code_three);
	for (unsigned int i = 0; i < 3; i++) {
		tables_map(&place.guest->tables, LINEAR + i * PAGE_SIZE,
			   GUEST_PHYSICAL + i * PAGE_SIZE, LEVEL_4K, 0);
		tables_map(&place.guest->ept, GUEST_PHYSICAL + i * PAGE_SIZE, (ulong)page_alloc(),
			   LEVEL_4K, 0);
	}
	/* L2's tables have their dirty flags since this run. */
	vmx_run(place.guest);
	check_exit(place.guest, EXIT_VMCALL, "first");
	for (unsigned int i = 0; i < 3; i++) {
		u64 page = GUEST_PHYSICAL + i * PAGE_SIZE;

		tables_set(&place.guest->ept, page, LEVEL_4K,
			   tables_get(&place.guest->ept, page, LEVEL_4K) & ~EPT_DIRTY);
	}
	vmx_ept_flush();
	log = start_log(&place, PML_ENTRIES - 1);
	vmcs_write(VMCS_GUEST_RIP, (ulong)place.guest->code);
	vmx_run(place.guest);
	check_exit(place.guest, EXIT_VMCALL, "exit");
	check_equal(vmcs_read(VMCS_PML_INDEX), PML_ENTRIES - 1 - ARRAY_SIZE(order), "index");
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		check_equal(log[PML_ENTRIES - 1 - i], GUEST_PHYSICAL + order[i] * PAGE_SIZE,
			    "entry-%u", PML_ENTRIES - 1 - i);
}
VMX_SUBTEST("log_order", test_log_order);

static void test_log_large(unsigned int level)
{
	struct place place;
	u64 *log;

	if (!vmx_needs(VMX_SECONDARY_PML) || !place_make_with_flags(&place, FINAL) ||
	    !place_large(&place, WRITE, level, EPT_RIGHTS))
		return;
	log = start_log(&place, PML_ENTRIES - 1);
	vmx_run(place.guest);
	place_check_done(&place, WRITE, "write");
	check_equal(logged(log, vmcs_read(VMCS_PML_INDEX), place.physical), 1, "logged");
}

static void test_log_2m(void)
{
	test_log_large(2);
}
VMX_SUBTEST("log.2m", test_log_2m);

static void test_log_1g(void)
{
	test_log_large(3);
}
VMX_SUBTEST("log.1g", test_log_1g);
