// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exits by accesses to the APIC-access page: what they tell, which instructions have them, and
 * what comes before them. SDM volume 3C, "Virtualizing Memory-Mapped APIC Accesses", "Priority of
 * APIC-Access VM Exits", "Instruction-Specific Considerations", "APIC Accesses Not Directly
 * Resulting From Linear Addresses"; "Exit Qualification for APIC-Access VM Exits".
 */
#include "access_page.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

#define UNNAMED 0x090 /* a register that no control virtualises */
#define VERSION 0x030 /* one whose reads are virtualised alone */

/* The accesses of an instruction at a place that is not virtualised. CX, SI and DI are set. */
#define INSTRUCTION(label, text) L2_CODE(label, text "\n vmcall")
INSTRUCTION(code_or, "orl %eax, (" R(bx) ")");
INSTRUCTION(code_and, "andl %eax, (" R(bx) ")");
INSTRUCTION(code_xor, "xorl %eax, (" R(bx) ")");
INSTRUCTION(code_xchg, "xchgl %eax, (" R(bx) ")");
INSTRUCTION(code_test, "testl %eax, (" R(bx) ")");
INSTRUCTION(code_cmp, "cmpl %eax, (" R(bx) ")");
INSTRUCTION(code_xadd, "lock xaddl %eax, (" R(bx) ")");
INSTRUCTION(code_load, "movzbl (" R(bx) "), %eax");
INSTRUCTION(code_push, "push (" R(bx) ")");
INSTRUCTION(code_pop, "pop (" R(bx) ")");
INSTRUCTION(code_movs_from, "mov " R(bx) ", " R(si) "\n movsl");
INSTRUCTION(code_movs_to, "mov " R(bx) ", " R(di) "\n movsl");
INSTRUCTION(code_stos, "mov " R(bx) ", " R(di) "\n rep stosl");
INSTRUCTION(code_clflush, "clflush (" R(bx) ")");
INSTRUCTION(code_prefetch, "prefetcht0 (" R(bx) ")");

static const struct instruction {
	const char *name;
	const u8 *code;
	bool exits;
	enum access_type type;
} instructions[] = {
	{ "or", code_or, true, DATA_WRITE },
	{ "and", code_and, true, DATA_WRITE },
	{ "xor", code_xor, true, DATA_WRITE },
	{ "xchg", code_xchg, true, DATA_WRITE },
	{ "lock-xadd", code_xadd, true, DATA_WRITE },
	{ "test", code_test, true, DATA_READ },
	{ "cmp", code_cmp, true, DATA_READ },
	{ "load", code_load, true, DATA_READ },
	{ "push", code_push, true, DATA_READ },
	{ "pop", code_pop, true, DATA_WRITE },
	{ "movs-from", code_movs_from, true, DATA_READ },
	{ "movs-to", code_movs_to, true, DATA_WRITE },
	{ "stos", code_stos, true, DATA_WRITE },
	/* Considered to read; and one that never exits. */
	{ "clflush", code_clflush, true, DATA_READ },
	{ "prefetch", code_prefetch, false, DATA_READ },
};

static void run_instruction(struct apic *a, const u8 *code, unsigned int offset)
{
	a->guest->world.registers.cx = 3;
	a->guest->world.registers.si = a->guest->world.registers.di = (ulong)a->page + 0x800;
	vmcs_write(VMCS_GUEST_RSP, (ulong)a->guest->stack_top - 64);
	access_run(a, code, offset, 0);
}

static void test_instructions(void)
{
	const struct apic_set *set = &apic_sets[SET_NONE];

	if (!vmx_needs_all(set->controls))
		return;
	for (const struct instruction *i = instructions;
	     i < instructions + ARRAY_SIZE(instructions); i++) {
		struct apic *a = access_guest(set, i->code);

		run_instruction(a, i->code, UNNAMED);
		if (i->exits)
			check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
						 ACCESS_QUALIFICATION(i->type, UNNAMED), "%s.exit",
						 i->name);
		else
			check_exit(a->guest, EXIT_VMCALL, "%s.exit", i->name);
		check_equal(access_memory_touched(a), PAGE_SIZE, "%s.memory", i->name);
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
			    "%s.no-event", i->name);
	}
}

