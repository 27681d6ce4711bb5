// SPDX-License-Identifier: BSD-2-Clause
/* Each way to make a CPU forget a translation. */
#include "flush.h"
#include "control.h"
#include "cpuid.h"
#include "paging.h"

void invpcid(ulong type, ulong pcid, ulong address)
{
	struct {
		u64 pcid, address;
	} descriptor = { pcid, address };

	asm volatile("invpcid %[descriptor], %[type]"
		     :
		     : [descriptor] "m"(descriptor), [type] "r"(type)
		     : "memory");
}

static bool always(void)
{
	return true;
}

static bool has_pge(void)
{
	return cpu_has(FEATURE_PGE);
}

static bool has_invpcid(void)
{
	return cpu_has(FEATURE_INVPCID);
}

static bool can_stop_paging(void)
{
	return PAGING_LEVELS < 4; /* in IA-32e mode MOV to CR0 with PG = 0 is #GP */
}

static void flush_invlpg(ulong address)
{
	tlb_flush_page((void *)address);
}

static void flush_cr3(ulong address)
{
	(void)address;
	tlb_flush();
}

static void flush_pge(ulong address)
{
	(void)address;
	tlb_flush_global();
}

/* The PCID in CR3, which is one only with CR4.PCIDE. */
static ulong current_pcid(void)
{
	return read_cr4() & CR4_PCIDE ? read_cr3() & 0xfff : 0;
}

static void flush_address_pcid(ulong address)
{
	invpcid(INVPCID_ADDRESS, current_pcid(), address);
}

static void flush_context(ulong address)
{
	(void)address;
	invpcid(INVPCID_CONTEXT, current_pcid(), 0);
}

static void flush_all_contexts(ulong address)
{
	(void)address;
	invpcid(INVPCID_ALL, 0, 0);
}

static void flush_not_global(ulong address)
{
	(void)address;
	invpcid(INVPCID_NOT_GLOBAL, 0, 0);
}

/* The code runs at its physical address, so paging can be off for a moment. */
static void flush_paging_off(ulong address)
{
	ulong cr0 = read_cr0(), flags = read_flags();

	(void)address;
	irq_disable();
	write_cr0(cr0 & ~CR0_PG);
	write_cr0(cr0);
	write_flags(flags);
}

const struct flush_method flush_methods[] = {
	{ "invlpg", always, flush_invlpg, true },
	{ "cr3", always, flush_cr3, false },
	{ "cr4-pge", has_pge, flush_pge, true },
	{ "invpcid-address", has_invpcid, flush_address_pcid, false },
	{ "invpcid-context", has_invpcid, flush_context, false },
	{ "invpcid-all", has_invpcid, flush_all_contexts, true },
	{ "invpcid-not-global", has_invpcid, flush_not_global, false },
	{ "cr0-pg", can_stop_paging, flush_paging_off, true },
};

const unsigned int flush_method_count = ARRAY_SIZE(flush_methods);
