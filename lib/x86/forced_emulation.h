/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's forced emulation: with the module parameter force_emulation_prefix on, an
 * instruction behind "UD2; 'kvm'" is executed by KVM's instruction emulator
 * instead of the CPU, at any privilege level. Elsewhere the prefix is #UD.
 */
#ifndef LIB_X86_FORCED_EMULATION_H
#define LIB_X86_FORCED_EMULATION_H

#include "extable.h"
#include "types.h"

/* As text in assembly and as bytes for generated code. */
#define FORCED_EMULATION(instruction) "ud2\n.ascii \"kvm\"\n" instruction
#define FORCED_EMULATION_BYTES	      "\x0f\x0bkvm"
#define FORCED_EMULATION_LENGTH	      5

/*
 * Does the machine have it? Tried once, on a NOP. An emulator that lacks an instruction
 * raises #UD.
 */
bool forced_emulation_available(void);

/* As fault_of(), by the emulator. */
#define fault_of_emulated(instruction) fault_of(FORCED_EMULATION(instruction))

#endif
