// SPDX-License-Identifier: BSD-2-Clause
/* Touching pages, what should come of it, and saying what went wrong. */
#include "access.h"
#include "args.h"
#include "context.h"
#include "control.h"
#include "cpuid.h"
#include "extable.h"
#include "mmu_caches.h"
#include "printf.h"
#include "report.h"
#include "string.h"

const char *const access_names[ACCESSES] = { "read",	  "write",	"fetch",
					     "user-read", "user-write", "user-fetch" };

unsigned int access_kinds(void)
{
	static unsigned int kinds;

	if (!kinds)
		kinds = args.argc && !strcmp(args.argv[0], "memory") ? WRITE + 1 : ACCESSES;
	return kinds;
}

/* The next value that each CPU writes into its word of a frame; never 0. */
static u32 tokens[MAX_CPUS];

/* A page's first and last tag: one tag if they agree. Inlined, since ring 3 reads, too. */
static inline u32 both_tags(u32 first, u32 last)
{
	if (first == last)
		return first;
	return first && last ? TAG_TORN : 0;
}

static struct fault read_tag(ulong page, u32 *tag)
{
	struct fault fault;
	u32 first = 0, last = 0;

	asm volatile(TRY("movl (%[page]), %[first]\n\tmovl %c[end](%[page]), %[last]")
		     : TRY_RESULT(fault), [first] "+&r"(first), [last] "+&r"(last)
		     : [page] "r"(page), [end] "i"(FRAME_LAST)
		     : "memory");
	*tag = both_tags(first, last);
	return fault;
}

/* In ring 3. The address of the word tells whose token it is. */
static ulong user_read(ulong page)
{
	u32 first = *(volatile u32 *)page, last = *(volatile u32 *)(page + FRAME_LAST);

	return both_tags(first, last);
}

static ulong user_write(ulong address)
{
	unsigned int cpu = ((address & (PAGE_SIZE - 1)) - FRAME_WORD(0)) / sizeof(u32);

	*(volatile u32 *)address = tokens[cpu];
	return 0;
}

static struct fault run_code(ulong page, u32 *tag)
{
	struct context context = context_kernel((void *)(page + FRAME_CODE));
	struct fault fault = context_run(&context);

	*tag = context.ax;
	return fault;
}

static bool holds_token(unsigned int frame, unsigned int cpu)
{
	return READ_ONCE(*(u32 *)(frame_alias(frame) + FRAME_WORD(cpu))) == tokens[cpu];
}

static u32 tag_of_written(unsigned int cpu, unsigned int guess, unsigned int guess2)
{
	if (guess != NO_FRAME && holds_token(guess, cpu))
		return frame_tag(guess);
	if (guess2 != NO_FRAME && holds_token(guess2, cpu))
		return frame_tag(guess2);
	for (unsigned int i = 0; i < LOW_FRAMES + high_frame_count(); i++)
		if (holds_token(i, cpu))
			return frame_tag(i);
	return 0;
}

struct outcome access_page(ulong page, enum access access, unsigned int guess, unsigned int guess2)
{
	unsigned int cpu = cpu_index();
	struct outcome outcome;
	ulong result = 0;
	u32 tag = 0;

	if (access_is_write(access))
		tokens[cpu]++;
	switch (access) {
	case READ:
		outcome.fault = read_tag(page, &tag);
		break;
	case WRITE:
		outcome.fault = try_write32(page + FRAME_WORD(cpu), tokens[cpu]);
		break;
	case FETCH:
		outcome.fault = run_code(page, &tag);
		break;
	case USER_READ:
		outcome.fault = user_call(user_read, page, &result);
		tag = result;
		break;
	case USER_WRITE:
		outcome.fault = user_call(user_write, page + FRAME_WORD(cpu), NULL);
		break;
	default:
		outcome.fault = user_call((void *)(page + FRAME_CODE), 0, &result);
		tag = result;
	}
	if (access_is_write(access) && !fault_raised(outcome.fault))
		tag = tag_of_written(cpu, guess, guess2);
	outcome.content = tag;
	outcome.frame = fault_raised(outcome.fault) ? NO_FRAME : frame_of_tag(tag);
	return outcome;
}

struct outcome outcome_by_rights(pte_t effective, unsigned int frame, enum access access)
{
	bool user = access >= USER_READ, fetch = access == FETCH || access == USER_FETCH;
	u32 error = (user ? PF_USER : 0) | (access_is_write(access) ? PF_WRITE : 0);
	bool allowed = true;

	/* The fetch bit is there with NX (or SMEP) only. */
	if (fetch && nx_supported())
		error |= PF_FETCH;
	if (user && !(effective & PTE_USER))
		allowed = false;
	if (access_is_write(access) && !(effective & PTE_WRITABLE) && (user || read_cr0() & CR0_WP))
		allowed = false;
	if (fetch && nx_supported() && effective & PTE_NX_IF_ANY)
		allowed = false;
	if (!(effective & PTE_PRESENT))
		return (struct outcome){ FAULT_PF(error), NO_FRAME, 0 };
	error |= PF_PRESENT;
	if (effective & PTE_BAD)
		return (struct outcome){ FAULT_PF(error | PF_RESERVED), NO_FRAME, 0 };
	if (!allowed)
		return (struct outcome){ FAULT_PF(error), NO_FRAME, 0 };
	return (struct outcome){ NO_FAULT, frame, frame_tag(frame) };
}

