// SPDX-License-Identifier: BSD-2-Clause
/*
 * MOV to and from CR3, CR8 and debug registers: SDM volume 3C, "Processor-Based VM-Execution
 * Controls", "CR3-Target Controls", "Controls for APIC Virtualization" for the TPR threshold.
 */
#include "control_registers.h"
#include "msr.h"
#include "page_alloc.h"

#define GP0 FAULT_VALUE_EC(VECTOR_GP, 0)

static void own_cr3(struct vmx_guest *guest)
{
	guest->world.registers.cx = vmcs_read(VMCS_GUEST_CR3);
}

#define MOV_CR(name, text, what, ...)                                                              \
	EXIT(name, "", text, .control = what, .reason = EXIT_CR_ACCESS, .ring3 = GP0, __VA_ARGS__)

MOV_CR("cr3.to", "mov " R(cx) ", %cr3", VMX_PRIMARY_CR3_LOAD_EXITING, .setup = own_cr3,
       .qualification = ACCESS(3, MOV_TO) | GPR(1));
MOV_CR("cr3.from", "mov %cr3, " R(di), VMX_PRIMARY_CR3_STORE_EXITING,
       .qualification = ACCESS(3, MOV_FROM) | GPR(7));
#ifdef __x86_64__
MOV_CR("cr3.from-r13", "mov %cr3, %r13", VMX_PRIMARY_CR3_STORE_EXITING,
       .qualification = ACCESS(3, MOV_FROM) | GPR(13));
MOV_CR("cr8.to", "mov %rcx, %cr8", VMX_PRIMARY_CR8_LOAD_EXITING, .cx = 0,
       .qualification = ACCESS(8, MOV_TO) | GPR(1));
MOV_CR("cr8.from", "mov %cr8, %r14", VMX_PRIMARY_CR8_STORE_EXITING,
       .qualification = ACCESS(8, MOV_FROM) | GPR(14));
#endif

EXITS_TEXT(to_cr3, "", "mov " R(cx) ", %cr3");

/* Values that all lead to L2's tables: they differ in PWT and PCD. */
#define CR3_VALUE(cr3, n) ((cr3) | (ulong)(n) << 3)

/* IA32_VMX_MISC says how many values there are: there may be none, and no fields for them. */
static unsigned int targets(void)
{
	return rdmsr(MSR_IA32_VMX_MISC) >> 16 & 0x1ff;
}

static struct vmx_guest *with_targets(unsigned int count)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, to_cr3);
	ulong cr3 = vmcs_read(VMCS_GUEST_CR3);

	vmx_set(VMX_PRIMARY_CR3_LOAD_EXITING);
	vmcs_write(VMCS_CR3_TARGET_COUNT, count);
	for (unsigned int n = 0; n < MIN(targets(), 4u); n++)
		vmcs_write(VMCS_CR3_TARGET_VALUE_0 + 2 * n, CR3_VALUE(cr3, n));
	return guest;
}

/* The first as many values as the count says do not exit. */
static void test_targets(void)
{
	for (unsigned int count = 0; count <= MIN(targets(), 4u); count++) {
		for (unsigned int n = 0; n < 4; n++) {
			struct vmx_guest *guest = with_targets(count);
			ulong cr3 = vmcs_read(VMCS_GUEST_CR3);

			guest->world.registers.cx = CR3_VALUE(cr3, n);
			vmx_run(guest);
			check_exit(guest, n < count ? EXIT_VMCALL : EXIT_CR_ACCESS,
				   "count-%u.value-%u", count, n);
			check_equal(vmcs_read(VMCS_GUEST_CR3), n < count ? CR3_VALUE(cr3, n) : cr3,
				    "count-%u.value-%u.cr3", count, n);
		}
	}
}
VMX_SUBTEST("cr3.targets", test_targets);

/* Every bit counts: a value that is a target but for one bit exits, before it is looked at. */
static void test_target_bits(void)
{
	if (!targets()) {
		subtest_skip("the CPU has no CR3-target values (IA32_VMX_MISC)");
		return;
	}
	for (unsigned int bit = 0; bit < 8 * sizeof(ulong); bit++) {
		struct vmx_guest *guest = with_targets(1);

		guest->world.registers.cx = vmcs_read(VMCS_GUEST_CR3) ^ 1ul << bit;
		/* With PCIDs bit 63 is none of the register's. */
		vmx_run(guest);
		check_exit(guest, EXIT_CR_ACCESS, "bit-%u", bit);
	}
}
VMX_SUBTEST("cr3.target-bits", test_target_bits);

/* Without the control the targets say nothing. */
static void test_targets_off(void)
{
	struct vmx_guest *guest = with_targets(0);

	own_cr3(guest);
	vmx_clear(VMX_PRIMARY_CR3_LOAD_EXITING);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
}
VMX_SUBTEST("cr3.targets-off", test_targets_off);

/* A count beyond what there is is refused: "VM-Execution Control Fields". */
static void test_target_count(void)
{
	struct vmx_guest *guest = with_targets(targets() + 1);

	vmx_run(guest);
	check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS), "entry");
}
VMX_SUBTEST("cr3.target-count", test_target_count);

#ifdef __x86_64__
/* MOV CR8 with a TPR shadow: bits 7:4 of the virtual APIC's TPR. */
EXITS_TEXT(to_cr8, "", "mov %rcx, %cr8");
EXITS_TEXT(from_cr8, "", "mov %cr8, %rcx");
#define VTPR 0x80

