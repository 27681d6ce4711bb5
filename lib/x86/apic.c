// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "io.h"
#include "msr.h"
#include "trap.h"

bool apic_is_x2apic(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC;
}

static void *xapic_register(unsigned int offset)
{
	return (void *)((ulong)(rdmsr(MSR_IA32_APIC_BASE) & ~0xffful) + offset);
}

u32 apic_read(unsigned int offset)
{
	if (apic_is_x2apic())
		return rdmsr(MSR_X2APIC_BASE + offset / 16);
	return mmio_read32(xapic_register(offset));
}

void apic_write(unsigned int offset, u32 value)
{
	if (apic_is_x2apic())
		wrmsr(MSR_X2APIC_BASE + offset / 16, value);
	else
		mmio_write32(xapic_register(offset), value);
}

void apic_icr_write(u32 dest, u32 command)
{
	ulong flags = read_flags();

	if (apic_is_x2apic()) {
		/* WRMSR to the ICR does not wait for earlier stores (SDM volume 3A, x2APIC). */
		asm volatile("mfence" : : : "memory");
		wrmsr(MSR_X2APIC_BASE + APIC_ICR / 16, (u64)dest << 32 | command);
		return;
	}
	/* Nobody may send between the two halves. */
	irq_disable();
	while (apic_read(APIC_ICR) & APIC_PENDING)
		cpu_relax();
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, command);
	write_flags(flags);
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return apic_is_x2apic() ? id : id >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static bool ignore(struct trap_frame *frame)
{
	(void)frame;
	return true;
}

void apic_enable(void)
{
	trap_set_handler(APIC_SPURIOUS_VECTOR, ignore); /* which needs no EOI */
	apic_write(APIC_SPIV, APIC_SPIV_ENABLE | APIC_SPURIOUS_VECTOR);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
	apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
}

void apic_enable_x2apic(void)
{
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	apic_enable();
}

bool apic_vector_bit(unsigned int offset, unsigned int vector)
{
	return apic_read(offset + vector / 32 * 16) >> vector % 32 & 1;
}

void apic_timer_oneshot(u8 vector, u32 count)
{
	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, APIC_TIMER_ONESHOT | vector | (count ? 0 : APIC_LVT_MASKED));
	apic_write(APIC_TIMER_INITIAL, count);
}
