/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From host to guest and back: what VM entries and exits leave to software, which is the general
 * registers but RSP. SDM volume 3C, "VM Entries", "VM Exits".
 *
 *	void vmx_world_switch(struct vmx_switch *world);
 *	vmx_exit_entry				what HOST_RIP is
 *
 * VMLAUNCH, or VMRESUME if world->launched. world->exited tells whether there was an exit; else
 * world->fault is the instruction's fault, or 0 and world->flags tell how it failed.
 */
#include "extable.h"
#include "vmx/guest_offsets.h"

#define VMCS_HOST_RSP 0x6c14

	.text
	.globl	vmx_world_switch, vmx_exit_entry

#ifdef __x86_64__
#define AX	%rax
#define DX	%rdx
#define DI	%rdi
#define SP	%rsp
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
	op(%r15, WORLD_R15);						\
	op(%rax, WORLD_AX)
#else
#define AX	%eax
#define DX	%edx
#define DI	%edi
#define SP	%esp
#define REGISTERS(op)							\
	op(%ebx, WORLD_BX);						\
	op(%ecx, WORLD_CX);						\
	op(%edx, WORLD_DX);						\
	op(%esi, WORLD_SI);						\
	op(%ebp, WORLD_BP);						\
	op(%eax, WORLD_AX)
#endif
#define LOAD(register, offset)	mov	offset(DI), register
#define STORE(register, offset)	mov	register, offset(DI)

/* An instruction that enters the guest; one that does not fails, or faults with EAX the fault. */
#define ENTER(instruction)						\
771:	instruction;							\
	pushf;								\
	xor	%eax, %eax;						\
772:	.pushsection .extable, "a";					\
	EXTABLE_POINTER 771b, 772b;					\
	.popsection

vmx_world_switch:
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
	mov	20(%esp), %edi
#endif
	push	DI
	mov	$VMCS_HOST_RSP, DX
	vmwrite	SP, DX
	movl	$0, WORLD_EXITED(DI)
	movl	$0, WORLD_FAULT(DI)
	cmpl	$0, WORLD_LAUNCHED(DI)
	REGISTERS(LOAD)
	mov	WORLD_DI(DI), DI
	jne	1f
	ENTER(vmlaunch)
	jmp	2f
1:	ENTER(vmresume)
2:	test	%eax, %eax
	jnz	3f
	pop	DX		/* the flags */
	pop	DI
	mov	DX, WORLD_FLAGS(DI)
	jmp	4f
3:	pop	DI
	mov	%eax, WORLD_FAULT(DI)
	jmp	4f

vmx_exit_entry:
#ifdef __x86_64__
	xchg	%rdi, (%rsp)
#else
	xchg	%edi, (%esp)
#endif
	REGISTERS(STORE)
	pushf
	pop	WORLD_FLAGS(DI)
	pop	WORLD_DI(DI)
	movl	$1, WORLD_EXITED(DI)

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
