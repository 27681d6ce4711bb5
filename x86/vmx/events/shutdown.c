// SPDX-License-Identifier: BSD-2-Clause
/*
 * An exception while another is delivered, in L2: which pairs become #DF and which are handled one
 * after the other, and what a #DF that cannot be delivered is: a triple fault, which exits instead
 * of the shutdown. If the exception bitmap takes the second exception, that exits, and there is no
 * #DF.
 *
 * SDM volume 3A, "Interrupt 8--Double Fault Exception", "Conditions for Generating a Double Fault";
 * volume 3C, "Other Causes of VM Exits" (triple fault), "Information for VM Exits That Occur
 * During Event Delivery".
 */
#include "events.h"
#include "paging.h"

L2_CODE(hlts, "hlt\n hlt\n hlt\n hlt");
L2_CODE(ud, "ud2\n hlt");
L2_CODE(int50, "int $0x50\n hlt");

/* A linear address where L2's GDT is mapped, and behind it a page that is not. */
#define FAR_GDT		0x70000000ul
#define ABSENT_SELECTOR 0x1000u

enum second { SECOND_NP, SECOND_PF };

static const struct first {
	const char *name;
	u32 info;
	bool contributory, page_fault; /* else benign */
} firsts[] = {
	{ "interrupt", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), false, false },
	{ "nmi", INFO(TYPE_NMI, VECTOR_NMI), false, false },
	{ "int", INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), false, false },
	{ "int3", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), false, false },
	{ "db", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_DB), false, false },
	{ "ud", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), false, false },
	{ "nm", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_NM), false, false },
	{ "mf", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_MF), false, false },
	{ "ac", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_AC), false, false },
	{ "mc", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_MC), false, false },
	{ "xm", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_XM), false, false },
	{ "de", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_DE), true, false },
	{ "ts", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_TS), true, false },
	{ "np", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_NP), true, false },
	{ "ss", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_SS), true, false },
	{ "gp", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), true, false },
	{ "pf", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_PF), false, true },
};

/* L2 whose GDT ends in a page that is absent. */
static struct events *new_faulter(const void *code)
{
	struct events *e = events_new(&PLACE_HERE, code);

	tables_map(&e->guest->tables, FAR_GDT, (ulong)e->gdt, LEVEL_4K, 0);
	tables_set(&e->guest->tables, FAR_GDT + PAGE_SIZE, LEVEL_4K, 0);
	vmcs_write(VMCS_GUEST_GDTR_BASE, FAR_GDT);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, 2 * PAGE_SIZE - 1);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	return e;
}

/* A vector whose delivery is a #NP, or a #PF at the descriptor of its code segment. */
static void spoil(struct events *e, u8 vector, enum second second)
{
	u8 *gate = l2_gate(&e->l2, vector);
	u16 selector = ABSENT_SELECTOR;

	gate[L2_GATE_ACCESS] |= DESC_DPL3;
	if (second == SECOND_NP)
		gate[L2_GATE_ACCESS] &= ~DESC_PRESENT;
	else
		memcpy(gate + L2_GATE_SELECTOR, &selector, sizeof(selector));
}

static bool becomes_double(const struct first *first, enum second second)
{
	return first->page_fault || (first->contributory && second == SECOND_NP);
}

/* A fault of an event that is not the program's own has EXT in its error code. */
static u32 second_error_code(const struct first *first, enum second second)
{
	bool external = (first->info >> 8 & 7) != TYPE_SOFTWARE_INTERRUPT &&
			(first->info >> 8 & 7) != TYPE_SOFTWARE_EXCEPTION;

	return second == SECOND_PF ? 0 : (first->info & 0xff) * 8 + 2 + external;
}

