// SPDX-License-Identifier: BSD-2-Clause
/*
 * What L1 takes from L2: SDM volume 3C, "VMX Non-Root Operation" and "VM Exits". Some instructions
 * always exit, others by a control, others never; the exit comes before the instruction has
 * done anything, after some exceptions and before others; and the VMCS says what a hypervisor
 * needs to emulate it: reason, qualification, the instruction's length and its operands.
 *
 * A hypervisor that nests has to know for whom an exit is: it takes things for itself that L1
 * does not want, emulates instructions that L1 does want, and has to look at L1's controls in its
 * emulator as the CPU does. Each instruction is a chance to forget that.
 *
 * An instruction is run three times: with its control alone; then, from there, without it but
 * with those of all others, when it must be executed; and with it in ring 3, for the order of
 * privilege check and exit.
 */
#include "exits.h"
#include "page_alloc.h"
#include "string.h"

TEST_SUMMARY("each instruction and event exits by its own control, before it happens, and the "
	     "VMCS says which it was");
TEST_MANUAL("SDM volume 3C, \"Instructions That Cause VM Exits\"");
TEST_MANUAL("SDM volume 3C, \"Other Causes of VM Exits\"");
TEST_MANUAL("SDM volume 3C, \"Changes to Instruction Behavior in VMX Non-Root Operation\"");
TEST_MANUAL(
    "SDM volume 3C, \"Recording VM-Exit Information and Updating VM-Entry Control Fields\"");
TEST_MANUAL("SDM volume 3D, \"VMX Basic Exit Reasons\"");
TEST_GUARDS(
    "KVM emulated instructions of L2 without a look at whether L1 wanted their exits (Linux "
    "5.6, commit 07721feee46b: CVE-2020-2732)");
TEST_GUARDS("KVM's emulator did not give L1 the exits of LGDT, SIDT, STR and the like (Linux 5.6, "
	    "commit 86f7e90ce840)");
TEST_NEEDS("VMX");

u8 *operand(void)
{
	static u8 *page;

	if (!page)
		page = page_alloc();
	return page;
}

u8 *absent_page(struct vmx_guest *guest)
{
	static u8 *page;

	if (!page)
		page = page_alloc();
	tables_set(&guest->tables, (ulong)page, 1, 0);
	return page;
}

struct vmx_guest *exits_guest(enum l2_mode mode, const void *code)
{
	static struct vmx_guest *guest;
	ulong *registers, pattern = (ulong)0x1122334455667788;

	if (!guest)
		guest = vmx_guest(mode, code);
	else
		vmx_guest_again(guest, mode, code);
	registers = (ulong *)&guest->world.registers;
	for (unsigned int i = 0; i < sizeof(guest->world.registers) / sizeof(ulong); i++)
		registers[i] = pattern + i;
	return guest;
}

void exits_all_others(u32 control)
{
	static const u32 controls[] = {
		VMX_PRIMARY_HLT_EXITING,
		VMX_PRIMARY_INVLPG_EXITING,
		VMX_PRIMARY_MWAIT_EXITING,
		VMX_PRIMARY_RDPMC_EXITING,
		VMX_PRIMARY_RDTSC_EXITING,
		VMX_PRIMARY_CR3_LOAD_EXITING,
		VMX_PRIMARY_CR3_STORE_EXITING,
		VMX_PRIMARY_CR8_LOAD_EXITING,
		VMX_PRIMARY_CR8_STORE_EXITING,
		VMX_PRIMARY_MOV_DR_EXITING,
		VMX_PRIMARY_UNCONDITIONAL_IO_EXITING,
		VMX_PRIMARY_MONITOR_EXITING,
		VMX_PRIMARY_PAUSE_EXITING,
		VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING,
		VMX_SECONDARY_WBINVD_EXITING,
		VMX_SECONDARY_RDRAND_EXITING,
		VMX_SECONDARY_RDSEED_EXITING,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(controls); i++)
		if (vmx_allows(controls[i]))
			vmx_set(controls[i]);
	if (control)
		vmx_clear(control);
}

/* The first text's place in RIP, also where that is an offset. */
static u64 rip_of(const struct exit_row *row, const u8 *place)
{
	if (row->mode == L2_REAL || row->mode == L2_V8086)
		return vmcs_read(VMCS_GUEST_RIP) + (place - row->code);
	return (ulong)place;
}

