// SPDX-License-Identifier: BSD-2-Clause
/*
 * The VMX-preemption timer counts down by 1 where the TSC's bit X changes, X in IA32_VMX_MISC[4:0];
 * at 0 L2 exits, out of HLT too, and before its first instruction if it begins with 0. SDM volume
 * 3C, "VMX-Preemption Timer", "Other Causes of VM Exits", "VMX-Preemption Timer" among the special
 * features of VM entry. How late it is, the manual leaves open.
 */
#include "apic_and_timers.h"
#include "msr.h"
#include "smp.h"
#include "tsc.h"

#define MISC_ACTIVITY_SHUTDOWN	    BIT_ULL(7)
#define MISC_ACTIVITY_WAIT_FOR_SIPI BIT_ULL(8)

L2_CODE(spins, "1: jmp 1b");
L2_CODE(hlts, "hlt\n vmcall");
/* Some units of the timer between exits. */
L2_CODE(exits, "1: mov $4000, %ecx\n2: dec %ecx\n jnz 2b\n cpuid\n jmp 1b");

static const u32 timer_controls[] = { VMX_PIN_PREEMPTION_TIMER, 0 };
static const u32 saving_controls[] = { VMX_PIN_PREEMPTION_TIMER, VMX_EXIT_SAVE_PREEMPTION_TIMER,
				       0 };

static unsigned int shift(void)
{
	return rdmsr(MSR_IA32_VMX_MISC) & 31;
}

static struct apic *timer_guest(const u8 *code, const u32 *controls, u32 value)
{
	struct apic *a = apic_guest(code, controls);

	if (a)
		vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, value);
	return a;
}

/*
 * One unit may be partial: the bit changes soon after the entry. Values that entry and exit alone
 * outlast would say nothing.
 */
#define LONG_ENOUGH 1000

static void check_not_early(u64 ticks, u32 value, const char *id)
{
	if (value >= LONG_ENOUGH)
		check(ticks >> shift() >= value - 1, "%s.not-early", id);
}

static void test_values(void)
{
	static const u32 values[] = { 0, 1, 2, 3, 10, 100, 1000, 5000, 20000, 65537 };

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		struct apic *a = timer_guest(spins, timer_controls, values[i]);
		u64 start;

		if (!a)
			return;
		prefix_push("value-%u", values[i]);
		start = rdtsc();
		vmx_run(a->guest);
		check_not_early(rdtsc() - start, values[i], "spinning");
		check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)spins, "rip");
		/* Without "save VMX-preemption timer value" the field stays. */
		check_equal(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE), values[i], "field");
		prefix_pop();
	}
}

VMX_SUBTEST("preemption-timer", test_values);

/* It is the TSC that it counts by, not what L2 reads as one. */
static void test_scaled(void)
{
	static const u32 values[] = { 5000, 50000 };

	if (!vmx_needs(VMX_PRIMARY_TSC_OFFSETTING) || !vmx_needs(VMX_SECONDARY_TSC_SCALING))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		struct apic *a = timer_guest(spins, timer_controls, values[i]);
		u64 start;

		if (!a)
			return;
		prefix_push("value-%u", values[i]);
		vmx_set(VMX_PRIMARY_TSC_OFFSETTING);
		vmx_set(VMX_SECONDARY_TSC_SCALING);
		vmcs_write(VMCS_TSC_OFFSET, 1ull << 40);
		vmcs_write(VMCS_TSC_MULTIPLIER, 32ull << 48);
		start = rdtsc();
		vmx_run(a->guest);
		check_not_early(rdtsc() - start, values[i], "scaled");
		check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
		prefix_pop();
	}
}

VMX_SUBTEST("preemption-timer.tsc-scaling", test_scaled);

/* It goes on in HLT, whatever RFLAGS.IF is, and wakes L2, which the VMCS shows as halted. */
static void test_hlt(void)
{
	static const u32 values[] = { LONG_ENOUGH, 5000, 20000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
		for (unsigned int interrupts = 0; interrupts < 2; interrupts++) {
			struct apic *a = timer_guest(hlts, saving_controls, values[i]);
			u64 start;

			if (!a)
				return;
			prefix_push("value-%u.if-%u", values[i], interrupts);
			vmx_clear(VMX_PRIMARY_HLT_EXITING);
			start = rdtsc();
			apic_run(a, hlts, interrupts ? EFLAGS_IF : 0);
			check_not_early(rdtsc() - start, values[i], "halted");
			check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)hlts, 1, "rip");
			check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT, "activity");
			check_equal(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE), 0, "saved");
			prefix_pop();
		}
}

