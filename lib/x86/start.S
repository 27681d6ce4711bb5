/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start-up, from 32-bit protected mode without paging on. Whoever loaded the
 * program jumps to start32: rom.S with the argument block in EBX and 0 in EAX, or a multiboot
 * loader (EAX: its magic number, EBX: its information).
 */
#include "cpu_offsets.h"
#include "enter_mode.h"

#define MULTIBOOT_HEADER_MAGIC	0x1badb002
#define MULTIBOOT_LOADER_MAGIC	0x2badb002
#define MULTIBOOT_ADDRESSES	0x10000	/* the header says where to load what */
#define MULTIBOOT_INFO_CMDLINE	4	/* bit 2 of the information's flags */
#define MULTIBOOT_CMDLINE	16	/* offset in the information */

	.section .multiboot, "a"
	.balign	4
multiboot_header:
	.long	MULTIBOOT_HEADER_MAGIC
	.long	MULTIBOOT_ADDRESSES
	.long	-(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_ADDRESSES)
	.long	multiboot_header, image_start, image_load_end, image_end, start32

	.text
	.code32
	.globl	start32
start32:
	cli
	cld
	lgdtl	boot_gdt_pointer
	ljmpl	$KERNEL_CS32, $1f
1:	mov	$KERNEL_DS, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	%ecx, %ss
	mov	$boot_stack_top, %esp

	cmp	$MULTIBOOT_LOADER_MAGIC, %eax
	jne	2f
	testl	$MULTIBOOT_INFO_CMDLINE, (%ebx)
	mov	MULTIBOOT_CMDLINE(%ebx), %ebx
	jnz	2f
	xor	%ebx, %ebx
2:
	mov	$bss_start, %edi
	mov	$bss_size_in_dwords, %ecx
	xor	%eax, %eax
	rep stosl
#if defined(__x86_64__) || defined(MODE_PAE)
	call	find_c_bit
#endif
	call	build_page_tables
	enter_mode start_native

#if defined(__x86_64__) || defined(MODE_PAE)
/*
 * In an SEV guest everything was private up to here; with paging on, data is private
 * only where its entry has the C-bit. Its upper half is kept; 0 is for all other machines.
 * APM volume 2, 15.34. Keeps EBX.
 */
find_c_bit:
	mov	%ebx, %ebp
	mov	$1, %eax
	cpuid
	bt	$31, %ecx		/* a hypervisor: some models claim SEV without the MSR */
	jnc	1f
	mov	$0x80000000, %eax
	cpuid
	cmp	$0x8000001f, %eax
	jb	1f
	mov	$0x8000001f, %eax
	cpuid
	test	$2, %eax			/* SEV */
	jz	1f
	mov	%ebx, %esi
	mov	$0xc0010131, %ecx		/* SEV_STATUS: exists with SEV */
	rdmsr
	test	$1, %eax
	jz	1f
	lea	-32(%esi), %ecx
	mov	$1, %eax
	shl	%cl, %eax
	mov	%eax, paging_c_bit_high
1:	mov	%ebp, %ebx
	ret
#endif

/*
 * Identity mapping of 4 GiB: present, writable, user, large pages. The tables
 * lie one after another: boot_page_tables, then (pae, x86_64) the tables above.
 * RAM is private under SEV; devices, which lie from 3 GiB on, never are.
 */
#define LARGE_PAGE 0x87
build_page_tables:
	mov	$boot_page_tables, %edi
	mov	$LARGE_PAGE, %eax
#if defined(__x86_64__) || defined(MODE_PAE)
	mov	$2048, %ecx
	mov	paging_c_bit_high, %edx
1:	mov	%eax, (%edi)
	mov	%edx, 4(%edi)
	add	$8, %edi
	add	$0x200000, %eax
	cmp	$0xc0000000, %eax
	jb	2f
	xor	%edx, %edx
2:	loop	1b
	mov	$boot_page_directories, %edi
#ifdef __x86_64__
	mov	$(boot_page_tables + 7), %eax
#else
	mov	$(boot_page_tables + 1), %eax
#endif
	mov	$4, %ecx
3:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	loop	3b
#ifdef __x86_64__
	movl	$(boot_page_directories + 7), boot_page_root
#endif
#else
	mov	$1024, %ecx
1:	stosl
	add	$0x400000, %eax
	loop	1b
#endif
	ret

/* An application processor, from trampoline.S, in 32-bit mode with flat segments. */
	.globl	start_ap32
start_ap32:
	enter_mode start_ap_native

#ifdef __x86_64__
	.code64
#define AX %rax
#define BX %rbx
#define SP %rsp
#define POINTER_SIZE 8

.macro call_with_bx function
	mov	%rbx, %rdi
	call	\function
.endm
#else
#define AX %eax
#define BX %ebx
#define SP %esp
#define POINTER_SIZE 4

.macro call_with_bx function
	sub	$12, %esp
	push	%ebx
	call	\function
.endm
#endif

start_native:
	mov	%ebx, %ebx		/* the upper half is anything */
	mov	$boot_stack_top, SP
	xor	%ebp, %ebp
	call_with_bx start_main

start_ap_native:
	mov	$1, %eax
	lock xadd %eax, smp_next_cpu
	cmp	smp_wanted, %eax
	jae	3f
	mov	cpus(, AX, POINTER_SIZE), BX
	mov	CPU_STACK_TOP(BX), SP
	mov	smp_cr3, AX
	mov	AX, %cr3
	mov	smp_cr4, AX
	mov	AX, %cr4
	xor	%ebp, %ebp
	call_with_bx smp_ap_main
	/* More CPUs than the runner said: smp_start() notices the count. */
3:	cli
	hlt
	jmp	3b

	.data
	.balign	8
	.globl	boot_gdt
boot_gdt:
	.quad	0
#ifdef __x86_64__
	.quad	0x00af9b000000ffff	/* KERNEL_CS: 64-bit */
#else
	.quad	0x00cf9b000000ffff
#endif
	.quad	0x00cf93000000ffff	/* KERNEL_DS */
	.quad	0x00cf9b000000ffff	/* KERNEL_CS32 */
boot_gdt_pointer:
	.word	. - boot_gdt - 1
	.long	boot_gdt

#if defined(__x86_64__) || defined(MODE_PAE)
	.globl	paging_c_bit_high
paging_c_bit_high:
	.long	0
#endif

/* Zeroed at start: tables of which only some entries are written. */
	.bss
	.balign	4096
#ifdef __x86_64__
	.globl	boot_page_root
boot_page_root:
	.skip	4096
boot_page_directories:
	.skip	4096
#endif
#ifdef MODE_PAE
	.globl	boot_page_root
boot_page_root:
boot_page_directories:
	.skip	4096
#endif

/* Not zeroed: written before it is read. */
	.section .noinit, "aw", @nobits
	.balign	4096
#if defined(__x86_64__) || defined(MODE_PAE)
boot_page_tables:
	.skip	4 * 4096
#else
	.globl	boot_page_root
boot_page_root:
boot_page_tables:
	.skip	4096
#endif
	.globl	boot_stack_guard, boot_stack_top
boot_stack_guard:
	.skip	4096
	.skip	16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
