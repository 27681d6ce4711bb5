// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sub-page write permissions: a 4-KByte page that EPT does not let L2 write, and whose entry has
 * bit 61, may be written in those of its 32 sub-pages of 128 bytes that a table allows. The table
 * has four levels; the last one's entry is 32 permissions in its even bits. Each permission alone
 * and each missing alone; that reads, fetches, pages of 2 MBytes, entries without the bit and
 * without the right to read have nothing to do with it; the exits of a table that has no entry, or
 * one with reserved bits, and that these tell which it was.
 *
 * SDM volume 3C, "Sub-Page Write Permissions", "Exit Qualification for SPP-Related
 * Events".
 */
#include "ept.h"
#include "string.h"

#define SUB_PAGES     32
#define SUB_PAGE_SIZE 128

/* Bit 0 of an entry that refers to a table; what the exits tell. */
#define SPP_VALID	   BIT_ULL(0)
#define QUALIFICATION_MISS BIT_ULL(11)
#define MISCONFIGURED	   0
/* Nothing but bit 11, bit 12 of IRET aside, is defined. */
#define QUALIFICATION_JUDGED (QUALIFICATION_MISS | BIT_ULL(12))

#define ALL_SUB_PAGES 0x5555555555555555ull

/* The tables to the place, from the root at [4] to the permissions' at [1]. */
struct sub_pages {
	struct place place;
	u64 *tables[EPT_LEVELS + 1];
};

static u64 *spp_entry(const struct sub_pages *s, unsigned int level)
{
	return &s->tables[level][GUEST_PHYSICAL >> (3 + 9 * level) & 511];
}

static bool sub_pages_make(struct sub_pages *s)
{
	if (!vmx_needs(VMX_SECONDARY_SUB_PAGE_WRITE) || !place_make(&s->place, FINAL))
		return false;
	for (unsigned int level = 1; level <= EPT_LEVELS; level++)
		s->tables[level] = page_alloc();
	return true;
}

/* L2 is about to access the place at an offset; its page is read-only but for the permissions. */
static void sub_pages_again(struct sub_pages *s, enum access access, unsigned int offset,
			    u64 permissions)
{
	struct place *place = &s->place;

	place_again(place, FINAL, access);
	vmx_set(VMX_SECONDARY_SUB_PAGE_WRITE);
	vmcs_write(VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER, (ulong)s->tables[EPT_LEVELS]);
	for (unsigned int level = 2; level <= EPT_LEVELS; level++)
		*spp_entry(s, level) = (ulong)s->tables[level - 1] | SPP_VALID;
	*spp_entry(s, 1) = permissions;
	place->guest->world.registers.bx += offset;
	place->page[offset / 4] = READ_VALUE;
	place_set(place, 1, (place_entry(place, 1) & ~EPT_WRITE) | EPT_SUB_PAGE_WRITE);
}

static void check_written(const struct sub_pages *s, unsigned int offset)
{
	check_exit(s->place.guest, EXIT_VMCALL, "exit");
	check_equal(s->place.page[offset / 4], WRITE_VALUE, "value");
}

/* A violation as without sub-pages. */
static void check_refused(const struct sub_pages *s, unsigned int offset, unsigned int rights)
{
	check_exit(s->place.guest, EXIT_EPT_VIOLATION, "exit");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED,
		    VIOLATION_WRITE | VIOLATION_RIGHTS(rights) | VIOLATION_LINEAR | VIOLATION_FINAL,
		    "qualification");
	check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), GUEST_PHYSICAL + offset, "physical");
	check_equal(s->place.page[offset / 4], READ_VALUE, "nothing-written");
}

