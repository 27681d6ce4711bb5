// SPDX-License-Identifier: BSD-2-Clause
/* The instructions, their twins, and running them. */
#include "control.h"
#include "msr.h"
#include "operand_limits.h"
#include "page_alloc.h"
#include "printf.h"
#include "string.h"

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes
#define PATTERN		  0x51
#define VALUE		  ((ulong)0x1234567890abcdefull)
#define FIELD		  VMCS_GUEST_IA32_SYSENTER_ESP /* of natural width, any value */

struct arena arena __aligned(4096) __section(".noinit");
u8 *target;

static struct vmx_guest *guest;

/* VMXON leaves VMX operation again, so that each has to enter it. */
static bool prepare_vmxon(u8 *operand, ulong *cx, struct vmx_result *result)
{
	u64 region = vmx_on_region();

	(void)cx;
	memcpy(operand, &region, sizeof(region));
	*result = VMX_SUCCEED;
	return true;
}

static const char *done_vmxon(void)
{
	return vmxoff().value ? "not in VMX operation" : NULL;
}

static bool prepare_pointer(u8 *operand, ulong *cx, struct vmx_result *result)
{
	(void)cx;
	memcpy(operand, &guest->vmcs_pa, sizeof(guest->vmcs_pa));
	*result = VMX_SUCCEED;
	return true;
}

/* The error that only this operand has, and that leaves the VMCS current. */
static bool prepare_vmclear(u8 *operand, ulong *cx, struct vmx_result *result)
{
	u64 region = vmx_on_region();

	(void)cx;
	memcpy(operand, &region, sizeof(region));
	*result = VMX_FAIL_VALID(VM_ERROR_VMCLEAR_VMXON_POINTER);
	return true;
}

static bool prepare_vmread(u8 *operand, ulong *cx, struct vmx_result *result)
{
	const ulong value = VALUE;

	*cx = FIELD;
	vmcs_write(FIELD, value);
	memcpy(operand, &value, sizeof(value));
	*result = VMX_SUCCEED;
	return true;
}

static bool prepare_vmwrite(u8 *operand, ulong *cx, struct vmx_result *result)
{
	prepare_vmread(operand, cx, result);
	vmcs_write(FIELD, 0);
	return true;
}

static const char *done_vmwrite(void)
{
	bool written = vmcs_read(FIELD) == VALUE;

	vmcs_write(FIELD, 0);
	return written ? NULL : "another value in the VMCS";
}

/* The MSR is there only if one of the two controls can be 1. */
static bool has_invalidation(u32 control, u64 bits)
{
	if (!vmx_needs(control))
		return false;
	if ((rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & bits) == bits)
		return true;
	subtest_skip("the CPU lacks it, or its single-context type (IA32_VMX_EPT_VPID_CAP)");
	return false;
}

/* Of one context: that needs an operand which is right. */
static bool prepare_invept(u8 *operand, ulong *cx, struct vmx_result *result)
{
	struct invept_descriptor descriptor = { 0 };

	if (!has_invalidation(VMX_SECONDARY_EPT, EPT_INVEPT | EPT_INVEPT_SINGLE))
		return false;
	*cx = 1;
	descriptor.eptp = (ulong)guest->msr_bitmap | 6 | 3 << 3; /* write-back, 4 levels */
	memcpy(operand, &descriptor, sizeof(descriptor));
	*result = VMX_SUCCEED;
	return true;
}

static bool prepare_invvpid(u8 *operand, ulong *cx, struct vmx_result *result)
{
	const struct invvpid_descriptor descriptor = { .vpid = 1 };

	if (!has_invalidation(VMX_SECONDARY_VPID, VPID_INVVPID | VPID_INVVPID_SINGLE))
		return false;
	*cx = 1;
	memcpy(operand, &descriptor, sizeof(descriptor));
	*result = VMX_SUCCEED;
	return true;
}

/* SDM volume 3C, "VMX Instruction Reference" */
const struct instruction instructions[INSTRUCTIONS] = {
	[VMXON] = { "vmxon", 8, false, 0xf3, 6, CODE_BYTES("\x0f\xc7"), prepare_vmxon, done_vmxon },
	[VMPTRLD] = { "vmptrld", 8, false, 0, 6, CODE_BYTES("\x0f\xc7"), prepare_pointer, NULL },
	[VMPTRST] = { "vmptrst", 8, true, 0, 7, CODE_BYTES("\x0f\xc7"), prepare_pointer, NULL },
	[VMCLEAR] = { "vmclear", 8, false, 0x66, 6, CODE_BYTES("\x0f\xc7"), prepare_vmclear, NULL },
	[VMREAD] = { "vmread", sizeof(ulong), true, 0, 1, CODE_BYTES("\x0f\x78"), prepare_vmread,
		     NULL },
	[VMWRITE] = { "vmwrite", sizeof(ulong), false, 0, 1, CODE_BYTES("\x0f\x79"),
		      prepare_vmwrite, done_vmwrite },
	[INVEPT] = { "invept", 16, false, 0x66, 1, CODE_BYTES("\x0f\x38\x80"), prepare_invept,
		     NULL },
	[INVVPID] = { "invvpid", 16, false, 0x66, 1, CODE_BYTES("\x0f\x38\x81"), prepare_invvpid,
		      NULL },
};

