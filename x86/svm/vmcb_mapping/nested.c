// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nested page tables at any physical address: APM volume 2, 15.25.3 "Enabling Nested Paging" and
 * 15.25.5 "Nested Table Walk". The table of each level in turn is put at a place, and the page
 * that L2 accesses (level 0); nested tables have the host's own format, so the root of a host
 * with PAE paging lies below 4 GiB as its CR3 does.
 *
 * Two sets of tables lead the same guest-physical address to two data pages. The place gets the
 * first set's table, the addresses that a mistake would lead to the second's: L2 reads which. It
 * then writes, and the processor sets the accessed and dirty flags in the table: there only.
 */
#include "l2/tables.h"
#include "mapping.h"
#include "page_alloc.h"
#include "printf.h"
#include "string.h"
#include "svm/test.h"

#define RIGHT	      0x11111111u
#define WRONG	      0x22222222u
#define UNMAPPED      0x44444444u /* at the same host-physical address */
#define WRITTEN	      0x33333333u
#define ENTRY_ADDRESS 0x000ffffffffff000ull

/* BX: the address. */
L2_CODE(read_and_write, "mov %ebx, %edx\n mov (%edx), %ebx\n movl $0x33333333, 4(%edx)\n"
			"vmmcall\n ud2");

static ulong address;	      /* guest-physical, and linear for L2 */
static u32 *data[2];	      /* what it leads to */
static struct tables sets[2]; /* by these nested tables */

static void make_tables(void)
{
	address = (ulong)page_alloc();
	*(u32 *)address = UNMAPPED;
	for (unsigned int i = 0; i < 2; i++) {
		data[i] = page_alloc();
		data[i][0] = i ? WRONG : RIGHT;
		sets[i] = tables_identity(TABLES_NATIVE);
		tables_map(&sets[i], address, (ulong)data[i], LEVEL_4K, 0);
	}
}

static u8 *table_of(unsigned int set, unsigned int level)
{
	if (!level)
		return (u8 *)data[set];
	return (u8 *)ALIGN_DOWN((ulong)tables_entry(&sets[set], address, level), PAGE_SIZE);
}

static unsigned int entry_offset(unsigned int level)
{
	return (ulong)tables_entry(&sets[0], address, level) & (PAGE_SIZE - 1);
}

/* The flags that the walk must set; PAE's top level has none of them. */
static pte_t walk_flags(unsigned int level)
{
	if (PAGING_LEVELS == 3 && level == 3)
		return 0;
	return level == LEVEL_4K ? PTE_ACCESSED | PTE_DIRTY : PTE_ACCESSED;
}

static void clear_walk_flags(u8 *table, unsigned int level)
{
	if (level)
		*(pte_t *)(table + entry_offset(level)) &= ~walk_flags(level);
}

static void fill(struct place *place, unsigned int set, unsigned int level)
{
	places_claim(place->physical, 1);
	memcpy(place->page, table_of(set, level), PAGE_SIZE);
	clear_walk_flags(place->page, level);
}

/* Makes the first set lead to a table or page at physical; returns what was there. */
static u64 link(struct svm_guest *guest, unsigned int level, u64 physical)
{
	u64 old;

	guest->nested = sets[0];
	guest->vmcb->control.np_enable = NP_ENABLE;
	guest->vmcb->control.n_cr3 = (ulong)sets[0].root;
	if (level == PAGING_LEVELS) {
		guest->vmcb->control.n_cr3 = physical;
		return 0;
	}
	old = tables_get(&sets[0], address, level + 1);
	tables_set(&sets[0], address, level + 1, (old & ~ENTRY_ADDRESS) | physical);
	return old;
}

static void check_read(const struct svm_guest *guest, const struct place *place)
{
	u32 read = guest->world.registers.bx;
	char expected[64], got[96];

	if (guest->vmcb->control.exitcode != VMEXIT_VMMCALL)
		return;
	snprintf(expected, sizeof(expected), "%#x, by way of %#llx", RIGHT, place->physical);
	snprintf(got, sizeof(got), "%#x%s", read,
		 read == WRONG	    ? ", by way of a page that the address was mistaken for"
		 : read == UNMAPPED ? ", of the page that is not mapped to"
				    : "");
	report_text(__FILE__, __LINE__, read == RIGHT, expected, got, "read");
}

/* The place's table as the walk must have left it. */
static bool table_is(const struct place *place, unsigned int set, unsigned int level, bool walked)
{
	static u8 intact[4096] __aligned(8);
	pte_t *entry = (pte_t *)(intact + entry_offset(MAX(level, 1u)));

	memcpy(intact, table_of(set, level), PAGE_SIZE);
	clear_walk_flags(intact, level);
	if (walked && level)
		*entry |= walk_flags(level);
	else if (walked)
		((u32 *)intact)[1] = WRITTEN;
	return !memcmp(intact, place->page, PAGE_SIZE);
}

static void walk_through(struct place *place, unsigned int level)
{
	struct svm_guest *guest = mapping_guest(read_and_write);
	struct relation relations[RELATIONS];
	unsigned int count = related_places(place, relations);
	u64 old;

	prefix_push("level-%u", level);
	data[0][1] = data[1][1] = 0;
	fill(place, 0, level);
	for (unsigned int i = 0; i < count; i++)
		fill(relations[i].place, 1, level);
	old = link(guest, level, place->physical);
	guest->world.registers.bx = address;
	svm_run(guest);
	if (level < PAGING_LEVELS)
		tables_set(&sets[0], address, level + 1, old);
	check_exit(guest, VMEXIT_VMMCALL, "table-at-%#llx.exit", place->physical);
	check_read(guest, place);
	if (level)
		check_equal(data[0][1], WRITTEN, "written");
	data[0][1] = 0;
	check(table_is(place, 0, level, true), "flags-set-there");
	check_equal(data[1][1], 0, "other-page");
	for (unsigned int i = 0; i < count; i++) {
		check(table_is(relations[i].place, 1, level, false), "decoy-at-%#llx.untouched",
		      relations[i].place->physical);
		places_release(relations[i].place->physical, 1);
	}
	places_release(place->physical, 1);
	prefix_pop();
}

static void walk_at(struct place *place)
{
	for (unsigned int level = 0; level <= PAGING_LEVELS; level++) {
		/* 15.25.3: nCR3 is what the host's CR3 is, of 32 bits in PAE paging. */
		if (level == PAGING_LEVELS && place->physical != (ulong)place->physical)
			continue;
		walk_through(place, level);
	}
	check_others(place, "others");
}

static void test_walk(const void *region)
{
	if (!svm_ready())
		return;
	if (!cpu_has(FEATURE_SVM_NP)) {
		subtest_skip("the CPU has no nested paging");
		return;
	}
	telling_guest();
	if (!data[0])
		make_tables();
	for_each_place((enum region)(ulong)region, false, walk_at);
}

SUBTEST_ARG("nested-tables-low", test_walk, (void *)LOW);
SUBTEST_ARG("nested-tables-below-1g", test_walk, (void *)BELOW_1G);
SUBTEST_ARG("nested-tables-at-1g", test_walk, (void *)AT_1G);
SUBTEST_ARG("nested-tables-below-4g", test_walk, (void *)BELOW_4G);
SUBTEST_ARG("nested-tables-at-4g", test_walk, (void *)AT_4G);
SUBTEST_ARG("nested-tables-beyond-4g", test_walk, (void *)BEYOND_4G);
SUBTEST_ARG("nested-tables-last", test_walk, (void *)LAST);
