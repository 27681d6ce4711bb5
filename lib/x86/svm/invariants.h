/* SPDX-License-Identifier: BSD-2-Clause */
/* What svm_run() holds each exit against; see svm_check_invariants(). */
#ifndef LIB_X86_SVM_INVARIANTS_H
#define LIB_X86_SVM_INVARIANTS_H

#include "svm/guest.h"

/* What #VMEXIT loads from the host save area. 15.5.1, 15.6 */
struct svm_host {
	ulong cr0, cr3, cr4;
	u64 efer;
	u16 es, cs, ss, ds;
	struct descriptor_pointer gdtr, idtr;
};

struct svm_before {
	struct svm_host host;
	struct vmcb vmcb;
};

void svm_invariants_before(struct svm_guest *guest, struct svm_before *before);

/* Comes with GIF 0, leaves it 1 unless the guest's options say otherwise. */
void svm_invariants_after(struct svm_guest *guest, const struct svm_before *before);

#endif
