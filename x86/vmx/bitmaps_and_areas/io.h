/* SPDX-License-Identifier: BSD-2-Clause */
/* "Exit Qualification for I/O Instructions" */
#ifndef X86_VMX_IO_H
#define X86_VMX_IO_H

#include "bitmaps_and_areas.h"

#define PORT 0x1237 /* no device is there; its neighbour's bit lies in another byte */

#define IO_SIZE(n)    ((n)-1)
#define IO_IN	      BIT(3)
#define IO_STRING     BIT(4)
#define IO_REP	      BIT(5)
#define IO_IMMEDIATE  BIT(6)
#define IO_PORT(port) ((u64)(port) << 16)

#endif
