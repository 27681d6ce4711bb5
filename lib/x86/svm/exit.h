/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits in the manual's words: APM volume 2, appendix C, and the sections on each exit. */
#ifndef LIB_X86_SVM_EXIT_H
#define LIB_X86_SVM_EXIT_H

#include "svm/vmcb.h"

/*
 * Writes the exit of a VMCB: "VMEXIT_IOIO OUT 0x80 size 1", "VMEXIT_EXCP #PF(0x2) at 0x1000",
 * "VMEXIT_NPF write at 0x3000 (0x100000006)", "VMEXIT_CPUID"; returns the length as snprintf does.
 */
int svm_exit_format(char *buffer, size_t size, const struct vmcb *vmcb);

/* The name alone of an exit code: "VMEXIT_CR3_WRITE", "VMEXIT_EXCP #GP". */
int svm_exitcode_format(char *buffer, size_t size, u64 exitcode);

#endif
