// SPDX-License-Identifier: BSD-2-Clause
/*
 * The MSR areas: entries of 16 bytes, loaded in order at a VM entry, stored and then others loaded
 * at a VM exit. "VM-Exit Controls for MSRs", "VM-Entry Controls for MSRs", "Loading MSRs", "Saving
 * MSRs"; "Checks on VM-Exit Control Fields", "Checks on VM-Entry Control Fields".
 *
 * An entry that is refused makes the VM entry fail, and the qualification says which it was,
 * counted from 1. At a VM exit it would be a VMX abort, which ends the machine: not here.
 */
#include "bitmaps_and_areas.h"
#include "apic.h"
#include "cpuid.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"
#include "vmx/msr_area.h"

enum { ENTRY_LOAD, EXIT_STORE, EXIT_LOAD, AREAS };

static const struct {
	const char *name;
	u32 address, count;
} areas[AREAS] = {
	[ENTRY_LOAD] = { "entry-load", VMCS_VM_ENTRY_MSR_LOAD_ADDRESS,
			 VMCS_VM_ENTRY_MSR_LOAD_COUNT },
	[EXIT_STORE] = { "exit-store", VMCS_VM_EXIT_MSR_STORE_ADDRESS,
			 VMCS_VM_EXIT_MSR_STORE_COUNT },
	[EXIT_LOAD] = { "exit-load", VMCS_VM_EXIT_MSR_LOAD_ADDRESS, VMCS_VM_EXIT_MSR_LOAD_COUNT },
};

#define MAX_COUNT 512

/* Any value does for STAR and LSTAR: nothing here executes SYSCALL. */
#define HOST_VALUE  0x1111111122222222ull
#define GUEST_VALUE 0x3333333344444444ull
#define OTHER_VALUE 0x5555555566666666ull

L2_CODE(nothing, "vmcall");
L2_CODE(read_msr, "rdmsr\n vmcall");
L2_CODE(write_msr, "wrmsr\n vmcall");

static struct msr_entry *area(unsigned int number)
{
	static struct msr_entry *memory[AREAS];

	/* One page more: a test may begin in the middle. */
	if (!memory[number])
		memory[number] = pages_alloc(3, PAGE_SIZE);
	return memory[number];
}

static struct vmx_guest *prepare(const u8 *code)
{
	struct vmx_guest *guest = maps_guest(L2_NATIVE, code);

	for (unsigned int i = 0; i < AREAS; i++) {
		memset(area(i), 0, 3 * PAGE_SIZE);
		vmcs_write(areas[i].address, (ulong)area(i));
		vmcs_write(areas[i].count, 0);
	}
	wrmsr(MSR_STAR, HOST_VALUE);
	return guest;
}

static void add(unsigned int number, u32 msr, u64 value)
{
	u32 count = vmcs_read(areas[number].count);

	area(number)[count] = (struct msr_entry){ msr, 0, value };
	vmcs_write(areas[number].count, count + 1);
}

static u64 value_in_l2(const struct vmx_guest *guest)
{
	return (u64)(u32)guest->world.registers.dx << 32 | (u32)guest->world.registers.ax;
}

/* L2 finds what was loaded, and the host keeps it unless the exit loads another. */
static void test_entry_load(void)
{
	struct vmx_guest *guest = prepare(read_msr);

	guest->world.registers.cx = MSR_STAR;
	add(ENTRY_LOAD, MSR_STAR, GUEST_VALUE);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(value_in_l2(guest), GUEST_VALUE, "in-l2");
	check_equal(rdmsr(MSR_STAR), GUEST_VALUE, "in-host");
}
VMX_SUBTEST("area.entry-load", test_entry_load);

/* In order: of two entries for an MSR the last one counts. */
static void test_order(void)
{
	struct vmx_guest *guest = prepare(nothing);

	add(ENTRY_LOAD, MSR_STAR, OTHER_VALUE);
	add(ENTRY_LOAD, MSR_STAR, GUEST_VALUE);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "entry-load.exit");
	check_equal(rdmsr(MSR_STAR), GUEST_VALUE, "entry-load");

	guest = prepare(nothing);
	add(EXIT_LOAD, MSR_STAR, GUEST_VALUE);
	add(EXIT_LOAD, MSR_STAR, OTHER_VALUE);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit-load.exit");
	check_equal(rdmsr(MSR_STAR), OTHER_VALUE, "exit-load");
}
VMX_SUBTEST("area.order", test_order);

