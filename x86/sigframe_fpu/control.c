// SPDX-License-Identifier: BSD-2-Clause
/*
 * What turns FPU state on and off: CR0.TS and EM, CR4.OSFXSR and OSXSAVE, XCR0. A kernel
 * counts on each of them to keep one task's registers from the next; a hypervisor emulates
 * or switches all of them. SDM volume 3A, "Control Registers", "Extended Control Registers"
 * and the exception tables of volume 2 ("Type 1" to "Type 14", FXSAVE, XSAVE, WAIT).
 */
#include "context.h"
#include "control.h"
#include "extable.h"
#include "msr.h"
#include "sigframe.h"
#include "string.h"

static u8 memory[64] __aligned(64);

static struct fault try_fld(void)
{
	return fault_of("fld1");
}

static struct fault try_fnstcw(void)
{
	struct fault fault;

	asm volatile(TRY("fnstcw (%[memory])")
		     : TRY_RESULT(fault)
		     : [memory] "r"(memory)
		     : "memory");
	return fault;
}

static struct fault try_wait(void)
{
	return fault_of("wait");
}

static struct fault try_mmx(void)
{
	return fault_of("movd %%ecx, %%mm0");
}

static struct fault try_sse(void)
{
	return fault_of("xorps %%xmm0, %%xmm0");
}

static struct fault try_ldmxcsr(void)
{
	struct fault fault;
	const u32 mxcsr = MXCSR_INIT;

	asm volatile(TRY("ldmxcsr %[mxcsr]") : TRY_RESULT(fault) : [mxcsr] "m"(mxcsr));
	return fault;
}

static struct fault try_avx(void)
{
	return fault_of("vxorps %%ymm0, %%ymm0, %%ymm0");
}

static struct fault try_avx512(void)
{
	return fault_of("vpxord %%zmm0, %%zmm0, %%zmm0");
}

static struct fault try_fxsave(void)
{
	return fpu_execute(FXSAVE, state_buffer(0), 0);
}

static struct fault try_fxrstor(void)
{
	fpu_state_fill(state_buffer(1), XCR0_X87 | XCR0_SSE, false, 1);
	return fpu_execute(FXRSTOR, state_buffer(1), 0);
}

static struct fault try_xsave(void)
{
	return fpu_execute(XSAVE, state_buffer(0), XCR0_X87);
}

static struct fault try_xrstor(void)
{
	fpu_state_fill(state_buffer(1), XCR0_X87, false, 1);
	return fpu_execute(XRSTOR, state_buffer(1), XCR0_X87);
}

static struct fault try_xgetbv(void)
{
	u64 value;

	return xgetbv_safe(0, &value);
}

static struct fault try_xsetbv(void)
{
	return xsetbv_safe(0, xstate_user());
}

static struct fault try_integer(void)
{
	return fault_of("xorl %%ecx, %%ecx");
}

/* When the instruction faults; U: #UD, N: #NM, else none. Several apply: #UD comes first. */
#define NONE 0
#define U    VECTOR_UD
#define N    VECTOR_NM

static const struct row {
	const char *name;
	struct fault (*try)(void);
	u64 feature;
	/* with CR0.TS, with CR0.EM, without CR4.OSFXSR, without CR4.OSXSAVE, with XCR0 = x87 */
	u8 ts, em, no_osfxsr, no_osxsave, x87_only;
} rows[] = {
	{ "fld1", try_fld, FEATURE_FPU, N, N, NONE, NONE, NONE },
	{ "fnstcw", try_fnstcw, FEATURE_FPU, N, N, NONE, NONE, NONE },
	{ "mmx", try_mmx, FEATURE_MMX, N, U, NONE, NONE, NONE },
	{ "sse", try_sse, FEATURE_SSE, N, U, U, NONE, NONE },
	{ "ldmxcsr", try_ldmxcsr, FEATURE_SSE, N, U, U, NONE, NONE },
	{ "avx", try_avx, FEATURE_AVX, N, NONE, NONE, U, U },
	{ "avx512", try_avx512, FEATURE_AVX512F, N, NONE, NONE, U, U },
	{ "fxsave", try_fxsave, FEATURE_FXSR, N, N, NONE, NONE, NONE },
	{ "fxrstor", try_fxrstor, FEATURE_FXSR, N, N, NONE, NONE, NONE },
	{ "xsave", try_xsave, FEATURE_XSAVE, N, NONE, NONE, U, NONE },
	{ "xrstor", try_xrstor, FEATURE_XSAVE, N, NONE, NONE, U, NONE },
	{ "xgetbv", try_xgetbv, FEATURE_XSAVE, NONE, NONE, NONE, U, NONE },
	{ "xsetbv", try_xsetbv, FEATURE_XSAVE, NONE, NONE, NONE, U, NONE },
	{ "integer", try_integer, FEATURE_FPU, NONE, NONE, NONE, NONE, NONE },
};

