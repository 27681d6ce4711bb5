// SPDX-License-Identifier: BSD-2-Clause
/*
 * What allowed walks do: accessed and dirty bits in both kinds of tables, each page size, memory
 * types, and that a changed translation is seen once it has been flushed.
 *
 * APM volume 2: 15.16 "TLB Control", 15.25.4 "Nested Paging", 15.25.5 "Nested Table Walk",
 * 15.25.8 "Combining Memory Types".
 */
#include "control.h"
#include "nested_paging.h"
#include "page_alloc.h"
#include "smp.h"

static u64 nested_entry(const struct place *place, unsigned int level)
{
	return tables_get(&place->guest->nested, GUEST_PHYSICAL, level);
}

static void check_read(const struct place *place, u32 expected, const char *id)
{
	check_exit(place->guest, VMEXIT_VMMCALL, "%s.exit", id);
	check_equal((u32)place->guest->vmcb->save.rax, expected, "%s.value", id);
}

/* L2's own tables, where they are not the place. */
static void clear_guest_flags(const struct place *place)
{
	const struct tables *tables = &place->guest->tables;

	for (unsigned int level = LEVEL_4K; level <= LEVEL_2M; level++)
		tables_set(tables, LINEAR, level,
			   tables_get(tables, LINEAR, level) & ~(u64)(PTE_ACCESSED | PTE_DIRTY));
}

static void check_guest_flags(const struct place *place, bool dirty)
{
	u64 page = tables_get(&place->guest->tables, LINEAR, LEVEL_4K);

	check(page & PTE_ACCESSED, "guest.level-1.accessed");
	check(tables_get(&place->guest->tables, LINEAR, LEVEL_2M) & PTE_ACCESSED,
	      "guest.level-2.accessed");
	check(!!(page & PTE_DIRTY) == dirty, "guest.level-1.dirty");
}

/*
 * Flags are set in every entry of a walk by the access at the latest; the dirty flag of the last
 * one by a write, never by a read. The CPU's walk of L2's tables is a write (15.25.5), which sets
 * flags there (15.25.6).
 */
static void test_flags(enum walk walk, enum access access)
{
	struct place place;
	bool dirty = walk == TABLE || access == WRITE;

	if (!place_make(&place, walk))
		return;
	place_again(&place, walk, access);
	for (unsigned int level = 1; level <= MIN(NESTED_LEVELS, 3u); level++) {
		/* PAE's top level has no flags: their places are reserved. */
		if (NESTED_LEVELS == 3 && level == 3)
			continue;
		tables_set(&place.guest->nested, GUEST_PHYSICAL, level,
			   nested_entry(&place, level) & ~(u64)(PTE_ACCESSED | PTE_DIRTY));
	}
	if (walk == FINAL)
		clear_guest_flags(&place);
	svm_run(place.guest);
	check_exit(place.guest, VMEXIT_VMMCALL, "exit");
	if (walk == FINAL)
		check_guest_flags(&place, access == WRITE);
	check(nested_entry(&place, 1) & PTE_ACCESSED, "level-1.accessed");
	check(nested_entry(&place, 2) & PTE_ACCESSED, "level-2.accessed");
	check(!!(nested_entry(&place, 1) & PTE_DIRTY) == dirty, "level-1.dirty");
	check(!(nested_entry(&place, 2) & PTE_DIRTY), "level-2.dirty");
}

static void test_accessed_dirty(void)
{
	for (enum walk walk = 0; walk < WALKS; walk++) {
		for (enum access access = 0; access < ACCESSES; access++) {
			prefix_push("%s.%s", walk_names[walk], access_names[access]);
			test_flags(walk, access);
			prefix_pop();
		}
	}
}
SVM_SUBTEST("accessed_dirty", test_accessed_dirty);

/*
 * A page of each size maps all of itself: L2 reads at a distance from its beginning that has each
 * bit of the offset set once. Behind the largest there is no RAM of this size: it maps all from 0.
 */
