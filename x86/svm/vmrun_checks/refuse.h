/* SPDX-License-Identifier: BSD-2-Clause */
/* One change to a VMCB, and whether VMRUN may take it. */
#ifndef X86_SVM_VMRUN_CHECKS_REFUSE_H
#define X86_SVM_VMRUN_CHECKS_REFUSE_H

#include "svm/field.h"
#include "svm/test.h"

/*
 * A guest of that mode, the same one for each call, as svm_guest() leaves it. Its code counts and
 * executes VMMCALL.
 */
struct svm_guest *counting_guest(enum l2_mode mode);

/* VMRUN must take the VMCB as it is: L2 runs once, up to its VMMCALL. */
void must_run(struct svm_guest *guest, const char *id, ...) __printf(2, 3);

/*
 * VMRUN must refuse the VMCB with that value in a field, and execute nothing of L2; with
 * the field as before it must run.
 */
void must_refuse(struct svm_guest *guest, struct field field, u64 value, const char *id, ...)
    __printf(4, 5);

/* After svm_run(): checks that VMRUN refused, and returns whether it did. */
bool is_refused(struct svm_guest *guest, const char *id, ...) __printf(2, 3);

/* What VMRUN makes of a value that the manual leaves open; the field is as before then. */
void may_refuse(struct svm_guest *guest, struct field field, u64 value, const char *what);

/* must_refuse() for each of some bits alone, "id.bit-N". */
void must_refuse_bits(struct svm_guest *guest, struct field field, u64 bits, const char *id);

#endif
