// SPDX-License-Identifier: BSD-2-Clause
/*
 * The intercepts of what comes from outside, and of what stops the CPU: APM volume 2, 15.13
 * "Interrupt Intercepts", 15.14 "Miscellaneous Intercepts", 15.9 on HLT and PAUSE.
 *
 * What is intercepted has not been taken: it is pending, held back by GIF until STGI, and
 * the host takes it then. What is not intercepted L2 takes, through its own IDT.
 */
#include "apic.h"
#include "cpu.h"
#include "intercepts.h"
#include "msr.h"
#include "string.h"
#include "trap.h"
#include "tsc.h"

#define VECTOR		  0x51
#define APIC_DELIVERY_SMI (2u << 8)

static u32 interrupts, nmis;

static bool count_interrupt(struct trap_frame *frame)
{
	interrupts++;
	apic_eoi();
	return true;
}

static bool count_nmi(struct trap_frame *frame)
{
	nmis++;
	return true;
}

static void set_handlers(void)
{
	trap_set_handler(VECTOR, count_interrupt);
	trap_set_handler(VECTOR_NMI, count_nmi);
	interrupts = nmis = 0;
}

/* What L2 has seen at its end. */
static u32 seen;

static void wait_a_little(void)
{
	for (unsigned int i = 0; i < 100; i++)
		cpu_relax();
}

static void send_to_self(void)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | VECTOR);
}

static void l2_interrupt(void *argument)
{
	send_to_self();
	if (argument) {
		irq_enable();
		wait_a_little();
		irq_disable();
	}
	seen = interrupts;
}

/* GIF is 0 behind an exit: nothing comes in; then STGI. */
static void check_pending(const u32 *count, const char *what)
{
	ulong flags = read_flags();

	irq_enable();
	wait_a_little();
	check_equal(*count, 0, "%s.before-stgi", what);
	stgi();
	WAIT_UNTIL(READ_ONCE(*count), 100000);
	write_flags(flags);
	check_equal(*count, 1, "%s.after-stgi", what);
}

/* 15.13.1 */
static void test_intr(void)
{
	struct svm_guest *guest = svm_guest_call(l2_interrupt, &seen);

	set_handlers();
	svm_intercept(guest, VMEXIT_INTR);
	guest->options |= SVM_KEEP_GIF;
	svm_run(guest);
	check_exit(guest, VMEXIT_INTR, "on");
	check_equal(guest->vmcb->control.exitintinfo & EVENT_VALID, 0, "on.exitintinfo");
	check_equal(guest->vmcb->save.rflags & EFLAGS_IF, EFLAGS_IF, "on.if");
	check_pending(&interrupts, "on");
	/* It was the host's; L2 goes on and finds nothing. */
	guest->options = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "on.goes-on");
	check_equal(seen, 1, "on.taken-once");
}
SVM_SUBTEST("intr.on", test_intr);

static void test_intr_off(void)
{
	struct svm_guest *guest = svm_guest_call(l2_interrupt, &seen);

	set_handlers();
	seen = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen, 1, "seen-by-l2");
	check_equal(interrupts, 1, "taken-once");
}
SVM_SUBTEST("intr.off", test_intr_off);

/* Without V_INTR_MASKING L2's IF keeps an interrupt back, and with that the exit. 15.21.1 */
static void test_intr_masked(void)
{
	struct svm_guest *guest = svm_guest_call(l2_interrupt, NULL);

	set_handlers();
	svm_intercept(guest, VMEXIT_INTR);
	guest->options |= SVM_KEEP_GIF;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen, 0, "seen-by-l2");
	check_pending(&interrupts, "host");
}
SVM_SUBTEST("intr.masked", test_intr_masked);

static void l2_nmi(void *argument)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_NMI | APIC_ASSERT);
	wait_a_little();
	seen = nmis;
}

/* 15.13.2, 15.21.9 */
static void test_nmi(void)
{
	struct svm_guest *guest = svm_guest_call(l2_nmi, NULL);

	set_handlers();
	svm_intercept(guest, VMEXIT_NMI);
	guest->options |= SVM_KEEP_GIF;
	svm_run(guest);
	check_exit(guest, VMEXIT_NMI, "on");
	check_equal(guest->vmcb->control.exitintinfo & EVENT_VALID, 0, "on.exitintinfo");
	check_pending(&nmis, "on");
	guest->options = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "on.goes-on");
	check_equal(seen, 1, "on.taken-once");
}
SVM_SUBTEST("nmi.on", test_nmi);

