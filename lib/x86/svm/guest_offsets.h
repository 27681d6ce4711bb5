/* SPDX-License-Identifier: BSD-2-Clause */
/* struct svm_switch as assembly sees it; guest.c asserts that it is so. */
#ifndef LIB_X86_SVM_GUEST_OFFSETS_H
#define LIB_X86_SVM_GUEST_OFFSETS_H

#ifdef __x86_64__
#define WORLD_BX	   0
#define WORLD_CX	   8
#define WORLD_DX	   16
#define WORLD_SI	   24
#define WORLD_DI	   32
#define WORLD_BP	   40
#define WORLD_R8	   48
#define WORLD_R9	   56
#define WORLD_R10	   64
#define WORLD_R11	   72
#define WORLD_R12	   80
#define WORLD_R13	   88
#define WORLD_R14	   96
#define WORLD_R15	   104
#define WORLD_VMCB_PA	   112
#define WORLD_HOST_PA	   120
#define WORLD_FLAGS_BEFORE 128
#define WORLD_FLAGS_AFTER  136
#define WORLD_AX_AFTER	   144
#define WORLD_FAULT	   152
#define WORLD_MOVES	   156
#else
#define WORLD_BX	   0
#define WORLD_CX	   4
#define WORLD_DX	   8
#define WORLD_SI	   12
#define WORLD_DI	   16
#define WORLD_BP	   20
#define WORLD_VMCB_PA	   24
#define WORLD_HOST_PA	   28
#define WORLD_FLAGS_BEFORE 32
#define WORLD_FLAGS_AFTER  36
#define WORLD_AX_AFTER	   40
#define WORLD_FAULT	   44
#define WORLD_MOVES	   48
#endif

#endif
