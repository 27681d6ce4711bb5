// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "cpu.h"
#include "crash.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "string.h"
#include "vmx/guest.h"
#include "vmx/invariants.h"

#define WORLD_OFFSET(name, field)                                                                  \
	_Static_assert(WORLD_##name == offsetof(struct vmx_switch, field), #field)
WORLD_OFFSET(AX, registers.ax);
WORLD_OFFSET(BP, registers.bp);
WORLD_OFFSET(FLAGS, flags);
WORLD_OFFSET(FAULT, fault);
WORLD_OFFSET(LAUNCHED, launched);
WORLD_OFFSET(EXITED, exited);

static struct vmx_guest *guests; /* all that were made */
static struct vmx_guest *current[MAX_CPUS];

bool vmx_needs(u32 control)
{
	if (vmx_allows(control))
		return true;
	subtest_skip("the CPU does not allow the control %s", vmx_control_name(control));
	return false;
}

bool vmx_needs_all(const u32 *controls)
{
	for (; controls && *controls; controls++)
		if (!vmx_needs(*controls))
			return false;
	return true;
}

static bool is_unpaged(enum l2_mode mode)
{
	return mode == L2_PROTECTED || mode == L2_REAL;
}

bool vmx_mode_ready(enum l2_mode mode)
{
	if (!l2_mode_supported(mode)) {
		subtest_skip("a 32-bit L1 has no L2 in long mode");
		return false;
	}
	return !is_unpaged(mode) ||
	       (vmx_needs(VMX_SECONDARY_EPT) && vmx_needs(VMX_SECONDARY_UNRESTRICTED_GUEST));
}

void vmx_current(struct vmx_guest *guest)
{
	if (vmptrld(guest->vmcs_pa).value)
		crash("VMPTRLD of a guest's VMCS at %#llx fails", guest->vmcs_pa);
	guest->cpu = cpu_index();
	current[guest->cpu] = guest;
	vmcs_written_by(&guest->written);
}

struct vmx_guest *vmx_current_guest(void)
{
	return current[cpu_index()];
}

void vmx_forget(struct vmx_guest *guest)
{
	if (vmclear(guest->vmcs_pa).value)
		crash("VMCLEAR of a guest's VMCS at %#llx fails", guest->vmcs_pa);
	guest->world.launched = false;
}

void vmx_set(u32 control)
{
	u32 field = vmx_word_field(VMX_CONTROL_WORD(control));

	vmcs_write(field, vmcs_read(field) | 1u << VMX_CONTROL_BIT(control));
	/* The secondary controls count only if they are activated. */
	if (VMX_CONTROL_WORD(control) == WORD_SECONDARY)
		vmx_set(VMX_PRIMARY_SECONDARY_CONTROLS);
}

void vmx_clear(u32 control)
{
	u32 field = vmx_word_field(VMX_CONTROL_WORD(control));

	vmcs_write(field, vmcs_read(field) & ~(1ull << VMX_CONTROL_BIT(control)));
}

static void set_controls(struct vmx_guest *guest)
{
	for (enum vmx_word word = 0; word < WORDS; word++)
		if (word != WORD_SECONDARY || vmx_allows(VMX_PRIMARY_SECONDARY_CONTROLS))
			vmcs_write(vmx_word_field(word), vmx_allowed0(word));
	vmx_set(VMX_PRIMARY_HLT_EXITING);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, 0);
	vmcs_write(VMCS_CR0_GUEST_HOST_MASK, 0);
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, 0);
	vmcs_write(VMCS_TSC_OFFSET, 0);
	if (vmx_allows(VMX_PRIMARY_IO_BITMAPS)) {
		vmx_set(VMX_PRIMARY_IO_BITMAPS);
		vmcs_write(VMCS_IO_BITMAP_A, (ulong)guest->io_bitmaps);
		vmcs_write(VMCS_IO_BITMAP_B, (ulong)guest->io_bitmaps + PAGE_SIZE);
	}
	if (vmx_allows(VMX_PRIMARY_MSR_BITMAPS)) {
		vmx_set(VMX_PRIMARY_MSR_BITMAPS);
		vmcs_write(VMCS_MSR_BITMAP, (ulong)guest->msr_bitmap);
	}
}

