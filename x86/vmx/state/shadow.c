// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMCS shadowing: VMREAD and VMWRITE in L2 without an exit. A bit for each encoding, of two
 * bitmaps, makes them exit; an encoding above 0x7fff always does. Without an exit they are about
 * the VMCS that the link pointer names, whatever its fields mean, and fail as they would in root
 * operation. A shadow VMCS is no VMCS to enter a guest with.
 *
 * SDM volume 3C, "VMCS Types: Ordinary and Shadow", "VMREAD and VMWRITE Bitmap Addresses",
 * "Instructions That Cause VM Exits Conditionally"; volume 3D, "VMREAD", "VMWRITE", "VMLAUNCH".
 */
#include "control.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "state.h"
#include "string.h"

#define SHADOW			   BIT(31)
#define VMX_MISC_VMWRITE_READ_ONLY VMX_MISC_VMWRITE_ANY

#ifdef __x86_64__
L2_CODE(code_vmread, "vmread %rcx, %rax\n pushf\n pop %rbx\n vmcall");
L2_CODE(code_vmwrite, "vmwrite %rax, %rcx\n pushf\n pop %rbx\n vmcall");
#else
L2_CODE(code_vmread, "vmread %ecx, %eax\n pushf\n pop %ebx\n vmcall");
L2_CODE(code_vmwrite, "vmwrite %eax, %ecx\n pushf\n pop %ebx\n vmcall");
#endif
#define UNTOUCHED 0x77777777u

static struct {
	struct vmx_guest *guest;
	u8 *read_bitmap, *write_bitmap;
	u32 *vmcs;
} shadow;

static bool make(void)
{
	if (!vmx_needs(VMX_SECONDARY_VMCS_SHADOWING))
		return false;
	if (shadow.guest)
		return true;
	shadow.guest = vmx_guest(L2_NATIVE, code_vmread);
	shadow.read_bitmap = page_alloc();
	shadow.write_bitmap = page_alloc();
	shadow.vmcs = vmx_region();
	shadow.vmcs[0] |= SHADOW;
	return true;
}

/* A VMREAD or VMWRITE in L2, of a field; all bits of the bitmaps are clear. */
static void prepare(const void *code, u32 field, ulong value)
{
	vmx_guest_again(shadow.guest, L2_NATIVE, code);
	memset(shadow.read_bitmap, 0, PAGE_SIZE);
	memset(shadow.write_bitmap, 0, PAGE_SIZE);
	vmclear((ulong)shadow.vmcs);
	vmx_set(VMX_SECONDARY_VMCS_SHADOWING);
	vmcs_write(VMCS_VMREAD_BITMAP_ADDRESS, (ulong)shadow.read_bitmap);
	vmcs_write(VMCS_VMWRITE_BITMAP_ADDRESS, (ulong)shadow.write_bitmap);
	vmcs_write(VMCS_VMCS_LINK_POINTER, (ulong)shadow.vmcs);
	shadow.guest->world.registers.ax = value;
	shadow.guest->world.registers.cx = field;
	shadow.guest->world.registers.bx = 0;
}

/* L1's access to one encoding of the shadow VMCS, which is not active afterwards. */
static ulong shadow_access(u32 encoding, const ulong *value)
{
	ulong got = ~0ul;

	if (vmptrld((ulong)shadow.vmcs).value)
		return got;
	if (value)
		vmwrite(encoding, *value);
	else
		vmread(encoding, &got);
	vmclear((ulong)shadow.vmcs);
	vmx_current(shadow.guest);
	return got;
}

/* Where the number of an error lies is not said for L2: none is compared. */
static struct vmx_result result_of_l2(void)
{
	ulong flags = shadow.guest->world.registers.bx;

	if (flags & EFLAGS_CF)
		return VMX_FAIL_INVALID;
	return flags & EFLAGS_ZF ? VMX_FAIL_VALID(0) : VMX_SUCCEED;
}

