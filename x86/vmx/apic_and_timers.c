// SPDX-License-Identifier: BSD-2-Clause
/*
 * TPR shadow, preemption timer, TSC offset, INVVPID. SDM volume 3C, "Virtualizing CR8-Based TPR
 * Accesses" and "TPR Virtualization"; "VMX-Preemption Timer"; "Changes to Instruction Behavior in
 * VMX Non-Root Operation", RDTSC; "INVVPID - Invalidate Translations Based on VPID".
 *
 * A nested hypervisor merges its own use of each with L1's: offsets have to be added, a timer
 * that L1 has set must neither be early nor be lost, and VPIDs of L1 are not those of the CPU.
 */
#include "msr.h"
#include "page_alloc.h"
#include "tsc.h"
#include "vmx/test.h"

TEST_SUMMARY("TPR shadow, preemption timer, TSC offset and INVVPID do what the manual says");
TEST_MANUAL("SDM volume 3C, \"TPR Virtualization\"");
TEST_MANUAL("SDM volume 3C, \"VMX-Preemption Timer\"");
TEST_MANUAL("SDM volume 3C, \"VMX Instruction Reference\", INVVPID");
TEST_NEEDS("VMX");

#define VTPR 0x80 /* in the virtual-APIC page */

#ifdef __x86_64__
L2_CODE(moves_cr8, "mov %rbx, %cr8\n mov %cr8, %rcx\n hlt");

/* VTPR[7:4] is CR8; below the threshold the exit follows the instruction, as a trap. */
static void test_tpr_shadow(void)
{
	u32 *page = page_alloc();

	if (!vmx_needs(VMX_PRIMARY_TPR_SHADOW))
		return;
	for (unsigned int threshold = 0; threshold < 16; threshold += 5)
		for (unsigned int cr8 = 0; cr8 < 16; cr8++) {
			struct vmx_guest *guest;
			bool below = cr8 < threshold;

			page[VTPR / 4] = 0xf0;
			guest = vmx_guest(L2_NATIVE, moves_cr8);
			vmx_set(VMX_PRIMARY_TPR_SHADOW);
			vmx_clear(VMX_PRIMARY_CR8_LOAD_EXITING);
			vmx_clear(VMX_PRIMARY_CR8_STORE_EXITING);
			vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)page);
			vmcs_write(VMCS_TPR_THRESHOLD, threshold);
			guest->world.registers.bx = cr8;
			vmx_run(guest);
			check_exit(guest, below ? EXIT_TPR_BELOW_THRESHOLD : EXIT_HLT,
				   "threshold-%u.cr8-%u", threshold, cr8);
			check_equal(page[VTPR / 4], cr8 << 4, "threshold-%u.cr8-%u.vtpr", threshold,
				    cr8);
			check_equal(vmcs_read(VMCS_GUEST_RIP) - (ulong)moves_cr8, below ? 4 : 8,
				    "threshold-%u.cr8-%u.rip", threshold, cr8);
			if (!below)
				check_equal(guest->world.registers.cx, cr8,
					    "threshold-%u.cr8-%u.read", threshold, cr8);
		}
}

VMX_SUBTEST("tpr-shadow", test_tpr_shadow);
#endif

L2_CODE(spins, "1: jmp 1b");
L2_CODE(exits, "hlt");

/* Never early: the TSC has moved by the value, in units of 2 to the IA32_VMX_MISC[4:0]. */
static void test_preemption_timer(void)
{
	static const u32 values[] = { 0, 1, 100, 5000 };
	unsigned int shift = rdmsr(MSR_IA32_VMX_MISC) & 31;
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_PREEMPTION_TIMER))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		u64 start, end;

		guest = vmx_guest(L2_NATIVE, spins);
		vmx_set(VMX_PIN_PREEMPTION_TIMER);
		vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, values[i]);
		start = rdtsc();
		vmx_run(guest);
		end = rdtsc();
		check_exit(guest, EXIT_PREEMPTION_TIMER, "value-%u", values[i]);
		/* The timer counts down where a bit of the TSC changes: one unit may be partial. */
		check((end - start) >> shift >= (values[i] ? values[i] - 1 : 0),
		      "value-%u.not-early", values[i]);
		/* Without "save VMX-preemption timer value" the field stays. */
		check_equal(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE), values[i], "value-%u.field",
			    values[i]);
	}
	/* 0 exits before the first instruction. */
	guest = vmx_guest(L2_NATIVE, exits);
	vmx_set(VMX_PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0);
	vmx_run(guest);
	check_exit(guest, EXIT_PREEMPTION_TIMER, "zero-before-hlt");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)exits, "zero-before-hlt.rip");
}