/*
 * A VM entry checks that the segments of virtual-8086 mode have their selector's base. Code and
 * stack are mapped to where selectors can reach them. "Checks on Guest Segment Registers"
 */
static void place_v8086(const struct vmx_guest *guest, struct l2_state *state)
{
	ulong code = ALIGN_DOWN((ulong)guest->code, PAGE_SIZE);
	ulong stack = (ulong)guest->stack_top - L2_STACK_SIZE;

	for (ulong offset = 0; offset < L2_STACK_SIZE; offset += PAGE_SIZE) {
		tables_map(&guest->tables, VMX_V8086_CODE + offset, code + offset, LEVEL_4K, 0);
		tables_map(&guest->tables, VMX_V8086_STACK + offset, stack + offset, LEVEL_4K, 0);
	}
	state->cs.selector = VMX_V8086_CODE >> 4;
	state->cs.segment.base = VMX_V8086_CODE;
	state->rip = (ulong)guest->code - code;
	state->ss.selector = VMX_V8086_STACK >> 4;
	state->ss.segment.base = VMX_V8086_STACK;
}

void vmx_guest_again(struct vmx_guest *guest, enum l2_mode mode, const void *code)
{
	struct l2_state state;

	if (mode != guest->mode) {
		guest->tables = l2_tables(mode);
		guest->mode = mode;
	}
	guest->code = code;
	guest->ept.root = NULL;
	memset(guest->io_bitmaps, 0, 2 * PAGE_SIZE);
	memset(guest->msr_bitmap, 0, PAGE_SIZE);
	memset(&guest->world.registers, 0, sizeof(guest->world.registers));
	vmx_forget(guest);
	vmx_current(guest);
	set_controls(guest);
	state = l2_state(mode, code, guest->stack_top, &guest->tables);
	if (mode == L2_V8086)
		place_v8086(guest, &state);
	vmcs_set_state(&state);
	vmcs_set_host();
	if (is_unpaged(mode)) {
		vmx_ept(guest);
		vmx_set(VMX_SECONDARY_UNRESTRICTED_GUEST);
	}
}

struct vmx_guest *vmx_guest(enum l2_mode mode, const void *code)
{
	static u16 vpids;
	struct vmx_guest *guest = page_alloc();

	_Static_assert(sizeof(*guest) <= PAGE_SIZE, "struct vmx_guest");
	guest->io_bitmaps = pages_alloc(2, PAGE_SIZE);
	guest->msr_bitmap = page_alloc();
	guest->stack_top = (u8 *)pages_alloc(L2_STACK_SIZE / PAGE_SIZE, PAGE_SIZE) + L2_STACK_SIZE;
	guest->mode = mode;
	guest->tables = l2_tables(mode);
	guest->vpid = ++vpids;
	guest->vmcs = vmx_region();
	guest->vmcs_pa = virt_to_phys(guest->vmcs);
	guest->written.values = page_alloc();
	guest->next = guests;
	guests = guest;
	l2_invariants_add(&guest->invariants);
	vmx_guest_again(guest, mode, code);
	return guest;
}

L2_CODE(vmx_call_end, "vmcall\n ud2");

struct vmx_guest *vmx_guest_call(void (*function)(void *argument), void *argument)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, function);

	vmcs_write(VMCS_GUEST_RSP, l2_call_stack(guest->stack_top, argument, vmx_call_end));
#ifdef __x86_64__
	guest->world.registers.di = (ulong)argument;
#endif
	return guest;
}

/* With EPT the four top entries of PAE tables are in the VMCS. "VM Entries and the PDPTEs" */
static void set_pdptes(const struct vmx_guest *guest)
{
	const u64 *entries = guest->tables.root;

	for (unsigned int i = 0; guest->tables.format == TABLES_PAE && i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, entries[i]);
}

