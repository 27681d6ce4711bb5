/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this test share. */
#ifndef STATE_H
#define STATE_H

#include "vmx/test.h"

/*
 * A guest that calls a C function of this image, in which nothing exits: made once, and set anew
 * by each call, with its VMCS current.
 */
struct vmx_guest *calling_guest(void (*function)(void));

/* Runs up to the function's end: false, with the check failed, if that is not reached. */
bool run_call(struct vmx_guest *guest, const char *id);

/* The function's start once more, with what else is in the VMCS. */
void call_again(struct vmx_guest *guest);

#endif
