// SPDX-License-Identifier: BSD-2-Clause
/*
 * On which stack an exception is delivered. SDM volume 3A, "Stack Usage on Transfers to
 * Interrupt and Exception-Handling Routines" and, for IA-32e mode, "Interrupt Stack Table" and
 * "Stack Switching in IA-32e Mode": the TSS's stack with a change of privilege, in 64-bit
 * mode aligned to 16 bytes always, an IST entry whatever the privilege.
 */
#include "control.h"
#include "cpu.h"
#include "environment.h"
#include "page_alloc.h"
#include "report.h"
#include "string.h"
#include "trap.h"

#define VECTOR	       0x21
#define RING1_CS       TEST_SELECTOR(0)
#define RING1_SS       TEST_SELECTOR(1)
#define OTHER	       TEST_SELECTOR(2)
#define BEYOND_GDT     0xfff0
#define INTERRUPT_GATE (DESC_PRESENT | DESC_DPL3 | DESC_INTERRUPT_GATE)

/* The handler's view: the address above the pushed frame, its segments, the TSS's stack. */
static struct {
	ulong top, sp0;
	u16 ss, cs;
	ulong flags;
} landed;

static bool on_interrupt(struct trap_frame *frame)
{
	bool has_ss = sizeof(ulong) == 8 || frame_is_user(frame);

	landed.top = has_ss ? (ulong)(frame + 1) : (ulong)&frame->sp;
	/* RSP0 and ESP0 lie at the same place; context_run() has set it. */
	memcpy(&landed.sp0, (u8 *)&this_cpu()->tss + 4, sizeof(landed.sp0));
	landed.ss = read_ss();
	landed.cs = read_cs();
	landed.flags = read_flags();
	return false;
}

/* INT 0x21 through this gate; #CSO is how the context ends. */
static struct fault interrupt(struct context *context, struct gate gate)
{
	struct fault fault;

	landed.top = 0;
	idt[VECTOR] = gate;
	trap_set_handler(VECTOR_CSO, on_interrupt);
	fault = context_run(context);
	trap_set_handler(VECTOR_CSO, NULL);
	idt[VECTOR] = (struct gate){ 0 };
	return fault;
}

static struct gate gate_with_ist(unsigned int ist)
{
	return gate_make(KERNEL_CS, trap_entry_address(VECTOR_CSO), INTERRUPT_GATE, ist);
}

static void test_tss(void)
{
	for_each_environment(environment) {
		struct context context = environment_context(environment, "\xcd\x21", 2);
		bool user = environment_is_user(environment);
		ulong sp = context.sp -= sizeof(ulong) == 8 ? 3 : 4, expected;

		prefix_push("%s", environment->name);
		check_fault(interrupt(&context, gate_with_ist(0)), FAULT(VECTOR_CSO), "fault");
		expected = user ? landed.sp0 : sp;
		if (sizeof(ulong) == 8)
			expected = ALIGN_DOWN(expected, 16);
		check_equal(landed.top, expected, "stack");
		check_equal(landed.ss, sizeof(ulong) == 8 && user ? 0 : KERNEL_DS, "ss");
		check_equal(landed.cs, KERNEL_CS, "cs");
		check_equal(context.sp, sp, "pushed-sp");
		prefix_pop();
	}
}

SUBTEST("stack.tss", test_tss);

/* An interrupt gate clears IF, a trap gate leaves it; both clear TF and NT (RF too, which PUSHF
 * does not show). */
static void test_gate_flags(void)
{
	static const struct {
		const char *name;
		u8 type;
		bool clears_if;
	} gates[] = {
		{ "interrupt", DESC_INTERRUPT_GATE, true },
		{ "trap", DESC_TRAP_GATE, false },
	};

	for_each_environment(environment) {
		for (unsigned int i = 0; i < ARRAY_SIZE(gates); i++) {
			struct context context = environment_context(environment, "\xcd\x21", 2);

			context.flags |= EFLAGS_IF | EFLAGS_NT | EFLAGS_AC;
			prefix_push("%s.%s", gates[i].name, environment->name);
			check_fault(interrupt(&context, gate_make(KERNEL_CS,
								  trap_entry_address(VECTOR_CSO),
								  DESC_PRESENT | DESC_DPL3 |
									  gates[i].type, 0)),
				    FAULT(VECTOR_CSO), "fault");
			check_equal(landed.flags & EFLAGS_IF, gates[i].clears_if ? 0 : EFLAGS_IF,
				    "if");
			check_equal(landed.flags & (EFLAGS_TF | EFLAGS_NT), 0, "cleared");
			check_equal(landed.flags & EFLAGS_AC, EFLAGS_AC, "ac-kept");
			check(context.flags & EFLAGS_IF && context.flags & EFLAGS_NT, "pushed");
			prefix_pop();
		}
	}
}

SUBTEST("gate-flags", test_gate_flags);

#ifdef __x86_64__

