/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One image: the program is linked to run at 1 MiB and to be stored in a ROM
 * that ends at 4 GiB; ROM_SIZE is given by the Makefile. The ELF's load addresses are
 * those in the ROM, so that objcopy makes the ROM of it; a multiboot loader goes by the
 * header's addresses and takes the file's bytes from .multiboot on as they are.
 */
#undef i386
#ifdef __x86_64__
OUTPUT_FORMAT("elf64-x86-64")
OUTPUT_ARCH(i386:x86-64)
#else
OUTPUT_FORMAT("elf32-i386")
OUTPUT_ARCH(i386)
#endif
ENTRY(start32)

#define PROGRAM 0x100000
#define ROM_END 0x100000000

PHDRS {
	program PT_LOAD FLAGS(7);
	zero PT_LOAD FLAGS(6);
	args PT_LOAD FLAGS(4);
	rom PT_LOAD FLAGS(5);
}

rom_start = ROM_END - ROM_SIZE;
rom_program = rom_start + 2048;

SECTIONS {
	.image PROGRAM : AT(rom_program) {
		image_start = .;
		KEEP(*(.multiboot))
		text_start = .;
		*(.text .text.*)
		text_end = .;
		*(.rodata .rodata.*)
		. = ALIGN(16);
		extable_start = .;
		KEEP(*(.extable))
		extable_end = .;
		. = ALIGN(16);
		subtests_start = .;
		KEEP(*(.subtests))
		subtests_end = .;
		. = ALIGN(16);
		*(.data .data.*)
		. = ALIGN(16);
		image_load_end = .;
	} :program

	.bss (NOLOAD) : AT(0) {
		bss_start = .;
		*(.bss .bss.* COMMON)
		. = ALIGN(16);
		bss_end = .;
		*(.noinit)
		. = ALIGN(4096);
		image_end = .;
	} :zero

	.rom_args rom_start : AT(rom_start) {
		KEEP(*(.rom_args))
	} :args

	.rom (ROM_END - 0x1000) : AT(ROM_END - 0x1000) {
		KEEP(*(.rom))
	} :rom

	.trapline 0 (INFO) : { KEEP(*(.trapline)) }
	/DISCARD/ : { *(.note* .comment .eh_frame*) }
}

image_size_in_dwords = (image_load_end - image_start) / 4;
bss_size_in_dwords = (bss_end - bss_start) / 4;
ASSERT(image_load_end - image_start <= ROM_SIZE - 0x1800,
       "the program is larger than its ROM: raise ROM_SIZE")
