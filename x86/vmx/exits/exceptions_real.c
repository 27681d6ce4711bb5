// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exceptions have no error code in real mode, although the vector has one elsewhere: bit 11 of the
 * VM-exit interruption information is 0 there. SDM volume 3C, "Information for VM Exits Due to
 * Vectored Events". A hypervisor that hands such an exit on by a list of vectors, or injects what
 * it says, gives L2 a frame that it does not expect. Virtual-8086 mode has error codes again.
 */
#include "exits.h"

L2_CODE(divide, ".code16\n div %cl");
L2_CODE(undefined, ".code16\n ud2");
/* A word at the limit. */
L2_CODE(beyond_ds, ".code16\n movw %ax, 0xffff");
L2_CODE(beyond_ss, ".code16\n movw %ax, %ss:0xffff");

static const struct row {
	const char *name;
	const u8 *code;
	u8 vector;
	bool error_code; /* where there are any */
	bool no_idt;	 /* its delivery ends in another, which L1 does not want */
} rows[] = {
	{ "de", divide, VECTOR_DE, false, false },   { "ud", undefined, VECTOR_UD, false, false },
	{ "gp", beyond_ds, VECTOR_GP, true, false }, { "ss", beyond_ss, VECTOR_SS, true, false },
	{ "df", beyond_ds, VECTOR_DF, true, true },
};

static void test_mode(enum l2_mode mode)
{
	if (!vmx_mode_ready(mode))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		bool error_code = rows[i].error_code && mode != L2_REAL;
		struct vmx_guest *guest = exits_guest(mode, rows[i].code);
		u64 rip = vmcs_read(VMCS_GUEST_RIP);

		guest->world.registers.cx = 0;
		if (rows[i].no_idt)
			vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
		vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << rows[i].vector);
		vmx_run(guest);
		check_exception(guest, fault_make(rows[i].vector, error_code, 0), "%s",
				rows[i].name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), rip, "%s.rip", rows[i].name);
	}
}

static void test_real(void)
{
	test_mode(L2_REAL);
}
VMX_SUBTEST("exception.real", test_real);

static void test_v8086(void)
{
	test_mode(L2_V8086);
}
VMX_SUBTEST("exception.v8086", test_v8086);
