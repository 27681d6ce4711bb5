// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of an exception during the delivery of another one. SDM volume 3A, "Interrupt 8 -
 * Double Fault Exception (#DF)", table "Conditions for Generating a Double Fault":
 *
 *	first \ second	benign	contributory	page fault
 *	benign		serial	serial		serial
 *	contributory	serial	#DF		serial
 *	page fault	serial	#DF		#DF
 *
 * Contributory are #DE, #TS, #NP, #SS and #GP. Serial: the second is delivered in place of
 * the first, with the frame that the first would have had. The second one comes from
 * the gate of the first: not present, of a wrong type, with a bad selector, or on a page
 * that is not present. No benign exception can be brought about at that place.
 */
#include "cause.h"
#include "control.h"
#include "cpu.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "string.h"
#include "trap.h"

#define GATES	      64 /* all that causes use */
#define CODE_SELECTOR TEST_SELECTOR(0) /* a code segment that is not present */
#define EXT	      0x1
#define IDT	      0x2

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum class class_of(unsigned int vector)
{
	const u32 contributory = 1u << VECTOR_DE | 1u << VECTOR_TS | 1u << VECTOR_NP |
				 1u << VECTOR_SS | 1u << VECTOR_GP;

	if (vector == VECTOR_PF)
		return PAGE_FAULT;
	return contributory >> vector & 1 ? CONTRIBUTORY : BENIGN;
}

static bool makes_double_fault(unsigned int first, unsigned int second)
{
	return (class_of(first) == CONTRIBUTORY && class_of(second) == CONTRIBUTORY) ||
	       (class_of(first) == PAGE_FAULT && class_of(second) != BENIGN);
}

/* The IDT as it is while a case runs: its gates lie across a page boundary. */
static u8 *pages;
static struct gate *gates;

static void set_idt(unsigned int boundary)
{
	struct descriptor_pointer pointer;

	if (!pages)
		pages = pages_alloc(2, PAGE_SIZE);
	gates = (struct gate *)(pages + PAGE_SIZE) - boundary;
	memcpy(gates, idt, GATES * sizeof(*gates));
	pointer = (struct descriptor_pointer){ GATES * sizeof(*gates) - 1, (ulong)gates };
	lidt(&pointer);
}

static void restore_idt(void)
{
	idt_load();
	page_protect((ulong)pages, 2 * PAGE_SIZE, PTE_PRESENT, 0);
}

/* Each makes the gate bad and returns the second exception. ext: EXT bit of its error code. */
static struct fault gate_not_present(unsigned int vector, u32 ext)
{
	gates[vector].access &= ~DESC_PRESENT;
	return FAULT_NP(vector * 8 + IDT + ext);
}

static struct fault gate_of_wrong_type(unsigned int vector, u32 ext)
{
	gates[vector].access = DESC_PRESENT | DESC_DPL3 | DESC_LDT;
	return FAULT_GP(vector * 8 + IDT + ext);
}

static struct fault null_selector(unsigned int vector, u32 ext)
{
	gates[vector].selector = 0;
	return FAULT_GP(ext);
}

static struct fault code_not_present(unsigned int vector, u32 ext)
{
	gdt_set(CODE_SELECTOR, gdt_get(KERNEL_CS) & ~((u64)DESC_PRESENT << 40));
	gates[vector].selector = CODE_SELECTOR;
	return FAULT_NP(CODE_SELECTOR + ext);
}

/* The read of a gate is a supervisor access, from ring 3 as well. */
static struct fault page_not_present(unsigned int vector, __unused u32 ext)
{
	ulong page = ALIGN_DOWN((ulong)&gates[vector], PAGE_SIZE);

	page_protect(page, PAGE_SIZE, 0, PTE_PRESENT);
	return FAULT_PF(0);
}

static const struct second {
	const char *name;
	unsigned int vector;
	struct fault (*spoil_gate)(unsigned int vector, u32 ext);
} seconds[] = {
	{ "np-gate", VECTOR_NP, gate_not_present },
	{ "gp-gate-type", VECTOR_GP, gate_of_wrong_type },
	{ "gp-null-selector", VECTOR_GP, null_selector },
	{ "np-code-segment", VECTOR_NP, code_not_present },
	{ "pf-gate", VECTOR_PF, page_not_present },
};

/*
 * Where the IDT is cut in two pages, so that the page without the first's gate has the
 * gates that are still to be used. With #TS to #GP first that cannot be: #PF's
 * gate has to be on the other page, and so does #DF's for a machine that is wrong.
 */
static unsigned int boundary_for(unsigned int first)
{
	return first < VECTOR_DF ? VECTOR_DF : first;
}

static bool has_boundary(unsigned int first)
{
	return first < VECTOR_DF || first >= VECTOR_PF;
}

/* INT3 and INTO are software interrupts: no EXT, and a fault restarts them. */
static bool is_software(unsigned int vector)
{
	return vector == VECTOR_BP || vector == VECTOR_OF;
}

static void test_pair(const struct cause *first, const struct second *second,
		      const struct environment *environment)
{
	unsigned int vector = cause_vector(first);
	struct expected_trap expected;
	struct context context = cause_prepare(first, environment, &expected);
	ulong ip = is_software(vector) ? context.ip : expected.ip, gate;
	struct fault fault, serial;

	set_idt(boundary_for(vector));
	gate = (ulong)&gates[vector];
	serial = second->spoil_gate(vector, is_software(vector) ? 0 : EXT);
	prefix_push("%s.%s", second->name, environment->name);
	checking("fault");
	fault = context_run(&context);
	restore_idt();
	cause_undo(first);
	if (makes_double_fault(vector, second->vector)) {
		check_fault(fault, FAULT_EC(VECTOR_DF, 0), "fault");
	} else if (check_fault(fault_without_error_code(fault), FAULT(second->vector), "fault")) {
		check_equal(fault_error_code(fault), fault_error_code(serial), "error-code");
		check_equal(context.ip, ip, "ip");
		if (second->vector == VECTOR_PF)
			check(last_cr2() >= gate && last_cr2() < gate + sizeof(struct gate), "cr2");
	}
	prefix_pop();
}

/* #TS by a cause that leaves #DF its own stack or task. */
#ifdef __x86_64__
#define TS_CAUSE "ist-beyond-tss"
#else
#define TS_CAUSE "jump-to-short-tss"
#endif

static void test_first(const void *vector)
{
	const struct cause *first =
		cause_find((ulong)vector, (ulong)vector == VECTOR_TS ? TS_CAUSE : NULL);
	const char *reason;

	for_each_environment(environment) {
		if (!cause_possible(first, environment, &reason))
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(seconds); i++)
			if (seconds[i].vector != VECTOR_PF || has_boundary((ulong)vector))
				test_pair(first, &seconds[i], environment);
	}
}

#define FIRST(name, vector) SUBTEST_ARG("df." name, test_first, (const void *)(vector))

FIRST("de", VECTOR_DE);
FIRST("db", VECTOR_DB);
FIRST("bp", VECTOR_BP);
FIRST("of", VECTOR_OF);
FIRST("br", VECTOR_BR);
FIRST("ud", VECTOR_UD);
FIRST("nm", VECTOR_NM);
FIRST("ts", VECTOR_TS);
FIRST("np", VECTOR_NP);
FIRST("ss", VECTOR_SS);
FIRST("gp", VECTOR_GP);
FIRST("pf", VECTOR_PF);
FIRST("mf", VECTOR_MF);
FIRST("ac", VECTOR_AC);
FIRST("xm", VECTOR_XM);
