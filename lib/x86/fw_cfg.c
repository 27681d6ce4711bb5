// SPDX-License-Identifier: BSD-2-Clause
#include "fw_cfg.h"
#include "io.h"
#include "string.h"

#define FW_CFG_DMA_HIGH	  0x514
#define FW_CFG_DMA_LOW	  0x518
#define FW_CFG_ID_DMA	  BIT(1)
#define FW_CFG_DMA_ERROR  BIT(0)
#define FW_CFG_DMA_READ	  BIT(1)
#define FW_CFG_DMA_SELECT BIT(3)

/* QEMU does the transfer before the write to the port returns: few looks are plenty. */
#define LOOKS		  1000000

void fw_cfg_port_read(u16 select, void *buffer, u32 size)
{
	u8 *bytes = buffer;

	outw(FW_CFG_SELECTOR, select);
	for (u32 i = 0; i < size; i++)
		bytes[i] = inb(FW_CFG_DATA);
}

bool fw_cfg_present(void)
{
	char signature[4];
	u8 id;

	fw_cfg_port_read(FW_CFG_SIGNATURE, signature, sizeof(signature));
	if (memcmp(signature, "QEMU", sizeof(signature)) != 0)
		return false;
	fw_cfg_port_read(FW_CFG_ID, &id, sizeof(id));
	return id & FW_CFG_ID_DMA;
}

bool fw_cfg_dma_read(struct fw_cfg_dma *dma, u32 dma_physical, u16 select, u32 buffer_physical,
		     u32 size)
{
	dma->control = __builtin_bswap32((u32)select << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ);
	dma->length = __builtin_bswap32(size);
	dma->address = __builtin_bswap64(buffer_physical);
	barrier();
	outl(FW_CFG_DMA_HIGH, 0);
	outl(FW_CFG_DMA_LOW, __builtin_bswap32(dma_physical));
	for (u32 i = 0; i < LOOKS; i++)
		if (!(READ_ONCE(dma->control) & ~__builtin_bswap32(FW_CFG_DMA_ERROR)))
			return !dma->control;
	return false;
}