VMX_SUBTEST("access-page.instructions", test_instructions);

/*
 * Instructions that read and write a register whose reads alone are virtualised exit by their
 * write; where both are, the instruction works on the virtual-APIC page.
 */
static void test_modify(void)
{
	const struct apic_set *set = &apic_sets[SET_REGISTERS];
	struct apic *a;

	if (!vmx_needs_all(set->controls))
		return;
	a = access_guest(set, code_or);
	access_run(a, code_or, VERSION, 0xf00);
	check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
				 ACCESS_QUALIFICATION(DATA_WRITE, VERSION), "version.exit");
	check_equal(a->page[VERSION / 4], PAGE_WORD(VERSION), "version.page");
	access_run(a, code_or, APIC_LVT_ERROR, 0xf00000);
	check_exit_qualification(a->guest, EXIT_APIC_WRITE, APIC_LVT_ERROR, "lvt.exit");
	check_equal(a->page[APIC_LVT_ERROR / 4], PAGE_WORD(APIC_LVT_ERROR) | 0xf00000, "lvt.page");
	access_run(a, code_xchg, APIC_ESR, 0x1234);
	check_exit_qualification(a->guest, EXIT_APIC_WRITE, APIC_ESR, "xchg.exit");
	check_equal(a->page[APIC_ESR / 4], 0x1234, "xchg.page");
	check_equal((u32)a->guest->world.registers.ax, PAGE_WORD(APIC_ESR), "xchg.register");
	access_run(a, code_test, VERSION, ~0u);
	check_exit(a->guest, EXIT_VMCALL, "test.exit");
	check_equal(access_memory_touched(a), PAGE_SIZE, "memory");
}

VMX_SUBTEST("access-page.modify", test_modify);

static void test_off(void)
{
	struct apic *a = apic_guest(code_or, CONTROLS(VMX_PRIMARY_TPR_SHADOW));

	if (!a)
		return;
	/* Without the control the page is memory like other. */
	apic_fill(a);
	access_run(a, code_or, VTPR, 1);
	check_exit(a->guest, EXIT_VMCALL, "exit");
	check_equal(a->memory[VTPR / 4], MEMORY_WORD(VTPR) | 1, "memory");
	check_equal(a->page[VTPR / 4], PAGE_WORD(VTPR), "page");
}

VMX_SUBTEST("access-page.off", test_off);

/* Both addresses are those of the VMCS at each entry: there is nothing to remember of the last. */
static void test_moved(void)
{
	const struct apic_set *set = &apic_sets[SET_SHADOW];
	static u32 *other_page, *other_memory;
	struct apic *a;

	if (!vmx_needs_all(set->controls))
		return;
	if (!other_page) {
		other_page = page_alloc();
		other_memory = page_alloc();
	}
	a = access_guest(set, code_load);
	a->page[VTPR / 4] = 0x11;
	a->memory[VTPR / 4] = 0x22;
	other_page[VTPR / 4] = 0x33;
	for (unsigned int round = 0; round < 2; round++) {
		prefix_push("%u", round);
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)a->page);
		access_run(a, code_load, VTPR, 0);
		check_equal((u32)a->guest->world.registers.ax, 0x11, "page");
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)other_page);
		access_run(a, code_load, VTPR, 0);
		check_equal((u32)a->guest->world.registers.ax, 0x33, "other-page");
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, (ulong)other_memory);
		access_run(a, code_load, VTPR, 0);
		check_equal((u32)a->guest->world.registers.ax, 0x22, "memory");
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, (ulong)a->memory);
		prefix_pop();
	}
}

VMX_SUBTEST("access-page.moved", test_moved);

