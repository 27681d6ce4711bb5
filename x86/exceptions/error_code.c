// SPDX-License-Identifier: BSD-2-Clause
/*
 * Error codes. SDM volume 3A, "Error Code": a selector without its RPL, or a vector * 8
 * with the IDT bit; TI for a selector of the LDT; EXT for an exception during the
 * delivery of an event external to the program: an interrupt, an earlier exception, INT1;
 * not of a software interrupt (INT n, INT3, INTO).
 *
 * Each bad gate below is met by INT n, INT3, a fault, and INT1, which differ in EXT alone. The
 * rows of loads and IRETs have the selector's TI and no RPL.
 */
#include "control.h"
#include "cpu.h"
#include "environment.h"
#include "page_alloc.h"
#include "report.h"
#include "trap.h"

#define EXT	       0x1
#define IDT	       0x2
#define TI	       0x4
#define INT_VECTOR     0x20
#define ENTRY	       TEST_SELECTOR(0)	/* a GDT entry that cases fill */
#define BEYOND_GDT     0xfff0
#define LDT_ENTRY      (1 * 8 | TI)	/* not present */
#define BEYOND_LDT     (8 * 8 | TI)
#define INTERRUPT_GATE (DESC_PRESENT | DESC_DPL3 | DESC_INTERRUPT_GATE)

static u64 ldt[3];

static u64 kernel_code(void)
{
	return gdt_get(KERNEL_CS);
}

#define ACCESS(byte) ((u64)(byte) << 40)

/* Gates: each function spoils the gate of a vector and says what comes, without EXT. */
static struct gate *spoiled;

static struct fault not_present(unsigned int vector)
{
	spoiled->access &= ~DESC_PRESENT;
	return FAULT_NP(vector * 8 + IDT);
}

static struct fault wrong_type(unsigned int vector)
{
	spoiled->access = DESC_PRESENT | DESC_DPL3 | DESC_CALL_GATE;
	return FAULT_GP(vector * 8 + IDT);
}

static struct fault null_selector(__unused unsigned int vector)
{
	spoiled->selector = 3;
	return FAULT_GP(0);
}

static struct fault beyond_gdt(__unused unsigned int vector)
{
	spoiled->selector = BEYOND_GDT | 3;
	return FAULT_GP(BEYOND_GDT);
}

static struct fault beyond_ldt(__unused unsigned int vector)
{
	spoiled->selector = BEYOND_LDT;
	return FAULT_GP(BEYOND_LDT);
}

static struct fault with_segment(u64 descriptor, struct fault fault)
{
	gdt_set(ENTRY, descriptor);
	spoiled->selector = ENTRY | 1;
	return fault;
}

static struct fault code_not_present(__unused unsigned int vector)
{
	return with_segment(kernel_code() & ~ACCESS(DESC_PRESENT), FAULT_NP(ENTRY));
}

static struct fault data_segment(__unused unsigned int vector)
{
	return with_segment(gdt_get(KERNEL_DS), FAULT_GP(ENTRY));
}

/* From ring 0, a segment of less privilege; from ring 3 this one would be fine. */
static struct fault ring3_code(__unused unsigned int vector)
{
	return with_segment(kernel_code() | ACCESS(DESC_DPL3), FAULT_GP(ENTRY));
}

static struct fault ldt_not_present(__unused unsigned int vector)
{
	ldt[1] = kernel_code() & ~ACCESS(DESC_PRESENT);
	spoiled->selector = LDT_ENTRY;
	return FAULT_NP(LDT_ENTRY);
}

#ifdef __x86_64__
static struct fault code32(__unused unsigned int vector)
{
	return with_segment(gdt_get(KERNEL_CS32), FAULT_GP(ENTRY));
}

/* The D bit together with L is reserved. */
static struct fault code_with_l_and_d(__unused unsigned int vector)
{
	return with_segment(kernel_code() | 1ull << 54, FAULT_GP(ENTRY));
}

static struct fault non_canonical_ist(__unused unsigned int vector)
{
	this_cpu()->tss.ist[6] = 1ull << 63;
	spoiled->ist = 7;
	return FAULT(VECTOR_SS); /* which selector the error code has is not judged */
}
#endif

