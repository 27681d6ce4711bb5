/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_VMX_BITMAPS_AND_AREAS_H
#define X86_VMX_BITMAPS_AND_AREAS_H

#include "control.h"
#include "vmx/test.h"

#ifdef __x86_64__
#define R(name) "%r" #name
#else
#define R(name) "%e" #name
#endif

/* A guest about to run code in a mode; always the same memory. */
struct vmx_guest *maps_guest(enum l2_mode mode, const void *code);

#endif