/* Fields of each width and kind. */
static const struct {
	const char *name;
	u32 field;
} fields[] = {
	{ "guest_cs_selector", VMCS_GUEST_CS_SELECTOR },
	{ "host_tr_selector", VMCS_HOST_TR_SELECTOR },
	{ "tsc_offset", VMCS_TSC_OFFSET },
	{ "tsc_offset-high", VMCS_TSC_OFFSET | 1 },
	{ "vmcs_link_pointer", VMCS_VMCS_LINK_POINTER },
	{ "exception_bitmap", VMCS_EXCEPTION_BITMAP },
	{ "vmcs_link_pointer-high", VMCS_VMCS_LINK_POINTER | 1 },
	{ "guest_interruptibility", VMCS_GUEST_INTERRUPTIBILITY_STATE },
	{ "cr0_read_shadow", VMCS_CR0_READ_SHADOW },
	{ "guest_rip", VMCS_GUEST_RIP },
	{ "host_rip", VMCS_HOST_RIP },
};

/* A high half has 32 bits; the low half is what a register of 32 bits holds of a field. */
static ulong mask_of(u32 encoding)
{
	return encoding & 1 ? 0xffffffff : vmcs_field_mask(encoding);
}

static void test_access(void)
{
	if (!make())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		ulong mask = mask_of(fields[i].field);
		ulong value = (ulong)0x9abcdef012345678ull & mask;
		ulong other = (ulong)0x713579bd7bcdef01ull;

		prefix_push("%s", fields[i].name);
		prepare(code_vmread, fields[i].field, UNTOUCHED);
		shadow_access(fields[i].field, &value);
		vmx_run(shadow.guest);
		check_exit(shadow.guest, EXIT_VMCALL, "read.exit");
		check_vmx(result_of_l2(), VMX_SUCCEED, "read.result");
		check_equal(shadow.guest->world.registers.ax, value, "read.value");

		prepare(code_vmwrite, fields[i].field, other);
		vmx_run(shadow.guest);
		check_exit(shadow.guest, EXIT_VMCALL, "write.exit");
		check_vmx(result_of_l2(), VMX_SUCCEED, "write.result");
		check_equal(shadow_access(fields[i].field, NULL), other & mask, "write.value");
		prefix_pop();
	}
}
VMX_SUBTEST("shadow_access", test_access);

/* Each bitmap is about its instruction; each bit about its encoding, that of a field or not. */
static void test_bitmaps(void)
{
	static const u32 encodings[] = { 0,	 7,	 8,	 0x0802, 0x2010,
					 0x2011, 0x4402, 0x681e, 0x7ff8, 0x7fff };

	if (!make())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(encodings); i++)
		for (unsigned int write = 0; write < 2; write++) {
			const void *code = write ? code_vmwrite : code_vmread;
			u32 encoding = encodings[i];
			u8 *bitmap;

			prefix_push("%s.%#x", write ? "write" : "read", encoding);
			prepare(code, encoding, UNTOUCHED);
			bitmap = write ? shadow.write_bitmap : shadow.read_bitmap;
			bitmap[encoding / 8] = 1 << encoding % 8;
			vmx_run(shadow.guest);
			check_exit(shadow.guest, write ? EXIT_VMWRITE : EXIT_VMREAD, "set");
			check_equal(vmx_rip(), (ulong)code, "set.ip");
			check_equal((u32)shadow.guest->world.registers.ax, UNTOUCHED, "set.value");

			/* All bits but its own, and those of the other bitmap. */
			prepare(code, encoding, UNTOUCHED);
			memset(shadow.read_bitmap, 0xff, PAGE_SIZE);
			memset(shadow.write_bitmap, 0xff, PAGE_SIZE);
			bitmap[encoding / 8] = ~(1 << encoding % 8);
			vmx_run(shadow.guest);
			check_exit(shadow.guest, EXIT_VMCALL, "clear");
			prefix_pop();
		}
}
VMX_SUBTEST("shadow_bitmaps", test_bitmaps);

