// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where RAM is. There is no BIOS to ask: QEMU tells in its fw_cfg file "etc/e820",
 * Bochs (and QEMU's pc) in CMOS; elsewhere the runner's argument has to do.
 */
#include "args.h"
#include "io.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

#define MAX_REGIONS	     16
#define MiB		     (1ull << 20)
#define GiB		     (1ull << 30)

/* QEMU's docs/specs/fw_cfg.txt */
#define FW_CFG_SELECTOR	     0x510
#define FW_CFG_DATA	     0x511
#define FW_CFG_DMA_HIGH	     0x514
#define FW_CFG_DMA_LOW	     0x518
#define FW_CFG_SIGNATURE     0x0000
#define FW_CFG_ID	     0x0001
#define FW_CFG_FILE_DIR	     0x0019
#define FW_CFG_ID_DMA	     BIT(1)
#define FW_CFG_DMA_ERROR     BIT(0)
#define FW_CFG_DMA_READ	     BIT(1)
#define FW_CFG_DMA_SELECT    BIT(3)

#define CMOS_INDEX	     0x70
#define CMOS_DATA	     0x71
#define CMOS_STATUS_D	     0x0d
#define CMOS_RAM_ABOVE_16M   0x34 /* 16 bits, in 64 KiB */
#define CMOS_RAM_ABOVE_4G    0x5b /* 24 bits, in 64 KiB */

struct fw_cfg_dma {
	u32 control, length;
	u64 address;
} __packed;

struct fw_cfg_file {
	u32 size;
	u16 select, reserved;
	char name[56];
} __packed;

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

/* By DMA: byte-wise port reads are an exit each. */
static bool fw_cfg_read(u16 select, void *buffer, u32 size)
{
	static struct fw_cfg_dma dma __aligned(16);

	dma.control = __builtin_bswap32((u32)select << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ);
	dma.length = __builtin_bswap32(size);
	dma.address = __builtin_bswap64((ulong)buffer);
	barrier();
	outl(FW_CFG_DMA_HIGH, 0);
	outl(FW_CFG_DMA_LOW, __builtin_bswap32((ulong)&dma));
	while (READ_ONCE(dma.control) & ~__builtin_bswap32(FW_CFG_DMA_ERROR))
		;
	return !dma.control;
}

static bool fw_cfg_present(void)
{
	static const char signature[] = "QEMU";

	outw(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
	for (unsigned int i = 0; i < 4; i++)
		if (inb(FW_CFG_DATA) != signature[i])
			return false;
	outw(FW_CFG_SELECTOR, FW_CFG_ID);
	return inb(FW_CFG_DATA) & FW_CFG_ID_DMA;
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
				add_region(entries[n].address, entries[n].address + entries[n].length);
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
