// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every exception that a machine can be brought to raise arrives as the value
 * that lib/x86 says it is: vector, error code, CR2, and what the CPU pushed.
 *
 * The causes are lib/x86/cause.c's: architectural reasons, never INT n of that
 * vector. Each is raised in ring 0 and ring 3 of the mode and, under x86_64, in
 * both rings of compatibility mode, wherever it can happen at all.
 */
#include "cause.h"
#include "control.h"
#include "paging.h"
#include "report.h"
#include "trap.h"

TEST_SUMMARY("the framework itself: traps, printf, memory, paging, IPIs, time");
TEST_MANUAL("SDM volume 3A, \"Exception and Interrupt Reference\"");
TEST_MANUAL("SDM volume 3A, \"Stack Usage on Transfers to Interrupt and Exception-Handling "
	    "Routines\"");

/* EFLAGS.RF in the pushed image has rules of its own: test "exceptions". */
#define COMPARED_FLAGS (~EFLAGS_RF)

static bool same_registers(const struct context *a, const struct context *b)
{
	const ulong *x = &a->ax, *y = &b->ax;

	for (unsigned int i = 0; i < offsetof(struct context, ds) / sizeof(ulong); i++)
		if (x[i] != y[i])
			return false;
	return true;
}

static bool same_segments(const struct context *a, const struct context *b)
{
	return a->ds == b->ds && a->es == b->es && a->fs == b->fs && a->gs == b->gs;
}

static void check_frame(const struct context *before, const struct context *after,
			const struct expected_trap *expected)
{
	/* The saved image of an abort is undefined: SDM, "Interrupt 8". */
	if (fault_vector(expected->fault) == VECTOR_DF)
		return;
	check_equal(after->ip, expected->ip, "ip");
	check_equal(after->cs, before->cs, "cs");
	check_equal(after->flags & COMPARED_FLAGS, before->flags, "flags");
	check_equal(after->sp, before->sp, "sp");
	check_equal(after->ss, before->ss, "ss");
	check(same_registers(before, after), "registers");
	check(same_segments(before, after), "segments");
	if (fault_vector(expected->fault) == VECTOR_PF)
		check_equal(last_cr2(), expected->cr2, "cr2");
}

static void raise_in(const struct cause *cause, const struct environment *environment)
{
	struct expected_trap expected;
	struct context before = cause_prepare(cause, environment, &expected), after = before;
	struct fault fault;

	prefix_push("%s.%s", cause->name, environment->name);
	checking("fault");
	fault = context_run(&after);
	cause_undo(cause);
	if (check_fault(fault, expected.fault, "fault"))
		check_frame(&before, &after, &expected);
	prefix_pop();
}

static void test_vector(const void *vector)
{
	bool possible = false;
	const char *reason = "";

	for_each_cause(cause) {
		if (cause_vector(cause) != (ulong)vector)
			continue;
		for_each_environment(environment) {
			if (!cause_possible(cause, environment, &reason))
				continue;
			possible = true;
			raise_in(cause, environment);
		}
	}
	if (!possible)
		subtest_skip("%s", reason);
}

#define VECTOR_SUBTEST(name, vector) SUBTEST_ARG(name, test_vector, (const void *)(vector))

VECTOR_SUBTEST("de", VECTOR_DE);
VECTOR_SUBTEST("db", VECTOR_DB);
VECTOR_SUBTEST("bp", VECTOR_BP);
VECTOR_SUBTEST("of", VECTOR_OF);
VECTOR_SUBTEST("br", VECTOR_BR);
VECTOR_SUBTEST("ud", VECTOR_UD);
VECTOR_SUBTEST("nm", VECTOR_NM);
VECTOR_SUBTEST("df", VECTOR_DF);
VECTOR_SUBTEST("ts", VECTOR_TS);
VECTOR_SUBTEST("np", VECTOR_NP);
VECTOR_SUBTEST("ss", VECTOR_SS);
VECTOR_SUBTEST("gp", VECTOR_GP);
VECTOR_SUBTEST("pf", VECTOR_PF);
VECTOR_SUBTEST("mf", VECTOR_MF);
VECTOR_SUBTEST("ac", VECTOR_AC);
VECTOR_SUBTEST("xm", VECTOR_XM);

/* What no guest can bring about by itself, and so no subtest is for. */
static const struct {
	unsigned int vector;
	const char *reason;
} not_raised[] = {
	{ VECTOR_CSO, "only a 386 with its coprocessor raises it" },
	{ VECTOR_MC, "takes a hardware error, or a VMM that injects one" },
	{ VECTOR_VE, "takes a hypervisor that uses EPT-violation #VE" },
	{ VECTOR_CP, "takes CET, which the library does not turn on" },
	{ VECTOR_HV, "only in a guest of AMD SEV-SNP with restricted injection" },
	{ VECTOR_VC, "only in a guest of AMD SEV-ES" },
	{ VECTOR_SX, "takes AMD SVM with INIT redirected" },
};

/* Every vector below 32 has a cause, or its own subtest, or a reason, or is reserved. */
static void test_complete(void)
{
	const u32 reserved = 1u << 15 | 0x3fu << 22 | 1u << 31;
	u32 covered = reserved | 1u << VECTOR_NMI; /* subtest "nmi" */

	for_each_cause(cause)
		covered |= 1u << cause_vector(cause);
	for (unsigned int i = 0; i < ARRAY_SIZE(not_raised); i++) {
		diagnostic("%s is not raised: %s", vector_name(not_raised[i].vector),
			   not_raised[i].reason);
		check(!(covered >> not_raised[i].vector & 1), "vector-%u.once",
		      not_raised[i].vector);
		covered |= 1u << not_raised[i].vector;
	}
	check_equal(covered, 0xffffffff, "vectors");
}

SUBTEST("vectors", test_complete);