/* The exit comes before the privilege: in ring 3 a bit that is clear leaves #GP(0). "VMREAD" */
static void test_ring3(void)
{
	if (!make())
		return;
	for (unsigned int write = 0; write < 2; write++) {
		const void *code = write ? code_vmwrite : code_vmread;

		prefix_push("%s", write ? "write" : "read");
		prepare(code, VMCS_GUEST_RIP, UNTOUCHED);
		vmx_enter_ring3(shadow.guest);
		vmx_run(shadow.guest);
		check_exception(shadow.guest, FAULT_GP(0), "clear");
		check_equal(vmx_rip(), (ulong)code, "clear.ip");

		prepare(code, VMCS_GUEST_RIP, UNTOUCHED);
		vmx_enter_ring3(shadow.guest);
		(write ? shadow.write_bitmap : shadow.read_bitmap)[VMCS_GUEST_RIP / 8] =
		    1 << VMCS_GUEST_RIP % 8;
		vmx_run(shadow.guest);
		check_exit(shadow.guest, write ? EXIT_VMWRITE : EXIT_VMREAD, "set");
		check_equal((u32)shadow.guest->world.registers.ax, UNTOUCHED, "value");
		prefix_pop();
	}
}
VMX_SUBTEST("shadow_ring3", test_ring3);

/* Bits 31:15 of the operand: any that is set makes an exit, whatever the bitmaps say. */
static void test_beyond(void)
{
	static const u32 encodings[] = { 0x8000, 0x10000, 0x8802, 0x80006802, 0xffffffff };

	if (!make())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(encodings); i++) {
		prepare(code_vmread, encodings[i], UNTOUCHED);
		vmx_run(shadow.guest);
		check_exit(shadow.guest, EXIT_VMREAD, "read.%#x", encodings[i]);
		prepare(code_vmwrite, encodings[i], UNTOUCHED);
		vmx_run(shadow.guest);
		check_exit(shadow.guest, EXIT_VMWRITE, "write.%#x", encodings[i]);
	}
}
VMX_SUBTEST("shadow_beyond", test_beyond);

/* What fails, and how: no field, a read-only field, and no shadow VMCS at all. */
static void test_failures(void)
{
	bool any = vmx_allows(VMX_SECONDARY_VMCS_SHADOWING) &&
		   vmx_capabilities.misc & VMX_MISC_VMWRITE_READ_ONLY;

	if (!make())
		return;
	prepare(code_vmread, 0x7ffe, UNTOUCHED);
	vmx_run(shadow.guest);
	check_exit(shadow.guest, EXIT_VMCALL, "read-no-field.exit");
	check_vmx(result_of_l2(), VMX_FAIL_VALID(0), "read-no-field");
	check_equal((u32)shadow.guest->world.registers.ax, UNTOUCHED, "read-no-field.value");

	prepare(code_vmwrite, 0x7ffe, UNTOUCHED);
	vmx_run(shadow.guest);
	check_vmx(result_of_l2(), VMX_FAIL_VALID(0), "write-no-field");
	diagnostic("error number in L1's VMCS: %llu, in the shadow VMCS: %lu",
		   vmcs_read(VMCS_VM_INSTRUCTION_ERROR),
		   shadow_access(VMCS_VM_INSTRUCTION_ERROR, NULL));

	prepare(code_vmwrite, VMCS_EXIT_REASON, UNTOUCHED);
	vmx_run(shadow.guest);
	check_exit(shadow.guest, EXIT_VMCALL, "write-read-only.exit");
	check_vmx(result_of_l2(), any ? VMX_SUCCEED : VMX_FAIL_VALID(0), "write-read-only");

	prepare(code_vmread, VMCS_GUEST_RIP, UNTOUCHED);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmx_run(shadow.guest);
	check_exit(shadow.guest, EXIT_VMCALL, "read-no-shadow.exit");
	check_vmx(result_of_l2(), VMX_FAIL_INVALID, "read-no-shadow");
	check_equal((u32)shadow.guest->world.registers.ax, UNTOUCHED, "read-no-shadow.value");

	prepare(code_vmwrite, VMCS_GUEST_RIP, UNTOUCHED);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmx_run(shadow.guest);
	check_vmx(result_of_l2(), VMX_FAIL_INVALID, "write-no-shadow");
}
VMX_SUBTEST("shadow_failures", test_failures);

/* With the control off both exit always; the other VMX instructions do so with it on. */
L2_CODE(code_vmclear, "vmclear (%ebx)");
L2_CODE(code_vmptrld, "vmptrld (%ebx)");
L2_CODE(code_vmptrst, "vmptrst (%ebx)");
L2_CODE(code_vmlaunch, "vmlaunch");
L2_CODE(code_vmresume, "vmresume");
L2_CODE(code_vmxoff, "vmxoff");
L2_CODE(code_vmxon, "vmxon (%ebx)");