/* The first and the last word of each, with its permission alone or all but that. */
static void test_each(bool allowed)
{
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	for (unsigned int i = 0; i < 2 * SUB_PAGES; i++) {
		unsigned int number = i / 2;
		unsigned int offset = number * SUB_PAGE_SIZE + (i & 1 ? SUB_PAGE_SIZE - 4 : 0);
		u64 permission = BIT_ULL(2 * number);

		prefix_push("sub-page-%u.%s", number, i & 1 ? "end" : "start");
		sub_pages_again(&s, WRITE, offset,
				allowed ? permission : ALL_SUB_PAGES & ~permission);
		vmx_run(s.place.guest);
		if (allowed)
			check_written(&s, offset);
		else
			check_refused(&s, offset, EPT_READ | EPT_EXECUTE);
		prefix_pop();
	}
}

static void test_allowed(void)
{
	test_each(true);
}
VMX_SUBTEST("spp.allowed", test_allowed);

static void test_refused(void)
{
	test_each(false);
}
VMX_SUBTEST("spp.refused", test_refused);

/* A permission is that of one page: its neighbour's entry says something else. */
static void test_neighbour(void)
{
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	sub_pages_again(&s, WRITE, 0, 0);
	spp_entry(&s, 1)[1] = ALL_SUB_PAGES;
	vmx_run(s.place.guest);
	check_refused(&s, 0, EPT_READ | EPT_EXECUTE);
}
VMX_SUBTEST("spp.neighbour", test_neighbour);

/* Whatever the table says, where it is not asked: its root is not even valid. */
static void test_not_asked(void)
{
	static const struct {
		const char *name;
		enum access access;
		u64 clear, set; /* of the place's entry */
		u32 exit;
		bool control_off;
	} rows[] = {
		{ "read", READ, 0, 0, EXIT_VMCALL, false },
		{ "fetch", FETCH, 0, 0, EXIT_VMCALL, false },
		{ "writable", WRITE, 0, EPT_WRITE, EXIT_VMCALL, false },
		{ "without-bit-61", WRITE, EPT_SUB_PAGE_WRITE, 0, EXIT_EPT_VIOLATION, false },
		{ "fetch-not-allowed", FETCH, EPT_EXECUTE, 0, EXIT_EPT_VIOLATION, false },
		{ "not-present", WRITE, EPT_RIGHTS, 0, EXIT_EPT_VIOLATION, false },
		{ "control-off", WRITE, 0, 0, EXIT_EPT_VIOLATION, true },
	};
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place *place = &s.place;

		prefix_push("%s", rows[i].name);
		sub_pages_again(&s, rows[i].access, 0, ALL_SUB_PAGES);
		*spp_entry(&s, EPT_LEVELS) = 0;
		if (rows[i].control_off)
			vmx_clear(VMX_SECONDARY_SUB_PAGE_WRITE);
		place_set(place, 1, (place_entry(place, 1) & ~rows[i].clear) | rows[i].set);
		vmx_run(place->guest);
		if (rows[i].exit == EXIT_VMCALL)
			place_check_done(place, rows[i].access, "done");
		else
			check_exit(place->guest, rows[i].exit, "exit");
		prefix_pop();
	}
}
VMX_SUBTEST("spp.not-asked", test_not_asked);

/* A page of 2 MBytes ignores bit 61; in an entry that refers to a table it is ignored as well. */
static void test_large(void)
{
	struct sub_pages s;
	u64 entry;

	if (!sub_pages_make(&s))
		return;
	if (ept_capabilities() & EPT_2M) {
		prefix_push("2m-page");
		sub_pages_again(&s, WRITE, 0, ALL_SUB_PAGES);
		entry = place_entry(&s.place, 2);
		/* A write there does not happen, so that any page will do. */
		place_set(&s.place, 2,
			  EPT_READ | EPT_EXECUTE | EPT_TYPE(6) | EPT_LARGE | EPT_SUB_PAGE_WRITE);
		vmx_run(s.place.guest);
		check_exit(s.place.guest, EXIT_EPT_VIOLATION, "exit");
		place_set(&s.place, 2, entry);
		prefix_pop();
	} else {
		check_skip("the CPU has no EPT pages of 2 MBytes", "2m-page");
	}
	prefix_push("table");
	sub_pages_again(&s, WRITE, 0, ALL_SUB_PAGES);
	entry = place_entry(&s.place, 1);
	place_set(&s.place, 1, entry & ~EPT_SUB_PAGE_WRITE);
	place_set(&s.place, 2, place_entry(&s.place, 2) | EPT_SUB_PAGE_WRITE);
	vmx_run(s.place.guest);
	check_refused(&s, 0, EPT_READ | EPT_EXECUTE);
	prefix_pop();
}
VMX_SUBTEST("spp.level", test_large);

