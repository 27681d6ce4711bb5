// SPDX-License-Identifier: BSD-2-Clause
/*
 * What L2 reads of the TSC, by RDTSC, RDTSCP and RDMSR of IA32_TIME_STAMP_COUNTER: with "use TSC
 * offsetting" the TSC plus an offset, which is signed; with "use TSC scaling" in addition its
 * product with a multiplier of 48 fraction bits before that. SDM volume 3C, "Changes to
 * Instruction Behavior in VMX Non-Root Operation"; "Timer and TSC" fields of the controls.
 */
#include "apic_and_timers.h"
#include "msr.h"
#include "tsc.h"

L2_CODE(reads_rdtsc, "rdtsc\n vmcall");
L2_CODE(reads_rdtscp, "rdtscp\n vmcall");
L2_CODE(reads_msr, "rdmsr\n vmcall");

static const struct reader {
	const char *name;
	const u8 *code;
	u32 control;
} readers[] = {
	{ "rdtsc", reads_rdtsc, 0 },
	{ "rdtscp", reads_rdtscp, VMX_SECONDARY_RDTSCP },
	{ "rdmsr", reads_msr, 0 },
};

#define ONE (1ull << 48)

/* The upper bits of the product; of a TSC and a multiplier that are not too large. */
static u64 scale(u64 tsc, u64 multiplier)
{
	u64 a = tsc >> 32, b = (u32)tsc, c = multiplier >> 32, d = (u32)multiplier;

	return ((a * c) << 16) + ((a * d + b * c + (b * d >> 32)) >> 16);
}

/* Reads once; off: the controls are 0, which makes the field none. */
static void check_read(const struct reader *reader, bool offsetting, bool scaling, u64 offset,
		       u64 multiplier, const char *id)
{
	static const u32 none[] = { 0 };
	struct apic *a = apic_guest(reader->code, none);
	u64 before, after, seen;

	if (!a)
		return;
	if (reader->control)
		vmx_set(reader->control);
	vmcs_write(VMCS_TSC_OFFSET, offset);
	if (offsetting)
		vmx_set(VMX_PRIMARY_TSC_OFFSETTING);
	if (vmx_allows(VMX_SECONDARY_TSC_SCALING))
		vmcs_write(VMCS_TSC_MULTIPLIER, multiplier);
	if (scaling)
		vmx_set(VMX_SECONDARY_TSC_SCALING);
	a->guest->world.registers.ax = ~0ul;
	a->guest->world.registers.dx = ~0ul;
	a->guest->world.registers.cx = MSR_IA32_TSC;
	before = rdtsc();
	vmx_run(a->guest);
	after = rdtsc();
	if (!check_exit(a->guest, EXIT_VMCALL, "%s.exit", id))
		return;
	if (offsetting && scaling) {
		before = scale(before, multiplier);
		after = scale(after, multiplier);
	}
	seen = (u32)a->guest->world.registers.ax | (u64)a->guest->world.registers.dx << 32;
	seen -= offsetting ? offset : 0;
	check(seen - before <= after - before, "%s.value", id);
#ifdef __x86_64__
	/* The upper halves are cleared. */
	check_equal((a->guest->world.registers.ax | a->guest->world.registers.dx) >> 32, 0,
		    "%s.upper-halves", id);
#endif
}

static const s64 offsets[] = { 0, 1, 1ll << 40, -(1ll << 40), 1ll << 62, -1 };

/* Both settings; a multiplier alone, without "use TSC offsetting", is not looked at. */
static void test_offset(void)
{
	if (!vmx_needs(VMX_PRIMARY_TSC_OFFSETTING))
		return;
	for (const struct reader *r = readers; r < readers + ARRAY_SIZE(readers); r++)
		for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
			prefix_push("%s.offset-%u", r->name, i);
			if (r->control && !vmx_allows(r->control)) {
				check_skip("the CPU lacks the control RDTSCP", "on.value");
			} else {
				check_read(r, true, false, offsets[i], 3 * ONE, "on");
				check_read(r, false, false, offsets[i], 3 * ONE, "off");
			}
			prefix_pop();
		}
}

VMX_SUBTEST("tsc-offset", test_offset);

static void test_scaling(void)
{
	static const u64 multipliers[] = { ONE,		2 * ONE, ONE / 2,
					   3 * ONE / 2, ONE + 1, 0x123456789abc };

	if (!vmx_needs(VMX_PRIMARY_TSC_OFFSETTING) || !vmx_needs(VMX_SECONDARY_TSC_SCALING))
		return;
	for (const struct reader *r = readers; r < readers + ARRAY_SIZE(readers); r++)
		for (unsigned int i = 0; i < ARRAY_SIZE(multipliers); i++) {
			prefix_push("%s.multiplier-%#llx", r->name, multipliers[i]);
			check_read(r, true, true, 0, multipliers[i], "alone");
			check_read(r, true, true, 1ull << 40, multipliers[i], "offset");
			check_read(r, true, true, -(1ull << 40), multipliers[i], "negative-offset");
			check_read(r, false, true, 1ull << 40, multipliers[i], "not-offsetting");
			prefix_pop();
		}
}

VMX_SUBTEST("tsc-scaling", test_scaling);
