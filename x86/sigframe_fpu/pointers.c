// SPDX-License-Identifier: BSD-2-Clause
/*
 * The pointers to the last x87 instruction and its operand, and its opcode, as FNSAVE and
 * FXSAVE store them. SDM volume 1, "x87 FPU Instruction and Data (Operand) Pointers", "Last
 * Instruction Opcode". What differs between CPUs is told by CPUID:
 *
 *	7.0:EBX[6]	the operand's pointer is only written by an unmasked exception
 *	7.0:EBX[13]	FCS and FDS are deprecated: always 0
 *
 * and on AMD's, FXSAVE stores (and FXRSTOR loads) all of them only with an exception pending
 * (APM volume 2, "FXSAVE and FXRSTOR Instructions"). So an exception is left pending here;
 * neither FNSAVE nor FXSAVE waits for it.
 */
#include "descriptor.h"
#include "environment.h"
#include "page_alloc.h"
#include "paging.h"
#include "sigframe.h"
#include "string.h"

#define FEATURE_FDP_EXCPTN_ONLY CPUID_FEATURE(0x7, 0, EBX, 6)
#define FEATURE_FCS_FDS_DEPRECATED CPUID_FEATURE(0x7, 0, EBX, 13)

#define CW_ZM		 0x0004u
#define SW_ZE		 0x0004u
#define OPERAND_SEGMENT	 TEST_SELECTOR(0)
#define OPCODE_FDIV	 0x033 /* d8 33: fdivs (%ebx) */
#define OPCODE_FLD	 0x103 /* d9 03: flds (%ebx) */
#define OPCODE_MASK	 0x07ff

static struct signal_frame frame;

/* Where the instruction was. */
static ulong instruction;

static u16 selector(u16 value)
{
	return cpu_has(FEATURE_FCS_FDS_DEPRECATED) ? 0 : value;
}

/* 1 / 0 with division by zero unmasked; the exception stays pending. The operand is in FS. */
static void divide_by_zero(const void *zero)
{
	const u16 control = FPU_CW_INIT & ~CW_ZM;

	asm volatile("fninit\n"
		     "fldcw %[control]\n"
		     "fld1\n"
		     "movl %[segment], %%fs\n"
#ifdef __x86_64__
		     "leaq 1f(%%rip), %[instruction]\n"
#else
		     "movl $1f, %[instruction]\n"
#endif
		     "1: fdivs %%fs:(%[zero])\n"
		     "movl %[flat], %%fs\n"
		     : [instruction] "=&r"(instruction)
		     : [control] "m"(control), [zero] "b"(zero), [segment] "r"(OPERAND_SEGMENT),
		       [flat] "r"(KERNEL_DS));
}

static void load_one(const void *one)
{
	asm volatile("fninit\n"
#ifdef __x86_64__
		     "leaq 1f(%%rip), %[instruction]\n"
#else
		     "movl $1f, %[instruction]\n"
#endif
		     "1: flds (%[one])\n"
		     : [instruction] "=&r"(instruction)
		     : [one] "b"(one));
}

/* A float of its own page, far up under x86_64. */
static float *operand_page(void)
{
	static float *page;

	if (!page)
		page = physical_map((ulong)page_alloc(), PAGE_SIZE, PAGE_DEFAULT);
	return page + 3;
}

static bool prepare(void)
{
	const struct segment flat = {
		.limit = 0xffffffff,
		.access = DESC_PRESENT | DESC_DATA_WRITABLE,
		.flags = DESC_BIG,
	};

	if (!fpu_ready())
		return false;
	gdt_set_segment(OPERAND_SEGMENT, &flat);
	return true;
}

/* Which selectors 64-bit code leaves in FCS and FDS is not told: reported. */
static void check_selector(u16 got, u16 expected, const char *id)
{
	if (sizeof(ulong) == 4 || cpu_has(FEATURE_FCS_FDS_DEPRECATED))
		check_equal(got, selector(expected), "%s", id);
	else
		diagnostic("%s in 64-bit code: %#x, the selector is %#x", id, got, expected);
}

