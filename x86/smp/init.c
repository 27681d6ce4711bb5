// SPDX-License-Identifier: BSD-2-Clause
/*
 * INIT and STARTUP: how a CPU is taken and started again. INIT cannot be masked,
 * leaves the CPU waiting for a STARTUP IPI with defined registers, and does not touch memory;
 * STARTUP with vector VV starts it in real mode at VV00:0000, and is ignored by a CPU
 * that does not wait for one. Hypervisors emulate both by hand, asynchronously, on
 * another vCPU's thread: kernels hang at CPU hotplug where they get it wrong.
 *
 * SDM volume 3A, "Issuing Interprocessor Interrupts", "MP Initialization Protocol
 * Algorithm", and the table "IA-32 and Intel 64 Processor States Following Power-up,
 * Reset, or INIT". An NMI while a CPU waits is not sent: the manual leaves open what becomes of it.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "paging.h"
#include "report.h"
#include "smp.h"
#include "string.h"
#include "trap.h"
#include "tsc.h"

#define START_US   1000000
#define SETTLE_US  1000
#define IPI_VECTOR 0x50 /* and the next one */

/* What a CPU finds in its registers at its first instruction: filled in by init_code.S. */
struct state {
	u32 eax, ebx, ecx, edx, esi, edi, ebp, esp;
	u32 cs, ds, es, ss, fs, gs;
	u32 eflags, cr0, cr2, cr3, cr4, dr6, dr7;
	u32 runs, ticks;
	u16 idt_limit;
	u32 idt_base;
} __packed;

extern const u8 init_code[], init_code_end[], init_state[];

/* Puts the code into the page that a STARTUP IPI with this vector starts at. */
static const volatile struct state *prepare(u8 vector)
{
	u8 *page = (u8 *)(vector * PAGE_SIZE);

	memcpy(page, init_code, init_code_end - init_code);
	return (const volatile struct state *)(page + (init_state - init_code));
}

static void send_startup(unsigned int cpu, u8 vector)
{
	apic_icr_write(cpus[cpu]->apic_id, APIC_DELIVERY_STARTUP | APIC_ASSERT | vector);
}

/*
 * The CPU has run on after what was sent to it: hypervisors may hand an IPI to another thread,
 * which sees it when it next runs.
 */
static void wait_for_ticks(const volatile struct state *state)
{
	u32 ticks = state->ticks;

	WAIT_UNTIL(state->ticks - ticks > 100, START_US);
}

static void check_state(const volatile struct state *state, u8 vector)
{
	static const struct {
		const char *name;
		u8 offset;
		u32 ignored, expected;
	} registers[] = {
#define REGISTER(name, ignored, expected) { #name, offsetof(struct state, name), ignored, expected }
		REGISTER(eax, 0, 0),
		REGISTER(ebx, 0, 0),
		REGISTER(ecx, 0, 0),
		REGISTER(esi, 0, 0),
		REGISTER(edi, 0, 0),
		REGISTER(ebp, 0, 0),
		REGISTER(esp, 0, 0),
		REGISTER(ds, 0, 0),
		REGISTER(es, 0, 0),
		REGISTER(ss, 0, 0),
		REGISTER(fs, 0, 0),
		REGISTER(gs, 0, 0),
		REGISTER(eflags, 0, EFLAGS_FIXED),
		REGISTER(cr0, CR0_CD | CR0_NW, CR0_ET), /* CD and NW are unchanged */
		REGISTER(cr2, 0, 0),
		REGISTER(cr3, 0, 0),
		REGISTER(cr4, 0, 0),
		REGISTER(dr6, 0, 0xffff0ff0),
		REGISTER(dr7, 0, 0x400),
		REGISTER(idt_base, 0, 0),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		u32 value;

		memcpy(&value, (const u8 *)state + registers[i].offset, sizeof(value));
		check_equal(value & ~registers[i].ignored, registers[i].expected, "%s",
			    registers[i].name);
	}
	check_equal(state->cs, (u32)vector << 8, "cs");
	check_equal(state->idt_limit, 0xffff, "idt_limit");
	/* "Processor signature", as CPUID has it. */
	check_equal(state->edx, cpuid(1).eax, "edx");
}

