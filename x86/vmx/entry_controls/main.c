// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a VM entry must refuse before it looks at the guest: SDM volume 3C, "Checks on VMX
 * Controls". A control that the capability MSRs do not allow, or one that needs another, or an
 * address of a structure that is misaligned or beyond the physical address width: VMfailValid with
 * error 7, no VM exit, and nothing of host or guest is loaded. The same VMCS with that one field
 * put right must enter.
 *
 * A hypervisor that offers nested VMX merges L1's controls into its own, so that the processor
 * checks something else than what L1 wrote: each check is to be made in software, against the
 * capabilities that L1 was shown. KVM had them added one by one over ten years, and left some to
 * the processor, whose refusal then looked like an entry of L2.
 *
 *	main.c		reserved controls, controls that need others
 *	addresses.c	addresses of structures, MSR areas
 *	values.c	counts, TPR threshold, EPT pointer, VM functions
 *	injection.c	the event to be injected
 */
#include "msr.h"
#include "printf.h"
#include "vmx/entry.h"

TEST_SUMMARY("a VM entry refuses each illegal VMX control with error 7, and takes its neighbour");
TEST_MANUAL("SDM volume 3C, \"Checks on VMX Controls\"");
TEST_MANUAL("SDM volume 3C, \"VM-Entry Failures During or After Loading Guest State\"");
TEST_MANUAL("SDM volume 3D, appendix A \"VMX Capability Reporting Facility\"");
TEST_GUARDS(
    "Linux 4f350c6dbcb9: nested VMX took the processor's refusal of controls for a VM exit");
TEST_NEEDS("VMX");

static void test_modes(void)
{
	for (enum l2_mode mode = 0; mode < L2_MODES; mode++)
		if (l2_mode_supported(mode) && mode != L2_PROTECTED && mode != L2_REAL)
			must_enter(entry_guest(mode), "%s", l2_mode_name(mode));
}

ENTRY_SUBTEST("modes", test_modes);

/* Bits that may not be 1, and that may not be 0. */
static void test_word(enum vmx_word word, const char *id)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u32 field = vmx_word_field(word);

	must_refuse_bits(guest, BY_CONTROLS, field, (u32)~vmx_allowed1(word) | vmx_allowed0(word),
			 id);
}

static void test_pin(void)
{
	test_word(WORD_PIN, "pin");
}

ENTRY_SUBTEST("pin-based", test_pin);

static void test_primary(void)
{
	test_word(WORD_PRIMARY, "primary");
}

ENTRY_SUBTEST("primary", test_primary);

static void test_secondary(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_SECONDARY_CONTROLS))
		return;
	guest = entry_guest(L2_NATIVE);
	vmx_set(VMX_PRIMARY_SECONDARY_CONTROLS);
	must_refuse_bits(guest, BY_CONTROLS, VMCS_SECONDARY_CONTROLS,
			 (u32)~vmx_allowed1(WORD_SECONDARY), "secondary");
	/* Not activated they count as 0, whatever they are. */
	vmx_clear(VMX_PRIMARY_SECONDARY_CONTROLS);
	must_enter_with(guest, VMCS_SECONDARY_CONTROLS, ~0u, "not-activated");
}

ENTRY_SUBTEST("secondary", test_secondary);

static void test_exit(void)
{
	test_word(WORD_EXIT, "exit");
}

ENTRY_SUBTEST("exit", test_exit);

static void test_entry(void)
{
	test_word(WORD_ENTRY, "entry");
}

ENTRY_SUBTEST("entry", test_entry);

/* Outside SMM neither may be 1, also where the processor has them. */
static void test_smm(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 controls = vmcs_read(VMCS_VM_ENTRY_CONTROLS);
	u64 smm = 1u << VMX_CONTROL_BIT(VMX_ENTRY_ENTRY_TO_SMM);
	u64 deactivate = 1u << VMX_CONTROL_BIT(VMX_ENTRY_DEACTIVATE_DUAL_MONITOR);

	must_refuse(guest, BY_CONTROLS, VMCS_VM_ENTRY_CONTROLS, controls | smm, "entry-to-smm");
	must_refuse(guest, BY_CONTROLS, VMCS_VM_ENTRY_CONTROLS, controls | deactivate,
		    "deactivate");
	must_refuse(guest, BY_CONTROLS, VMCS_VM_ENTRY_CONTROLS, controls | smm | deactivate,
		    "both");
}

