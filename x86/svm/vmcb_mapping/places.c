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

#define AT(region, name, address) { region, name, address }
#define AT_BIT(region, bit)	  { region, "bit-" #bit, 1ull << (bit) }

static const struct {
	enum region region;
	const char *name;
	phys_addr address;
} wanted[] = {
	AT(LOW, "zero", 0),
	AT_BIT(LOW, 12), AT_BIT(LOW, 13), AT_BIT(LOW, 14), AT_BIT(LOW, 15), AT_BIT(LOW, 16),
	AT_BIT(LOW, 17), AT_BIT(LOW, 18), AT_BIT(LOW, 19),
	AT(LOW, "below-vga", LOW_END - PAGE_SIZE),
	/* At bit 20 alone this image begins. */
	AT(BELOW_1G, "bit-20", 1ull << 20 | 1ull << 24),
	AT_BIT(BELOW_1G, 21), AT_BIT(BELOW_1G, 22), AT_BIT(BELOW_1G, 23), AT_BIT(BELOW_1G, 24),
	AT_BIT(BELOW_1G, 25), AT_BIT(BELOW_1G, 26), AT_BIT(BELOW_1G, 27), AT_BIT(BELOW_1G, 28),
	AT_BIT(BELOW_1G, 29),
	/* With address bits that look like those of a frame number. */
	AT(BELOW_1G, "mixed", 0x3579b000),
	AT(AT_1G, "last-below", GiB - PAGE_SIZE),
	AT_BIT(AT_1G, 30),
	AT(AT_1G, "second", GiB + PAGE_SIZE),
	AT(BELOW_4G, "last-below-2g", 2 * GiB - PAGE_SIZE),
	AT_BIT(BELOW_4G, 31),
	AT_BIT(AT_4G, 32),
	AT(AT_4G, "second", 4 * GiB + PAGE_SIZE),
	AT(AT_4G, "low-half-is-ram", 4 * GiB + 0x5000),
	AT(AT_4G, "low-half-is-1g", 5 * GiB),
	AT_BIT(BEYOND_4G, 33), AT_BIT(BEYOND_4G, 34), AT_BIT(BEYOND_4G, 35), AT_BIT(BEYOND_4G, 36),
	AT_BIT(BEYOND_4G, 37), AT_BIT(BEYOND_4G, 38), AT_BIT(BEYOND_4G, 39), AT_BIT(BEYOND_4G, 40),
	AT_BIT(BEYOND_4G, 41), AT_BIT(BEYOND_4G, 42), AT_BIT(BEYOND_4G, 43), AT_BIT(BEYOND_4G, 44),
	AT_BIT(BEYOND_4G, 45), AT_BIT(BEYOND_4G, 46), AT_BIT(BEYOND_4G, 47), AT_BIT(BEYOND_4G, 48),
	AT_BIT(BEYOND_4G, 49), AT_BIT(BEYOND_4G, 50), AT_BIT(BEYOND_4G, 51),
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

static unsigned int mistakes(phys_addr physical, phys_addr to[RELATIONS], const char *how[RELATIONS])
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

static void init(void)
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
			if (word[written_first[i] / 4] != first + written_first[i] / 4 * POISON_STEP)
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
	init();
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

static struct svm_guest *the_guest;
static struct vmcb *home;

struct svm_guest *mapping_guest(const void *code)
{
	if (!the_guest) {
		the_guest = svm_guest(L2_NATIVE, code);
		home = the_guest->vmcb;
	}
	mapping_guest_home();
	svm_guest_again(the_guest, L2_NATIVE, code);
	the_guest->options = SVM_NO_VMLOAD;
	return the_guest;
}

void mapping_guest_home(void)
{
	if (the_guest->vmcb != home)
		svm_guest_place(the_guest, home);
}

L2_CODE(tell_tag, "mov %eax, %ebx\n not %eax\n vmmcall\n ud2");

struct svm_guest *telling_guest(void)
{
	init();
	return mapping_guest(tell_tag);
}

/* Never 0, as page 0 is one of them. */
u32 tag_of(const struct place *place)
{
	return (u32)(place->physical >> PAGE_SHIFT) | 1u << 31;
}

/* The exit, and whose guest it was that ran. */
void check_told(struct svm_guest *guest, const struct place *place, const char *id)
{
	struct fault fault = svm_fault(guest);
	u32 told = guest->world.registers.bx;
	struct place *teller = place_at((u64)(told & ~(1u << 31)) << PAGE_SHIFT);
	char expected[64], got[128], where[64];
	bool exited = !fault_raised(fault) && guest->vmcb->control.exitcode == VMEXIT_VMMCALL;

	snprintf(expected, sizeof(expected), "VMEXIT_VMMCALL of the VMCB at %#llx",
		 place->physical);
	if (fault_raised(fault)) {
		snprintf(got, sizeof(got), "%pe at VMRUN", &fault);
	} else if (!exited) {
		svm_exit_format(got, sizeof(got), guest->vmcb);
	} else if (told != tag_of(place) && teller) {
		place_format(where, sizeof(where), teller->physical, place);
		snprintf(got, sizeof(got), "that of the VMCB at %s", where);
	} else {
		snprintf(got, sizeof(got), "EBX %#x, no VMCB's", told);
	}
	report_text(__FILE__, __LINE__, exited && told == tag_of(place), expected, got, "%s", id);
}
