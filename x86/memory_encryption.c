// SPDX-License-Identifier: BSD-2-Clause
/*
 * AMD memory encryption, as its documentation promises it to a guest.
 *
 * Software finds out about it in three steps: CPUID Fn8000_001F says what the CPU
 * has and which bit of a page table entry (the C-bit) encrypts a page; the
 * SEV_STATUS MSR says what is active in this guest; the C-bit itself then makes
 * a page private. Each can be wrong on its own in a hypervisor: a leaf that
 * is passed through although the guest is not encrypted, an MSR that can be written
 * or that exists without the leaf, a C-bit that is neither a reserved bit nor part
 * of a physical address in a guest without encryption.
 *
 * That guest is the one that runs almost everywhere. What an encrypted one has to do (two views
 * of a page, DMA through shared buffers, strings of port I/O unrolled) is done in any: where
 * nothing is encrypted both views are the same memory, and that is checked instead. The
 * test's word sev=0 or sev=1 says which of them was started: encryption that got lost is a failure.
 */
#include "access.h"
#include "args.h"
#include "control.h"
#include "fw_cfg.h"
#include "io.h"
#include "memory_encryption.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "report.h"
#include "string.h"
#include "trap.h"

TEST_SUMMARY("CPUID Fn8000_001F, SEV_STATUS and the C-bit keep what AMD's manual promises");
TEST_MANUAL("APM volume 2, 7.10 \"Secure Memory Encryption\"");
TEST_MANUAL("APM volume 2, 15.34 \"Secure Encrypted Virtualization\"");
TEST_MANUAL("APM volume 3, appendix E.4.17 \"Function 8000_001Fh\"");
TEST_MANUAL("SDM volume 3A, \"Page-Fault Exceptions\" (RSVD)");
TEST_GUARDS(
    "Linux, \"docs: amd-memory-encryption.rst get rid of warnings\" (2019): what KVM's page "
    "about it cited and what it defined had come apart, and nothing held either to the machine");

/* Bits of an entry's address that a C-bit can be: it lies above 4 GiB and within the entry. */
#define LOWEST_C_BIT  32
#define HIGHEST_C_BIT 51

/* What one part of the leaf says about another. APM volume 3, E.4.17. */
static void test_cpuid(void)
{
	struct memory_encryption f = memory_encryption_features();
	unsigned int bits = cpu_physical_address_bits();

	if (!f.leaf) {
		subtest_skip("the CPU has no CPUID leaf 8000001fh");
		return;
	}
	diagnostic("SME %u, SEV %u, SEV-ES %u, SEV-SNP %u, C-bit %u, reduction %u, %u guests",
		   f.sme, f.sev, f.sev_es, f.sev_snp, f.c_bit, f.address_reduction, f.guests);
	check(!f.sev_es || f.sev, "sev-es-implies-sev");
	check(!f.sev_snp || f.sev_es, "sev-snp-implies-sev-es");
	check(!f.vmpls == !f.sev_snp, "vmpls-with-snp-only");
	if (!f.sme && !f.sev) {
		check_skip("neither SME nor SEV", "c-bit.in-entry");
		check_skip("neither SME nor SEV", "c-bit.above-address");
		check_skip("neither SME nor SEV", "reduction");
	} else {
		check(f.c_bit >= LOWEST_C_BIT && f.c_bit <= HIGHEST_C_BIT, "c-bit.in-entry");
		check(f.c_bit >= bits - f.address_reduction, "c-bit.above-address");
		check(f.address_reduction < bits - LOWEST_C_BIT, "reduction");
	}
}

/* SEV_STATUS exists with SEV, and nobody but the hardware writes it. APM volume 2, 15.34.10. */
static void test_sev_status(void)
{
	struct memory_encryption f = memory_encryption_features();
	u64 status = 0, after = 0;
	struct fault fault = rdmsr_safe(MSR_SEV_STATUS, &status);

	check_fault(fault, f.sev ? NO_FAULT : FAULT_GP(0), "read");
	check(!(status & SEV_STATUS_SEV_ES) || status & SEV_STATUS_SEV, "es-implies-sev");
	check(!(status & SEV_STATUS_SNP) || status & SEV_STATUS_SEV_ES, "snp-implies-es");
	check_fault(wrmsr_safe(MSR_SEV_STATUS, status), FAULT_GP(0), "write.same");
	check_fault(wrmsr_safe(MSR_SEV_STATUS, status ^ SEV_STATUS_SEV), FAULT_GP(0),
		    "write.other");
	check_fault(wrmsr_safe(MSR_SEV_STATUS, ~0ull), FAULT_GP(0), "write.ones");
	rdmsr_safe(MSR_SEV_STATUS, &after);
	check_equal(after, status, "unchanged");
}

