/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's firmware configuration device. QEMU, docs/specs/fw_cfg. */
#ifndef LIB_X86_FW_CFG_H
#define LIB_X86_FW_CFG_H

#include "types.h"

#define FW_CFG_SELECTOR	 0x510
#define FW_CFG_DATA	 0x511
#define FW_CFG_SIGNATURE 0x0000 /* 4 bytes: "QEMU" */
#define FW_CFG_ID	 0x0001
#define FW_CFG_FILE_DIR	 0x0019

/* What the device reads by DMA; big-endian. */
struct fw_cfg_dma {
	u32 control, length;
	u64 address;
};

struct fw_cfg_file {
	u32 size;
	u16 select, reserved;
	char name[56];
} __packed;

/* True if the device is there and can do DMA. */
bool fw_cfg_present(void);

/*
 * Reads the first size bytes of an item, by DMA: byte-wise port reads are an exit each. Both the
 * descriptor and the buffer are given as physical addresses below 4 GiB; dma is where
 * the descriptor is mapped. False if the device refuses, or does not answer (as when it cannot see
 * encrypted memory).
 */
bool fw_cfg_dma_read(struct fw_cfg_dma *dma, u32 dma_physical, u16 select, u32 buffer_physical,
		     u32 size);

/* The same by port, one byte at a time; needs no memory that the device can see. */
void fw_cfg_port_read(u16 select, void *buffer, u32 size);

#endif
