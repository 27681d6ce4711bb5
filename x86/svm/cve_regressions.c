// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nested SVM's published security bugs, as a guest hypervisor could have used them. In most
 * the hypervisor below (L0) let something of L1's VMCB, or of what L2 did, take effect
 * on the real machine: AVIC's page, an address that VMLOAD takes as a physical one, GIF.
 *
 * Each subtest is safe to run on a machine that still has the bug: it reads before it
 * writes, points what would hit L0's memory at a harmless place, or ends by itself. Where that
 * cannot be, the bug is so old that no kernel in use has it; the comment says which.
 *
 * APM volume 2: 15.5.1 "Basic Operation", 15.9 "Instruction Intercepts", 15.17 "Global
 * Interrupt Flag", 15.25.3 "Enabling Nested Paging", 15.29 "AVIC".
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "smp.h"
#include "string.h"
#include "svm/test.h"
#include "trap.h"

TEST_SUMMARY("published nested SVM security bugs: what L1 or L2 could do to the machine below");
TEST_MANUAL("APM volume 2, chapter 15 \"Secure Virtual Machine\"");
TEST_GUARDS("CVE-2021-3653, Linux commit 0f923e07124d: AVIC bits of L1's int_ctl reached hardware");
TEST_GUARDS("CVE-2021-3656, Linux commit c7dfa4009965: L2's VMLOAD and VMSAVE ran on host memory");
TEST_GUARDS("CVE-2021-29657, Linux commit a58d9166a756: VMCB controls changed after their check");
TEST_GUARDS("CVE-2024-50115, Linux commit f559b2e9c5c5: low bits of N_CR3 moved the PDPT read");
TEST_GUARDS(
    "CVE-2014-3610, Linux commit 854e8bb1aa06: WRMSR of a non-canonical address hit the host");
TEST_GUARDS("Linux commit cdc69269b18a: L2 cleared EFER.SVME and L1's state was lost");
TEST_NEEDS("SVM");

#define POISON	   0x5ac35ac3u
#define IPI_VECTOR 0x60

static void poison(u32 *page)
{
	for (unsigned int i = 0; i < PAGE_SIZE / 4; i++)
		page[i] = POISON;
}

static bool is_poisoned(const u32 *page)
{
	for (unsigned int i = 0; i < PAGE_SIZE / 4; i++)
		if (page[i] != POISON)
			return false;
	return true;
}

/*
 * CVE-2021-3653. Where CPUID has no AVIC its bits mean nothing: L2's accesses to the APIC
 * reach the APIC, not a backing page. With the bug that was L0's page 0 or one of L1's choice;
 * here it is a page of this guest, and only a read and a write of TPR are tried.
 */
L2_CODE(use_apic, "mov (%ebx), %eax\n movl $0, (%ecx)\n vmmcall");

static void test_avic_bits(void)
{
	static const struct {
		const char *name;
		u32 bits;
	} rows[] = {
		{ "avic", V_AVIC_ENABLE },
		{ "x2avic", V_X2AVIC_ENABLE },
		{ "both", V_AVIC_ENABLE | V_X2AVIC_ENABLE },
	};
	u32 *backing = page_alloc(), *tables = page_alloc();
	struct svm_guest *guest = svm_guest(L2_NATIVE, use_apic);
	struct vmcb_control *control = &guest->vmcb->control;

	if (cpu_has(FEATURE_SVM_AVIC)) {
		subtest_skip("the CPU has AVIC: the bits have a meaning");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		svm_guest_again(guest, L2_NATIVE, use_apic);
		poison(backing);
		control->int_ctl = rows[i].bits;
		control->avic_apic_bar = APIC_DEFAULT_BASE;
		control->avic_backing_page = (ulong)backing;
		control->avic_logical_table = control->avic_physical_table = (ulong)tables;
		guest->world.registers.bx = APIC_DEFAULT_BASE + APIC_VERSION;
		guest->world.registers.cx = APIC_DEFAULT_BASE + APIC_TPR;
		if ((u32)svm_run(guest) == (u32)VMEXIT_INVALID) {
			/* Reserved bits may also be refused. */
			diagnostic("%s: refused with VMEXIT_INVALID", rows[i].name);
		} else {
			check_exit(guest, VMEXIT_VMMCALL, "%s.exit", rows[i].name);
			check_equal(guest->vmcb->save.rax, apic_read(APIC_VERSION), "%s.read",
				    rows[i].name);
		}
		check(is_poisoned(backing), "%s.backing-page-untouched", rows[i].name);
	}
}
SVM_SUBTEST("avic_bits", test_avic_bits);

