// SPDX-License-Identifier: BSD-2-Clause
/*
 * INS and OUTS, alone and repeated, as the IOPM's intercept sees them: APM volume 2, 15.10.2
 * and 15.10.3. EXITINFO1 has to say everything that an emulator needs: size of operand and address,
 * the segment that counts after overrides, whether a REP stands in front. The intercept
 * comes before any access to memory, and before the first iteration.
 */
#include "page_alloc.h"
#include "paging.h"
#include "permission_maps.h"
#include "string.h"

#define PORT 0x1234

enum { ES, CS, SS, DS, FS, GS };

struct string {
	const char *name;
	const u8 *code, *end;
	enum l2_mode mode;
	u32 info; /* EXITINFO1, but for the port */
};

/* Declares the code; the row's end is the next instruction. */
#define STRING_CODE(label, text)                                                                   \
	L2_CODE(label, text "\n" #label "_end: vmmcall\n ud2");                                    \
	extern const u8 label##_end[]

#ifdef __x86_64__
#define NATIVE_ADDRESS IOIO_ADDRESS_64
#else
#define NATIVE_ADDRESS IOIO_ADDRESS_32
#endif

STRING_CODE(insb, "insb");
STRING_CODE(insw, "insw");
STRING_CODE(insl, "insl");
STRING_CODE(outsb, "outsb");
STRING_CODE(outsw, "outsw");
STRING_CODE(outsl, "outsl");
STRING_CODE(rep_insb, "rep insb");
STRING_CODE(rep_insl, "rep insl");
STRING_CODE(rep_outsb, "rep outsb");
STRING_CODE(rep_outsw, "rep outsw");
STRING_CODE(repne_outsb, ".byte 0xf2, 0x6e");
STRING_CODE(outsb_fs, ".byte 0x64, 0x6e");
STRING_CODE(outsb_gs, ".byte 0x65, 0x6e");
STRING_CODE(insb_fs, ".byte 0x64, 0x6c");
STRING_CODE(short_outsb, ".byte 0x67, 0x6e");
STRING_CODE(short_rep_insb, ".byte 0x67, 0xf3, 0x6c");

STRING_CODE(pae_outsb, ".code32\n outsb");
STRING_CODE(pae_rep_outsl, ".code32\n rep outsl");
STRING_CODE(pae_outsw, ".code32\n outsw");
STRING_CODE(pae_short_outsb, ".code32\n .byte 0x67, 0x6e");
STRING_CODE(pae_outsb_es, ".code32\n .byte 0x26, 0x6e");
STRING_CODE(pae_outsb_cs, ".code32\n .byte 0x2e, 0x6e");
STRING_CODE(pae_outsb_ss, ".code32\n .byte 0x36, 0x6e");
STRING_CODE(pae_outsb_ds, ".code32\n .byte 0x3e, 0x6e");
STRING_CODE(pae_outsb_fs, ".code32\n .byte 0x64, 0x6e");
STRING_CODE(pae_outsb_gs, ".code32\n .byte 0x65, 0x6e");

STRING_CODE(real_insb, ".code16\n insb");
STRING_CODE(real_outsb, ".code16\n outsb");
STRING_CODE(real_outsl, ".code16\n outsl");
STRING_CODE(real_rep_outsw, ".code16\n rep outsw");
STRING_CODE(real_long_outsb, ".code16\n .byte 0x67, 0x6e");
STRING_CODE(real_outsb_es, ".code16\n .byte 0x26, 0x6e");
STRING_CODE(real_rep_insl, ".code16\n rep insl");

#define INS(size)  (IOIO_STRING | IOIO_IN | IOIO_SIZE_##size | IOIO_SEGMENT(ES))
#define OUTS(size) (IOIO_STRING | IOIO_SIZE_##size)
#define A16	   IOIO_ADDRESS_16
#define A32	   IOIO_ADDRESS_32
#define AX	   NATIVE_ADDRESS
/* 67h in front of native code */
#define AS (NATIVE_ADDRESS >> 1)
#define ROW(name, label, mode, info)                                                               \
	{                                                                                          \
		name, label, label##_end, mode, info                                               \
	}

static const struct string strings[] = {
	ROW("insb", insb, L2_NATIVE, INS(8) | AX),
	ROW("insw", insw, L2_NATIVE, INS(16) | AX),
	ROW("insl", insl, L2_NATIVE, INS(32) | AX),
	ROW("outsb", outsb, L2_NATIVE, OUTS(8) | AX | IOIO_SEGMENT(DS)),
	ROW("outsw", outsw, L2_NATIVE, OUTS(16) | AX | IOIO_SEGMENT(DS)),
	ROW("outsl", outsl, L2_NATIVE, OUTS(32) | AX | IOIO_SEGMENT(DS)),
	ROW("rep-insb", rep_insb, L2_NATIVE, INS(8) | AX | IOIO_REP),
	ROW("rep-insl", rep_insl, L2_NATIVE, INS(32) | AX | IOIO_REP),
	ROW("rep-outsb", rep_outsb, L2_NATIVE, OUTS(8) | AX | IOIO_REP | IOIO_SEGMENT(DS)),
	ROW("rep-outsw", rep_outsw, L2_NATIVE, OUTS(16) | AX | IOIO_REP | IOIO_SEGMENT(DS)),
	ROW("repne-outsb", repne_outsb, L2_NATIVE, OUTS(8) | AX | IOIO_REP | IOIO_SEGMENT(DS)),
	ROW("outsb-fs", outsb_fs, L2_NATIVE, OUTS(8) | AX | IOIO_SEGMENT(FS)),
	ROW("outsb-gs", outsb_gs, L2_NATIVE, OUTS(8) | AX | IOIO_SEGMENT(GS)),
	ROW("insb-fs", insb_fs, L2_NATIVE, INS(8) | AX),
	ROW("short-outsb", short_outsb, L2_NATIVE, OUTS(8) | AS | IOIO_SEGMENT(DS)),
	ROW("short-rep-insb", short_rep_insb, L2_NATIVE, INS(8) | AS | IOIO_REP),

	ROW("pae.outsb", pae_outsb, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(DS)),
	ROW("pae.rep-outsl", pae_rep_outsl, L2_PAE, OUTS(32) | A32 | IOIO_REP | IOIO_SEGMENT(DS)),
	ROW("pae.outsw", pae_outsw, L2_PAE, OUTS(16) | A32 | IOIO_SEGMENT(DS)),
	ROW("pae.short-outsb", pae_short_outsb, L2_PAE, OUTS(8) | A16 | IOIO_SEGMENT(DS)),
	ROW("pae.outsb-es", pae_outsb_es, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(ES)),
	ROW("pae.outsb-cs", pae_outsb_cs, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(CS)),
	ROW("pae.outsb-ss", pae_outsb_ss, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(SS)),
	ROW("pae.outsb-ds", pae_outsb_ds, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(DS)),
	ROW("pae.outsb-fs", pae_outsb_fs, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(FS)),
	ROW("pae.outsb-gs", pae_outsb_gs, L2_PAE, OUTS(8) | A32 | IOIO_SEGMENT(GS)),

	ROW("real.insb", real_insb, L2_REAL, INS(8) | A16),
	ROW("real.outsb", real_outsb, L2_REAL, OUTS(8) | A16 | IOIO_SEGMENT(DS)),
	ROW("real.outsl", real_outsl, L2_REAL, OUTS(32) | A16 | IOIO_SEGMENT(DS)),
	ROW("real.rep-outsw", real_rep_outsw, L2_REAL,
	    OUTS(16) | A16 | IOIO_REP | IOIO_SEGMENT(DS)),
	ROW("real.long-outsb", real_long_outsb, L2_REAL, OUTS(8) | A32 | IOIO_SEGMENT(DS)),
	ROW("real.outsb-es", real_outsb_es, L2_REAL, OUTS(8) | A16 | IOIO_SEGMENT(ES)),
	ROW("real.rep-insl", real_rep_insl, L2_REAL, INS(32) | A16 | IOIO_REP),
};

#define SIZES	  (IOIO_SIZE_8 | IOIO_SIZE_16 | IOIO_SIZE_32)
#define ADDRESSES (IOIO_ADDRESS_16 | IOIO_ADDRESS_32 | IOIO_ADDRESS_64)
#define COUNT	  3

static u8 *memory; /* that SI and DI point at, 16-bit ones through the segments' bases */

static struct svm_guest *prepare(const struct string *string)
{
	struct svm_guest *guest = maps_guest(string->mode, string->code);
	struct vmcb_save *save = &guest->vmcb->save;

	if (!memory)
		memory = page_alloc();
	svm_intercept(guest, VMEXIT_IOIO);
	svm_intercept_ports(guest, PORT, 1);
	guest->world.registers.dx = PORT;
	guest->world.registers.cx = COUNT;
	if (save->cs.attrib & VMCB_ATTRIB(0, DESC_LONG))
		guest->world.registers.si = guest->world.registers.di = (ulong)memory;
	else
		save->ds.base = save->es.base = (ulong)memory;
	return guest;
}

static void check_information(const struct svm_guest *guest, u32 expected)
{
	u32 info = guest->vmcb->control.exitinfo1;

	check_equal(info >> 16, PORT, "port");
	check_equal(info & IOIO_IN, expected & IOIO_IN, "type");
	check_equal(info & IOIO_STRING, IOIO_STRING, "str");
	check_equal(info & IOIO_REP, expected & IOIO_REP, "rep");
	check_equal(info & SIZES, expected & SIZES, "operand-size");
	check_equal(info & ADDRESSES, expected & ADDRESSES, "address-size");
}

/* The intercept; then, without it, the same instruction again, to its end. */
static void test_string(const struct string *string)
{
	struct svm_guest *guest = prepare(string);
	const struct svm_registers before = guest->world.registers;
	u64 next = guest->vmcb->save.rip + (string->end - string->code);
	unsigned int times = string->info & IOIO_REP ? COUNT : 1;
	unsigned int bytes = (string->info & SIZES) / IOIO_SIZE_8;

	svm_run(guest);
	if (!check_exit(guest, VMEXIT_IOIO, "exit"))
		return;
	check_information(guest, string->info);
	check_equal(guest->vmcb->control.exitinfo2, next, "exitinfo2");
	check_equal(svm_rip(guest), (ulong)string->code, "rip");
	check_equal(memcmp(&guest->world.registers, &before, sizeof(before)), 0, "registers");
	check_next_rip(guest, next);

	memset(guest->iopm, 0, IOPM_SIZE);
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "off");
	check_equal(guest->world.registers.cx, string->info & IOIO_REP ? 0 : COUNT, "off.rcx");
	check_equal(string->info & IOIO_IN ? guest->world.registers.di - before.di
					   : guest->world.registers.si - before.si,
		    times * bytes, "off.pointer");
}

