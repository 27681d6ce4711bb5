/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From 32-bit protected mode without paging to the mode of the image: the
 * part of start-up that the boot processor and the others share. For assembly.
 */
#ifndef LIB_X86_ENTER_MODE_H
#define LIB_X86_ENTER_MODE_H

#include "control.h"
#include "selectors.h"

#if defined(__x86_64__) || defined(MODE_PAE)
#define START_CR4 CR4_PAE
#else
#define START_CR4 CR4_PSE
#endif

#define EFER_MSR 0xc0000080
#define EFER_LME_BIT 0x100

/* Needs the boot GDT loaded; changes eax, ecx, edx; goes on at target in the mode's segment. */
.macro enter_mode target
	mov	$START_CR4, %eax
	mov	%eax, %cr4
	mov	$boot_page_root, %eax
	mov	%eax, %cr3
#ifdef __x86_64__
	mov	$EFER_MSR, %ecx
	rdmsr
	or	$EFER_LME_BIT, %eax
	wrmsr
#endif
	mov	$(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
	mov	%eax, %cr0
	ljmpl	$KERNEL_CS, $\target
.endm

#endif
