/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trap entries: 256 stubs of equal size, and what they share. The frame that they
 * build is struct trap_frame.
 */
#include "selectors.h"

#define STUB_SIZE 16

/* 8, 10 to 14, 17, 21, 29, 30: the CPU pushes an error code. */
#define ERROR_CODE_VECTORS 0x60227d00

	.text
	.globl	trap_entries
	.balign	STUB_SIZE
trap_entries:
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE
	.if	vector >= 32 || !((ERROR_CODE_VECTORS >> (vector & 31)) & 1)
	push	$0
	.endif
#ifdef __x86_64__
	pushq	$vector
#else
	pushl	$vector
#endif
	jmp	trap_common
	.set	vector, vector + 1
	.endr

#ifdef __x86_64__

trap_common:
	cld
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	call	trap_handle
	mov	%rbx, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

#else

trap_common:
	cld
	push	%eax
	push	%ecx
	push	%edx
	push	%ebx
	push	%ebp
	push	%esi
	push	%edi
	push	%ds
	push	%es
	push	%fs
	push	%gs
	mov	$KERNEL_DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%esp, %eax
	mov	%esp, %ebx
	and	$-16, %esp
	sub	$12, %esp
	push	%eax
	call	trap_handle
	mov	%ebx, %esp
	pop	%gs
	pop	%fs
	pop	%es
	pop	%ds
	pop	%edi
	pop	%esi
	pop	%ebp
	pop	%ebx
	pop	%edx
	pop	%ecx
	pop	%eax
	add	$8, %esp
	iretl

/*
 * #DF arrives through a task gate: the interrupted registers are in the TSS
 * that the CPU left. df_task() does not return.
 */
	.globl	df_task_entry
df_task_entry:
	pop	%eax		/* the error code */
	and	$-16, %esp
	sub	$12, %esp
	push	%eax
	call	df_task
#endif

	.section .note.GNU-stack, "", @progbits