/* MOV, MOVLPS and MOVUPS, by ECX or XMM0. */
static const struct twin {
	unsigned int size;
	bool writes;
	u8 reg, length;
	const char *opcode;
} twins[] = {
	{ 4, false, 1, CODE_BYTES("\x8b") },	  { 4, true, 1, CODE_BYTES("\x89") },
	{ 8, false, 0, CODE_BYTES("\x0f\x12") },  { 8, true, 0, CODE_BYTES("\x0f\x13") },
	{ 16, false, 0, CODE_BYTES("\x0f\x10") },
};

#define GP0 FAULT_VALUE_EC(VECTOR_GP, 0)
#define SS0 FAULT_VALUE_EC(VECTOR_SS, 0)

/*
 * SS is loaded by the code itself: what brings it to run needs a stack. The NOP ends what MOV SS
 * blocks.
 */
static const u8 load_ss[] = { 0x8e, 0xd2, 0x90 }; /* mov %edx, %ss; nop */

const struct through throughs[THROUGHS] = {
	[THROUGH_DS] = { "ds", 0x3e, offsetof(struct context, ds), { GP0 }, 0, NULL },
	[THROUGH_ES] = { "es", 0x26, offsetof(struct context, es), { GP0 }, 0, NULL },
	[THROUGH_FS] = { "fs", 0x64, offsetof(struct context, fs), { GP0 }, 0, NULL },
	[THROUGH_GS] = { "gs", 0x65, offsetof(struct context, gs), { GP0 }, 0, NULL },
	[THROUGH_CS] = { "cs", 0x2e, offsetof(struct context, cs), { GP0 }, 0, NULL },
	[THROUGH_SS] = { "ss", 0x36, 0, { SS0 }, sizeof(load_ss), load_ss },
};

#ifdef __x86_64__
#define NATIVE_BITS 64
const struct addressing addressing_plain = { "rbx", 64, .modrm = 0x03 };
const struct addressing addressing_bp = { "rbp", 64, .modrm = 0x45, .based_on_bp = true,
					  .displacement_size = 1 };
#else
#define NATIVE_BITS 32
const struct addressing addressing_plain = { "ebx", 32, .modrm = 0x03 };
const struct addressing addressing_bp = { "ebp", 32, .modrm = 0x45, .based_on_bp = true,
					  .displacement_size = 1 };
const struct addressing addressing_bx = { "bx", 16, .modrm = 0x07 };
#endif

#define SLOT_SIZE 32

static const u8 ud2[] = { 0x0f, 0x0b };

static u8 *append(u8 *at, const void *bytes, size_t length)
{
	memcpy(at, bytes, length);
	return at + length;
}

static void encode(struct trial *trial, enum who who, u8 prefix, const char *opcode,
		   unsigned int length, u8 reg)
{
	const struct addressing *addressing = trial->addressing;
	u8 *at = &arena.code[PAGE_SIZE - (who + 1) * SLOT_SIZE];

	at = append(at, trial->through->prologue, trial->through->prologue_length);
	trial->code[who] = at;
	if (trial->through->prefix)
		*at++ = trial->through->prefix;
	if (addressing->bits != NATIVE_BITS)
		*at++ = 0x67;
	if (prefix)
		*at++ = prefix;
	at = append(at, opcode, length);
	*at++ = addressing->modrm | reg << 3;
	if (addressing->has_sib)
		*at++ = addressing->sib;
	at = append(at, &addressing->displacement, addressing->displacement_size);
	trial->length[who] = at - trial->code[who];
	append(at, ud2, sizeof(ud2));
}

static void memory_fill(const struct trial *trial)
{
	memset(target - GUARD, PATTERN, GUARD + MAX_OPERAND + GUARD);
	if (!trial->instruction->writes)
		memcpy(target, trial->operand, trial->instruction->size);
}

struct trial trial_make(const struct instruction *instruction, const struct through *through,
			const struct addressing *addressing)
{
	struct trial trial = {
		.instruction = instruction,
		.through = through,
		.addressing = addressing,
		.selector = TEST_SEGMENT,
	};
	const struct twin *twin = twins;

	while (twin->size != instruction->size || twin->writes != instruction->writes)
		twin++;
	encode(&trial, VMX_INSTRUCTION_ITSELF, instruction->prefix, instruction->opcode,
	       instruction->length, instruction->reg);
	encode(&trial, TWIN, 0, twin->opcode, twin->length, twin->reg);
	instruction->prepare(trial.operand, &trial.cx, &trial.result);
	memory_fill(&trial);
	return trial;
}