static struct vmx_guest *with_tpr(const u8 *code, u8 tpr, u32 threshold)
{
	static u8 *page;
	struct vmx_guest *guest = exits_guest(L2_NATIVE, code);

	if (!page)
		page = page_alloc();
	*(u32 *)(page + VTPR) = tpr;
	vmx_set(VMX_PRIMARY_TPR_SHADOW);
	vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)page);
	vmcs_write(VMCS_TPR_THRESHOLD, threshold);
	return guest;
}

static u32 vtpr(void)
{
	return *(u32 *)(ulong)(vmcs_read(VMCS_VIRTUAL_APIC_ADDRESS) + VTPR);
}

/* The exit of a MOV to CR8 that goes below the threshold comes behind it. */
static void test_tpr_threshold(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW))
		return;
	for (unsigned int i = 0; i < 12; i++) {
		static const u8 thresholds[] = { 1, 8, 15 };
		static const char *const names[] = { "lowest", "below", "equal", "highest" };
		u32 threshold = thresholds[i / 4];
		u32 value = (u32[]){ 0, threshold - 1, threshold, 15 }[i % 4];

		guest = with_tpr(to_cr8, 0xf0, threshold);
		prefix_push("threshold-%u.%s", threshold, names[i % 4]);
		guest->world.registers.cx = value;
		vmx_run(guest);
		if (value < threshold) {
			check_exit_qualification(guest, EXIT_TPR_BELOW_THRESHOLD, 0, "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)to_cr8_next, "rip");
		} else {
			check_exit(guest, EXIT_VMCALL, "exit");
		}
		check_equal(vtpr(), value << 4, "vtpr");
		prefix_pop();
	}
	/* Below 0 there is nothing. */
	guest = with_tpr(to_cr8, 0xf0, 0);
	guest->world.registers.cx = 0;
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "threshold-0.exit");
	check_equal(vtpr(), 0, "threshold-0.vtpr");
}
VMX_SUBTEST("cr8.tpr-threshold", test_tpr_threshold);

static void test_tpr_read(void)
{
	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW))
		return;
	for (unsigned int value = 0; value < 16; value++) {
		struct vmx_guest *guest = with_tpr(from_cr8, value << 4 | 3, 0);

		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "tpr-%u.exit", value);
		check_equal(guest->world.registers.cx, value, "tpr-%u.value", value);
	}
}
VMX_SUBTEST("cr8.tpr-shadow", test_tpr_read);

/* The controls of CR8 come before the shadow. */
static void test_tpr_and_exiting(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW))
		return;
	guest = with_tpr(to_cr8, 0xf0, 8);
	guest->world.registers.cx = 0;
	vmx_set(VMX_PRIMARY_CR8_LOAD_EXITING);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_CR_ACCESS, ACCESS(8, MOV_TO) | GPR(1), "load");
	check_equal(vtpr(), 0xf0, "load.vtpr");
	guest = with_tpr(from_cr8, 0xf0, 8);
	vmx_set(VMX_PRIMARY_CR8_STORE_EXITING);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_CR_ACCESS, ACCESS(8, MOV_FROM) | GPR(1), "store");
}
VMX_SUBTEST("cr8.shadow-and-exiting", test_tpr_and_exiting);
#endif

/* MOV DR: the exit comes even before CPL's check. "Relative Priority of Faults and VM Exits" */
static void debug_registers(struct vmx_guest *guest)
{
	ulong dr6 = read_dr6();

	guest->world.registers.cx = dr6;
}

#define MOV_DR(n, value)                                                                           \
	EXIT("dr" #n ".to", "", "mov " R(cx) ", %dr" #n, .control = VMX_PRIMARY_MOV_DR_EXITING,    \
	     .reason = EXIT_MOV_DR, .qualification = DR(n) | GPR(1), value)
#define MOV_FROM_DRN(n)                                                                            \
	EXIT("dr" #n ".from", "", "mov %dr" #n ", " R(bx), .control = VMX_PRIMARY_MOV_DR_EXITING,  \
	     .reason = EXIT_MOV_DR, .qualification = DR(n) | MOV_FROM_DR | GPR(3))
MOV_DR(0, .cx = 0);
MOV_DR(1, .cx = 0);
MOV_DR(2, .cx = 0);
MOV_DR(3, .cx = 0);
MOV_DR(6, .setup = debug_registers);
MOV_DR(7, .cx = 0x400);
MOV_FROM_DRN(0);
MOV_FROM_DRN(1);
MOV_FROM_DRN(2);
MOV_FROM_DRN(3);
MOV_FROM_DRN(6);
MOV_FROM_DRN(7);
#ifdef __x86_64__
EXIT("dr7.to-r10", "", "mov %r10, %dr7", .control = VMX_PRIMARY_MOV_DR_EXITING,
     .reason = EXIT_MOV_DR, .qualification = DR(7) | GPR(10), .flags = NO_OFF);
#endif

/* Without DE, 4 and 5 are 6 and 7; the qualification has the number that the instruction has. */
EXIT("dr4.from", "", "mov %dr4, " R(bx), .control = VMX_PRIMARY_MOV_DR_EXITING,
     .reason = EXIT_MOV_DR, .qualification = DR(4) | MOV_FROM_DR | GPR(3));
EXIT("dr5.from", "", "mov %dr5, " R(bx), .control = VMX_PRIMARY_MOV_DR_EXITING,
     .reason = EXIT_MOV_DR, .qualification = DR(5) | MOV_FROM_DR | GPR(3));
