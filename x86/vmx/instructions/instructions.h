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

/* Each instruction as bytes; the operand is at (E)BX, the other one in ECX. */
struct encoding {
	const char *name;
	u8 length;
	const char *code;
};
#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes
extern const struct encoding encodings[];
extern const unsigned int encoding_count;

bool encoding_exists(const struct encoding *encoding); /* the CPU has what it is about */
bool encoding_is_vmxon(const struct encoding *encoding);

#define for_each_encoding(row)                                                                     \
	for (const struct encoding *row = encodings; row < encodings + encoding_count; row++)      \
		if (encoding_exists(row))

#endif