/* An exit stores what L2 has left, then loads the host's; only the value is written. */
static void test_exit(void)
{
	struct vmx_guest *guest = prepare(write_msr);

	guest->world.registers.cx = MSR_STAR;
	guest->world.registers.ax = (u32)GUEST_VALUE;
	guest->world.registers.dx = GUEST_VALUE >> 32;
	add(ENTRY_LOAD, MSR_STAR, OTHER_VALUE);
	add(EXIT_STORE, MSR_STAR, 0);
	add(EXIT_STORE, MSR_IA32_SYSENTER_CS, ~0ull);
	add(EXIT_LOAD, MSR_STAR, HOST_VALUE);
	vmcs_write(VMCS_GUEST_IA32_SYSENTER_CS, 0x1238);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(area(EXIT_STORE)[0].value, GUEST_VALUE, "stored");
	check_equal(area(EXIT_STORE)[1].value, 0x1238, "stored-second");
	check_equal(area(EXIT_STORE)[0].msr, MSR_STAR, "index-kept");
	check_equal(area(EXIT_STORE)[0].reserved, 0, "reserved-kept");
	check_equal(area(EXIT_STORE)[2].value, 0, "not-beyond");
	check_equal(rdmsr(MSR_STAR), HOST_VALUE, "loaded");
}
VMX_SUBTEST("area.exit", test_exit);

/* Loading comes after the guest-state area, and after the controls that load MSRs. */
static void test_after_state(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_ENTRY_LOAD_PAT) || !vmx_needs(VMX_EXIT_LOAD_PAT))
		return;
	guest = prepare(read_msr);
	guest->world.registers.cx = MSR_IA32_PAT;
	vmx_set(VMX_ENTRY_LOAD_PAT);
	vmx_set(VMX_EXIT_LOAD_PAT);
	vmcs_write(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));
	vmcs_write(VMCS_GUEST_IA32_PAT, 0x0606060606060606);
	add(ENTRY_LOAD, MSR_IA32_PAT, 0x0006060606060606);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_equal(value_in_l2(guest), 0x0006060606060606, "pat");
}
VMX_SUBTEST("area.after-guest-state", test_after_state);

static void test_count(void)
{
	for (unsigned int i = 0; i < AREAS; i++) {
		struct vmx_guest *guest = prepare(nothing);

		prefix_push("%s", areas[i].name);
		/* Each changes what the one before has loaded. */
		for (unsigned int n = 0; n < MAX_COUNT; n++)
			add(i, MSR_STAR, GUEST_VALUE + n);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "512");
		if (i == EXIT_STORE) {
			check_equal(area(i)[0].value, HOST_VALUE, "512.first");
			check_equal(area(i)[MAX_COUNT - 1].value, HOST_VALUE, "512.last");
			check_equal(area(i)[MAX_COUNT].value, 0, "512.not-beyond");
		} else {
			check_equal(rdmsr(MSR_STAR), GUEST_VALUE + MAX_COUNT - 1, "512.last");
		}
		prefix_pop();
	}
}
VMX_SUBTEST("area.count-512", test_count);

/* With a count of 0 nothing is done, and the address is not looked at. */
static void test_count_0(void)
{
	for (unsigned int i = 0; i < AREAS; i++) {
		struct vmx_guest *guest = prepare(nothing);

		add(i, MSR_STAR, GUEST_VALUE);
		vmcs_write(areas[i].count, 0);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s.exit", areas[i].name);
		check_equal(rdmsr(MSR_STAR), HOST_VALUE, "%s.not-loaded", areas[i].name);
		check_equal(area(i)[0].value, GUEST_VALUE, "%s.not-stored", areas[i].name);
		vmcs_write(VMCS_GUEST_RIP, (ulong)nothing);
		vmcs_write(areas[i].address, ~0ull);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s.bad-address", areas[i].name);
	}
}
VMX_SUBTEST("area.count-0", test_count_0);

/* Aligned to 16 bytes, and within the physical addresses to its last byte. */
static void test_addresses(void)
{
	unsigned int bits = cpu_physical_address_bits();

	for (unsigned int i = 0; i < AREAS; i++) {
		const struct {
			const char *name;
			u64 address;
			u32 count;
		} rows[] = {
			{ "aligned-1", (ulong)area(i) + 1, 1 },
			{ "aligned-8", (ulong)area(i) + 8, 1 },
			{ "beyond", 1ull << bits, 1 },
			{ "bit-63", 1ull << 63 | (ulong)area(i), 1 },
			{ "last-byte", (1ull << bits) - 16, 2 },
		};

		for (unsigned int n = 0; n < ARRAY_SIZE(rows); n++) {
			struct vmx_guest *guest = prepare(nothing);

			vmcs_write(areas[i].address, rows[n].address);
			vmcs_write(areas[i].count, rows[n].count);
			vmx_run(guest);
			check_vmx(guest->entry, VMX_FAIL_VALID(VM_ERROR_ENTRY_INVALID_CONTROLS),
				  "%s.%s", areas[i].name, rows[n].name);
		}
		struct vmx_guest *guest = prepare(nothing);

		area(i)[1] = (struct msr_entry){ MSR_STAR, 0, GUEST_VALUE };
		vmcs_write(areas[i].address, (ulong)&area(i)[1]);
		vmcs_write(areas[i].count, 1);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s.aligned-16", areas[i].name);
	}
}
VMX_SUBTEST("area.addresses", test_addresses);

