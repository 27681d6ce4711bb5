// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a VM entry must refuse of the guest's state: SDM volume 3C, "Checks on the Guest State
 * Area". Such an entry is an exit, of reason 33 with bit 31 and a qualification: 2 for PDPTEs, 4
 * for the VMCS link pointer, else 0. It loads the host's state, writes reason and qualification,
 * and nothing else of the VMCS: guest-state area, other exit information and the event to be
 * injected stay, and the VMCS's launch state as well. MSR loading that fails is reason 34.
 *
 * A hypervisor that offers nested VMX gives L1's guest state to the processor, which checks it; but
 * what it changes on the way (CR0, CR4, EFER, PDPTEs, the link pointer, DEBUGCTL), or keeps for
 * itself, it has to check in software. State that slips through may be such that the hypervisor
 * itself can no longer enter or emulate the guest.
 *
 *	main.c		control registers
 *	msrs.c		debug registers and MSRs, MSR loading
 *	segments.c	segment registers; virtual.c: in virtual-8086 mode
 *	system.c	LDTR, TR, GDTR, IDTR, RIP, RFLAGS
 *	activity.c	activity and interruptibility state, pending debug exceptions
 *	pointers.c	VMCS link pointer, PDPTEs
 */
#include "control.h"
#include "msr.h"
#include "vmx/entry.h"

TEST_SUMMARY("a VM entry refuses each illegal guest state with exit 33, and takes its neighbour");
TEST_MANUAL("SDM volume 3C, \"Checks on the Guest State Area\"");
TEST_MANUAL("SDM volume 3C, \"Loading MSRs\"");
TEST_MANUAL("SDM volume 3C, \"VM-Entry Failures During or After Loading Guest State\"");
TEST_GUARDS("Linux 095686e6fcb4: nested VMX entered with reserved bits in IA32_DEBUGCTL");
TEST_NEEDS("VMX");

static void test_modes(void)
{
	for (enum l2_mode mode = 0; mode < L2_MODES; mode++)
		if (l2_mode_supported(mode) && mode != L2_PROTECTED && mode != L2_REAL)
			must_enter(entry_guest(mode), "%s", l2_mode_name(mode));
}

ENTRY_SUBTEST("modes", test_modes);

static void test_unrestricted_modes(void)
{
	if (!vmx_mode_ready(L2_REAL))
		return;
	must_enter(entry_guest(L2_PROTECTED), "protected");
	must_enter(entry_guest(L2_REAL), "real");
}

ENTRY_SUBTEST("unrestricted-modes", test_unrestricted_modes);

/* A VMCS whose first entry fails stays clear: the next one is by VMLAUNCH again. */
static void test_launch_state(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);

	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, 0, "first");
	/* must_refuse() has launched it; now it fails by VMRESUME. */
	check(guest->world.launched, "launched");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, 0, "second");
	vmx_forget(guest);
	vmx_current(guest);
	vmcs_write(VMCS_GUEST_RFLAGS, 0);
	entry_run(guest);
	check_exit(guest, EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE, "third");
	guest->world.launched = true;
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED);
	entry_run(guest);
	guest->world.launched = false;
	check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED), "not-launched");
	must_enter(guest, "launch");
}

ENTRY_SUBTEST("launch-state", test_launch_state);

