/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From host to guest and back. APM volume 2, 15.5.1 "Basic Operation": VMRUN and #VMEXIT
 * move what the VMCB and the host save area hold; VMLOAD and VMSAVE move FS, GS, TR, LDTR and
 * the MSRs of system calls; the other registers are moved here.
 *
 *	void svm_world_switch(struct svm_switch *world);
 *
 * GIF is 0 on return. A fault of VMRUN is world->fault, and nothing else has changed then.
 */
#include "extable.h"
#include "svm/guest_offsets.h"

	.text
	.globl	svm_world_switch

#ifdef __x86_64__
#define AX	%rax
#define DI	%rdi
#define REGISTERS(op)							\
	op(%rbx, WORLD_BX);						\
	op(%rcx, WORLD_CX);						\
	op(%rdx, WORLD_DX);						\
	op(%rsi, WORLD_SI);						\
	op(%rbp, WORLD_BP);						\
	op(%r8, WORLD_R8);						\
	op(%r9, WORLD_R9);						\
	op(%r10, WORLD_R10);						\
	op(%r11, WORLD_R11);						\
	op(%r12, WORLD_R12);						\
	op(%r13, WORLD_R13);						\
	op(%r14, WORLD_R14);						\
	op(%r15, WORLD_R15)
#define WORD	8
#else
#define AX	%eax
#define DI	%edi
#define REGISTERS(op)							\
	op(%ebx, WORLD_BX);						\
	op(%ecx, WORLD_CX);						\
	op(%edx, WORLD_DX);						\
	op(%esi, WORLD_SI);						\
	op(%ebp, WORLD_BP)
#define WORD	4
#endif
#define LOAD(register, offset)	mov	offset(DI), register
#define STORE(register, offset)	mov	register, offset(DI)

svm_world_switch:
#ifdef __x86_64__
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
#else
	push	%ebx
	push	%ebp
	push	%esi
	push	%edi
	mov	5*WORD(%esp), %edi
#endif
	push	DI
	clgi
	movl	$0, WORLD_FAULT(DI)
	cmpl	$0, WORLD_MOVES(DI)
	je	1f
	mov	WORLD_HOST_PA(DI), AX
	vmsave
	mov	WORLD_VMCB_PA(DI), AX
	vmload
1:	mov	WORLD_VMCB_PA(DI), AX
	pushf
	pop	WORLD_FLAGS_BEFORE(DI)
	REGISTERS(LOAD)
	mov	WORLD_DI(DI), DI

	/* A fault ends at 772 with its value in EAX, and without the two pushes. */
771:	vmrun
	pushf
	push	AX
	xor	%eax, %eax
772:	.pushsection .extable, "a"
	EXTABLE_POINTER 771b, 772b
	.popsection
	test	%eax, %eax
	jnz	3f

#ifdef __x86_64__
	xchg	%rdi, 2*WORD(%rsp)
#else
	xchg	%edi, 2*WORD(%esp)
#endif
	REGISTERS(STORE)
	pop	WORLD_AX_AFTER(DI)
	pop	WORLD_FLAGS_AFTER(DI)
	pop	WORLD_DI(DI)
	cmpl	$0, WORLD_MOVES(DI)
	je	4f
	mov	WORLD_VMCB_PA(DI), AX
	vmsave
2:	mov	WORLD_HOST_PA(DI), AX
	vmload
	jmp	4f

3:	pop	DI
	mov	%eax, WORLD_FAULT(DI)
	cmpl	$0, WORLD_MOVES(DI)
	jne	2b

4:
#ifdef __x86_64__
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
#else
	pop	%edi
	pop	%esi
	pop	%ebp
	pop	%ebx
#endif
	ret

	.section .note.GNU-stack, "", @progbits
