// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segment registers with their hidden parts, GDTR and IDTR. 15.5.1 "Segment State in the VMCB":
 * of the attributes only some are observed, in each register others; the rest is not compared.
 */
#include "state.h"

enum { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };

#define PRESENT_TYPE (DESC_PRESENT | 0xe) /* P, code or data, E or C, W or R; not accessed */

static const struct segment_register {
	const char *name;
	u16 offset;
	u16 observed; /* attributes */
	u16 selector; /* odd: nobody looks it up */
	u8 vector;    /* of an access that the segment does not allow */
} registers[SEGMENTS] = {
#define SAVE(name)    offsetof(struct vmcb, save.name)
#define DATA_ATTRIB   VMCB_ATTRIB(PRESENT_TYPE | DESC_DPL3, DESC_BIG)
#define SYSTEM_ATTRIB VMCB_ATTRIB(DESC_PRESENT | 0x1f, 0)
	[ES] = { "es", SAVE(es), DATA_ATTRIB, 0x1230, VECTOR_GP },
	[CS] = { "cs", SAVE(cs), VMCB_ATTRIB(DESC_DATA_WRITABLE & 0xf, DESC_BIG | DESC_LONG),
		 0x2340, VECTOR_GP },
	[SS] = { "ss", SAVE(ss), VMCB_ATTRIB(PRESENT_TYPE, DESC_BIG), 0x3450, VECTOR_SS },
	[DS] = { "ds", SAVE(ds), DATA_ATTRIB, 0x4560, VECTOR_GP },
	[FS] = { "fs", SAVE(fs), DATA_ATTRIB, 0x5670, VECTOR_GP },
	[GS] = { "gs", SAVE(gs), DATA_ATTRIB, 0x6780, VECTOR_GP },
	[LDTR] = { "ldtr", SAVE(ldtr), SYSTEM_ATTRIB, 0x7890, 0 },
	[TR] = { "tr", SAVE(tr), SYSTEM_ATTRIB, 0x89a0, 0 },
};

static struct vmcb_segment *segment_of(struct svm_guest *guest, unsigned int i)
{
	return (struct vmcb_segment *)((u8 *)guest->vmcb + registers[i].offset);
}

/* Each segment begins at a number of its own. */
static const u32 numbers[6] = { 0xe5e5, 0xc5c5, 0x5555, 0xd5d5, 0xf5f5, 0x6565 };

L2_CODE(read_bases, ".code32\n"
		    "mov %es:0, %eax\n mov %cs:0, %ebx\n mov %ss:0, %ecx\n mov %ds:0, %edx\n"
		    "mov %fs:0, %esi\n mov %gs:0, %edi\n vmmcall\n ud2");
L2_CODE(read_selectors, ".code32\n"
			"mov %es, %eax\n mov %cs, %ebx\n mov %ss, %ecx\n mov %ds, %edx\n"
			"mov %fs, %esi\n mov %gs, %edi\n sldt %bp\n vmmcall\n"
			"str %eax\n vmmcall\n ud2");

/* CS has its code at an offset, as its base is that of a number. */
static void set_odd_segments(struct svm_guest *guest)
{
	guest->vmcb->save.rip -= (ulong)&numbers[CS];
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		struct vmcb_segment *segment = segment_of(guest, i);

		segment->selector = registers[i].selector;
		segment->base = i < 6 ? (ulong)&numbers[i] : 0x12345000 + i;
		if (i >= LDTR) {
			segment->limit = 0x6789 + i;
			segment->attrib |= DESC_PRESENT;
		}
	}
}

static void check_saved(struct svm_guest *guest, const struct vmcb *loaded)
{
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		const struct segment_register *r = &registers[i];
		const struct vmcb_segment *now = segment_of(guest, i);
		const struct vmcb_segment *was = (const void *)((const u8 *)loaded + r->offset);

		check_equal(now->selector, was->selector, "saved.%s.selector", r->name);
		check_equal(now->base, was->base, "saved.%s.base", r->name);
		check_equal(now->limit, was->limit, "saved.%s.limit", r->name);
		check_equal(now->attrib & r->observed, was->attrib & r->observed,
			    "saved.%s.attributes", r->name);
	}
}

