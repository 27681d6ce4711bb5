// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLB shootdown: after a change to a paging structure every CPU that flushes
 * what it has cached sees the change with its next access, and the kernel may
 * reuse the page. A hypervisor flushes for its guest behind its back, by INVLPG and MOV to CR3
 * exits, by paravirtual calls and by "flush before the next entry" requests to
 * vCPUs: a request that is lost leaves a CPU with access to memory that is not its own.
 *
 * SDM volume 3A, "Invalidation of TLBs and Paging-Structure Caches" (what INVLPG,
 * MOV to CR3 and MOV to CR4 invalidate) and "Propagation of Paging-Structure Changes to
 * Multiple Processors" (the shootdown). Without a flush the old translation may be
 * used or not; how often it was is reported.
 */
#include "apic.h"
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "extable.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "senders.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define SHOOTDOWN_VECTOR 0x60
#define BUSY_US		 20000
#define READ_US		 5000

enum access { READ, WRITE, FETCH };

struct change {
	const char *name;
	pte_t before, after; /* flags; 0: not present */
	bool remap;	     /* to the other page */
	enum access access;
	u32 fault; /* FAULT_VALUE_EC(), or 0: the access reads the other page's value */
};

#define KERNEL_PAGE (PTE_PRESENT | PTE_WRITABLE)

static const struct change changes[] = {
	{ "remap", KERNEL_PAGE, KERNEL_PAGE, true, READ, 0 },
	{ "unmap", KERNEL_PAGE, 0, false, READ, FAULT_VALUE_EC(VECTOR_PF, 0) },
	{ "protect", KERNEL_PAGE, PTE_PRESENT, false, WRITE,
	  FAULT_VALUE_EC(VECTOR_PF, PF_PRESENT | PF_WRITE) },
#if PAGING_LEVELS > 2
	{ "no-execute", KERNEL_PAGE, KERNEL_PAGE | PTE_NX, false, FETCH,
	  FAULT_VALUE_EC(VECTOR_PF, PF_PRESENT | PF_FETCH) },
#endif
};

/* Two pages, each with its own value, whose first byte is a RET, and an address for one of them. */
static const u32 values[2] = { 0x111111c3, 0x222222c3 };
static u32 *pages[2];
static u32 *shared;

static void none(void)
{
}

static void invlpg(void)
{
	tlb_flush_page(shared);
}

struct method {
	void (*flush)(void);
	pte_t flags; /* of the mapping, besides a change's own */
	bool judged;
};

static const struct method *method;
static u32 acknowledged;

static bool on_shootdown(struct trap_frame *frame)
{
	(void)frame;
	method->flush();
	__sync_fetch_and_add(&acknowledged, 1);
	apic_eoi();
	return true;
}

/* As kernels do it; returns when all CPUs have flushed. */
static bool shoot_down(void)
{
	WRITE_ONCE(acknowledged, 0);
	apic_icr_write(0, APIC_SHORTHAND_OTHERS | APIC_DELIVERY_FIXED | APIC_ASSERT |
				  SHOOTDOWN_VECTOR);
	method->flush();
	return WAIT_UNTIL(READ_ONCE(acknowledged) == cpu_count() - 1, 1000000);
}

/* In one write, as other CPUs walk the tables: in PAE's two halves it could be seen torn. */
static void set_entry(unsigned int page, pte_t flags)
{
	pte_t *entry = page_entry((ulong)shared, LEVEL_4K);
	pte_t new = flags ? (pte_t)(ulong)pages[page] | flags : 0;

#if PAGING_LEVELS == 3
	pte_t old = *entry;

	while (!__sync_bool_compare_and_swap(entry, old, new))
		old = *entry;
#else
	WRITE_ONCE(*entry, new);
#endif
}

static struct fault access(enum access kind, u32 *value)
{
	struct fault fault;
	u32 read = 0;

	if (kind == READ) {
		asm volatile(TRY("movl (%[address]), %[value]")
			     : TRY_RESULT(fault), [value] "=&r"(read)
			     : [address] "r"(shared)
			     : "memory");
	} else if (kind == WRITE) {
		asm volatile(TRY("movl %[value], (%[address])")
			     : TRY_RESULT(fault)
			     : [value] "r"(values[0]), [address] "r"(shared)
			     : "memory");
	} else {
		/* A RET: to context_end. */
		struct context context = context_kernel(shared);

		fault = context_run(&context);
	}
	*value = read;
	return fault;
}
/* What each CPU's access came to. */
static struct outcome {
	struct fault fault;
	u32 value;
} outcomes[MAX_CPUS];
static enum access access_kind;

static void probe(void *argument)
{
	struct outcome *outcome = &outcomes[cpu_index()];

	(void)argument;
	outcome->fault = access(access_kind, &outcome->value);
}

static void set_pge(void *argument)
{
	ulong cr4 = read_cr4() & ~CR4_PGE;

	write_cr4(cr4 | (argument ? CR4_PGE : 0));
}

static void set_up(void)
{
	if (!shared) {
		for (unsigned int i = 0; i < 2; i++) {
			pages[i] = page_alloc();
			*pages[i] = values[i];
		}
		shared = virtual_range(PAGE_SIZE, PAGE_SIZE);
	}
	trap_set_handler(SHOOTDOWN_VECTOR, on_shootdown);
	if (cpu_has(FEATURE_PGE))
		on_all_cpus(set_pge, &shared);
	irq_enable();
}

static void tear_down(void)
{
	irq_disable();
	if (cpu_has(FEATURE_PGE))
		on_all_cpus(set_pge, NULL);
}