static void test_nmi_off(void)
{
	struct svm_guest *guest = svm_guest_call(l2_nmi, NULL);

	set_handlers();
	seen = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen, 1, "seen-by-l2");
	check_equal(nmis, 1, "taken-once");
}
SVM_SUBTEST("nmi.off", test_nmi_off);

/* Where SMM begins after reset: 16-bit code that counts at SMBASE + 0x9000, and RSM. */
#define SMBASE	     0x30000ul
#define SMM_COUNT    ((volatile u8 *)(SMBASE + 0x9000))
#define MSR_HWCR     0xc0010015
#define HWCR_SMMLOCK BIT(0)

static const u8 smm_code[] = { 0x2e, 0xfe, 0x06, 0x00, 0x90, 0x0f, 0xaa };

static void l2_smi(void *argument)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_SMI | APIC_ASSERT);
	wait_a_little();
	seen = *SMM_COUNT;
}

/* Only where SMM is the test's own: else firmware, or nothing, is there. */
static bool smm_is_ours(void)
{
	u64 hwcr;

	if (!fault_raised(rdmsr_safe(MSR_HWCR, &hwcr)) && hwcr & HWCR_SMMLOCK) {
		check_skip("SMM is locked (HWCR.SMMLOCK)", "smm");
		return false;
	}
	memcpy((void *)(SMBASE + 0x8000), smm_code, sizeof(smm_code));
	*SMM_COUNT = 0;
	l2_smi(NULL);
	if (seen != 1) {
		check_skip("an SMI of the host does not reach SMM at its default place", "smm");
		return false;
	}
	*SMM_COUNT = 0;
	seen = 0;
	return true;
}

/* 15.13.3, 15.22.2: asserted from outside, and pending until STGI. */
static void test_smi(void)
{
	struct svm_guest *guest = svm_guest_call(l2_smi, NULL);

	if (!smm_is_ours())
		return;
	svm_intercept(guest, VMEXIT_SMI);
	guest->options |= SVM_KEEP_GIF;
	svm_run(guest);
	if (check_exit(guest, VMEXIT_SMI, "exit")) {
		check_equal(guest->vmcb->control.exitinfo1 & 1, 1, "smisrc");
		check_equal(*SMM_COUNT, 0, "before-stgi");
		stgi();
		wait_a_little();
		check_equal(*SMM_COUNT, 1, "after-stgi");
	}
	stgi();
}
SVM_SUBTEST("smi.on", test_smi);

/* 15.22.3: L2 is interrupted, and RSM goes back to it. */
static void test_smi_off(void)
{
	struct svm_guest *guest = svm_guest_call(l2_smi, NULL);

	if (!smm_is_ours())
		return;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen, 1, "seen-by-l2");
}
SVM_SUBTEST("smi.off", test_smi_off);

L2_CODE(l2_sti, "sti\n .fill 8, 1, 0x90\n cli\n vmmcall");

static struct svm_guest *virtual_interrupt(void)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, l2_sti);

	set_handlers();
	guest->vmcb->control.int_ctl = V_IRQ | V_IGN_TPR | V_INTR_PRIO(15);
	guest->vmcb->control.v_intr_vector = VECTOR;
	return guest;
}

/* 15.13.5: just before it is taken; it remains pending in V_IRQ. */
static void test_vintr(void)
{
	struct svm_guest *guest = virtual_interrupt();

	svm_intercept(guest, VMEXIT_VINTR);
	svm_run(guest);
	check_exit(guest, VMEXIT_VINTR, "on");
	check_equal(guest->vmcb->control.int_ctl & V_IRQ, V_IRQ, "on.v-irq");
	check_equal(guest->vmcb->save.rip, (ulong)l2_sti + 2, "on.rip");
	check_equal(interrupts, 0, "on.taken");
	svm_no_intercept(guest, VMEXIT_VINTR);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "off");
	check_equal(guest->vmcb->control.int_ctl & V_IRQ, 0, "off.v-irq");
	check_equal(interrupts, 1, "off.taken");
}
SVM_SUBTEST("vintr", test_vintr);

static void l2_halt(void *argument)
{
	send_to_self();
	irq_enable_and_halt();
	irq_disable();
	seen = interrupts;
}

static void l2_mwait(void *argument)
{
	send_to_self();
	asm volatile("sti\n mwait\n cli" : : "a"(0), "c"(0) : "memory");
	seen = interrupts;
}