pte_t reserved_bit(unsigned int level, bool leaf)
{
#if PAGING_LEVELS == 2
	return level == LEVEL_2M && leaf ? (pte_t)1 << 21 : 0;
#else
	/* An address bit beyond MAXPHYADDR; under PAE bit 52 is reserved in any case. */
	if (cpu_physical_address_bits() < 52)
		return (pte_t)1 << 51;
	return PAGING_LEVELS == 3 ? (pte_t)1 << 52 : 0;
#endif
}

struct outcome outcome_by_walk(ulong page, enum access access)
{
	pte_t *table = (pte_t *)(read_cr3() & ~(PAGE_SIZE - 1));
	pte_t effective = PTE_PRESENT | PTE_WRITABLE | PTE_USER;

	for (unsigned int level = paging_levels();; level--) {
		pte_t entry = table[page / page_size_at(level) & (ENTRIES - 1)];
		bool leaf = level == LEVEL_4K || (level <= LEVEL_1G && entry & PTE_LARGE);
		pte_t rights = PTE_PRESENT | PTE_WRITABLE | PTE_USER;

		/* The four entries of PAE's top level have no rights. */
		if (PAGING_LEVELS == 3 && level == 3) {
			entry = table[page >> 30];
			rights = PTE_PRESENT;
			leaf = false;
		}
		effective &= entry | ~rights;
		if (!(entry & PTE_PRESENT))
			return outcome_by_rights(0, NO_FRAME, access);
		effective |= entry & PTE_NX_IF_ANY;
		if (entry & reserved_bit(level, leaf))
			return outcome_by_rights(effective | PTE_BAD, NO_FRAME, access);
		if (leaf) {
			ulong mask = page_size_at(level) - 1;
			phys_addr physical = (entry & PTE_ADDRESS & ~(pte_t)mask) | (page & mask);

			return outcome_by_rights(effective, frame_at(physical), access);
		}
		table = (pte_t *)(ulong)(entry & PTE_ADDRESS);
	}
}

static ulong mapped_at[LOW_FRAMES + HIGH_FRAMES];

void note_mapping(ulong page, unsigned int frame)
{
	mapped_at[frame] = page;
}

void sight(struct sightings *log, ulong page, enum access access, const struct outcome *expected,
	   const struct outcome *got, unsigned int before)
{
	log->accesses++;
	if (outcome_equal(expected, got))
		return;
	if (!log->wrong++) {
		log->page = page;
		log->access = access;
		log->expected = *expected;
		log->got = *got;
		log->before = before;
	}
}

void sight_page(struct sightings *log, ulong page, enum access access, unsigned int before)
{
	struct outcome expected = outcome_by_walk(page, access);
	struct outcome got = access_page(page, access, expected.frame, before);

	sight(log, page, access, &expected, &got, before);
}

/* Wrong, stale and aliased mappings are different bugs: they are told apart here. */
static void describe(char *text, size_t size, const struct sightings *log)
{
	const struct outcome *got = &log->got;
	int length = snprintf(text, size, "in %u of %u accesses, first %s at %#lx: ", log->wrong,
			      log->accesses, access_names[log->access], log->page);

	text += length;
	size -= length;
	if (fault_raised(got->fault))
		snprintf(text, size, "%pe", &got->fault);
	else if (got->frame == NO_FRAME)
		snprintf(text, size, "a wrong page, which holds %#x", got->content);
	else if (got->frame == log->before)
		snprintf(text, size, "a stale mapping to frame %u", got->frame);
	else if (mapped_at[got->frame] && mapped_at[got->frame] != log->page)
		snprintf(text, size, "an aliased mapping, frame %u of %#lx", got->frame,
			 mapped_at[got->frame]);
	else
		snprintf(text, size, "the wrong frame %u", got->frame);
}

static bool report_log(const char *file, unsigned int line, const struct sightings *log,
		       const char *id)
{
	char expected[48], got[160];

	if (!log->accesses)
		return report_text(file, line, false, "accesses", "none", "%s", id);
	if (!log->wrong)
		return report_text(file, line, true, "", "", "%s", id);
	if (fault_raised(log->expected.fault))
		snprintf(expected, sizeof(expected), "%pe", &log->expected.fault);
	else
		snprintf(expected, sizeof(expected), "frame %u", log->expected.frame);
	describe(got, sizeof(got), log);
	return report_text(file, line, false, expected, got, "%s", id);
}

bool report_sightings(const char *file, unsigned int line, const struct sightings *log,
		      const char *id, ...)
{
	char text[96];

	FORMAT_ID(text, id);
	return report_log(file, line, log, text);
}

bool report_page(const char *file, unsigned int line, ulong page, enum access access,
		 unsigned int before, const char *id, ...)
{
	struct sightings log = { 0 };
	char text[96];

	FORMAT_ID(text, id);
	checking("%s", text);
	sight_page(&log, page, access, before);
	return report_log(file, line, &log, text);
}
