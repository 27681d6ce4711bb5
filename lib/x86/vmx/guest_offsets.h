/* SPDX-License-Identifier: BSD-2-Clause */
/* struct vmx_switch as assembly sees it; guest.c asserts that it is so. */
#ifndef LIB_X86_VMX_GUEST_OFFSETS_H
#define LIB_X86_VMX_GUEST_OFFSETS_H

#ifdef __x86_64__
#define WORLD_AX       0
#define WORLD_BX       8
#define WORLD_CX       16
#define WORLD_DX       24
#define WORLD_SI       32
#define WORLD_DI       40
#define WORLD_BP       48
#define WORLD_R8       56
#define WORLD_R9       64
#define WORLD_R10      72
#define WORLD_R11      80
#define WORLD_R12      88
#define WORLD_R13      96
#define WORLD_R14      104
#define WORLD_R15      112
#define WORLD_FLAGS    120
#define WORLD_FAULT    128
#define WORLD_LAUNCHED 132
#define WORLD_EXITED   136
#else
#define WORLD_AX       0
#define WORLD_BX       4
#define WORLD_CX       8
#define WORLD_DX       12
#define WORLD_SI       16
#define WORLD_DI       20
#define WORLD_BP       24
#define WORLD_FLAGS    28
#define WORLD_FAULT    32
#define WORLD_LAUNCHED 36
#define WORLD_EXITED   40
#endif

#endif
