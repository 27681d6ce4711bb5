// SPDX-License-Identifier: BSD-2-Clause
/*
 * LDTR and TR ("Checks on Guest Segment Registers"), GDTR and IDTR ("Checks on Guest
 * Descriptor-Table Registers"), RIP and RFLAGS ("Checks on Guest RIP, RFLAGS, and SSP").
 */
#include "control.h"
#include "segment.h"

static const u8 modes[] = {
#ifdef __x86_64__
	L2_LONG,
	L2_COMPAT,
#endif
	L2_PAE,
	L2_V8086,
};

static void check_types(struct vmx_guest *guest, enum segment_number n, u32 legal)
{
	u32 rights = vmcs_read(RIGHTS(n)) & ~RIGHTS_TYPE;

	for (u32 type = 0; type < 16; type++) {
		if (legal & BIT(type))
			must_enter_with(guest, RIGHTS(n), rights | type, "type-%u", type);
		else
			must_refuse(guest, BY_GUEST_STATE, RIGHTS(n), rights | type, "type-%u",
				    type);
	}
}

static void check_base(struct vmx_guest *guest, u32 field)
{
	if (sizeof(ulong) == 4)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(entry_canonical); i++)
		must_enter_with(guest, field, entry_canonical[i].value, "base.legal.%s",
				entry_canonical[i].id);
	for (const struct entry_address *bad = entry_not_canonical(); bad->id; bad++)
		must_refuse(guest, BY_GUEST_STATE, field, bad->value, "base.%s", bad->id);
}

/* TR is always usable, and its TSS busy; a 16-bit one outside of IA-32e mode alone. */
static void test_tr(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest = entry_guest(modes[i]);
		bool is_long = modes[i] == L2_LONG || modes[i] == L2_COMPAT;

		prefix_push("%s", l2_mode_name(modes[i]));
		check_types(guest, TR, is_long ? BIT(11) : BIT(3) | BIT(11));
		check_segment(guest, TR);
		must_refuse_bits(guest, BY_GUEST_STATE, RIGHTS(TR), ACCESS_RIGHTS_UNUSABLE,
				 "unusable");
		must_refuse(guest, BY_GUEST_STATE, SELECTOR(TR), 4, "ti");
		must_refuse(guest, BY_GUEST_STATE, SELECTOR(TR), 0xffff, "ti.all");
		must_enter_with(guest, SELECTOR(TR), 0xfffb, "rpl");
		check_base(guest, BASE(TR));
		prefix_pop();
	}
}

ENTRY_SUBTEST("tr", test_tr);

static void test_ldtr(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest = entry_guest(modes[i]);

		prefix_push("%s", l2_mode_name(modes[i]));
		vmcs_write(RIGHTS(LDTR), ACCESS_RIGHTS(DESC_PRESENT | DESC_LDT, 0));
		must_enter(guest, "legal");
		check_types(guest, LDTR, BIT(2));
		check_segment(guest, LDTR);
		must_refuse(guest, BY_GUEST_STATE, SELECTOR(LDTR), 4, "ti");
		must_refuse(guest, BY_GUEST_STATE, SELECTOR(LDTR), 0xffff, "ti.all");
		must_enter_with(guest, SELECTOR(LDTR), 0xfffb, "rpl");
		check_base(guest, BASE(LDTR));
		prefix_pop();
	}
}

ENTRY_SUBTEST("ldtr", test_ldtr);

static void test_descriptor_tables(void)
{
	static const struct {
		const char *id;
		u32 base, limit;
	} rows[] = {
		{ "gdtr", VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT },
		{ "idtr", VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(rows); j++) {
			struct vmx_guest *guest = entry_guest(modes[i]);

			prefix_push("%s.%s", l2_mode_name(modes[i]), rows[j].id);
			must_enter_with(guest, rows[j].limit, 0, "limit.least");
			must_enter_with(guest, rows[j].limit, 0xffff, "limit.most");
			must_refuse_bits(guest, BY_GUEST_STATE, rows[j].limit, 0xffff0000, "limit");
			check_base(guest, rows[j].base);
			prefix_pop();
		}
	}
}

ENTRY_SUBTEST("descriptor-tables", test_descriptor_tables);

