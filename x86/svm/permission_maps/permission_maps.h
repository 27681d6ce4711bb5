/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of both permission maps share. */
#ifndef X86_SVM_PERMISSION_MAPS_H
#define X86_SVM_PERMISSION_MAPS_H

#include "printf.h"
#include "svm/test.h"

/* The guest, with empty maps, that is about to run code in a mode; always the same memory. */
struct svm_guest *maps_guest(enum l2_mode mode, const void *code);

/* 15.7.1: nRIP is saved for IOIO and MSR intercepts, by a CPU that does it at all. */
void check_next_rip(struct svm_guest *guest, u64 expected);

#endif
