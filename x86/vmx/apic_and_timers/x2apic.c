// SPDX-License-Identifier: BSD-2-Clause
/*
 * "Virtualize x2APIC mode": RDMSR and WRMSR of 800H to 8FFH that go to the virtual-APIC page,
 * although the APIC is in xAPIC mode here, so that what is not virtualised is a #GP. SDM volume 3C,
 * "Virtualizing MSR-Based APIC Accesses"; the MSR bitmaps come first.
 */
#include "apic_and_timers.h"
#include "msr.h"
#include "paging.h"

#define X2APIC(offset) (MSR_X2APIC_BASE + (offset) / 16)

#define X2APIC_MODE VMX_PRIMARY_TPR_SHADOW, VMX_SECONDARY_VIRTUALIZE_X2APIC_MODE

static const u32 mode_controls[] = { X2APIC_MODE, 0 };
static const u32 register_controls[] = { X2APIC_MODE, VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION,
					 0 };

static u32 read_msr(struct apic *a, u32 msr)
{
	a->guest->world.registers.cx = msr;
	a->guest->world.registers.ax = a->guest->world.registers.dx = ~0ul;
	return apic_run(a, apic_rdmsr, 0);
}

static u32 write_msr(struct apic *a, u32 msr, u64 value)
{
	a->guest->world.registers.cx = msr;
	a->guest->world.registers.ax = (u32)value;
	a->guest->world.registers.dx = value >> 32;
	return apic_run(a, apic_wrmsr, 0);
}

static u64 value_read(const struct apic *a)
{
	return (u32)a->guest->world.registers.ax | (u64)a->guest->world.registers.dx << 32;
}

static u64 page_value(const struct apic *a, unsigned int offset)
{
	return a->page[offset / 4] | (u64)a->page[offset / 4 + 1] << 32;
}

/* Eight bytes of the page: of the TPR alone, or of all 256 registers. */
static void test_reads(const u32 *controls, bool all)
{
	struct apic *a = apic_guest(apic_rdmsr, controls);

	if (!a)
		return;
	apic_fill(a);
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		/* The APIC's own range ends at 83FH: beyond it, some of each 16. */
		if (msr > 0x840 && msr % 16 != 15)
			continue;
		read_msr(a, msr);
		if (all || msr == X2APIC(VTPR)) {
			check_exit(a->guest, EXIT_VMCALL, "%x.exit", msr);
			check_equal(value_read(a), page_value(a, (msr & 0xff) << 4), "%x.value",
				    msr);
		} else {
			check_exception(a->guest, FAULT_GP(0), "%x.exit", msr);
		}
	}
	/* The first ones outside. */
	read_msr(a, 0x900);
	check_exception(a->guest, FAULT_GP(0), "900.exit");
}

static void test_reads_tpr(void)
{
	test_reads(mode_controls, false);
}

static void test_reads_all(void)
{
	test_reads(register_controls, true);
}

VMX_SUBTEST("x2apic.read", test_reads_tpr);
VMX_SUBTEST("x2apic.read-registers", test_reads_all);

/* The TPR: all its values, with a threshold; EDX:EAX is stored. */
static void test_write_tpr(void)
{
	for (unsigned int threshold = 0; threshold < 16; threshold += 5)
		for (unsigned int value = 0; value < 256; value += value % 16 ? 31 : 15) {
			struct apic *a = apic_guest(apic_wrmsr, mode_controls);
			bool below = value >> 4 < threshold;

			if (!a)
				return;
			prefix_push("threshold-%u.%02x", threshold, value);
			a->page[VTPR / 4] = a->page[VTPR / 4 + 1] = 0xffffffff;
			vmcs_write(VMCS_TPR_THRESHOLD, threshold);
			write_msr(a, X2APIC(VTPR), value);
			check_exit(a->guest, below ? EXIT_TPR_BELOW_THRESHOLD : EXIT_VMCALL,
				   "exit");
			check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)apic_wrmsr_end, "rip");
			check_equal(page_value(a, VTPR), value, "vtpr");
			prefix_pop();
		}
}

VMX_SUBTEST("x2apic.write-tpr", test_write_tpr);

/* Every other MSR is written as it would be without the control. */
static void test_write_others(void)
{
	struct apic *a = apic_guest(apic_wrmsr, register_controls);

	if (!a)
		return;
	apic_fill(a);
	for (u32 msr = 0x800; msr <= 0x840; msr++) {
		if (msr == X2APIC(VTPR))
			continue;
		write_msr(a, msr, 0);
		check_exception(a->guest, FAULT_GP(0), "%x.exit", msr);
		check_equal(a->page[(msr & 0xff) << 2], PAGE_WORD((msr & 0xff) << 4), "%x.page",
			    msr);
	}
}

VMX_SUBTEST("x2apic.write-others", test_write_others);

/* What is special to virtual-interrupt delivery has bits of its own that must be 0. */
static void test_reserved(const u32 *controls, u32 msr, unsigned int first)
{
	struct apic *a = apic_guest(apic_wrmsr, controls);

	if (!a)
		return;
	apic_fill(a);
	for (unsigned int bit = first; bit < 64; bit++) {
		write_msr(a, msr, 1ull << bit);
		check_exception(a->guest, FAULT_GP(0), "bit-%u.exit", bit);
	}
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)apic_wrmsr, "rip");
	check_equal(a->page[(msr & 0xff) << 2], PAGE_WORD((msr & 0xff) << 4), "page");
}

static void test_reserved_tpr(void)
{
	test_reserved(mode_controls, X2APIC(VTPR), 8);
}

static void test_reserved_eoi(void)
{
	test_reserved(apic_delivery_x2apic, X2APIC(VEOI), 0);
}

