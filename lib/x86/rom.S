/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ends of the ROM: the argument block, with which it begins; and its last page, the way from
 * the reset vector to 32-bit protected mode, and the copy of the program from ROM to RAM.
 */
#include "control.h"
#include "selectors.h"

#define ROM_SEGMENT_OFFSET 0xf000 /* of the ROM's last page, in CS after reset */

	.section .rom_args, "a"
	.globl	rom_args
rom_args:
	.asciz	"trapline"
	.org	2048, 0

	.section .rom, "ax"
rom_page:
	.code16
rom_start16:
	cli
	cld
	lgdtl	%cs:(ROM_SEGMENT_OFFSET + rom_gdt_pointer - rom_page)
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	and	$~(CR0_CD | CR0_NW), %eax
	mov	%eax, %cr0
	ljmpl	$KERNEL_CS32, $rom_start32

	.code32
rom_start32:
	mov	$KERNEL_DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$rom_program, %esi
	mov	$image_start, %edi
	mov	$image_size_in_dwords, %ecx
	rep movsl
	mov	$rom_args, %ebx
	xor	%eax, %eax
	mov	$start32, %ecx
	jmp	*%ecx

/* The accessed bits are set: the CPU cannot write them here. */
	.balign	8
rom_gdt:
	.quad	0
	.quad	0
	.quad	0x00cf93000000ffff	/* KERNEL_DS */
	.quad	0x00cf9b000000ffff	/* KERNEL_CS32 */
rom_gdt_pointer:
	.word	. - rom_gdt - 1
	.long	rom_gdt

	.org	0xff0
	.code16
	jmp	rom_start16
	.org	0x1000, 0

	.section .note.GNU-stack, "", @progbits
