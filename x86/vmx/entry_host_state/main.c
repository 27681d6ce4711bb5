// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a VM entry must refuse of the host's state, which is checked although it is loaded at the
 * exit only: VMfailValid with error 8, before anything of the guest is looked at, and L1 goes on
 * with all its registers as they were. SDM volume 3C, "Checks on Host Control Registers, MSRs,
 * and SSP", "Checks on Host Segment and Descriptor-Table Registers", "Checks Related to
 * Address-Space Size".
 *
 * A hypervisor that offers nested VMX never gives L1's host state to the processor: what it does
 * not check itself is found when the exit is emulated, if at all, and then it is too late to fail.
 * Selectors, canonical addresses and EFER's consistency were missing in KVM for years.
 *
 * A legal neighbour that differs from L1's own state is made L1's before: an exit then loads what
 * is already there, and the invariants of each exit hold.
 *
 *	main.c		selectors, addresses, address-space size
 *	registers.c	control registers and MSRs
 */
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "vmx/entry.h"

TEST_SUMMARY("a VM entry refuses each illegal host state with error 8, and takes its neighbour");
TEST_MANUAL("SDM volume 3C, \"Checks on Host Control Registers, MSRs, and SSP\"");
TEST_MANUAL("SDM volume 3C, \"Checks on Host Segment and Descriptor-Table Registers\"");
TEST_MANUAL("SDM volume 3C, \"Checks Related to Address-Space Size\"");
TEST_NEEDS("VMX");

static const struct selector {
	const char *id;
	u32 field;
	bool not_null; /* in each mode */
} selectors[] = {
	{ "es", VMCS_HOST_ES_SELECTOR, false },
	{ "cs", VMCS_HOST_CS_SELECTOR, true },
	{ "ss", VMCS_HOST_SS_SELECTOR, sizeof(ulong) == 4 },
	{ "ds", VMCS_HOST_DS_SELECTOR, false },
	{ "fs", VMCS_HOST_FS_SELECTOR, false },
	{ "gs", VMCS_HOST_GS_SELECTOR, false },
	{ "tr", VMCS_HOST_TR_SELECTOR, true },
};

static void test_selectors(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
		const struct selector *row = &selectors[i];
		struct vmx_guest *guest = entry_guest(L2_NATIVE);

		prefix_push("%s", row->id);
		must_enter(guest, "legal");
		must_refuse_bits(guest, BY_HOST_STATE, row->field, 7, "rpl-ti");
		/* A null selector with TI or RPL is no null selector to this check. */
		for (u64 value = 1; value < 8; value++)
			must_refuse(guest, BY_HOST_STATE, row->field, value, "value-%llu", value);
		if (row->not_null)
			must_refuse(guest, BY_HOST_STATE, row->field, 0, "null");
		prefix_pop();
	}
}

ENTRY_SUBTEST("selectors", test_selectors);