static bool have_others(void)
{
	if (cpu_count() > 1)
		return true;
	subtest_skip("needs a second CPU");
	return false;
}

static void test_startup(void)
{
	static const u8 vectors[] = { 0x10, 0x5a, 0x90 };

	if (!have_others())
		return;
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
			const volatile struct state *state = prepare(vectors[i]);

			prefix_push("cpu-%u.vector-%#x", cpu, vectors[i]);
			smp_stop(cpu);
			send_startup(cpu, vectors[i]);
			check(WAIT_UNTIL(state->runs, START_US), "starts");
			check_state(state, vectors[i]);
			/* It no longer waits for a STARTUP IPI. */
			send_startup(cpu, vectors[i]);
			wait_for_ticks(state);
			check_equal(state->runs, 1, "second-startup-ignored");
			prefix_pop();
		}
		smp_stop(cpu);
		smp_restart(cpu);
	}
}

SUBTEST("startup", test_startup);

static void set_true(void *argument)
{
	WRITE_ONCE(*(bool *)argument, true);
}

static void test_startup_ignored(void)
{
	const u8 vector = 0x10;
	const volatile struct state *state = prepare(vector);

	if (!have_others())
		return;
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		bool called = false;

		send_startup(cpu, vector);
		smp_call(cpu, set_true, &called);
		check(called, "cpu-%u.goes-on", cpu);
		check_equal(state->runs, 0, "cpu-%u.runs", cpu);
	}
}

SUBTEST("startup-without-init", test_startup_ignored);

static u32 interrupts[2];

static bool on_ipi(struct trap_frame *frame)
{
	__sync_fetch_and_add(&interrupts[frame->vector - IPI_VECTOR], 1);
	apic_eoi();
	return true;
}

static void spin_with_interrupts_off(void *argument)
{
	irq_disable();
	set_true(argument);
	for (;;)
		cpu_relax();
}

/*
 * INIT stops a CPU that takes no interrupts, and resets its APIC: what was pending is gone,
 * and being software-disabled it takes no other interrupts either. SDM volume 3A, "Local APIC State
 * After It Receives an INIT Reset", "Local APIC State After It Has Been Software Disabled".
 */
static void test_init(void)
{
	if (!have_others())
		return;
	trap_set_handler(IPI_VECTOR, on_ipi);
	trap_set_handler(IPI_VECTOR + 1, on_ipi);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		u32 id = cpus[cpu]->apic_id;
		bool spins = false, called = false;

		interrupts[0] = interrupts[1] = 0;
		smp_call_async(cpu, spin_with_interrupts_off, &spins);
		check(WAIT_UNTIL(READ_ONCE(spins), START_US), "cpu-%u.spins", cpu);
		ipi_send(cpu, IPI_VECTOR);
		delay_us(SETTLE_US);
		smp_stop(cpu);
		ipi_send(cpu, IPI_VECTOR + 1);
		delay_us(SETTLE_US);
		smp_restart(cpu);
		smp_call(cpu, set_true, &called);
		check(called, "cpu-%u.restarted", cpu);
		check_equal(cpus[cpu]->apic_id, id, "cpu-%u.apic-id", cpu);
		delay_us(SETTLE_US);
		check_equal(READ_ONCE(interrupts[0]), 0, "cpu-%u.pending-at-init", cpu);
		check_equal(READ_ONCE(interrupts[1]), 0, "cpu-%u.sent-while-stopped", cpu);
		ipi_send(cpu, IPI_VECTOR);
		check(WAIT_UNTIL(READ_ONCE(interrupts[0]), START_US), "cpu-%u.takes-interrupts",
		      cpu);
	}
}

SUBTEST("init", test_init);
