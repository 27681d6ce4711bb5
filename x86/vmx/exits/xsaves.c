// SPDX-License-Identifier: BSD-2-Clause
/*
 * XSAVES and XRSTORS exit by what they would save: components that are in EDX:EAX, in IA32_XSS and
 * in the XSS-exiting bitmap. SDM volume 3C, "Instructions That Cause VM Exits Conditionally".
 */
#include "exits.h"
#include "msr.h"
#include "string.h"

EXITS_TEXT(xsaves, "", "xsaves (" R(di) ")");
EXITS_TEXT(xrstors, "", "xrstors (" R(di) ")");

static void test_xsaves(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 exit;
	} rows[] = { { "xsaves", xsaves, EXIT_XSAVES }, { "xrstors", xrstors, EXIT_XRSTORS } };
	u64 supported, bit;

	if (!cpu_has(FEATURE_XSAVES)) {
		subtest_skip("the CPU has no XSAVES (CPUID)");
		return;
	}
	if (!vmx_needs(VMX_SECONDARY_XSAVES))
		return;
	supported = cpuid_count(0xd, 1).ecx | (u64)cpuid_count(0xd, 1).edx << 32;
	bit = supported & -supported;
	if (!bit)
		check_skip("the CPU has no state component in IA32_XSS", "exits");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	for (unsigned int i = 0; i < 8 * ARRAY_SIZE(rows); i++) {
		const u32 exit = rows[i / 8].exit;
		struct vmx_guest *guest = exits_guest(L2_NATIVE, rows[i / 8].code);
		bool mask = i & 1, bitmap = i & 2, xss = i & 4;

		if (!bit && xss)
			continue;
		wrmsr(MSR_IA32_XSS, xss ? bit : 0);
		vmx_set(VMX_SECONDARY_XSAVES);
		vmcs_write(VMCS_XSS_EXITING_BITMAP, bitmap ? ~0ull : 0);
		vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_OSXSAVE);
		guest->world.registers.ax = mask ? ~0ul : 0;
		guest->world.registers.dx = mask ? ~0ul : 0;
		guest->world.registers.di = (ulong)operand();
		memset(operand(), 0, 1024);
		*(u64 *)(operand() + 520) = 1ull << 63; /* XCOMP_BV */
		vmx_run(guest);
		check_exit(guest, mask && bitmap && xss ? exit : EXIT_VMCALL,
			   "%s.mask-%u.bitmap-%u.xss-%u", rows[i / 8].name, mask, bitmap, xss);
	}
	wrmsr(MSR_IA32_XSS, 0);
}
VMX_SUBTEST("xsaves", test_xsaves);
