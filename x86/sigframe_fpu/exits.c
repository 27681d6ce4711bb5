// SPDX-License-Identifier: BSD-2-Clause
/*
 * FPU state across VM exits. A hypervisor lends the registers out: to other vCPUs, to its
 * own code, to the host's. Every CPU holds a pattern of its own in every register of every
 * component, forces one kind of exit thousands of times, and looks at all registers after
 * each; the others do the same with their patterns. SDM volume 3C, "VM Exits", and APM
 * volume 2, "#VMEXIT" say that neither loads nor saves this state: it is the hypervisor's to
 * keep. On a machine without exits this is a test of the CPU's own bookkeeping.
 */
#include "apic.h"
#include "control.h"
#include "extable.h"
#include "io.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "sigframe.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define WAKE_VECTOR	 0x53
#define TIMER_VECTOR	 0x54
#define HYPERCALL_TICKS	 100000000 /* of the bus clock */
#define ROUNDS		 2000
#define LIMIT_US	 500000 /* of each kind: a software KVM is slow */
#define PORT_POST	 0x80
#define PORT_61		 0x61
#define IOAPIC		 0xfec00000ul
#define KVM_HC_VAPIC_POLL_IRQ 1

static void exit_cpuid(u32 round)
{
	cpuid_count(round & 1 ? 0xd : 0x1, round & 2);
}

static void exit_port(u32 round)
{
	if (round & 1)
		inb(PORT_61);
	else
		outb(PORT_POST, round);
}

static void exit_mmio(u32 round)
{
	(void)round;
	mmio_read32((void *)IOAPIC);
}

static void exit_apic(u32 round)
{
	if (round & 1)
		apic_read(APIC_VERSION);
	else
		apic_write(APIC_TPR, 0);
}

static void exit_msr(u32 round)
{
	if (round & 1)
		rdmsr(MSR_IA32_APIC_BASE);
	else
		wrmsr(MSR_IA32_PAT, rdmsr(MSR_IA32_PAT));
}

/* The wake-up is pending before HLT: an IPI to itself; each 64th time the timer's. */
static void exit_hlt(u32 round)
{
	irq_disable();
	if (round % 64)
		apic_icr_write(0, APIC_SHORTHAND_SELF | APIC_ASSERT | WAKE_VECTOR);
	else
		apic_timer_oneshot(WAKE_VECTOR, 10000);
	irq_enable_and_halt();
}

/* VMCALL and VMMCALL: KVM takes both, elsewhere one of them or both are #UD. */
static void exit_hypercall(u32 round)
{
	struct fault fault;

	if (round & 1)
		asm volatile(TRY_WITH_EAX("vmcall")
			     : "=a"(fault.value)
			     : "0"(KVM_HC_VAPIC_POLL_IRQ)
			     : "memory");
	else
		asm volatile(TRY_WITH_EAX("vmmcall")
			     : "=a"(fault.value)
			     : "0"(KVM_HC_VAPIC_POLL_IRQ)
			     : "memory");
}

/*
 * A software KVM was seen to start a hypercall over and over. A timer interrupt ends the
 * first one that does not: true if both came back by themselves.
 */
static bool hypercall_stuck;

static bool on_hypercall_timer(struct trap_frame *frame)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };
	const void *code = (const void *)frame->ip;

	if (!memcmp(code, vmcall, sizeof(vmcall)) || !memcmp(code, vmmcall, sizeof(vmmcall))) {
		hypercall_stuck = true;
		frame->ip += sizeof(vmcall);
	}
	apic_eoi();
	return true;
}

static bool hypercalls_return(void)
{
	hypercall_stuck = false;
	trap_set_handler(TIMER_VECTOR, on_hypercall_timer);
	for (u32 round = 0; round < 2; round++) {
		apic_timer_oneshot(TIMER_VECTOR, HYPERCALL_TICKS);
		exit_hypercall(round);
		apic_timer_oneshot(TIMER_VECTOR, 0);
	}
	return !hypercall_stuck;
}

/* A page that is not there, one that has just been mapped, and a #UD in between. */
static ulong fault_page[MAX_CPUS];

static void exit_page_fault(u32 round)
{
	ulong page = fault_page[cpu_index()];
	struct fault fault;

	page_protect(page, PAGE_SIZE, round & 1 ? PTE_PRESENT : 0, round & 1 ? 0 : PTE_PRESENT);
	asm volatile(TRY("movb $1, (%[page])") : TRY_RESULT(fault) : [page] "r"(page) : "memory");
}

static void exit_cr3(u32 round)
{
	if (round & 1)
		write_cr3(read_cr3());
	else
		tlb_flush_page((void *)fault_page[cpu_index()]);
}

/* Lazy switching of FPU state turned on CR0.TS. */
static void exit_ts(u32 round)
{
	write_cr0(read_cr0() | CR0_TS);
	if (round & 1)
		fpu_execute(FXSAVE, state_buffer(3), 0); /* #NM */
	asm volatile("clts");
}

static void exit_xsetbv(u32 round)
{
	(void)round;
	xsetbv(0, xstate_user());
}

static void exit_wbinvd(u32 round)
{
	(void)round;
	asm volatile("wbinvd" : : : "memory");
}

