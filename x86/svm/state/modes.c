// SPDX-License-Identifier: BSD-2-Clause
/*
 * L2 in each mode a CPU has, with nested paging and without; from one mode to another by L2
 * itself, and by L1 between two runs of the same VMCB. 15.5.1, 15.25
 */
#include "control.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "state.h"

/* XOR EAX, EAX; INC EAX, or a REX prefix of the NOP that follows; SMSW EBX; VMMCALL. */
L2_CODE(identify, ".byte 0x31, 0xc0, 0x40, 0x90, 0x0f, 0x01, 0xe3, 0x0f, 0x01, 0xd9, 0x0f, 0x0b");

#define END_OF_IDENTIFY 7

static void check_mode(struct svm_guest *guest, enum l2_mode mode, const struct vmcb *before,
		       const char *id)
{
	const struct vmcb_save *save = &guest->vmcb->save, *was = &before->save;
	bool is_64bit = was->efer & EFER_LMA && was->cs.attrib & VMCB_ATTRIB(0, DESC_LONG);

	if (!check_exit(guest, VMEXIT_VMMCALL, "%s", id))
		return;
	check_equal(save->rax & 0xffff, is_64bit ? 0 : 1, "%s.code-size", id);
	check_equal(guest->world.registers.bx & CR0_PE, was->cr0 & CR0_PE, "%s.pe", id);
	check_equal(save->rip, was->rip + END_OF_IDENTIFY, "%s.ip", id);
	check_equal(save->efer, was->efer, "%s.efer", id);
	check_equal(save->cr0, was->cr0, "%s.cr0", id);
	check_equal(save->cr3, was->cr3, "%s.cr3", id);
	check_equal(save->cr4, was->cr4, "%s.cr4", id);
	check_equal(save->cpl, mode == L2_V8086 ? 3 : 0, "%s.cpl", id);
	check_equal(save->rflags & EFLAGS_VM, was->rflags & EFLAGS_VM, "%s.vm", id);
}

static void run_mode(struct svm_guest *guest, enum l2_mode mode, const char *id)
{
	static struct vmcb before;

	before = *guest->vmcb;
	svm_run(guest);
	check_mode(guest, mode, &before, id);
}

static void test_mode(enum l2_mode mode)
{
	struct svm_guest *guest = svm_guest(mode, identify);

	run_mode(guest, mode, l2_mode_name(mode));
	if (!cpu_has(FEATURE_SVM_NP))
		return;
	svm_guest_again(guest, mode, identify);
	svm_nested_paging(guest);
	prefix_push("nested-paging");
	run_mode(guest, mode, l2_mode_name(mode));
	prefix_pop();
}

static void test_modes(void)
{
	for (unsigned int mode = 0; mode < L2_MODES; mode++) {
		if (mode != L2_V8086 && l2_mode_supported(mode))
			test_mode(mode);
	}
}

SVM_SUBTEST("modes", test_modes);

static void test_v8086(void)
{
	test_mode(L2_V8086);
}

SVM_SUBTEST("modes.v8086", test_v8086);

/* L1 changes the mode of one VMCB between two runs: from each to each. */
static void set_mode(struct svm_guest *guest, enum l2_mode mode)
{
	static struct tables tables[L2_MODES];
	static bool made[L2_MODES];
	struct l2_state state;

	if (!made[mode])
		tables[mode] = l2_tables(mode);
	made[mode] = true;
	tables_clear_pdpes(&tables[mode]);
	state = l2_state(mode, identify, guest->stack_top, &tables[mode]);
	vmcb_set_state(guest->vmcb, &state);
	guest->vmcb->control.clean = 0;
}

static void change_mode(struct svm_guest *guest, enum l2_mode from, enum l2_mode to)
{
	prefix_push("%s-to-%s", l2_mode_name(from), l2_mode_name(to));
	set_mode(guest, to);
	run_mode(guest, to, "run");
	prefix_pop();
}

static void test_changes(void)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, identify);

	/* Each pair there and back; L2_NATIVE is one of the others. */
	for (unsigned int a = L2_NATIVE + 1; a < L2_V8086; a++) {
		if (!l2_mode_supported(a))
			continue;
		set_mode(guest, a);
		svm_run(guest);
		for (unsigned int b = a + 1; b < L2_V8086; b++) {
			if (!l2_mode_supported(b))
				continue;
			change_mode(guest, a, b);
			change_mode(guest, b, a);
		}
	}
}

SVM_SUBTEST("changes-by-l1", test_changes);

/*
 * L2 goes through the modes, and stops in each. EBX: PAE tables, ESI: tables of 4 levels or 0,
 * EDI: two-level tables.
 */
#define ENTER_PAGING	       "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n jmp 9f\n 9:\n"
#define LEAVE_PAGING	       "mov %cr0, %eax\n and $0x7fffffff, %eax\n mov %eax, %cr0\n jmp 9f\n 9:\n"
#define SET_CR4(bit)	       "mov %cr4, %eax\n or $" #bit ", %eax\n mov %eax, %cr4\n"
#define CLEAR_CR4(bit)	       "mov %cr4, %eax\n and $~" #bit ", %eax\n mov %eax, %cr4\n"
#define EFER_OR_AND(op, value) "mov $0xc0000080, %ecx\n rdmsr\n " op " $" value ", %eax\n wrmsr\n"

