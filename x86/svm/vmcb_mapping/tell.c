// SPDX-License-Identifier: BSD-2-Clause
/* A guest that tells whose VMCB it was run by. */
#include "mapping.h"
#include "printf.h"
#include "svm/test.h"

static struct svm_guest *the_guest;
static struct vmcb *home;

struct svm_guest *mapping_guest(const void *code)
{
	if (!the_guest) {
		the_guest = svm_guest(L2_NATIVE, code);
		home = the_guest->vmcb;
	}
	mapping_guest_home();
	svm_guest_again(the_guest, L2_NATIVE, code);
	the_guest->options = SVM_NO_VMLOAD;
	return the_guest;
}

void mapping_guest_home(void)
{
	if (the_guest->vmcb != home)
		svm_guest_place(the_guest, home);
}

#define NO_EXIT 0x5a5a5a5aull /* what an exit must overwrite */

L2_CODE(tell_tag, "mov %eax, %ebx\n not %eax\n vmmcall\n ud2");

struct svm_guest *telling_guest(void)
{
	places_init();
	mapping_guest(tell_tag);
	the_guest->vmcb->control.exitcode = NO_EXIT;
	return the_guest;
}

/* Never 0, as page 0 is one of them. */
u32 tag_of(const struct place *place)
{
	return (u32)(place->physical >> PAGE_SHIFT) | 1u << 31;
}

void check_told(struct svm_guest *guest, const struct place *place, const char *id)
{
	struct fault fault = svm_fault(guest);
	u32 told = guest->world.registers.bx;
	struct place *teller = place_at((u64)(told & ~(1u << 31)) << PAGE_SHIFT);
	char expected[64], got[128], where[64];
	bool exited = !fault_raised(fault) && guest->vmcb->control.exitcode == VMEXIT_VMMCALL;

	snprintf(expected, sizeof(expected), "VMEXIT_VMMCALL of the VMCB at %#llx",
		 place->physical);
	if (fault_raised(fault)) {
		snprintf(got, sizeof(got), "%pe at VMRUN", &fault);
	} else if (guest->vmcb->control.exitcode == NO_EXIT) {
		snprintf(got, sizeof(got), "no exit written there");
	} else if (!exited) {
		svm_exit_format(got, sizeof(got), guest->vmcb);
	} else if (told != tag_of(place) && teller) {
		place_format(where, sizeof(where), teller->physical, place);
		snprintf(got, sizeof(got), "that of the VMCB at %s", where);
	} else {
		snprintf(got, sizeof(got), "EBX %#x, no VMCB's", told);
	}
	report_text(__FILE__, __LINE__, exited && told == tag_of(place), expected, got, "%s", id);
}
