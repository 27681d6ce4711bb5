// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses in the control fields: aligned, and within the processor's physical address width (or
 * within 32 bits, where IA32_VMX_BASIC says so), each as long as its control is 1.
 */
#include "control.h"
#include "msr.h"
#include "printf.h"
#include "vmx/entry.h"
#include "vmx/msr_area.h"

static u8 page[4096] __aligned(4096);

static void tpr_shadow(struct vmx_guest *guest)
{
	(void)guest;
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
}

static void pml(struct vmx_guest *guest)
{
	vmcs_write(VMCS_PML_INDEX, 511);
	vmx_ept(guest);
}

static void eptp_switching(struct vmx_guest *guest)
{
	vmx_ept(guest);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 1);
}

static void posted_interrupts(struct vmx_guest *guest)
{
	(void)guest;
	vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)page);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
	vmcs_write(VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xe0);
}

static const struct address {
	const char *id;
	u32 field;
	u32 alignment;
	const u32 *controls; /* the last of them is about the address */
	void (*setup)(struct vmx_guest *guest);
} addresses[] = {
#define LEGAL(...) .controls = CONTROLS(__VA_ARGS__)
	{ "io-bitmap-a", VMCS_IO_BITMAP_A, 4096, LEGAL(VMX_PRIMARY_IO_BITMAPS) },
	{ "io-bitmap-b", VMCS_IO_BITMAP_B, 4096, LEGAL(VMX_PRIMARY_IO_BITMAPS) },
	{ "msr-bitmap", VMCS_MSR_BITMAP, 4096, LEGAL(VMX_PRIMARY_MSR_BITMAPS) },
	{ "virtual-apic", VMCS_VIRTUAL_APIC_ADDRESS, 4096, LEGAL(VMX_PRIMARY_TPR_SHADOW),
	  .setup = tpr_shadow },
	{ "apic-access", VMCS_APIC_ACCESS_ADDRESS, 4096,
	  LEGAL(VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES) },
	{ "posted-interrupt-descriptor", VMCS_POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 64,
	  LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_PIN_EXTERNAL_INTERRUPT_EXITING,
		VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, VMX_EXIT_ACKNOWLEDGE_INTERRUPT,
		VMX_PIN_POSTED_INTERRUPTS),
	  .setup = posted_interrupts },
	{ "pml", VMCS_PML_ADDRESS, 4096, LEGAL(VMX_SECONDARY_EPT, VMX_SECONDARY_PML),
	  .setup = pml },
	{ "sub-page-table", VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER, 4096,
	  LEGAL(VMX_SECONDARY_EPT, VMX_SECONDARY_SUB_PAGE_WRITE), .setup = vmx_ept },
	{ "eptp-list", VMCS_EPTP_LIST_ADDRESS, 4096,
	  LEGAL(VMX_SECONDARY_EPT, VMX_SECONDARY_VM_FUNCTIONS), .setup = eptp_switching },
	{ "vmread-bitmap", VMCS_VMREAD_BITMAP_ADDRESS, 4096, LEGAL(VMX_SECONDARY_VMCS_SHADOWING) },
	{ "vmwrite-bitmap", VMCS_VMWRITE_BITMAP_ADDRESS, 4096,
	  LEGAL(VMX_SECONDARY_VMCS_SHADOWING) },
	{ "virtualization-exception", VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS, 4096,
	  LEGAL(VMX_SECONDARY_EPT, VMX_SECONDARY_EPT_VIOLATION_VE), .setup = vmx_ept },
};

static void test_address(const struct address *row)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u32 last = 0;

	if (row->field == VMCS_VMWRITE_BITMAP_ADDRESS)
		vmcs_write(VMCS_VMREAD_BITMAP_ADDRESS, (ulong)page);
	if (row->field == VMCS_VMREAD_BITMAP_ADDRESS)
		vmcs_write(VMCS_VMWRITE_BITMAP_ADDRESS, (ulong)page);
	for (const u32 *control = row->controls; *control; control++)
		vmx_set(last = *control);
	if (row->setup)
		row->setup(guest);
	if (VMX_CONTROL_WORD(last) != WORD_PRIMARY || last == VMX_PRIMARY_TPR_SHADOW)
		vmcs_write(row->field, (ulong)page);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_CONTROLS, row->field,
			 (row->alignment - 1) | entry_bits_beyond_memory(), "refused");
	vmx_clear(last);
	must_enter_with(guest, row->field, ~0ull, "off");
}