L2_CODE(walk_32bit,
	".code32\n vmmcall\n" SET_CR4(0x10) "mov %edi, %cr3\n" ENTER_PAGING "vmmcall\n" LEAVE_PAGING
					    "mov %ebx, %cr3\n" SET_CR4(0x20) ENTER_PAGING
	"vmmcall\n" LEAVE_PAGING CLEAR_CR4(
	    0x30) "mov %cr0, %eax\n and $~1, %eax\n mov %eax, %cr0\n vmmcall\n"
		  "or $1, %eax\n mov %eax, %cr0\n vmmcall\n ud2");

static const struct step {
	const char *id;
	u64 cr0, cr4, efer; /* of PE and PG; of PAE and PSE; of LME and LMA */
	u8 cs_flags;	    /* of L */
} steps_32bit[] = {
	{ "protected", CR0_PE, 0, 0, 0 },
	{ "two-level", CR0_PE | CR0_PG, CR4_PSE, 0, 0 },
	{ "pae", CR0_PE | CR0_PG, CR4_PSE | CR4_PAE, 0, 0 },
	{ "real", 0, 0, 0, 0 },
	{ "protected-again", CR0_PE, 0, 0, 0 },
};

static void walk(struct svm_guest *guest, const struct step *steps, unsigned int count)
{
	const struct vmcb_save *save = &guest->vmcb->save;

	for (const struct step *step = steps; step < steps + count; step++) {
		svm_run(guest);
		if (!check_exit(guest, VMEXIT_VMMCALL, "%s", step->id))
			return;
		check_equal(save->cr0 & (CR0_PE | CR0_PG), step->cr0, "%s.cr0", step->id);
		check_equal(save->cr4 & (CR4_PAE | CR4_PSE), step->cr4, "%s.cr4", step->id);
		check_equal(save->efer & (EFER_LME | EFER_LMA), step->efer, "%s.efer", step->id);
		check_equal(save->cs.attrib >> 8 & DESC_LONG, step->cs_flags, "%s.cs-l", step->id);
		check_equal(save->cpl, 0, "%s.cpl", step->id);
		svm_skip(guest, 3);
		tables_clear_pdpes(&guest->tables);
	}
}

static void test_walk_32bit(void)
{
	struct svm_guest *guest = svm_guest(L2_PROTECTED, walk_32bit);

	guest->tables = l2_tables(L2_PAE);
	guest->world.registers.bx = (ulong)guest->tables.root;
	guest->world.registers.di = (ulong)l2_tables(L2_32BIT).root;
	walk(guest, steps_32bit, ARRAY_SIZE(steps_32bit));
}

SVM_SUBTEST("changes-by-l2", test_walk_32bit);

#ifdef __x86_64__
L2_CODE(walk_long, ".code32\n" SET_CR4(0x20) "mov %esi, %cr3\n" EFER_OR_AND(
		       "or", "0x100") "vmmcall\n" ENTER_PAGING "vmmcall\n"
				      "ljmp $0x08, $walk_64bit\n"
				      ".code64\n walk_64bit: vmmcall\n"
				      "pushq $0x18\n pushq $walk_compat\n lretq\n"
				      ".code32\n walk_compat: vmmcall\n" LEAVE_PAGING
				      "vmmcall\n" EFER_OR_AND("and", "~0x100") "vmmcall\n ud2");

static void test_walk_long(void)
{
	static const struct step steps[] = {
		{ "lme", CR0_PE, CR4_PAE, EFER_LME, 0 },
		{ "compat", CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0 },
		{ "long", CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, DESC_LONG },
		{ "compat-again", CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0 },
		{ "lme-again", CR0_PE, CR4_PAE, EFER_LME, 0 },
		{ "protected", CR0_PE, CR4_PAE, 0, 0 },
	};
	struct svm_guest *guest = svm_guest(L2_PROTECTED, walk_long);

	guest->world.registers.si = (ulong)l2_tables(L2_LONG).root;
	walk(guest, steps, ARRAY_SIZE(steps));
}

SVM_SUBTEST("changes-by-l2.long", test_walk_long);
#endif

/* Without nested paging VMRUN reads the PDPEs anew each time, CR3 being the same. 15.5.1 */
L2_CODE(read_high, ".code32\n mov 0xc0000000, %eax\n vmmcall\n ud2");

static void test_pdpes(void)
{
	struct svm_guest *guest = svm_guest(L2_PAE, read_high);
	u64 *pdpe = tables_entry(&guest->tables, 0xc0000000, 3);
	u32 *pages[2] = { page_alloc(), page_alloc() };

	for (u32 i = 0; i < 2; i++) {
		*pages[i] = 0x1000 + i;
		*pdpe = 0; /* tables_map() makes another */
		tables_map(&guest->tables, 0xc0000000, (ulong)pages[i], LEVEL_4K, 0);
		svm_guest_again(guest, L2_PAE, read_high);
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "table-%u", i);
		check_equal(guest->vmcb->save.rax, 0x1000 + i, "table-%u.read", i);
		/* A PDPE has no accessed flag: its bit is reserved, and VMRUN's to refuse. 5.2.3 */
		check_equal(*pdpe & PTE_ACCESSED, 0, "table-%u.no-accessed-flag", i);
	}
	*pdpe = 0;
	svm_guest_again(guest, L2_PAE, read_high);
	svm_run(guest);
	check_exit_info(guest, VMEXIT_EXCP + VECTOR_PF, 0, 0xc0000000, "not-present");
}

SVM_SUBTEST("pdpes", test_pdpes);