static void check_pointers(const struct fsave_area *image, const void *operand)
{
	check_equal(image->fip, (u32)instruction, "fip");
	check_equal(image->fdp, (u32)(ulong)operand, "fdp");
	check_equal(image->opcode & OPCODE_MASK, OPCODE_FDIV, "fop");
	check_selector(image->fcs, KERNEL_CS, "fcs");
	check_selector(image->fds, OPERAND_SEGMENT, "fds");
	check_equal(image->status & (SW_ZE | FPU_SW_ES | FPU_SW_BUSY),
		    SW_ZE | FPU_SW_ES | FPU_SW_BUSY, "pending");
}

static void test_pointers(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	const float *zero = operand_page();

	if (!prepare() || !needs(saver))
		return;
	divide_by_zero(zero);
	check_fault(frame_save(&frame, saver), NO_FAULT, "save");
	fpu_init();
	check_pointers(&frame.header.fsave, zero);
}

static const enum fpu_instruction savers[] = { FNSAVE, FXSAVE, XSAVE, XSAVEC, XSAVES };

SUBTEST_ARG("pointers-fnsave", test_pointers, &savers[0]);
SUBTEST_ARG("pointers-fxsave", test_pointers, &savers[1]);
SUBTEST_ARG("pointers-xsave", test_pointers, &savers[2]);
SUBTEST_ARG("pointers-xsavec", test_pointers, &savers[3]);
SUBTEST_ARG("pointers-xsaves", test_pointers, &savers[4]);

#ifdef __x86_64__
/* With REX.W both pointers have 64 bits, and no selectors. */
static void test_pointers_64(const void *argument)
{
	enum fpu_instruction saver = *(const enum fpu_instruction *)argument;
	const float *zero = operand_page();
	u64 pointer[2];

	if (!prepare() || !needs(saver))
		return;
	divide_by_zero(zero);
	memset(&frame, 0, sizeof(frame));
	check_fault(fpu_execute(saver, &frame.area, XCR0_X87), NO_FAULT, "save");
	fpu_init();
	memcpy(pointer, &frame.area.legacy.fip, sizeof(pointer));
	check_equal(pointer[0], instruction, "fip");
	check_equal(pointer[1], (ulong)zero, "fdp");
	check_equal(frame.area.legacy.opcode & OPCODE_MASK, OPCODE_FDIV, "fop");
}

static const enum fpu_instruction savers_64[] = { FXSAVE64, XSAVE64 };

SUBTEST_ARG("pointers-fxsave64", test_pointers_64, &savers_64[0]);
SUBTEST_ARG("pointers-xsave64", test_pointers_64, &savers_64[1]);
#endif

/* Without an exception; control instructions in between leave them as they are. */
static void test_masked(void)
{
	const u16 control = FPU_CW_INIT;
	float *one = operand_page();
	u16 status;

	if (!prepare())
		return;
	*(u32 *)one = 0x3f800000;
	load_one(one);
	asm volatile("fldcw %[control]\n"
		     "fnstsw %[status]\n"
		     "fnclex"
		     : [status] "=a"(status)
		     : [control] "m"(control));
	frame_save(&frame, FNSAVE);
	*(u32 *)one = 0;
	check_equal(frame.header.fsave.fip, (u32)instruction, "fip");
	if (cpu_has(FEATURE_FDP_EXCPTN_ONLY))
		check_equal(frame.header.fsave.fdp, 0, "fdp");
	else
		check_equal(frame.header.fsave.fdp, (u32)(ulong)one, "fdp");
	/* Whether it is stored without an exception is the CPU's choice; but no other is. */
	check(frame.header.fsave.opcode == 0 ||
	      (frame.header.fsave.opcode & OPCODE_MASK) == OPCODE_FLD, "fop");
	diagnostic("opcode without an exception: %#x", frame.header.fsave.opcode);
}

SUBTEST("pointers-masked", test_masked);

/*
 * The division in every ring and code size; in 32-bit code under the 64-bit kernel the
 * selectors are that code's. The kernel sets it up and saves what is left pending.
 */