static void test_reserved_self_ipi(void)
{
	test_reserved(apic_delivery_x2apic, X2APIC(APIC_SELF_IPI), 8);
}

VMX_SUBTEST("x2apic.reserved.tpr", test_reserved_tpr);
VMX_SUBTEST("x2apic.reserved.eoi", test_reserved_eoi);
VMX_SUBTEST("x2apic.reserved.self-ipi", test_reserved_self_ipi);

/* Vectors below 16 are for software: an exit as by a write to that offset of the page. */
static void test_self_ipi_low(void)
{
	for (unsigned int vector = 0; vector < 16; vector++) {
		struct apic *a = apic_guest(apic_wrmsr, apic_delivery_x2apic);

		if (!a)
			return;
		write_msr(a, X2APIC(APIC_SELF_IPI), vector);
		check_exit_qualification(a->guest, EXIT_APIC_WRITE, APIC_SELF_IPI, "%u.exit",
					 vector);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)apic_wrmsr_end, "%u.rip", vector);
		check_equal(page_value(a, APIC_SELF_IPI), vector, "%u.page", vector);
		check_equal(apic_count(a, VIRR), 0, "%u.not-requested", vector);
	}
}

VMX_SUBTEST("x2apic.self-ipi-low", test_self_ipi_low);

/* The bitmap's bits, or none at all, exit; without the control nothing is virtualised. */
static void test_bitmap(void)
{
	u32 msr = X2APIC(VTPR);
	struct apic *a = apic_guest(apic_rdmsr, mode_controls);

	if (!a || !vmx_needs(VMX_PRIMARY_MSR_BITMAPS))
		return;
	apic_fill(a);
	vmx_intercept_msr(a->guest, msr, true, false);
	read_msr(a, msr);
	check_exit(a->guest, EXIT_RDMSR, "read.exit");
	write_msr(a, msr, 0x50);
	check_exit(a->guest, EXIT_VMCALL, "read.other");
	check_equal(a->page[VTPR / 4], 0x50, "read.other.page");

	apic_guest(apic_wrmsr, mode_controls);
	apic_fill(a);
	vmx_intercept_msr(a->guest, msr, false, true);
	write_msr(a, msr, 0x50);
	check_exit(a->guest, EXIT_WRMSR, "write.exit");
	check_equal(a->page[VTPR / 4], PAGE_WORD(VTPR), "write.page");
	read_msr(a, msr);
	check_exit(a->guest, EXIT_VMCALL, "write.other");
	check_equal(value_read(a), page_value(a, VTPR), "write.other.value");

	apic_guest(apic_wrmsr, mode_controls);
	vmx_clear(VMX_PRIMARY_MSR_BITMAPS);
	read_msr(a, msr);
	check_exit(a->guest, EXIT_RDMSR, "none.read");
	write_msr(a, msr, 0x100);
	check_exit(a->guest, EXIT_WRMSR, "none.write");
}

VMX_SUBTEST("x2apic.bitmap", test_bitmap);

static void test_off(void)
{
	static const u32 shadow[] = { VMX_PRIMARY_TPR_SHADOW, 0 };
	struct apic *a = apic_guest(apic_rdmsr, shadow);

	if (!a)
		return;
	read_msr(a, X2APIC(VTPR));
	check_exception(a->guest, FAULT_GP(0), "read");
	write_msr(a, X2APIC(VTPR), 0x50);
	check_exception(a->guest, FAULT_GP(0), "write");
	check_equal(a->page[VTPR / 4], 0, "page");
}

VMX_SUBTEST("x2apic.off", test_off);

/*
 * With the APIC in x2APIC mode what is not virtualised is L1's own, where its bitmaps let L2 have
 * it; what is virtualised does not reach it. The last: the mode stays.
 */
static void test_in_mode(void)
{
	struct apic *a = apic_guest(apic_rdmsr, mode_controls);

	if (!a)
		return;
	if (!cpu_has(FEATURE_X2APIC)) {
		subtest_skip("the CPU has no x2APIC mode");
		return;
	}
	apic_enable_x2apic();
	apic_fill(a);
	read_msr(a, X2APIC(APIC_ID));
	check_exit(a->guest, EXIT_VMCALL, "id.exit");
	check_equal(value_read(a), apic_id(), "id.own");
	read_msr(a, X2APIC(VTPR));
	check_equal(value_read(a), page_value(a, VTPR), "tpr.read");
	write_msr(a, X2APIC(VTPR), 0x70);
	check_exit(a->guest, EXIT_VMCALL, "tpr.exit");
	check_equal(a->page[VTPR / 4], 0x70, "tpr.page");
	check_equal(apic_read(APIC_TPR), 0, "tpr.not-own");
	write_msr(a, X2APIC(VTPR), 0x100);
	check_exception(a->guest, FAULT_GP(0), "tpr.reserved");
	write_msr(a, X2APIC(APIC_LVT_ERROR), APIC_LVT_MASKED | 0x71);
	check_exit(a->guest, EXIT_VMCALL, "lvt.exit");
	check_equal(apic_read(APIC_LVT_ERROR), APIC_LVT_MASKED | 0x71, "lvt.own");
	check_equal(a->page[APIC_LVT_ERROR / 4], PAGE_WORD(APIC_LVT_ERROR), "lvt.page");
	if (!vmx_allows(VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION)) {
		check_skip("the CPU lacks APIC-register virtualization", "registers.id");
		return;
	}
	vmx_set(VMX_SECONDARY_APIC_REGISTER_VIRTUALIZATION);
	read_msr(a, X2APIC(APIC_ID));
	check_equal(value_read(a), page_value(a, APIC_ID), "registers.id");
}

VMX_SUBTEST("x2apic.in-x2apic-mode", test_in_mode);
