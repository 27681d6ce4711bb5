// SPDX-License-Identifier: BSD-2-Clause
/*
 * What L1 takes from L2 by number, and the lists of MSRs that entries and exits work through: SDM
 * volume 3C, "I/O-Bitmap Addresses", "MSR-Bitmap Address", "VM-Exit Controls for MSRs", "VM-Entry
 * Controls for MSRs", "Loading MSRs", "Saving MSRs".
 *
 * A hypervisor that nests has bitmaps of its own to merge with L1's, and works through the
 * lists itself, entry by entry, from memory that L1 can change: which MSRs it lets L1 write
 * on L2's behalf is what protects its own.
 */
#include "bitmaps_and_areas.h"

TEST_SUMMARY("the I/O and MSR bitmaps decide for each port and MSR; the MSR areas are worked "
	     "through in order, up to the entry that is refused");
TEST_MANUAL("SDM volume 3C, \"I/O-Bitmap Addresses\"");
TEST_MANUAL("SDM volume 3C, \"MSR-Bitmap Address\"");
TEST_MANUAL("SDM volume 3C, \"Exit Qualification for I/O Instructions\"");
TEST_MANUAL("SDM volume 3C, VM entries, \"Loading MSRs\"");
TEST_MANUAL("SDM volume 3C, VM exits, \"Saving MSRs\" and \"Loading MSRs\"");
TEST_GUARDS("KVM took L1's MSR bitmap for L2's x2APIC MSRs without a look at what L1 enabled, and "
	    "gave L2 the host's APIC (Linux 5.1, commits acff78477b9b and c73f4c998e1f: "
	    "CVE-2019-3887)");
TEST_GUARDS("KVM did not check all ports of an access against L1's I/O bitmaps when it emulated "
	    "an instruction of L2 (Linux 5.6, commit 35a571346a94: CVE-2020-2732)");
TEST_NEEDS("VMX");

struct vmx_guest *maps_guest(enum l2_mode mode, const void *code)
{
	static struct vmx_guest *guest;

	if (!guest)
		guest = vmx_guest(mode, code);
	else
		vmx_guest_again(guest, mode, code);
	return guest;
}