static void run_pair(const struct first *first, enum second second)
{
	struct events *e = new_faulter(hlts);
	u8 vector = first->info, second_vector = second == SECOND_NP ? VECTOR_NP : VECTOR_PF;

	spoil(e, vector, second);
	inject(e, first->info, INJECTED_ERROR_CODE, 1);
	if (!becomes_double(first, second)) {
		/* As of any fault RF is pushed as 1; a software event has not moved RIP. */
		e->rflags |= EFLAGS_RF;
		check_event(e, second_vector, second_error_code(first, second), e->rip, "handler");
		return;
	}
	check_exit(e->guest, EXIT_HLT, "handler");
	check_equal(vmx_rip(), l2_handler(&e->l2, VECTOR_DF), "handler.rip");
	/* The exit by #DF itself is not one during delivery. */
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DF);
	inject(e, first->info, INJECTED_ERROR_CODE, 1);
	check_exception(e->guest, FAULT_EC(VECTOR_DF, 0), "exit");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "exit.vectoring");
	/* The second exception exits instead, if L1 wants that. */
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DF | 1u << second_vector);
	inject(e, first->info, INJECTED_ERROR_CODE, 1);
	check_exception(e->guest, FAULT_EC(second_vector, second_error_code(first, second)),
			"second-exits");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), first->info,
		    "second-exits.vectoring");
}

static void test_pairs(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(firsts); i++)
		for (enum second second = SECOND_NP; second <= SECOND_PF; second++) {
			prefix_push("%s.%s", firsts[i].name, second == SECOND_NP ? "np" : "pf");
			run_pair(&firsts[i], second);
			prefix_pop();
		}
}

VMX_SUBTEST("double-fault.pairs", test_pairs);

/* Each way into a triple fault. */
static void spoil_df_np(struct events *e)
{
	spoil(e, VECTOR_GP, SECOND_NP);
	spoil(e, VECTOR_DF, SECOND_NP);
}

static void spoil_df_pf(struct events *e)
{
	spoil(e, VECTOR_GP, SECOND_NP);
	spoil(e, VECTOR_DF, SECOND_PF);
}

/* #GP, then #PF one after the other, whose #NP makes a #DF of it. */
static void spoil_chain(struct events *e)
{
	spoil(e, VECTOR_GP, SECOND_PF);
	spoil(e, VECTOR_PF, SECOND_NP);
	spoil(e, VECTOR_DF, SECOND_PF);
}

static void spoil_limit(struct events *e)
{
	(void)e;
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
}

static void spoil_idt_page(struct events *e)
{
	tables_map(&e->guest->tables, (ulong)e->l2.idt, (ulong)e->l2.idt, LEVEL_4K, 0);
	tables_set(&e->guest->tables, (ulong)e->l2.idt, LEVEL_4K, 0);
}

static const struct triple {
	const char *name;
	u32 info; /* 0: by L2's code */
	const u8 *code;
	void (*spoil)(struct events *e);
} triples[] = {
	{ "gp-df-np", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), hlts, spoil_df_np },
	{ "gp-df-pf", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), hlts, spoil_df_pf },
	{ "gp-pf-df", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), hlts, spoil_chain },
	{ "df-np", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_DF), hlts, spoil_df_np },
	{ "df-pf", INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_DF), hlts, spoil_df_pf },
	{ "interrupt-limit", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), hlts, spoil_limit },
	{ "nmi-limit", INFO(TYPE_NMI, VECTOR_NMI), hlts, spoil_limit },
	{ "interrupt-idt-page", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), hlts, spoil_idt_page },
	{ "own-ud-limit", 0, ud, spoil_limit },
	{ "own-ud-idt-page", 0, ud, spoil_idt_page },
	{ "own-int-limit", 0, int50, spoil_limit },
};

static void test_triple(void)
{
	for (const struct triple *t = triples; t < triples + ARRAY_SIZE(triples); t++) {
		struct events *e = new_faulter(t->code);

		prefix_push("%s", t->name);
		t->spoil(e);
		inject(e, t->info, 0, 0);
		check_exit_qualification(e->guest, EXIT_TRIPLE_FAULT, 0, "exit");
		check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VALID,
			    0, "information");
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
			    "vectoring");
		check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "rip");
		/* L1 may let it go on elsewhere. */
		events_reset(e);
		vmcs_write(VMCS_GUEST_RIP, (ulong)hlts);
		vmx_run(e->guest);
		check_exit(e->guest, EXIT_HLT, "afterwards");
		prefix_pop();
	}
}

VMX_SUBTEST("triple-fault", test_triple);
