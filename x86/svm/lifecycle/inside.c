// SPDX-License-Identifier: BSD-2-Clause
/*
 * A hypervisor in L2, with a guest of its own (L3): its SVM instructions exit to L1, which does
 * for it what they would do, with L2's operands. APM volume 2, 15.5.1: VMRUN must be
 * intercepted, so that no processor nests by itself; 15.9: the exits.
 */
#include "page_alloc.h"
#include "report.h"
#include "svm/test.h"

#define ROUNDS 10

L2_CODE(count, "inc %eax\n vmmcall\n ud2");

/* L2: what it is told by L3's VMCB. */
static struct inner {
	struct vmcb *vmcb;
	u32 right;
} inner;

static void hypervisor(void *argument)
{
	struct inner *own = argument;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		own->vmcb->save.rip = (ulong)count;
		own->vmcb->control.exitcode = 0;
		asm volatile("clgi\n vmrun\n stgi" : : "a"(own->vmcb) : "memory", "cc");
		own->right +=
		    own->vmcb->control.exitcode == VMEXIT_VMMCALL && own->vmcb->save.rax == i + 1;
	}
}

static unsigned int clgis, stgis, vmruns;

/* L1's part: one instruction of L2's; false if it was another exit. */
static bool emulate(struct svm_guest *l2, struct svm_guest *l3)
{
	switch (l2->vmcb->control.exitcode) {
	case VMEXIT_CLGI:
		clgis++;
		break;
	case VMEXIT_STGI:
		stgis++;
		break;
	case VMEXIT_VMRUN:
		vmruns += l2->vmcb->save.rax == l3->world.vmcb_pa;
		svm_run(l3);
		break;
	default:
		return false;
	}
	svm_skip(l2, 3);
	return true;
}

static void test_inside(void)
{
	struct svm_guest *l3 = svm_guest(L2_NATIVE, count);
	struct svm_guest *l2;

	inner = (struct inner){ .vmcb = l3->vmcb };
	l2 = svm_guest_call(hypervisor, &inner);
	svm_intercept(l2, VMEXIT_CLGI);
	svm_intercept(l2, VMEXIT_STGI);
	clgis = stgis = vmruns = 0;
	do
		svm_run(l2);
	while (emulate(l2, l3));
	check_exit(l2, VMEXIT_VMMCALL, "end");
	check_equal(vmruns, ROUNDS, "vmruns");
	check_equal(clgis, ROUNDS, "clgis");
	check_equal(stgis, ROUNDS, "stgis");
	check_equal(inner.right, ROUNDS, "seen-by-l2");
}

SVM_SUBTEST("inside-l2", test_inside);
