// SPDX-License-Identifier: BSD-2-Clause
/*
 * Translations that a VPID tags: those of one are not used under another, and not after INVVPID, or
 * what L2 does itself, has invalidated them. SDM volume 3C, "Caching Translation Information",
 * "Operations that Invalidate Cached Mappings", "Guidelines for Use of the INVVPID Instruction".
 * What the CPU keeps or drops beyond that is its own affair; so is which operands INVVPID refuses,
 * here.
 *
 * L1's VPIDs are not the CPU's: a hypervisor gives L2 another one, and has to find it again for
 * INVVPID, or to flush in its place; with shadow page tables it has those to forget too.
 */
#include "apic_and_timers.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"

/* A place of L2's that entries of a test's own map. */
#define PLACE 0xd8000000ul

#define FIRST_VPID  0x1234
#define SECOND_VPID 0x1235

#define OLD 0x01d01d01u
#define NEW 0x4e4e4e4eu

L2_CODE(reads, "mov (" R(bx) "), %eax\n vmcall");

static struct {
	struct vmx_guest *guest;
	u32 *old, *new;
	bool ept, global;
} place;

static u32 *new_page(u32 value)
{
	u32 *page = page_alloc();

	page[0] = value;
	return page;
}

static void map(const u32 *page)
{
	tables_map(&place.guest->tables, PLACE, (ulong)page, LEVEL_4K,
		   place.global ? PTE_GLOBAL : 0);
}

static bool place_make(bool ept, bool global)
{
	if (!vmx_needs(VMX_SECONDARY_VPID) || (ept && !vmx_needs(VMX_SECONDARY_EPT)))
		return false;
	if (place.guest) {
		vmx_guest_again(place.guest, L2_NATIVE, reads);
	} else {
		place.guest = vmx_guest(L2_NATIVE, reads);
		place.old = new_page(OLD);
		place.new = new_page(NEW);
	}
	place.ept = ept;
	place.global = global;
	if (ept)
		vmx_ept(place.guest);
	if (global)
		vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PGE);
	vmx_set(VMX_SECONDARY_VPID);
	return true;
}

/* Reads under a VPID, or without VPID if it is 0: OLD, NEW, or the exit's reason if it is another.
 */
static u32 read_under(u16 vpid)
{
	u32 reason;

	if (vpid)
		vmx_set(VMX_SECONDARY_VPID);
	else
		vmx_clear(VMX_SECONDARY_VPID);
	vmcs_write(VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, vpid);
	vmcs_write(VMCS_GUEST_RIP, (ulong)reads);
	place.guest->world.registers.bx = PLACE;
	place.guest->world.registers.ax = 0;
	reason = vmx_run(place.guest);
	return reason == EXIT_VMCALL ? place.guest->world.registers.ax : reason;
}

static void invalidate(ulong type, u16 vpid, const char *id)
{
	const struct invvpid_descriptor descriptor = { .vpid = vpid, .linear = PLACE };

	check_vmx(invvpid(type, &descriptor), VMX_SUCCEED, "%s.invvpid", id);
}

static bool has_type(unsigned int type)
{
	u64 capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);

	return capabilities & VPID_INVVPID && capabilities & VPID_INVVPID_ADDRESS << type;
}

static bool needs_type(unsigned int type)
{
	if (has_type(type))
		return true;
	subtest_skip("the CPU lacks INVVPID of type %u", type);
	return false;
}

#define SINGLE 1

/* What one VPID has cached is not what another one, which has nothing, reads. */
static void test_other_vpid(void)
{
	for (unsigned int ept = 0; ept < 2; ept++) {
		if (!place_make(ept, false) || !needs_type(SINGLE))
			return;
		prefix_push(ept ? "ept" : "no-ept");
		invalidate(SINGLE, FIRST_VPID, "first");
		invalidate(SINGLE, SECOND_VPID, "second");
		map(place.old);
		check_equal(read_under(FIRST_VPID), OLD, "first");
		map(place.new);
		check_equal(read_under(SECOND_VPID), NEW, "second");
		diagnostic("%s: the first VPID reads %s", ept ? "ept" : "no-ept",
			   read_under(FIRST_VPID) == OLD ? "the old page" : "the new page");
		/* Nor is it without VPIDs, where an entry leaves nothing. */
		map(place.old);
		check_equal(read_under(0), OLD, "without.first");
		map(place.new);
		check_equal(read_under(0), NEW, "without.second");
		prefix_pop();
	}
}

VMX_SUBTEST("vpid.other", test_other_vpid);

/* Two guests with tables of their own, in turn: each its own page, for longer than chance. */
static void test_alternating(void)
{
	struct tables first, second;

	if (!place_make(false, false))
		return;
	first = place.guest->tables;
	map(place.old);
	place.guest->tables = second = l2_tables(L2_NATIVE);
	map(place.new);
	for (unsigned int round = 0; round < 4; round++) {
		vmcs_write(VMCS_GUEST_CR3, (ulong)first.root);
		check_equal(read_under(0x77), OLD, "%u.first", round);
		vmcs_write(VMCS_GUEST_CR3, (ulong)second.root);
		check_equal(read_under(0x78), NEW, "%u.second", round);
	}
	place.guest->tables = first;
}

