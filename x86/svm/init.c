// SPDX-License-Identifier: BSD-2-Clause
/*
 * INIT while L2 runs: APM volume 2, 15.13.4 "INIT Intercept" and 15.21.8 "INIT Support".
 *
 * Intercepted, INIT is an exit and stays pending; #VMEXIT has cleared GIF, and as long as it
 * is 0 the INIT waits. With STGI it takes effect: the host's CPU waits for a STARTUP IPI, and
 * it is the boot processor that sees it come back. A hypervisor that handles INIT as soon as it
 * sees it kills the host in place of the guest, between #VMEXIT and STGI.
 */
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "smp.h"
#include "string.h"
#include "svm/test.h"
#include "tsc.h"

TEST_SUMMARY("an intercepted INIT is an exit, and waits for STGI");
TEST_MANUAL("APM volume 2, 15.13.4 \"INIT Intercept\"");
TEST_MANUAL("APM volume 2, 15.21.8 \"INIT Support\"");
TEST_NEEDS("SVM, two CPUs");

/* What the other CPU writes down. */
static struct {
	u32 l2_runs, exited, after_stgi;
	u32 stgi_may; /* written here */
} other;

static void l2_spin(void *argument)
{
	WRITE_ONCE(other.l2_runs, 1);
	for (;;)
		cpu_relax();
}

static void run(void *argument)
{
	struct svm_guest *guest = argument;

	svm_run(guest);
	WRITE_ONCE(other.exited, 1);
	WAIT_UNTIL(READ_ONCE(other.stgi_may), 1000000);
	/* The INIT comes here. */
	stgi();
	for (unsigned int i = 0; i < 1000; i++)
		cpu_relax();
	WRITE_ONCE(other.after_stgi, 1);
}

static void test_init(void)
{
	struct svm_guest *guest = svm_guest_call(l2_spin, NULL);

	memset(&other, 0, sizeof(other));
	svm_intercept(guest, VMEXIT_INIT);
	guest->options = SVM_NO_GIF_PROBE | SVM_KEEP_GIF;
	smp_call_async(1, run, guest);
	check(WAIT_UNTIL(READ_ONCE(other.l2_runs), 1000000), "l2-runs");
	apic_icr_write(cpus[1]->apic_id, APIC_DELIVERY_INIT | APIC_ASSERT);
	if (check(WAIT_UNTIL(READ_ONCE(other.exited), 500000), "exit-comes")) {
		check_exit(guest, VMEXIT_INIT, "exit");
		check_equal(guest->vmcb->control.exitintinfo & EVENT_VALID, 0, "exitintinfo");
		WRITE_ONCE(other.stgi_may, 1);
		delay_us(2000);
		check_equal(READ_ONCE(other.after_stgi), 0, "taken-at-stgi");
	}
	smp_restart(1);
}
SVM_SUBTEST("intercepted", test_init);
