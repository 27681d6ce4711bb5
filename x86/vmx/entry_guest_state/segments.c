// SPDX-License-Identifier: BSD-2-Clause
/* "Checks on Guest Segment Registers", outside of virtual-8086 mode. */
#include "segment.h"
#include "selectors.h"

const char *const segment_names[SEGMENTS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };

static const u8 modes[] = {
#ifdef __x86_64__
	L2_LONG,
	L2_COMPAT,
#endif
	L2_PAE,
};

/* 32-bit code above 1 MiB cannot be fetched with a limit that needs no G. */
static void may_not_fetch(enum segment_number n)
{
	bool is_64bit = vmcs_read(RIGHTS(CS)) & RIGHTS_L;

	entry_ends_with(n == CS && !is_64bit ? EXIT_EXCEPTION_OR_NMI : EXIT_VMCALL);
}

/* G is 0 if a bit of the limit's 11:0 is 0, and 1 if one of 31:20 is 1. */
static void check_limit(struct vmx_guest *guest, enum segment_number n)
{
	u32 rights = vmcs_read(RIGHTS(n)), limit = vmcs_read(LIMIT(n));

	vmcs_write(RIGHTS(n), rights | RIGHTS_G);
	vmcs_write(LIMIT(n), 0xffffffff);
	must_enter(guest, "limit.most");
	must_refuse_bits(guest, BY_GUEST_STATE, LIMIT(n), 0xfff, "limit.with-g");
	must_refuse(guest, BY_GUEST_STATE, LIMIT(n), 0, "limit.with-g.zero");
	must_refuse(guest, BY_GUEST_STATE, RIGHTS(n), rights & ~RIGHTS_G, "limit.without-g");
	may_not_fetch(n);
	must_enter_with(guest, LIMIT(n), 0xfffff, "limit.either.with-g");
	vmcs_write(RIGHTS(n), rights & ~RIGHTS_G);
	vmcs_write(LIMIT(n), 0xfffff);
	must_enter(guest, "limit.either.without-g");
	must_enter_with(guest, LIMIT(n), 0xffffe, "limit.bytes");
	must_refuse_bits(guest, BY_GUEST_STATE, LIMIT(n), 0xfff00000, "limit.without-g");
	entry_ends_with(EXIT_VMCALL);
	vmcs_write(RIGHTS(n), rights);
	vmcs_write(LIMIT(n), limit);
}

/*
 * Some CPUs drop reserved bits of access rights on VMWRITE, and so does KVM (handle_vmwrite()):
 * then no entry sees them.
 */
u32 kept_rights(enum segment_number n, u32 bits)
{
	u32 rights = vmcs_read(RIGHTS(n)), kept;

	vmcs_write(RIGHTS(n), rights | RIGHTS_RESERVED);
	kept = vmcs_read(RIGHTS(n)) & RIGHTS_RESERVED;
	vmcs_write(RIGHTS(n), rights);
	return bits & (kept | ~RIGHTS_RESERVED);
}

void check_segment(struct vmx_guest *guest, enum segment_number n)
{
	u32 reserved = kept_rights(n, RIGHTS_RESERVED);

	if (reserved)
		must_refuse_bits(guest, BY_GUEST_STATE, RIGHTS(n), reserved, "reserved");
	else
		check_skip("VMWRITE drops the reserved bits of access rights", "reserved");
	must_refuse_bits(guest, BY_GUEST_STATE, RIGHTS(n), RIGHTS_P, "not-present");
	must_refuse_bits(guest, BY_GUEST_STATE, RIGHTS(n), RIGHTS_S, "s-inverted");
	check_limit(guest, n);
}

static void test_rights(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		for (enum segment_number n = ES; n <= GS; n++) {
			prefix_push("%s.%s", l2_mode_name(modes[i]), segment_names[n]);
			check_segment(entry_guest(modes[i]), n);
			prefix_pop();
		}
	}
}

ENTRY_SUBTEST("rights", test_rights);

