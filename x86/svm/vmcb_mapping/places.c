// SPDX-License-Identifier: BSD-2-Clause
#include "crash.h"
#include "mapping.h"
#include "page_alloc.h"
#include "printf.h"
#include "string.h"
#include "svm/test.h"

#define MAX_PLACES 192
#define MiB	   (1ull << 20)

/* Below 1 MiB RAM ends where the VGA's begins; from 1 MiB on lie this image and its heap. */
#define LOW_END	   0xa0000ull
#define IMAGE_END  (2 * MiB)
#define HEAP_START (4 * MiB)
#define HEAP_END   (8 * MiB)

static struct place places[MAX_PLACES];
static unsigned int place_count;

static const struct {
	enum region region;
	const char *name;
	phys_addr address;
} wanted[] = {
	{ LOW, "zero", 0 },
	{ LOW, "below-vga", LOW_END - PAGE_SIZE },
	/* At bit 20 alone this image begins. */
	{ BELOW_1G, "bit-20", 1ull << 20 | 1ull << 24 },
	/* Many bits, as a frame number has. */
	{ BELOW_1G, "mixed", 0x3579b000 },
	{ AT_1G, "last-below", GiB - PAGE_SIZE },
	{ AT_1G, "second", GiB + PAGE_SIZE },
	{ BELOW_4G, "last-below-2g", 2 * GiB - PAGE_SIZE },
	{ AT_4G, "second", 4 * GiB + PAGE_SIZE },
	{ AT_4G, "low-half-is-ram", 4 * GiB + 0x5000 },
	{ AT_4G, "low-half-is-1g", 5 * GiB },
};

/* Each bit of a physical address is a place as well; the last one of each region. */
#define HIGHEST_BIT 51
static const struct {
	enum region region;
	unsigned int last;
} bits[] = {
	{ LOW, 19 },	  { BELOW_1G, 29 }, { AT_1G, 30 },
	{ BELOW_4G, 31 }, { AT_4G, 32 },    { BEYOND_4G, HIGHEST_BIT },
};

static bool is_ram(phys_addr page)
{
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count);

	for (unsigned int i = 0; i < count; i++) {
		if (page >= regions[i].start && page + PAGE_SIZE <= regions[i].end)
			return true;
	}
	return false;
}

/* RAM that is nobody's, and that this mode can reach. */
static bool is_free(phys_addr page)
{
	if (page >= LOW_END && page < IMAGE_END)
		return false;
	if (page > HEAP_START && page < HEAP_END)
		return false;
	if (PAGING_LEVELS == 2 && page >= 4 * GiB)
		return false;
	return is_ram(page);
}

static u32 poison_first(const struct place *place)
{
	return (u32)(place->physical >> PAGE_SHIFT) * 0x9e3779b1 + 0x5bd1e995;
}

#define POISON_STEP 0x01000193u
#define WORDS	    (PAGE_SIZE / sizeof(u32))

static void poison(struct place *place)
{
	u32 *word = (u32 *)place->page, value = poison_first(place);

	for (unsigned int i = 0; i < WORDS; i++, value += POISON_STEP)
		word[i] = value;
	place->live = false;
}

struct place *place_at(phys_addr physical)
{
	for (unsigned int i = 0; i < place_count; i++) {
		if (places[i].physical == physical)
			return &places[i];
	}
	return NULL;
}

static void add_place(enum region region, const char *name, phys_addr physical)
{
	struct place *place = &places[place_count];

	if (!is_free(physical) || place_at(physical))
		return;
	if (place_count++ == MAX_PLACES)
		crash("more than %u places", MAX_PLACES);
	place->region = region;
	strlcpy(place->name, name, sizeof(place->name));
	place->physical = physical;
	place->start = physical;
	while (!is_free(place->start + (AREA_PAGES - 1) * PAGE_SIZE))
		place->start -= PAGE_SIZE;
	if (PAGING_LEVELS == 3 && physical >= 4 * GiB)
		place->area = physical_map(place->start, AREA_PAGES * PAGE_SIZE, PAGE_DEFAULT);
	else
		place->area = (u8 *)(ulong)place->start;
	place->page = place->area + (physical - place->start);
	poison(place);
}

static unsigned int mistakes(phys_addr physical, phys_addr to[RELATIONS],
			     const char *how[RELATIONS])
{
	unsigned int count = 0;

	to[count] = physical << PAGE_SHIFT;
	how[count++] = "<< 12";
	to[count] = ALIGN_DOWN(physical >> PAGE_SHIFT, (phys_addr)PAGE_SIZE);
	how[count++] = ">> 12";
	if (physical >= 4 * GiB) {
		to[count] = (u32)physical;
		how[count++] = "in 32 bits";
	}
	return count;
}

unsigned int related_places(const struct place *place, struct relation relations[RELATIONS])
{
	unsigned int found = 0, count;
	phys_addr to[RELATIONS];
	const char *how[RELATIONS];

	count = mistakes(place->physical, to, how);
	for (unsigned int i = 0; i < count; i++) {
		struct place *other = place_at(to[i]);

		if (other && other != place)
			relations[found++] = (struct relation){ other, how[i] };
	}
	return found;
}