/* A fetch: of the instruction at the offset. */
static void test_fetch(const void *argument)
{
	const struct apic_set *set = argument;
	struct apic *a;

	if (!vmx_ready() || !vmx_needs_all(set->controls))
		return;
	a = access_guest(set, code_or);
	memset(a->memory, 0xf4, PAGE_SIZE); /* HLT */
	memset(a->page, 0xf4, PAGE_SIZE);
	apic_run(a, (void *)(ACCESS_LINEAR + VTPR), 0);
	check_exit_qualification(a->guest, EXIT_APIC_ACCESS, ACCESS_QUALIFICATION(FETCH, VTPR),
				 "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), ACCESS_LINEAR + VTPR, "rip");
	vmx_check_invariants();
}

SUBTEST_ARG("access-page.fetch.none", test_fetch, &apic_sets[SET_NONE]);
SUBTEST_ARG("access-page.fetch.registers", test_fetch, &apic_sets[SET_REGISTERS]);

/*
 * Page faults come first. The accessed flag, of writes the dirty flag too, is set before the exit,
 * which shows as soon as the entry does not have it at first.
 */
static void test_paging(void)
{
	static const struct {
		const char *name;
		u64 flags; /* inverted in the entry */
		const u8 *code;
		u32 error_code; /* 0: no fault */
		u64 set;
	} rows[] = {
		{ "not-present", PTE_PRESENT, code_load, BIT(31), 0 },
		{ "read-only", PTE_WRITABLE, code_or, BIT(31) | PF_PRESENT | PF_WRITE, 0 },
		{ "read", PTE_ACCESSED | PTE_DIRTY, code_load, 0, PTE_ACCESSED },
		{ "write", PTE_ACCESSED | PTE_DIRTY, code_or, 0, PTE_ACCESSED | PTE_DIRTY },
	};
	const struct apic_set *set = &apic_sets[SET_NONE];

	if (!vmx_needs_all(set->controls))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct apic *a = access_guest(set, rows[i].code);
		const struct tables *tables = &a->guest->tables;
		u64 entry;

		tables_map(tables, ACCESS_LINEAR, (ulong)a->memory, LEVEL_4K, rows[i].flags);
		vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_WP);
		access_run(a, rows[i].code, UNNAMED, 0);
		entry = tables_get(tables, ACCESS_LINEAR, LEVEL_4K);
		if (rows[i].error_code)
			check_exception(a->guest, FAULT_PF(rows[i].error_code & ~BIT(31)),
					"%s.exit", rows[i].name);
		else
			check_exit(a->guest, EXIT_APIC_ACCESS, "%s.exit", rows[i].name);
		if (rows[i].set)
			check_equal(entry & (PTE_ACCESSED | PTE_DIRTY), rows[i].set, "%s.flags",
				    rows[i].name);
	}
}

VMX_SUBTEST("access-page.paging", test_paging);

/* Delivery of an event that reads its gate there, or writes its frame. */
static void deliver(struct apic *a, const char *id)
{
	u32 info = INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | 0x58;
	u64 qualification;

	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, info);
	vmx_run(a->guest);
	qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	check_exit(a->guest, EXIT_APIC_ACCESS, "%s.exit", id);
	check_equal(qualification >> 12, EVENT_DELIVERY, "%s.type", id);
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), info, "%s.vectoring", id);
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)code_or, "%s.rip", id);
	check_equal(access_memory_touched(a), PAGE_SIZE, "%s.memory", id);
}

static void test_event(void)
{
	const struct apic_set *set = &apic_sets[SET_NONE];
	unsigned int gate = 0x58 * 2 * sizeof(ulong);
	struct apic *a;

	if (!vmx_needs_all(set->controls))
		return;
	a = access_guest(set, code_or);
	vmcs_write(VMCS_GUEST_IDTR_BASE, ACCESS_LINEAR);
	deliver(a, "gate");
	check((vmcs_read(VMCS_EXIT_QUALIFICATION) & 0xfff) - gate < 2 * sizeof(ulong),
	      "gate.offset");
	a = access_guest(set, code_or);
	vmcs_write(VMCS_GUEST_RSP, ACCESS_LINEAR + 0x800);
	deliver(a, "stack");
	check(0x7ff - (vmcs_read(VMCS_EXIT_QUALIFICATION) & 0xfff) < 5 * sizeof(ulong),
	      "stack.offset");
}

VMX_SUBTEST("access-page.event-delivery", test_event);

/* Where L2's linear address translates to with EPT. */
#define GUEST_PHYSICAL 0x50000000ul