static void test_environments(void)
{
	static const u8 divide[] = { 0xd8, 0x33 }; /* fdivs (%ebx) */
	struct fxsave_area *fx = &state_buffer(0)->legacy;
	static const u32 zero;

	if (!prepare())
		return;
	for_each_environment(environment) {
		struct context context = environment_context(environment, divide, sizeof(divide));

		fpu_state_fill(state_buffer(0), XCR0_X87 | XCR0_SSE, false, 1);
		fx->control = FPU_CW_INIT & ~CW_ZM;
		fx->status = 0;
		fx->tag = 1;
		fx->st[0].value = (struct fpu_register){ 0x8000000000000000, 0x3fff };
		fpu_execute(FXRSTOR, fx, 0);
		context.bx = (ulong)&zero;
		instruction = context.ip;
		prefix_push("%s", environment->name);
		check_fault(context_run(&context), NO_FAULT, "run");
		frame_save(&frame, FNSAVE);
		check_equal(frame.header.fsave.fip, (u32)instruction, "fip");
		check_equal(frame.header.fsave.fdp, (u32)(ulong)&zero, "fdp");
		if (environment->is & ENV_CODE32) {
			check_equal(frame.header.fsave.fcs, selector(context.cs), "fcs");
			check_equal(frame.header.fsave.fds & 0xffff, selector(context.ds), "fds");
		}
		check_equal(frame.header.fsave.status & SW_ZE, SW_ZE, "pending");
		prefix_pop();
	}
}

SUBTEST("pointers-environments", test_environments);

/*
 * Restored from one image, saved to the other; an exception is pending in it, so that AMD's
 * CPUs take them as well.
 */
static void fill_pointers(struct fpstate_header *header)
{
	memset(header, 0, sizeof(*header));
	header->fsave = (struct fsave_area){
		.control = FPU_CW_INIT & ~CW_ZM,
		.status = SW_ZE | FPU_SW_ES | FPU_SW_BUSY | 5 << FPU_SW_TOP_SHIFT,
		.tag = 0xffff,
		.fip = 0x12345678,
		.fcs = 0x4321,
		.opcode = 0x05a5,
		.fdp = 0x9abcdef0,
		.fds = 0x8765,
	};
	header->magic = FPSTATE_LEGACY;
}

static void check_filled(const struct fpstate_header *header)
{
	check_equal(header->fsave.fip, 0x12345678, "fip");
	check_equal(header->fsave.fdp, 0x9abcdef0, "fdp");
	check_equal(header->fsave.opcode & OPCODE_MASK, 0x05a5, "fop");
	check_equal(header->fsave.fcs, selector(0x4321), "fcs");
	check_equal(header->fsave.fds & 0xffff, selector(0x8765), "fds");
	check_equal(header->fsave.status & 0xffff,
		    SW_ZE | FPU_SW_ES | FPU_SW_BUSY | 5 << FPU_SW_TOP_SHIFT, "status");
}

static void test_restored(const void *argument)
{
	const enum fpu_instruction *way = argument;

	if (!prepare() || !needs(way[0]) || !needs(way[1]))
		return;
	fill_pointers(&frame.header);
	check_fault(frame_restore(&frame, way[0], NULL), NO_FAULT, "restore");
	check_fault(frame_save(&frame, way[1]), NO_FAULT, "save");
	fpu_init();
	check_filled(&frame.header);
}

static const enum fpu_instruction ways[][2] = {
	{ FXRSTOR, FXSAVE }, { FRSTOR, FNSAVE }, { FXRSTOR, FNSAVE },
	{ FRSTOR, FXSAVE },  { XRSTOR, XSAVE },	 { XRSTORS, XSAVES },
};

SUBTEST_ARG("pointers-fxrstor-fxsave", test_restored, ways[0]);
SUBTEST_ARG("pointers-frstor-fnsave", test_restored, ways[1]);
SUBTEST_ARG("pointers-fxrstor-fnsave", test_restored, ways[2]);
SUBTEST_ARG("pointers-frstor-fxsave", test_restored, ways[3]);
SUBTEST_ARG("pointers-xrstor-xsave", test_restored, ways[4]);
SUBTEST_ARG("pointers-xrstors-xsaves", test_restored, ways[5]);
