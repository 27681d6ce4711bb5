// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMCS link pointer ("Checks on Guest Non-Register State"), qualification 4; PDPTEs ("Checks on
 * Guest Page-Directory-Pointer-Table Entries"), qualification 2.
 */
#include "msr.h"
#include "paging.h"
#include "segment.h"
#include "string.h"

#define SHADOW BIT(31) /* in the revision of a VMCS region */

/* It names no VMCS (all ones), or a region of the right kind that is not the current VMCS. */
static void test_link_pointer(void)
{
	struct vmx_guest *guest = entry_guest(L2_NATIVE);
	u32 *region = vmx_region();
	u32 revision = region[0];

	must_enter(guest, "none");
	vmcs_write(VMCS_VMCS_LINK_POINTER, (ulong)region);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER,
			 0xfff | entry_bits_beyond_memory(), "address");
	must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, guest->vmcs_pa, "current");
	must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, ~0ull - 1, "almost-none");
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	for (unsigned int bit = 0; bit < 31; bit++) {
		region[0] = revision ^ BIT(bit);
		must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, (ulong)region,
			    "revision.bit-%u", bit);
	}
	region[0] = revision | SHADOW;
	must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, (ulong)region, "shadow");
	region[0] = revision;
}

ENTRY_SUBTEST("link-pointer", test_link_pointer);

/* With VMCS shadowing it is a shadow VMCS that it must name. */
static void test_shadow_link_pointer(void)
{
	static u8 bitmap[4096] __aligned(4096);
	struct vmx_guest *guest;
	u32 *region, revision;

	if (!vmx_needs(VMX_SECONDARY_VMCS_SHADOWING))
		return;
	guest = entry_guest(L2_NATIVE);
	region = vmx_region();
	revision = region[0];
	vmx_set(VMX_SECONDARY_VMCS_SHADOWING);
	vmcs_write(VMCS_VMREAD_BITMAP_ADDRESS, (ulong)bitmap);
	vmcs_write(VMCS_VMWRITE_BITMAP_ADDRESS, (ulong)bitmap);
	must_enter(guest, "none");
	must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, (ulong)region, "ordinary");
	region[0] = revision | SHADOW;
	must_enter_with(guest, VMCS_VMCS_LINK_POINTER, (ulong)region, "legal");
	region[0] = (revision ^ 1) | SHADOW;
	must_refuse(guest, BY_LINK_POINTER, VMCS_VMCS_LINK_POINTER, (ulong)region, "revision");
	region[0] = revision;
}

ENTRY_SUBTEST("shadow-link-pointer", test_shadow_link_pointer);

/* Of a present PDPTE 2:1, 8:5 and what no physical address has are reserved. */
static u64 reserved_pdpte_bits(void)
{
	return 0x1e6 | ~0ull << cpu_physical_address_bits();
}

static const struct {
	const char *id;
	u64 flip;
} legal_pdptes[] = {
	{ "pwt-pcd", 0x18 },
	{ "available", 0xe00 },
	{ "not-present", 0x1e7 },
	{ "not-present.address", ~0ull << 40 | 1 },
};

/* Tables whose fourth entry (3 to 4 GiB, which L2 does not use) is to be spoilt. */
static u64 spoilt[4] __aligned(4096);

static void prepare(const struct vmx_guest *guest)
{
	memcpy(spoilt, guest->tables.root, sizeof(spoilt));
}

/* Without EPT they are read from memory, where CR3 points to. */
static void test_pdptes_in_memory(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);
	u64 reserved = reserved_pdpte_bits();

	prepare(guest);
	must_enter_with(guest, VMCS_GUEST_CR3, (ulong)spoilt, "legal");
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(reserved & BIT_ULL(bit)))
			continue;
		prepare(guest);
		spoilt[3] ^= BIT_ULL(bit);
		must_refuse(guest, BY_PDPTE, VMCS_GUEST_CR3, (ulong)spoilt, "reserved.bit-%u", bit);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(legal_pdptes); i++) {
		prepare(guest);
		spoilt[3] ^= legal_pdptes[i].flip;
		must_enter_with(guest, VMCS_GUEST_CR3, (ulong)spoilt, "legal.%s",
				legal_pdptes[i].id);
	}
	for (unsigned int i = 0; i < 4; i++) {
		prepare(guest);
		spoilt[i] |= 2;
		must_refuse(guest, BY_PDPTE, VMCS_GUEST_CR3, (ulong)spoilt, "entry-%u", i);
	}
}

ENTRY_SUBTEST("pdptes-in-memory", test_pdptes_in_memory);

/* Elsewhere in the page than at its start: 31:5 of CR3 count. */
static void test_pdptes_offset(void)
{
	static u64 page[512] __aligned(4096);
	struct vmx_guest *guest = entry_guest(L2_PAE);
	const u64 *root = guest->tables.root;

	memcpy(&page[508], root, 32);
	must_enter_with(guest, VMCS_GUEST_CR3, (ulong)&page[508], "legal");
	page[511] |= 2;
	must_refuse(guest, BY_PDPTE, VMCS_GUEST_CR3, (ulong)&page[508], "reserved");
}

ENTRY_SUBTEST("pdptes-offset", test_pdptes_offset);

/* With EPT they are fields, and memory is not looked at. */
static void test_pdptes_in_fields(void)
{
	struct vmx_guest *guest;
	u64 value;

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	guest = entry_guest(L2_PAE);
	must_enter_with(guest, VMCS_GUEST_PDPTE3, ~0ull, "without-ept");
	vmx_ept(guest);
	value = vmcs_read(VMCS_GUEST_PDPTE3);
	must_enter(guest, "legal");
	must_refuse_bits(guest, BY_PDPTE, VMCS_GUEST_PDPTE3, reserved_pdpte_bits(), "reserved");
	for (unsigned int i = 0; i < ARRAY_SIZE(legal_pdptes); i++)
		must_enter_with(guest, VMCS_GUEST_PDPTE3, value ^ legal_pdptes[i].flip, "legal.%s",
				legal_pdptes[i].id);
	for (unsigned int i = 0; i < 4; i++) {
		u32 field = VMCS_GUEST_PDPTE0 + 2 * i;

		must_refuse(guest, BY_PDPTE, field, vmcs_read(field) | 2, "entry-%u", i);
	}
	prepare(guest);
	for (unsigned int i = 0; i < 4; i++)
		spoilt[i] |= 2;
	must_enter_with(guest, VMCS_GUEST_CR3, (ulong)spoilt, "memory");
}

ENTRY_SUBTEST("pdptes-in-fields", test_pdptes_in_fields);

/* Other paging modes have none. */
static void test_pdptes_not_pae(void)
{
	static const u8 modes[] = {
#ifdef __x86_64__
		L2_LONG,
		L2_COMPAT,
#endif
		L2_32BIT,
	};

	if (!vmx_needs(VMX_SECONDARY_EPT))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmx_guest *guest = entry_guest(modes[i]);

		vmx_ept(guest);
		must_enter_with(guest, VMCS_GUEST_PDPTE0, ~0ull, "%s", l2_mode_name(modes[i]));
	}
	if (vmx_allows(VMX_SECONDARY_UNRESTRICTED_GUEST))
		must_enter_with(entry_guest(L2_PROTECTED), VMCS_GUEST_PDPTE0, ~0ull, "protected");
	else
		check_skip("the CPU has no unrestricted guests", "protected");
}

ENTRY_SUBTEST("pdptes-not-pae", test_pdptes_not_pae);