static void test_loaded(void)
{
	static struct vmcb loaded;
	struct svm_guest *guest = svm_guest(L2_PROTECTED, read_bases);
	const struct svm_registers *r = &guest->world.registers;

	set_odd_segments(guest);
	loaded = *guest->vmcb;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "bases");
	check_equal(guest->vmcb->save.rax, numbers[ES], "es.base");
	check_equal(r->bx, numbers[CS], "cs.base");
	check_equal(r->cx, numbers[SS], "ss.base");
	check_equal(r->dx, numbers[DS], "ds.base");
	check_equal(r->si, numbers[FS], "fs.base");
	check_equal(r->di, numbers[GS], "gs.base");
	check_saved(guest, &loaded);

	svm_guest_again(guest, L2_PROTECTED, read_selectors);
	set_odd_segments(guest);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "selectors");
	check_equal(guest->vmcb->save.rax & 0xffff, registers[ES].selector, "es.selector");
	check_equal(r->bx & 0xffff, registers[CS].selector, "cs.selector");
	check_equal(r->cx & 0xffff, registers[SS].selector, "ss.selector");
	check_equal(r->dx & 0xffff, registers[DS].selector, "ds.selector");
	check_equal(r->si & 0xffff, registers[FS].selector, "fs.selector");
	check_equal(r->di & 0xffff, registers[GS].selector, "gs.selector");
	check_equal(r->bp & 0xffff, registers[LDTR].selector, "ldtr.selector");
	svm_skip(guest, 3);
	svm_run(guest);
	check_equal(guest->vmcb->save.rax & 0xffff, registers[TR].selector, "tr.selector");
}

SVM_SUBTEST("segments", test_loaded);

/* SGDT and SIDT, through a flat DS. */
L2_CODE(store_tables, ".code32\n sgdt (%ebx)\n sidt 8(%ebx)\n lgdt 16(%ebx)\n lidt 24(%ebx)\n"
		      "vmmcall\n ud2");

static void test_descriptor_tables(void)
{
	static struct {
		u16 limit;
		u32 base;
		u16 unused;
	} __packed __aligned(8) seen[4];
	struct svm_guest *guest = svm_guest(L2_PROTECTED, store_tables);
	struct vmcb_save *save = &guest->vmcb->save;

	seen[2].limit = 0x1357;
	seen[2].base = 0x2468ace0;
	seen[3].limit = 0x0246;
	seen[3].base = 0x13579bdf;
	save->gdtr.limit = 0xabcd;
	save->gdtr.base = 0x89abcdef;
	save->idtr.limit = 0x0765;
	save->idtr.base = 0x1234567;
	guest->world.registers.bx = (ulong)seen;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	check_equal(seen[0].limit, 0xabcd, "gdtr.limit.loaded");
	check_equal(seen[0].base, 0x89abcdef, "gdtr.base.loaded");
	check_equal(seen[1].limit, 0x0765, "idtr.limit.loaded");
	check_equal(seen[1].base, 0x1234567, "idtr.base.loaded");
	check_equal(save->gdtr.limit, 0x1357, "gdtr.limit.saved");
	check_equal(save->gdtr.base, 0x2468ace0, "gdtr.base.saved");
	check_equal(save->idtr.limit, 0x0246, "idtr.limit.saved");
	check_equal(save->idtr.base, 0x13579bdf, "idtr.base.saved");
}

SVM_SUBTEST("descriptor-tables", test_descriptor_tables);

