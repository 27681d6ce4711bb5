// SPDX-License-Identifier: BSD-2-Clause
#include "cpuid.h"
#include "io.h"
#include "tsc.h"

/* The 8254's channel 2: its gate and output are bits 0 and 5 of port 0x61. */
#define PIT_CHANNEL2	 0x42
#define PIT_COMMAND	 0x43
#define PIT_HZ		 1193182
#define PIT_MODE0	 0xb0 /* channel 2, both bytes, terminal count */
#define PORT61		 0x61
#define PORT61_GATE2	 0x01
#define PORT61_SPEAKER	 0x02
#define PORT61_OUT2	 0x20

#define MEASURE_MS	 10
#define UNKNOWN_KHZ	 4000000 /* more than any: delays get longer, not shorter */

static u64 measure(void)
{
	const u16 count = PIT_HZ * MEASURE_MS / 1000;
	u64 start;

	outb(PORT61, (inb(PORT61) & ~PORT61_SPEAKER) | PORT61_GATE2);
	outb(PIT_COMMAND, PIT_MODE0);
	outb(PIT_CHANNEL2, count & 0xff);
	outb(PIT_CHANNEL2, count >> 8);
	if (inb(PORT61) & PORT61_OUT2) /* no PIT: the bus floats */
		return 0;
	start = rdtsc();
	while (!(inb(PORT61) & PORT61_OUT2))
		;
	return (rdtsc() - start) / MEASURE_MS;
}

/* VMware's leaf, which QEMU has too: EAX is the TSC's frequency in kHz. */
static u64 from_hypervisor(void)
{
	u32 max;

	if (!cpu_has(FEATURE_HYPERVISOR))
		return 0;
	max = cpuid(0x40000000).eax;
	return max >= 0x40000010 && max < 0x40000100 ? cpuid(0x40000010).eax : 0;
}

/* Only where there is no PIT: a simulator may report the crystal of the CPU that it models. */
static u64 from_crystal(void)
{
	struct cpuid c;

	if (cpuid(0).eax < 0x15)
		return 0;
	c = cpuid(0x15); /* crystal's Hz times EBX / EAX */
	return c.eax && c.ebx && c.ecx ? (u64)c.ecx * c.ebx / c.eax / 1000 : 0;
}

u64 tsc_khz(void)
{
	static u64 khz;

	if (!khz)
		khz = from_hypervisor();
	if (!khz)
		khz = measure();
	if (!khz)
		khz = from_crystal();
	if (!khz)
		khz = UNKNOWN_KHZ;
	return khz;
}

u64 tsc_deadline_us(u64 microseconds)
{
	return rdtsc() + tsc_khz() * microseconds / 1000;
}

void delay_us(u64 microseconds)
{
	u64 deadline = tsc_deadline_us(microseconds);

	while (!tsc_passed(deadline))
		asm volatile("pause" : : : "memory");
}
