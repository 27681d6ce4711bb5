// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "extable.h"
#include "fpu.h"
#include "fpu_state.h"
#include "msr.h"

#define XSTATE_LEAF 0xd

#define INSTRUCTION(bytes) .code = bytes, .length = sizeof(bytes) - 1

/* Opcodes: SDM volume 2, each instruction's page; the ModRM byte says "(EBX)". */
const struct fpu_instruction_info fpu_instructions[FPU_INSTRUCTIONS] = {
	[FNSAVE] = { "fnsave", INSTRUCTION("\xdd\x33") },
	[FXSAVE] = { "fxsave", INSTRUCTION("\x0f\xae\x03"), .feature = FEATURE_FXSR },
	[XSAVE] = { "xsave", INSTRUCTION("\x0f\xae\x23"), .feature = FEATURE_XSAVE },
	[XSAVEOPT] = { "xsaveopt", INSTRUCTION("\x0f\xae\x33"), .feature = FEATURE_XSAVEOPT },
	[XSAVEC] = { "xsavec", INSTRUCTION("\x0f\xc7\x23"), .compacted = true,
		     .feature = FEATURE_XSAVEC },
	[XSAVES] = { "xsaves", INSTRUCTION("\x0f\xc7\x2b"), .privileged = true, .compacted = true,
		     .feature = FEATURE_XSAVES },
	[FRSTOR] = { "frstor", INSTRUCTION("\xdd\x23") },
	[FXRSTOR] = { "fxrstor", INSTRUCTION("\x0f\xae\x0b"), .feature = FEATURE_FXSR },
	[XRSTOR] = { "xrstor", INSTRUCTION("\x0f\xae\x2b"), .feature = FEATURE_XSAVE },
	[XRSTORS] = { "xrstors", INSTRUCTION("\x0f\xc7\x1b"), .privileged = true,
		      .compacted = true, .feature = FEATURE_XSAVES },
	[FXSAVE64] = { "fxsave64", INSTRUCTION("\x48\x0f\xae\x03"), .feature = FEATURE_FXSR },
	[XSAVE64] = { "xsave64", INSTRUCTION("\x48\x0f\xae\x23"), .feature = FEATURE_XSAVE },
	[FXRSTOR64] = { "fxrstor64", INSTRUCTION("\x48\x0f\xae\x0b"), .feature = FEATURE_FXSR },
	[XRSTOR64] = { "xrstor64", INSTRUCTION("\x48\x0f\xae\x2b"), .feature = FEATURE_XSAVE },
};

/* What CPUID says, asked once: under a hypervisor CPUID is an exit. All CPUs have the same. */
static struct {
	bool known;
	bool has[FPU_INSTRUCTIONS];
	u64 user, supervisor, enabled;
	struct xstate_component components[XSTATE_MAX];
} cpu_state;

static void ask_component(unsigned int number)
{
	struct cpuid leaf = cpuid_count(XSTATE_LEAF, number);

	cpu_state.components[number] = (struct xstate_component){
		.size = leaf.eax,
		.offset = leaf.ebx,
		.supervisor = leaf.ecx & 1,
		.aligned = leaf.ecx & 2,
	};
}

static void ask(void)
{
	struct cpuid leaf;
	u64 wanted;

	if (cpu_state.known)
		return;
	for (enum fpu_instruction i = 0; i < FPU_INSTRUCTIONS; i++) {
		bool in_mode = sizeof(ulong) == 8 || i < FXSAVE64;
		u64 feature = fpu_instructions[i].feature;

		cpu_state.has[i] = in_mode && (!feature || cpu_has(feature));
	}
	if (cpu_state.has[XSAVE]) {
		leaf = cpuid_count(XSTATE_LEAF, 0);
		cpu_state.user = (u64)leaf.edx << 32 | leaf.eax;
	}
	if (cpu_state.has[XSAVES]) {
		leaf = cpuid_count(XSTATE_LEAF, 1);
		cpu_state.supervisor = (u64)leaf.edx << 32 | leaf.ecx;
	}
	cpu_state.components[XSTATE_X87] = (struct xstate_component){ .size = 160 };
	cpu_state.components[XSTATE_SSE] = (struct xstate_component){ .size = 256, .offset = 160 };
	wanted = cpu_state.user | (cpu_state.supervisor & fpu_state_known());
	for (unsigned int i = 0; i < XSTATE_MAX; i++) {
		if (!((cpu_state.user | cpu_state.supervisor) >> i & 1))
			continue;
		if (i >= XSTATE_AVX)
			ask_component(i);
		if (wanted >> i & 1 && cpu_state.components[i].size)
			cpu_state.enabled |= BIT_ULL(i);
	}
	cpu_state.known = true;
}

bool fpu_has(enum fpu_instruction instruction)
{
	ask();
	return cpu_state.has[instruction];
}

