/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct context's way into the CPU, and back.
 *
 *	void context_enter(struct context *context, ulong *saved_sp, ulong *sp0);
 *	void context_return(ulong saved_sp);	returns from context_enter()
 */
#include "context_offsets.h"
#include "control.h"

	.text
	.globl	context_enter, context_return, context_end
	.globl	context_load_start, context_load_end

#ifdef __x86_64__

context_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, (%rsi)
	mov	%rsp, %rax
	and	$-16, %rax
	mov	%rax, (%rdx)
context_load_start:
	mov	CONTEXT_DS(%rdi), %eax
	mov	%eax, %ds
	mov	CONTEXT_ES(%rdi), %eax
	mov	%eax, %es
	mov	CONTEXT_FS(%rdi), %eax
	mov	%eax, %fs
	mov	CONTEXT_GS(%rdi), %eax
	mov	%eax, %gs
	push	CONTEXT_SS(%rdi)
	push	CONTEXT_SP(%rdi)
	push	CONTEXT_FLAGS(%rdi)
	push	CONTEXT_CS(%rdi)
	push	CONTEXT_IP(%rdi)
	mov	CONTEXT_AX(%rdi), %rax
	mov	CONTEXT_BX(%rdi), %rbx
	mov	CONTEXT_CX(%rdi), %rcx
	mov	CONTEXT_DX(%rdi), %rdx
	mov	CONTEXT_SI(%rdi), %rsi
	mov	CONTEXT_BP(%rdi), %rbp
	mov	CONTEXT_R8(%rdi), %r8
	mov	CONTEXT_R9(%rdi), %r9
	mov	CONTEXT_R10(%rdi), %r10
	mov	CONTEXT_R11(%rdi), %r11
	mov	CONTEXT_R12(%rdi), %r12
	mov	CONTEXT_R13(%rdi), %r13
	mov	CONTEXT_R14(%rdi), %r14
	mov	CONTEXT_R15(%rdi), %r15
	mov	CONTEXT_DI(%rdi), %rdi
	iretq
context_load_end:

context_return:
	mov	%rdi, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

#else

context_enter:
	mov	4(%esp), %eax
	mov	8(%esp), %ecx
	mov	12(%esp), %edx
	push	%ebx
	push	%ebp
	push	%esi
	push	%edi
	mov	%esp, (%ecx)
	mov	%esp, (%edx)
context_load_start:
	testb	$3, CONTEXT_CS(%eax)
	jz	1f
	testl	$EFLAGS_VM, CONTEXT_FLAGS(%eax)
	jz	3f
	push	CONTEXT_GS(%eax)
	push	CONTEXT_FS(%eax)
	push	CONTEXT_DS(%eax)
	push	CONTEXT_ES(%eax)
3:	push	CONTEXT_SS(%eax)
	push	CONTEXT_SP(%eax)
	jmp	2f
1:	mov	CONTEXT_SS(%eax), %ecx
	mov	CONTEXT_SP(%eax), %edx
	mov	%ecx, %ss
	mov	%edx, %esp
2:	push	CONTEXT_FLAGS(%eax)
	push	CONTEXT_CS(%eax)
	push	CONTEXT_IP(%eax)
	push	CONTEXT_AX(%eax)
	push	CONTEXT_DS(%eax)
	push	CONTEXT_ES(%eax)
	push	CONTEXT_FS(%eax)
	push	CONTEXT_GS(%eax)
	mov	CONTEXT_BX(%eax), %ebx
	mov	CONTEXT_CX(%eax), %ecx
	mov	CONTEXT_DX(%eax), %edx
	mov	CONTEXT_SI(%eax), %esi
	mov	CONTEXT_DI(%eax), %edi
	mov	CONTEXT_BP(%eax), %ebp
	pop	%gs
	pop	%fs
	pop	%es
	pop	%ds
	pop	%eax
	iretl
context_load_end:

context_return:
	mov	4(%esp), %esp
	pop	%edi
	pop	%esi
	pop	%ebp
	pop	%ebx
	ret

#endif

context_end:
	ud2

	.section .note.GNU-stack, "", @progbits
