/* SPDX-License-Identifier: BSD-2-Clause */
/* Offsets into struct cpu for assembly; main.c asserts that they are right. */
#ifndef LIB_X86_CPU_OFFSETS_H
#define LIB_X86_CPU_OFFSETS_H

#include "selectors.h"

#define CPU_STACK_TOP (GDT_ENTRIES * 8)

#endif
