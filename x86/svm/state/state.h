/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest of the image's own mode that runs a C function, again and again. */
#ifndef X86_SVM_STATE_STATE_H
#define X86_SVM_STATE_STATE_H

#include "svm/field.h"
#include "svm/test.h"

/*
 * The guest as svm_guest_call() makes it, always the same one, about to call a function that
 * ends with VMMCALL. The VMCB is as new; what the test has allocated for it stays.
 */
struct svm_guest *calling_guest(void (*function)(void));

/* To call the function again, with the VMCB otherwise as the last exit left it. */
void call_again(struct svm_guest *guest);

/* svm_run(), and whether it ended with the function's VMMCALL: a check "id.exit" only if not. */
bool called(struct svm_guest *guest, const char *id);

/* Functions of one type that read and write a register, for tables: get_cr0(), set_cr0(). */
#define DEFINE_GET(name, read)                                                                     \
	static u64 get_##name(void)                                                                \
	{                                                                                          \
		return read;                                                                       \
	}
#define DEFINE_SET(name, write)                                                                    \
	static void set_##name(u64 value)                                                          \
	{                                                                                          \
		write;                                                                             \
	}

#endif
