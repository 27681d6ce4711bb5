// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMREAD and VMWRITE: of which encodings there is a field, of which it can be written, and what
 * is kept of a value. SDM volume 3D, appendix B, whose footnotes tell on what a field depends;
 * volume 3C, VMREAD, VMWRITE; "VMREAD, VMWRITE, and Encodings of VMCS Fields".
 */
#include "instructions.h"
#include "msr.h"
#include "printf.h"
#include "tally.h"

#define UNSUPPORTED VMX_FAIL_VALID(VM_ERROR_UNSUPPORTED_COMPONENT)
#define READ_ONLY   VMX_FAIL_VALID(VM_ERROR_VMWRITE_READ_ONLY)
#define ENCODINGS   0x8000

/* A field that exists only if the CPU allows one of two controls. */
static const struct condition {
	u16 first, last;
	u32 controls[2];
} conditions[] = {
	{ VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 0, { VMX_SECONDARY_VPID } },
	{ VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0, { VMX_PIN_POSTED_INTERRUPTS } },
	{ VMCS_EPTP_INDEX, 0, { VMX_SECONDARY_EPT_VIOLATION_VE } },
	{ VMCS_GUEST_INTERRUPT_STATUS, 0, { VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY } },
	{ VMCS_PML_INDEX, 0, { VMX_SECONDARY_PML } },
	{ VMCS_MSR_BITMAP, 0, { VMX_PRIMARY_MSR_BITMAPS } },
	{ VMCS_PML_ADDRESS, 0, { VMX_SECONDARY_PML } },
	{ VMCS_VIRTUAL_APIC_ADDRESS, 0, { VMX_PRIMARY_TPR_SHADOW } },
	{ VMCS_APIC_ACCESS_ADDRESS, 0, { VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES } },
	{ VMCS_POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 0, { VMX_PIN_POSTED_INTERRUPTS } },
	{ VMCS_VM_FUNCTION_CONTROLS, 0, { VMX_SECONDARY_VM_FUNCTIONS } },
	{ VMCS_EPT_POINTER, 0, { VMX_SECONDARY_EPT } },
	{ VMCS_EOI_EXIT_BITMAP_0,
	  VMCS_EOI_EXIT_BITMAP_3,
	  { VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY } },
	{ VMCS_VMREAD_BITMAP_ADDRESS,
	  VMCS_VMWRITE_BITMAP_ADDRESS,
	  { VMX_SECONDARY_VMCS_SHADOWING } },
	{ VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS,
	  0,
	  { VMX_SECONDARY_EPT_VIOLATION_VE } },
	{ VMCS_XSS_EXITING_BITMAP, 0, { VMX_SECONDARY_XSAVES } },
	{ VMCS_ENCLS_EXITING_BITMAP, 0, { VMX_SECONDARY_ENCLS_EXITING } },
	{ VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER, 0, { VMX_SECONDARY_SUB_PAGE_WRITE } },
	{ VMCS_TSC_MULTIPLIER, 0, { VMX_SECONDARY_TSC_SCALING } },
	{ VMCS_GUEST_PHYSICAL_ADDRESS, 0, { VMX_SECONDARY_EPT } },
	{ VMCS_GUEST_IA32_PAT, 0, { VMX_ENTRY_LOAD_PAT, VMX_EXIT_SAVE_PAT } },
	{ VMCS_GUEST_IA32_EFER, 0, { VMX_ENTRY_LOAD_EFER, VMX_EXIT_SAVE_EFER } },
	{ VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, 0, { VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL } },
	{ VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3, { VMX_SECONDARY_EPT } },
	{ VMCS_GUEST_IA32_BNDCFGS, 0, { VMX_ENTRY_LOAD_BNDCFGS, VMX_EXIT_CLEAR_BNDCFGS } },
	{ VMCS_GUEST_IA32_PKRS, 0, { VMX_ENTRY_LOAD_PKRS } },
	{ VMCS_HOST_IA32_PAT, 0, { VMX_EXIT_LOAD_PAT } },
	{ VMCS_HOST_IA32_EFER, 0, { VMX_EXIT_LOAD_EFER } },
	{ VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0, { VMX_EXIT_LOAD_PERF_GLOBAL_CTRL } },
	{ VMCS_HOST_IA32_PKRS, 0, { VMX_EXIT_LOAD_PKRS } },
	{ VMCS_TPR_THRESHOLD, 0, { VMX_PRIMARY_TPR_SHADOW } },
	{ VMCS_SECONDARY_CONTROLS, 0, { VMX_PRIMARY_SECONDARY_CONTROLS } },
	{ VMCS_PLE_GAP, VMCS_PLE_WINDOW, { VMX_SECONDARY_PAUSE_LOOP_EXITING } },
	{ VMCS_VMX_PREEMPTION_TIMER_VALUE, 0, { VMX_PIN_PREEMPTION_TIMER } },
	{ VMCS_GUEST_IA32_S_CET, VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, { VMX_ENTRY_LOAD_CET } },
	{ VMCS_HOST_IA32_S_CET, VMCS_HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, { VMX_EXIT_LOAD_CET } },
};