bool subtest_start(const struct instruction *instruction)
{
	u8 operand[MAX_OPERAND];
	struct vmx_result result;
	ulong cx;

	if (!vmx_ready())
		return false;
	if (!guest)
		guest = vmx_guest(L2_NATIVE, context_end);
	vmx_current(guest);
	target = TARGET;
	if (!instruction->prepare(operand, &cx, &result))
		return false;
	if (instruction->done == done_vmxon) {
		vmx_forget(guest);
		vmxoff();
	}
	return true;
}

void subtest_finish(const struct instruction *instruction)
{
	if (instruction->done == done_vmxon)
		vmxon(vmx_on_region());
}

/* The offset as a sum of registers and displacement; what the address size leaves out is noise. */
static void set_address(const struct addressing *addressing, struct context *context, ulong offset)
{
	ulong base = offset - addressing->displacement - (addressing->index << addressing->scale);

	context->si = addressing->index;
	if (addressing->bits == 16)
		base = (base & 0xffff) | 0xabad0000;
	if (addressing->bits == 32 && sizeof(ulong) == 8)
		base = (u32)base | (u64)0xabadcafe << 32;
	if (addressing->based_on_bp)
		context->bp = base;
	else
		context->bx = base;
}

/* Memory around the operand, and what an instruction that has not faulted wrote there. */
static const char *memory_problem(const struct trial *trial, bool faulted)
{
	const struct instruction *instruction = trial->instruction;
	unsigned int size = instruction->size;
	u8 expected[GUARD + MAX_OPERAND + GUARD];
	const char *problem = NULL;

	memset(expected, PATTERN, sizeof(expected));
	if (!instruction->writes || !faulted)
		memcpy(&expected[GUARD], trial->operand, size);
	if (memcmp(target - GUARD, expected, sizeof(expected))) {
		problem = memcmp(target, &expected[GUARD], size) ? "another operand in memory"
								 : "memory outside the operand";
		if (faulted)
			problem = "memory written";
	}
	if (problem || (instruction->writes && !faulted))
		memory_fill(trial);
	return problem;
}

static const char *result_problem(const struct trial *trial, ulong flags)
{
	static char text[48];
	const struct instruction *instruction = trial->instruction;
	struct vmx_result result = vmx_result(NO_FAULT, flags & EFLAGS_CF, flags & EFLAGS_ZF);

	if (result.value != trial->result.value) {
		vmx_result_format(text, sizeof(text), result);
		return text;
	}
	if (flags & (EFLAGS_PF | EFLAGS_AF | EFLAGS_SF | EFLAGS_OF))
		return "flags set besides CF and ZF";
	return instruction->done ? instruction->done() : NULL;
}

/* Registers that a fault has to leave alone. DS to GS the run itself has chosen. */
static const char *register_problem(const struct context *before, const struct context *after,
				    ulong start)
{
	if (memcmp(before, after, offsetof(struct context, ds)))
		return "a register changed";
	if ((before->flags ^ after->flags) & ~(ulong)EFLAGS_RF)
		return "RFLAGS changed";
	return after->ip != start ? "another RIP" : NULL;
}

struct fault trial_run(struct trial *trial, enum who who, ulong offset, u32 code_base)
{
	const u8 *code = trial->code[who];
	ulong start = (ulong)code - code_base;
	struct context context = context_kernel(code), before;
	struct fault fault;
	const char *problem;

	context.cx = trial->cx;
	context.flags |= EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF;
	set_address(trial->addressing, &context, offset);
	context.dx = trial->selector;
	if (trial->through->selector)
		*(ulong *)((u8 *)&context + trial->through->selector) = trial->selector;
	context.ip = start - trial->through->prologue_length;
	context.end = start + trial->length[who];
	before = context;
	fault = context_run(&context);

	if (who == TWIN) {
		if (trial->instruction->writes)
			memory_fill(trial);
		return fault;
	}
	trial->problem = fault_raised(fault) ? register_problem(&before, &context, start)
					     : result_problem(trial, context.flags);
	problem = memory_problem(trial, fault_raised(fault));
	if (!trial->problem)
		trial->problem = problem;
	return fault;
}

const char *trial_verdict(const struct trial *trial, struct fault got, struct fault expected)
{
	return fault_equal(got, expected) ? trial->problem : fault_text(got);
}

void trial_check(struct trial *trial, ulong offset, u32 code_base, struct fault expected,
		 const char *id)
{
	struct fault twin = trial_run(trial, TWIN, offset, code_base);
	struct fault got = trial_run(trial, VMX_INSTRUCTION_ITSELF, offset, code_base);
	const char *problem = trial_verdict(trial, got, expected);
	char text[80]; /* fault_text()'s buffer holds what was seen */

	snprintf(text, sizeof(text), "%pe at %s:%#lx, size %u", &expected, trial->through->name,
		 offset, trial->instruction->size);
	report_text(__FILE__, __LINE__, !problem, text, problem ? problem : "", "%s", id);
	check_fault(got, twin, "%s.twin", id);
}
