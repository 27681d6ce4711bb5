// SPDX-License-Identifier: BSD-2-Clause
/*
 * SMIs: an exit while L2 runs if they are intercepted, else SMM in the middle of L2; held by GIF.
 * APM volume 2, 15.13.3 "SMI Intercept", 15.22.2 "Response to SMI" with table 15-14. They come from
 * the APIC, which makes them external ones.
 */
#include "apic.h"
#include "intercepts.h"
#include "msr.h"
#include "string.h"

#define APIC_DELIVERY_SMI (2u << 8)

/* Where SMM begins after reset: 16-bit code that counts at SMBASE + 0x9000, and RSM. */
#define SMBASE	     0x30000ul
#define SMM_COUNT    ((volatile u8 *)(SMBASE + 0x9000))
#define MSR_HWCR     0xc0010015
#define HWCR_SMMLOCK BIT(0)

static const u8 smm_code[] = { 0x2e, 0xfe, 0x06, 0x00, 0x90, 0x0f, 0xaa };

static u32 seen; /* by L2 at its end */

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

/* Table 15-14: with GIF 0 it is held pending, whatever the intercept; here there is no guest. */
static void test_smi_held(void)
{
	if (!smm_is_ours())
		return;
	clgi();
	l2_smi(NULL);
	stgi();
	wait_a_little();
	check_equal(seen, 0, "with-gif-0");
	check_equal(*SMM_COUNT, 1, "at-stgi");
}
SVM_SUBTEST("smi.held", test_smi_held);

/* VMRUN sets GIF: one that was held is an exit before L2's first instruction. */
static void test_smi_at_vmrun(void)
{
	struct svm_guest *guest = svm_guest_call(l2_smi, NULL);
	u64 start = svm_rip(guest);

	if (!smm_is_ours())
		return;
	svm_intercept(guest, VMEXIT_SMI);
	guest->options |= SVM_KEEP_GIF;
	clgi();
	apic_icr_write(apic_id(), APIC_DELIVERY_SMI | APIC_ASSERT);
	svm_run(guest);
	if (check_exit(guest, VMEXIT_SMI, "exit")) {
		check_equal(svm_rip(guest), start, "rip");
		check_equal(*SMM_COUNT, 0, "before-stgi");
	}
	stgi();
	wait_a_little();
	check_equal(*SMM_COUNT, 1, "after-stgi");
}
SVM_SUBTEST("smi.at-vmrun", test_smi_at_vmrun);
