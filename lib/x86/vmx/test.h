/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Subtests of nested VMX. One that is a declaration: L2's code, how the VMCS is set up, the
 * exits that must come, in order, and what must hold after them.
 *
 *	VMX_TEST("rdtsc", "rdtsc",
 *		 .controls = CONTROLS(VMX_PRIMARY_RDTSC_EXITING),
 *		 .exits = { { EXIT_RDTSC } });
 *
 * One that is a C function, for what is a table or needs more:
 *
 *	VMX_SUBTEST("vpid", test_vpid);
 *
 * Both are skipped where there is no VMX, and end with vmx_check_invariants().
 */
#ifndef LIB_X86_VMX_TEST_H
#define LIB_X86_VMX_TEST_H

#include "report.h"
#include "vmx/exit.h"
#include "vmx/guest.h"

#define VMX_MAX_EXITS 8

struct vmx_exit {
	u32 reason;
	bool has_qualification; /* it is compared as well */
	u64 qualification;
	bool has_fault; /* of an exception's exit: the fault is compared, and nothing else */
	struct fault fault;
	/* Done before the guest goes on; if NULL, the instruction is skipped by its length. */
	void (*then)(struct vmx_guest *guest);
};

struct vmx_test {
	const char *file;
	unsigned int line;
	const u8 *code, *end; /* of the text; VMCALL stands at its end */
	enum l2_mode mode;
	const u32 *controls; /* set besides vmx_guest()'s; without one the subtest is skipped */
	u64 feature;	     /* CPUID: likewise */
	void (*setup)(struct vmx_guest *guest);
	/* In order, up to the first of reason 0 that compares nothing more; then comes VMCALL. */
	struct vmx_exit exits[VMX_MAX_EXITS];
	bool no_vmcall; /* the last of exits is the end: the code does not go on */
	void (*after)(struct vmx_guest *guest);
};

#define CONTROLS(...)	    ((const u32[]){ __VA_ARGS__, 0 })
/* An exception's exit in a list of exits: EXIT_EXCEPTION(FAULT_VALUE_EC(VECTOR_GP, 0)) */
#define EXIT_EXCEPTION(value, ...) { .has_fault = true, .fault = { value }, __VA_ARGS__ }
#define NO_MORE_EXITS(exit) (!(exit)->reason && !(exit)->has_qualification && !(exit)->has_fault)

/*
 * The text is L2's code in the mode's code size: begin it with ".code16\n" or ".code32\n" where
 * that is not this image's.
 */
#define VMX_TEST(subtest_name, text, ...)                                                          \
	VMX_TEST_(CONCAT(vmx_code_, __LINE__), subtest_name, text, __VA_ARGS__)
#define VMX_TEST_(label, subtest_name, text, ...)                                                  \
	asm(".pushsection .text.l2." STRINGIFY(label) ", \"ax\", @progbits\n"                      \
	    ".balign 16\n" STRINGIFY(label) ":\n" text "\n"                                        \
	    STRINGIFY(label) "_end: vmcall\n ud2\n" L2_NATIVE_CODE ".popsection");                \
	extern const u8 label[], CONCAT(label, _end)[];                                            \
	static const struct vmx_test CONCAT(vmx_test_, __LINE__) = {                               \
		.file = __FILE__, .line = __LINE__,                                                \
		.code = label, .end = CONCAT(label, _end), __VA_ARGS__                             \
	};                                                                                         \
	SUBTEST_ARG(subtest_name, vmx_test_run, &CONCAT(vmx_test_, __LINE__))

#define VMX_SUBTEST(subtest_name, function)                                                        \
	static void CONCAT(vmx_subtest_, __LINE__)(const void *unused)                             \
	{                                                                                          \
		(void)unused;                                                                      \
		if (!vmx_ready())                                                                  \
			return;                                                                    \
		function();                                                                        \
		vmx_check_invariants();                                                            \
	}                                                                                          \
	SUBTEST_ARG(subtest_name, CONCAT(vmx_subtest_, __LINE__), NULL)

/* For SUBTEST_ARG(): argument is a struct vmx_test. */
void vmx_test_run(const void *argument);

/* The exit that the current VMCS shows: "expected CPUID, got HLT"; with its qualification. */
#define check_exit(guest, exit_reason, ...)                                                        \
	vmx_report_exit(__FILE__, __LINE__, guest,                                                 \
			&(const struct vmx_exit){ .reason = (exit_reason) }, __VA_ARGS__)
#define check_exit_qualification(guest, exit_reason, value, ...)                                   \
	vmx_report_exit(__FILE__, __LINE__, guest,                                                 \
			&(const struct vmx_exit){ .reason = (exit_reason),                         \
						  .has_qualification = true,                       \
						  .qualification = (value) },                      \
			__VA_ARGS__)

/* An exit by an exception: "expected #GP(0), got ..." */
#define check_exception(guest, fault, ...)                                                         \
	vmx_report_exception(__FILE__, __LINE__, guest, fault, __VA_ARGS__)

/* A VMX instruction's outcome: "expected VMfailInvalid, got #UD". */
#define check_vmx(got, expected, ...)                                                              \
	vmx_report_result(__FILE__, __LINE__, got, expected, __VA_ARGS__)

bool vmx_report_exit(const char *file, unsigned int line, const struct vmx_guest *guest,
		     const struct vmx_exit *expected, const char *id, ...) __printf(5, 6);
bool vmx_report_exception(const char *file, unsigned int line, const struct vmx_guest *guest,
			  struct fault expected, const char *id, ...) __printf(5, 6);
bool vmx_report_result(const char *file, unsigned int line, struct vmx_result got,
		       struct vmx_result expected, const char *id, ...) __printf(5, 6);

#endif
