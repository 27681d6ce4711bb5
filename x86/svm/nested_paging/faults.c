// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nested page faults: an entry of the nested tables, of any level, that does not allow an
 * access of L2. The exit has an error code like #PF's in EXITINFO1, in which the access is
 * always one of ring 3, and tells whether it was the access itself or the CPU's walk of L2's own
 * tables, which nested paging treats as a write. EXITINFO2 is the guest physical address.
 * When L1 has mended the entry, the same instruction must do its work.
 *
 * Hypervisors that shadow two sets of tables with one (KVM on KVM) merge rights, and compute the
 * error code anew: APM volume 2, 15.25.5 "Nested Table Walk", 15.25.6 "Nested versus Guest Page
 * Faults, Fault Ordering".
 */
#include "nested_paging.h"

TEST_SUMMARY("nested paging: faults, accessed and dirty bits, page sizes, flushes");
TEST_MANUAL("APM volume 2, 15.25 \"Nested Paging\"");
TEST_MANUAL("APM volume 2, 15.16 \"TLB Control\"");
TEST_NEEDS("SVM with nested paging");

#define RESERVED_BIT (1ull << 51) /* MAXPHYADDR is less, or the row is skipped */
#define NX_BIT	     (1ull << 63)

enum kind { NOT_PRESENT, READ_ONLY, SUPERVISOR, NO_EXECUTE, RESERVED, KINDS };

static const struct {
	const char *name;
	u64 change; /* by XOR */
} kinds[KINDS] = {
	[NOT_PRESENT] = { "not-present", PTE_PRESENT }, [READ_ONLY] = { "read-only", PTE_WRITABLE },
	[SUPERVISOR] = { "supervisor", PTE_USER },	[NO_EXECUTE] = { "no-execute", NX_BIT },
	[RESERVED] = { "reserved", RESERVED_BIT },
};

/* Has an entry at this level the bit at all? */
static bool applies(enum kind kind, unsigned int level)
{
	if (NESTED_LEVELS == 2 && (kind == NO_EXECUTE || kind == RESERVED))
		return false;
	if (kind == RESERVED && cpu_physical_address_bits() > 51)
		return false;
	/* PAE's top level has no rights. */
	return NESTED_LEVELS != 3 || level < 3 || kind == NOT_PRESENT;
}

/* The error code, 0 if the access is allowed. 15.25.6 */
static u64 expected_error(enum walk walk, enum kind kind, enum access access)
{
	bool write = walk == TABLE || access == WRITE;
	bool fetch = walk == FINAL && access == FETCH;
	u64 error = PF_USER | (walk == TABLE ? NPF_TABLE : NPF_FINAL);

	if ((kind == READ_ONLY && !write) || (kind == NO_EXECUTE && !fetch))
		return 0;
	if (write)
		error |= PF_WRITE;
	if (fetch)
		error |= PF_FETCH;
	if (kind != NOT_PRESENT)
		error |= PF_PRESENT;
	if (kind == RESERVED)
		error |= PF_RESERVED;
	return error;
}

/* Did the access happen, and the guest end where it should? */
static void check_done(const struct place *place, enum access access, const char *id)
{
	const struct vmcb *vmcb = place->guest->vmcb;

	check_exit(place->guest, VMEXIT_VMMCALL, "%s.exit", id);
	if (access == READ)
		check_equal((u32)vmcb->save.rax, READ_VALUE, "%s.value", id);
	else if (access == WRITE)
		check_equal(place->data[0], WRITE_VALUE, "%s.value", id);
	else
		check_equal(svm_rip(place->guest), LINEAR + 4, "%s.rip", id);
}

static void check_fault_exit(const struct place *place, enum walk walk, u64 error,
			     enum access access)
{
	const struct vmcb_control *control = &place->guest->vmcb->control;
	u64 address = place->guest_physical + (access == FETCH ? 4 : 0);
	/* Without PAE there is no NX, and whether the code tells of a fetch is undefined: 8.4.2. */
	u64 undefined = NESTED_LEVELS == 2 ? PF_FETCH : 0;

	check_exit(place->guest, VMEXIT_NPF, "fault.exit");
	check_equal(control->exitinfo1 & ~undefined, error & ~undefined, "fault.exitinfo1");
	/* Of a walk the entry's page is told; which byte of it is open. */
	if (walk == TABLE)
		check_equal(control->exitinfo2 & ~0xfffull, GUEST_PHYSICAL, "fault.exitinfo2");
	else
		check_equal(control->exitinfo2, address, "fault.exitinfo2");
	if (walk == FINAL && access == WRITE)
		check_equal(place->data[0], READ_VALUE, "fault.nothing-written");
}

static void test_row(struct place *place, enum walk walk, unsigned int level, enum kind kind,
		     enum access access)
{
	u64 error = expected_error(walk, kind, access), entry;

	place_again(place, walk, access);
	entry = tables_get(&place->guest->nested, GUEST_PHYSICAL, level);
	tables_set(&place->guest->nested, GUEST_PHYSICAL, level, entry ^ kinds[kind].change);
	svm_run(place->guest);
	if (error)
		check_fault_exit(place, walk, error, access);
	else
		check_done(place, access, "allowed");
	tables_set(&place->guest->nested, GUEST_PHYSICAL, level, entry);
	if (error) {
		svm_run(place->guest);
		check_done(place, access, "mended");
	}
}

