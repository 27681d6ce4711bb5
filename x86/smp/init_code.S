/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What init.c lets a CPU run after INIT and STARTUP: real mode, from offset 0 of a page
 * whose segment is in CS. It saves the registers as it finds them into struct
 * state of init.c, at its own end, and counts from then on. It touches nothing outside of
 * its page but the top of the stack, which INIT has put at 0:0.
 */
	.section .rodata
	.code16
	.globl	init_code, init_code_end, init_state

	.set	offset, 0
/* Appends a register to the state. */
.macro save register
	movl	\register, %cs:(init_state - init_code + offset)
	.set	offset, offset + 4
.endm
.macro save_selector register
	movl	$0, %eax		/* flags are still those of INIT */
	movw	\register, %ax
	save	%eax
.endm
.macro save_control register
	movl	\register, %eax
	save	%eax
.endm

init_code:
	save	%eax
	save	%ebx
	save	%ecx
	save	%edx
	save	%esi
	save	%edi
	save	%ebp
	save	%esp
	save_selector %cs
	save_selector %ds
	save_selector %es
	save_selector %ss
	save_selector %fs
	save_selector %gs
	pushfl
	popl	%eax
	save	%eax
	save_control %cr0
	save_control %cr2
	save_control %cr3
	save_control %cr4
	save_control %dr6
	save_control %dr7
	sidtl	%cs:(init_state - init_code + offset + 8)
	incl	%cs:(init_state - init_code + offset)
1:	incl	%cs:(init_state - init_code + offset + 4)
	jmp	1b
	.balign	4
init_state:
	.skip	4096 - (init_state - init_code)
init_code_end:

	.section .note.GNU-stack, "", @progbits