#define EXECUTE(mnemonic)                                                                          \
	asm volatile(TRY_WITH_EAX(mnemonic " (%[area])")                                           \
		     : "=a"(fault.value)                                                           \
		     : "0"((u32)components), "d"((u32)(components >> 32)), [area] "r"(area)        \
		     : "memory")

struct fault fpu_execute(enum fpu_instruction instruction, const void *area, u64 components)
{
	struct fault fault = FAULT_UD;

	switch (instruction) {
	case FNSAVE:
		EXECUTE("fnsave");
		break;
	case FXSAVE:
		EXECUTE("fxsave");
		break;
	case XSAVE:
		EXECUTE("xsave");
		break;
	case XSAVEOPT:
		EXECUTE("xsaveopt");
		break;
	case XSAVEC:
		EXECUTE("xsavec");
		break;
	case XSAVES:
		EXECUTE("xsaves");
		break;
	case FRSTOR:
		EXECUTE("frstor");
		break;
	case FXRSTOR:
		EXECUTE("fxrstor");
		break;
	case XRSTOR:
		EXECUTE("xrstor");
		break;
	case XRSTORS:
		EXECUTE("xrstors");
		break;
#ifdef __x86_64__
	case FXSAVE64:
		EXECUTE("fxsave64");
		break;
	case XSAVE64:
		EXECUTE("xsave64");
		break;
	case FXRSTOR64:
		EXECUTE("fxrstor64");
		break;
	case XRSTOR64:
		EXECUTE("xrstor64");
		break;
#endif
	default:
		break;
	}
	return fault;
}

struct fault xsetbv_safe(u32 index, u64 value)
{
	struct fault fault;

	asm volatile(TRY_WITH_EAX("xsetbv")
		     : "=a"(fault.value)
		     : "0"((u32)value), "d"((u32)(value >> 32)), "c"(index)
		     : "memory");
	return fault;
}

struct fault xgetbv_safe(u32 index, u64 *value)
{
	struct fault fault;
	u32 low = 0, high = 0;

	asm volatile(TRY("xgetbv\n"
			 "movl %%eax, %[low]\n"
			 "movl $0, %%eax")
		     : TRY_RESULT(fault), [low] "+&S"(low), "+d"(high)
		     : "c"(index)
		     : "memory");
	*value = fault_raised(fault) ? 0 : (u64)high << 32 | low;
	return fault;
}

u64 xstate_user(void)
{
	ask();
	return cpu_state.user;
}

u64 xstate_supervisor(void)
{
	ask();
	return cpu_state.supervisor;
}

struct xstate_component xstate_component(unsigned int number)
{
	ask();
	return cpu_state.components[number];
}

/* "Compacted Format of the Extended Region of an XSAVE Area". */
u32 xstate_offset(u64 xcomp_bv, unsigned int number)
{
	u32 offset = XSAVE_MIN_SIZE;

	if (number <= XSTATE_SSE || !(xcomp_bv & XCOMP_BV_COMPACTED))
		return xstate_component(number).offset;
	for (unsigned int i = XSTATE_AVX; i <= number; i++) {
		struct xstate_component component;

		if (!(xcomp_bv >> i & 1))
			continue;
		component = xstate_component(i);
		if (component.aligned)
			offset = ALIGN_UP(offset, XSAVE_ALIGN);
		if (i < number)
			offset += component.size;
	}
	return offset;
}

u32 xstate_size(u64 components, bool compacted)
{
	u64 xcomp_bv = compacted ? components | XCOMP_BV_COMPACTED : 0;
	u32 size = XSAVE_MIN_SIZE;

	for (unsigned int i = XSTATE_AVX; i < XSTATE_MAX; i++)
		if (components >> i & 1)
			size = MAX(size, xstate_offset(xcomp_bv, i) + xstate_component(i).size);
	return size;
}

/* By FXRSTOR: emulators that have it may lack LDMXCSR. */
void fpu_init(void)
{
	static const struct xsave_area initial = {
		.legacy = { .control = FPU_CW_INIT, .mxcsr = MXCSR_INIT },
	};

	asm volatile("fninit");
	if (fpu_has(FXRSTOR))
		fpu_execute(FXRSTOR, &initial, 0);
}

u64 fpu_enabled_components(void)
{
	ask();
	return cpu_state.enabled;
}

void fpu_enable(void)
{
	ulong cr4 = read_cr4();

	write_cr0(read_cr0() & ~(CR0_TS | CR0_EM));
	if (cpu_has(FEATURE_FXSR))
		cr4 |= CR4_OSFXSR;
	if (cpu_has(FEATURE_SSE))
		cr4 |= CR4_OSXMMEXCPT;
	if (cpu_has(FEATURE_XSAVE))
		cr4 |= CR4_OSXSAVE;
	if (cr4 != read_cr4())
		write_cr4(cr4);
	fpu_init();
	if (!cpu_has(FEATURE_XSAVE))
		return;
	xsetbv(0, xstate_user());
	if (cpu_has(FEATURE_XSAVES))
		wrmsr(MSR_IA32_XSS, xstate_supervisor() & fpu_state_known());
}