static void test_walk(enum walk walk)
{
	struct place place;

	if (!place_make(&place, walk))
		return;
	for (unsigned int level = 1; level <= NESTED_LEVELS; level++) {
		for (enum kind kind = 0; kind < KINDS; kind++) {
			/* Level 4 and higher of the place map L2's own code as well. */
			if (level > 3 || !applies(kind, level))
				continue;
			for (enum access access = 0; access < ACCESSES; access++) {
				prefix_push("level-%u.%s.%s", level, kinds[kind].name,
					    access_names[access]);
				test_row(&place, walk, level, kind, access);
				prefix_pop();
			}
		}
	}
}

static void test_final(void)
{
	test_walk(FINAL);
}
SVM_SUBTEST("final", test_final);

static void test_table(void)
{
	test_walk(TABLE);
}
SVM_SUBTEST("table", test_table);

/* One page of that level, with the place's own in it. */
static void map_large(struct place *place, unsigned int level, u64 change)
{
	u64 size = tables_page_size(TABLES_NATIVE, level), offset = (ulong)place->page & (size - 1);

	place->guest_physical = ALIGN_DOWN(GUEST_PHYSICAL, size) + offset;
	tables_map(&place->guest->tables, LINEAR, place->guest_physical, LEVEL_4K, 0);
	tables_map(&place->guest->nested, GUEST_PHYSICAL, (ulong)place->page - offset, level,
		   change);
}

/* The entry of a large page is the last of its walk, with all the rights of one. */
static void test_large_pages(void)
{
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int level = LEVEL_2M; level <= LEVEL_1G; level++) {
		if (!page_level_supported(level))
			continue;
		for (unsigned int i = 0; i < KINDS * ACCESSES; i++) {
			enum kind kind = i / ACCESSES;
			enum access access = i % ACCESSES;
			u64 error = expected_error(FINAL, kind, access), entry;

			if (!applies(kind, level) || !error)
				continue;
			prefix_push("level-%u.%s.%s", level, kinds[kind].name,
				    access_names[access]);
			place_again(&place, FINAL, access);
			entry = tables_get(&place.guest->nested, GUEST_PHYSICAL, level);
			map_large(&place, level, kinds[kind].change);
			svm_run(place.guest);
			check_fault_exit(&place, FINAL, error, access);
			tables_set(&place.guest->nested, GUEST_PHYSICAL, level, entry);
			prefix_pop();
		}
	}
}
SVM_SUBTEST("large_pages", test_large_pages);

#ifdef __x86_64__
/*
 * The entry of the PML4, too: what is changed there is L2's whole memory, and its first fetch
 * faults. A set reserved bit is one above MAXPHYADDR, or PS (5.3.3).
 */
static void test_top_level(void)
{
	static const enum kind some[] = { NOT_PRESENT, SUPERVISOR, NO_EXECUTE, RESERVED };
	struct place place;

	if (!place_make(&place, FINAL))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(some); i++) {
		struct tables *nested = &place.guest->nested;
		u64 entry, error;

		if (!applies(some[i], 4))
			continue;
		prefix_push("%s", kinds[some[i]].name);
		place_again(&place, FINAL, READ);
		entry = tables_get(nested, 0, 4);
		tables_set(nested, 0, 4, entry ^ kinds[some[i]].change);
		svm_run(place.guest);
		/* NX lets the walk of L2's tables pass; all others stop it at its first entry. */
		error = expected_error(some[i] == NO_EXECUTE ? FINAL : TABLE, some[i], FETCH);
		check_exit(place.guest, VMEXIT_NPF, "exit");
		check_equal(place.guest->vmcb->control.exitinfo1, error, "exitinfo1");
		tables_set(nested, 0, 4, entry);
		svm_run(place.guest);
		check_done(&place, READ, "mended");
		prefix_pop();
	}
}
SVM_SUBTEST("top_level", test_top_level);
#endif

/* L2's own #PF comes first: an address wider than MAXPHYADDR is reserved in L2's entry (15.25.6).
 */
static void test_guest_fault_first(void)
{
	struct place place;
	struct svm_guest *guest;

	if (NESTED_LEVELS == 2 || cpu_physical_address_bits() > 51) {
		subtest_skip("L2's entries have no reserved address bit here");
		return;
	}
	if (!place_make(&place, FINAL))
		return;
	guest = place.guest;
	place_again(&place, FINAL, READ);
	tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, RESERVED_BIT);
	/* Nor may the nested tables be asked, which would refuse it, too. */
	tables_set(&guest->nested, GUEST_PHYSICAL, LEVEL_4K, 0);
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_PF, PF_PRESENT | PF_RESERVED, LINEAR,
			"reserved");

	place_again(&place, FINAL, READ);
	tables_set(&guest->tables, LINEAR, LEVEL_4K, 0);
	tables_set(&guest->nested, GUEST_PHYSICAL, LEVEL_4K, 0);
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_PF, 0, LINEAR, "not-present");
}
SVM_SUBTEST("guest_fault_first", test_guest_fault_first);