/* Reason and qualification are written; what else an exit tells is still what the last one was. */
static void test_exit_information(void)
{
	static const struct {
		const char *id;
		u32 field;
	} rows[] = {
		{ "interruption-information", VMCS_VM_EXIT_INTERRUPTION_INFORMATION },
		{ "interruption-error-code", VMCS_VM_EXIT_INTERRUPTION_ERROR_CODE },
		{ "vectoring-information", VMCS_IDT_VECTORING_INFORMATION },
		{ "vectoring-error-code", VMCS_IDT_VECTORING_ERROR_CODE },
		{ "length", VMCS_VM_EXIT_INSTRUCTION_LENGTH },
		{ "instruction", VMCS_VM_EXIT_INSTRUCTION_INFORMATION },
		{ "linear-address", VMCS_GUEST_LINEAR_ADDRESS },
	};
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u64 before[ARRAY_SIZE(rows)];

	/* An exception, met while an event is delivered, leaves something in most of them. */
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION,
		   INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_HARDWARE_EXCEPTION) | VECTOR_UD);
	entry_run(guest);
	check_exception(guest, FAULT_GP(VECTOR_UD << 3 | 3), "before");
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		before[i] = vmcs_read(rows[i].field);
	vmcs_write(VMCS_GUEST_RFLAGS, 0);
	entry_run(guest);
	check_exit(guest, EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE, "failure");
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		check_equal(vmcs_read(rows[i].field), before[i], "%s", rows[i].id);
}

ENTRY_SUBTEST("exit-information", test_exit_information);

#define UNRESTRICTED_CR0                                                                           \
	((u64)(CR0_PE | CR0_PG)) /* bits that are free in an unrestricted guest                    \
				  */

static const struct bit {
	const char *id;
	u64 bit;
} cr0_bits[] = {
	{ "mp", CR0_MP }, { "em", CR0_EM }, { "ts", CR0_TS }, { "wp", CR0_WP }, { "am", CR0_AM },
	{ "cd", CR0_CD },
}, cr4_bits[] = {
	{ "vme", CR4_VME }, { "pvi", CR4_PVI }, { "tsd", CR4_TSD }, { "de", CR4_DE },
	{ "mce", CR4_MCE }, { "pge", CR4_PGE }, { "pce", CR4_PCE }, { "osfxsr", CR4_OSFXSR },
	{ "osxmmexcpt", CR4_OSXMMEXCPT }, { "umip", CR4_UMIP }, { "fsgsbase", CR4_FSGSBASE },
	{ "osxsave", CR4_OSXSAVE }, { "smep", CR4_SMEP }, { "smap", CR4_SMAP }, { "pke", CR4_PKE },
};

static void test_cr0(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u64 cr0 = vmcs_read(VMCS_GUEST_CR0);

	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_CR0,
			 vmx_capabilities.cr0_fixed0 | ~vmx_capabilities.cr0_fixed1, "fixed");
	for (unsigned int i = 0; i < ARRAY_SIZE(cr0_bits); i++)
		must_enter_with(guest, VMCS_GUEST_CR0, cr0 ^ cr0_bits[i].bit, "legal.%s",
				cr0_bits[i].id);
	/* Bits that an entry does not load: no check is said to be made of them. */
	may_refuse(guest, VMCS_GUEST_CR0, cr0 | CR0_NW, "CR0.NW without CR0.CD");
	may_refuse(guest, VMCS_GUEST_CR0, cr0 ^ CR0_ET, "CR0.ET inverted");
	may_refuse(guest, VMCS_GUEST_CR0, cr0 | BIT(6), "CR0 bit 6");
}

ENTRY_SUBTEST("cr0", test_cr0);

/* PE and PG are free there, but paging still needs protection. */
static void test_cr0_unrestricted(void)
{
	struct vmx_guest *guest;
	u64 cr0;

	if (!vmx_mode_ready(L2_PROTECTED))
		return;
	guest = entry_guest(L2_PROTECTED);
	cr0 = vmcs_read(VMCS_GUEST_CR0);
	must_enter_with(guest, VMCS_GUEST_CR0, cr0 & ~(u64)CR0_PE, "without-pe");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR0, (cr0 & ~(u64)CR0_PE) | CR0_PG,
		    "paging-without-pe");
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_CR0,
			 (vmx_capabilities.cr0_fixed0 & ~UNRESTRICTED_CR0) |
			     ~vmx_capabilities.cr0_fixed1,
			 "fixed");
}

ENTRY_SUBTEST("cr0-unrestricted", test_cr0_unrestricted);