VMX_SUBTEST("preemption-timer.hlt", test_hlt);

/* The same if the entry loads the state; entered active, at the same place, L2 executes its HLT. */
static void test_enters_halted(void)
{
	struct apic *a = timer_guest(hlts, timer_controls, 500);

	if (!a)
		return;
	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
		subtest_skip("the CPU has no activity state HLT");
		return;
	}
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)hlts, "rip");
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT, "activity");
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, ~0u);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_HLT, "active");
}

VMX_SUBTEST("preemption-timer.enters-halted", test_enters_halted);

#define SAVED_FIRST 50000u

/*
 * What is saved at other exits is what is left: never more than before, and no more is gone than
 * the TSC has moved. Begun again with it, the timer ends at last.
 */
static void test_saved(void)
{
	struct apic *a = timer_guest(exits, saving_controls, SAVED_FIRST);
	u32 left = SAVED_FIRST, reason = EXIT_CPUID;
	unsigned int runs = 0, wrong = 0, fast = 0;

	if (!a)
		return;
	while (reason == EXIT_CPUID && runs++ < 5000) {
		u64 start = rdtsc();
		u32 now;

		reason = vmx_run(a->guest);
		now = vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE);
		wrong += now > left;
		fast += now < left && (left - now - 1) > (rdtsc() - start) >> shift();
		left = now;
		if (reason == EXIT_CPUID)
			vmx_skip();
	}
	diagnostic("%u entries for a value of %u", runs, SAVED_FIRST);
	check(runs > 1, "other-exits");
	check_exit(a->guest, EXIT_PREEMPTION_TIMER, "ends");
	check_equal(left, 0, "ends.left");
	check_equal(wrong, 0, "never-more");
	check_equal(fast, 0, "not-early");
}

VMX_SUBTEST("preemption-timer.saved", test_saved);

/* Without the control to save it, other exits leave the field alone: each entry begins anew. */
static void test_not_saved(void)
{
	struct apic *a = timer_guest(exits, timer_controls, 0x7fffffff);

	for (unsigned int i = 1; a && i <= 3; i++) {
		vmx_run(a->guest);
		check_exit(a->guest, EXIT_CPUID, "%u.exit", i);
		check_equal(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE), 0x7fffffff, "%u.field", i);
		vmx_skip();
	}
}

VMX_SUBTEST("preemption-timer.not-saved", test_not_saved);

/*
 * 0 exits right after the entry: behind an event that is injected, whatever blocks events, and
 * before anything of lower priority. Debug traps and exits by the TPR threshold come first.
 */
static const struct zero {
	const char *name;
	u32 control;
	u32 flags, blocking, activity, pending, injected;
	u32 exit;
	u64 misc; /* IA32_VMX_MISC has it, or the case is skipped */
} zeros[] = {
	{ .name = "plain", .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "if-1", .flags = EFLAGS_IF, .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "sti",
	  .flags = EFLAGS_IF,
	  .blocking = BLOCKING_BY_STI,
	  .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "mov-ss", .blocking = BLOCKING_BY_MOV_SS, .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "nmi-blocked", .blocking = BLOCKING_BY_NMI, .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "hlt",
	  .activity = ACTIVITY_HLT,
	  .exit = EXIT_PREEMPTION_TIMER,
	  .misc = VMX_MISC_ACTIVITY_HLT },
	{ .name = "shutdown",
	  .activity = ACTIVITY_SHUTDOWN,
	  .exit = EXIT_PREEMPTION_TIMER,
	  .misc = MISC_ACTIVITY_SHUTDOWN },
	{ .name = "interrupt-window",
	  .control = VMX_PRIMARY_INTERRUPT_WINDOW_EXITING,
	  .flags = EFLAGS_IF,
	  .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "nmi-window",
	  .control = VMX_PRIMARY_NMI_WINDOW_EXITING,
	  .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "pending-debug", .pending = BIT(12) | BIT(0), .exit = EXIT_EXCEPTION_OR_NMI },
	{ .name = "tpr-threshold",
	  .control = VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES,
	  .exit = EXIT_TPR_BELOW_THRESHOLD },
	{ .name = "injected",
	  .injected = INTERRUPTION_VALID | 0x62,
	  .flags = EFLAGS_IF,
	  .exit = EXIT_PREEMPTION_TIMER },
	{ .name = "injected-in-hlt",
	  .injected = INTERRUPTION_VALID | 0x62,
	  .flags = EFLAGS_IF,
	  .activity = ACTIVITY_HLT,
	  .exit = EXIT_PREEMPTION_TIMER,
	  .misc = VMX_MISC_ACTIVITY_HLT },
};

