// SPDX-License-Identifier: BSD-2-Clause
/*
 * #DB: breakpoints on data, instructions and ports, single steps, general detect, and what DR6
 * says of them. SDM volume 3B, "Debug Registers" and "Debug Exceptions".
 *
 * A data breakpoint traps when any byte of the access lies in the aligned LEN bytes at
 * the address, and R/W agrees. An instruction breakpoint is a fault at that
 * instruction's first byte, unless RF is set. DR6's bits are sticky and B0 to B3 may be
 * set for breakpoints that are not enabled, which is not judged.
 */
#include "control.h"
#include "cpuid.h"
#include "debug.h"
#include "environment.h"
#include "extable.h"
#include "report.h"
#include "trap.h"

static u8 memory[64] __aligned(64);

#define CODE(bytes) bytes, sizeof(bytes) - 1
#define LOAD_BYTE   CODE("\x8a\x03")	 /* mov (%ebx), %al */
#define LOAD_DWORD  CODE("\x8b\x03")	 /* mov (%ebx), %eax */
#define STORE_BYTE  CODE("\x88\x03")	 /* mov %al, (%ebx) */
#define STORE_WORD  CODE("\x66\x89\x03") /* mov %ax, (%ebx) */
#define STORE_DWORD CODE("\x89\x03")	 /* mov %eax, (%ebx) */
#define ADD_BYTE    CODE("\x00\x03")	 /* add %al, (%ebx) */

/* The breakpoint lies at memory + 16, the access at an offset from there. */
static const struct data_case {
	const char *name;
	ulong rw, len;
	const char *code;
	unsigned int size;
	int offset;
	bool hits;
} data_cases[] = {
	{ "w1.store", DR7_WRITE, DR7_LEN_1, STORE_BYTE, 0, true },
	{ "w1.load", DR7_WRITE, DR7_LEN_1, LOAD_BYTE, 0, false },
	{ "w1.read-modify-write", DR7_WRITE, DR7_LEN_1, ADD_BYTE, 0, true },
	{ "w1.store-below", DR7_WRITE, DR7_LEN_1, STORE_BYTE, -1, false },
	{ "w1.store-above", DR7_WRITE, DR7_LEN_1, STORE_BYTE, 1, false },
	{ "w1.dword-from-below", DR7_WRITE, DR7_LEN_1, STORE_DWORD, -3, true },
	{ "w1.dword-just-below", DR7_WRITE, DR7_LEN_1, STORE_DWORD, -4, false },
	{ "rw1.load", DR7_ACCESS, DR7_LEN_1, LOAD_BYTE, 0, true },
	{ "rw1.store", DR7_ACCESS, DR7_LEN_1, STORE_BYTE, 0, true },
	{ "rw2.second-byte", DR7_ACCESS, DR7_LEN_2, LOAD_BYTE, 1, true },
	{ "rw2.third-byte", DR7_ACCESS, DR7_LEN_2, LOAD_BYTE, 2, false },
	{ "rw4.last-byte", DR7_ACCESS, DR7_LEN_4, LOAD_BYTE, 3, true },
	{ "rw4.beyond", DR7_ACCESS, DR7_LEN_4, LOAD_BYTE, 4, false },
	{ "rw4.word-from-below", DR7_WRITE, DR7_LEN_4, STORE_WORD, -1, true },
	{ "rw4.dword-from-last", DR7_ACCESS, DR7_LEN_4, LOAD_DWORD, 3, true },
	{ "rw4.dword-below", DR7_ACCESS, DR7_LEN_4, LOAD_DWORD, -4, false },
	{ "rw8.last-byte", DR7_ACCESS, DR7_LEN_8, LOAD_BYTE, 7, true },
	{ "rw8.beyond", DR7_ACCESS, DR7_LEN_8, LOAD_BYTE, 8, false },
};

static void test_data_case(const struct data_case *c, const struct environment *environment)
{
	/* Each breakpoint register in turn. */
	unsigned int n = (c - data_cases) % 4;
	struct context context = environment_context(environment, c->code, c->size);
	ulong ip = context.ip;

	context.bx = (ulong)memory + 16 + c->offset;
	breakpoint_set(n, (ulong)memory + 16, c->rw, c->len);
	prefix_push("%s.%s", c->name, environment->name);
	check_fault(context_run(&context), c->hits ? FAULT_DB : NO_FAULT, "fault");
	if (c->hits) {
		check_equal(context.ip - ip, c->size, "ip");
		check_equal(read_dr6() & (DR6_BS | DR6_BD | BIT(n)), BIT(n), "dr6");
	}
	breakpoints_clear();
	prefix_pop();
}

static void test_data(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(data_cases); i++) {
		/* LEN 10b is 8 bytes on every CPU with long mode, undefined before. */
		if (data_cases[i].len == DR7_LEN_8 && !cpu_has(FEATURE_LM))
			continue;
		for_each_environment(environment)
			test_data_case(&data_cases[i], environment);
	}
}

