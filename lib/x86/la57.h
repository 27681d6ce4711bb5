/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 5-level paging: SDM volume 3A, "Paging-Mode Enabling". CR4.LA57 cannot be changed
 * in IA-32e mode, so the switch leads through protected mode without paging.
 */
#ifndef LIB_X86_LA57_H
#define LIB_X86_LA57_H

#include "types.h"

/* False in the 32-bit modes and where the CPU has no LA57. */
bool la57_supported(void);

/*
 * Switches all CPUs to 5-level paging, or back to 4 levels. The 4-level tables hang
 * below entry 0 of the fifth level. Called on the boot processor, with CR4.PCIDE clear.
 */
void la57_switch(bool on);

#endif
