// SPDX-License-Identifier: BSD-2-Clause
#include "printf.h"
#include "svm/test.h"

static bool exit_equal(const struct svm_exit *expected, const struct vmcb_control *got)
{
	return expected->code == got->exitcode &&
	       (!(expected->compare & SVM_INFO1) || expected->info1 == got->exitinfo1) &&
	       (!(expected->compare & SVM_INFO2) || expected->info2 == got->exitinfo2);
}

/* An expected exit in the words of one that was seen; what is not compared is not shown. */
static void format_expected(char *buffer, size_t size, const struct svm_exit *exit)
{
	size_t length;

	length = svm_exitcode_format(buffer, size, exit->code);
	if (exit->compare & SVM_INFO1)
		length += snprintf(buffer + length, size - length, " info1 %#llx", exit->info1);
	if (exit->compare & SVM_INFO2)
		snprintf(buffer + length, size - length, " info2 %#llx", exit->info2);
}

bool svm_report_exit(const char *file, unsigned int line, const struct svm_guest *guest,
		     const struct svm_exit *expected, const char *id, ...)
{
	const struct vmcb_control *control = &guest->vmcb->control;
	struct fault fault = svm_fault(guest);
	bool ok = !fault_raised(fault) && exit_equal(expected, control);
	char want[80], got[128], name[112];
	size_t length;

	FORMAT_ID(name, id);
	format_expected(want, sizeof(want), expected);
	if (fault_raised(fault)) {
		snprintf(got, sizeof(got), "%pe at VMRUN", &fault);
	} else {
		length = svm_exit_format(got, sizeof(got), guest->vmcb);
		if (expected->compare && length < sizeof(got))
			snprintf(got + length, sizeof(got) - length, " info1 %#llx info2 %#llx",
				 control->exitinfo1, control->exitinfo2);
	}
	return report_text(file, line, ok, want, got, "%s", name);
}

static void setup(struct svm_guest *guest, const struct svm_test *test)
{
	const u16 *intercept = test->intercepts;

	for (; intercept && *intercept != 0xffff; intercept++)
		svm_intercept(guest, *intercept);
	if (test->setup)
		test->setup(guest);
}

/* Runs up to one exit: false if it is another one, and the rest would make no sense. */
static bool run_to(struct svm_guest *guest, const struct svm_test *test,
		   const struct svm_exit *exit, unsigned int number)
{
	svm_run(guest);
	return svm_report_exit(test->file, test->line, guest, exit, "exit-%u", number);
}

void svm_test_run(const void *argument)
{
	static const struct svm_exit end = { .code = VMEXIT_VMMCALL };
	const struct svm_test *test = argument;
	const struct svm_exit *exit = test->exits;
	struct svm_guest *guest;
	unsigned int number = 0;

	if (!svm_ready())
		return;
	if (!l2_mode_supported(test->mode)) {
		subtest_skip("a 32-bit L1 has no L2 in long mode");
		return;
	}
	if ((test->feature && !cpu_has(test->feature)) ||
	    (test->feature2 && !cpu_has(test->feature2))) {
		subtest_skip("the CPU lacks what is tested (CPUID)");
		return;
	}
	guest = svm_guest(test->mode, test->code);
	setup(guest, test);
	for (; number < SVM_MAX_EXITS && !NO_MORE_EXITS(exit); exit++) {
		if (!run_to(guest, test, exit, ++number))
			goto out;
		if (exit->then)
			exit->then(guest);
		else
			svm_skip(guest, (ulong)test->end - svm_rip(guest));
	}
	if (!test->no_vmmcall) {
		if (!run_to(guest, test, &end, ++number))
			goto out;
		check_equal(svm_rip(guest), (ulong)test->end, "end");
	}
	if (test->after)
		test->after(guest);
out:
	svm_check_invariants();
}