VMX_SUBTEST("vpid.alternating", test_alternating);

/* L1's own translation of the place is none of L2's, and the other way round. */
static void test_host(void)
{
	volatile u32 *here = (volatile u32 *)PLACE;
	pte_t *entry;
	pte_t before;

	if (!place_make(false, false))
		return;
	entry = page_entry(PLACE, LEVEL_4K);
	before = *entry;
	page_map(PLACE, (ulong)place.new, PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	map(place.old);
	for (unsigned int round = 0; round < 2; round++) {
		check_equal(*here, NEW, "%u.host", round);
		check_equal(read_under(FIRST_VPID + 8), OLD, "%u.guest", round);
	}
	pte_write(entry, before);
	tlb_flush_page((void *)PLACE);
}

VMX_SUBTEST("vpid.host", test_host);

/*
 * Each type makes the old translation unusable: of the VPID's; for all contexts, of every VPID's.
 * The type that retains globals need not for those.
 */
static void test_types(void)
{
	for (unsigned int type = 0; type < 4; type++)
		for (unsigned int ept = 0; ept < 2; ept++)
			for (unsigned int global = 0; global < 2; global++) {
				prefix_push("type-%u.%s.%s", type, ept ? "ept" : "no-ept",
					    global ? "global" : "not-global");
				if (!has_type(type) || (ept && !vmx_allows(VMX_SECONDARY_EPT)))
					check_skip("the CPU lacks the type, or EPT", "new");
				else if (place_make(ept, global) && !(type == 3 && global)) {
					map(place.old);
					invalidate(type, FIRST_VPID, "old");
					check_equal(read_under(FIRST_VPID), OLD, "old");
					map(place.new);
					invalidate(type, FIRST_VPID, "new");
					check_equal(read_under(FIRST_VPID), NEW, "new");
				}
				prefix_pop();
			}
}

VMX_SUBTEST("vpid.invvpid", test_types);

/* All contexts are all: two VPIDs have the old translation, neither has it then. */
static void test_all(void)
{
	if (!place_make(false, false) || !needs_type(2))
		return;
	map(place.old);
	invalidate(2, 0, "old");
	check_equal(read_under(FIRST_VPID), OLD, "first.old");
	check_equal(read_under(SECOND_VPID), OLD, "second.old");
	map(place.new);
	invalidate(2, 0, "new");
	check_equal(read_under(FIRST_VPID), NEW, "first.new");
	check_equal(read_under(SECOND_VPID), NEW, "second.new");
}

VMX_SUBTEST("vpid.all-contexts", test_all);

/*
 * What L2 does itself, without an exit, is about its own VPID: INVLPG, and a load of CR3, which
 * leaves global pages. DX is the entry's new value, DI its address, SI is for CR3 or CR4.
 */
#define CHANGES(how)                                                                               \
	"mov (" R(bx) "), %eax\n mov " R(dx) ", (" R(di) ")\n" how                                 \
							 "\n mov (" R(bx) "), %ecx\n vmcall"
#define PGE_OFF_AND_ON "mov " R(si) ", %cr4\n xor $0x80, " R(si) "\n mov " R(si) ", %cr4"

L2_CODE(by_invlpg, CHANGES("invlpg (" R(bx) ")"));
L2_CODE(by_cr3, CHANGES("mov %cr3, " R(si) "\n mov " R(si) ", %cr3"));
L2_CODE(by_cr4, CHANGES(PGE_OFF_AND_ON));

static const struct own {
	const char *name;
	const u8 *code;
	bool keeps_global;
} owns[] = {
	{ "invlpg", by_invlpg, false },
	{ "cr3", by_cr3, true },
	{ "cr4-pge", by_cr4, false },
};

static void test_own(void)
{
	for (const struct own *own = owns; own < owns + ARRAY_SIZE(owns); own++)
		for (unsigned int global = 0; global < 2; global++) {
			struct vmx_registers *registers;

			if (!place_make(false, global))
				return;
			if ((global && own->keeps_global) || (!global && own->code == by_cr4))
				continue;
			prefix_push("%s.%s", own->name, global ? "global" : "not-global");
			registers = &place.guest->world.registers;
			map(place.new);
			registers->dx = tables_get(&place.guest->tables, PLACE, LEVEL_4K);
			map(place.old);
			registers->di = (ulong)tables_entry(&place.guest->tables, PLACE, LEVEL_4K);
			registers->bx = PLACE;
			registers->si = vmcs_read(VMCS_GUEST_CR4) & ~(u64)CR4_PGE;
			vmcs_write(VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, 0x99);
			if (has_type(SINGLE))
				invalidate(SINGLE, 0x99, "before");
			vmcs_write(VMCS_GUEST_RIP, (ulong)own->code);
			vmx_run(place.guest);
			check_exit(place.guest, EXIT_VMCALL, "exit");
			check_equal((u32)registers->ax, OLD, "old");
			check_equal((u32)registers->cx, NEW, "new");
			prefix_pop();
		}
}

VMX_SUBTEST("vpid.own", test_own);