/* A byte at an offset in EBX through each segment: read, and written. */
#define ACCESS(segment)                                                                            \
	L2_CODE(load_##segment, ".code32\n movb %" #segment ":(%ebx), %al\n vmmcall\n ud2");       \
	L2_CODE(store_##segment, ".code32\n movb %al, %" #segment ":(%ebx)\n vmmcall\n ud2")
ACCESS(es);
ACCESS(cs);
ACCESS(ss);
ACCESS(ds);
ACCESS(fs);
ACCESS(gs);

static u8 bytes[8192];

/* An access to a segment whose base is bytes; CS's is that of its code, and stays. */
static void access(unsigned int i, bool write, u32 offset, u32 limit, u16 attrib, bool faults,
		   const char *id)
{
	static const u8 *const codes[6][2] = {
		{ load_es, store_es }, { load_cs, store_cs }, { load_ss, store_ss },
		{ load_ds, store_ds }, { load_fs, store_fs }, { load_gs, store_gs },
	};
	static struct svm_guest *guest;
	const u8 *code = codes[i][write];
	struct vmcb_segment *segment;

	if (!guest)
		guest = svm_guest(L2_PROTECTED, code);
	svm_guest_again(guest, L2_PROTECTED, code);
	segment = segment_of(guest, i);
	segment->base = i == CS ? (ulong)code : (ulong)bytes;
	if (i == CS)
		guest->vmcb->save.rip = 0;
	segment->limit = limit;
	segment->attrib = attrib;
	guest->world.registers.bx = offset;
	svm_run(guest);
	if (faults)
		check_exit_info(guest, VMEXIT_EXCP + registers[i].vector, 0,
				guest->vmcb->control.exitinfo2, "%s.%s", registers[i].name, id);
	else
		check_exit(guest, VMEXIT_VMMCALL, "%s.%s", registers[i].name, id);
}

#define PRESENT	  (DESC_PRESENT | DESC_ACCESSED)
#define DATA	  VMCB_ATTRIB(PRESENT | DESC_DATA_WRITABLE, DESC_BIG)
#define DATA_DOWN VMCB_ATTRIB(PRESENT | DESC_DATA_WRITABLE | DESC_DATA_DOWN, DESC_BIG)
#define READ_ONLY VMCB_ATTRIB(PRESENT | DESC_DATA, DESC_BIG)
#define NULL_DATA VMCB_ATTRIB(DESC_DATA_WRITABLE | DESC_ACCESSED, DESC_BIG)
#define CODE_R	  VMCB_ATTRIB(PRESENT | DESC_CODE_READABLE, DESC_BIG)
#define CODE_X	  VMCB_ATTRIB(PRESENT | DESC_CODE, DESC_BIG)

/* Limits are in bytes, whatever G says: 15.5.1 "fully expanded". */
static void test_limits(void)
{
	for (unsigned int i = ES; i <= GS; i++) {
		u16 attrib = i == CS ? CODE_R : DATA;

		access(i, false, 0x234, 0x234, attrib, false, "last-byte");
		access(i, false, 0x235, 0x234, attrib, true, "beyond");
		if (i == CS)
			continue;
		access(i, false, 0x235, 0x234, DATA_DOWN, false, "expand-down.first-byte");
		access(i, false, 0x234, 0x234, DATA_DOWN, true, "expand-down.below");
	}
}

SVM_SUBTEST("segment-limits", test_limits);

static void test_attributes(void)
{
	for (unsigned int i = ES; i <= GS; i++) {
		if (i == CS) {
			access(i, false, 0, 0xfff, CODE_X, true, "execute-only.read");
			access(i, true, 0, 0xfff, CODE_R, true, "readable.write");
			continue;
		}
		access(i, true, 0x100, 0xfff, DATA, false, "writable.write");
		if (i == SS) /* has to be writable */
			continue;
		access(i, false, 0x100, 0xfff, READ_ONLY, false, "read-only.read");
		access(i, true, 0x100, 0xfff, READ_ONLY, true, "read-only.write");
		access(i, false, 0x100, 0xfff, NULL_DATA, true, "null.read");
	}
}

SVM_SUBTEST("segment-attributes", test_attributes);

/* MOV AX, 1111h; 2 NOPs; VMMCALL in 16-bit code, MOV EAX, 90901111h; VMMCALL in 32-bit code. */
L2_CODE(operand_size, ".byte 0xb8, 0x11, 0x11, 0x90, 0x90, 0x0f, 0x01, 0xd9, 0x0f, 0x0b");
/* POP EAX, with the stack pointer at the end of 64 KiB. */
L2_CODE(stack_size, ".code32\n pop %eax\n vmmcall\n ud2");

static void test_default_size(void)
{
	for (unsigned int big = 0; big < 2; big++) {
		u16 flags = VMCB_ATTRIB(0, big ? DESC_BIG : 0);
		struct svm_guest *guest = svm_guest(L2_PROTECTED, operand_size);
		struct vmcb_save *save = &guest->vmcb->save;

		save->cs.attrib = (save->cs.attrib & ~VMCB_ATTRIB(0, DESC_BIG)) | flags;
		save->cs.base = (ulong)operand_size;
		save->rip = 0;
		save->rax = 0;
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "cs.d-%u", big);
		check_equal(save->rax, big ? 0x90901111 : 0x1111, "cs.d-%u.operand", big);

		svm_guest_again(guest, L2_PROTECTED, stack_size);
		save->ss.attrib = (save->ss.attrib & ~VMCB_ATTRIB(0, DESC_BIG)) | flags;
		save->rsp = 0x12fffc;
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "ss.b-%u", big);
		check_equal(save->rsp, big ? 0x130000 : 0x120000, "ss.b-%u.sp", big);
	}
}

