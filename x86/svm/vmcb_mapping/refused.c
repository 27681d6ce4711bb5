// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses that are refused: APM volume 3, VMRUN, VMLOAD and VMSAVE: #GP(0) if rAX is not aligned
 * to 4 KiB or lies beyond the physical addresses that the processor supports. APM volume 2,
 * 15.30.4: the same for what is written to VM_HSAVE_PA. What is used of rAX depends on
 * the address size, as in any address: EAX in 32-bit modes and with an address-size prefix in
 * 64-bit mode, AX with one in 32-bit modes.
 *
 * Where there is no memory the manual says nothing, and nothing is judged but that the host
 * lives on and no memory has changed.
 */
#include "cpuid.h"
#include "mapping.h"
#include "msr.h"
#include "page_alloc.h"
#include "string.h"
#include "svm/test.h"

static const struct instruction {
	const char *name;
	struct fault (*execute)(u64 address);
} instructions[] = {
	{ "vmrun", svm_vmrun },
	{ "vmload", svm_vmload },
	{ "vmsave", svm_vmsave },
};

/* A VMCB that could run, so that what is not refused runs. */
static struct vmcb *good_vmcb(void)
{
	static struct vmcb *vmcb;
	struct svm_guest *guest = telling_guest();

	if (!vmcb)
		vmcb = page_alloc();
	memcpy(vmcb, guest->vmcb, PAGE_SIZE);
	return vmcb;
}

/* VMRUN of it would clobber BX, and leave GIF 0. */
static struct fault execute(const struct instruction *instruction, u64 address)
{
	struct fault fault = instruction->execute(address);

	asm volatile("stgi" : : : "ebx", "memory");
	return fault;
}

/* Every instruction with one more bit set in a good address. */
static void check_refused(unsigned int bit, const struct vmcb *vmcb)
{
	static struct vmcb before;

	for (unsigned int i = 0; i < ARRAY_SIZE(instructions); i++) {
		const struct instruction *instruction = &instructions[i];
		struct fault fault;

		memcpy(&before, vmcb, PAGE_SIZE);
		checking("%s.bit-%u", instruction->name, bit);
		fault = execute(instruction, (ulong)vmcb | 1ull << bit);
		check_fault(fault, FAULT_GP(0), "%s.bit-%u.fault", instruction->name, bit);
		check(!memcmp(&before, vmcb, PAGE_SIZE), "%s.bit-%u.untouched", instruction->name,
		      bit);
	}
}

static void test_misaligned(void)
{
	const struct vmcb *vmcb = good_vmcb();

	for (unsigned int bit = 0; bit < PAGE_SHIFT; bit++)
		check_refused(bit, vmcb);
}

SVM_SUBTEST("misaligned", test_misaligned);

#ifdef __x86_64__
static void test_beyond(void)
{
	const struct vmcb *vmcb = good_vmcb();

	for (unsigned int bit = cpu_physical_address_bits(); bit < 64; bit++)
		check_refused(bit, vmcb);
}

SVM_SUBTEST("beyond-maxphyaddr", test_beyond);
#endif

/* The MSR keeps what it had. */
static void check_save_area_refused(unsigned int bit)
{
	u64 before = rdmsr(MSR_VM_HSAVE_PA);

	check_fault(wrmsr_safe(MSR_VM_HSAVE_PA, before | 1ull << bit), FAULT_GP(0), "bit-%u", bit);
	check_equal(rdmsr(MSR_VM_HSAVE_PA), before, "bit-%u.value", bit);
	wrmsr(MSR_VM_HSAVE_PA, before);
}

static void test_save_area_misaligned(void)
{
	for (unsigned int bit = 0; bit < PAGE_SHIFT; bit++)
		check_save_area_refused(bit);
}

SVM_SUBTEST("host-save-area-misaligned", test_save_area_misaligned);

static void test_save_area_beyond(void)
{
	for (unsigned int bit = cpu_physical_address_bits(); bit < 64; bit++)
		check_save_area_refused(bit);
}

SVM_SUBTEST("host-save-area-beyond-maxphyaddr", test_save_area_beyond);

/*
 * The instructions with an address-size prefix, and bits in rAX above what they use. L2 gets
 * along with the host's registers, and changes BX alone.
 */