#if PAGING_LEVELS > 2

/* Below MAXPHYADDR a bit is part of an address, from there to 51 it is reserved. */
static bool bit_is_reserved(unsigned int bit)
{
	return bit >= cpu_physical_address_bits();
}

/*
 * Every bit that a C-bit could be, at each level that has an entry to set it in. Only what
 * is reserved is touched through the two upper levels: elsewhere the walk would go on in
 * memory that is not there.
 */
static void probe_level(unsigned int level, const char *name)
{
	void *page = virtual_range(page_size_at(LEVEL_2M), page_size_at(LEVEL_2M));
	void *backing = page_alloc();
	pte_t *entry, good;
	u32 value = 0;

	page_map((ulong)page, virt_to_phys(backing), PAGE_SIZE, LEVEL_4K, PAGE_DEFAULT);
	entry = page_entry((ulong)page, level);
	good = *entry;

	for (unsigned int bit = LOWEST_C_BIT; bit <= HIGHEST_C_BIT; bit++) {
		if (!bit_is_reserved(bit) && level != LEVEL_4K)
			continue;
		*entry = good | (pte_t)1 << bit;
		tlb_flush_page(page);
		if (bit_is_reserved(bit)) {
			check_fault(try_read32((ulong)page, &value),
				    FAULT_PF(PF_PRESENT | PF_RESERVED), "%s.bit-%u.read", name,
				    bit);
			check_equal(last_cr2(), (ulong)page, "%s.bit-%u.address", name, bit);
			check_fault(try_write32((ulong)page, 0),
				    FAULT_PF(PF_PRESENT | PF_RESERVED | PF_WRITE),
				    "%s.bit-%u.write", name, bit);
		} else {
			check_fault(try_read32((ulong)page, &value), NO_FAULT, "%s.bit-%u.read",
				    name, bit);
			check_fault(try_write32((ulong)page, 0), NO_FAULT, "%s.bit-%u.write", name,
				    bit);
		}
		*entry = good;
		tlb_flush_page(page);
		check_fault(try_read32((ulong)page, &value), NO_FAULT, "%s.bit-%u.cleared", name,
			    bit);
	}
}

static void test_c_bit(void)
{
	if (sev_active()) {
		subtest_skip("this guest is encrypted: its C-bit has its meaning");
		return;
	}
	probe_level(LEVEL_4K, "page");
	probe_level(LEVEL_2M, "directory");
	/* PAE's top level is loaded with CR3, where a reserved bit is #GP. */
	if (PAGING_LEVELS == 4)
		probe_level(LEVEL_1G, "directory-pointer");
}

/* With and without the C-bit, the same physical page at two addresses. */
struct views {
	u8 *private, *shared;
};

static struct views map_views(phys_addr physical, ulong size, unsigned int level)
{
	ulong align = page_size_at(level);
	struct views views = { virtual_range(size, align), virtual_range(size, align) };

	page_map((ulong)views.private, physical, size, level, PAGE_DEFAULT);
	page_map((ulong)views.shared, physical, size, level, PAGE_DEFAULT);
	for (ulong offset = 0; offset < size; offset += align)
		*page_entry((ulong)views.shared + offset, level) &= ~paging_c_bit();
	tlb_flush();
	return views;
}

/* Caches are not coherent between the two views of a page on all CPUs. APM volume 2, 15.34.9. */
static void flush_caches(void)
{
	asm volatile("wbinvd" : : : "memory");
}

static bool page_holds(const u8 *page, u8 byte)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		if (page[i] != byte)
			return false;
	return true;
}

/*
 * What is written privately reads as ciphertext when shared, and the other way round; in a
 * guest without encryption there is one memory, whichever way it is mapped.
 */
