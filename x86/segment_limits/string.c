// SPDX-License-Identifier: BSD-2-Clause
/*
 * String instructions, with and without REP. An iteration that faults leaves ECX, ESI
 * and EDI as the last complete one left them, so that the instruction can be
 * resumed (SDM volume 2B, REP), and nothing behind that is written.
 */
#include "control.h"
#include "report.h"
#include "segment_limits.h"
#include "string.h"

#define SOURCE	    1 /* DS:ESI */
#define DESTINATION 2 /* ES:EDI */

#define PORT	    0x80 /* the POST code: there on a PC, and nothing comes of it */
#define ROOM	    64	 /* for downward runs, before their start */
#define FLAT_SIZE   512

struct string {
	const char *name;
	unsigned int size;
	unsigned int uses;
	bool writes;
	bool rep;
	unsigned int length;
	const char *code;
};

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes
#define BOTH		  (SOURCE | DESTINATION)

/* CMPS and SCAS have REPNE, and no element is equal. */
static const struct string strings[] = {
	{ "movsb", 1, BOTH, true, false, CODE_BYTES("\xa4") },
	{ "movsd", 4, BOTH, true, false, CODE_BYTES("\xa5") },
	{ "stosw", 2, DESTINATION, true, false, CODE_BYTES("\x66\xab") },
	{ "lodsd", 4, SOURCE, false, false, CODE_BYTES("\xad") },
	{ "cmpsd", 4, BOTH, false, false, CODE_BYTES("\xa7") },
	{ "scasd", 4, DESTINATION, false, false, CODE_BYTES("\xaf") },
	{ "rep-movsb", 1, BOTH, true, true, CODE_BYTES("\xf3\xa4") },
	{ "rep-movsw", 2, BOTH, true, true, CODE_BYTES("\x66\xf3\xa5") },
	{ "rep-movsd", 4, BOTH, true, true, CODE_BYTES("\xf3\xa5") },
	{ "rep-stosb", 1, DESTINATION, true, true, CODE_BYTES("\xf3\xaa") },
	{ "rep-stosd", 4, DESTINATION, true, true, CODE_BYTES("\xf3\xab") },
	{ "rep-lodsb", 1, SOURCE, false, true, CODE_BYTES("\xf3\xac") },
	{ "rep-lodsd", 4, SOURCE, false, true, CODE_BYTES("\xf3\xad") },
	{ "repne-cmpsb", 1, BOTH, false, true, CODE_BYTES("\xf2\xa6") },
	{ "repne-cmpsd", 4, BOTH, false, true, CODE_BYTES("\xf2\xa7") },
	{ "repne-scasw", 2, DESTINATION, false, true, CODE_BYTES("\x66\xf2\xaf") },
	{ "repne-scasd", 4, DESTINATION, false, true, CODE_BYTES("\xf2\xaf") },
};

static const struct string io_strings[] = {
	{ "insb", 1, DESTINATION, true, false, CODE_BYTES("\x6c") },
	{ "outsd", 4, SOURCE, false, false, CODE_BYTES("\x6f") },
	{ "rep-insb", 1, DESTINATION, true, true, CODE_BYTES("\xf3\x6c") },
	{ "rep-insd", 4, DESTINATION, true, true, CODE_BYTES("\xf3\x6d") },
	{ "rep-outsb", 1, SOURCE, false, true, CODE_BYTES("\xf3\x6e") },
	{ "rep-outsw", 2, SOURCE, false, true, CODE_BYTES("\x66\xf3\x6f") },
};

/* A segment, the way through it, and the first offset on that way that is not valid. */
static const struct row {
	const char *name;
	struct segment segment;
	bool downward; /* EFLAGS.DF */
	u32 invalid;
} rows[] = {
	{ "up-byte-0xffff", { 0, 0xffff, DATA_UP, DESC_BIG }, false, 0x10000 },
	{ "up-page-0xfff", { 0, 0xfff, DATA_UP, DESC_BIG | DESC_GRANULARITY }, false, 0x1000 },
	{ "up-page-0xffffefff", { 0, 0xffffefff, DATA_UP, DESC_BIG }, false, 0xfffff000 },
	{ "down-b0-byte-0xff", { 0, 0xff, DATA_DOWN, 0 }, false, 0x10000 },
	{ "up-byte-0xffff-df", { 0, 0xffff, DATA_UP, DESC_BIG }, true, 0xffffffff },
	{ "down-b1-byte-0xffff-df", { 0, 0xffff, DATA_DOWN, DESC_BIG }, true, 0xffff },
	{ "down-b0-page-0xfff-df", { 0, 0xfff, DATA_DOWN, DESC_GRANULARITY }, true, 0xfff },
};

struct probe {
	const struct string *string;
	const struct row *row;
	unsigned int side; /* that is limited: SOURCE or DESTINATION */
	struct slot slot;
	struct context start;
	bool runs[WAYS];
	struct tallies tallies;
};

static u32 flat[FLAT_SIZE / sizeof(u32)]; /* the operand on the other side: zeros */

