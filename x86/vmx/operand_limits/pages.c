// SPDX-License-Identifier: BSD-2-Clause
/*
 * Operands across the boundary of two pages, of which one is not present, or read-only for an
 * instruction that writes: #PF with the address of the first byte that cannot be accessed and the
 * direction in its error code, and nothing is written. SDM volume 3A, "Interrupt 14 - Page-Fault
 * Exception", "Exception Classifications": a fault leaves the state as before the instruction.
 */
#include "control.h"
#include "operand_limits.h"
#include "trap.h"

#define WRITES_ONLY true

static const struct row {
	const char *name;
	unsigned int page; /* that is not as it should be */
	pte_t clear;
	bool writes_only;
} rows[] = {
	{ "first-not-present", 0, PTE_PRESENT, false },
	{ "second-not-present", 1, PTE_PRESENT, false },
	{ "first-read-only", 0, PTE_WRITABLE, WRITES_ONLY },
	{ "second-read-only", 1, PTE_WRITABLE, WRITES_ONLY },
};

struct outcome {
	struct fault fault;
	ulong cr2;
};

static struct outcome run(struct trial *trial, enum who who, ulong offset)
{
	struct outcome outcome;

	write_cr2(0);
	outcome.fault = trial_run(trial, who, offset, 0);
	outcome.cr2 = fault_raised(outcome.fault) ? last_cr2() : 0;
	return outcome;
}

/* first bytes of the operand are in the first page. */
static void test_split(const struct instruction *instruction, const struct row *row, u8 *pages,
		       unsigned int first)
{
	ulong address = (ulong)pages + PAGE_SIZE - first;
	bool touched = row->page ? first < instruction->size : first > 0;
	bool protects = row->clear == PTE_WRITABLE && !instruction->writes;
	struct fault expected = NO_FAULT;
	struct outcome got, twin;
	struct trial trial;
	const char *problem;
	char text[24];

	target = arena.memory + PAGE_SIZE - first;
	trial = trial_make(instruction, &throughs[THROUGH_DS], &addressing_plain);
	trial.selector = KERNEL_DS;
	if (touched && !protects)
		expected = FAULT_PF((row->clear == PTE_WRITABLE ? PF_PRESENT : 0) |
				    (instruction->writes ? PF_WRITE : 0));
	twin = run(&trial, TWIN, address);
	got = run(&trial, VMX_INSTRUCTION_ITSELF, address);
	problem = trial_verdict(&trial, got.fault, expected);
	fault_format(text, sizeof(text), expected); /* fault_text()'s buffer holds what was seen */
	report_text(__FILE__, __LINE__, !problem, text, problem ? problem : "", "fault");
	check_fault(got.fault, twin.fault, "fault.twin");
	if (!fault_raised(expected))
		return;
	check_equal(got.cr2, row->page && first ? (ulong)pages + PAGE_SIZE : address, "cr2");
	check_equal(got.cr2, twin.cr2, "cr2.twin");
}

static void test_row(const struct instruction *instruction, const struct row *row, u8 *pages)
{
	u8 *page = pages + row->page * PAGE_SIZE;
	unsigned int size = instruction->size;

	/* The ends, and every split of 8 bytes; of 16 every second. */
	page_protect((ulong)page, PAGE_SIZE, 0, row->clear);
	tlb_flush_page(page);
	for (unsigned int first = 0; first <= size; first += size == 16 ? 2 : 1) {
		prefix_push("%s.%u-of-%u", row->name, first, size);
		test_split(instruction, row, pages, first);
		prefix_pop();
	}
	page_protect((ulong)page, PAGE_SIZE, row->clear, 0);
	tlb_flush_page(page);
}

static void test_pages(const void *argument)
{
	const struct instruction *instruction = argument;
	static u8 *pages;
	ulong cr0 = read_cr0();

	if (!subtest_start(instruction))
		return;
	if (!pages) {
		pages = virtual_range(2 * PAGE_SIZE, PAGE_SIZE);
		page_map((ulong)pages, (ulong)arena.memory, 2 * PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	}
	write_cr0(cr0 | CR0_WP);
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++)
		if (!row->writes_only || instruction->writes)
			test_row(instruction, row, pages);
	write_cr0(cr0);
	subtest_finish(instruction);
}

SUBTEST_ARG("pages-vmxon", test_pages, &instructions[VMXON]);
SUBTEST_ARG("pages-vmptrld", test_pages, &instructions[VMPTRLD]);
SUBTEST_ARG("pages-vmptrst", test_pages, &instructions[VMPTRST]);
SUBTEST_ARG("pages-vmclear", test_pages, &instructions[VMCLEAR]);
SUBTEST_ARG("pages-vmread", test_pages, &instructions[VMREAD]);
SUBTEST_ARG("pages-vmwrite", test_pages, &instructions[VMWRITE]);
SUBTEST_ARG("pages-invept", test_pages, &instructions[INVEPT]);
SUBTEST_ARG("pages-invvpid", test_pages, &instructions[INVVPID]);