static void test_strings(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(strings); i++) {
		if (!l2_mode_supported(strings[i].mode))
			continue;
		prefix_push("%s", strings[i].name);
		test_string(&strings[i]);
		prefix_pop();
	}
}
SVM_SUBTEST("strings.information", test_strings);

/* 15.10.3: the segment after overrides; a part of the decode assists. INS has none but ES. */
static void test_segment(void)
{
	if (!cpu_has(FEATURE_SVM_DECODE_ASSISTS)) {
		check_skip("the CPU has no decode assists", "rows");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(strings); i++) {
		const u32 segment = IOIO_SEGMENT(7);
		struct svm_guest *guest;

		if (!l2_mode_supported(strings[i].mode))
			continue;
		guest = prepare(&strings[i]);
		svm_run(guest);
		check_equal(guest->vmcb->control.exitinfo1 & segment, strings[i].info & segment,
			    "%s", strings[i].name);
	}
}
SVM_SUBTEST("strings.segment", test_segment);

/* A word or doubleword of a string whose last byte alone is intercepted. */
static void test_last_byte(void)
{
	static const struct string rows[] = {
		ROW("insw", insw, L2_NATIVE, 2),	   ROW("insl", insl, L2_NATIVE, 4),
		ROW("outsw", outsw, L2_NATIVE, 2),	   ROW("rep-insl", rep_insl, L2_NATIVE, 4),
		ROW("rep-outsw", rep_outsw, L2_NATIVE, 2),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int size = rows[i].info;

		for (unsigned int n = 1; n <= size; n++) {
			struct svm_guest *guest = prepare(&rows[i]);

			memset(guest->iopm, 0, IOPM_SIZE);
			svm_intercept_ports(guest, PORT + n, 1);
			svm_run(guest);
			check_exit(guest, n < size ? VMEXIT_IOIO : VMEXIT_VMMCALL, "%s.bit+%u",
				   rows[i].name, n);
		}
	}
}
SVM_SUBTEST("strings.last-byte", test_last_byte);