#define DEFINE_SHORT(name, clobber)                                                                \
	static struct fault short_##name(ulong ax)                                                 \
	{                                                                                          \
		struct fault fault;                                                                \
                                                                                                   \
		asm volatile("clgi\n" TRY_WITH_EAX(".byte 0x67\n " #name) "stgi\n"                 \
			     : "=a"(fault.value)                                                   \
			     : "0"(ax)                                                             \
			     : clobber "memory", "cc");                                            \
		return fault;                                                                      \
	}
#define EBX "ebx",
DEFINE_SHORT(vmrun, EBX)
DEFINE_SHORT(vmload, )
DEFINE_SHORT(vmsave, )
#undef DEFINE_SHORT

#ifdef __x86_64__
#define SHORT_NAME    "address-size-32"
#define SHORT_ADDRESS GiB /* bit 30 */
#define UPPER_BITS    (1ull << 63 | 1ull << 32)
#else
#define SHORT_NAME    "address-size-16"
#define SHORT_ADDRESS 0x4000 /* bit 14 */
#define UPPER_BITS    (1ul << 31 | 1ul << 16)
#endif

static void with_short_address(struct place *place)
{
	struct vmcb *vmcb = (struct vmcb *)place->page;
	ulong ax = place->physical | UPPER_BITS;
	u64 star = rdmsr(MSR_STAR);

	if (place->physical != SHORT_ADDRESS)
		return;
	places_claim(place->physical, 1);
	memcpy(vmcb, good_vmcb(), PAGE_SIZE);
	vmcb->save.rax = tag_of(place);
	check_fault(short_vmrun(ax), NO_FAULT, "vmrun");
	check_equal(vmcb->control.exitcode, VMEXIT_VMMCALL, "vmrun.exit");
	check_equal(vmcb->save.rax, (u32)~tag_of(place), "vmrun.written-back");

	/* The segments are the host's own; STAR shows that something was moved. */
	vmcb->save.star = star ^ 0x1111;
	check_fault(short_vmload(ax), NO_FAULT, "vmload");
	check_equal(rdmsr(MSR_STAR), star ^ 0x1111, "vmload.star");
	wrmsr(MSR_STAR, star ^ 0x2222);
	check_fault(short_vmsave(ax), NO_FAULT, "vmsave");
	check_equal(vmcb->save.star, star ^ 0x2222, "vmsave.star");
	wrmsr(MSR_STAR, star);
	places_release(place->physical, 1);
	check_others(place, "others");
}

static void test_short_address(const void *region)
{
	for_each_place((enum region)(ulong)region, true, with_short_address);
}

SUBTEST_ARG(SHORT_NAME, test_short_address, (void *)(SHORT_ADDRESS < GiB ? LOW : AT_1G));

/* Just above RAM, and the last page that the processor supports, if it can be said in rAX. */
static unsigned int addresses_without_ram(phys_addr to[2])
{
	unsigned int count, found = 0;
	const struct ram_region *regions = ram_regions(&count);
	phys_addr end = ALIGN_UP(regions[count - 1].end, (phys_addr)PAGE_SIZE);
	phys_addr last = (1ull << cpu_physical_address_bits()) - PAGE_SIZE;

	if (end == (ulong)end && end != 4 * GiB)
		to[found++] = end;
	if (last == (ulong)last && last > end)
		to[found++] = last;
	return found;
}

static void no_ram(struct place *place)
{
	static struct vmcb own;
	struct svm_guest *guest;
	phys_addr addresses[2];
	unsigned int count = addresses_without_ram(addresses);

	/* The CPU's own state comes from the guest of the library: see vmload.c. */
	memcpy(&own, good_vmcb(), PAGE_SIZE);
	svm_vmsave(virt_to_phys(&own));
	for (unsigned int n = 0; n < count * ARRAY_SIZE(instructions); n++) {
		const struct instruction *instruction = &instructions[n % ARRAY_SIZE(instructions)];
		u64 address = addresses[n / ARRAY_SIZE(instructions)];
		struct fault fault;

		prefix_push("%s.address-%#llx", instruction->name, address);
		checking("execute");
		fault = execute(instruction, address);
		svm_vmload(virt_to_phys(&own));
		diagnostic("%s at %#llx, no RAM: %pe", instruction->name, address, &fault);
		check(!fault_raised(fault) || fault_equal(fault, FAULT_GP(0)), "nothing-or-gp");
		/* All is as before for a guest that is there. */
		guest = telling_guest();
		guest->vmcb->save.rax = tag_of(place);
		svm_run(guest);
		check_told(guest, place, "next-vmrun");
		check_others(place, "others");
		prefix_pop();
	}
}

static void test_no_ram(void)
{
	for_each_place(LAST, false, no_ram);
}

SUBTEST("no-ram", test_no_ram);