/* HLT and MWAIT without their intercepts, and the interrupt that ends them. */
static void wait_in_l2(void (*function)(void *argument), u64 exitcode)
{
	struct svm_guest *guest = svm_guest_call(function, NULL);

	set_handlers();
	seen = 0;
	svm_no_intercept(guest, exitcode);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen, 1, "seen-by-l2");
}

static void test_halt(void)
{
	wait_in_l2(l2_halt, VMEXIT_HLT);
}
SVM_SUBTEST("hlt-off", test_halt);

static void test_mwait(void)
{
	if (!cpu_has(FEATURE_MWAIT)) {
		check_skip("the CPU has no MWAIT", "exit");
		return;
	}
	wait_in_l2(l2_mwait, VMEXIT_MWAIT);
}
SVM_SUBTEST("mwait-off", test_mwait);

L2_TEXT(halt, "", "hlt");

/* 15.9: the HLT intercept is checked before its effect: an exit with IF set, and an event pending.
 */
static void test_halt_pending(void)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, halt);

	guest->vmcb->control.interrupt_shadow = INTERRUPT_SHADOW;
	guest->vmcb->control.int_ctl = V_IRQ | V_IGN_TPR | V_INTR_PRIO(15);
	guest->vmcb->control.v_intr_vector = VECTOR;
	guest->vmcb->save.rflags |= EFLAGS_IF;
	set_handlers();
	svm_run(guest);
	check_exit(guest, VMEXIT_HLT, "exit");
	check_equal(guest->vmcb->save.rip, (ulong)halt, "rip");
	check_equal(guest->vmcb->control.int_ctl & V_IRQ, V_IRQ, "v-irq");
	check_equal(interrupts, 0, "taken");
}
SVM_SUBTEST("hlt-in-a-shadow", test_halt_pending);

L2_CODE(pauses, "1: inc %ecx\n pause\n jmp 1b");

/*
 * 15.14.4 and 15.9 count one PAUSE apart: the exit comes with the one that makes the counter
 * 0, or negative.
 */
static void test_pause_filter(void)
{
	static const u16 counts[] = { 0, 1, 2, 10, 1000 };

	if (!cpu_has(FEATURE_SVM_PAUSE_FILTER)) {
		check_skip("the CPU has no PAUSE filter", "count");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		struct svm_guest *guest = intercept_guest(L2_NATIVE, pauses);
		ulong executed;

		svm_intercept(guest, VMEXIT_PAUSE);
		guest->vmcb->control.pause_filter_count = counts[i];
		guest->world.registers.cx = 0;
		svm_run(guest);
		executed = guest->world.registers.cx;
		check_exit(guest, VMEXIT_PAUSE, "count-%u.exit", counts[i]);
		/* An interrupt of the machine may start it anew. */
		check(executed >= counts[i], "count-%u.executed", counts[i]);
		check(counts[i] || executed == 1, "count-%u.first", counts[i]);
		check_equal(guest->vmcb->control.pause_filter_count, counts[i], "count-%u.kept",
			    counts[i]);
	}
}
SVM_SUBTEST("pause-filter", test_pause_filter);

L2_TEXT(undefined, "", "ud2");
L2_CODE(undefined_32, ".code32\n ud2");

/* 15.14.3: no handler can be reached, and no other intercept is in the way. */
static void shut_down(enum l2_mode mode, const u8 *code)
{
	struct svm_guest *guest = intercept_guest(mode, code);

	guest->vmcb->control.intercepts[VMEXIT_EXCP / 32] = 0;
	guest->vmcb->save.idtr.limit = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_SHUTDOWN, "exit");
}

static void test_shutdown(void)
{
	shut_down(L2_NATIVE, undefined);
}
SVM_SUBTEST("shutdown", test_shutdown);

static void test_shutdown_pae(void)
{
	shut_down(L2_PAE, undefined_32);
}
SVM_SUBTEST("shutdown-pae", test_shutdown_pae);

L2_TEXT(frozen, "fninit\n fldcw (" R(ax) ")\n fld1\n fldz\n fdivrp", "fwait");

/* 15.14.2: with CR0.NE clear the CPU freezes at the next x87 instruction that waits. */
static void test_ferr_freeze(void)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, frozen);

	*(u16 *)operand() = 0x37b;
	guest->vmcb->save.rax = (ulong)operand();
	guest->vmcb->save.cr0 &= ~CR0_NE;
	svm_intercept(guest, VMEXIT_FERR_FREEZE);
	svm_run(guest);
	check_exit(guest, VMEXIT_FERR_FREEZE, "on");
	asm volatile("fninit");
}
SVM_SUBTEST("ferr-freeze", test_ferr_freeze);