static void test_private_and_shared(void)
{
	bool encrypted = sev_active();
	struct views views = map_views(virt_to_phys(page_alloc()), PAGE_SIZE, LEVEL_4K);

	memset(views.private, 0x5a, PAGE_SIZE);
	flush_caches();
	check(page_holds(views.private, 0x5a), "private.reads-back");
	check_equal(page_holds(views.shared, 0x5a), !encrypted, "private.hidden-from-shared");
	memset(views.shared, 0xa5, PAGE_SIZE);
	flush_caches();
	check(page_holds(views.shared, 0xa5), "shared.reads-back");
	check_equal(page_holds(views.private, 0xa5), !encrypted, "shared.garbled-in-private");
}

/* A large private page keeps its content when it is mapped by small ones. */
static void test_page_size_change(void)
{
	ulong size = page_size_at(LEVEL_2M);
	struct views views =
	    map_views(virt_to_phys(pages_alloc(size / PAGE_SIZE, size)), size, LEVEL_2M);
	unsigned int level;

	for (ulong offset = 0; offset < size; offset += PAGE_SIZE)
		memset(views.private + offset, offset >> PAGE_SHIFT, PAGE_SIZE);
	page_protect((ulong)views.private, size, 0, 0);
	page_walk((ulong)views.private, &level);
	check_equal(level, LEVEL_4K, "small");
	for (ulong offset = 0; offset < size; offset += PAGE_SIZE)
		check(page_holds(views.private + offset, offset >> PAGE_SHIFT), "page-%lu",
		      offset >> PAGE_SHIFT);
}

static bool need_fw_cfg(void)
{
	if (fw_cfg_present())
		return true;
	subtest_skip("no device to ask: QEMU's fw_cfg with DMA");
	return false;
}

/*
 * A device sees shared memory alone: through a shared buffer QEMU's fw_cfg delivers its
 * signature, through a private one what the guest reads back is not it.
 */
static void test_dma(void)
{
	struct views control, buffer;
	struct fw_cfg_dma *dma;
	u32 dma_at, buffer_at;

	if (!need_fw_cfg())
		return;
	dma_at = virt_to_phys(page_alloc());
	buffer_at = virt_to_phys(page_alloc());
	control = map_views(dma_at, PAGE_SIZE, LEVEL_4K);
	buffer = map_views(buffer_at, PAGE_SIZE, LEVEL_4K);
	dma = (struct fw_cfg_dma *)control.shared;
	memset(buffer.private, 0, PAGE_SIZE);
	flush_caches();
	check(fw_cfg_dma_read(dma, dma_at, FW_CFG_SIGNATURE, buffer_at, 4), "shared.done");
	flush_caches();
	check(memcmp(buffer.shared, "QEMU", 4) == 0, "shared.content");
	check_equal(memcmp(buffer.private, "QEMU", 4) == 0, !sev_active(), "private.content");
}

/*
 * INS into private memory cannot work, since the hypervisor does the store: software unrolls
 * strings of port I/O into single accesses, which do. Elsewhere both are the same.
 */
static void test_port_strings(void)
{
	char text[4], string[4];
	void *to = string;
	ulong count = sizeof(string);

	if (!need_fw_cfg())
		return;
	memset(text, 0, sizeof(text));
	fw_cfg_port_read(FW_CFG_SIGNATURE, text, sizeof(text));
	check(memcmp(text, "QEMU", 4) == 0, "unrolled");
	if (sev_active()) {
		check_skip("in private memory it does not work", "string");
		return;
	}
	memset(string, 0, sizeof(string));
	outw(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(FW_CFG_DATA) : "memory");
	check(memcmp(string, "QEMU", 4) == 0 && !count, "string");
}

/* What the machine was started as must be what the guest finds and its page tables have. */
static void test_expected(void)
{
	const char *sev = args_value("sev");
	bool encrypted;

	if (!sev) {
		subtest_skip("no word sev=0 or sev=1 says what was started");
		return;
	}
	encrypted = *sev == '1';
	check_equal(sev_active(), encrypted, "active");
	check_equal(paging_c_bit() != 0, encrypted, "page-tables");
	if (encrypted)
		check_equal(paging_c_bit(), (pte_t)1 << memory_encryption_features().c_bit,
			    "c-bit");
	else
		check_skip("not encrypted", "c-bit");
}

SUBTEST("expected", test_expected);
SUBTEST("c_bit", test_c_bit);
SUBTEST("private_and_shared", test_private_and_shared);
SUBTEST("page_size_change", test_page_size_change);
SUBTEST("dma", test_dma);
SUBTEST("port_strings", test_port_strings);
#endif

SUBTEST("cpuid", test_cpuid);
SUBTEST("sev_status", test_sev_status);
