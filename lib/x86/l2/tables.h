/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables for a guest's guest, or for nested paging: of any format, whatever the mode of
 * this image. They lie in identity-mapped RAM below 4 GiB. No flushes here.
 */
#ifndef LIB_X86_L2_TABLES_H
#define LIB_X86_L2_TABLES_H

#include "types.h"

enum table_format {
	TABLES_2_LEVELS, /* 32-bit entries, PSE */
	TABLES_PAE,
	TABLES_4_LEVELS,
	TABLES_EPT,
	TABLES_FORMATS,
};

/* The format that this image itself uses; nested paging of SVM has the host's (15.25.3). */
#ifdef __x86_64__
#define TABLES_NATIVE TABLES_4_LEVELS
#elif defined(MODE_PAE)
#define TABLES_NATIVE TABLES_PAE
#else
#define TABLES_NATIVE TABLES_2_LEVELS
#endif

struct tables {
	enum table_format format;
	void *root; /* what CR3 holds */
};

/*
 * Makes tables that map linear addresses from 0 to 4 GiB to themselves, in pages of level 2,
 * present, writable and open to ring 3 (under EPT: all rights, write-back), accessed and dirty.
 */
struct tables tables_identity(enum table_format format);

/*
 * Clears the accessed flag in PAE's top level, which has none: TCG sets it, and a hypervisor under
 * which TCG is the processor refuses it, as it must, the next time. No-op for other formats.
 */
void tables_clear_pdpes(const struct tables *tables);

unsigned int tables_levels(enum table_format format);

/* Bytes that one entry at this level maps. */
u64 tables_page_size(enum table_format format, unsigned int level);

/* The rights of an entry that maps a page or holds a table, as tables_identity() has them. */
u64 tables_page_flags(enum table_format format);
u64 tables_table_flags(enum table_format format);

/*
 * The entry for an address at a level (1: 4 KiB): its address, of 4 or 8 bytes; its value; and
 * setting it. Tables above it are made, larger pages split with the same rights.
 */
void *tables_entry(const struct tables *tables, u64 address, unsigned int level);
u64 tables_get(const struct tables *tables, u64 address, unsigned int level);
void tables_set(const struct tables *tables, u64 address, unsigned int level, u64 entry);

/* Maps one page of that level with tables_page_flags(); bits of flags are changed by XOR. */
void tables_map(const struct tables *tables, u64 address, u64 physical, unsigned int level,
		u64 flags);

#endif