ENTRY_SUBTEST("smm", test_smm);

/* The 64-bit words of controls that came later. Appendix A.3.4, A.4.2 */
static const struct later_word {
	const char *name;
	u32 activated_by; /* of which word, and bit */
	u32 msr, field;
} later_words[] = {
	{ "tertiary", VMX_PRIMARY_TERTIARY_CONTROLS, MSR_IA32_VMX_PROCBASED3,
	  VMCS_TERTIARY_CONTROLS },
	{ "secondary-exit", VMX_EXIT_SECONDARY_CONTROLS, MSR_IA32_VMX_EXIT2,
	  VMCS_SECONDARY_VM_EXIT_CONTROLS },
};

static void test_later_word(const void *argument)
{
	const struct later_word *word = argument;
	struct vmx_guest *guest;

	if (!vmx_ready())
		return;
	if (!vmx_allows(word->activated_by)) {
		subtest_skip("the CPU has no %s controls", word->name);
		return;
	}
	guest = entry_guest(L2_NATIVE);
	vmcs_write(word->field, 0);
	must_enter_with(guest, word->field, ~0ull, "not-activated");
	vmx_set(word->activated_by);
	must_refuse_bits(guest, BY_CONTROLS, word->field, ~rdmsr(word->msr), "reserved");
	entry_check_failures();
	vmx_check_invariants();
}

SUBTEST_ARG("tertiary", test_later_word, &later_words[0]);
SUBTEST_ARG("secondary-exit", test_later_word, &later_words[1]);

/* With these the VMCS is legal; with the control inverted it no longer is. */
static const struct dependency {
	const char *id;
	const u32 *legal;
	u32 invert;
	u32 end; /* how the legal entry ends; 0: as usual */
} dependencies[] = {
#define LEGAL(...)	.legal = CONTROLS(__VA_ARGS__)
#define INVERT(control) .invert = VMX_##control
	{ "virtual-nmis.without-nmi-exiting", LEGAL(VMX_PIN_NMI_EXITING, VMX_PIN_VIRTUAL_NMIS),
	  INVERT(PIN_NMI_EXITING) },
	{ "nmi-window.without-virtual-nmis",
	  LEGAL(VMX_PIN_NMI_EXITING, VMX_PIN_VIRTUAL_NMIS, VMX_PRIMARY_NMI_WINDOW_EXITING),
	  INVERT(PIN_VIRTUAL_NMIS), .end = EXIT_NMI_WINDOW },
	{ "nmi-window.alone", LEGAL(VMX_PIN_NMI_EXITING), INVERT(PRIMARY_NMI_WINDOW_EXITING) },
	{ "x2apic-mode.without-tpr-shadow",
	  LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_SECONDARY_VIRTUALIZE_X2APIC_MODE),
	  INVERT(PRIMARY_TPR_SHADOW) },
	{ "register-virtualization.without-tpr-shadow",
	  LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION),
	  INVERT(PRIMARY_TPR_SHADOW) },
#define DELIVERY                                                                                   \
	LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_PIN_EXTERNAL_INTERRUPT_EXITING,                          \
	      VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)
	{ "interrupt-delivery.without-tpr-shadow", DELIVERY, INVERT(PRIMARY_TPR_SHADOW) },
	{ "interrupt-delivery.without-interrupt-exiting", DELIVERY,
	  INVERT(PIN_EXTERNAL_INTERRUPT_EXITING) },
	{ "x2apic-mode.with-apic-accesses",
	  LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_SECONDARY_VIRTUALIZE_X2APIC_MODE),
	  INVERT(SECONDARY_VIRTUALIZE_APIC_ACCESSES) },
	{ "apic-accesses.with-x2apic-mode",
	  LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES),
	  INVERT(SECONDARY_VIRTUALIZE_X2APIC_MODE) },