static struct apic *ept_guest(const struct apic_set *set, const u8 *code)
{
	struct apic *a;

	if (!vmx_needs_all(set->controls) || !vmx_needs(VMX_SECONDARY_EPT))
		return NULL;
	a = access_guest(set, code);
	vmx_ept(a->guest);
	return a;
}

/* The same with EPT: the offset and type of a linear access; an EPT violation comes first. */
static void test_ept(void)
{
	struct apic *a = ept_guest(&apic_sets[SET_SHADOW], code_or);

	if (!a)
		return;
	tables_map(&a->guest->tables, ACCESS_LINEAR, GUEST_PHYSICAL, LEVEL_4K, 0);
	tables_map(&a->guest->ept, GUEST_PHYSICAL, (ulong)a->memory, LEVEL_4K, 0);
	vmx_ept_flush();
	access_run(a, code_or, UNNAMED, 0);
	check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
				 ACCESS_QUALIFICATION(DATA_WRITE, UNNAMED), "write");
	access_run(a, code_load, UNNAMED, 0);
	check_exit_qualification(a->guest, EXIT_APIC_ACCESS,
				 ACCESS_QUALIFICATION(DATA_READ, UNNAMED), "read");
	access_run(a, code_xchg, VTPR, 0x30);
	check_exit(a->guest, EXIT_VMCALL, "shadow.exit");
	check_equal((u32)a->guest->world.registers.ax, PAGE_WORD(VTPR), "shadow.read");
	check_equal(a->page[VTPR / 4], 0x30, "shadow.written");
	check_equal(access_memory_touched(a), PAGE_SIZE, "memory");
	/* Bits 2:0 are the rights; it may be read. */
	tables_map(&a->guest->ept, GUEST_PHYSICAL, (ulong)a->memory, LEVEL_4K, 2);
	vmx_ept_flush();
	access_run(a, code_or, UNNAMED, 0);
	check_exit(a->guest, EXIT_EPT_VIOLATION, "violation");
	access_run(a, code_load, UNNAMED, 0);
	check_exit(a->guest, EXIT_APIC_ACCESS, "violation.read");
}

VMX_SUBTEST("access-page.ept", test_ept);

/*
 * Guest-physical addresses that are not a linear address's translation: here the entry of L2's
 * tables by which an access, or a delivery, goes. They are never virtualised. The offset is not
 * defined.
 */
static struct apic *physical_guest(void)
{
	struct apic *a = ept_guest(&apic_sets[SET_SHADOW], code_load);
	ulong table;

	if (!a)
		return NULL;
	table =
	    ALIGN_DOWN((ulong)tables_entry(&a->guest->tables, ACCESS_LINEAR, LEVEL_4K), PAGE_SIZE);
	tables_map(&a->guest->tables, ACCESS_LINEAR, (ulong)a->events.idt, LEVEL_4K, 0);
	tables_map(&a->guest->ept, table, table, LEVEL_4K, 0);
	vmx_ept_flush();
	vmcs_write(VMCS_APIC_ACCESS_ADDRESS, table);
	return a;
}

static void test_physical(void)
{
	struct apic *a = physical_guest();
	u32 info = INTERRUPTION_VALID | INTERRUPTION_TYPE(TYPE_EXTERNAL_INTERRUPT) | 0x58;

	if (!a)
		return;
	access_run(a, code_load, UNNAMED, 0);
	check_exit(a->guest, EXIT_APIC_ACCESS, "read.exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) >> 12, PHYSICAL, "read.type");
	apic_run(a, (void *)(ACCESS_LINEAR + VTPR), 0);
	check_exit(a->guest, EXIT_APIC_ACCESS, "fetch.exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) >> 12, PHYSICAL, "fetch.type");
	vmcs_write(VMCS_GUEST_RIP, (ulong)code_load);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_IDTR_BASE, ACCESS_LINEAR);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, info);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_APIC_ACCESS, "event.exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) >> 12, PHYSICAL_EVENT_DELIVERY,
		    "event.type");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), info, "event.vectoring");
}

VMX_SUBTEST("access-page.guest-physical", test_physical);
