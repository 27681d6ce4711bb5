// SPDX-License-Identifier: BSD-2-Clause
#include "l2/tables.h"
#include "page_alloc.h"
#include "paging.h"

#define EPT_RWX	       7u
#define EPT_WRITE_BACK (6u << 3)
#define ADDRESS	       0x000ffffffffff000ull
#define FLAGS	       (PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define GiB	       (1ull << 30)

static const struct {
	unsigned int levels, entry_size, index_bits;
	u64 page_flags, table_flags;
} formats[TABLES_FORMATS] = {
	[TABLES_2_LEVELS] = { 2, 4, 10, FLAGS, FLAGS & ~PTE_DIRTY },
	[TABLES_PAE] = { 3, 8, 9, FLAGS, FLAGS & ~PTE_DIRTY },
	[TABLES_4_LEVELS] = { 4, 8, 9, FLAGS, FLAGS & ~PTE_DIRTY },
	[TABLES_EPT] = { 4, 8, 9, EPT_RWX | EPT_WRITE_BACK, EPT_RWX },
};

unsigned int tables_levels(enum table_format format)
{
	return formats[format].levels;
}

static unsigned int shift_at(enum table_format format, unsigned int level)
{
	return PAGE_SHIFT + formats[format].index_bits * (level - 1);
}

u64 tables_page_size(enum table_format format, unsigned int level)
{
	return 1ull << shift_at(format, level);
}

u64 tables_page_flags(enum table_format format)
{
	return formats[format].page_flags;
}

/* The entries of PAE's top level have no rights: SDM volume 3A, 4.4.1. */
static u64 table_flags_at(enum table_format format, unsigned int level)
{
	return format == TABLES_PAE && level == 3 ? PTE_PRESENT : formats[format].table_flags;
}

u64 tables_table_flags(enum table_format format)
{
	return formats[format].table_flags;
}

static u64 read_entry(enum table_format format, const void *entry)
{
	return formats[format].entry_size == 8 ? READ_ONCE(*(const u64 *)entry) :
						 READ_ONCE(*(const u32 *)entry);
}

static void write_entry(enum table_format format, void *entry, u64 value)
{
	if (formats[format].entry_size == 8)
		WRITE_ONCE(*(u64 *)entry, value);
	else
		WRITE_ONCE(*(u32 *)entry, value);
}

static bool is_present(enum table_format format, u64 entry)
{
	return entry & (format == TABLES_EPT ? EPT_RWX : PTE_PRESENT);
}

/* Fills a new table with the pages that the larger page of entry was made of. */
static void split(enum table_format format, u8 *table, u64 entry, unsigned int level)
{
	u64 size = tables_page_size(format, level);

	if (level == LEVEL_4K)
		entry &= ~PTE_LARGE;
	for (unsigned int i = 0; i < 1u << formats[format].index_bits; i++)
		write_entry(format, table + i * formats[format].entry_size, entry + i * size);
}

void *tables_entry(const struct tables *tables, u64 address, unsigned int level)
{
	enum table_format format = tables->format;
	unsigned int mask = (1u << formats[format].index_bits) - 1;
	u8 *table = tables->root;

	for (unsigned int at = formats[format].levels;; at--) {
		u8 *entry = table + (address >> shift_at(format, at) & mask) *
					    formats[format].entry_size;
		u64 value = read_entry(format, entry);

		if (at == level)
			return entry;
		if (!is_present(format, value) || value & PTE_LARGE) {
			table = page_alloc();
			if (is_present(format, value))
				split(format, table, value, at - 1);
			write_entry(format, entry, (ulong)table | table_flags_at(format, at));
		} else {
			table = (u8 *)(ulong)(value & ADDRESS);
		}
	}
}

u64 tables_get(const struct tables *tables, u64 address, unsigned int level)
{
	return read_entry(tables->format, tables_entry(tables, address, level));
}

void tables_set(const struct tables *tables, u64 address, unsigned int level, u64 entry)
{
	write_entry(tables->format, tables_entry(tables, address, level), entry);
}

void tables_map(const struct tables *tables, u64 address, u64 physical, unsigned int level,
		u64 flags)
{
	u64 entry = physical | tables_page_flags(tables->format);

	if (level > LEVEL_4K)
		entry |= PTE_LARGE;
	tables_set(tables, address, level, entry ^ flags);
}

struct tables tables_identity(enum table_format format)
{
	struct tables tables = { .format = format, .root = page_alloc() };
	u64 size = tables_page_size(format, LEVEL_2M);

	for (u64 address = 0; address < 4 * GiB; address += size)
		tables_map(&tables, address, address, LEVEL_2M, 0);
	return tables;
}

void tables_clear_pdpes(const struct tables *tables)
{
	u64 *pdpes = tables->root;

	for (unsigned int i = 0; tables->format == TABLES_PAE && i < 4; i++)
		pdpes[i] &= ~(u64)PTE_ACCESSED;
}