SUBTEST("debug.data", test_data);

/* NOP; NOP; NOP, with the breakpoint at the second one. */
static const struct instruction_case {
	const char *name;
	int offset;
	ulong flags, enable;
	bool hits;
	unsigned int ip;
} instruction_cases[] = {
	{ "first", 0, 0, DR7_L(0), true, 0 },
	{ "second", 1, 0, DR7_L(0), true, 1 },
	{ "global", 1, 0, DR7_G(0), true, 1 },
	{ "disabled", 1, 0, 0, false, 3 },
	{ "resume-flag", 0, EFLAGS_RF, DR7_L(0), false, 3 },
	{ "resume-flag-lasts-one-instruction", 1, EFLAGS_RF, DR7_L(0), true, 1 },
};

static void test_instructions(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(instruction_cases); i++) {
		const struct instruction_case *c = &instruction_cases[i];

		for_each_environment(environment) {
			struct context context =
				environment_context(environment, CODE("\x90\x90\x90"));
			ulong ip = context.ip;

			context.flags |= c->flags;
			breakpoint_set(0, ip + c->offset, DR7_EXECUTE, DR7_LEN_1);
			write_dr7(DR7_INITIAL | c->enable);
			prefix_push("%s.%s", c->name, environment->name);
			check_fault(context_run(&context), c->hits ? FAULT_DB : NO_FAULT, "fault");
			check_equal(context.ip - ip, c->ip, "ip");
			if (c->hits)
				check_equal(read_dr6() & (DR6_BS | DR6_BD | DR6_B0), DR6_B0, "dr6");
			breakpoints_clear();
			prefix_pop();
		}
	}
}

SUBTEST("debug.instruction", test_instructions);

/* In the middle of an instruction there is no breakpoint; on a prefix, its first byte, there is. */
static void test_first_byte(void)
{
	for_each_environment(environment) {
		for (unsigned int offset = 0; offset < 2; offset++) {
			struct context context = environment_context(environment, CODE("\x66\x90"));

			breakpoint_set(3, context.ip + offset, DR7_EXECUTE, DR7_LEN_1);
			check_fault(context_run(&context), offset ? NO_FAULT : FAULT_DB,
				    "byte-%u.%s", offset, environment->name);
			breakpoints_clear();
		}
	}
}

SUBTEST("debug.first-byte", test_first_byte);

/* TF: BS, and with it the Bn of a data breakpoint that the same instruction hit. */
static void test_single_step(void)
{
	for_each_environment(environment) {
		struct context context = environment_context(environment, CODE("\x90\x90"));
		ulong ip = context.ip;

		prefix_push("%s", environment->name);
		context.flags |= EFLAGS_TF;
		write_dr6(DR6_INITIAL);
		check_fault(context_run(&context), FAULT_DB, "fault");
		check_equal(context.ip - ip, 1, "ip");
		check_equal(read_dr6() & (DR6_BS | DR6_BD), DR6_BS, "dr6");
		check(context.flags & EFLAGS_TF, "pushed-tf");

		context = environment_context(environment, STORE_BYTE);
		context.bx = (ulong)memory;
		context.flags |= EFLAGS_TF;
		breakpoint_set(2, (ulong)memory, DR7_WRITE, DR7_LEN_1);
		check_fault(context_run(&context), FAULT_DB, "with-data.fault");
		check_equal(read_dr6() & (DR6_BS | DR6_BD | DR6_B2), DR6_BS | DR6_B2,
			    "with-data.dr6");
		breakpoints_clear();
		prefix_pop();
	}
}

SUBTEST("debug.single-step", test_single_step);

/* TF set by POPF or IRET takes effect after the instruction that follows it. */
static void test_popf(void)
{
	for_each_environment(environment) {
		struct context context = environment_context(environment, CODE("\x9d\x90\x90\x90"));
		ulong ip = context.ip, *stack = (ulong *)context.sp - 1;

		*stack = EFLAGS_FIXED | EFLAGS_TF;
		context.sp = (ulong)stack;
		write_dr6(DR6_INITIAL);
		check_fault(context_run(&context), FAULT_DB, "%s", environment->name);
		check_equal(context.ip - ip, 2, "%s.ip", environment->name);
	}
}

SUBTEST("debug.popf-tf", test_popf);

/*
 * REP STOSB over a breakpoint: after the iteration that hit, with RIP still at it and RF set. Of
 * RF the APM says nothing here: not judged on AMD's CPUs.
 */
