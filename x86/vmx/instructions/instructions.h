/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of vmx/instructions share. */
#ifndef INSTRUCTIONS_H
#define INSTRUCTIONS_H

#include "vmx/test.h"

/* Two VMCSs, in no state in particular; no VMCS is current. */
struct pair {
	u64 a, b;
};
struct pair two_vmcss(void);

/* What VMPTRST stores; ~0 if no VMCS is current. */
u64 current_vmcs(void);
#define NO_VMCS (~0ull)

/* Bits that a VMXON or VMCS pointer may have. "Software Use of the VMCS", IA32_VMX_BASIC[48] */
unsigned int pointer_bits(void);

#endif
