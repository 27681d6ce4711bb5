// SPDX-License-Identifier: BSD-2-Clause
#include "vmx/test.h"

#define ID_SIZE 112

/* The control that an entry was refused for, if it is one that the CPU does not allow at all. */
static void append_refused(char *buffer, size_t size, size_t length)
{
	char text[64];

	if (vmx_format_refused(text, sizeof(text)) && length < size)
		snprintf(buffer + length, size - length, ": %s", text);
}

/* What the last run came to, in words; with_qualification: also the bare number. */
static void format_seen(char *buffer, size_t size, const struct vmx_guest *guest,
			bool with_qualification)
{
	size_t length;

	if (!guest->world.exited) {
		length = snprintf(buffer, size, "no entry: ");
		length += vmx_result_format(buffer + length, size - length, guest->entry);
		if (guest->entry.value == VMX_FAIL_VALID_VALUE(VM_ERROR_ENTRY_INVALID_CONTROLS))
			append_refused(buffer, size, length);
		return;
	}
	length = vmx_exit_format(buffer, size);
	if (with_qualification && length < size)
		snprintf(buffer + length, size - length, ", qualification %#llx",
			 vmcs_read(VMCS_EXIT_QUALIFICATION));
}

bool vmx_report_exit(const char *file, unsigned int line, const struct vmx_guest *guest,
		     const struct vmx_exit *expected, const char *id, ...)
{
	char want[80], got[128], name[ID_SIZE];
	size_t length;
	bool ok;

	FORMAT_ID(name, id);
	if (expected->has_fault)
		return vmx_report_exception(file, line, guest, expected->fault, "%s", name);
	length = vmx_reason_format(want, sizeof(want), expected->reason);
	if (expected->has_qualification)
		snprintf(want + length, sizeof(want) - length, ", qualification %#llx",
			 expected->qualification);
	format_seen(got, sizeof(got), guest, expected->has_qualification);
	ok = guest->world.exited && vmcs_read(VMCS_EXIT_REASON) == expected->reason &&
	     (!expected->has_qualification ||
	      vmcs_read(VMCS_EXIT_QUALIFICATION) == expected->qualification);
	return report_text(file, line, ok, want, got, "%s", name);
}

bool vmx_report_exception(const char *file, unsigned int line, const struct vmx_guest *guest,
			  struct fault expected, const char *id, ...)
{
	char want[32], got[128], name[ID_SIZE];
	bool ok = false;

	FORMAT_ID(name, id);
	if (guest->world.exited && vmcs_read(VMCS_EXIT_REASON) == EXIT_EXCEPTION_OR_NMI) {
		u32 information = vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION);
		u32 error_code = vmcs_read(VMCS_VM_EXIT_INTERRUPTION_ERROR_CODE);

		ok = fault_equal(expected, fault_make(information & 0xff,
						      information & INTERRUPTION_ERROR_CODE,
						      error_code));
	}
	snprintf(want, sizeof(want), "exception %pe", &expected);
	format_seen(got, sizeof(got), guest, false);
	return report_text(file, line, ok, want, got, "%s", name);
}

bool vmx_report_result(const char *file, unsigned int line, struct vmx_result got,
		       struct vmx_result expected, const char *id, ...)
{
	char want[64], seen[64], name[ID_SIZE];

	FORMAT_ID(name, id);
	vmx_result_format(want, sizeof(want), expected);
	vmx_result_format(seen, sizeof(seen), got);
	return report_text(file, line, got.value == expected.value, want, seen, "%s", name);
}

/* Runs up to one exit: false if it is another one, and the rest would make no sense. */
static bool run_to(struct vmx_guest *guest, const struct vmx_test *test,
		   const struct vmx_exit *exit, unsigned int number)
{
	vmx_run(guest);
	return vmx_report_exit(test->file, test->line, guest, exit, "exit-%u", number);
}

static bool is_ready(const struct vmx_test *test)
{
	if (!vmx_ready() || !vmx_mode_ready(test->mode) || !vmx_needs_all(test->controls))
		return false;
	if (test->feature && !cpu_has(test->feature)) {
		subtest_skip("the CPU lacks what is tested (CPUID)");
		return false;
	}
	return true;
}

void vmx_test_run(const void *argument)
{
	static const struct vmx_exit end = { .reason = EXIT_VMCALL };
	const struct vmx_test *test = argument;
	const struct vmx_exit *exit = test->exits;
	struct vmx_guest *guest;
	unsigned int number = 0;
	u64 start;

	if (!is_ready(test))
		return;
	guest = vmx_guest(test->mode, test->code);
	start = vmx_rip();
	for (const u32 *control = test->controls; control && *control; control++)
		vmx_set(*control);
	if (test->setup)
		test->setup(guest);
	for (; number < VMX_MAX_EXITS && !NO_MORE_EXITS(exit); exit++) {
		if (!run_to(guest, test, exit, ++number))
			goto out;
		if (exit->then)
			exit->then(guest);
		else
			vmx_skip();
	}
	if (!test->no_vmcall) {
		if (!run_to(guest, test, &end, ++number))
			goto out;
		check_equal(vmx_rip() - start, test->end - test->code, "end");
	}
	if (test->after)
		test->after(guest);
out:
	vmx_check_invariants();
}