/* Null selectors that are legal. In a 32-bit mode L1 itself needs DS, ES and SS. */
#define TEST_NULL(segment, SEGMENT)                                                                \
	do {                                                                                       \
		struct vmx_guest *guest_ = entry_guest(L2_NATIVE);                                 \
		u16 old_ = read_##segment();                                                       \
                                                                                                   \
		asm volatile("movl %0, %%" #segment : : "r"(0) : "memory");                        \
		must_enter_with(guest_, VMCS_HOST_##SEGMENT##_SELECTOR, 0, #segment);              \
		asm volatile("movl %0, %%" #segment : : "r"((u32)old_) : "memory");                \
	} while (0)

static void test_null_selectors(void)
{
	TEST_NULL(fs, FS);
	TEST_NULL(gs, GS);
#ifdef __x86_64__
	TEST_NULL(ds, DS);
	TEST_NULL(es, ES);
	TEST_NULL(ss, SS);
#endif
}

ENTRY_SUBTEST("null-selectors", test_null_selectors);

#ifdef __x86_64__
/* Each of them holds a linear address; RIP's check is one of the address-space size. */
static const struct {
	const char *id;
	u32 field, msr;
	u8 refusal;
} addresses[] = {
	{ "fs-base", VMCS_HOST_FS_BASE, MSR_FS_BASE, BY_HOST_STATE },
	{ "gs-base", VMCS_HOST_GS_BASE, MSR_GS_BASE, BY_HOST_STATE },
	{ "tr-base", VMCS_HOST_TR_BASE, 0, BY_HOST_STATE },
	{ "gdtr-base", VMCS_HOST_GDTR_BASE, 0, BY_HOST_STATE },
	{ "idtr-base", VMCS_HOST_IDTR_BASE, 0, BY_HOST_STATE },
	{ "sysenter-esp", VMCS_HOST_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_ESP, BY_HOST_STATE },
	{ "sysenter-eip", VMCS_HOST_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_EIP, BY_HOST_STATE },
	{ "rip", VMCS_HOST_RIP, 0, BY_ADDRESS_SPACE },
};

static void test_canonical(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct vmx_guest *guest = entry_guest(L2_NATIVE);
		u32 msr = addresses[i].msr;
		u64 old = msr ? rdmsr(msr) : 0;

		prefix_push("%s", addresses[i].id);
		for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++)
			must_refuse(guest, addresses[i].refusal, addresses[i].field, bad->value,
				    "%s", bad->id);
		for (unsigned int j = 0; msr && j < ARRAY_SIZE(entry_canonical); j++) {
			wrmsr(msr, entry_canonical[j].value);
			must_enter_with(guest, addresses[i].field, entry_canonical[j].value,
					"legal.%s", entry_canonical[j].id);
		}
		if (msr)
			wrmsr(msr, old);
		prefix_pop();
	}
}

ENTRY_SUBTEST("canonical", test_canonical);

/* L1 is in long mode: "host address-space size" must say so, and paging be PAE. */
static void test_address_space(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 exit = vmcs_read(VMCS_VM_EXIT_CONTROLS);

	must_refuse(guest, BY_ADDRESS_SPACE, VMCS_VM_EXIT_CONTROLS,
		    exit & ~(1ull << VMX_CONTROL_BIT(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE)),
		    "host-32bit.guest-64bit");
	must_refuse(guest, BY_ADDRESS_SPACE, VMCS_HOST_CR4,
		    vmcs_read(VMCS_HOST_CR4) & ~(u64)CR4_PAE, "without-pae");
	guest = entry_guest(L2_PAE);
	must_enter(guest, "guest-32bit");
	exit = vmcs_read(VMCS_VM_EXIT_CONTROLS);
	must_refuse(guest, BY_ADDRESS_SPACE, VMCS_VM_EXIT_CONTROLS,
		    exit & ~(1ull << VMX_CONTROL_BIT(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE)),
		    "host-32bit.guest-32bit");
}
#else
/* L1 is not in long mode: neither host nor guest can be 64-bit, also where the CPU is. */
static void test_address_space(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 exit = vmcs_read(VMCS_VM_EXIT_CONTROLS), entry = vmcs_read(VMCS_VM_ENTRY_CONTROLS);

	must_refuse(guest, BY_ADDRESS_SPACE, VMCS_VM_EXIT_CONTROLS,
		    exit | 1u << VMX_CONTROL_BIT(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE), "host-64bit");
	must_refuse(guest, BY_ADDRESS_SPACE, VMCS_VM_ENTRY_CONTROLS,
		    entry | 1u << VMX_CONTROL_BIT(VMX_ENTRY_IA32E_MODE_GUEST), "guest-64bit");
	if (cpu_has(FEATURE_PCID))
		must_refuse(guest, BY_ADDRESS_SPACE, VMCS_HOST_CR4,
			    vmcs_read(VMCS_HOST_CR4) | CR4_PCIDE, "pcide");
	else
		check_skip("the CPU has no PCIDs", "pcide");
}
#endif

ENTRY_SUBTEST("address-space", test_address_space);