VMX_SUBTEST("preemption-timer", test_preemption_timer);

/* Saved: what is left after another exit, 0 after its own. */
static void test_preemption_timer_saved(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PIN_PREEMPTION_TIMER) || !vmx_needs(VMX_EXIT_SAVE_PREEMPTION_TIMER))
		return;
	guest = vmx_guest(L2_NATIVE, exits);
	vmx_set(VMX_PIN_PREEMPTION_TIMER);
	vmx_set(VMX_EXIT_SAVE_PREEMPTION_TIMER);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, 0xfffffff0);
	vmx_run(guest);
	check_exit(guest, EXIT_HLT, "other");
	check(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE) <= 0xfffffff0 &&
		  vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE) > 0xf0000000,
	      "other.left");
	vmcs_write(VMCS_GUEST_RIP, (ulong)spins);
	vmcs_write(VMCS_VMX_PREEMPTION_TIMER_VALUE, 100);
	vmx_run(guest);
	check_exit(guest, EXIT_PREEMPTION_TIMER, "own");
	check_equal(vmcs_read(VMCS_VMX_PREEMPTION_TIMER_VALUE), 0, "own.left");
}

VMX_SUBTEST("preemption-timer.saved", test_preemption_timer_saved);

L2_CODE(reads_tsc, "rdtsc\n hlt");

/* RDTSC of L2 is the TSC plus the offset, which is signed; without the control it is not. */
static void test_tsc_offset(void)
{
	static const s64 offsets[] = { 0, 1ll << 40, -(1ll << 40), 1ll << 62 };

	if (!vmx_needs(VMX_PRIMARY_TSC_OFFSETTING))
		return;
	for (unsigned int on = 0; on < 2; on++)
		for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
			struct vmx_guest *guest = vmx_guest(L2_NATIVE, reads_tsc);
			u64 before, after, seen;

			vmcs_write(VMCS_TSC_OFFSET, offsets[i]);
			if (on)
				vmx_set(VMX_PRIMARY_TSC_OFFSETTING);
			before = rdtsc();
			vmx_run(guest);
			after = rdtsc();
			seen = (u32)guest->world.registers.ax | (u64)guest->world.registers.dx
								    << 32;
			seen -= on ? offsets[i] : 0;
			check_exit(guest, EXIT_HLT, "%s.offset-%u.exit", on ? "on" : "off", i);
			check(seen >= before && seen <= after, "%s.offset-%u", on ? "on" : "off",
			      i);
		}
}

VMX_SUBTEST("tsc-offset", test_tsc_offset);

/* Each type with a VPID and with 0; reserved bits; a linear address that is not canonical. */
static void test_invvpid(void)
{
	u64 capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);

	if (!vmx_needs(VMX_SECONDARY_VPID))
		return;
	if (!(capabilities & VPID_INVVPID)) {
		subtest_skip("the CPU has no INVVPID");
		return;
	}
	vmx_guest(L2_NATIVE, exits); /* a current VMCS, for the error's number */
	for (unsigned int type = 0; type < 6; type++) {
		bool supported = type < 4 && capabilities & VPID_INVVPID_ADDRESS << type;
		struct vmx_result good = supported ? VMX_SUCCEED : VMX_FAIL_VALID(28);
		struct invvpid_descriptor d = { .vpid = 1, .linear = 0x1000 };

		check_vmx(invvpid(type, &d), good, "type-%u.vpid-1", type);
		d.vpid = 0;
		check_vmx(invvpid(type, &d), type == 2 ? good : VMX_FAIL_VALID(28),
			  "type-%u.vpid-0", type);
		d.vpid = 1;
		d.reserved[0] = 1;
		check_vmx(invvpid(type, &d), VMX_FAIL_VALID(28), "type-%u.reserved", type);
		if (sizeof(ulong) == 8) {
			d = (struct invvpid_descriptor){ .vpid = 1, .linear = 1ull << 63 };
			check_vmx(invvpid(type, &d), type ? good : VMX_FAIL_VALID(28),
				  "type-%u.not-canonical", type);
		}
	}
}

VMX_SUBTEST("invvpid", test_invvpid);
