// SPDX-License-Identifier: BSD-2-Clause
/* Numbers in the control fields: counts, thresholds, the EPT pointer, VPID, VM functions. */
#include "msr.h"
#include "vmx/entry.h"

static void test_cr3_targets(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	unsigned int most = vmx_capabilities.misc >> 16 & 0x1ff;

	for (unsigned int count = 0; count <= most; count++)
		must_enter_with(guest, VMCS_CR3_TARGET_COUNT, count, "count-%u", count);
	must_refuse(guest, BY_CONTROLS, VMCS_CR3_TARGET_COUNT, most + 1, "one-more");
	must_refuse(guest, BY_CONTROLS, VMCS_CR3_TARGET_COUNT, 256, "bit-8");
	must_refuse(guest, BY_CONTROLS, VMCS_CR3_TARGET_COUNT, BIT(31), "bit-31");
	must_refuse(guest, BY_CONTROLS, VMCS_CR3_TARGET_COUNT, ~0u, "all");
}

ENTRY_SUBTEST("cr3-targets", test_cr3_targets);

#define VTPR 0x80 /* in the virtual-APIC page */

static u8 virtual_apic[4096] __aligned(4096);

static struct vmx_guest *tpr_guest(u8 vtpr)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);

	vmx_set(VMX_PRIMARY_TPR_SHADOW);
	vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)virtual_apic);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	virtual_apic[VTPR] = vtpr;
	return guest;
}

/* Its bits 3:0 must not be greater than VTPR's bits 7:4; bits 3:0 of VTPR do not count. */
static void test_tpr_threshold(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW))
		return;
	guest = tpr_guest(0xf0);
	must_refuse_bits(guest, BY_CONTROLS, VMCS_TPR_THRESHOLD, ~0xfu, "reserved");
	for (u8 class = 0; class < 16; class ++) {
		guest = tpr_guest(class << 4 | 0xf);
		must_enter_with(guest, VMCS_TPR_THRESHOLD, class, "equal.class-%u", class);
		if (class)
			must_enter_with(guest, VMCS_TPR_THRESHOLD, class - 1, "below.class-%u",
					class);
		if (class < 15)
			must_refuse(guest, BY_CONTROLS, VMCS_TPR_THRESHOLD, class + 1,
				    "above.class-%u", class);
	}
	vmx_clear(VMX_PRIMARY_TPR_SHADOW);
	must_enter_with(guest, VMCS_TPR_THRESHOLD, ~0u, "off");
}

ENTRY_SUBTEST("tpr-threshold", test_tpr_threshold);

/* With APIC accesses virtualized a greater threshold is legal: an exit follows at once. */
static void test_tpr_threshold_apic_accesses(void)
{
	static u8 apic_access[4096] __aligned(4096);
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW) ||
	    !vmx_needs(VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES))
		return;
	guest = tpr_guest(0x20);
	vmx_set(VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES);
	vmcs_write(VMCS_APIC_ACCESS_ADDRESS, (ulong)apic_access);
	must_enter_with(guest, VMCS_TPR_THRESHOLD, 2, "equal");
	entry_ends_with(EXIT_TPR_BELOW_THRESHOLD);
	must_enter_with(guest, VMCS_TPR_THRESHOLD, 3, "above");
	entry_ends_with(EXIT_VMCALL);
	must_refuse_bits(guest, BY_CONTROLS, VMCS_TPR_THRESHOLD, ~0xfu, "reserved");
}

ENTRY_SUBTEST("tpr-threshold-apic-accesses", test_tpr_threshold_apic_accesses);

/* With virtual-interrupt delivery the threshold is not looked at. */
static void test_tpr_threshold_delivery(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW) ||
	    !vmx_needs(VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY))
		return;
	guest = tpr_guest(0);
	vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
	vmx_set(VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
	must_enter_with(guest, VMCS_TPR_THRESHOLD, 1, "above");
	must_enter_bits(guest, VMCS_TPR_THRESHOLD, ~0xfu, "reserved");
}

ENTRY_SUBTEST("tpr-threshold-delivery", test_tpr_threshold_delivery);

static void test_vpid(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_SECONDARY_VPID))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 0, "off");
	vmx_vpid(guest);
	must_refuse(guest, BY_CONTROLS, VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 0, "zero");
	must_enter_with(guest, VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 1, "first");
	must_enter_with(guest, VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 0xffff, "last");
}

ENTRY_SUBTEST("vpid", test_vpid);

/* A vector has 8 bits, the field 16. */
static void test_notification_vector(void)
{
	static const u32 controls[] = { VMX_PRIMARY_TPR_SHADOW,
					VMX_PIN_EXTERNAL_INTERRUPT_EXITING,
					VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY,
					VMX_EXIT_ACKNOWLEDGE_INTERRUPT,
					VMX_PIN_POSTED_INTERRUPTS,
					0 };
	static u8 descriptor[64] __aligned(64);
	struct vmx_guest *guest;

	if (!vmx_needs_all(controls))
		return;
	guest = tpr_guest(0);
	for (const u32 *control = controls; *control; control++)
		vmx_set(*control);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
	vmcs_write(VMCS_POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, (ulong)descriptor);
	vmcs_write(VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xe0);
	must_enter(guest, "legal");
	must_enter_with(guest, VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xff, "last");
	must_refuse_bits(guest, BY_CONTROLS, VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xff00,
			 "beyond");
}