/* 15.10.2: all exceptions but those of protection are checked after the intercept. */
static void test_memory(void)
{
	static const struct string rows[] = {
		ROW("insb", insb, L2_NATIVE, IOIO_IN),
		ROW("outsb", outsb, L2_NATIVE, 0),
		ROW("rep-insb", rep_insb, L2_NATIVE, IOIO_IN),
		ROW("rep-outsb", rep_outsb, L2_NATIVE, 0),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct svm_guest *guest = prepare(&rows[i]);
		u64 error = rows[i].info & IOIO_IN ? PF_WRITE : 0;

		tables_set(&guest->tables, (ulong)memory, 1, 0);
		svm_run(guest);
		check_exit(guest, VMEXIT_IOIO, "%s.not-present", rows[i].name);
		memset(guest->iopm, 0, IOPM_SIZE);
		svm_run(guest);
		check_exit_info(guest, VMEXIT_EXCP + VECTOR_PF, error, (ulong)memory,
				"%s.not-present.off", rows[i].name);
		tables_map(&guest->tables, (ulong)memory, (ulong)memory, 1, 0);
	}
}
SVM_SUBTEST("strings.memory", test_memory);

/* Whether REP with a count of 0 asks the map is not said. */
static void test_count_0(void)
{
	struct svm_guest *guest =
	    prepare(&(const struct string)ROW("rep-outsb", rep_outsb, L2_NATIVE, 0));
	ulong before = guest->world.registers.si;

	guest->world.registers.cx = 0;
	svm_run(guest);
	diagnostic("REP OUTSB with a count of 0 is %sintercepted",
		   guest->vmcb->control.exitcode == VMEXIT_IOIO ? "" : "not ");
	check(guest->vmcb->control.exitcode == VMEXIT_IOIO ||
		  guest->vmcb->control.exitcode == VMEXIT_VMMCALL,
	      "goes-on");
	check_equal(guest->world.registers.si, before, "rsi");
}
SVM_SUBTEST("strings.count-0", test_count_0);
