// SPDX-License-Identifier: BSD-2-Clause
#include "nested_paging.h"
#include "page_alloc.h"
#include "string.h"

const char *const access_names[ACCESSES] = { "read", "write", "fetch" };
const char *const walk_names[WALKS] = { "final", "table" };

L2_CODE(code_read, "mov (%ebx), %eax\n vmmcall");
L2_CODE(code_write, "mov %ecx, (%ebx)\n vmmcall");
#ifdef __x86_64__
L2_CODE(code_fetch, "jmp *%rbx");
#else
L2_CODE(code_fetch, "jmp *%ebx");
#endif

static const u8 *const codes[ACCESSES] = { code_read, code_write, code_fetch };

bool place_make(struct place *place, enum walk walk)
{
	if (!cpu_has(FEATURE_SVM_NP)) {
		subtest_skip("the CPU has no nested paging");
		return false;
	}
	place->guest = svm_guest(L2_NATIVE, code_read);
	svm_nested_paging(place->guest);
	place->page = page_alloc();
	place->data = walk == FINAL ? place->page : page_alloc();
	return true;
}

void place_again(struct place *place, enum walk walk, enum access access)
{
	/* VMMCALL, behind the value that is read. */
	static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9 };
	struct svm_guest *guest = place->guest;
	struct tables nested = guest->nested;

	svm_guest_again(guest, L2_NATIVE, codes[access]);
	guest->nested = nested;
	guest->vmcb->control.np_enable = NP_ENABLE;
	guest->vmcb->control.n_cr3 = (ulong)nested.root;
	guest->world.registers.bx = LINEAR + (access == FETCH ? 4 : 0);
	guest->world.registers.cx = WRITE_VALUE;

	/* Tables above the place were made by the first time at the latest. */
	for (unsigned int level = NESTED_LEVELS - 1; level > LEVEL_4K; level--)
		tables_entry(&nested, GUEST_PHYSICAL, level - 1);
	tables_map(&nested, GUEST_PHYSICAL, (ulong)place->page, LEVEL_4K, 0);

	place->guest_physical = GUEST_PHYSICAL;
	place->data[0] = READ_VALUE;
	memcpy(&place->data[1], vmmcall, sizeof(vmmcall));
	if (walk == FINAL) {
		tables_map(&guest->tables, LINEAR, GUEST_PHYSICAL, LEVEL_4K, 0);
	} else {
		struct tables table = guest->tables;

		/* L2's table of 4 KiB pages lies at the place: it is filled where it really is. */
		tables_set(&table, LINEAR, LEVEL_2M,
			   (ulong)place->page | tables_table_flags(table.format));
		tables_map(&table, LINEAR, (ulong)place->data, LEVEL_4K, 0);
		tables_set(&table, LINEAR, LEVEL_2M,
			   GUEST_PHYSICAL | tables_table_flags(table.format));
	}
}