static struct vmx_guest *prepare(const struct exit_row *row)
{
	struct vmx_guest *guest = exits_guest(row->mode, row->code);

	guest->world.registers.ax = row->ax;
	guest->world.registers.cx = row->cx;
	guest->world.registers.dx = row->dx;
	for (const u32 *control = row->also; control && *control; control++)
		vmx_set(*control);
	if (row->control)
		vmx_set(row->control);
	if (row->setup)
		row->setup(guest);
	return guest;
}

/*
 * "Basic VM-Exit Information", "Information for VM Exits Due to Instruction Execution"; "Saving
 * RIP, RSP, RFLAGS, and SSP": RF is saved as 0 if an instruction's execution exits, although it was
 * 1 before.
 */
static void check_information(const struct exit_row *row, u64 at)
{
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), row->qualification, "on.qualification");
	check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), row->next - row->at, "on.length");
	check_equal(vmcs_read(VMCS_GUEST_RIP), at, "on.rip");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID, 0,
		    "on.no-interruption");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "on.no-idt-vectoring");
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_RF, 0, "on.rf");
}

static void run_on(struct vmx_guest *guest, const struct exit_row *row)
{
	struct vmx_registers registers = guest->world.registers;
	u64 rsp = vmcs_read(VMCS_GUEST_RSP), rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	u64 cr3 = vmcs_read(VMCS_GUEST_CR3), at = rip_of(row, row->at);

	/* It would keep an exception by a breakpoint from coming first. */
	if (!row->on)
		vmcs_write(VMCS_GUEST_RFLAGS, rflags | EFLAGS_RF);
	vmx_run(guest);
	if (row->on) {
		check_exception(guest, ((struct fault){ row->on }), "on");
		return;
	}
	if (!check_exit(guest, row->reason, "on"))
		return;
	check_information(row, at);
	/* "Relative Priority of Faults and VM Exits": nothing of the instruction was done. */
	if (row->at == row->code)
		check(!memcmp(&registers, &guest->world.registers, sizeof(registers)) &&
			  rsp == vmcs_read(VMCS_GUEST_RSP) &&
			  rflags == vmcs_read(VMCS_GUEST_RFLAGS) &&
			  cr3 == vmcs_read(VMCS_GUEST_CR3),
		      "on.untouched");
}

static void run_off(struct vmx_guest *guest, const struct exit_row *row)
{
	u64 end = vmcs_read(VMCS_GUEST_RIP) + (row->next - row->at);

	exits_all_others(row->control);
	vmx_run(guest);
	if (row->off)
		check_exception(guest, ((struct fault){ row->off }), "off");
	else if (check_exit(guest, EXIT_VMCALL, "off"))
		check_equal(vmcs_read(VMCS_GUEST_RIP), end, "off.end");
}

static void run_ring3(const struct exit_row *row)
{
	struct vmx_guest *guest = prepare(row);

	vmcs_write(VMCS_GUEST_RIP, (ulong)row->at);
	vmx_enter_ring3(guest);
	vmx_run(guest);
	if (row->ring3)
		check_exception(guest, ((struct fault){ row->ring3 }), "ring3");
	else
		check_exit(guest, row->reason, "ring3");
}

void exit_run(const void *argument)
{
	const struct exit_row *row = argument;
	struct vmx_guest *guest;

	if (!vmx_ready() || !vmx_mode_ready(row->mode))
		return;
	if ((row->control && !vmx_needs(row->control)) || !vmx_needs_all(row->also))
		return;
	if (row->feature && !cpu_has(row->feature)) {
		subtest_skip("the CPU lacks what is tested (CPUID)");
		return;
	}
	guest = prepare(row);
	if (row->flags & RING3)
		vmx_enter_ring3(guest);
	run_on(guest, row);
	if (row->control && !(row->flags & NO_OFF) && !row->on && !vmx_requires(row->control))
		run_off(guest, row);
	if (!(row->flags & (NOT_RING3 | RING3)) && row->mode == L2_NATIVE)
		run_ring3(row);
	vmx_check_invariants();
}
