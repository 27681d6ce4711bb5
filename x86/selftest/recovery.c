// SPDX-License-Identifier: BSD-2-Clause
/*
 * Faults as values: the exception table (lib/x86/extable.h), the contexts (context.h) and
 * the handlers of tests (trap.h), and that nothing of it hangs on a segment register.
 */
#include "access.h"
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "extable.h"
#include "msr.h"
#include "paging.h"
#include "report.h"
#include "trap.h"

static ulong not_present(void)
{
	static ulong page;

	if (!page)
		page = (ulong)virtual_range(PAGE_SIZE, PAGE_SIZE);
	return page;
}

static void test_table(void)
{
	ulong bad = not_present();
	u32 memory = 0x12345678, value = 0;

	check_fault(try_read32((ulong)&memory, &value), NO_FAULT, "no-fault");
	check_equal(value, 0x12345678, "value");
	check_fault(try_read32(bad, &value), FAULT_PF(0), "fault");
	check_equal(value, 0x12345678, "value-kept");
	check_equal(last_cr2(), bad, "cr2");
	check_equal(last_trap()->vector, VECTOR_PF, "frame.vector");
	check_equal(last_trap()->cs, KERNEL_CS, "frame.cs");
	/* #DE is vector 0: not to be taken for "no fault". */
	check_fault(fault_of("xorl %%eax, %%eax\n\tdivl %%eax"), FAULT_DE, "divide");
	check(fault_raised(FAULT_DE), "divide.raised");
	check_fault(fault_of("ud2"), FAULT_UD, "ud2");
}

SUBTEST("extable", test_table);

/* The RIP of a trap is that of the next instruction: the end of the entry, not within it. */
static void test_trap(void)
{
	check_fault(fault_of("int3"), FAULT_BP, "int3");
	check_fault(fault_of("nop\n\tint3\n\tud2"), FAULT_BP, "in-the-middle");
}

SUBTEST("extable-trap", test_trap);

/* Neighbours: each entry is found, and a trap's RIP, the next one's start, is not mistaken. */
static void test_neighbours(void)
{
	struct fault first, second, third;

	asm volatile(TRY("ud2\n")
		     "movl %%eax, %[first]\n"
		     TRY("nop")
		     "movl %%eax, %[second]\n"
		     TRY("ud2")
		     : TRY_RESULT(third), [first] "=&r"(first.value), [second] "=&r"(second.value)
		     :
		     : "memory", "cc");
	check_fault(first, FAULT_UD, "first");
	check_fault(second, NO_FAULT, "second");
	check_fault(third, FAULT_UD, "third");
	check(extable_fixup((ulong)test_neighbours, false) == 0, "outside");
	check(extable_fixup(0, false) == 0 && extable_fixup(~0ul, false) == 0, "far-outside");
}

SUBTEST("extable-neighbours", test_neighbours);

/* Entries that the assembler is given in the wrong order, as the linker may leave them. */
static void test_unsorted(void)
{
	struct fault first, second;

	asm volatile("771: ud2\n"
		     "772: movl %%eax, %[first]\n"
		     "773: int3\n"
		     "774:\n"
		     ".pushsection .extable, \"a\"\n" EXTABLE_POINTER " 773b, 774b\n"
		     EXTABLE_POINTER " 771b, 772b\n"
		     ".popsection\n"
		     : "=&a"(second.value), [first] "=&r"(first.value)
		     :
		     : "memory", "cc");
	check_fault(first, FAULT_UD, "first");
	check_fault(second, FAULT_BP, "second");
}

SUBTEST("extable-unsorted", test_unsorted);

/* The table lies in the order of the link; every entry has to be found after the sort. */
static void test_sorted(void)
{
	extern const struct extable_entry extable_start[], extable_end[];
	unsigned int wrong = 0, unsorted = 0, count = 0;

	extable_fixup(0, false);
	for (const struct extable_entry *entry = extable_start; entry < extable_end; entry++) {
		count++;
		wrong += extable_fixup(entry->start, false) != entry->end;
		wrong += extable_fixup(entry->end - 1, false) != entry->end;
		wrong += extable_fixup(entry->end, true) != entry->end;
		if (entry > extable_start)
			unsorted += entry[-1].start > entry->start;
	}
	check(count > 5, "count");
	check_equal(wrong, 0, "found");
	check_equal(unsorted, 0, "ascending");
}

SUBTEST("extable-sorted", test_sorted);

