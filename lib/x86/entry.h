/* SPDX-License-Identifier: BSD-2-Clause */
/* The C functions that assembly calls. */
#ifndef LIB_X86_ENTRY_H
#define LIB_X86_ENTRY_H

#include "types.h"

struct cpu;
struct trap_frame;

/* start.S; text is the argument block, or a boot loader's command line, or NULL. */
void start_main(const char *text);
void smp_ap_main(struct cpu *cpu);

/* trap_entry.S */
void trap_handle(struct trap_frame *frame);
void df_task(u32 error_code);

#endif