static bool must_exist(u32 field)
{
	/* "EPTP switching" is a VM function; the values go by a count in IA32_VMX_MISC. */
	if (field == VMCS_EPTP_LIST_ADDRESS)
		return vmx_allows(VMX_SECONDARY_VM_FUNCTIONS) && rdmsr(MSR_IA32_VMX_VMFUNC) & 1;
	if (field >= VMCS_CR3_TARGET_VALUE_0 && field <= VMCS_CR3_TARGET_VALUE_3)
		return (field - VMCS_CR3_TARGET_VALUE_0) / 2 <
		       (rdmsr(MSR_IA32_VMX_MISC) >> 16 & 0x1ff);
	for (const struct condition *c = conditions; c < conditions + ARRAY_SIZE(conditions); c++) {
		u16 last = c->last ? c->last : c->first;

		if (field >= c->first && field <= last)
			return vmx_allows(c->controls[0]) ||
			       (c->controls[1] && vmx_allows(c->controls[1]));
	}
	return true;
}

static bool may_write(u32 field)
{
	return VMCS_TYPE(field) != VMCS_READ_ONLY ||
	       rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY;
}

static u64 fresh_vmcs(void)
{
	struct pair vmcs = two_vmcss();

	vmptrld(vmcs.a);
	return vmcs.a;
}

static void test_field(u32 field, const char *name)
{
	struct vmx_result read, write;
	ulong value = 0;

	/* By whose controls lib/x86/vmx/controls.h does not go. */
	if (vmcs_field_is_later(field))
		return;
	read = vmread(field, &value);
	write = vmwrite(field, value);
	check_vmx(read, must_exist(field) ? VMX_SUCCEED : UNSUPPORTED, "%s.read", name);
	check_vmx(write,
		  !must_exist(field) ? UNSUPPORTED
		  : may_write(field) ? VMX_SUCCEED
				     : READ_ONLY,
		  "%s.write", name);
	if (VMCS_WIDTH(field) != VMCS_64BIT)
		return;
	check_vmx(vmread(field | 1, &value), must_exist(field) ? VMX_SUCCEED : UNSUPPORTED,
		  "%s.high.read", name);
}

static void test_fields(void)
{
	u64 vmcs = fresh_vmcs();

	for (unsigned int i = 0; i < vmcs_field_count; i++)
		test_field(vmcs_fields[i].encoding, vmcs_fields[i].name);
	vmclear(vmcs);
}

static void compare(struct tally *tally, u32 encoding, struct vmx_result got,
		    struct vmx_result expected)
{
	char got_text[48], expected_text[48];

	if (got.value == expected.value) {
		tally_add(tally, NULL, "the same");
		return;
	}
	vmx_result_format(got_text, sizeof(got_text), got);
	vmx_result_format(expected_text, sizeof(expected_text), expected);
	tally_add(tally, got_text, "%s of %#x", expected_text, encoding);
}

/*
 * Every encoding: VMREAD and VMWRITE agree on whether there is a field. A high half is there
 * exactly if the field has 64 bits; bit 12 is reserved, and no index is above what
 * IA32_VMX_VMCS_ENUM tells.
 */
static void test_encodings(void)
{
	static struct tally agree, high, other_widths, reserved, index;
	u64 vmcs = fresh_vmcs();
	u32 highest = rdmsr(MSR_IA32_VMX_VMCS_ENUM) >> 1 & 0x1ff;
	unsigned int fields = 0, unknown = 0;

	for (u32 encoding = 0; encoding < ENCODINGS; encoding++) {
		ulong value = 0;
		struct vmx_result read = vmread(encoding, &value);
		struct vmx_result write = vmwrite(encoding, value), expected = read;

		if (!read.value) {
			fields++;
			unknown += !vmcs_field_name(encoding & ~1u);
			if (!may_write(encoding))
				expected = READ_ONLY;
		} else {
			expected = UNSUPPORTED;
		}
		compare(&agree, encoding, write, expected);
		if (encoding & 1) {
			bool wide = VMCS_WIDTH(encoding) == VMCS_64BIT;
			ulong low;

			compare(wide ? &high : &other_widths, encoding, read,
				wide ? vmread(encoding & ~1u, &low) : UNSUPPORTED);
		}
		if (encoding & BIT(12))
			compare(&reserved, encoding, read, UNSUPPORTED);
		if ((encoding >> 1 & 0x1ff) > highest)
			compare(&index, encoding, read, UNSUPPORTED);
	}
	check_and_reset(&agree, "vmwrite-as-vmread");
	check_and_reset(&high, "high-as-full");
	check_and_reset(&other_widths, "no-high-half");
	check_and_reset(&reserved, "reserved-bit-12");
	check_and_reset(&index, "above-the-highest-index");
	check(fields, "fields");
	diagnostic("%u encodings are fields, of which the library knows no name for %u", fields,
		   unknown);
	vmclear(vmcs);
}

