// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where RAM is. There is no BIOS to ask: QEMU tells in its fw_cfg file "etc/e820",
 * Bochs (and QEMU's pc) in CMOS; elsewhere the runner's argument has to do.
 */
#include "args.h"
#include "fw_cfg.h"
#include "io.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

#define MAX_REGIONS	     16
#define MiB		     (1ull << 20)
#define GiB		     (1ull << 30)

#define CMOS_INDEX	     0x70
#define CMOS_DATA	     0x71
#define CMOS_STATUS_D	     0x0d
#define CMOS_RAM_ABOVE_16M   0x34 /* 16 bits, in 64 KiB */
#define CMOS_RAM_ABOVE_4G    0x5b /* 24 bits, in 64 KiB */

struct e820_entry {
	u64 address, length;
	u32 type; /* 1 is RAM */
} __packed;

static struct ram_region regions[MAX_REGIONS];
static unsigned int region_count;

static void add_region(phys_addr start, phys_addr end)
{
	unsigned int at = region_count;

	if (end <= start || region_count == MAX_REGIONS)
		return;
	for (; at && regions[at - 1].start > start; at--)
		regions[at] = regions[at - 1];
	regions[at] = (struct ram_region){ start, end };
	region_count++;
}

/* Under SEV the device sees no private memory. */
static bool fw_cfg_read(u16 select, void *buffer, u32 size)
{
	static struct fw_cfg_dma dma __aligned(16);

	if (!paging_c_bit())
		return fw_cfg_dma_read(&dma, (ulong)&dma, select, (ulong)buffer, size);
	fw_cfg_port_read(select, buffer, size);
	return true;
}

static void regions_from_fw_cfg(void)
{
	static struct {
		u32 count;
		struct fw_cfg_file files[64];
	} __packed directory;
	static struct e820_entry entries[MAX_REGIONS];

	if (!fw_cfg_present() || !fw_cfg_read(FW_CFG_FILE_DIR, &directory, sizeof(directory)))
		return;
	for (unsigned int i = 0; i < MIN(__builtin_bswap32(directory.count), 64u); i++) {
		const struct fw_cfg_file *file = &directory.files[i];
		u32 size = MIN(__builtin_bswap32(file->size), (u32)sizeof(entries));

		if (strncmp(file->name, "etc/e820", sizeof(file->name)) != 0)
			continue;
		if (!fw_cfg_read(__builtin_bswap16(file->select), entries, size))
			return;
		for (unsigned int n = 0; n < size / sizeof(entries[0]); n++)
			if (entries[n].type == 1)
				add_region(entries[n].address,
					   entries[n].address + entries[n].length);
	}
}

static u32 cmos_read(u8 index, unsigned int bytes)
{
	u32 value = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		outb(CMOS_INDEX, index + i);
		value |= (u32)inb(CMOS_DATA) << 8 * i;
	}
	return value;
}

static void regions_from_cmos(void)
{
	u64 below, above;

	/* Bit 7 of status D says that the CMOS RAM is valid; the rest of it reads as 0. */
	if (cmos_read(CMOS_STATUS_D, 1) != 0x80)
		return;
	below = (u64)cmos_read(CMOS_RAM_ABOVE_16M, 2) << 16;
	above = (u64)cmos_read(CMOS_RAM_ABOVE_4G, 3) << 16;
	if (!below)
		return;
	add_region(0, 16 * MiB + below);
	add_region(4 * GiB, 4 * GiB + above);
}

const struct ram_region *ram_regions(unsigned int *count)
{
	if (!region_count)
		regions_from_fw_cfg();
	if (!region_count)
		regions_from_cmos();
	if (!region_count)
		add_region(0, args.mem);
	*count = region_count;
	return regions;
}

u64 ram_size(void)
{
	unsigned int count;
	const struct ram_region *region = ram_regions(&count);
	u64 size = 0;

	for (; count; count--, region++)
		size += region->end - region->start;
	return size;
}
