/* SPDX-License-Identifier: BSD-2-Clause */
/* VM exits in the manual's words: SDM volume 3C, "Basic VM-Exit Information". */
#ifndef LIB_X86_VMX_EXIT_H
#define LIB_X86_VMX_EXIT_H

#include "vmx/vmx.h"

/*
 * Writes the exit of the current VMCS: "EPT violation, write, gpa 0x1000, gla 0x2000",
 * "exception #PF(0x2) at 0x1000", "I/O, OUT 0x80 size 1", "WRMSR 0x277", "MOV to DR7", "CPUID";
 * returns the length as snprintf does.
 */
int vmx_exit_format(char *buffer, size_t size);

/* The name of an exit reason alone: "CPUID", "entry failure: INVALID_GUEST_STATE". */
int vmx_reason_format(char *buffer, size_t size, u32 reason);

#endif
