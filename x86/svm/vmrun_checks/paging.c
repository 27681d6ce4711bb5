// SPDX-License-Identifier: BSD-2-Clause
/* PDPEs, which VMRUN reads under PAE (15.5.1), and nested paging (15.25.3, 15.25.4). */
#include "control.h"
#include "refuse.h"

/*
 * PDPEs are loaded with CR3: reserved bits in a present one are illegal, in another ignored.
 * Bits 2:1 and 8:5 must be zero, and all above the physical address (5.2.3).
 */
static void test_pdpes(void)
{
	static const struct {
		const char *id;
		u64 flip;
	} legal[] = {
		{ "pwt-pcd", 0x18 },
		{ "available", 0xe00 },
		{ "not-present", 0x1e7 },
		{ "not-present.address", ~0ull << 40 | 1 },
	};
	struct svm_guest *guest = counting_guest(L2_PAE);
	u64 reserved = 0x1e6 | ~0ull << cpu_physical_address_bits();
	u64 *pdpe = tables_entry(&guest->tables, 0xc0000000, 3);
	u64 value = *pdpe;

	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(reserved & BIT_ULL(bit)))
			continue;
		guest = counting_guest(L2_PAE);
		*pdpe = value | BIT_ULL(bit);
		svm_run(guest);
		is_refused(guest, "reserved.bit-%u", bit);
		*pdpe = value;
	}
	must_run(counting_guest(L2_PAE), "again");
	for (unsigned int i = 0; i < ARRAY_SIZE(legal); i++) {
		guest = counting_guest(L2_PAE);
		*pdpe = legal[i].flip ^ value;
		must_run(guest, "%s", legal[i].id);
	}
	*pdpe = value;
}

SVM_SUBTEST("pdpes", test_pdpes);

static struct svm_guest *nested_guest(void)
{
	static struct tables tables;
	struct svm_guest *guest;

	if (!cpu_has(FEATURE_SVM_NP)) {
		subtest_skip("the CPU has no nested paging");
		return NULL;
	}
	guest = counting_guest(L2_PROTECTED);
	if (!tables.root)
		tables = tables_identity(TABLES_NATIVE);
	guest->nested = tables;
	guest->vmcb->control.np_enable = NP_ENABLE;
	guest->vmcb->control.n_cr3 = (ulong)tables.root;
	return guest;
}

#ifdef __x86_64__
static void test_nested_cr3(void)
{
	struct svm_guest *guest = nested_guest();

	if (!guest)
		return;
	must_refuse_bits(guest, FIELD(control.n_cr3), ~0ull << cpu_physical_address_bits(),
			 "nested");
	/* Without nested paging it is nothing. */
	guest->vmcb->control.np_enable = 0;
	guest->vmcb->control.n_cr3 = ~0ull;
	must_run(guest, "off");
}

SVM_SUBTEST("nested-cr3", test_nested_cr3);
#endif

/* A field's types are 0, 1 and 4 to 7; its bits 7:3 are reserved. Each row is in one of 8 fields.
 */
static void test_g_pat(void)
{
	struct svm_guest *guest = nested_guest();
	u64 pat;

	if (!guest)
		return;
	pat = guest->vmcb->save.g_pat;
	for (unsigned int field = 0; field < 8; field++) {
		u64 without = pat & ~(0xffull << field * 8);

		for (unsigned int bit = 3; bit < 8; bit++)
			must_refuse(guest, FIELD(save.g_pat), pat | BIT_ULL(field * 8 + bit),
				    "pa%u.bit-%u", field, bit);
		for (u64 type = 0; type < 8; type++) {
			u64 value = without | type << field * 8;

			if (type == 2 || type == 3) {
				must_refuse(guest, FIELD(save.g_pat), value, "pa%u.type-%llu",
					    field, type);
				continue;
			}
			guest->vmcb->save.g_pat = value;
			must_run(guest, "pa%u.type-%llu", field, type);
			guest->vmcb->save.g_pat = pat;
		}
	}
	guest->vmcb->control.np_enable = 0;
	guest->vmcb->save.g_pat = ~0ull;
	must_run(guest, "off");
}

SVM_SUBTEST("g_pat", test_g_pat);

#ifndef __x86_64__
/* Nested tables have the host's format: a host without paging has none. 15.25.3 */
static void test_host_paging_off(void)
{
	struct svm_guest *guest = nested_guest();
	ulong cr0 = read_cr0();

	if (!guest)
		return;
	must_run(guest, "on");
	/* Linear addresses are physical ones. */
	write_cr0(cr0 & ~CR0_PG);
	guest->vmcb->control.np_enable = 0;
	must_run(guest, "not-nested");
	guest->vmcb->control.np_enable = NP_ENABLE;
	svm_run(guest);
	is_refused(guest, "nested");
	write_cr0(cr0);
	must_run(nested_guest(), "on-again");
}

SVM_SUBTEST("host-paging-off", test_host_paging_off);
#endif