/* SDM volume 2A, INT n, "Protected Mode Exceptions" and "64-Bit Mode Exceptions". */
static const struct bad_gate {
	const char *name;
	unsigned int where;
	struct fault (*spoil)(unsigned int vector);
} bad_gates[] = {
	{ "not-present", ENV_ANY, not_present },
	{ "wrong-type", ENV_ANY, wrong_type },
	{ "null-selector", ENV_ANY, null_selector },
	{ "beyond-gdt", ENV_ANY, beyond_gdt },
	{ "beyond-ldt", ENV_ANY, beyond_ldt },
	{ "code-not-present", ENV_ANY, code_not_present },
	{ "data-segment", ENV_ANY, data_segment },
	{ "ring3-code", ENV_ANY & ~ENV_USER, ring3_code },
	{ "ldt-not-present", ENV_ANY, ldt_not_present },
#ifdef __x86_64__
	{ "code32", ENV_ANY, code32 },
	{ "code-with-l-and-d", ENV_ANY, code_with_l_and_d },
	{ "non-canonical-ist", ENV_ANY, non_canonical_ist },
#endif
};

/* Who comes to the gate. */
static const struct event {
	const char *name;
	unsigned int vector;
	const char *code;
	unsigned int size;
	u32 ext;
} int_n = { "int-n", INT_VECTOR, "\xcd\x20", 2, 0 },
  int3 = { "int3", VECTOR_BP, "\xcc", 1, 0 },
  ud2 = { "ud2", VECTOR_UD, "\x0f\x0b", 2, EXT },
  int1 = { "int1", VECTOR_DB, "\xf1", 1, EXT };

/* Where a machine that takes the gate comes to its senses, in code of any size. */
static ulong landing(unsigned int vector)
{
	static const u8 int3_code[] = { 0xcc };

	return vector == VECTOR_UD ? (ulong)int3_code : (ulong)context_end;
}

static void test_gate(const struct event *event, const struct bad_gate *gate,
		      const struct environment *environment)
{
	struct context context = environment_context(environment, event->code, event->size);
	struct gate saved = idt[event->vector];
	struct fault expected, fault;
	ulong ip = context.ip;

	ldt_load(ldt, ARRAY_SIZE(ldt));
	idt[event->vector] = gate_make(KERNEL_CS, landing(event->vector), INTERRUPT_GATE, 0);
	spoiled = &idt[event->vector];
	expected = gate->spoil(event->vector);
	prefix_push("%s.%s", gate->name, environment->name);
	checking("fault");
	fault = context_run(&context);
	idt[event->vector] = saved;
	lldt(0);
	if (check_fault(fault_without_error_code(fault), fault_without_error_code(expected),
			"fault")) {
		if (fault_has_error_code(expected))
			check_equal(fault_error_code(fault),
				    fault_error_code(expected) | event->ext, "error-code");
		if (event != &int1) /* a trap or an instruction that faults: not said of INT1 */
			check_equal(context.ip, ip, "ip");
	}
	prefix_pop();
}

static void test_event(const void *event)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_gates); i++)
		for_each_environment(environment)
			if (environment_in(environment, bad_gates[i].where))
				test_gate(event, &bad_gates[i], environment);
}

SUBTEST_ARG("gate.int-n", test_event, &int_n);
SUBTEST_ARG("gate.int3", test_event, &int3);
SUBTEST_ARG("gate.ud2", test_event, &ud2);
SUBTEST_ARG("gate.int1", test_event, &int1);

/* INT n of the last vector within the IDT's limit, and of the first one beyond it. */
static void test_idt_limit(void)
{
	struct descriptor_pointer pointer = sidt();
	struct gate saved = idt[INT_VECTOR];

	idt[INT_VECTOR] = gate_make(KERNEL_CS, trap_entry_address(VECTOR_CSO), INTERRUPT_GATE, 0);
	for_each_environment(environment) {
		for (int beyond = 0; beyond < 2; beyond++) {
			struct context context =
				environment_context(environment, int_n.code, int_n.size);
			struct fault fault;

			pointer.limit = (INT_VECTOR + 1) * sizeof(struct gate) - 1 - beyond;
			lidt(&pointer);
			fault = context_run(&context);
			idt_load();
			check_fault(fault,
				    beyond ? FAULT_GP(INT_VECTOR * 8 + IDT) : FAULT(VECTOR_CSO),
				    "%s.%s", beyond ? "beyond" : "within", environment->name);
		}
	}
	idt[INT_VECTOR] = saved;
}

SUBTEST("idt-limit", test_idt_limit);

/*
 * Selectors that a program loads. SDM volume 2B, MOV: CX has the selector; LDT entry 1
 * is not present, with the DPL of the environment (as the selector's RPL).
 */
