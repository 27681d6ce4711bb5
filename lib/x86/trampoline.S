/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an application processor begins: real mode, at the page that the STARTUP
 * IPI names. smp.c copies this code there. It reaches nothing but its own page.
 */
#include "enter_mode.h"

	.section .rodata
	.code16
	.globl	trampoline_start, trampoline_end
trampoline_start:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt_pointer - trampoline_start
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	and	$~(CR0_CD | CR0_NW), %eax
	mov	%eax, %cr0
	ljmpl	$KERNEL_CS32, $start_ap_segments
trampoline_gdt_pointer:
	.word	0x1f
	.long	boot_gdt
trampoline_end:

	.text
	.code32
start_ap_segments:
	mov	$KERNEL_DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	jmp	start_ap32

	.section .note.GNU-stack, "", @progbits
