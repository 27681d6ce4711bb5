// SPDX-License-Identifier: BSD-2-Clause
/*
 * XCR0: which combinations of components may be enabled, and what CPUID says of those that
 * are. SDM volume 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features"; volume 3A,
 * "Extended Control Registers (Including XCR0)"; XSETBV's page; CPUID, leaf 0xd.
 */
#include "context.h"
#include "control.h"
#include "msr.h"
#include "sigframe.h"

/* Every rule of the manual, and that the CPU must know the component. */
static bool xcr0_legal(u64 value)
{
	if (value & ~xstate_user() || !(value & XCR0_X87))
		return false;
	if (value & XCR0_AVX && !(value & XCR0_SSE))
		return false;
	if (value & XCR0_MPX && (value & XCR0_MPX) != XCR0_MPX)
		return false;
	if (value & XCR0_AVX512 &&
	    ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX)))
		return false;
	if (value & XCR0_AMX && (value & XCR0_AMX) != XCR0_AMX)
		return false;
	return !(value & BIT_ULL(XSTATE_APX) && value & XCR0_MPX);
}

static void check_xcr0(u64 value)
{
	const u64 before = XCR0_X87 | XCR0_SSE;
	bool legal = xcr0_legal(value);
	struct fault fault;
	u64 after;

	xsetbv(0, before);
	fault = xsetbv_safe(0, value);
	after = xgetbv(0);
	check_fault(fault, legal ? NO_FAULT : FAULT_GP(0), "%#llx", value);
	check_equal(after, legal ? value : before, "%#llx.value", value);
}

/* All of the low bits, PKRU with them; and each other bit alone. */
static void test_combinations(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	for (u64 low = 0; low < 256; low++) {
		check_xcr0(low);
		check_xcr0(low | BIT_ULL(XSTATE_PKRU));
	}
	for (unsigned int bit = 8; bit < 64; bit++)
		if (bit != XSTATE_PKRU)
			check_xcr0(XCR0_X87 | XCR0_SSE | BIT_ULL(bit));
	check_xcr0(XCR0_X87 | XCR0_AMX);
	fpu_enable();
}

SUBTEST("xcr0-combinations", test_combinations);

static ulong xsetbv_in_ring3(ulong unused)
{
	(void)unused;
	return xsetbv_safe(0, xstate_user()).value;
}

static ulong xgetbv_in_ring3(ulong unused)
{
	u64 value;

	(void)unused;
	return xgetbv_safe(0, &value).value;
}

/* Other XCRs, and the privilege: XSETBV is the kernel's, XGETBV everyone's. */
static void test_index(void)
{
	ulong value = 0;
	u64 xcr;

	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	for (unsigned int bit = 0; bit < 32; bit++) {
		check_fault(xsetbv_safe(1u << bit, xstate_user()), FAULT_GP(0), "xsetbv-%#x",
			    1u << bit);
		if (bit || !cpu_has(FEATURE_XGETBV1))
			check_fault(xgetbv_safe(1u << bit, &xcr), FAULT_GP(0), "xgetbv-%#x",
				    1u << bit);
	}
	user_call(xsetbv_in_ring3, 0, &value);
	check_fault((struct fault){ value }, FAULT_GP(0), "xsetbv.ring3");
	value = 0;
	user_call(xgetbv_in_ring3, 0, &value);
	check_fault((struct fault){ value }, NO_FAULT, "xgetbv.ring3");
}

SUBTEST("xcr0-index", test_index);

/* Leaf 0xd: EBX of subleaf 0 is the size of what is enabled, ECX of all there is. */
static void test_sizes(void)
{
	u64 all, xss;

	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	all = xstate_user();
	xss = fpu_has(XSAVES) ? rdmsr(MSR_IA32_XSS) : 0;
	for (u64 low = 0; low < 256; low++) {
		for (unsigned int pkru = 0; pkru < 2; pkru++) {
			u64 value = low | (pkru ? BIT_ULL(XSTATE_PKRU) : 0);

			if (!xcr0_legal(value))
				continue;
			xsetbv(0, value);
			check_equal(cpuid_count(0xd, 0).ebx, xstate_size(value, false),
				    "standard.%#llx", value);
			if (fpu_has(XSAVEC))
				check_equal(cpuid_count(0xd, 1).ebx, xstate_size(value | xss, true),
					    "compacted.%#llx", value);
		}
	}
	fpu_enable();
	check_equal(cpuid_count(0xd, 0).ecx, xstate_size(all, false), "all");
}

SUBTEST("xcr0-sizes", test_sizes);

/* Every component has a place, and no two have the same. */
static void test_places(void)
{
	u64 all;

	if (!fpu_ready())
		return;
	if (!needs(XSAVE))
		return;
	all = xstate_user();
	for (unsigned int n = XSTATE_AVX; n < XSTATE_MAX; n++) {
		struct xstate_component component = xstate_component(n);
		bool alone = true;

		if (!(all >> n & 1))
			continue;
		check(component.size > 0, "%s.size", xstate_name(n));
		check(component.offset >= XSAVE_MIN_SIZE, "%s.offset", xstate_name(n));
		check(!component.supervisor, "%s.user", xstate_name(n));
		for (unsigned int other = XSTATE_AVX; other < n; other++) {
			struct xstate_component o = xstate_component(other);

			alone &= !(all >> other & 1) || component.offset >= o.offset + o.size ||
				 o.offset >= component.offset + component.size;
		}
		check(alone, "%s.alone", xstate_name(n));
	}
}

SUBTEST("xcr0-places", test_places);

/* IA32_XSS takes the supervisor components that CPUID lists, and no others. */
static void test_xss(void)
{
	if (!fpu_ready())
		return;
	if (!needs(XSAVES))
		return;
	for (unsigned int bit = 0; bit < 64; bit++) {
		u64 value = BIT_ULL(bit), read;
		bool there = xstate_supervisor() >> bit & 1;

		wrmsr_safe(MSR_IA32_XSS, 0);
		/* CET's two go together or alone; other pairs have rules of their own. */
		if (there && !(BIT_ULL(bit) & fpu_state_known()))
			continue;
		check_fault(wrmsr_safe(MSR_IA32_XSS, value), there ? NO_FAULT : FAULT_GP(0),
			    "bit-%u", bit);
		rdmsr_safe(MSR_IA32_XSS, &read);
		check_equal(read, there ? value : 0, "bit-%u.value", bit);
	}
	fpu_enable();
}

SUBTEST("xss", test_xss);