static void add_bits(void)
{
	unsigned int range = 0;
	char name[20];

	for (unsigned int bit = PAGE_SHIFT; bit <= HIGHEST_BIT; bit++) {
		if (bit > bits[range].last)
			range++;
		snprintf(name, sizeof(name), "bit-%u", bit);
		add_place(bits[range].region, name, 1ull << bit);
	}
}

static void add_last_places(void)
{
	unsigned int count;
	const struct ram_region *regions = ram_regions(&count);

	for (unsigned int i = 0; i < count; i++) {
		phys_addr last = ALIGN_DOWN(regions[i].end, (phys_addr)PAGE_SIZE) - PAGE_SIZE;

		if (i == count - 1)
			add_place(LAST, "page", last);
		else if (last >= GiB && last < 4 * GiB)
			add_place(BELOW_4G, "below-pci-hole", last);
	}
}

void places_init(void)
{
	phys_addr to[RELATIONS];
	const char *how[RELATIONS];
	unsigned int count;

	if (place_count)
		return;
	/* From here on the allocator gives pages from HEAP_START on, which itself is a place. */
	if ((ulong)page_alloc() >= IMAGE_END || (ulong)pages_alloc(1, HEAP_START) != HEAP_START)
		crash("the image and what the library has allocated end above 2 MiB");
	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++)
		add_place(wanted[i].region, wanted[i].name, wanted[i].address);
	add_bits();
	add_last_places();
	count = place_count;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int n = mistakes(places[i].physical, to, how);

		while (n--)
			add_place(RELATED, "related", to[n]);
	}
}

static void in_range(phys_addr start, unsigned int pages, bool live)
{
	for (struct place *place = places; place < places + place_count; place++) {
		if (place->physical < start || place->physical >= start + pages * PAGE_SIZE)
			continue;
		if (live)
			place->live = true;
		else
			poison(place);
	}
}

void places_claim(phys_addr start, unsigned int pages)
{
	in_range(start, pages, true);
}

void places_release(phys_addr start, unsigned int pages)
{
	in_range(start, pages, false);
}

int place_format(char *buffer, size_t size, phys_addr physical, const struct place *from)
{
	phys_addr to[RELATIONS];
	const char *how[RELATIONS];
	unsigned int count = from ? mistakes(from->physical, to, how) : 0;

	for (unsigned int i = 0; i < count; i++) {
		if (ALIGN_DOWN(physical, (phys_addr)PAGE_SIZE) == to[i])
			return snprintf(buffer, size, "%#llx (page %#llx %s)", physical,
					from->physical, how[i]);
	}
	return snprintf(buffer, size, "%#llx", physical);
}

/* What #VMEXIT or VMSAVE writes: EXITCODE, RIP, RAX, KernelGSBase; and the page's ends. */
static const u16 written_first[] = { 0, 0x70, 0x400 + 0x178, 0x400 + 0x1f8, 0x400 + 0x220, 0xffc };

/* The offset of the first word that is not poison, or PAGE_SIZE. */
static unsigned int not_poison(const struct place *place, bool every_word)
{
	const u32 *word = (const u32 *)place->page;
	u32 first = poison_first(place), value = first;

	if (!every_word) {
		for (unsigned int i = 0; i < ARRAY_SIZE(written_first); i++) {
			if (word[written_first[i] / 4] !=
			    first + written_first[i] / 4 * POISON_STEP)
				return written_first[i];
		}
		return PAGE_SIZE;
	}
	for (unsigned int i = 0; i < WORDS; i++, value += POISON_STEP) {
		if (READ_ONCE(word[i]) != value)
			return i * 4;
	}
	return PAGE_SIZE;
}

/* Says of the first page that is not poison what was found where, and makes it poison again. */
static void report_poison(const struct place *from, bool every_word, const char *id)
{
	char expected[80] = "", got[80] = "", where[64];
	struct relation relations[RELATIONS];
	unsigned int related = from ? related_places(from, relations) : 0;

	for (struct place *place = places; place < places + place_count; place++) {
		bool whole = every_word;
		unsigned int offset;

		for (unsigned int i = 0; i < related; i++)
			whole |= relations[i].place == place;
		if (place->live)
			continue;
		offset = not_poison(place, whole);
		if (offset == PAGE_SIZE)
			continue;
		if (!*expected) {
			place_format(where, sizeof(where), place->physical + offset, from);
			snprintf(expected, sizeof(expected), "%#x at %s",
				 poison_first(place) + offset / 4 * POISON_STEP, where);
			snprintf(got, sizeof(got), "%#x", *(u32 *)(place->page + offset));
		}
		poison(place);
	}
	report_text(__FILE__, __LINE__, !*expected, expected, got, "%s", id);
}

void check_others(const struct place *place, const char *id)
{
	report_poison(place, false, id);
}

void check_all_poison(void)
{
	report_poison(NULL, true, "poison-at-the-end");
}

void for_each_place(enum region region, bool operand, void (*run)(struct place *place))
{
	bool any = false;

	if (!svm_ready())
		return;
	places_init();
	for (struct place *place = places; place < places + place_count; place++) {
		if (place->region != region)
			continue;
		if (operand && place->physical != (ulong)place->physical)
			continue;
		any = true;
		prefix_push("%s", place->name);
		run(place);
		prefix_pop();
	}
	if (!any) {
		subtest_skip("no RAM there that this mode can address");
		return;
	}
	check_all_poison();
	svm_check_invariants();
}