static const struct load {
	const char *name;
	const char *code;
	u16 selector;
	bool rpl_is_cpl;
	u32 fault;
} loads[] = {
	{ "ds-beyond-gdt", "\x8e\xd9", BEYOND_GDT | 3, false,
	  FAULT_VALUE_EC(VECTOR_GP, BEYOND_GDT) },
	{ "ds-beyond-ldt", "\x8e\xd9", BEYOND_LDT | 3, false,
	  FAULT_VALUE_EC(VECTOR_GP, BEYOND_LDT) },
	{ "ds-ldt-not-present", "\x8e\xd9", LDT_ENTRY, true, FAULT_VALUE_EC(VECTOR_NP, LDT_ENTRY) },
	{ "es-ldt-not-present", "\x8e\xc1", LDT_ENTRY, true, FAULT_VALUE_EC(VECTOR_NP, LDT_ENTRY) },
	{ "gs-ldt-not-present", "\x8e\xe9", LDT_ENTRY, true, FAULT_VALUE_EC(VECTOR_NP, LDT_ENTRY) },
	{ "ss-ldt-not-present", "\x8e\xd1", LDT_ENTRY, true, FAULT_VALUE_EC(VECTOR_SS, LDT_ENTRY) },
	{ "ss-beyond-ldt", "\x8e\xd1", BEYOND_LDT, true, FAULT_VALUE_EC(VECTOR_GP, BEYOND_LDT) },
	{ "ss-code", "\x8e\xd1", KERNEL_CS, true, FAULT_VALUE_EC(VECTOR_GP, KERNEL_CS) },
};

static void test_load(const struct load *load, const struct environment *environment)
{
	struct context context = environment_context(environment, load->code, 2);
	unsigned int ring = environment_is_user(environment) ? 3 : 0;

	ldt[1] = SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_DPL(ring) | DESC_DATA_WRITABLE,
				    DESC_GRANULARITY | DESC_BIG);
	ldt_load(ldt, ARRAY_SIZE(ldt));
	context.cx = load->selector | (load->rpl_is_cpl ? ring : 0);
	check_fault(context_run(&context), (struct fault){ load->fault }, "%s.%s", load->name,
		    environment->name);
	lldt(0);
}

static void test_loads(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(loads); i++)
		for_each_environment(environment)
			test_load(&loads[i], environment);
}

SUBTEST("selector-loads", test_loads);

/*
 * IRET from ring 0 to ring 3, with a frame that has one bad selector. SDM volume 2A, IRET;
 * its lists disagree whether an SS that is not present is #SS or #NP: there is no row.
 */
static const struct iret {
	const char *name;
	u16 cs, ss;
	u32 fault;
} irets[] = {
	{ "cs-null", 0, USER_DS, FAULT_VALUE_EC(VECTOR_GP, 0) },
	{ "cs-beyond-gdt", BEYOND_GDT | 3, USER_DS, FAULT_VALUE_EC(VECTOR_GP, BEYOND_GDT) },
	{ "cs-data", USER_DS, USER_DS, FAULT_VALUE_EC(VECTOR_GP, USER_DS & ~3) },
	{ "cs-not-present", ENTRY | 3, USER_DS, FAULT_VALUE_EC(VECTOR_NP, ENTRY) },
	{ "cs-dpl-0", KERNEL_CS | 3, USER_DS, FAULT_VALUE_EC(VECTOR_GP, KERNEL_CS) },
	{ "ss-rpl-0", USER_CS, USER_DS & ~3, FAULT_VALUE_EC(VECTOR_GP, USER_DS & ~3) },
	{ "ss-code", USER_CS, USER_CS, FAULT_VALUE_EC(VECTOR_GP, USER_CS & ~3) },
};

static void test_irets(void)
{
	const struct environment *kernel = &environments[0];

	gdt_set(ENTRY, gdt_get(USER_CS) & ~ACCESS(DESC_PRESENT));
	for (unsigned int i = 0; i < ARRAY_SIZE(irets); i++) {
		const struct iret *iret = &irets[i];
		const char *code = sizeof(ulong) == 8 ? "\x48\xcf" : "\xcf\x90";
		struct context context = environment_context(kernel, code, 2);
		ulong *frame = (ulong *)context.sp - 5;
		ulong ip = context.ip;

		frame[0] = (ulong)context_end;
		frame[1] = iret->cs;
		frame[2] = EFLAGS_FIXED;
		frame[3] = context_user(NULL).sp;
		frame[4] = iret->ss;
		context.sp = (ulong)frame;
		check_fault(context_run(&context), (struct fault){ iret->fault }, "%s", iret->name);
		check_equal(context.ip, ip, "%s.ip", iret->name);
		check_equal(context.sp, (ulong)frame, "%s.sp", iret->name);
	}
}

SUBTEST("iret", test_irets);
