// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "ept.h"
#include "string.h"

const char *const rights_names[8] = { "none", "r", "w", "rw", "x", "rx", "wx", "rwx" };
const char *const access_names[ACCESSES] = { "read", "write", "fetch" };
const char *const walk_names[WALKS] = { "final", "table" };

L2_CODE(code_read, "mov (%ebx), %eax\n vmcall");
L2_CODE(code_write, "mov %ecx, (%ebx)\n vmcall");
#ifdef __x86_64__
L2_CODE(code_fetch, "jmp *%rdx");
#else
L2_CODE(code_fetch, "jmp *%edx");
#endif

static const u8 *const codes[ACCESSES] = { code_read, code_write, code_fetch };

u64 ept_capabilities(void)
{
	return rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
}

bool ept_is_misconfigured(unsigned int rights)
{
	if ((rights & EPT_WRITE) && !(rights & EPT_READ))
		return true;
	return rights == EPT_EXECUTE && !(ept_capabilities() & EPT_EXECUTE_ONLY);
}

bool ept_needs(u64 capability, const char *name)
{
	if (ept_capabilities() & capability)
		return true;
	subtest_skip("IA32_VMX_EPT_VPID_CAP has no %s", name);
	return false;
}

bool place_make(struct place *place, enum walk walk)
{
	if (!vmx_needs(VMX_SECONDARY_EPT))
		return false;
	place->guest = vmx_guest(L2_NATIVE, code_read);
	vmx_ept(place->guest);
	place->page = page_alloc();
	place->data = walk == FINAL ? place->page : page_alloc();
	place->physical = GUEST_PHYSICAL;
	place->eptp_flags = EPTP_WRITE_BACK | EPTP_WALK_4_LEVELS;
	return true;
}

bool place_make_with_flags(struct place *place, enum walk walk)
{
	if (!vmx_needs(VMX_SECONDARY_EPT) ||
	    !ept_needs(EPT_ACCESSED_DIRTY, "accessed and dirty flags"))
		return false;
	if (!place_make(place, walk))
		return false;
	place->eptp_flags |= EPTP_ACCESSED_DIRTY;
	return true;
}

void place_clear_flags(const struct place *place)
{
	for (unsigned int level = 1; level <= EPT_LEVELS; level++)
		place_set(place, level, place_entry(place, level) & ~(EPT_ACCESSED | EPT_DIRTY));
}

u64 place_entry(const struct place *place, unsigned int level)
{
	return tables_get(&place->guest->ept, place->physical, level);
}

void place_set(const struct place *place, unsigned int level, u64 entry)
{
	tables_set(&place->guest->ept, place->physical, level, entry);
	vmx_ept_flush();
}

static void map_ept(const struct place *place)
{
	const struct tables *ept = &place->guest->ept;
	struct tables fresh;

	/* Tables above the place are made once; a test may have left any of them without rights. */
	for (unsigned int level = EPT_LEVELS - 1; level > LEVEL_4K; level--) {
		u64 entry = tables_get(ept, GUEST_PHYSICAL, level);

		if (entry && !(entry & EPT_LARGE))
			tables_set(ept, GUEST_PHYSICAL, level, (entry & PTE_ADDRESS) | EPT_RIGHTS);
	}
	fresh = *ept;
	tables_map(&fresh, GUEST_PHYSICAL, (ulong)place->page, LEVEL_4K, 0);
	vmx_ept_flush();
}

void place_code(struct place *place, enum walk walk, const void *code)
{
	struct vmx_guest *guest = place->guest;
	struct tables ept = guest->ept;

	vmx_guest_again(guest, L2_NATIVE, code);
	guest->ept = ept;
	vmcs_write(VMCS_EPT_POINTER, (ulong)ept.root | place->eptp_flags);
	vmx_set(VMX_SECONDARY_EPT);
	guest->world.registers.bx = LINEAR;
	guest->world.registers.cx = WRITE_VALUE;
	guest->world.registers.dx = LINEAR + 4;
	map_ept(place);

	place->data[0] = READ_VALUE;
	/* VMCALL, behind the value that is read. */
	memcpy(&place->data[1], "\x0f\x01\xc1", 3);
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

void place_again(struct place *place, enum walk walk, enum access access)
{
	place_code(place, walk, codes[access]);
}

/* From here on large pages map what lies from 0 on: nothing else of L2's is there. */
#define LARGE_PHYSICAL 0x80000000ull

bool place_large(struct place *place, enum access access, unsigned int level, u64 rights)
{
	u64 size = tables_page_size(TABLES_EPT, level);

	if (!ept_needs(level == 2 ? EPT_2M : EPT_1G, level == 2 ? "2M pages" : "1G pages"))
		return false;
	place_again(place, FINAL, access);
	place->physical = LARGE_PHYSICAL + (ulong)place->page;
	tables_map(&place->guest->tables, LINEAR, place->physical, LEVEL_4K, 0);
	place_set(place, level,
		  ALIGN_DOWN((ulong)place->page, size) | rights | EPT_TYPE(6) | EPT_LARGE);
	return true;
}

void place_check_done(const struct place *place, enum access access, const char *id)
{
	if (!check_exit(place->guest, EXIT_VMCALL, "%s.exit", id))
		return;
	if (access == READ)
		check_equal((u32)place->guest->world.registers.ax, READ_VALUE, "%s.value", id);
	else if (access == WRITE)
		check_equal(place->data[0], WRITE_VALUE, "%s.value", id);
	else
		check_equal(vmx_rip(), LINEAR + 4, "%s.rip", id);
}

void place_check_rf(const char *id)
{
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_RF, EFLAGS_RF, "%s.rf", id);
}

void place_check_violation(const struct place *place, enum walk walk, enum access access,
			   u64 qualification, const char *id)
{
	ulong offset = access == FETCH ? 4 : 0;
	u64 address = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);

	if (!check_exit(place->guest, EXIT_EPT_VIOLATION, "%s.exit", id))
		return;
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION) & VIOLATION_JUDGED, qualification,
		    "%s.qualification", id);
	check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS), LINEAR + offset, "%s.linear", id);
	/* Of a walk the entry's page is told; which byte of it is another question. */
	if (walk == TABLE)
		check_equal(address & ~0xfffull, place->physical, "%s.physical", id);
	else
		check_equal(address, place->physical + offset, "%s.physical", id);
	place_check_rf(id);
	if (walk == FINAL && access == WRITE)
		check_equal(place->data[0], READ_VALUE, "%s.nothing-written", id);
}
