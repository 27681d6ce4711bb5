// SPDX-License-Identifier: BSD-2-Clause
/*
 * Page faults, for which the exception bitmap has a mask and a match of the error code, and triple
 * faults, for which it has nothing: SDM volume 3C, "Exception Bitmap", "Other Causes of VM Exits".
 * A page fault's exit has the address as the qualification, and not in CR2.
 */
#include "exits.h"
#include "msr.h"
#include "paging.h"

EXITS_TEXT(load, "", "movl (" R(ax) "), %ecx");
EXITS_TEXT(store, "", "movl %ecx, (" R(ax) ")");
EXITS_TEXT(fetch, "", "jmp *" R(ax));

static const struct page_fault {
	const char *name;
	const u8 *code;
	bool present, ring3;
	u32 error;
} page_faults[] = {
	{ "read", load, false, false, 0 },
	{ "write", store, false, false, PF_WRITE },
	{ "write-protected", store, true, false, PF_PRESENT | PF_WRITE },
	{ "ring3-read", load, false, true, PF_USER },
	{ "ring3-write", store, true, true, PF_PRESENT | PF_WRITE | PF_USER },
};

static struct vmx_guest *page_fault_guest(const struct page_fault *row)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, row->code);
	u8 *page = absent_page(guest);
	u64 flags = tables_page_flags(guest->tables.format) & ~(PTE_WRITABLE | PTE_USER);

	if (row->present)
		tables_set(&guest->tables, (ulong)page, 1, (ulong)page | flags);
	guest->world.registers.ax = (ulong)page + 8;
	if (row->ring3)
		vmx_enter_ring3(guest);
	return guest;
}

static void test_page_fault(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(page_faults); i++) {
		const struct page_fault *row = &page_faults[i];
		struct vmx_guest *guest = page_fault_guest(row);

		write_cr2(0x1234);
		vmx_run(guest);
		check_exception(guest, FAULT_PF(row->error), "%s", row->name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), guest->world.registers.ax,
			    "%s.qualification", row->name);
		check_equal(read_cr2(), 0x1234, "%s.cr2", row->name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)row->code, "%s.rip", row->name);
	}
}
VMX_SUBTEST("exception.pf", test_page_fault);

/*
 * "Exception Bitmap": with (error code & mask) equal to match bit 14 is as for others;
 * else its meaning is the opposite. What is not an exit L2 handles, in ring 0 alone.
 */
static const struct {
	const char *name;
	u32 mask, match;
} filters[] = {
	{ "all", 0, 0 },
	{ "none", 0, 0xffffffff },
	{ "present", PF_PRESENT, PF_PRESENT },
	{ "not-present", PF_PRESENT, 0 },
	{ "write", PF_WRITE, PF_WRITE },
	{ "present-write", PF_PRESENT | PF_WRITE, PF_PRESENT | PF_WRITE },
	{ "user", PF_USER, PF_USER },
	{ "exact-write", 0xffffffff, PF_WRITE },
	{ "match-beyond-mask", PF_WRITE, PF_WRITE | PF_PRESENT },
	{ "high-bit", 1u << 31, 0 },
	{ "high-bit-set", 1u << 31, 1u << 31 },
};

static void test_filter(bool bit)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(page_faults); n++) {
			const struct page_fault *row = &page_faults[n];
			bool equal = (row->error & filters[i].mask) == filters[i].match;
			struct vmx_guest *guest;

			if (row->ring3 && equal != bit)
				continue;
			guest = page_fault_guest(row);
			vmcs_write(VMCS_EXCEPTION_BITMAP, (u32)bit << VECTOR_PF);
			vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MASK, filters[i].mask);
			vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, filters[i].match);
			vmx_run(guest);
			if (equal == bit)
				check_exception(guest, FAULT_PF(row->error), "%s.%s",
						filters[i].name, row->name);
			else
				check_exit(guest, EXIT_VMCALL, "%s.%s", filters[i].name, row->name);
		}
	}
}

static void test_filter_set(void)
{
	test_filter(true);
}
VMX_SUBTEST("exception.pf-filter.bit-set", test_filter_set);

static void test_filter_clear(void)
{
	test_filter(false);
}
VMX_SUBTEST("exception.pf-filter.bit-clear", test_filter_clear);

#if PAGING_LEVELS > 2
/* An instruction fetch, the last bit that the error code has everywhere. */
static void test_fetch(void)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, fetch);

	if (!cpu_has(FEATURE_NX) || !vmx_allows(VMX_ENTRY_LOAD_EFER)) {
		check_skip("the CPU has no execute-disable, or no way to load IA32_EFER", "exit");
		return;
	}
	vmcs_write(VMCS_GUEST_IA32_EFER, vmcs_read(VMCS_GUEST_IA32_EFER) | EFER_NX);
	guest->world.registers.ax = (ulong)absent_page(guest);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MASK, PF_FETCH);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, PF_FETCH);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_PF);
	vmx_run(guest);
	check_exception(guest, FAULT_PF(PF_FETCH), "exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), guest->world.registers.ax, "qualification");
	check_equal(vmcs_read(VMCS_GUEST_RIP), guest->world.registers.ax, "rip");
}
VMX_SUBTEST("exception.pf-fetch", test_fetch);
#endif

/* No bit of the bitmap keeps a triple fault from being an exit. */
static void test_triple_fault(void)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, load);

	guest->world.registers.ax = (ulong)absent_page(guest);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_TRIPLE_FAULT, 0, "exit");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "no-idt-vectoring");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID, 0,
		    "no-interruption");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)load_at, "rip");
}
VMX_SUBTEST("triple-fault", test_triple_fault);
