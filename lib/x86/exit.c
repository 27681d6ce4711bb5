// SPDX-License-Identifier: BSD-2-Clause
#include "console.h"
#include "exit.h"
#include "io.h"

#define QEMU_DEBUG_EXIT_PORT 0xf4
#define BOCHS_SHUTDOWN_PORT  0x8900

void machine_exit(u8 value)
{
	static const char shutdown[] = "Shutdown";

	console_drain();
	outl(QEMU_DEBUG_EXIT_PORT, value);
	for (const char *c = shutdown; *c; c++)
		outb(BOCHS_SHUTDOWN_PORT, *c);
	for (;;)
		asm volatile("cli\n\thlt");
}
