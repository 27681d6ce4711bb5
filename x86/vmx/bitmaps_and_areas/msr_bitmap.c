// SPDX-License-Identifier: BSD-2-Clause
/*
 * The MSR bitmap: a bit for reads and one for writes of each MSR of two ranges; what is in neither
 * always exits. "MSR-Bitmap Address", "Instructions That Cause VM Exits Conditionally".
 *
 * MSRs that L2 may not read or write without a #GP are as good as others here: an exit comes
 * before what is specific to an MSR, and where there is none the #GP shows it.
 */
#include "bitmaps_and_areas.h"
#include "msr.h"
#include "paging.h"
#include "string.h"

#define READ  1
#define WRITE 2

L2_CODE(read_msr, "rdmsr\n vmcall");
L2_CODE(write_msr, "wrmsr\n vmcall");

static const struct {
	const char *name;
	const u8 *code;
	u8 bit;
	u32 exit;
} accesses[] = { { "read", read_msr, READ, EXIT_RDMSR },
		 { "write", write_msr, WRITE, EXIT_WRMSR } };

static const u32 ranges[] = { 0, 0xc0000000 };
#define RANGE_LAST 0x1fff

static struct vmx_guest *prepare(const u8 *code, u32 msr)
{
	struct vmx_guest *guest = maps_guest(L2_NATIVE, code);

	guest->world.registers.cx = msr;
	return guest;
}

/* L2 went past the bitmap: the instruction was executed, or its MSR is not there. */
static bool passed(void)
{
	u32 reason = vmcs_read(VMCS_EXIT_REASON);

	return reason == EXIT_VMCALL ||
	       (reason == EXIT_EXCEPTION_OR_NMI &&
		(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION) & 0xff) == VECTOR_GP);
}

/*
 * First and last MSR of each range: none, one and both of its bits. Writes that pass are of 0
 * to MSRs that do not exist or do not mind (IA32_P5_MC_ADDR).
 */
static void test_msr(u32 msr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		for (u8 bits = 0; bits <= (READ | WRITE); bits++) {
			struct vmx_guest *guest = prepare(accesses[i].code, msr);

			vmx_intercept_msr(guest, msr, bits & READ, bits & WRITE);
			vmx_run(guest);
			if (bits & accesses[i].bit)
				check_exit_qualification(guest, accesses[i].exit, 0,
							 "%x.%s.bits-%u", msr, accesses[i].name,
							 bits);
			else
				check(passed(), "%x.%s.bits-%u", msr, accesses[i].name, bits);
		}
	}
}

static void test_ends(void)
{
	if (!vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		test_msr(ranges[i]);
		test_msr(ranges[i] + RANGE_LAST);
	}
}
VMX_SUBTEST("msr.ends", test_ends);

/* The bits of all others say nothing about this one. */
static void test_others(void)
{
	if (!vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(ranges); i++) {
		u32 msr = ranges[i / 2] + (i & 1 ? RANGE_LAST : 0);
		unsigned int byte = (msr >> 31) * 1024 + (msr & RANGE_LAST) / 8;

		for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
			struct vmx_guest *guest = prepare(accesses[n].code, msr);

			memset(guest->msr_bitmap, 0xff, PAGE_SIZE);
			guest->msr_bitmap[byte + n * 2048] &= ~(1 << msr % 8);
			vmx_run(guest);
			check(passed(), "%x.%s", msr, accesses[n].name);
		}
	}
}
VMX_SUBTEST("msr.others", test_others);

/* Every bit of an MSR's number: its own bit alone makes a read exit, the write's bit does not. */
static void test_every_bit(void)
{
	if (!vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (unsigned int bit = 0; bit < 13; bit++) {
			u32 msr = ranges[i] + (1u << bit);
			struct vmx_guest *guest = prepare(read_msr, msr);

			vmx_intercept_msr(guest, msr, true, false);
			vmx_run(guest);
			check_exit(guest, EXIT_RDMSR, "%x.read-bit", msr);
			guest = prepare(read_msr, msr);
			vmx_intercept_msr(guest, msr, false, true);
			vmx_run(guest);
			check(passed(), "%x.write-bit", msr);
			guest = prepare(write_msr, msr);
			vmx_intercept_msr(guest, msr, false, true);
			vmx_run(guest);
			check_exit(guest, EXIT_WRMSR, "%x.write", msr);
		}
	}
}
VMX_SUBTEST("msr.every-bit", test_every_bit);

/* Outside the ranges there are no bits: always an exit. */
static void test_outside(void)
{
	static const u32 msrs[] = { 0x2000,	0x10000,    0x40000000, 0x7fffffff, 0x80000000,
				    0xbfffffff, 0xc0002000, 0xc0010000, 0xffffffff };

	if (!vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
			struct vmx_guest *guest = prepare(accesses[n].code, msrs[i]);

			vmx_run(guest);
			check_exit(guest, accesses[n].exit, "%x.%s", msrs[i], accesses[n].name);
		}
	}
}
VMX_SUBTEST("msr.outside", test_outside);

/* Without the control all exit, whatever the bitmap says; ECX alone counts. */
static void test_control(void)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
		struct vmx_guest *guest = prepare(accesses[n].code, MSR_IA32_SYSENTER_CS);

		vmx_clear(VMX_PRIMARY_MSR_BITMAPS);
		vmx_run(guest);
		check_exit(guest, accesses[n].exit, "off.%s", accesses[n].name);
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), 2, "off.%s.length",
			    accesses[n].name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)accesses[n].code, "off.%s.rip",
			    accesses[n].name);
	}
#ifdef __x86_64__
	struct vmx_guest *guest = prepare(read_msr, 0);

	if (vmx_allows(VMX_PRIMARY_MSR_BITMAPS)) {
		guest->world.registers.cx = 1ull << 32 | MSR_IA32_SYSENTER_CS;
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "high-half-of-rcx");
	}
#endif
}
VMX_SUBTEST("msr.control", test_control);

/* Privilege comes first; the value, and whether there is such an MSR, do not. */
static void test_priority(void)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
		struct vmx_guest *guest = prepare(accesses[n].code, MSR_IA32_SYSENTER_CS);

		vmx_clear(VMX_PRIMARY_MSR_BITMAPS);
		vmx_enter_ring3(guest);
		vmx_run(guest);
		check_exception(guest, FAULT_GP(0), "ring3.%s", accesses[n].name);
	}
}
VMX_SUBTEST("msr.ring3", test_priority);

static void test_address(void)
{
	static const u64 bad[] = { 1, 0x800, 1ull << 63 };

	if (!vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	for (unsigned int n = 0; n < ARRAY_SIZE(bad); n++) {
		struct vmx_guest *guest = prepare(read_msr, MSR_IA32_SYSENTER_CS);

		vmcs_write(VMCS_MSR_BITMAP, vmcs_read(VMCS_MSR_BITMAP) | bad[n]);
		vmx_run(guest);
		check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS), "%llx",
			  bad[n]);
	}
}
VMX_SUBTEST("msr.address", test_address);