/*
 * CVE-2021-3656. VMLOAD and VMSAVE that L1 does not intercept take rAX as L1's physical
 * address: nested paging does not translate it (15.33.1 has that for the virtualized ones
 * alone). VMLOAD is tried first and can harm nobody: with the bug it loads what the host
 * has there. VMSAVE, which would write there, follows only if VMLOAD found the right page.
 */
L2_CODE(load_state, "vmload\n vmmcall");
L2_CODE(save_state, "vmsave\n vmmcall");

static struct svm_guest *guest_with_two_pages(struct vmcb *system, struct vmcb *translated)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, load_state);

	if (cpu_has(FEATURE_SVM_NP)) {
		svm_nested_paging(guest);
		tables_map(&guest->nested, (ulong)system, (ulong)translated, LEVEL_4K, 0);
	}
	system->save.kernel_gs_base = 0x1111000;
	translated->save.kernel_gs_base = 0x2222000;
	return guest;
}

static void test_vmload_vmsave(void)
{
	struct vmcb *system = page_alloc(), *translated = page_alloc();
	struct svm_guest *guest = guest_with_two_pages(system, translated);

	guest->vmcb->save.rax = (ulong)system;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "vmload.exit");
	if (!check_equal(guest->vmcb->save.kernel_gs_base, 0x1111000, "vmload.address"))
		return;

	guest->vmcb->save.rip = (ulong)save_state;
	guest->vmcb->save.kernel_gs_base = 0x3333000;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "vmsave.exit");
	check_equal(system->save.kernel_gs_base, 0x3333000, "vmsave.address");
	check_equal(translated->save.kernel_gs_base, 0x2222000, "vmsave.translated");
}
SVM_SUBTEST("vmload_vmsave", test_vmload_vmsave);

/*
 * CLGI in L2, which L1 does not intercept: with the machine's own GIF cleared nothing,
 * not even an NMI, could take the host's CPU back. It must hold back L1's interrupts, which
 * L2's STGI lets in again, and no other. L2 ends by itself: a host that is fit to
 * run L2 for a few instructions survives.
 */
L2_CODE(hold_interrupts, "sti\n clgi\n"
			 "mov %ecx, (%ebx)\n"
			 "mov $100, %edx\n"
			 "1: pause\n dec %edx\n jnz 1b\n"
			 "stgi\n nop\n"
			 "interrupts_let_in: vmmcall");
extern const u8 interrupts_let_in[];

static u32 ipis;

static bool count_ipi(struct trap_frame *frame)
{
	ipis++;
	apic_eoi();
	return true;
}

static void test_clgi(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, hold_interrupts);

	trap_set_handler(IPI_VECTOR, count_ipi);
	ipis = 0;
	svm_intercept(guest, VMEXIT_INTR);
	guest->world.registers.bx = APIC_DEFAULT_BASE + APIC_ICR;
	guest->world.registers.cx = APIC_SHORTHAND_SELF | APIC_ASSERT | IPI_VECTOR;
	svm_run(guest);
	check_exit(guest, VMEXIT_INTR, "exit");
	check(svm_rip(guest) <= (ulong)interrupts_let_in &&
		  svm_rip(guest) >= (ulong)interrupts_let_in - 1,
	      "held-until-stgi");
	check_equal(guest->world.registers.dx, 0, "loop-completed");
	check_equal(ipis, 1, "delivered-to-l1");
	trap_set_handler(IPI_VECTOR, NULL);
}
SVM_SUBTEST("clgi", test_clgi);

/*
 * CVE-2021-29657: another CPU changes the VMCB between L0's check of the VMRUN intercept and its
 * use. Each run must be refused, or have the intercept: L2's VMRUN must never
 * execute. Its operand is an empty VMCB, so that where it does it is refused, and that is all.
 */
L2_CODE(nested_vmrun, "vmrun\n vmmcall");

static volatile bool stop_toggling;

static void toggle_intercept(void *argument)
{
	u32 *word = argument;

	while (!stop_toggling) {
		WRITE_ONCE(*word, *word ^ 1u << VMEXIT_VMRUN % 32);
		cpu_relax();
	}
}

