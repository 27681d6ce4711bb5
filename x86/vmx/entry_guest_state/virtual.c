// SPDX-License-Identifier: BSD-2-Clause
/* "Checks on Guest Segment Registers" in virtual-8086 mode: all that counts is fixed. */
#include "segment.h"

static void test_v8086(void)
{
	for (enum segment_number n = ES; n <= GS; n++) {
		struct vmx_guest *guest = entry_guest(L2_V8086);
		u64 base = vmcs_read(BASE(n));

		prefix_push("%s", segment_names[n]);
		must_refuse_bits(guest, BY_GUEST_STATE, BASE(n), ~0ull, "base");
		must_refuse(guest, BY_GUEST_STATE, BASE(n), base + 1, "base.plus-1");
		must_refuse(guest, BY_GUEST_STATE, BASE(n), base + 16, "base.plus-16");
		must_refuse(guest, BY_GUEST_STATE, SELECTOR(n), vmcs_read(SELECTOR(n)) + 1,
			    "selector.plus-1");
		must_refuse_bits(guest, BY_GUEST_STATE, LIMIT(n), ~0u, "limit");
		must_refuse_bits(guest, BY_GUEST_STATE, RIGHTS(n), kept_rights(n, ~0u), "rights");
		prefix_pop();
	}
}

ENTRY_SUBTEST("v8086", test_v8086);

/* Their bits 2:0 are neither RPL nor TI. */
static void test_v8086_selectors(void)
{
	static const u8 registers[] = { ES, SS, DS, FS, GS };
	static const u16 selectors[] = { 0, 1, 4, 0x1237, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		enum segment_number n = registers[i];
		struct vmx_guest *guest = entry_guest(L2_V8086);

		for (unsigned int j = 0; j < ARRAY_SIZE(selectors); j++) {
			vmcs_write(BASE(n), selectors[j] << 4);
			must_enter_with(guest, SELECTOR(n), selectors[j], "%s.%#x",
					segment_names[n], selectors[j]);
		}
	}
}

ENTRY_SUBTEST("v8086-selectors", test_v8086_selectors);