static ulong try_in_ring3(ulong address)
{
	u32 value = 0;
	struct fault fault = try_read32(address, &value);

	return fault_raised(fault) ? fault.value : value;
}

static ulong hlt_in_ring3(ulong argument)
{
	(void)argument;
	return fault_of("hlt").value;
}

static ulong cs_in_ring3(ulong argument)
{
	return argument + read_cs();
}

static ulong divide_by(ulong argument)
{
	asm volatile("divb %b0" : "+q"(argument) : "a"(1) : "cc");
	return argument;
}

static void test_user(void)
{
	u32 memory = 0x2345;
	ulong result = 0;

	check_fault(user_call(cs_in_ring3, 0x1000, &result), NO_FAULT, "call");
	check_equal(result, 0x1000 + USER_CS, "call.result");
	check_fault(user_call(try_in_ring3, (ulong)&memory, &result), NO_FAULT, "no-fault");
	check_equal(result, 0x2345, "no-fault.result");
	check_fault(user_call(try_in_ring3, not_present(), &result), NO_FAULT, "caught");
	check_fault((struct fault){ result }, FAULT_PF(PF_USER), "caught.fault");
	check_fault(user_call(hlt_in_ring3, 0, &result), NO_FAULT, "privileged");
	check_fault((struct fault){ result }, FAULT_GP(0), "privileged.fault");
	check_fault(user_call(divide_by, 0, NULL), FAULT_DE, "not-caught");
	check_equal(read_cs(), KERNEL_CS, "back-in-ring-0");
}

SUBTEST("user", test_user);

/* A handler comes first; false hands the trap on; taken away, the table has it again. */
static unsigned int handled;

static bool skip_ud2(struct trap_frame *frame)
{
	handled++;
	frame->ip += 2;
	return true;
}

static bool decline(struct trap_frame *frame)
{
	(void)frame;
	handled++;
	return false;
}

static void test_handlers(void)
{
	struct context context = context_kernel(context_end);

	handled = 0;
	trap_set_handler(VECTOR_UD, skip_ud2);
	check_fault(fault_of("ud2"), NO_FAULT, "handler");
	trap_set_handler(VECTOR_UD, decline);
	check_fault(fault_of("ud2"), FAULT_UD, "declined");
	check_fault(context_run(&context), NO_FAULT, "declined.context");
	trap_set_handler(VECTOR_UD, NULL);
	check_equal(handled, 3, "count");
	check_fault(fault_of("ud2"), FAULT_UD, "taken-away");
	check_equal(handled, 3, "taken-away.count");
}

SUBTEST("handlers", test_handlers);

/* A context inside a handler of another one: each gets back its own. */
static struct fault inner_fault;

static bool run_inner(struct trap_frame *frame)
{
	inner_fault = user_call(divide_by, 0, NULL);
	frame->ip++;
	return true;
}

static void test_nested(void)
{
	static const u8 code[] = { 0xf4, 0x0f, 0x0b }; /* hlt; ud2 */
	static u8 copy[sizeof(code)];
	struct context context;

	__builtin_memcpy(copy, code, sizeof(code));
	context = context_user(copy);
	context.end = (ulong)copy + 1;
	inner_fault = NO_FAULT;
	trap_set_handler(VECTOR_GP, run_inner);
	check_fault(context_run(&context), NO_FAULT, "outer");
	trap_set_handler(VECTOR_GP, NULL);
	check_fault(inner_fault, FAULT_DE, "inner");
	check_equal(context.cs, USER_CS, "outer.cs");
}

SUBTEST("nested-contexts", test_nested);

/* No segment register, and no base MSR, is what this CPU's data hangs on. */
static void test_per_cpu(void)
{
	const struct cpu *cpu = this_cpu();

	write_fs(0);
	write_gs(0);
	check(this_cpu() == cpu && cpu_index() == 0, "null-gs");
	check_fault(fault_of("ud2"), FAULT_UD, "null-gs.trap");
	write_gs(USER_DS);
	check_fault(fault_of("ud2"), FAULT_UD, "user-gs.trap");
#ifdef __x86_64__
	wrmsr(MSR_GS_BASE, 0xdeadbeef000);
	wrmsr(MSR_FS_BASE, 0xdeadbeef000);
	check_fault(fault_of("ud2"), FAULT_UD, "wild-base.trap");
	check(this_cpu() == cpu, "wild-base");
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
#endif
	write_fs(KERNEL_DS);
	write_gs(KERNEL_DS);
}

SUBTEST("per-cpu", test_per_cpu);
