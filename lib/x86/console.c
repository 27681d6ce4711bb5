// SPDX-License-Identifier: BSD-2-Clause
#include "console.h"
#include "io.h"

/* The 16550A UART at COM1. */
#define COM1	  0x3f8
#define UART_THR  (COM1 + 0)
#define UART_IER  (COM1 + 1)
#define UART_FCR  (COM1 + 2)
#define UART_LCR  (COM1 + 3)
#define UART_LSR  (COM1 + 5)
#define FCR_FIFO  0x07 /* on, and both cleared */
#define LCR_8N1	  0x03
#define LSR_THRE  0x20 /* the transmit FIFO is empty */
#define LSR_TEMT  0x40 /* and the shift register too */
#define FIFO_SIZE 16

void console_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, FCR_FIFO);
}

static void wait_for(u8 bit)
{
	while (!(inb(UART_LSR) & bit))
		;
}

/* One status poll for each FIFO's worth: on a virtual machine every access is an exit. */
void console_write(const char *s, size_t size)
{
	while (size) {
		size_t n = MIN(size, (size_t)FIFO_SIZE);

		wait_for(LSR_THRE);
		size -= n;
		while (n--)
			outb(UART_THR, *s++);
	}
}

void console_drain(void)
{
	wait_for(LSR_TEMT);
}
