// SPDX-License-Identifier: BSD-2-Clause
/*
 * #NM, #UD, #MF and #XM of x87, MMX and SSE instructions.
 *
 * SDM volume 3A, "Control Registers", table "Recommended Settings of EM and MP Flags": x87
 * instructions raise #NM with EM or TS, WAIT with both MP and TS; "System Programming for
 * Instruction Set Extensions": MMX and SSE raise #UD with EM, else #NM with TS. SDM volume 3A,
 * "Interrupt 16" and "Interrupt 19": an unmasked x87 exception waits for the next waiting
 * instruction; a SIMD one strikes at once, as #XM, or as #UD without CR4.OSXMMEXCPT.
 */
#include "control.h"
#include "cpuid.h"
#include "environment.h"
#include "report.h"

#define CODE(bytes)	 bytes, sizeof(bytes) - 1
#define CW_ALL_MASKED	 0x037f
#define MXCSR_ALL_MASKED 0x1f80

static u8 memory[512] __aligned(64);

enum kind { X87, WAIT, MMX, SSE, STATE, FREE };

static const struct instruction {
	const char *name;
	const char *code;
	unsigned int size;
	enum kind kind;
	u64 needs;
} instructions[] = {
	{ "fnop", CODE("\xd9\xd0"), X87, FEATURE_FPU },
	{ "fninit", CODE("\xdb\xe3"), X87, FEATURE_FPU },
	{ "fnstsw", CODE("\xdf\xe0"), X87, FEATURE_FPU },
	{ "fld-single", CODE("\xd9\x03"), X87, FEATURE_FPU },
	{ "wait", CODE("\x9b"), WAIT, FEATURE_FPU },
	{ "movd-mm", CODE("\x0f\x6e\xc0"), MMX, FEATURE_MMX },
	{ "emms", CODE("\x0f\x77"), MMX, FEATURE_MMX },
	{ "movaps", CODE("\x0f\x28\xc1"), SSE, FEATURE_SSE },
	{ "ldmxcsr", CODE("\x0f\xae\x13"), SSE, FEATURE_SSE },
	{ "paddd", CODE("\x66\x0f\xfe\xc1"), SSE, FEATURE_SSE2 },
	{ "fxsave", CODE("\x0f\xae\x03"), STATE, FEATURE_FXSR },
	{ "sfence", CODE("\x0f\xae\xf8"), FREE, FEATURE_SSE },
	{ "movnti", CODE("\x0f\xc3\x03"), FREE, FEATURE_SSE2 },
};

static struct fault expected_fault(enum kind kind, ulong cr0)
{
	switch (kind) {
	case X87:
	case STATE:
		return cr0 & (CR0_EM | CR0_TS) ? FAULT_NM : NO_FAULT;
	case WAIT:
		return (cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS) ? FAULT_NM : NO_FAULT;
	case MMX:
	case SSE:
		return cr0 & CR0_EM ? FAULT_UD : cr0 & CR0_TS ? FAULT_NM : NO_FAULT;
	default:
		return NO_FAULT;
	}
}