/* Reserved are 63:22, 15, 5 and 3, which are 0, and 1, which is 1. */
#define RFLAGS_RESERVED (~0x3fffffull | BIT(15) | BIT(5) | BIT(3) | BIT(1))

static void test_rflags(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest = entry_guest(modes[i]);
		u64 changed = ~RFLAGS_RESERVED & 0x3fffff & ~(u64)(EFLAGS_VM | EFLAGS_TF);

		/* L1 has no interrupts pending, so that IF is free as well. */
		must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS, RFLAGS_RESERVED,
				 l2_mode_name(modes[i]));
		/* VIF and VIP count in virtual-8086 mode. */
		if (modes[i] == L2_V8086)
			changed &= ~(u64)(EFLAGS_VIF | EFLAGS_VIP);
		prefix_push("legal");
		must_enter_bits(guest, VMCS_GUEST_RFLAGS, changed, l2_mode_name(modes[i]));
		/* The trap after the first instruction. */
		entry_ends_with(EXIT_EXCEPTION_OR_NMI);
		must_enter_with(guest, VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_TF,
				"%s.tf", l2_mode_name(modes[i]));
		prefix_pop();
	}
}

ENTRY_SUBTEST("rflags", test_rflags);

#ifdef __x86_64__
/* Not in IA-32e mode, 64-bit code or not. */
static void test_vm_in_long_mode(void)
{
	struct vmx_guest *guest = entry_guest(L2_LONG);

	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS,
		    vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_VM, "long");
	guest = entry_guest(L2_COMPAT);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RFLAGS,
		    vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_VM, "compat");
}

ENTRY_SUBTEST("vm-in-long-mode", test_vm_in_long_mode);
#endif

/*
 * Nor without protection. The segments are virtual-8086 mode's, which an unrestricted guest in real
 * mode could not have otherwise, for SS.DPL; so both states are illegal but for PE.
 */
static void test_vm_in_real_mode(void)
{
	struct vmx_guest *guest;
	u64 cr0;

	if (!vmx_mode_ready(L2_REAL))
		return;
	guest = entry_guest(L2_V8086);
	vmx_ept(guest);
	vmx_set(VMX_SECONDARY_UNRESTRICTED_GUEST);
	must_enter(guest, "protected");
	cr0 = vmcs_read(VMCS_GUEST_CR0);
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_CR0, cr0 & ~(u64)(CR0_PE | CR0_PG), "real");
}

ENTRY_SUBTEST("vm-in-real-mode", test_vm_in_real_mode);

#ifdef __x86_64__
/*
 * For 64-bit code bits from the linear address width on are alike; the highest bit within is not
 * looked at: such a RIP enters, though it is not canonical, and the first fetch is #GP. For others
 * bits 63:32 are 0.
 */
static void test_rip(void)
{
	unsigned int width = cpu_linear_address_bits();
	struct vmx_guest *guest = entry_guest(L2_LONG);

	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_RIP, ~0ull << width, "long");
	must_refuse(guest, BY_GUEST_STATE, VMCS_GUEST_RIP, ~0ull >> 1, "long.middle");
	guest = entry_guest(L2_COMPAT);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_RIP, ~0ull << 32, "compat");
	guest = entry_guest(L2_PAE);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_RIP, ~0ull << 32, "pae");
	guest = entry_guest(L2_V8086);
	must_refuse_bits(guest, BY_GUEST_STATE, VMCS_GUEST_RIP, ~0ull << 32, "v8086");
}

ENTRY_SUBTEST("rip", test_rip);

static void test_rip_not_canonical(void)
{
	unsigned int width = cpu_linear_address_bits();
	static const char *const ids[] = { "low-half", "high-half" };
	struct vmx_guest *guest = entry_guest(L2_LONG);
	const u64 values[] = { BIT_ULL(width - 1), ~BIT_ULL(width - 1) - 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		u64 rip = vmcs_read(VMCS_GUEST_RIP);

		vmcs_write(VMCS_GUEST_RIP, values[i]);
		entry_run(guest);
		vmcs_write(VMCS_GUEST_RIP, rip);
		check_exception(guest, FAULT_GP(0), "%s", ids[i]);
	}
}

ENTRY_SUBTEST("rip-not-canonical", test_rip_not_canonical);
#endif
