// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rights are those of all levels together: SDM volume 3A, "Determination of Access Rights".
 *
 * One leaf table, whose pages have all combinations of rights, hangs below entries
 * with all combinations of rights, at once. A shadow MMU needs a copy of the leaf table for
 * each way to it ("role"): a guest write to the table has to reach all of the copies, and
 * a copy made for the wrong rights lets accesses through.
 */
#include "control.h"
#include "mmu_caches.h"
#include "page_alloc.h"
#include "report.h"

static const struct rights {
	const char *name;
	pte_t flags;
} all_rights[] = {
	{ "rwx-user", PTE_PRESENT | PTE_WRITABLE | PTE_USER },
	{ "rx-user", PTE_PRESENT | PTE_USER },
	{ "rwx-kernel", PTE_PRESENT | PTE_WRITABLE },
	{ "rx-kernel", PTE_PRESENT },
#if PAGING_LEVELS > 2
	{ "rw-user", PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_NX },
	{ "r-user", PTE_PRESENT | PTE_USER | PTE_NX },
	{ "rw-kernel", PTE_PRESENT | PTE_WRITABLE | PTE_NX },
	{ "r-kernel", PTE_PRESENT | PTE_NX },
#endif
};

#define PAGE_INDEX(leaf) (ENTRIES / 2 + 5 * (leaf))

static unsigned int rights_count(void)
{
	return nx_supported() || PAGING_LEVELS == 2 ? ARRAY_SIZE(all_rights) : 4;
}

/* Every way to every page: what the walk through the tables says. */
static void check_all(const ulong *ways, const char *id)
{
	prefix_push("%s", id);
	for (unsigned int above = 0; above < rights_count(); above++)
		for (unsigned int leaf = 0; leaf < rights_count(); leaf++) {
			ulong page = ways[above] + PAGE_INDEX(leaf) * PAGE_SIZE;
			struct sightings log = { 0 };

			checking("%s.%s", all_rights[above].name, all_rights[leaf].name);
			for (enum access access = READ; access < access_kinds(); access++)
				sight_page(&log, page, access, 10 + leaf);
			check_sightings(&log, "%s.%s", all_rights[above].name,
					all_rights[leaf].name);
		}
	prefix_pop();
}

static void set_leaves(pte_t *table, unsigned int first_frame, unsigned int rotate)
{
	for (unsigned int i = 0; i < rights_count(); i++)
		pte_write(&table[PAGE_INDEX(i)],
			  frame_physical(first_frame + i) |
			      all_rights[(i + rotate) % rights_count()].flags);
}

/* level: of the entries above the leaf table that carry the rights. */
static void test_rights(const void *argument)
{
	unsigned int level = (ulong)argument;
	ulong ways[ARRAY_SIZE(all_rights)], cr0 = read_cr0();
	pte_t *table;
	struct space space;

	frames_init();
	space = space_new();
	space_enter(&space);
	table = page_alloc();
	set_leaves(table, 10, 0);
	for (unsigned int i = 0; i < rights_count(); i++) {
		pte_t *entry;

		ways[i] = slot_address(i, LEVEL_2M, 7);
		pte_write(page_entry(ways[i], LEVEL_2M), (ulong)table | PAGE_DEFAULT);
		entry = page_entry(ways[i], level);
		pte_write(entry, (*entry & PTE_ADDRESS) | all_rights[i].flags);
	}
	tlb_flush();
	check_all(ways, "wp");
	write_cr0(cr0 & ~CR0_WP);
	tlb_flush();
	check_all(ways, "wp-off");
	write_cr0(cr0);
	tlb_flush();
	check_all(ways, "wp-again");
	/* One write to each entry of the shared table: all ways lead elsewhere, with other rights.
	 */
	set_leaves(table, BLOCK(1) + 10, 3);
	tlb_flush();
	check_all(ways, "rewritten");
	/* The table is freed once. */
	for (unsigned int i = 1; i < rights_count(); i++)
		pte_write(page_entry(ways[i], LEVEL_2M), 0);
	space_leave();
	space_free(&space);
}

SUBTEST_ARG("rights-2m", test_rights, (void *)2ul);
#if PAGING_LEVELS > 3
SUBTEST_ARG("rights-1g", test_rights, (void *)3ul);
SUBTEST_ARG("rights-512g", test_rights, (void *)4ul);
SUBTEST_LA57("rights-la57-256t", test_rights, (void *)5ul);
#endif