static void test_double_fetch(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, nested_vmrun);
	struct vmcb *empty = page_alloc();
	unsigned int refused = 0, intercepted = 0, other = 0;
	char unexpected[64] = "none";

	if (cpu_count() < 2) {
		subtest_skip("needs a second CPU");
		return;
	}
	guest->options = SVM_NO_COMPARE | SVM_NO_GIF_PROBE;
	stop_toggling = false;
	smp_call_async(1, toggle_intercept, &guest->vmcb->control.intercepts[VMEXIT_VMRUN / 32]);
	for (unsigned int i = 0; i < 1000; i++) {
		guest->vmcb->save.rip = (ulong)nested_vmrun;
		guest->vmcb->save.rax = (ulong)empty;
		/* All 64 bits of the code are for vmrun_checks to judge. */
		switch ((u32)svm_run(guest)) {
		case (u32)VMEXIT_INVALID:
			refused++;
			break;
		case VMEXIT_VMRUN:
			intercepted++;
			break;
		default:
			other++;
			svm_exit_format(unexpected, sizeof(unexpected), guest->vmcb);
		}
	}
	stop_toggling = true;
	smp_wait(1);
	diagnostic("%u runs refused, %u with the intercept; last of others: %s", refused,
		   intercepted, unexpected);
	check_equal(other, 0, "vmrun-never-executes");
}
SVM_SUBTEST("double_fetch", test_double_fetch);

#ifdef MODE_PAE
/*
 * CVE-2024-50115. N_CR3 has the format of the host's CR3 (15.25.3), whose bits 4:0 are not part
 * of the address of a PDPT: a 32-byte table at the end of a page must not be read beyond it. With
 * the bug L0 reads up to 31 bytes behind its copy of the page, and L2 finds no memory.
 */
L2_CODE(nothing, "vmmcall");

static void test_ncr3_low_bits(void)
{
	static const u8 bits[] = { 0x00, 0x01, 0x07, 0x18, 0x1f };
	struct svm_guest *guest = svm_guest(L2_NATIVE, nothing);
	u8 *page = page_alloc();

	if (!cpu_has(FEATURE_SVM_NP)) {
		subtest_skip("the CPU has no nested paging");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		svm_guest_again(guest, L2_NATIVE, nothing);
		svm_nested_paging(guest);
		memcpy(page + PAGE_SIZE - 32, guest->nested.root, 32);
		guest->vmcb->control.n_cr3 = (ulong)(page + PAGE_SIZE - 32) | bits[i];
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "bits-%#x", bits[i]);
	}
}
SVM_SUBTEST("ncr3_low_bits", test_ncr3_low_bits);
#endif

/*
 * CVE-2014-3610: WRMSR of a non-canonical address to an MSR that L1 does not intercept is L2's
 * #GP(0) (APM volume 3, WRMSR). With the bug, mended in Linux 3.18, L0 had the fault itself.
 */
#ifdef __x86_64__
static const u32 address_msrs[] = {
	MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};
static struct fault msr_faults[ARRAY_SIZE(address_msrs)];

static void write_noncanonical(void *argument)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(address_msrs); i++)
		msr_faults[i] = wrmsr_safe(address_msrs[i], 1ull << 62);
}

static void test_noncanonical(void)
{
	struct svm_guest *guest = svm_guest_call(write_noncanonical, NULL);

	svm_no_intercept(guest, VMEXIT_EXCP + VECTOR_GP);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	for (unsigned int i = 0; i < ARRAY_SIZE(address_msrs); i++)
		check_fault(msr_faults[i], FAULT_GP(0), "msr-%#x", address_msrs[i]);
}
SVM_SUBTEST("noncanonical", test_noncanonical);
#endif

/*
 * L2 clears its own EFER.SVME, and L1 does not intercept that. APM 3.1.7: undefined, so that any
 * outcome is right but one that the machine below does not survive. KVM ran L1 with L2's
 * registers; since commit cdc69269b18a it shuts the machine down, which known/ accepts. L1 takes
 * care of a return without an exit: RIP and RSP are the host's own then.
 */
static void clear_svme(void *argument)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}

static void test_svme_cleared(void)
{
	struct svm_guest *guest = svm_guest_call(clear_svme, NULL);
	char exit[64];
	u64 code;

	checking("survived");
	code = svm_run(guest);
	svm_exit_format(exit, sizeof(exit), guest->vmcb);
	diagnostic("%s, EFER %#llx", exit, guest->vmcb->save.efer);
	/* VMMCALL is #UD without EFER.SVME. */
	check(code == VMEXIT_EXCP + VECTOR_UD || code == VMEXIT_VMMCALL, "survived");
}
SVM_SUBTEST("svme_cleared", test_svme_cleared);
