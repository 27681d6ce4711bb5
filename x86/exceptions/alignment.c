// SPDX-License-Identifier: BSD-2-Clause
/*
 * #AC: an access in ring 3 whose address is not a multiple of what its type wants, with CR0.AM and
 * EFLAGS.AC set. SDM volume 3A, "Interrupt 17 - Alignment Check Exception (#AC)" and its
 * table "Alignment Requirements by Data Type". The error code is 0.
 */
#include "control.h"
#include "cpuid.h"
#include "environment.h"
#include "report.h"

#define CODE(bytes) bytes, sizeof(bytes) - 1

static u8 memory[64] __aligned(64);

static const struct access {
	const char *name;
	const char *code; /* BX has the address */
	unsigned int size;
	unsigned int alignment; /* 1: never */
	u64 needs;
	unsigned int where;
} accesses[] = {
	{ "load-byte", CODE("\x8a\x03"), 1, 0, ENV_ANY },
	{ "load-word", CODE("\x66\x8b\x03"), 2, 0, ENV_ANY },
	{ "store-word", CODE("\x66\x89\x03"), 2, 0, ENV_ANY },
	{ "load-dword", CODE("\x8b\x03"), 4, 0, ENV_ANY },
	{ "store-dword", CODE("\x89\x03"), 4, 0, ENV_ANY },
	{ "add-dword", CODE("\x01\x03"), 4, 0, ENV_ANY },
	{ "load-qword", CODE("\x48\x8b\x03"), 8, 0, ENV_ANY & ~ENV_CODE32 },
	{ "store-qword", CODE("\x48\x89\x03"), 8, 0, ENV_ANY & ~ENV_CODE32 },
	{ "fld-single", CODE("\xd9\x03"), 4, FEATURE_FPU, ENV_ANY },
	{ "fld-double", CODE("\xdd\x03"), 8, FEATURE_FPU, ENV_ANY },
	{ "fild-word", CODE("\xdf\x03"), 2, FEATURE_FPU, ENV_ANY },
	{ "movss", CODE("\xf3\x0f\x10\x03"), 4, FEATURE_SSE, ENV_ANY },
	{ "movsd", CODE("\xf2\x0f\x10\x03"), 8, FEATURE_SSE2, ENV_ANY },
	{ "bound-dword", CODE("\x62\x03"), 4, 0, ENV_ANY & ~ENV_CODE64 },
};

static struct fault run(const struct environment *environment, const struct access *access,
			unsigned int offset, ulong flags)
{
	struct context context = environment_context(environment, access->code, access->size);

	context.bx = (ulong)memory + offset;
	context.ax = 0;
	context.flags |= flags;
	return context_run(&context);
}

/* Leaves the FPU as a test before may not have. */
static void begin(void)
{
	if (cpu_has(FEATURE_FPU))
		asm volatile("fninit");
	write_cr0(read_cr0() | CR0_AM);
}

static void end(void)
{
	write_cr0(read_cr0() & ~CR0_AM);
	if (cpu_has(FEATURE_FPU))
		asm volatile("fninit");
}

static void test_access(const struct access *access, const struct environment *environment)
{
	for (unsigned int offset = 0; offset < 8; offset++) {
		bool misaligned = offset % access->alignment;

		begin();
		check_fault(run(environment, access, offset, EFLAGS_AC),
			    misaligned ? FAULT_AC : NO_FAULT, "%s.%s.offset-%u", access->name,
			    environment->name, offset);
		end();
	}
}

static void for_each_access(void (*test)(const struct access *, const struct environment *),
			    bool fpu)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		const struct access *access = &accesses[i];

		if (fpu != !!access->needs || (access->needs && !cpu_has(access->needs)))
			continue;
		for_each_environment(environment)
			if (environment_is_user(environment) &&
			    environment_in(environment, access->where))
				test(access, environment);
	}
}

static void test_integer(void)
{
	for_each_access(test_access, false);
}

static void test_fpu(void)
{
	for_each_access(test_access, true);
}

SUBTEST("ac.integer", test_integer);
SUBTEST("ac.fpu", test_fpu);

/* All three conditions are wanted: each is left out once. */
static void test_conditions(void)
{
	const struct access *dword = &accesses[3];

	for_each_environment(environment) {
		bool user = environment_is_user(environment);

		write_cr0(read_cr0() | CR0_AM);
		check_fault(run(environment, dword, 1, EFLAGS_AC), user ? FAULT_AC : NO_FAULT,
			    "am-ac.%s", environment->name);
		check_fault(run(environment, dword, 1, 0), NO_FAULT, "am.%s", environment->name);
		write_cr0(read_cr0() & ~CR0_AM);
		check_fault(run(environment, dword, 1, EFLAGS_AC), NO_FAULT, "ac.%s",
			    environment->name);
		check_fault(run(environment, dword, 1, 0), NO_FAULT, "none.%s", environment->name);
	}
}

SUBTEST("ac.conditions", test_conditions);

/* PUSH and POP with a stack pointer that is not aligned. */
static void test_stack(void)
{
	static const struct {
		const char *name, *code;
	} pushes[] = { { "push", "\x50" }, { "pop", "\x58" } };

	write_cr0(read_cr0() | CR0_AM);
	for_each_environment(environment) {
		for (unsigned int i = 0; i < ARRAY_SIZE(pushes); i++) {
			struct context context =
			    environment_context(environment, pushes[i].code, 1);

			if (!environment_is_user(environment))
				continue;
			context.sp -= 18;
			context.flags |= EFLAGS_AC;
			check_fault(context_run(&context), FAULT_AC, "%s.%s", pushes[i].name,
				    environment->name);
		}
	}
	write_cr0(read_cr0() & ~CR0_AM);
}

SUBTEST("ac.stack", test_stack);