/* One subtest for each row: an emulator may know none of its instructions. */
static void test_row(const void *argument)
{
	const struct row *row = argument;
	ulong cr0, cr4;
	struct fault seen[5];
	u8 expected[5] = { row->ts, row->em, row->no_osfxsr, row->no_osxsave, row->x87_only };
	static const char *const names[] = { "cr0-ts", "cr0-em", "no-osfxsr", "no-osxsave",
					     "xcr0-x87" };
	bool xsave = cpu_has(FEATURE_XSAVE);

	if (!fpu_ready())
		return;
	cr0 = read_cr0();
	cr4 = read_cr4();
	if (!cpu_has(row->feature)) {
		subtest_skip("the CPU has no %s", row->name);
		return;
	}
	check_fault(row->try(), NO_FAULT, "enabled");
	fpu_init();
	write_cr0(cr0 | CR0_TS);
	seen[0] = row->try();
	write_cr0(cr0 | CR0_EM);
	seen[1] = row->try();
	write_cr0(cr0);
	fpu_init();
	write_cr4(cr4 & ~CR4_OSFXSR);
	seen[2] = row->try();
	write_cr4(cr4);
	if (xsave) {
		write_cr4(cr4 & ~CR4_OSXSAVE);
		seen[3] = row->try();
		write_cr4(cr4);
		xsetbv(0, XCR0_X87);
		seen[4] = row->try();
	}
	fpu_enable();
	for (unsigned int i = 0; i < (xsave ? 5u : 3u); i++)
		check_fault(seen[i], expected[i] ? FAULT(expected[i]) : NO_FAULT, "%s", names[i]);
}

#define ROW(name, index) SUBTEST_ARG("control-" name, test_row, &rows[index])

ROW("fld1", 0);
ROW("fnstcw", 1);
ROW("mmx", 2);
ROW("sse", 3);
ROW("ldmxcsr", 4);
ROW("avx", 5);
ROW("avx512", 6);
ROW("fxsave", 7);
ROW("fxrstor", 8);
ROW("xsave", 9);
ROW("xrstor", 10);
ROW("xgetbv", 11);
ROW("xsetbv", 12);
ROW("integer", 13);

/* WAIT: #NM only if MP and TS are both set; EM does not matter. */
static void test_wait(void)
{
	ulong cr0;

	if (!fpu_ready())
		return;
	cr0 = read_cr0() & ~(CR0_MP | CR0_TS | CR0_EM);
	for (unsigned int i = 0; i < 8; i++) {
		ulong bits = (i & 1 ? CR0_MP : 0) | (i & 2 ? CR0_TS : 0) | (i & 4 ? CR0_EM : 0);
		struct fault fault;

		write_cr0(cr0 | bits);
		fault = try_wait();
		write_cr0(cr0 | CR0_MP);
		check_fault(fault, (i & 3) == 3 ? FAULT_NM : NO_FAULT, "mp-%u.ts-%u.em-%u", i & 1,
			    i >> 1 & 1, i >> 2);
	}
}

SUBTEST("control-wait", test_wait);

/* #NM is a fault: nothing is executed or changed, and after CLTS the instruction works. */
static void test_lazy(void)
{
	struct xsave_area *pattern = state_buffer(0), *got = state_buffer(1);
	struct fault fault;
	u64 components = XCR0_X87 | XCR0_SSE;

	if (!fpu_ready())
		return;
	fpu_state_fill(pattern, components, false, 9);
	fpu_execute(FXRSTOR, pattern, 0);
	memset(got, 0xa5, XSAVE_MIN_SIZE);
	write_cr0(read_cr0() | CR0_TS);
	fault = fpu_execute(FXSAVE, got, 0);
	check_fault(fault, FAULT_NM, "fxsave");
	check_equal(got->legacy.control, 0xa5a5, "not-written");
	asm volatile("clts");
	check_equal(read_cr0() & CR0_TS, 0, "clts");
	check_fault(fpu_execute(FXSAVE, got, 0), NO_FAULT, "again");
	got->header = (struct xsave_header){ .xstate_bv = components };
	check_state(got, pattern, components, "state");
	fpu_init();
}

SUBTEST("control-lazy", test_lazy);

/* CPUID tells what CR4.OSXSAVE is. */
static void test_osxsave_cpuid(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	check_equal(cpu_has(FEATURE_OSXSAVE), 1, "on");
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	check_equal(cpu_has(FEATURE_OSXSAVE), 0, "off");
	fpu_enable();
}

SUBTEST("control-osxsave-cpuid", test_osxsave_cpuid);