static void reset(void)
{
	const u32 mxcsr = MXCSR_ALL_MASKED;

	write_cr0((read_cr0() | CR0_MP) & ~(CR0_EM | CR0_TS));
	asm volatile("fninit");
	if (cpu_has(FEATURE_SSE))
		asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static void test_bits(const struct instruction *instruction, const struct environment *environment)
{
	const ulong all = CR0_EM | CR0_TS | CR0_MP, others = read_cr0() & ~all;

	for (unsigned int i = 0; i < 8; i++) {
		ulong bits = (i & 1 ? CR0_MP : 0) | (i & 2 ? CR0_EM : 0) | (i & 4 ? CR0_TS : 0);
		struct context context = environment_context(environment, instruction->code,
							     instruction->size);
		struct fault fault;

		*(u32 *)memory = MXCSR_ALL_MASKED;
		context.bx = (ulong)memory;
		write_cr0(others | bits);
		fault = context_run(&context);
		reset();
		check_fault(fault, expected_fault(instruction->kind, bits), "%s.%s%s%s%s",
			    instruction->name, environment->name, i & 1 ? ".mp" : "",
			    i & 2 ? ".em" : "", i & 4 ? ".ts" : "");
	}
}

static void test_kinds(u64 needs)
{
	reset();
	for (unsigned int i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (instructions[i].needs != needs || !cpu_has(needs))
			continue;
		for_each_environment(environment)
			test_bits(&instructions[i], environment);
	}
}

/* Subtests by feature: what a machine does not have, or cannot do, costs the others nothing. */
static void test_x87(void)
{
	test_kinds(FEATURE_FPU);
}

static void test_mmx(void)
{
	test_kinds(FEATURE_MMX);
}

static void test_sse(void)
{
	test_kinds(FEATURE_SSE);
	test_kinds(FEATURE_SSE2);
}

static void test_fxsave(void)
{
	test_kinds(FEATURE_FXSR);
}

SUBTEST("nm.x87", test_x87);
SUBTEST("nm.mmx", test_mmx);
SUBTEST("nm.sse", test_sse);
SUBTEST("nm.fxsave", test_fxsave);

/*
 * x87: each exception, made by a computation in ring 0. Then, in the environment, an instruction
 * that does not wait and WAIT: only the second one raises #MF, and only if unmasked.
 */
enum x87_exception { INVALID = 0, ZERO_DIVIDE = 2, OVERFLOW = 3, UNDERFLOW = 4, PRECISION = 5 };

static const struct x87_case {
	const char *name;
	unsigned int flag; /* bit in control and status word */
} x87_cases[] = {
	{ "invalid", INVALID },	    { "zero-divide", ZERO_DIVIDE }, { "overflow", OVERFLOW },
	{ "underflow", UNDERFLOW }, { "precision", PRECISION },
};

static void make_x87_exception(unsigned int flag, u16 control)
{
	static const float huge = 0x1p127f, tiny = 0x1p-126f, third = 3;
	static float result;

	asm volatile("fninit\n\tfldcw %0" : : "m"(control));
	switch (flag) {
	case INVALID:
		asm volatile("fldz\n\tfldz\n\tfdivrp %%st, %%st(1)" : : : "memory");
		break;
	case ZERO_DIVIDE:
		asm volatile("fldz\n\tfld1\n\tfdivp %%st, %%st(1)" : : : "memory");
		break;
	case OVERFLOW: /* the store rounds to single precision */
		asm volatile("flds %1\n\tfmul %%st(0), %%st\n\tfstps %0"
			     : "=m"(result)
			     : "m"(huge));
		break;
	case UNDERFLOW:
		asm volatile("flds %1\n\tfmul %%st(0), %%st\n\tfstps %0"
			     : "=m"(result)
			     : "m"(tiny));
		break;
	default:
		asm volatile("fld1\n\tfdivs %0" : : "m"(third));
	}
}

static void test_pending(const struct x87_case *c, bool unmasked,
			 const struct environment *environment)
{
	const u16 control = unmasked ? CW_ALL_MASKED & ~(1u << c->flag) : CW_ALL_MASKED;
	/* fnstsw %ax; wait */
	struct context context = environment_context(environment, CODE("\xdf\xe0\x9b"));
	ulong ip = context.ip;
	struct fault fault;

	make_x87_exception(c->flag, control);
	fault = context_run(&context);
	asm volatile("fnclex");
	reset();
	prefix_push("%s.%s.%s", c->name, unmasked ? "unmasked" : "masked", environment->name);
	check_fault(fault, unmasked ? FAULT_MF : NO_FAULT, "fault");
	if (unmasked)
		check_equal(context.ip - ip, 2, "ip");
	check_equal(context.ax >> c->flag & 1, 1, "status.flag");
	check_equal(context.ax >> 7 & 1, unmasked, "status.summary");
	prefix_pop();
}

static void test_mf(void)
{
	if (!cpu_has(FEATURE_FPU))
		return subtest_skip("the CPU has no FPU");
	for (unsigned int i = 0; i < ARRAY_SIZE(x87_cases); i++)
		for (unsigned int unmasked = 0; unmasked < 2; unmasked++)
			for_each_environment(environment)
				test_pending(&x87_cases[i], unmasked, environment);
}

SUBTEST("mf", test_mf);

/* SSE: XMM0 op XMM1, one exception each; MXCSR has its flag, its mask 7 bits higher. */
#define MULSS "\xf3\x0f\x59\xc1"
#define DIVSS "\xf3\x0f\x5e\xc1"

static const struct sse_case {
	const char *name;
	unsigned int flag;
	const char *code;
	u32 xmm0, xmm1; /* single precision, as bits */
} sse_cases[] = {
	{ "invalid", 0, DIVSS, 0, 0 },
	{ "denormal", 1, MULSS, 0x00000001, 0x3f800000 },
	{ "zero-divide", 2, DIVSS, 0x3f800000, 0 },
	{ "overflow", 3, MULSS, 0x7f000000, 0x7f000000 },
	{ "underflow", 4, MULSS, 0x00800001, 0x3f000001 },
	{ "precision", 5, DIVSS, 0x3f800000, 0x40400000 },
};

enum simd_mask { MASKED, UNMASKED, UNMASKED_WITHOUT_OSXMMEXCPT };

static void test_simd(const struct sse_case *c, enum simd_mask mask,
		      const struct environment *environment)
{
	static const char *const names[] = { "masked", "unmasked", "no-osxmmexcpt" };
	const struct fault faults[] = { NO_FAULT, FAULT_XM, FAULT_UD };
	struct context context = environment_context(environment, c->code, 4);
	u32 mxcsr = mask ? MXCSR_ALL_MASKED & ~(1u << (c->flag + 7)) : MXCSR_ALL_MASKED, result;
	ulong ip = context.ip;
	struct fault fault;

	if (mask == UNMASKED_WITHOUT_OSXMMEXCPT)
		write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
	asm volatile("ldmxcsr %0\n\tmovss %1, %%xmm0\n\tmovss %2, %%xmm1"
		     :
		     : "m"(mxcsr), "m"(c->xmm0), "m"(c->xmm1));
	fault = context_run(&context);
	asm volatile("stmxcsr %0\n\tmovss %%xmm0, %1" : "=m"(mxcsr), "=m"(result));
	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	reset();
	prefix_push("%s.%s.%s", c->name, names[mask], environment->name);
	check_fault(fault, faults[mask], "fault");
	check_equal(mxcsr >> c->flag & 1, 1, "flag");
	if (mask != MASKED) {
		check_equal(context.ip, ip, "ip");
		check_equal(result, c->xmm0, "destination");
	}
	prefix_pop();
}

static void test_xm(void)
{
	if (!cpu_has(FEATURE_SSE))
		return subtest_skip("the CPU has no SSE");
	for (unsigned int i = 0; i < ARRAY_SIZE(sse_cases); i++)
		for (unsigned int mask = MASKED; mask <= UNMASKED_WITHOUT_OSXMMEXCPT; mask++)
			for_each_environment(environment)
				test_simd(&sse_cases[i], mask, environment);
}

SUBTEST("xm", test_xm);