void vmx_ept(struct vmx_guest *guest)
{
	set_pdptes(guest);
	guest->ept = tables_identity(TABLES_EPT);
	/* Write-back tables, a walk of 4 levels. "Extended-Page-Table Pointer" */
	vmcs_write(VMCS_EPT_POINTER, (ulong)guest->ept.root | 6 | 3 << 3);
	vmx_set(VMX_SECONDARY_EPT);
}

void vmx_ept_flush(void)
{
	static const struct invept_descriptor all;

	invept(2, &all);
}

void vmx_vpid(struct vmx_guest *guest)
{
	vmcs_write(VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, guest->vpid);
	vmx_set(VMX_SECONDARY_VPID);
}

void vmx_intercept_ports(struct vmx_guest *guest, u16 port, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		guest->io_bitmaps[(u16)(port + i) / 8] |= 1 << (port + i) % 8;
}

/* "MSR-Bitmap Address": 1 KiB each for reads of low and high MSRs, then for writes. */
void vmx_intercept_msr(struct vmx_guest *guest, u32 msr, bool read, bool write)
{
	u8 *byte = &guest->msr_bitmap[(msr >> 31) * 1024 + (msr & 0x1fff) / 8];

	byte[0] |= read << msr % 8;
	byte[2048] |= write << msr % 8;
}

void vmx_enter_ring3(const struct vmx_guest *guest)
{
	bool native = guest->mode == L2_NATIVE || guest->mode == L2_LONG;
	u16 code = native ? USER_CS : USER_CS32;

	/* ES, CS, SS, DS, FS, GS: their fields lie in this order. */
	for (u32 i = 0; i < 6; i++) {
		u32 selector = VMCS_GUEST_ES_SELECTOR + 2 * i;
		u32 rights = VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * i;

		vmcs_write(selector, selector == VMCS_GUEST_CS_SELECTOR ? code : USER_DS);
		vmcs_write(rights, vmcs_read(rights) | DESC_DPL3);
	}
}

u64 vmx_rip(void)
{
	return vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS(0, DESC_LONG) ?
		       vmcs_read(VMCS_GUEST_RIP) :
		       l2_linear(vmcs_read(VMCS_GUEST_CS_BASE), vmcs_read(VMCS_GUEST_RIP));
}

void vmx_skip(void)
{
	vmcs_write(VMCS_GUEST_RIP,
		   vmcs_read(VMCS_GUEST_RIP) + vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH));
}

u32 vmx_run(struct vmx_guest *guest)
{
	struct vmx_tables before;
	u32 reason;

	vmx_current(guest);
	before = (struct vmx_tables){ sgdt(), sidt() };
	vmx_world_switch(&guest->world);
	l2_invariants_run(&guest->invariants);
	guest->has_run = true;
	if (!guest->world.exited) {
		guest->entry = vmx_result((struct fault){ guest->world.fault },
					  guest->world.flags & EFLAGS_CF,
					  guest->world.flags & EFLAGS_ZF);
		return EXIT_NONE;
	}
	vmx_invariants_after(guest, &before);
	guest->entry = VMX_SUCCEED;
	reason = vmcs_read(VMCS_EXIT_REASON);
	/* An entry that fails while it loads the guest's state leaves the VMCS not launched. */
	if (!(reason & EXIT_ENTRY_FAILURE))
		guest->world.launched = true;
	return reason;
}

/* Once a subtest and not at each exit: it is a VMREAD for each field that was written. */
static void check_fields(void)
{
	struct vmx_guest *before = vmx_current_guest();

	for (struct vmx_guest *guest = guests; guest; guest = guest->next) {
		/* A VMCS is active on one CPU alone. "VMCS Region" says what becomes of others. */
		if (guest->has_run && guest->cpu == cpu_index()) {
			vmx_current(guest);
			vmx_invariants_of_fields(guest);
		}
		guest->has_run = false;
	}
	if (before)
		vmx_current(before);
}

void vmx_check_invariants(void)
{
	check_fields();
	l2_check_invariants();
}