ENTRY_SUBTEST("notification-vector", test_notification_vector);

/* IA32_VMX_EPT_VPID_CAP, of what lib/x86/vmx/controls.h has no name for. */
#define EPT_5_LEVELS	 BIT_ULL(7)
#define EPT_UC		 BIT_ULL(8)
#define EPT_WB		 BIT_ULL(14)
#define EPT_SHADOW_STACK BIT_ULL(23)

/* "Extended-Page-Table Pointer": memory type 2:0, length of a walk less 1 in 5:3, A/D flags 6. */
static void test_ept_pointer(void)
{
	struct vmx_guest *guest;
	u64 capabilities, pointer, reserved;

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_EPT_POINTER, ~0ull, "off");
	vmx_ept(guest);
	capabilities = vmx_capabilities.ept_vpid;
	pointer = vmcs_read(VMCS_EPT_POINTER);
	for (u64 type = 0; type < 8; type++) {
		u64 value = (pointer & ~7ull) | type;

		if ((type == 0 && capabilities & EPT_UC) || (type == 6 && capabilities & EPT_WB))
			must_enter_with(guest, VMCS_EPT_POINTER, value, "type-%llu", type);
		else
			must_refuse(guest, BY_CONTROLS, VMCS_EPT_POINTER, value, "type-%llu", type);
	}
	for (u64 length = 0; length < 8; length++) {
		u64 value = (pointer & ~0x38ull) | length << 3;

		if (length == 3)
			must_enter_with(guest, VMCS_EPT_POINTER, value, "levels-4");
		else if (length == 4 && capabilities & EPT_5_LEVELS)
			check_skip("these tables have no fifth level", "levels-5");
		else
			must_refuse(guest, BY_CONTROLS, VMCS_EPT_POINTER, value, "levels-%llu",
				    length + 1);
	}
	reserved = 0xf00 | ~0ull << cpu_physical_address_bits();
	if (capabilities & EPT_ACCESSED_DIRTY)
		must_enter_bits(guest, VMCS_EPT_POINTER, BIT(6), "accessed-dirty");
	else
		reserved |= BIT(6);
	if (!(capabilities & EPT_SHADOW_STACK))
		reserved |= BIT(7);
	must_refuse_bits(guest, BY_CONTROLS, VMCS_EPT_POINTER, reserved, "reserved");
}

ENTRY_SUBTEST("ept-pointer", test_ept_pointer);

/* "VM-Function Controls" */
static void test_vm_functions(void)
{
	static u64 list[512] __aligned(4096);
	struct vmx_guest *guest;
	u64 allowed;

	if (!vmx_needs(VMX_SECONDARY_VM_FUNCTIONS))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_VM_FUNCTION_CONTROLS, ~0ull, "off");
	allowed = vmx_capabilities.vmfunc;
	vmx_set(VMX_SECONDARY_VM_FUNCTIONS);
	vmcs_write(VMCS_VM_FUNCTION_CONTROLS, 0);
	must_enter(guest, "none");
	must_refuse_bits(guest, BY_CONTROLS, VMCS_VM_FUNCTION_CONTROLS, ~allowed, "reserved");
	if (!(allowed & 1))
		return;
	/* EPTP switching needs EPT. */
	vmcs_write(VMCS_EPTP_LIST_ADDRESS, (ulong)list);
	must_refuse(guest, BY_CONTROLS, VMCS_VM_FUNCTION_CONTROLS, 1, "eptp-switching.without-ept");
	vmx_ept(guest);
	must_enter_with(guest, VMCS_VM_FUNCTION_CONTROLS, 1, "eptp-switching");
}

ENTRY_SUBTEST("vm-functions", test_vm_functions);

static void test_tsc_multiplier(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_SECONDARY_TSC_SCALING))
		return;
	guest = entry_guest(L2_NATIVE);
	must_enter_with(guest, VMCS_TSC_MULTIPLIER, 0, "off");
	vmx_set(VMX_SECONDARY_TSC_SCALING);
	vmcs_write(VMCS_TSC_MULTIPLIER, 1ull << 48);
	must_refuse(guest, BY_CONTROLS, VMCS_TSC_MULTIPLIER, 0, "zero");
	must_enter_with(guest, VMCS_TSC_MULTIPLIER, 1, "least");
	must_enter_with(guest, VMCS_TSC_MULTIPLIER, ~0ull, "most");
}

ENTRY_SUBTEST("tsc-multiplier", test_tsc_multiplier);