static void test_repeated(void)
{
	for_each_environment(environment) {
		struct context context = environment_context(environment, CODE("\xf3\xaa"));
		ulong ip = context.ip;

		context.di = (ulong)memory;
		context.cx = 4;
		breakpoint_set(1, (ulong)memory + 1, DR7_WRITE, DR7_LEN_1);
		prefix_push("%s", environment->name);
		check_fault(context_run(&context), FAULT_DB, "fault");
		check_equal(context.ip, ip, "ip");
		check_equal(context.cx, 2, "count");
		check_equal(context.di, (ulong)memory + 2, "address");
		if (cpu_is_amd())
			diagnostic("%s: RF=%u", environment->name, !!(context.flags & EFLAGS_RF));
		else
			check_equal(context.flags & EFLAGS_RF, EFLAGS_RF, "rf");
		breakpoints_clear();
		prefix_pop();
	}
}

SUBTEST("debug.rep", test_repeated);

/* Port 0x80, the POST code's, takes any byte. */
static void test_port(void)
{
	for_each_environment(environment) {
		struct context context = environment_context(environment, CODE("\xe6\x80"));
		ulong ip = context.ip;

		if (!cpu_has(FEATURE_DE))
			return check_skip("the CPU has no debugging extensions", "port");
		context.flags |= EFLAGS_IOPL;
		write_cr4(read_cr4() | CR4_DE);
		breakpoint_set(0, 0x80, DR7_IO, DR7_LEN_1);
		check_fault(context_run(&context), FAULT_DB, "hit.%s", environment->name);
		check_equal(context.ip - ip, 2, "hit.%s.ip", environment->name);
		breakpoint_set(0, 0x81, DR7_IO, DR7_LEN_1);
		context = environment_context(environment, CODE("\xe6\x80"));
		context.flags |= EFLAGS_IOPL;
		check_fault(context_run(&context), NO_FAULT, "other-port.%s", environment->name);
		breakpoints_clear();
		write_cr4(read_cr4() & ~CR4_DE);
	}
}

SUBTEST("debug.port", test_port);

#ifdef __x86_64__
#define MOV_DX(dr) "mov %%" dr ", %%rdx"
#define MOV_TO(dr) "mov %%rdx, %%" dr
#else
#define MOV_DX(dr) "mov %%" dr ", %%edx"
#define MOV_TO(dr) "mov %%edx, %%" dr
#endif

/* One instruction that reads a debug register into DX. */
#define fault_of_dr_read(dr)                                                                       \
	({                                                                                         \
		struct fault fault_;                                                               \
		asm volatile(TRY(MOV_DX(dr)) : TRY_RESULT(fault_) : : "edx", "memory");            \
		fault_;                                                                            \
	})

static struct fault write_dr7_safe(ulong value)
{
	struct fault fault;

	asm volatile(TRY(MOV_TO("dr7")) : TRY_RESULT(fault) : "d"(value) : "memory");
	return fault;
}

/* GD: a MOV of any debug register faults before it is done; the exception clears GD. */
static void test_general_detect(void)
{
	write_dr6(DR6_INITIAL);
	write_dr7(DR7_INITIAL | DR7_GD);
	check_fault(fault_of_dr_read("dr0"), FAULT_DB, "read");
	check_fault(fault_of_dr_read("dr7"), NO_FAULT, "gd-cleared");
	check_equal(read_dr6() & (DR6_BS | DR6_BD), DR6_BD, "dr6");
	write_dr7(DR7_INITIAL | DR7_GD);
	check_fault(write_dr7_safe(DR7_INITIAL | DR7_L(3)), FAULT_DB, "write");
	check_equal(read_dr7() & DR7_L(3), 0, "write.not-done");
	breakpoints_clear();
}

SUBTEST("debug.general-detect", test_general_detect);

static ulong read_dr7_in_ring3(ulong argument)
{
	(void)argument;
	return fault_of_dr_read("dr7").value;
}

/* DR4 and DR5: DR6 and DR7, or with CR4.DE #UD. Ring 3 may touch no debug register. */
static void test_access(void)
{
	ulong result = 0;

	check_fault(user_call(read_dr7_in_ring3, 0, &result), NO_FAULT, "ring-3.call");
	check_fault((struct fault){ result }, FAULT_GP(0), "ring-3");
	check_fault(fault_of_dr_read("dr4"), NO_FAULT, "dr4.alias");
	check_fault(fault_of_dr_read("dr5"), NO_FAULT, "dr5.alias");
	write_cr4(read_cr4() | CR4_DE);
	check_fault(fault_of_dr_read("dr4"), FAULT_UD, "dr4.de");
	check_fault(fault_of_dr_read("dr5"), FAULT_UD, "dr5.de");
	write_cr4(read_cr4() & ~CR4_DE);
	/* Bit 10 is always 1, bits 11, 12, 14 and 15 always 0. */
	check_fault(write_dr7_safe(0), NO_FAULT, "dr7.zero");
	check_equal(read_dr7() & 0xdc00, DR7_INITIAL, "dr7.fixed");
#ifdef __x86_64__
	check_fault(write_dr7_safe(1ul << 32), FAULT_GP(0), "dr7.upper-half");
#endif
	breakpoints_clear();
}

SUBTEST("debug.access", test_access);