/* An unusable register may hold anything. CS always is one. */
static void test_unusable(void)
{
	static const u8 registers[] = { ES, SS, DS, FS, GS, LDTR };

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(registers); j++) {
			enum segment_number n = registers[j];
			struct vmx_guest *guest = entry_guest(modes[i]);

			prefix_push("%s.%s", l2_mode_name(modes[i]), segment_names[n]);
			vmcs_write(RIGHTS(n), ACCESS_RIGHTS_UNUSABLE);
			must_enter(guest, "rights-0");
			/* SS.DPL is the CPL, also of an unusable SS. */
			must_enter_with(guest, RIGHTS(n), n == SS ? ~(u32)RIGHTS_DPL : ~0u,
					"rights-all");
			must_enter_with(guest, LIMIT(n), ~0u, "limit");
			must_enter_with(guest, SELECTOR(n), 0, "null");
			must_enter_with(guest, SELECTOR(n), n == SS ? 0xfffc : 0xffff, "selector");
			if (sizeof(ulong) == 8 && n != FS && n != GS)
				must_enter_with(guest, BASE(n), 1ull << 47, "base");
			prefix_pop();
		}
	}
}

ENTRY_SUBTEST("unusable", test_unusable);

static bool is_legal_type(enum segment_number n, u32 type, bool unrestricted)
{
	switch (n) {
	case CS: /* accessed code; or as real mode has it */
		return (type & 9) == 9 || (type == 3 && unrestricted);
	case SS: /* accessed, writable data */
		return type == 3 || type == 7;
	default: /* accessed, readable */
		return type & 1 && (!(type & 8) || type & 2);
	}
}

static void check_types(struct vmx_guest *guest, bool unrestricted)
{
	for (enum segment_number n = ES; n <= GS; n++) {
		u32 rights = vmcs_read(RIGHTS(n)) & ~RIGHTS_TYPE;

		for (u32 type = 0; type < 16; type++) {
			if (is_legal_type(n, type, unrestricted))
				must_enter_with(guest, RIGHTS(n), rights | type, "%s.type-%u",
						segment_names[n], type);
			else
				must_refuse(guest, BY_GUEST_STATE, RIGHTS(n), rights | type,
					    "%s.type-%u", segment_names[n], type);
		}
	}
}

static void test_types(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		prefix_push("%s", l2_mode_name(modes[i]));
		check_types(entry_guest(modes[i]), false);
		prefix_pop();
	}
}

ENTRY_SUBTEST("types", test_types);

static struct vmx_guest *unrestricted_guest(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);

	vmx_ept(guest);
	vmx_set(VMX_SECONDARY_UNRESTRICTED_GUEST);
	return guest;
}

static void test_types_unrestricted(void)
{
	if (!vmx_mode_ready(L2_PROTECTED))
		return;
	prefix_push("pae");
	check_types(unrestricted_guest(), true);
	prefix_pop();
	prefix_push("protected");
	check_types(entry_guest(L2_PROTECTED), true);
	prefix_pop();
}

ENTRY_SUBTEST("types-unrestricted", test_types_unrestricted);

struct vmx_guest *ring3_guest(void)
{
	struct vmx_guest *guest = entry_guest(L2_PAE);

	vmcs_write(SELECTOR(CS), USER_CS32);
	vmcs_write(RIGHTS(CS), vmcs_read(RIGHTS(CS)) | RIGHTS_DPL);
	vmcs_write(SELECTOR(SS), USER_DS);
	vmcs_write(RIGHTS(SS), vmcs_read(RIGHTS(SS)) | RIGHTS_DPL);
	return guest;
}

/* Non-conforming code has the DPL of SS, conforming code none that is greater. */
static void check_cs_dpl(struct vmx_guest *guest, u32 cpl, const char *id)
{
	static const u8 types[] = { 9, 11, 13, 15 };
	u32 rights = vmcs_read(RIGHTS(CS)) & ~(RIGHTS_TYPE | RIGHTS_DPL);

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		for (u32 dpl = 0; dpl < 4; dpl++) {
			u32 value = rights | types[i] | RIGHTS_DPL_OF(dpl);

			if (types[i] & 4 ? dpl <= cpl : dpl == cpl)
				must_enter_with(guest, RIGHTS(CS), value, "%s.type-%u.dpl-%u", id,
						types[i], dpl);
			else
				must_refuse(guest, BY_GUEST_STATE, RIGHTS(CS), value,
					    "%s.type-%u.dpl-%u", id, types[i], dpl);
		}
	}
}