static void test_ist(void)
{
	u8 *stack = page_alloc();
	struct tss64 *tss = &this_cpu()->tss;

	for (unsigned int ist = 1; ist <= 7; ist++) {
		/* Not aligned on purpose, and each at a place of its own in the page. */
		ulong top = (ulong)stack + 2048 + ist * 256 - 5;

		u64 saved = tss->ist[ist - 1];

		tss->ist[ist - 1] = top;
		for_each_environment(environment) {
			struct context context = environment_context(environment, "\xcd\x21", 2);
			ulong sp = context.sp;

			check_fault(interrupt(&context, gate_with_ist(ist)), FAULT(VECTOR_CSO),
				    "%u.%s", ist, environment->name);
			check_equal(landed.top, ALIGN_DOWN(top, 16), "%u.%s.stack", ist,
				    environment->name);
			check_equal(context.sp, sp, "%u.%s.pushed-sp", ist, environment->name);
		}
		tss->ist[ist - 1] = saved;
	}
	page_free(stack);
}

SUBTEST("stack.ist", test_ist);

#else

/*
 * From ring 3 through a gate to ring 1: SS1 and ESP1. A bad SS1 is #TS with its selector, but for
 * one that is not present, #SS; SDM volume 2A, INT n, "Protected Mode Exceptions". The
 * exception itself goes to ring 0, whose stack is good.
 */
#define DATA	 (DESC_PRESENT | DESC_DATA_WRITABLE)
#define FLAT(access) SEGMENT_DESCRIPTOR(0, 0xfffff, access, DESC_BIG | DESC_GRANULARITY)

static const struct bad_ss {
	const char *name;
	u16 ss1;
	u64 descriptor; /* of OTHER */
	u32 fault;
} bad_ss[] = {
	{ "null", 0, 0, FAULT_VALUE_EC(VECTOR_TS, 0) },
	{ "beyond-gdt", BEYOND_GDT | 1, 0, FAULT_VALUE_EC(VECTOR_TS, BEYOND_GDT) },
	{ "rpl-0", OTHER, FLAT(DATA | DESC_DPL(1)), FAULT_VALUE_EC(VECTOR_TS, OTHER) },
	{ "dpl-0", OTHER | 1, FLAT(DATA), FAULT_VALUE_EC(VECTOR_TS, OTHER) },
	{ "dpl-3", OTHER | 1, FLAT(DATA | DESC_DPL3), FAULT_VALUE_EC(VECTOR_TS, OTHER) },
	{ "read-only", OTHER | 1, FLAT(DESC_PRESENT | DESC_DPL(1) | DESC_DATA),
	  FAULT_VALUE_EC(VECTOR_TS, OTHER) },
	{ "code", OTHER | 1, FLAT(DESC_PRESENT | DESC_DPL(1) | DESC_CODE_READABLE),
	  FAULT_VALUE_EC(VECTOR_TS, OTHER) },
	{ "not-present", OTHER | 1, FLAT(DESC_DPL(1) | DESC_DATA_WRITABLE),
	  FAULT_VALUE_EC(VECTOR_SS, OTHER) },
};

static void test_ring1(void)
{
	struct tss32 *tss = &this_cpu()->tss;
	u8 *stack = page_alloc();
	struct gate gate = gate_make(RING1_CS | 1, (ulong)context_end, INTERRUPT_GATE, 0);
	struct context context = environment_context(&environments[1], "\xcd\x21", 2);
	ulong ip = context.ip, *pushed, *top = (ulong *)(stack + 2048);

	gdt_set(RING1_CS, FLAT(DESC_PRESENT | DESC_DPL(1) | DESC_CODE_READABLE));
	gdt_set(RING1_SS, FLAT(DATA | DESC_DPL(1)));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_ss); i++) {
		context = environment_context(&environments[1], "\xcd\x21", 2);
		gdt_set(OTHER, bad_ss[i].descriptor);
		tss->ss1 = bad_ss[i].ss1;
		tss->esp1 = (ulong)top;
		check_fault(interrupt(&context, gate), (struct fault){ bad_ss[i].fault }, "%s",
			    bad_ss[i].name);
		check_equal(context.ip, ip, "%s.ip", bad_ss[i].name);
	}
	/* All well: UD2 in ring 1 at context_end, with the frame below ESP1. */
	context = environment_context(&environments[1], "\xcd\x21", 2);
	context.end = (ulong)context_end;
	tss->ss1 = RING1_SS | 1;
	check_fault(interrupt(&context, gate), NO_FAULT, "good");
	check_equal(context.cs, RING1_CS | 1, "good.cs");
	check_equal(context.ss, RING1_SS | 1, "good.ss");
	check_equal(context.sp, (ulong)(top - 5), "good.sp");
	pushed = top - 5;
	check_equal(pushed[0], ip + 2, "good.pushed-ip");
	check_equal((u16)pushed[1], USER_CS, "good.pushed-cs");
	check_equal((u16)pushed[4], USER_DS, "good.pushed-ss");
	tss->ss1 = 0;
	tss->esp1 = 0;
	page_free(stack);
}

SUBTEST("stack.ring1", test_ring1);

#endif