SVM_SUBTEST("segment-sizes", test_default_size);

/* L2 loads segments itself: the VMCB has what its descriptors say. */
#define L2_SELECTOR(n) (8 * (n))

L2_CODE(load_segments, ".code32\n"
		       "mov $0x08, %eax\n mov %eax, %es\n mov $0x10, %eax\n mov %eax, %ss\n"
		       "mov $0x18, %eax\n mov %eax, %fs\n mov $0x20, %eax\n mov %eax, %gs\n"
		       "mov $0x28, %eax\n lldt %ax\n mov $0x30, %eax\n ltr %ax\n"
		       "mov $0x38, %eax\n mov %eax, %ds\n"
		       "ljmp $0x40, $load_segments_end\n load_segments_end: vmmcall\n ud2");

static void test_saved(void)
{
	static const struct {
		unsigned int segment;
		struct segment descriptor;
	} rows[] = {
		{ ES, { 0x11110000, 0x1111, DESC_PRESENT | DESC_DATA_WRITABLE, DESC_BIG } },
		{ SS, { 0x22220000, 0x2222, DESC_PRESENT | DESC_DATA_WRITABLE, DESC_BIG } },
		{ FS, { 0x33330000, 0x3333, DESC_PRESENT | DESC_DPL3 | DESC_DATA, 0 } },
		{ GS,
		  { 0x44440000, 0x4444fff, DESC_PRESENT | DESC_DATA | DESC_DATA_DOWN, DESC_BIG } },
		{ LDTR, { 0x55550000, 0x5555, DESC_PRESENT | DESC_LDT, 0 } },
		{ TR, { 0x66660000, 0x6666, DESC_PRESENT | DESC_TSS, 0 } },
		{ DS, { 0x77770000, 0x7777, DESC_PRESENT | DESC_CODE_READABLE, DESC_BIG } },
		{ CS, { 0, 0xffffffff, DESC_PRESENT | DESC_CODE_READABLE, DESC_BIG } },
	};
	static u64 gdt[ARRAY_SIZE(rows) + 1] __aligned(8);
	struct svm_guest *guest = svm_guest(L2_PROTECTED, load_segments);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		gdt[i + 1] = segment_descriptor(&rows[i].descriptor);
	guest->vmcb->save.gdtr.base = (ulong)gdt;
	guest->vmcb->save.gdtr.limit = sizeof(gdt) - 1;
	svm_run(guest);
	if (!check_exit(guest, VMEXIT_VMMCALL, "exit"))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct segment *descriptor = &rows[i].descriptor;
		const struct segment_register *r = &registers[rows[i].segment];
		const struct vmcb_segment *now = segment_of(guest, rows[i].segment);
		/* LTR marks its TSS busy. */
		u16 attrib = VMCB_ATTRIB(descriptor->access, descriptor->flags) |
			     (rows[i].segment == TR ? DESC_TSS_BUSY : 0);

		check_equal(now->selector, L2_SELECTOR(i + 1), "%s.selector", r->name);
		check_equal(now->base, descriptor->base, "%s.base", r->name);
		check_equal(now->limit, descriptor->limit, "%s.limit", r->name);
		check_equal(now->attrib & r->observed, attrib & r->observed, "%s.attributes",
			    r->name);
	}
}

SVM_SUBTEST("segments-of-l2", test_saved);

#ifdef __x86_64__
L2_CODE(only_vmmcall, "vmmcall\n ud2");

/* VMRUN and #VMEXIT sign-extend the bases that they load and save. 15.5.1 */
static void test_canonical(void)
{
	static const u8 list[] = { ES, CS, SS, DS };
	struct svm_guest *guest = svm_guest(L2_LONG, only_vmmcall);

	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++)
		segment_of(guest, list[i])->base = 0x0000800000001000 + i;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++)
		check_equal(segment_of(guest, list[i])->base, 0xffff800000001000 + i, "%s",
			    registers[list[i]].name);
}

SVM_SUBTEST("canonical-bases", test_canonical);
#endif