static void test_cs_dpl(void)
{
	check_cs_dpl(entry_guest(L2_PAE), 0, "ring-0");
	check_cs_dpl(ring3_guest(), 3, "ring-3");
#ifdef __x86_64__
	check_cs_dpl(entry_guest(L2_LONG), 0, "long");
#endif
}

ENTRY_SUBTEST("cs-dpl", test_cs_dpl);

/* RPLs of CS and SS are the DPL of SS, but in unrestricted guests. */
static void test_ss_dpl(void)
{
	static const u8 guests[] = { 0, 3 };

	for (unsigned int i = 0; i < ARRAY_SIZE(guests); i++) {
		u32 cpl = guests[i];
		struct vmx_guest *guest = cpl ? ring3_guest() : entry_guest(L2_PAE);

		prefix_push("ring-%u", cpl);
		must_enter(guest, "legal");
		for (u32 n = 0; n < 4; n++) {
			if (n == cpl)
				continue;
			must_refuse(guest, BY_GUEST_STATE, SELECTOR(SS),
				    (vmcs_read(SELECTOR(SS)) & ~3u) | n, "ss-rpl-%u", n);
			must_refuse(guest, BY_GUEST_STATE, SELECTOR(CS),
				    (vmcs_read(SELECTOR(CS)) & ~3u) | n, "cs-rpl-%u", n);
			must_refuse(guest, BY_GUEST_STATE, RIGHTS(SS),
				    (vmcs_read(RIGHTS(SS)) & ~RIGHTS_DPL) | RIGHTS_DPL_OF(n),
				    "ss-dpl-%u", n);
		}
		prefix_pop();
	}
}

ENTRY_SUBTEST("ss-dpl", test_ss_dpl);

/* There neither RPL counts; DPLs still do: CS against SS, and of real mode's code 0. */
static void test_dpl_unrestricted(void)
{
	struct vmx_guest *guest;
	u32 rights;

	if (!vmx_mode_ready(L2_PROTECTED))
		return;
	guest = unrestricted_guest();
	for (u32 rpl = 1; rpl < 4; rpl++) {
		must_enter_with(guest, SELECTOR(SS), vmcs_read(SELECTOR(SS)) | rpl, "ss-rpl-%u",
				rpl);
		must_enter_with(guest, SELECTOR(CS), vmcs_read(SELECTOR(CS)) | rpl, "cs-rpl-%u",
				rpl);
		must_enter_with(guest, SELECTOR(DS), vmcs_read(SELECTOR(DS)) | rpl, "ds-rpl-%u",
				rpl);
		must_refuse(guest, BY_GUEST_STATE, RIGHTS(SS),
			    vmcs_read(RIGHTS(SS)) | RIGHTS_DPL_OF(rpl), "ss-dpl-%u", rpl);
		must_refuse(guest, BY_GUEST_STATE, RIGHTS(CS),
			    vmcs_read(RIGHTS(CS)) | RIGHTS_DPL_OF(rpl), "cs-dpl-%u", rpl);
	}
	/* CS of type 3. */
	rights = (vmcs_read(RIGHTS(CS)) & ~RIGHTS_TYPE) | 3;
	vmcs_write(RIGHTS(CS), rights);
	must_enter(guest, "data.legal");
	for (u32 dpl = 1; dpl < 4; dpl++) {
		must_refuse(guest, BY_GUEST_STATE, RIGHTS(CS), rights | RIGHTS_DPL_OF(dpl),
			    "data.cs-dpl-%u", dpl);
		must_refuse(guest, BY_GUEST_STATE, RIGHTS(SS),
			    vmcs_read(RIGHTS(SS)) | RIGHTS_DPL_OF(dpl), "data.ss-dpl-%u", dpl);
	}
	/* Conforming code of DPL 0 goes with any DPL of SS, but not without protection. */
	guest = unrestricted_guest();
	vmcs_write(RIGHTS(CS), vmcs_read(RIGHTS(CS)) | 4);
	for (u32 dpl = 1; dpl < 4; dpl++)
		must_enter_with(guest, RIGHTS(SS), vmcs_read(RIGHTS(SS)) | RIGHTS_DPL_OF(dpl),
				"conforming.ss-dpl-%u", dpl);
	guest = entry_guest(L2_REAL);
	vmcs_write(RIGHTS(CS), (vmcs_read(RIGHTS(CS)) & ~RIGHTS_TYPE) | 15);
	must_enter(guest, "real.legal");
	for (u32 dpl = 1; dpl < 4; dpl++)
		must_refuse(guest, BY_GUEST_STATE, RIGHTS(SS),
			    vmcs_read(RIGHTS(SS)) | RIGHTS_DPL_OF(dpl), "real.ss-dpl-%u", dpl);
}