static void test_page_sizes(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = 1; level <= 3; level++) {
		u64 size = tables_page_size(TABLES_NATIVE, level), start;

		if (level > 1 && !page_level_supported(level))
			continue;
		for (u64 offset = 4; offset < size; offset <<= 1) {
			u32 *target;

			place_again(&place, FINAL, READ);
			/* RAM from 32 MiB on, at the same place in its page as in GUEST_PHYSICAL's.
			 */
			start = level == 1 ? (ulong)place.page : level == 2 ? 32ull << 20 : 0;
			target = (u32 *)(ulong)(start + (level == 3 ? 32ull << 20 : 0) + offset);
			if ((ulong)target + 4 > ram_size() / 2)
				break;
			*target = READ_VALUE + level;
			tables_map(&place.guest->nested, ALIGN_DOWN(GUEST_PHYSICAL, size), start,
				   level, 0);
			tables_map(
			    &place.guest->tables, LINEAR,
			    ALIGN_DOWN(ALIGN_DOWN(GUEST_PHYSICAL, size) + (ulong)target - start,
				       PAGE_SIZE),
			    LEVEL_4K, 0);
			place.guest->world.registers.bx = LINEAR + ((ulong)target & 0xfff);
			svm_run(place.guest);
			prefix_push("level-%u.offset-%#llx", level, offset);
			check_read(&place, READ_VALUE + level, "read");
			prefix_pop();
		}
	}
}
SVM_SUBTEST("page_sizes", test_page_sizes);

/* Each combination of memory types is one that there is; data is the same under all. 15.25.8 */
static void test_memory_types(void)
{
	static const u64 bits[] = { 0, PTE_PWT, PTE_PCD, PTE_PWT | PTE_PCD };
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < 8; i++) {
		for (unsigned int j = 0; j < 8; j++) {
			/* Bit 7 is PAT in entries of 4 KiB pages. */
			u64 guest = bits[i & 3] | (i & 4 ? PTE_LARGE : 0);
			u64 nested = bits[j & 3] | (j & 4 ? PTE_LARGE : 0);

			place_again(&place, FINAL, READ);
			tables_map(&place.guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, guest);
			tables_map(&place.guest->nested, GUEST_PHYSICAL, (ulong)place.page,
				   LEVEL_4K, nested);
			svm_run(place.guest);
			prefix_push("pat-%u.nested-%u", i, j);
			check_read(&place, READ_VALUE, "read");
			prefix_pop();
		}
	}
}
SVM_SUBTEST("memory_types", test_memory_types);

enum flush { NO_FLUSH, FLUSH_ALL, FLUSH_ASID, FLUSH_NON_GLOBAL, NEW_ASID, INVLPGA, FLUSHES };

static const struct {
	const char *name;
	u8 tlb_control;
	u64 feature;
} flushes[FLUSHES] = {
	[NO_FLUSH] = { "none", TLB_CONTROL_NOTHING, 0 },
	[FLUSH_ALL] = { "all", TLB_CONTROL_FLUSH_ALL, 0 },
	[FLUSH_ASID] = { "asid", TLB_CONTROL_FLUSH_ASID, FEATURE_SVM_FLUSH_BY_ASID },
	[FLUSH_NON_GLOBAL] = { "non-global", TLB_CONTROL_FLUSH_NON_GLOBAL,
			       FEATURE_SVM_FLUSH_BY_ASID },
	[NEW_ASID] = { "new-asid", TLB_CONTROL_NOTHING, 0 },
	[INVLPGA] = { "invlpga", TLB_CONTROL_NOTHING, 0 },
};

static void flush(struct svm_guest *guest, enum flush how)
{
	struct vmcb_control *control = &guest->vmcb->control;

	control->tlb_control = flushes[how].tlb_control;
	if (how == NEW_ASID)
		control->guest_asid = control->guest_asid % (svm_asids() - 1) + 1;
	if (how == INVLPGA)
		invlpga((void *)LINEAR, control->guest_asid);
}

