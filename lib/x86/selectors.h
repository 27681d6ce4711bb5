/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of each CPU's GDT. The order of the code and data segments is
 * what SYSCALL, SYSRET, SYSENTER and SYSEXIT expect (STAR 0x08 and 0x1b).
 */
#ifndef LIB_X86_SELECTORS_H
#define LIB_X86_SELECTORS_H

#define KERNEL_CS	0x08 /* of the mode: 64-bit, else 32-bit */
#define KERNEL_DS	0x10
#define KERNEL_CS32	0x18 /* compatibility mode under x86_64 */
#define USER_CS32	0x23
#define USER_DS		0x2b
#define USER_CS		0x33 /* of the mode */
#define TSS_SELECTOR	0x38 /* two entries in 64-bit mode */
#define DF_TSS_SELECTOR 0x48 /* 32-bit modes: the task that runs on #DF */
#define LDT_SELECTOR	0x50 /* two entries in 64-bit mode */

/* From here on entries are the tests' own: gdt_set(TEST_SELECTOR(n), ...). */
#define TEST_SELECTORS	 24
#define TEST_SELECTOR(n) (0x60 + 8 * (n))
#define GDT_ENTRIES	 (0x60 / 8 + TEST_SELECTORS)

#endif