ENTRY_SUBTEST("dpl-unrestricted", test_dpl_unrestricted);

/* The others: DPL not below RPL, but for conforming code. */
static void test_data_rpl(void)
{
	static const u8 registers[] = { ES, DS, FS, GS };

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		enum segment_number n = registers[i];
		struct vmx_guest *guest = entry_guest(L2_PAE);
		u32 rights = vmcs_read(RIGHTS(n)) & ~(RIGHTS_TYPE | RIGHTS_DPL);
		u32 selector = vmcs_read(SELECTOR(n));

		for (u32 type = 3; type < 16; type += 4) /* data, down, code, conforming */
			for (u32 dpl = 0; dpl < 4; dpl++)
				for (u32 rpl = 0; rpl < 4; rpl++) {
					vmcs_write(RIGHTS(n), rights | type | RIGHTS_DPL_OF(dpl));
					if (type == 15 || rpl <= dpl)
						must_enter_with(guest, SELECTOR(n), selector | rpl,
								"%s.type-%u.dpl-%u.rpl-%u",
								segment_names[n], type, dpl, rpl);
					else
						must_refuse(guest, BY_GUEST_STATE, SELECTOR(n),
							    selector | rpl,
							    "%s.type-%u.dpl-%u.rpl-%u",
							    segment_names[n], type, dpl, rpl);
				}
	}
}

ENTRY_SUBTEST("data-rpl", test_data_rpl);

#ifdef __x86_64__
/* FS's and GS's are canonical, usable or not; the others' have 32 bits if they are usable. */
static void test_bases(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		for (enum segment_number n = ES; n <= GS; n++) {
			struct vmx_guest *guest = entry_guest(modes[i]);

			prefix_push("%s.%s", l2_mode_name(modes[i]), segment_names[n]);
			if (n < FS) {
				must_refuse_bits(guest, BY_GUEST_STATE, BASE(n), ~0ull << 32,
						 "high");
				if (n != CS)
					must_enter_with(guest, BASE(n), 0xffffffff, "legal");
				prefix_pop();
				continue;
			}
			for (unsigned int j = 0; j < ARRAY_SIZE(entry_canonical); j++)
				must_enter_with(guest, BASE(n), entry_canonical[j].value,
						"legal.%s", entry_canonical[j].id);
			for (const struct entry_address *bad = entry_not_canonical(); bad->id;
			     bad++)
				must_refuse(guest, BY_GUEST_STATE, BASE(n), bad->value, "%s",
					    bad->id);
			vmcs_write(RIGHTS(n), ACCESS_RIGHTS_UNUSABLE);
			for (const struct entry_address *bad = entry_not_canonical(); bad->id;
			     bad++)
				must_refuse(guest, BY_GUEST_STATE, BASE(n), bad->value,
					    "unusable.%s", bad->id);
			prefix_pop();
		}
	}
}

ENTRY_SUBTEST("bases", test_bases);

/* 64-bit code has no default size of 32 bits. */
static void test_long_and_big(void)
{
	struct vmx_guest *guest = entry_guest(L2_LONG);

	must_refuse(guest, BY_GUEST_STATE, RIGHTS(CS), vmcs_read(RIGHTS(CS)) | RIGHTS_DB, "long");
	guest = entry_guest(L2_COMPAT);
	must_refuse(guest, BY_GUEST_STATE, RIGHTS(CS), vmcs_read(RIGHTS(CS)) | RIGHTS_L, "compat");
	must_enter_with(guest, RIGHTS(CS), vmcs_read(RIGHTS(CS)) ^ (RIGHTS_L | RIGHTS_DB),
			"compat.inverted");
	guest = entry_guest(L2_PAE);
	may_refuse(guest, RIGHTS(CS), vmcs_read(RIGHTS(CS)) | RIGHTS_L, "CS.L outside IA-32e mode");
}

ENTRY_SUBTEST("long-and-big", test_long_and_big);
#endif