/* Bits 31:15 are reserved, and in 64-bit mode so are 63:32. */
static void test_reserved_bits(void)
{
	u64 vmcs = fresh_vmcs();
	ulong value = 0;

	for (unsigned int bit = 15; bit < 8 * sizeof(ulong); bit++) {
		check_vmx(vmread(VMCS_GUEST_RIP | 1ul << bit, &value), UNSUPPORTED, "vmread.bit-%u",
			  bit);
		check_vmx(vmwrite(VMCS_GUEST_RIP | 1ul << bit, 0), UNSUPPORTED, "vmwrite.bit-%u",
			  bit);
	}
	vmclear(vmcs);
}

/* A processor may drop reserved bits of access rights: those of hardware are not all alike. */
static bool is_access_rights(u32 field)
{
	return field >= VMCS_GUEST_ES_ACCESS_RIGHTS && field <= VMCS_GUEST_TR_ACCESS_RIGHTS;
}

static ulong mask_of(u32 field)
{
	switch (VMCS_WIDTH(field)) {
	case VMCS_16BIT:
		return 0xffff;
	case VMCS_32BIT:
		return 0xffffffff;
	}
	return ~0ul;
}

/* What is written is read again, without the bits that the field does not have. */
static void test_values(void)
{
	static const u64 patterns[] = { ~0ull, 0x5a6978873c4b2d1eull, 0 };
	u64 vmcs = fresh_vmcs();

	for (unsigned int i = 0; i < vmcs_field_count; i++) {
		u32 field = vmcs_fields[i].encoding;
		ulong value;

		if (vmread(field, &value).value || !may_write(field) || is_access_rights(field))
			continue;
		for (unsigned int n = 0; n < ARRAY_SIZE(patterns); n++) {
			ulong pattern = patterns[n];

			value = ~pattern;
			vmwrite(field, pattern);
			vmread(field, &value);
			check_equal(value, pattern & mask_of(field), "%s.%u", vmcs_fields[i].name,
				    n);
		}
	}
	vmclear(vmcs);
}

/*
 * The halves of a field of 64 bits. Outside of 64-bit mode VMWRITE of the whole field clears its
 * upper half, and VMREAD reads the lower one.
 */
static void test_halves(void)
{
	u64 vmcs = fresh_vmcs();
	ulong value = 0;

	vmwrite(VMCS_TSC_OFFSET, 0x11112222);
	vmwrite(VMCS_TSC_OFFSET | 1, (ulong)0xffffffff33334444ull);
	vmread(VMCS_TSC_OFFSET | 1, &value);
	check_equal(value, 0x33334444, "high");
	vmread(VMCS_TSC_OFFSET, &value);
	check_equal(value, (ulong)0x3333444411112222ull, "full");
	vmwrite(VMCS_TSC_OFFSET, 0x55556666);
	vmread(VMCS_TSC_OFFSET | 1, &value);
	check_equal(value, 0, "full-clears-high");
	vmread(VMCS_TSC_OFFSET, &value);
	check_equal(value, 0x55556666, "full-again");
	vmclear(vmcs);
}

/* Where they can be written, a value stays until the next exit or error. */
static void test_read_only(void)
{
	u64 vmcs = fresh_vmcs();
	ulong value = 0;

	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY)) {
		check_vmx(vmwrite(VMCS_EXIT_REASON, 0), READ_ONLY, "refused");
		vmread(VMCS_VM_INSTRUCTION_ERROR, &value);
		check_equal(value, VM_ERROR_VMWRITE_READ_ONLY, "error");
	} else {
		check_vmx(vmwrite(VMCS_EXIT_REASON, 0x1234), VMX_SUCCEED, "taken");
		vmread(VMCS_EXIT_REASON, &value);
		check_equal(value, 0x1234, "kept");
	}
	vmclear(vmcs);
}

VMX_SUBTEST("fields", test_fields);
VMX_SUBTEST("encodings", test_encodings);
VMX_SUBTEST("encoding-reserved-bits", test_reserved_bits);
VMX_SUBTEST("values", test_values);
VMX_SUBTEST("halves", test_halves);
VMX_SUBTEST("read-only", test_read_only);