static bool check_spp_exit(const struct sub_pages *s, u64 qualification)
{
	if (!check_exit(s->place.guest, EXIT_SPP, "exit"))
		return false;
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & QUALIFICATION_JUDGED, qualification,
		    "qualification");
	check_equal(vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS), GUEST_PHYSICAL, "physical");
	check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), LINEAR, "linear");
	check_equal(s->place.page[0], READ_VALUE, "nothing-written");
	return true;
}

/* Sets an entry for one run; L2 goes on when it is mended. */
static void run_with_entry(struct sub_pages *s, unsigned int level, u64 entry, u64 qualification)
{
	u64 before;

	sub_pages_again(s, WRITE, 0, ALL_SUB_PAGES);
	before = *spp_entry(s, level);
	*spp_entry(s, level) = entry;
	vmx_run(s->place.guest);
	if (!check_spp_exit(s, qualification))
		return;
	*spp_entry(s, level) = before;
	vmx_ept_flush();
	vmx_run(s->place.guest);
	prefix_push("mended");
	check_written(s, 0);
	prefix_pop();
}

/* Of an entry that is not valid the other bits do not matter. */
static void test_miss(void)
{
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	for (unsigned int level = 2; level <= EPT_LEVELS; level++) {
		prefix_push("level-%u", level);
		run_with_entry(&s, level, 0, QUALIFICATION_MISS);
		prefix_pop();
	}
}
VMX_SUBTEST("spp.miss", test_miss);

/* 11:1, and all above the width of a physical address; and the odd bits of the permissions. */
static void test_misconfiguration(void)
{
	u64 addresses = BIT_ULL(cpu_physical_address_bits()) - BIT_ULL(12);
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	for (unsigned int level = 1; level <= EPT_LEVELS; level++)
		for (unsigned int bit = 0; bit < 64; bit++) {
			u64 legal = level == 1 ? ALL_SUB_PAGES : addresses | SPP_VALID;
			u64 entry = level == 1 ? ALL_SUB_PAGES
					       : (ulong)s.tables[level - 1] | SPP_VALID;

			if (legal >> bit & 1)
				continue;
			prefix_push("level-%u.bit-%u", level, bit);
			run_with_entry(&s, level, entry | BIT_ULL(bit), MISCONFIGURED);
			prefix_pop();
		}
}
VMX_SUBTEST("spp.misconfiguration", test_misconfiguration);

/* A write to two sub-pages: which of its exits comes, or none, is the CPU's to choose. */
static void test_across(void)
{
	struct sub_pages s;

	if (!sub_pages_make(&s))
		return;
	for (unsigned int permissions = 0; permissions < 4; permissions++) {
		unsigned int offset = SUB_PAGE_SIZE - 4;
		u64 both = (permissions & 1) | (permissions & 2) << 1;
		bool done;

		sub_pages_again(&s, WRITE, offset, both);
		s.place.guest->world.registers.bx += 2;
		s.place.page[SUB_PAGE_SIZE / 4] = READ_VALUE;
		vmx_run(s.place.guest);
		done = vmcs_read(VMCS_EXIT_REASON) == EXIT_VMCALL;
		if (!both)
			check_exit(s.place.guest, EXIT_EPT_VIOLATION, "neither.exit");
		else
			diagnostic("across, permissions %#llx: %s", both,
				   done ? "written" : "refused");
	}
}
VMX_SUBTEST("spp.across", test_across);
