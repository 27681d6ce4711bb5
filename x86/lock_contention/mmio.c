// SPDX-License-Identifier: BSD-2-Clause
/*
 * Locked instructions on emulated MMIO: there each reaches the hypervisor's emulator. Which of
 * them it can do, and whether as one access, is its own decision (KVM does CMPXCHG as a plain
 * write there): reported, not judged. Judged is what must hold either way: alone, the register
 * holds the result afterwards, or what it held if the instruction was refused; contended, its
 * value is one that some of the additions give, and its other bits stay.
 */
#include "apic.h"
#include "control.h"
#include "msr.h"
#include "paging.h"
#include "primitives.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define MMIO_BOUND_US 1000000

/* The APIC timer's initial count: 32 bits that read as they were written. */
static void test_mmio(void)
{
	volatile u32 *count;

	if (apic_is_x2apic()) {
		subtest_skip("the APIC is in x2APIC mode: it has no MMIO");
		return;
	}
	apic_enable(); /* which masks the timer */
	primitives_start(tsc_deadline_us(MMIO_BOUND_US));
	count = physical_map((rdmsr(MSR_IA32_APIC_BASE) & ~0xfffull) + APIC_TIMER_INITIAL, 4,
			     PAGE_DEFAULT | PTE_PCD);
	for (unsigned int i = 0; i < primitive_count; i++) {
		const struct primitive *p = &primitives[i];
		struct fault fault;

		if (p->size > 4)
			continue; /* wider than any register of the APIC */
		checking("%s", p->name);
		*count = 0x20;
		fault = p->add(count);
		diagnostic("lock %s on the APIC's timer count: %pe, 0x20 became %#x", p->name,
			   &fault, *count);
		if (!fault_raised(fault))
			check_equal(*count, 0x21, "%s", p->name);
		else
			check_equal(*count, 0x20, "%s.refused-without-effect", p->name);
	}
	*count = 0;
}

SUBTEST("primitives.mmio", test_mmio);

/*
 * The I/O APIC's window is one register for all CPUs. Behind it: the low half of the last
 * redirection entry, masked. Its vector is 8 bits wide.
 */
#define IOAPIC		0xfec00000ul
#define IOAPIC_WINDOW	0x10
#define IOAPIC_VERSION	1
#define IOAPIC_ENTRY(n) (0x10 + 2 * (n))
#define IOAPIC_MASKED	BIT(16)
#define IOAPIC_VECTOR	0xffu
#define ADDITIONS	128 /* by all CPUs: the vector does not overflow */

static struct {
	const struct primitive *primitive;
	volatile u32 *window;
	u32 additions, waiting;
	struct fault fault[MAX_CPUS];
} job;

static void add_to_window(void *argument)
{
	struct fault fault = NO_FAULT;

	(void)argument;
	__atomic_fetch_sub(&job.waiting, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(job.waiting))
		cpu_relax();
	for (u32 i = 0; i < job.additions && !fault_raised(fault); i++)
		fault = job.primitive->add(job.window);
	job.fault[cpu_index()] = fault;
}

static void contend_for_window(const struct primitive *p)
{
	u32 total, value, vector;

	job.primitive = p;
	job.additions = ADDITIONS / cpu_count();
	job.waiting = cpu_count();
	total = job.additions * cpu_count();
	*job.window = IOAPIC_MASKED;
	checking("%s", p->name);
	on_all_cpus(add_to_window, NULL);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		if (fault_raised(job.fault[cpu])) {
			diagnostic("lock %s on the I/O APIC: %pe", p->name, &job.fault[cpu]);
			check_skip("refused", "%s.vector", p->name);
			check_skip("refused", "%s.other-bits", p->name);
			return;
		}
	value = *job.window;
	vector = value & IOAPIC_VECTOR;
	diagnostic("lock %s on the I/O APIC: %u of %u additions lost", p->name, total - vector,
		   total);
	check(vector >= 1 && vector <= total, "%s.vector", p->name);
	check_equal(value & ~IOAPIC_VECTOR, IOAPIC_MASKED, "%s.other-bits", p->name);
}

static void test_mmio_contended(void)
{
	/* BTS and XCHG keep a mark of their own in bits that this register does not have. */
	static const char *const names[] = { "add", "inc", "xadd", "cmpxchg" };
	volatile u32 *select = physical_map(IOAPIC, PAGE_SIZE, PAGE_DEFAULT | PTE_PCD);
	u32 version;

	if (cpu_count() < 2) {
		subtest_skip("one CPU: nobody to contend with");
		return;
	}
	job.window = select + IOAPIC_WINDOW / sizeof(*select);
	*select = IOAPIC_VERSION;
	version = *job.window;
	if (!version || version == ~0u) {
		subtest_skip("no I/O APIC");
		return;
	}
	*select = IOAPIC_ENTRY(version >> 16 & 0xff);
	for (unsigned int i = 0; i < primitive_count; i++)
		for (unsigned int n = 0; n < ARRAY_SIZE(names); n++)
			if (!strcmp(primitives[i].name, names[n]))
				contend_for_window(&primitives[i]);
	*job.window = IOAPIC_MASKED;
}

SUBTEST("primitives.mmio-contended", test_mmio_contended);