static void set_zero(const struct zero *z)
{
	if (z->control)
		vmx_set(z->control);
	if (z->control == VMX_PRIMARY_NMI_WINDOW_EXITING) {
		vmx_set(VMX_PIN_NMI_EXITING);
		vmx_set(VMX_PIN_VIRTUAL_NMIS);
	}
	if (z->control == VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES) {
		vmx_set(VMX_PRIMARY_TPR_SHADOW);
		vmcs_write(VMCS_TPR_THRESHOLD, 1);
	}
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | z->flags);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, z->blocking);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, z->activity);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, z->pending);
	vmcs_write(VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, z->injected);
}

static void test_zero(void)
{
	for (const struct zero *z = zeros; z < zeros + ARRAY_SIZE(zeros); z++) {
		struct apic *a = timer_guest(hlts, timer_controls, 0);

		if (!a)
			return;
		prefix_push("%s", z->name);
		if ((z->control && !vmx_allows(z->control)) ||
		    (rdmsr(MSR_IA32_VMX_MISC) & z->misc) != z->misc) {
			check_skip("the CPU lacks the control or the activity state", "exit");
			prefix_pop();
			continue;
		}
		set_zero(z);
		vmx_run(a->guest);
		unblock_nmis();
		check_exit(a->guest, z->exit, "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP),
			    z->injected ? l2_handler(&a->events, 0x62) : (ulong)hlts, "rip");
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
			    "delivered");
		prefix_pop();
	}
}

VMX_SUBTEST("preemption-timer.zero", test_zero);

/* A physical interrupt that is pending has lower priority too, and stays. */
static void test_external(void)
{
	struct apic *a = timer_guest(hlts, timer_controls, 0);

	if (!a)
		return;
	vmx_set(VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	irq_disable();
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | 0x63);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_PREEMPTION_TIMER, "exit");
	check(apic_vector_bit(APIC_IRR, 0x63), "still-pending");
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, ~0u);
	vmx_set(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
	vmx_run(a->guest);
	check_exit(a->guest, EXIT_EXTERNAL_INTERRUPT, "then");
	apic_eoi();
}

VMX_SUBTEST("preemption-timer.external-interrupt", test_external);

/* L1 on another CPU, which alone can be sent a start-up IPI from here. */
static struct {
	struct apic *a;
	u32 apic_id, reason, left;
	u64 vector;
	volatile bool done;
} waiter;

static void wait_for_sipi(void *unused)
{
	waiter.apic_id = apic_id();
	vmx_current(waiter.a->guest);
	vmcs_set_host();
	waiter.reason = vmx_run(waiter.a->guest);
	waiter.vector = vmcs_read(VMCS_EXIT_QUALIFICATION);
	waiter.left = vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE);
	vmx_forget(waiter.a->guest);
	WRITE_ONCE(waiter.done, true);
}

/* In wait-for-SIPI it runs down, and does not exit. Start-up IPIs are lost before. */
static void test_wait_for_sipi(void)
{
	if (cpu_count() < 2 || !(rdmsr(MSR_IA32_VMX_MISC) & MISC_ACTIVITY_WAIT_FOR_SIPI)) {
		subtest_skip("needs a second CPU, and the activity state wait-for-SIPI");
		return;
	}
	waiter.a = timer_guest(hlts, saving_controls, 1);
	if (!waiter.a)
		return;
	waiter.done = false;
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_FOR_SIPI);
	vmx_forget(waiter.a->guest);
	smp_call_async(1, wait_for_sipi, NULL);
	while (!WAIT_UNTIL(READ_ONCE(waiter.done), 300))
		apic_icr_write(waiter.apic_id, APIC_DELIVERY_STARTUP | APIC_ASSERT | 0x99);
	smp_wait(1);
	check_equal(waiter.reason, EXIT_STARTUP_IPI, "exit");
	check_equal(waiter.vector, 0x99, "vector");
	check_equal(waiter.left, 0, "saved");
	vmx_current(waiter.a->guest); /* for the exit's invariants */
}

VMX_SUBTEST("preemption-timer.wait-for-sipi", test_wait_for_sipi);