static void test_others(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 reason;
	} rows[] = {
		{ "vmclear", code_vmclear, EXIT_VMCLEAR },
		{ "vmptrld", code_vmptrld, EXIT_VMPTRLD },
		{ "vmptrst", code_vmptrst, EXIT_VMPTRST },
		{ "vmlaunch", code_vmlaunch, EXIT_VMLAUNCH },
		{ "vmresume", code_vmresume, EXIT_VMRESUME },
		{ "vmxoff", code_vmxoff, EXIT_VMXOFF },
		{ "vmxon", code_vmxon, EXIT_VMXON },
	};
	static u64 operand;

	if (!make())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		prepare(rows[i].code, 0, 0);
		shadow.guest->world.registers.bx = (ulong)&operand;
		vmx_run(shadow.guest);
		check_exit(shadow.guest, rows[i].reason, "%s", rows[i].name);
	}
	prepare(code_vmread, VMCS_GUEST_RIP, UNTOUCHED);
	vmx_clear(VMX_SECONDARY_VMCS_SHADOWING);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmx_run(shadow.guest);
	check_exit(shadow.guest, EXIT_VMREAD, "off.vmread");
	prepare(code_vmwrite, VMCS_GUEST_RIP, UNTOUCHED);
	vmx_clear(VMX_SECONDARY_VMCS_SHADOWING);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmx_run(shadow.guest);
	check_exit(shadow.guest, EXIT_VMWRITE, "off.vmwrite");
}
VMX_SUBTEST("shadow_others", test_others);

/* The link pointer names a shadow VMCS exactly if the control is on, and one that exists. */
static void test_link(void)
{
	static const struct {
		const char *name;
		bool control;
		u64 offset; /* to the shadow VMCS's address */
		bool ordinary, legal;
	} rows[] = {
		{ "shadow", true, 0, false, true },
		{ "ordinary", true, 0, true, false },
		{ "misaligned", true, 8, false, false },
		{ "beyond", true, BIT_ULL(52), false, false },
		{ "off.shadow", false, 0, false, false },
		{ "off.ordinary", false, 0, true, true },
	};

	if (!make())
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		prepare(code_vmread, VMCS_GUEST_RIP, UNTOUCHED);
		if (!rows[i].control)
			vmx_clear(VMX_SECONDARY_VMCS_SHADOWING);
		vmcs_write(VMCS_VMCS_LINK_POINTER, (ulong)shadow.vmcs + rows[i].offset);
		if (rows[i].ordinary)
			shadow.vmcs[0] &= ~(u32)SHADOW;
		vmx_run(shadow.guest);
		shadow.vmcs[0] |= SHADOW;
		if (rows[i].legal)
			check_exit(shadow.guest, rows[i].control ? EXIT_VMCALL : EXIT_VMREAD, "%s",
				   rows[i].name);
		else
			check_exit_qualification(shadow.guest,
						 EXIT_ENTRY_FAILURE | EXIT_INVALID_GUEST_STATE, 4,
						 "%s", rows[i].name);
	}
}
VMX_SUBTEST("shadow_link_pointer", test_link);

/* VMPTRLD takes a shadow VMCS where the CPU can shadow; VMLAUNCH and VMRESUME do not. */
static void test_launch(void)
{
	struct vmx_result launch, resume;

	if (!make())
		return;
	prepare(code_vmread, VMCS_GUEST_RIP, UNTOUCHED);
	check_vmx(vmptrld((ulong)shadow.vmcs), VMX_SUCCEED, "vmptrld");
	launch = VMX_INSTRUCTION("vmlaunch", "i"(0));
	resume = VMX_INSTRUCTION("vmresume", "i"(0));
	vmclear((ulong)shadow.vmcs);
	vmx_current(shadow.guest);
	check_vmx(launch, VMX_FAIL_INVALID, "vmlaunch");
	check_vmx(resume, VMX_FAIL_INVALID, "vmresume");
}
VMX_SUBTEST("shadow_launch", test_launch);