/* After a run that had to do done elements, at target() + at and following. */
static const char *find_problem(const struct probe *probe, const struct context *before,
				const struct outcome *outcome, struct fault expected,
				unsigned int done, int at)
{
	const struct context *after = &outcome->after;
	const struct string *string = probe->string;
	int size = string->size, step = probe->row->downward ? -size : size;
	int first = done && probe->row->downward ? at + (int)(done - 1) * step : at;
	int written = string->writes && probe->side == DESTINATION ? done * size : 0;

	if (!fault_equal(outcome->fault, expected))
		return fault_text(outcome->fault);
	if (fault_raised(expected) && after->ip != before->ip)
		return "eip";
	if (string->rep && after->cx != before->cx - done)
		return "ecx";
	if ((u32)after->si != (u32)(before->si + (string->uses & SOURCE ? done * step : 0)))
		return "esi";
	if ((u32)after->di != (u32)(before->di + (string->uses & DESTINATION ? done * step : 0)))
		return "edi";
	if (memory_changed(-GUARD, first) || memory_changed(first + written, TARGET_SIZE))
		return "memory behind the last element written";
	if (written && !memory_changed(first, first + written))
		return "nothing written";
	return NULL;
}

/* elements fit, count of them are asked for; extra bytes of the next one would fit as well. */
static void run(struct probe *probe, unsigned int elements, unsigned int count, unsigned int extra)
{
	const struct string *string = probe->string;
	struct segment segment = probe->row->segment;
	static struct outcome outcomes[WAYS];
	struct context before = probe->start;
	bool downward = probe->row->downward, faults = count > elements;
	int step = downward ? -(int)string->size : (int)string->size;
	u32 offset = probe->row->invalid - extra - elements * step;
	int at = downward ? ROOM : 0;
	unsigned int done = faults ? elements : count;
	struct fault expected = faults ? FAULT_GP(0) : NO_FAULT;
	struct tallies *tallies = &probe->tallies;

	segment.base = base_for(target() + at, offset);
	gdt_set_segment(TEST_SEGMENT, &segment);
	before.cx = count;
	before.si = before.di = (ulong)flat + FLAT_SIZE / 2;
	if (probe->side == SOURCE) {
		before.ds = TEST_SEGMENT;
		before.si = offset;
	} else {
		before.es = TEST_SEGMENT;
		before.di = offset;
	}
	if (downward)
		before.flags |= EFLAGS_DF;

	for_each_way(way) {
		if (!probe->runs[way])
			continue;
		run_way(way, &before, &outcomes[way]);
		tally_add(faults ? &tallies->beyond[way] : &tallies->within[way],
			  find_problem(probe, &before, &outcomes[way], expected, done, at),
			  "%pe after %u elements", &expected, done);
		memory_restore();
		if (probe->side == SOURCE && string->writes)
			memset(flat, 0, sizeof(flat));
	}
	if (probe->runs[BY_CPU] && probe->runs[EMULATED])
		tally_add(&tallies->agree, outcomes_differ(outcomes, 0, TARGET_SIZE),
			  "%pe at %#x, ecx %u, as by the CPU", &outcomes[BY_CPU].fault, offset,
			  count);
}

static void test_side(const struct string *string, unsigned int side, const char *side_name)
{
	static const unsigned int elements[] = { 0, 1, 3 };
	struct probe probe = {
		.string = string,
		.side = side,
		.slot = slot_write(0, 0, string->code, string->length),
	};

	probe.start = slot_context(&probe.slot);
	probe.start.ax = 0;
	probe.start.dx = PORT;
	probe.start.flags |= EFLAGS_IOPL;
	probe.start.si = probe.start.di = (ulong)flat;
	probe.start.cx = 1;
	if (!check_runs(&probe.start, probe.runs, "%s.%s", string->name, side_name))
		return;
	for (probe.row = rows; probe.row < rows + ARRAY_SIZE(rows); probe.row++) {
		for (unsigned int i = 0; i < (string->rep ? ARRAY_SIZE(elements) : 1); i++) {
			unsigned int n = elements[i];

			for (unsigned int extra = 0; extra < string->size; extra++)
				run(&probe, n, n + 1 + (string->rep ? i : 0), extra);
			/* Without REP, one element that just fits; with it, also none at all. */
			run(&probe, string->rep ? n : 1, string->rep ? n : 1, 0);
		}
		check_row(&probe.tallies, "%s.%s.%s", string->name, side_name, probe.row->name);
	}
}

static void test(const struct string *table, unsigned int count)
{
	memory_init();
	for (const struct string *string = table; string < table + count; string++) {
		if (string->uses & SOURCE)
			test_side(string, SOURCE, "source");
		if (string->uses & DESTINATION)
			test_side(string, DESTINATION, "destination");
	}
}

static void test_strings(void)
{
	test(strings, ARRAY_SIZE(strings));
}

static void test_io_strings(void)
{
	test(io_strings, ARRAY_SIZE(io_strings));
}

SUBTEST("string", test_strings);
SUBTEST("string-io", test_io_strings);
