/* SPDX-License-Identifier: BSD-2-Clause */
/* The console: COM1, 8N1. */
#ifndef LIB_CONSOLE_H
#define LIB_CONSOLE_H

#include "types.h"

void console_init(void);

/* Writes all bytes; returns when they are in the UART's FIFO, not when they are sent. */
void console_write(const char *s, size_t size);

/* Waits until the UART has sent everything. */
void console_drain(void);

#endif
