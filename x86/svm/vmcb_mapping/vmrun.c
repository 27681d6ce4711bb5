// SPDX-License-Identifier: BSD-2-Clause
/*
 * What SVM is given by physical address may lie anywhere in memory: the VMCB, the host
 * save area, the permission maps, the nested page tables. APM volume 2, 15.5.1 "Basic
 * Operation": rAX holds the VMCB's physical address, which must be 4 KiB aligned and within
 * what the processor supports, else #GP(0). A hypervisor with nested SVM maps that page of
 * its guest's memory on each VMRUN, VMLOAD and VMSAVE, by functions some of which take
 * addresses and some page frame numbers, in variables of 32 or 64 bits: a slip uses another
 * page, or none at all.
 *
 * Each page is tried alone, all others holding poison; and with other VMCBs where its
 * address leads if it is shifted by 12 bits in either direction or cut to 32: each guest
 * tells whose it is, and an exit is written back to its own VMCB only.
 */
#include "mapping.h"
#include "string.h"
#include "svm/test.h"

TEST_SUMMARY("SVM finds its structures at any physical address, and writes to no other page");
TEST_MANUAL("APM volume 2, 15.5 \"VMRUN Instruction\"");
TEST_MANUAL("APM volume 2, 15.10, 15.11: permission maps; 15.25 \"Nested Paging\"; 15.30.4 "
	    "\"VM_HSAVE_PA MSR\"");
TEST_GUARDS("Linux 8c5fbf1a7231: the function that maps the VMCB got an address for a frame "
	    "number, VMRUN failed");
TEST_NEEDS("SVM");

/* The others get VMCBs that are as good; none of them may run or be written. */
static unsigned int place_decoys(struct svm_guest *guest, const struct relation *relations,
				 unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct place *decoy = relations[i].place;

		places_claim(decoy->physical, 1);
		memcpy(decoy->page, guest->vmcb, PAGE_SIZE);
		((struct vmcb *)decoy->page)->save.rax = tag_of(decoy);
	}
	return count;
}

static void check_decoys(const struct relation *relations, unsigned int count)
{
	static struct vmcb intact;
	struct svm_guest *guest = telling_guest();

	for (unsigned int i = 0; i < count; i++) {
		struct place *decoy = relations[i].place;

		memcpy(&intact, guest->vmcb, PAGE_SIZE);
		intact.save.rax = tag_of(decoy);
		check(!memcmp(decoy->page, &intact, PAGE_SIZE), "decoy-at-%#llx.untouched",
		      decoy->physical);
		places_release(decoy->physical, 1);
	}
}

static void run_at(struct place *place, bool with_decoys)
{
	struct relation relations[RELATIONS];
	unsigned int count = with_decoys ? related_places(place, relations) : 0;
	struct svm_guest *guest = telling_guest();
	const struct vmcb *vmcb = (const struct vmcb *)place->page;

	if (with_decoys && !count)
		return;
	prefix_push(with_decoys ? "with-decoys" : "alone");
	place_decoys(guest, relations, count);
	guest->vmcb->save.rax = tag_of(place);
	places_claim(place->physical, 1);
	svm_guest_place(guest, (struct vmcb *)place->page);
	svm_run(guest);
	check_told(guest, place, "exit");
	check_equal(vmcb->save.rax, (u32)~tag_of(place), "written-back");
	check_others(place, "others");
	mapping_guest_home();
	places_release(place->physical, 1);
	check_decoys(relations, count);
	prefix_pop();
}

static void vmrun_at(struct place *place)
{
	run_at(place, false);
	run_at(place, true);
}

static void test_vmrun(const void *region)
{
	for_each_place((enum region)(ulong)region, true, vmrun_at);
}

SUBTEST_ARG("vmrun-low", test_vmrun, (void *)LOW);
SUBTEST_ARG("vmrun-below-1g", test_vmrun, (void *)BELOW_1G);
SUBTEST_ARG("vmrun-at-1g", test_vmrun, (void *)AT_1G);
SUBTEST_ARG("vmrun-below-4g", test_vmrun, (void *)BELOW_4G);
SUBTEST_ARG("vmrun-at-4g", test_vmrun, (void *)AT_4G);
SUBTEST_ARG("vmrun-beyond-4g", test_vmrun, (void *)BEYOND_4G);
SUBTEST_ARG("vmrun-last", test_vmrun, (void *)LAST);
