// SPDX-License-Identifier: BSD-2-Clause
/*
 * The maps by which L1 says which ports and which MSRs of its own L2 may reach: APM volume 2,
 * 15.10 "IOIO Intercepts" and 15.11 "MSR Intercepts".
 *
 * A hypervisor that nests has two of each map, its own and L1's, and L2 may pass only where
 * neither objects. It looks bits up in L1's memory, in software, for addresses and sizes that
 * the CPU would have handled itself; or merges them into one map when L2 is entered. Both
 * go wrong at the ends: an access that leaves its byte, page or map, an MSR that no bit is for.
 * What is lost is L1's protection of the machine from L2.
 */
#include "permission_maps.h"

TEST_SUMMARY("L2 reaches the ports and the MSRs that L1's permission maps leave open, no others");
TEST_MANUAL("APM volume 2, 15.10 \"IOIO Intercepts\"");
TEST_MANUAL("APM volume 2, 15.11 \"MSR Intercepts\"");
TEST_GUARDS("KVM looked up the first byte's bit alone for an access of several bytes (Linux 3.17: "
	    "\"KVM: nSVM: Fix IOIO bitmap evaluation\")");
TEST_NEEDS("SVM");

struct svm_guest *maps_guest(enum l2_mode mode, const void *code)
{
	static struct svm_guest *guest;

	if (!guest)
		guest = svm_guest(mode, code);
	else
		svm_guest_again(guest, mode, code);
	return guest;
}

void check_next_rip(struct svm_guest *guest, u64 expected)
{
	if (cpu_has(FEATURE_SVM_NRIPS))
		check_equal(guest->vmcb->control.nrip, expected, "next-rip");
}