#define POSTED                                                                                     \
	LEGAL(VMX_PRIMARY_TPR_SHADOW, VMX_PIN_EXTERNAL_INTERRUPT_EXITING,                          \
	      VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, VMX_EXIT_ACKNOWLEDGE_INTERRUPT,            \
	      VMX_PIN_POSTED_INTERRUPTS)
	{ "posted-interrupts.without-delivery", POSTED,
	  INVERT(SECONDARY_VIRTUAL_INTERRUPT_DELIVERY) },
	{ "posted-interrupts.without-acknowledge", POSTED, INVERT(EXIT_ACKNOWLEDGE_INTERRUPT) },
#define WITH_EPT(control) LEGAL(VMX_SECONDARY_EPT, VMX_SECONDARY_##control), INVERT(SECONDARY_EPT)
	{ "pml.without-ept", WITH_EPT(PML) },
	{ "unrestricted-guest.without-ept", WITH_EPT(UNRESTRICTED_GUEST) },
	{ "mode-based-execute.without-ept", WITH_EPT(MODE_BASED_EXECUTE) },
	{ "sub-page-write.without-ept", WITH_EPT(SUB_PAGE_WRITE) },
	{ "save-timer.without-timer",
	  LEGAL(VMX_PIN_PREEMPTION_TIMER, VMX_EXIT_SAVE_PREEMPTION_TIMER),
	  INVERT(PIN_PREEMPTION_TIMER) },
};

/* The first control that the CPU lacks; 0 if it has all. */
static u32 missing(const struct dependency *row)
{
	for (const u32 *control = row->legal; *control; control++)
		if (!vmx_allows(*control))
			return *control;
	return vmx_allows(row->invert) ? 0 : row->invert;
}

static bool has(const struct dependency *row, u32 control)
{
	for (const u32 *other = row->legal; *other; other++)
		if (*other == control)
			return true;
	return false;
}

static void test_dependency(const struct dependency *row)
{
	static u8 page[4096] __aligned(4096);
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u32 field = vmx_word_field(VMX_CONTROL_WORD(row->invert));

	for (const u32 *control = row->legal; *control; control++)
		vmx_set(*control);
	if (has(row, VMX_SECONDARY_EPT))
		vmx_ept(guest);
	/* What the controls need besides: pages, and a timer that does not run out. */
	if (has(row, VMX_PRIMARY_TPR_SHADOW)) {
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)page);
		vmcs_write(VMCS_TPR_THRESHOLD, 0);
	}
	if (has(row, VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES) ||
	    row->invert == VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES)
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, (ulong)page);
	if (has(row, VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY))
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
	if (has(row, VMX_PIN_POSTED_INTERRUPTS)) {
		vmcs_write(VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xe0);
		vmcs_write(VMCS_POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, (ulong)page);
	}
	if (has(row, VMX_SECONDARY_PML)) {
		vmcs_write(VMCS_PML_ADDRESS, (ulong)page);
		vmcs_write(VMCS_PML_INDEX, 511);
	}
	if (has(row, VMX_SECONDARY_SUB_PAGE_WRITE))
		vmcs_write(VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER, (ulong)page);
	if (has(row, VMX_PIN_PREEMPTION_TIMER))
		vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, ~0u);
	if (row->end)
		entry_ends_with(row->end);
	must_enter(guest, "%s.legal", row->id);
	must_refuse(guest, BY_CONTROLS, field,
		    vmcs_read(field) ^ 1u << VMX_CONTROL_BIT(row->invert), "%s", row->id);
}

static void test_dependencies(void)
{
	char reason[80];

	for (unsigned int i = 0; i < ARRAY_SIZE(dependencies); i++) {
		const struct dependency *row = &dependencies[i];
		u32 lacking = missing(row);

		if (!lacking) {
			test_dependency(row);
			continue;
		}
		snprintf(reason, sizeof(reason), "the CPU does not allow the control %s",
			 vmx_control_name(lacking));
		check_skip(reason, "%s", row->id);
	}
}

ENTRY_SUBTEST("dependencies", test_dependencies);