/*
 * What a VM entry refuses, as second of three entries: by its index, its reserved bits, or because
 * WRMSR would be a #GP. The exit's qualification is 2.
 */
static const struct refused {
	const char *name;
	u32 msr, reserved;
	u64 value;
	u64 feature;
} refused[] = {
	{ "reserved-low", MSR_STAR, 1, GUEST_VALUE, 0 },
	{ "reserved-high", MSR_STAR, 1u << 31, GUEST_VALUE, 0 },
	{ "fs-base", MSR_FS_BASE, 0, 0, FEATURE_LM },
	{ "gs-base", MSR_GS_BASE, 0, 0, FEATURE_LM },
	{ "no-such-msr", 0x1fff, 0, 0, 0 },
	{ "no-such-high-msr", 0xc0001fff, 0, 0, 0 },
	{ "outside", 0x40001234, 0, 0, 0 },
	{ "read-only", MSR_IA32_VMX_BASIC, 0, 0, FEATURE_VMX },
	{ "efer-reserved", MSR_EFER, 0, 1ull << 63, FEATURE_LM },
	{ "pat-type", MSR_IA32_PAT, 0, 2, FEATURE_PAT },
	{ "lstar-not-canonical", MSR_LSTAR, 0, 1ull << 62, FEATURE_LM },
	{ "sysenter-eip-not-canonical", MSR_IA32_SYSENTER_EIP, 0, 1ull << 62, FEATURE_LM },
	{ "smm-monitor-ctl", 0x9b, 0, 0, 0 },
	{ "smbase", 0x9e, 0, 0, 0 },
};

#define FAILED (EXIT_ENTRY_FAILURE | EXIT_MSR_LOADING)

static void test_refused(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		const struct refused *row = &refused[i];
		struct vmx_guest *guest = prepare(nothing);

		prefix_push("%s", row->name);
		if (row->feature && !cpu_has(row->feature)) {
			check_skip("the CPU has no such MSR", "exit");
			prefix_pop();
			continue;
		}
		add(ENTRY_LOAD, MSR_STAR, OTHER_VALUE);
		add(ENTRY_LOAD, row->msr, row->value);
		area(ENTRY_LOAD)[1].reserved = row->reserved;
		add(ENTRY_LOAD, MSR_STAR, GUEST_VALUE);
		vmx_run(guest);
		check_exit_qualification(guest, FAILED, 2, "exit");
		check(rdmsr(MSR_STAR) != GUEST_VALUE, "third-not-loaded");
		prefix_pop();
	}
}
VMX_SUBTEST("area.refused", test_refused);

/* The entry's number, wherever it is; L2 has not run, and can be launched afterwards. */
static void test_index(void)
{
	static const u16 places[] = { 1, 2, 3, 256, 511, 512 };

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		struct vmx_guest *guest = prepare(nothing);

		prefix_push("%u", places[i]);
		for (unsigned int n = 0; n < MAX_COUNT; n++)
			add(ENTRY_LOAD, MSR_STAR, HOST_VALUE);
		area(ENTRY_LOAD)[places[i] - 1].msr = MSR_FS_BASE;
		vmx_run(guest);
		check_exit_qualification(guest, FAILED, places[i], "exit");
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)nothing, "rip");
		vmcs_write(VMCS_VM_ENTRY_MSR_LOAD_COUNT, places[i] - 1);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "launch");
		prefix_pop();
	}
}
VMX_SUBTEST("area.failing-index", test_index);

/* An entry that fails stores nothing, but loads what an exit would: "VM-Entry Failures ..." */
static void test_failed_entry(void)
{
	struct vmx_guest *guest = prepare(nothing);

	add(ENTRY_LOAD, MSR_FS_BASE, 0);
	add(EXIT_STORE, MSR_STAR, 0x77);
	add(EXIT_LOAD, MSR_STAR, OTHER_VALUE);
	vmx_run(guest);
	check_exit_qualification(guest, FAILED, 1, "exit");
	check_equal(area(EXIT_STORE)[0].value, 0x77, "not-stored");
	check_equal(rdmsr(MSR_STAR), OTHER_VALUE, "loaded");
}
VMX_SUBTEST("area.failed-entry", test_failed_entry);

/* In x2APIC mode its registers are not for the areas. The last: the mode stays. */
static void test_x2apic(void)
{
	static const u32 msrs[] = { 0x800, 0x808, 0x83f, 0x8ff };

	if (!cpu_has(FEATURE_X2APIC)) {
		subtest_skip("the CPU has no x2APIC mode");
		return;
	}
	apic_enable_x2apic();
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		struct vmx_guest *guest = prepare(nothing);

		add(ENTRY_LOAD, msrs[i], 0);
		vmx_run(guest);
		check_exit_qualification(guest, FAILED, 1, "%x", msrs[i]);
	}
}
VMX_SUBTEST("area.x2apic", test_x2apic);
