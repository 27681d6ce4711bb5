/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this test share. */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include "vmx/test.h"

/* Adds CX to AX and ends; then more of the same. */
extern const u8 add_and_exit[];

/* Leaves VMX operation on this CPU and enters it again, for what becomes of its VMCSs. */
void vmx_off_and_on(void);

/* A guest that was made on another CPU, or before VMXOFF, is new on this one and runs: to VMCALL.
 */
bool runs_anew(struct vmx_guest *guest);

/* CPU 1 leaves VMX operation, whatever it has pending, starts anew and enters it again. */
void restart_target(void);

#endif
