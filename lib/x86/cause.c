// SPDX-License-Identifier: BSD-2-Clause
#include "cause.h"
#include "cause_prepare.h"
#include "control.h"
#include "cpuid.h"
#include "crash.h"
#include "debug.h"
#include "paging.h"
#include "string.h"

#define ROW(row_name, row_fault, row_code, ip, environments, ...)                                  \
	{                                                                                          \
		.name = row_name, .fault = { row_fault }, .code = row_code,                        \
		.size = sizeof(row_code) - 1, .saved_ip = ip, .where = environments, __VA_ARGS__   \
	}
#define VECTOR_ROW(name, vector, ...) ROW(name, FAULT_VALUE(VECTOR_##vector), __VA_ARGS__)
#define ERROR_ROW(name, vector, ec, ...)                                                           \
	ROW(name, FAULT_VALUE_EC(VECTOR_##vector, ec), __VA_ARGS__)

/* The code: BX points to memory, CX holds a number or a selector. */
#define DIV_CX		 "\xf7\xf1"	/* div %ecx */
#define IDIV_CX		 "\xf7\xf9"	/* idiv %ecx */
#define AAM_0		 "\xd4\x00"
#define NOP		 "\x90"
#define STORE_BYTE	 "\xc6\x03\x00" /* movb $0, (%ebx) */
#define LOAD		 "\x8b\x03"	/* mov (%ebx), %eax */
#define STORE		 "\x89\x03"	/* mov %eax, (%ebx) */
#define LOAD_STACK	 "\x8b\x45\x00" /* mov 0(%ebp), %eax */
#define JMP_BX		 "\xff\xe3"
#define INT1		 "\xf1"
#define INT3		 "\xcc"
#define INTO		 "\xce"
#define BOUND		 "\x62\x03" /* bound %eax, (%ebx) */
#define UD1		 "\x0f\xb9\xc0"
#define UD2		 "\x0f\x0b"
#define LOCK_NOP	 "\xf0\x90"
#define FNOP		 "\xd9\xd0"
#define WAIT		 "\x9b"
#define MOV_FROM_DR7	 "\x0f\x21\xf8" /* mov %dr7, %eax */
#define LTR		 "\x0f\x00\xd9" /* ltr %cx */
#define JMP_FAR		 "\xff\x2b"	/* ljmp *(%ebx) */
#define LOAD_DS		 "\x8e\xd9"	/* mov %ecx, %ds */
#define LOAD_SS		 "\x8e\xd1"	/* mov %ecx, %ss */
#define HLT		 "\xf4"
#define INT_NO_GATE	 "\xcd\x30"	/* a vector that has no gate */
#define DIVPS		 "\x0f\x5e\xc1" /* divps %xmm1, %xmm0 */
#define CALL_FAR	 "\xff\x1b"	/* lcall *(%ebx) */
#define INT_IST		 "\xcd\x31"	/* int $INT_IST_VECTOR */

#define KERNEL		 (ENV_ANY & ~ENV_USER)
#define USER		 (ENV_ANY & ~ENV_KERNEL)
#define CODE32		 (ENV_ANY & ~ENV_CODE64)
#define CODE64		 (ENV_ANY & ~ENV_CODE32)
#define LONG_MODE	 (ENV_ANY & ~ENV_LEGACY)

const struct cause causes[] = {
	VECTOR_ROW("div-by-zero", DE, DIV_CX, 0, ENV_ANY),
	VECTOR_ROW("idiv-overflow", DE, IDIV_CX, 0, ENV_ANY, .prepare = idiv_overflow),
	VECTOR_ROW("aam-zero", DE, AAM_0, 0, CODE32),

	VECTOR_ROW("single-step", DB, NOP, 1, ENV_ANY, .prepare = single_step),
	VECTOR_ROW("data-breakpoint", DB, STORE_BYTE, 3, ENV_ANY, .prepare = data_breakpoint,
		   .undo = breakpoints_clear),
	VECTOR_ROW("instruction-breakpoint", DB, NOP, 0, ENV_ANY,
		   .prepare = instruction_breakpoint, .undo = breakpoints_clear),
	VECTOR_ROW("general-detect", DB, MOV_FROM_DR7, 0, KERNEL, .prepare = general_detect,
		   .undo = breakpoints_clear),
	VECTOR_ROW("int1", DB, INT1, 1, ENV_ANY),

	VECTOR_ROW("int3", BP, INT3, 1, ENV_ANY),
	VECTOR_ROW("into", OF, INTO, 1, CODE32, .prepare = set_overflow),
	VECTOR_ROW("bound", BR, BOUND, 0, CODE32, .prepare = out_of_bounds),

	VECTOR_ROW("ud2", UD, UD2, 0, ENV_ANY),
	VECTOR_ROW("ud1", UD, UD1, 0, ENV_ANY),
	VECTOR_ROW("lock-nop", UD, LOCK_NOP, 0, ENV_ANY),
	VECTOR_ROW("into", UD, INTO, 0, CODE64),
	VECTOR_ROW("divps-masked-in-cr4", UD, DIVPS, 0, ENV_ANY, .needs = FEATURE_SSE,
		   .prepare = simd_exception_without_osxmmexcpt, .undo = simd_undo),

	VECTOR_ROW("x87-task-switched", NM, FNOP, 0, ENV_ANY, .needs = FEATURE_FPU,
		   .prepare = set_ts, .undo = fpu_undo),
	VECTOR_ROW("x87-emulated", NM, FNOP, 0, ENV_ANY, .needs = FEATURE_FPU,
		   .prepare = set_em, .undo = fpu_undo),
	VECTOR_ROW("wait-task-switched", NM, WAIT, 0, ENV_ANY, .needs = FEATURE_FPU,
		   .prepare = set_ts, .undo = fpu_undo),

	ERROR_ROW("page-fault-without-gate", DF, 0, LOAD, 0, ENV_ANY,
		  .prepare = page_fault_without_gate, .undo = restore_page_fault_gate),

	ERROR_ROW("call-gate-stack-beyond-tss", TS, TSS_SELECTOR, CALL_FAR, 0, USER,
		  .prepare = call_ring1_with_short_tss, .undo = restore_tss),
	ERROR_ROW("ist-beyond-tss", TS, TSS_SELECTOR, INT_IST, 0, LONG_MODE,
		  .prepare = interrupt_with_short_tss, .undo = restore_tss),
	ERROR_ROW("jump-to-short-tss", TS, SHORT_TSS_SELECTOR, JMP_FAR, 0,
		  ENV_KERNEL | ENV_LEGACY, .prepare = jump_to_short_tss),

	ERROR_ROW("load-ds", NP, NOT_PRESENT_SELECTOR, LOAD_DS, 0, ENV_ANY,
		  .prepare = not_present_segment),
	ERROR_ROW("load-ss", SS, NOT_PRESENT_SELECTOR, LOAD_SS, 0, ENV_ANY,
		  .prepare = not_present_segment),
	ERROR_ROW("non-canonical", SS, 0, LOAD_STACK, 0, CODE64, .prepare = non_canonical),
	ERROR_ROW("limit", SS, 0, LOAD_STACK, 0, USER & CODE32, .prepare = small_stack_segment),

	ERROR_ROW("load-ds-beyond-gdt", GP, 0xfff8, LOAD_DS, 0, ENV_ANY, .prepare = beyond_gdt),
	ERROR_ROW("privileged", GP, 0, HLT, 0, USER),
	ERROR_ROW("load-null-ss", GP, 0, LOAD_SS, 0, ENV_ANY, .prepare = null_selector),
	ERROR_ROW("ltr-of-data-segment", GP, KERNEL_DS, LTR, 0, KERNEL,
		  .prepare = data_segment_selector),
	ERROR_ROW("non-canonical", GP, 0, LOAD, 0, CODE64, .prepare = non_canonical),
	ERROR_ROW("int-without-gate", GP, 0x30 * 8 + 2, INT_NO_GATE, 0, ENV_ANY),

	ERROR_ROW("read-not-present", PF, 0, LOAD, 0, ENV_ANY, .prepare = page_not_present),
	ERROR_ROW("write-not-present", PF, PF_WRITE, STORE, 0, ENV_ANY,
		  .prepare = page_not_present),
	ERROR_ROW("write-read-only", PF, PF_PRESENT | PF_WRITE, STORE, 0, ENV_ANY,
		  .prepare = page_read_only),
	ERROR_ROW("read-supervisor", PF, PF_PRESENT, LOAD, 0, USER, .prepare = page_supervisor),
	ERROR_ROW("fetch-not-present", PF, 0, JMP_BX, 0, ENV_ANY,
		  .prepare = fetch_not_present),
	ERROR_ROW("read-reserved-bit", PF, PF_PRESENT | PF_RESERVED, LOAD, 0, ENV_ANY,
		  .prepare = page_reserved_bit),
#if PAGING_LEVELS > 2
	ERROR_ROW("fetch-no-execute", PF, PF_PRESENT | PF_FETCH, JMP_BX, 0, ENV_ANY,
		  .needs = FEATURE_NX, .prepare = fetch_no_execute),
#endif

	VECTOR_ROW("x87-unmasked", MF, WAIT, 0, ENV_ANY, .needs = FEATURE_FPU,
		   .prepare = x87_exception, .undo = fpu_undo),
	ERROR_ROW("misaligned", AC, 0, LOAD, 0, USER, .prepare = misaligned,
		  .undo = alignment_undo),
	VECTOR_ROW("divps-unmasked", XM, DIVPS, 0, ENV_ANY, .needs = FEATURE_SSE,
		   .prepare = simd_exception,
		   .undo = simd_undo),
};

const unsigned int cause_count = ARRAY_SIZE(causes);

bool cause_possible(const struct cause *cause, const struct environment *environment,
		    const char **reason)
{
	if (!environment_in(environment, cause->where)) {
		*reason = "not in this environment";
		return false;
	}
	if (cause->needs && !cpu_has(cause->needs)) {
		*reason = "the CPU lacks the feature";
		return false;
	}
	return true;
}

/* Different in every register, and all of them canonical and representable in 32 bits. */
static void fill_registers(struct context *context)
{
	ulong *registers = &context->ax;
	unsigned int count = offsetof(struct context, ds) / sizeof(ulong);

	for (unsigned int i = 0; i < count; i++)
		registers[i] = 0x01020300 + 0x11 * i;
}

struct context cause_prepare(const struct cause *cause, const struct environment *environment,
			     struct expected_trap *expected)
{
	struct context context = environment_context(environment, cause->code, cause->size);

	fill_registers(&context);
	context.ax = 1;
	context.cx = 0;
	context.dx = 0;
	context.bx = (ulong)cause_memory;
	/* Some flags that no cause changes; the string direction must not matter to a handler. */
	context.flags |= EFLAGS_CF | EFLAGS_PF | EFLAGS_ZF | EFLAGS_DF;
	*expected = (struct expected_trap){ cause->fault, context.ip + cause->saved_ip, 0 };
	if (cause->prepare)
		cause->prepare(&context, environment, expected);
	if (fault_vector(expected->fault) == VECTOR_PF && environment_is_user(environment))
		expected->fault.value |= PF_USER;
	return context;
}

void cause_undo(const struct cause *cause)
{
	if (cause->undo)
		cause->undo();
}

const struct cause *cause_find(unsigned int vector, const char *name)
{
	for_each_cause(cause)
		if (cause_vector(cause) == vector && (!name || strcmp(cause->name, name) == 0))
			return cause;
	crash("no cause %s of vector %u", name ? name : "at all", vector);
}