/* L1 maps the place to another page between two runs; what was cached may be used until a flush. */
static void test_flush(void)
{
	struct place place;
	u32 *other = page_alloc();

	if (!place_make(&place, FINAL))
		return;
	other[0] = READ_VALUE + 1;
	for (enum flush how = 0; how < FLUSHES; how++) {
		if (flushes[how].feature && !cpu_has(flushes[how].feature)) {
			check_skip("the CPU does not have it", "%s", flushes[how].name);
			continue;
		}
		prefix_push("%s", flushes[how].name);
		place_again(&place, FINAL, READ);
		svm_run(place.guest);
		check_read(&place, READ_VALUE, "before");
		tables_map(&place.guest->nested, GUEST_PHYSICAL, (ulong)other, LEVEL_4K, 0);
		place.guest->vmcb->save.rip = (ulong)place.guest->code;
		flush(place.guest, how);
		svm_run(place.guest);
		if (how == NO_FLUSH)
			diagnostic("without a flush: %s",
				   (u32)place.guest->vmcb->save.rax == READ_VALUE ? "cached"
										  : "new");
		else
			check_read(&place, READ_VALUE + 1, "after");
		prefix_pop();
	}
}
SVM_SUBTEST("flush", test_flush);

/*
 * Another CPU changes the nested tables while L2 runs: between two pages, and away. L2
 * reads nothing but the value of either page, each fault is the one of an entry that is
 * not present, and at the end it reads what is there last.
 */
static struct {
	struct place place;
	u32 *other;
	volatile bool stop;
} storm;

/* Writes the lower half of the entry alone, which is all that differs: no CPU sees a mixture. */
static void change_tables(void *argument)
{
	volatile u32 *entry = argument;
	u32 flags = tables_page_flags(TABLES_NATIVE);

	for (u32 i = 0; !storm.stop; i++) {
		ulong page = (ulong)(i & 1 ? storm.other : storm.place.page);

		*entry = i % 5 == 4 ? 0 : page | flags;
		cpu_relax();
	}
}

static void test_changed_while_running(void)
{
	struct place *place = &storm.place;
	unsigned int wrong = 0, faults = 0, values[2] = { 0, 0 };
	struct svm_guest *guest;

	if (cpu_count() < 2) {
		subtest_skip("needs a second CPU");
		return;
	}
	if (!place_make(place, FINAL))
		return;
	storm.other = page_alloc();
	storm.other[0] = READ_VALUE + 1;
	guest = place->guest;
	place_again(place, FINAL, READ);
	guest->options = SVM_NO_GIF_PROBE;
	storm.stop = false;
	smp_call_async(1, change_tables, tables_entry(&guest->nested, GUEST_PHYSICAL, LEVEL_4K));
	for (unsigned int i = 0; i < 1000; i++) {
		u64 code = svm_run(guest);
		u32 value = guest->vmcb->save.rax - READ_VALUE;

		if (code == VMEXIT_NPF && guest->vmcb->control.exitinfo1 == (PF_USER | NPF_FINAL))
			faults++;
		else if (code == VMEXIT_VMMCALL && value < 2)
			values[value]++;
		else
			wrong++;
		guest->vmcb->save.rip = (ulong)guest->code;
		guest->vmcb->save.rax = 0;
	}
	storm.stop = true;
	smp_wait(1);
	diagnostic("read the one page %u times, the other %u, faulted %u times", values[0],
		   values[1], faults);
	check_equal(wrong, 0, "no-other-value");
	tables_map(&guest->nested, GUEST_PHYSICAL, (ulong)storm.other, LEVEL_4K, 0);
	svm_run(guest);
	check_read(place, READ_VALUE + 1, "last");
}
SVM_SUBTEST("changed_while_running", test_changed_while_running);