static void test_cr4(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u64 cr4 = vmcs_read(VMCS_GUEST_CR4), fixed1 = vmx_capabilities.cr4_fixed1;

	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_CR4,
			 vmx_capabilities.cr4_fixed0 | ~fixed1, "fixed");
	/* SMEP and SMAP do not hinder this guest: neither is its code in ring 3, nor does it load.
	 */
	for (unsigned int i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		const char *id = cr4_bits[i].id;

		if (!(fixed1 & cr4_bits[i].bit)) {
			check_skip("the CPU has no such bit", "legal.%s", id);
			continue;
		}
		/* L2's code is on pages that are open to ring 3: under SMEP it cannot be fetched.
		 */
		entry_ends_with(cr4_bits[i].bit == CR4_SMEP ? EXIT_EXCEPTION_OR_NMI : EXIT_VMCALL);
		must_enter_with(guest, VMCS_GUEST_CR4, cr4 ^ cr4_bits[i].bit, "legal.%s", id);
	}
}

ENTRY_SUBTEST("cr4", test_cr4);

/* PCIDs are long mode's alone. */
static void test_pcide(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);

	if (!(vmx_capabilities.cr4_fixed1 & CR4_PCIDE)) {
		subtest_skip("the CPU has no PCIDs");
		return;
	}
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PCIDE,
		    "pae");
	guest = entry_guest(L2_32BIT);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PCIDE,
		    "32bit");
#ifdef __x86_64__
	guest = entry_guest(L2_LONG);
	must_enter_with(guest, VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PCIDE, "long");
	guest = entry_guest(L2_COMPAT);
	must_enter_with(guest, VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PCIDE, "compat");
#endif
}

ENTRY_SUBTEST("pcide", test_pcide);

static void test_cr4_cet(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u64 cr4 = vmcs_read(VMCS_GUEST_CR4), cr0 = vmcs_read(VMCS_GUEST_CR0);

	if (!(vmx_capabilities.cr4_fixed1 & CR4_CET)) {
		subtest_skip("the CPU has no CET");
		return;
	}
	must_enter_with(guest, VMCS_GUEST_CR4, cr4 | CR4_CET, "with-wp");
	vmcs_write(VMCS_GUEST_CR0, cr0 & ~(u64)CR0_WP);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR4, cr4 | CR4_CET, "without-wp");
}

ENTRY_SUBTEST("cr4-cet", test_cr4_cet);

#ifdef __x86_64__
/* In each mode, though CR3 has 32 bits in some. */
static void test_cr3(void)
{
	static const u8 modes[] = { L2_LONG, L2_COMPAT, L2_PAE, L2_32BIT };
	u64 reserved = ~0ull << cpu_physical_address_bits();

	if (cpu_has(FEATURE_LAM))
		reserved &= ~(3ull << 61);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest = entry_guest(modes[i]);

		must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_CR3, reserved,
				 l2_mode_name(modes[i]));
		must_enter_with(guest, VMCS_GUEST_CR3, vmcs_read(VMCS_GUEST_CR3) | 0x18,
				"%s.pwt-pcd", l2_mode_name(modes[i]));
	}
}

ENTRY_SUBTEST("cr3", test_cr3);

/* An IA-32e mode guest pages, with PAE. */
static void test_long_mode(void)
{
	struct vmx_guest *guest = entry_guest(L2_LONG);

	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR4,
		    vmcs_read(VMCS_GUEST_CR4) & ~(u64)CR4_PAE, "without-pae");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) & ~(u64)CR0_PG,
		    "without-paging");
	if (!vmx_allows(VMX_SECONDARY_UNRESTRICTED_GUEST)) {
		check_skip("the CPU has no unrestricted guests", "without-paging.unrestricted");
		return;
	}
	vmx_ept(guest);
	vmx_set(VMX_SECONDARY_UNRESTRICTED_GUEST);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) & ~(u64)CR0_PG,
		    "without-paging.unrestricted");
}

ENTRY_SUBTEST("long-mode", test_long_mode);
#endif
