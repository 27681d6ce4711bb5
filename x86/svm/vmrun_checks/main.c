// SPDX-License-Identifier: BSD-2-Clause
/*
 * What VMRUN must refuse: APM volume 2, 15.5.1 "Canonicalization and Consistency Checks". An
 * illegal combination in the VMCB is #VMEXIT with VMEXIT_INVALID, before any instruction of
 * the guest; everything else runs, also combinations that no MOV to a control register would
 * make, as PG without PE (15.19).
 *
 * A hypervisor that runs nested guests must check L1's VMCB itself: what it merges into its own is
 * checked by the processor at best, and a guest that L1 could not have run may be one that
 * breaks L0. Checks of the kind were missing in KVM one by one; and where they were made, the
 * exit had not everything of an exit (GIF, EVENTINJ).
 *
 * Each row changes one field of a VMCB that runs; then the field is put back and it must
 * run again. "counted" is the number of times that L2's first instruction was executed.
 *
 *	control.c	EFER, CR0, CR3, CR4, DR6, DR7, and combinations of them
 *	controls.c	intercepts, ASID, permission maps, event injection
 *	paging.c	PDPEs, nested paging
 */
#include "context.h"
#include "refuse.h"

TEST_SUMMARY("VMRUN refuses each illegal guest state with VMEXIT_INVALID, and runs its neighbour");
TEST_MANUAL("APM volume 2, 15.5.1 \"Basic Operation\": Canonicalization and Consistency Checks");
TEST_MANUAL("APM volume 2, 15.20 \"Event Injection\"");
TEST_MANUAL("APM volume 2, 15.25.3 \"Enabling Nested Paging\", 15.25.4");
TEST_GUARDS("Linux b71138fcc362: nested VMRUN took a nested CR3 with reserved bits");
TEST_GUARDS("Linux 69b721a86d0d: EVENTINJ stayed valid where nested VMRUN refused the VMCB");
TEST_NEEDS("SVM");

static void test_modes(void)
{
	for (unsigned int mode = 0; mode < L2_MODES; mode++) {
		/* Without an IDT of its own, L2 runs and exits the same in each. */
		if (l2_mode_supported(mode) && mode != L2_V8086)
			must_run(counting_guest(mode), "%s", l2_mode_name(mode));
	}
}

SVM_SUBTEST("unchanged", test_modes);

/* The exit code has 64 bits, and VMEXIT_INVALID is all of them. Appendix C */
static void test_exitcode(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	guest->vmcb->control.guest_asid = 0;
	svm_run(guest);
	check_equal(guest->vmcb->control.exitcode, VMEXIT_INVALID, "invalid");
	guest = counting_guest(L2_PROTECTED);
	guest->vmcb->control.exitcode = VMEXIT_INVALID;
	svm_run(guest);
	check_equal(guest->vmcb->control.exitcode, VMEXIT_VMMCALL, "vmmcall");
}

SVM_SUBTEST("exitcode", test_exitcode);

static ulong vmrun_in_ring3(ulong address)
{
	return svm_vmrun(address).value;
}

static ulong vmload_in_ring3(ulong address)
{
	return svm_vmload(address).value;
}

static ulong vmsave_in_ring3(ulong address)
{
	return svm_vmsave(address).value;
}

/* 15.5: VMRUN, VMLOAD and VMSAVE are for ring 0, whatever the VMCB. */
static void test_privilege(void)
{
	static const struct {
		const char *id;
		ulong (*execute)(ulong address);
	} instructions[] = {
		{ "vmrun", vmrun_in_ring3 },
		{ "vmload", vmload_in_ring3 },
		{ "vmsave", vmsave_in_ring3 },
	};
	struct svm_guest *guest = counting_guest(L2_NATIVE);
	ulong result;

	for (unsigned int i = 0; i < ARRAY_SIZE(instructions); i++) {
		result = 0;
		user_call(instructions[i].execute, guest->world.vmcb_pa, &result);
		check_fault((struct fault){ result }, FAULT_GP(0), "%s", instructions[i].id);
	}
}

SVM_SUBTEST("privilege", test_privilege);

/*
 * A RIP that is not canonical or beyond CS's limit is no illegal state: the guest runs, and its
 * first fetch is #GP. 15.5.1 "Loading Guest State"
 */
static void test_rip(void)
{
	struct svm_guest *guest;

#ifdef __x86_64__
	guest = counting_guest(L2_LONG);
	guest->vmcb->save.rip = 1ull << 62;
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_GP, 0, guest->vmcb->control.exitinfo2,
			"not-canonical");
#endif
	guest = counting_guest(L2_PROTECTED);
	guest->vmcb->save.cs.attrib &= ~VMCB_ATTRIB(0, DESC_GRANULARITY);
	guest->vmcb->save.cs.limit = 0xfff;
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_GP, 0, guest->vmcb->control.exitinfo2,
			"beyond-the-limit");
}

SVM_SUBTEST("rip", test_rip);
