// SPDX-License-Identifier: BSD-2-Clause
/*
 * RFLAGS.RF in the pushed image: 1 for a fault, so that the handler's IRET steps over an
 * instruction breakpoint at the instruction; as it was (0) for a trap.
 *
 * SDM volume 3B, "Instruction-Breakpoint Exception Condition": the value pushed is 1 for any
 * fault-class exception except a debug exception in response to an instruction breakpoint;
 * 1 for a trap out of a repeated string instruction before its last iteration; else that
 * of RF itself, which a software interrupt has cleared by then. What is pushed for an
 * instruction breakpoint differs between vendors (APM volume 2, "rFLAGS"), and
 * what is saved of an abort is undefined: both are not judged.
 */
#include "cause.h"
#include "control.h"
#include "cpuid.h"
#include "report.h"
#include "string.h"

TEST_SUMMARY("exceptions in detail: frames, error codes, double faults, debug, FPU, alignment");
TEST_MANUAL("SDM volume 3A, \"Interrupt and Exception Handling\"");
TEST_MANUAL("SDM volume 3B, \"Debug Exceptions\"");

static bool is_judged(const struct cause *cause)
{
	/* The APM says nothing of general detect either. */
	if (strcmp(cause->name, "general-detect") == 0)
		return !cpu_is_amd();
	return cause_vector(cause) != VECTOR_DF &&
	       strcmp(cause->name, "instruction-breakpoint") != 0;
}

static void test_cause(const struct cause *cause, const struct environment *environment)
{
	struct expected_trap expected;
	struct context context = cause_prepare(cause, environment, &expected);
	struct fault fault;
	bool is_fault = cause->saved_ip == 0;

	checking("%s.%s", cause->name, environment->name);
	fault = context_run(&context);
	cause_undo(cause);
	if (!fault_equal(fault, expected.fault))
		check_fault(fault, expected.fault, "%s.%s", cause->name, environment->name);
	else if (is_judged(cause))
		check_equal(!!(context.flags & EFLAGS_RF), is_fault, "%s.%s", cause->name,
			    environment->name);
	else
		diagnostic("%s.%s: RF=%u", cause->name, environment->name,
			   !!(context.flags & EFLAGS_RF));
}

/* A subtest each, so that a machine that stops at one cause goes on behind it. */
static void test_vector(const void *vector)
{
	const char *reason;

	for_each_cause(cause) {
		if (cause_vector(cause) != (ulong)vector)
			continue;
		for_each_environment(environment)
			if (cause_possible(cause, environment, &reason))
				test_cause(cause, environment);
	}
}

#define RF_SUBTEST(name, vector) SUBTEST_ARG("rf." name, test_vector, (const void *)(vector))

RF_SUBTEST("de", VECTOR_DE);
RF_SUBTEST("db", VECTOR_DB);
RF_SUBTEST("bp", VECTOR_BP);
RF_SUBTEST("of", VECTOR_OF);
RF_SUBTEST("br", VECTOR_BR);
RF_SUBTEST("ud", VECTOR_UD);
RF_SUBTEST("nm", VECTOR_NM);
RF_SUBTEST("ts", VECTOR_TS);
RF_SUBTEST("np", VECTOR_NP);
RF_SUBTEST("ss", VECTOR_SS);
RF_SUBTEST("gp", VECTOR_GP);
RF_SUBTEST("pf", VECTOR_PF);
RF_SUBTEST("mf", VECTOR_MF);
RF_SUBTEST("ac", VECTOR_AC);
RF_SUBTEST("xm", VECTOR_XM);