static void test_addresses(const struct address *from, const struct address *to)
{
	for (const struct address *row = from; row < to; row++) {
		const u32 *control = row->controls;
		char reason[80];

		while (*control && vmx_allows(*control))
			control++;
		if (*control == 0) {
			prefix_push("%s", row->id);
			test_address(row);
			prefix_pop();
			continue;
		}
		snprintf(reason, sizeof(reason), "the CPU does not allow the control %s",
			 vmx_control_name(*control));
		check_skip(reason, "%s", row->id);
	}
}

static void test_all_addresses(void)
{
	test_addresses(addresses, addresses + ARRAY_SIZE(addresses));
}

ENTRY_SUBTEST("addresses", test_all_addresses);

/* The last page that there can be is legal, also where no memory is: L2 does not use them. */
static void test_last_page(void)
{
	static const struct {
		const char *id;
		u32 field, control;
	} rows[] = {
		{ "io-bitmap-a", VMCS_IO_BITMAP_A, VMX_PRIMARY_IO_BITMAPS },
		{ "io-bitmap-b", VMCS_IO_BITMAP_B, VMX_PRIMARY_IO_BITMAPS },
		{ "msr-bitmap", VMCS_MSR_BITMAP, VMX_PRIMARY_MSR_BITMAPS },
	};
	u64 last = ~entry_bits_beyond_memory() - 0xfff;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		if (vmx_allows(rows[i].control))
			must_enter_with(entry_guest(L2_NATIVE), rows[i].field, last, "%s",
					rows[i].id);
		else
			check_skip("the CPU has no such bitmap", "%s", rows[i].id);
	}
}

ENTRY_SUBTEST("last-page", test_last_page);

/* MSR areas: 16 bytes an entry; only looked at where the count is not 0. */
static const struct msr_area {
	const char *id;
	u32 address, count;
} msr_areas[] = {
	{ "exit-store", VMCS_VM_EXIT_MSR_STORE_ADDRESS, VMCS_VM_EXIT_MSR_STORE_COUNT },
	{ "exit-load", VMCS_VM_EXIT_MSR_LOAD_ADDRESS, VMCS_VM_EXIT_MSR_LOAD_COUNT },
	{ "entry-load", VMCS_VM_ENTRY_MSR_LOAD_ADDRESS, VMCS_VM_ENTRY_MSR_LOAD_COUNT },
};

static void test_msr_area(const struct msr_area *area)
{
	static struct msr_entry entries[2] __aligned(16);
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 beyond = ~entry_bits_beyond_memory() + 1; /* the first that there cannot be */

	for (unsigned int i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] =
		    (struct msr_entry){ MSR_IA32_SYSENTER_CS, 0, rdmsr(MSR_IA32_SYSENTER_CS) };
	must_enter_with(guest, area->address, ~0ull, "none");
	vmcs_write(area->address, (ulong)entries);
	must_enter_with(guest, area->count, 1, "one");
	must_enter_with(guest, area->count, 2, "two");
	vmcs_write(area->count, 2);
	must_refuse_bits(guest, BY_CONTROLS, area->address, 0xf | entry_bits_beyond_memory(),
			 "address");
	must_refuse(guest, BY_CONTROLS, area->address, beyond - 16, "last-byte");
	vmcs_write(area->count, 1);
	must_refuse(guest, BY_CONTROLS, area->address, beyond, "first-byte");
	/* As many as the processor says that it takes at least. "Miscellaneous Data" */
	vmcs_write(area->count, 0);
	vmcs_write(area->address, beyond - 16ull * 511);
	must_refuse(guest, BY_CONTROLS, area->count, 512, "last-byte-of-512");
}

static void test_msr_areas(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msr_areas); i++) {
		prefix_push("%s", msr_areas[i].id);
		test_msr_area(&msr_areas[i]);
		prefix_pop();
	}
}

ENTRY_SUBTEST("msr-areas", test_msr_areas);