static bool seen(const struct change *change, const struct outcome *outcome)
{
	if (change->fault)
		return outcome->fault.value == change->fault;
	return !fault_raised(outcome->fault) && outcome->value == values[1];
}

static bool all_acknowledged;

static void change_and_shoot_down(void *argument)
{
	const struct change *change = argument;

	set_entry(change->remap, change->after ? change->after | method->flags : 0);
	all_acknowledged = shoot_down();
}

/* All CPUs use the mapping, one changes it and shoots it down, all use it again. */
static void run_change(const struct change *change, unsigned int from)
{
	unsigned int usable = 0, changed = 0;

	set_entry(0, change->before | method->flags);
	tlb_flush_all_cpus(shared);
	access_kind = change->access;
	on_all_cpus(probe, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++)
		usable += !fault_raised(outcomes[i].fault);

	smp_call(from, change_and_shoot_down, (void *)change);
	on_all_cpus(probe, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++)
		changed += seen(change, &outcomes[i]);
	if (!method->judged) {
		diagnostic("%s without a flush: seen by %u of %u CPUs", change->name, changed,
			   cpu_count());
		tlb_flush_all_cpus(shared);
		return;
	}
	check_equal(usable, cpu_count(), "%s.from-%u.cpus-that-use-it-before", change->name, from);
	check(all_acknowledged, "%s.from-%u.acknowledged", change->name, from);
	check_equal(changed, cpu_count(), "%s.from-%u.cpus-that-see-it", change->name, from);
}

static void test_shootdown(const void *argument)
{
	method = argument;
	if (method->flags & PTE_GLOBAL && !cpu_has(FEATURE_PGE)) {
		subtest_skip("the CPU has no global pages");
		return;
	}
	set_up();
	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
		if (changes[i].access == FETCH && !cpu_has(FEATURE_NX)) {
			check_skip("the CPU has no NX", "%s", changes[i].name);
			continue;
		}
		for (unsigned int from = 0; from < cpu_count(); from = next_sender(from))
			run_change(&changes[i], from);
	}
	tear_down();
}

SUBTEST_ARG("tlb-invlpg", test_shootdown, (&(const struct method){ invlpg, 0, true }));
SUBTEST_ARG("tlb-cr3", test_shootdown, (&(const struct method){ tlb_flush, 0, true }));
SUBTEST_ARG("tlb-global-invlpg", test_shootdown,
	    (&(const struct method){ invlpg, PTE_GLOBAL, true }));
SUBTEST_ARG("tlb-global-cr4", test_shootdown,
	    (&(const struct method){ tlb_flush_global, PTE_GLOBAL, true }));

/*
 * A CPU that never stops reading takes the shootdown in between. The generation is odd
 * while the boot processor changes the mapping; a read during one even generation returns its page.
 */
static u32 generation;
static u32 stale[MAX_CPUS], last_read[MAX_CPUS];

static void read_on(void)
{
	u32 wrong = 0, first, value;

	while ((first = READ_ONCE(generation)) != 0) {
		value = READ_ONCE(*shared);
		if (first % 2 == 0 && READ_ONCE(generation) == first) {
			wrong += value != values[first / 2 % 2];
			WRITE_ONCE(last_read[cpu_index()], first);
		}
	}
	stale[cpu_index()] = wrong;
}

static bool all_have_read(u32 this_generation)
{
	for (unsigned int i = 1; i < cpu_count(); i++)
		if (READ_ONCE(last_read[i]) != this_generation)
			return false;
	return true;
}

static void change_on(void)
{
	u64 deadline = tsc_deadline_us(BUSY_US);
	u32 next = 2, acknowledged_all = 0;

	do {
		WRITE_ONCE(generation, next + 1);
		next += 2;
		set_entry(next / 2 % 2, KERNEL_PAGE);
		acknowledged_all += shoot_down();
		WRITE_ONCE(generation, next);
		WAIT_UNTIL(all_have_read(next), READ_US);
	} while (!tsc_passed(deadline));
	WRITE_ONCE(generation, 0);
	stale[0] = next / 2 - 1 - acknowledged_all;
}

static void run_busy(void *argument)
{
	(void)argument;
	if (cpu_index() == 0)
		change_on();
	else
		read_on();
}

static void test_busy(void)
{
	static const struct method by_invlpg = { invlpg, 0, true };

	method = &by_invlpg;
	set_up();
	set_entry(1, KERNEL_PAGE);
	tlb_flush_all_cpus(shared);
	generation = 2;
	on_all_cpus(run_busy, NULL);
	check_equal(stale[0], 0, "unacknowledged");
	for (unsigned int i = 1; i < cpu_count(); i++)
		check_equal(stale[i], 0, "cpu-%u.stale-reads", i);
	tear_down();
}

SUBTEST("tlb-busy", test_busy);

/* Whether a CPU goes on using the old translation is its choice; that some do shows the need. */
static void test_no_flush(void)
{
	static const struct method nothing = { none, 0, false };
	unsigned int before = 0;

	method = &nothing;
	set_up();
	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++)
		if (changes[i].access != FETCH)
			run_change(&changes[i], 0);
	/* What is allowed ends at the flush: all CPUs see the last change now. */
	on_all_cpus(probe, NULL);
	for (unsigned int i = 0; i < cpu_count(); i++)
		before += !fault_raised(outcomes[i].fault);
	check_equal(before, 0, "cpus-that-write-after-the-flush");
	tear_down();
}

SUBTEST("tlb-no-flush", test_no_flush);