static void exit_pause(u32 round)
{
	(void)round;
	cpu_relax();
}

static const struct kind {
	const char *name;
	void (*force)(u32 round);
	bool needs_xsave;
} kinds[] = {
	{ "cpuid", exit_cpuid, false },		  { "port", exit_port, false },
	{ "mmio", exit_mmio, false },		  { "apic", exit_apic, false },
	{ "msr", exit_msr, false },		  { "hlt", exit_hlt, false },
	{ "hypercall", exit_hypercall, false },	  { "page-fault", exit_page_fault, false },
	{ "cr3-invlpg", exit_cr3, false },	  { "cr0-ts", exit_ts, false },
	{ "xsetbv", exit_xsetbv, true },	  { "wbinvd", exit_wbinvd, false },
	{ "pause", exit_pause, false },
};

static struct {
	const struct kind *kind;
	bool wide;
	u32 seed;
} job;

/* What a CPU saw. */
static struct witness {
	u32 rounds, different;
	struct fpu_difference difference;
	struct fault fault;
} witnesses[MAX_CPUS];

/*
 * The same bytes? XSTATE_BV may differ, and then the long way tells. One instruction, since
 * this is most of a round's time.
 */
static bool same(const struct xsave_area *a, const struct xsave_area *b, u32 size)
{
	ulong count = size / 4;
	bool equal;

	asm volatile("repe cmpsl\n"
		     "sete %[equal]"
		     : [equal] "=q"(equal), "+S"(a), "+D"(b), "+c"(count)
		     :
		     : "memory", "cc");
	return equal;
}

/* On every CPU at once. */
static void run_job(void *unused)
{
	unsigned int cpu = cpu_index();
	struct witness *witness = &witnesses[cpu];
	struct xsave_area *pattern = state_buffer(0), *first = state_buffer(1);
	struct xsave_area *now = state_buffer(2);
	u64 components = job.wide ? fpu_state_components() : components_of(FXSAVE);
	u32 size = job.wide ? xstate_size(components, fpu_state_compacted()) : XSAVE_LEGACY_SIZE;
	u64 deadline;

	(void)unused;
	*witness = (struct witness){ .rounds = 0 };
	fpu_state_fill(pattern, components, job.wide && fpu_state_compacted(),
		       job.seed + cpu * 0x1000);
	memset(first, 0, XSAVE_MAX_SIZE);
	memset(now, 0, XSAVE_MAX_SIZE);
	witness->fault = state_load(pattern, job.wide);
	state_save(first, job.wide);
	if (!fpu_state_equal(first, pattern, components, &witness->difference))
		witness->different++;
	deadline = tsc_deadline_us(LIMIT_US);
	do {
		job.kind->force(witness->rounds);
		state_save(now, job.wide);
		witness->rounds++;
		if (!same(first, now, size) &&
		    !fpu_state_equal(now, pattern, components, &witness->difference))
			witness->different++;
	} while (witness->rounds < ROUNDS && !witness->different && !tsc_passed(deadline));
}

static void enable(void *unused)
{
	(void)unused;
	fpu_enable();
	apic_enable();
	for (unsigned int i = 0; i < STATE_BUFFERS; i++)
		state_buffer(i);
}

/* One after the other: the allocator is not for two at once. */
static void prepare(void)
{
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		smp_call(cpu, enable, NULL);
		if (!fault_page[cpu])
			fault_page[cpu] = (ulong)physical_map((ulong)page_alloc(), PAGE_SIZE,
							      PAGE_DEFAULT);
	}
}

static bool on_wake(struct trap_frame *frame)
{
	(void)frame;
	apic_eoi();
	return true;
}

static void check_kind(const struct kind *kind)
{
	u32 least = ROUNDS;

	job.kind = kind;
	checking("%s", kind->name);
	on_all_cpus(run_job, NULL);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		const struct witness *witness = &witnesses[cpu];
		char text[2][48];

		prefix_push("%s.cpu-%u", kind->name, cpu);
		describe_difference(&witness->difference, text);
		check_fault(witness->fault, NO_FAULT, "load");
		report_text(__FILE__, __LINE__, !witness->different, text[0], text[1], "registers");
		prefix_pop();
		least = MIN(least, witness->rounds);
	}
	if (least < ROUNDS)
		diagnostic("%s: a CPU had time for %u rounds only", kind->name, least);
}

static void run_kinds(bool wide)
{
	trap_set_handler(WAKE_VECTOR, on_wake);
	prepare();
	irq_enable(); /* the others are called with interrupts on */
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].needs_xsave && !wide)
			continue;
		if (kinds[i].force == exit_hypercall &&
		    !check(hypercalls_return(), "hypercall.returns"))
			continue;
		job.wide = wide;
		job.seed = i * 0x10000 + wide;
		check_kind(&kinds[i]);
	}
	irq_disable();
	fpu_init();
}

/* x87 and SSE, by FXSAVE: all that some emulators can. */
static void test_fxsr(void)
{
	if (fpu_ready())
		run_kinds(false);
}

SUBTEST("exits-fxsr", test_fxsr);

static void test_all(void)
{
	if (fpu_ready() && needs(XSAVE))
		run_kinds(true);
}

SUBTEST("exits-xsave", test_all);
