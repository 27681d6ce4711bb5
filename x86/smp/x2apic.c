// SPDX-License-Identifier: BSD-2-Clause
/*
 * Interprocessor interrupts in x2APIC mode: as ipi.c, with 32-bit IDs. The logical
 * ID is no longer for software to choose: bits 31:16 are the APIC ID's upper
 * bits, and one of bits 15:0 is its lowest four. Lowest priority delivery does not exist.
 *
 * SDM volume 3A, "Extended XAPIC (x2APIC)": "x2APIC State Transitions", "Logical
 * Destination Mode in x2APIC Mode", "ICR Operation in x2APIC Mode", "SELF IPI Register".
 *
 * The last file of this test: the APICs stay in x2APIC mode.
 */
#include "cpu.h"
#include "ipi.h"
#include "msr.h"
#include "report.h"
#include "senders.h"
#include "smp.h"

#define BROADCAST 0xffffffff

static void read_ids(void *argument)
{
	((u32 *)argument)[cpu_index()] = apic_id();
}

/* "In x2APIC mode, the 32-bit APIC ID": the value that the xAPIC ID had, for IDs below 255. */
static void test_ids(void)
{
	static const struct ipi_mode x2apic = { .x2apic = true };
	u32 ids[MAX_CPUS];

	if (!ipi_set_up(&x2apic))
		return;
	on_all_cpus(read_ids, ids);
	for (unsigned int i = 0; i < cpu_count(); i++)
		check_equal(ids[i], cpus[i]->apic_id, "cpu-%u", i);
	check_equal(rdmsr(MSR_IA32_APIC_BASE) & (APIC_BASE_ENABLE | APIC_BASE_X2APIC),
		    APIC_BASE_ENABLE | APIC_BASE_X2APIC, "enabled");
	ipi_tear_down();
}

SUBTEST("x2apic-ids", test_ids);

IPI_SUBTEST("x2apic-fixed-physical", ipi_test_pairs, true, PHYSICAL, IPI_FIXED);
IPI_SUBTEST("x2apic-fixed-logical", ipi_test_pairs, true, CLUSTER, IPI_FIXED);
IPI_SUBTEST("x2apic-nmi-physical", ipi_test_pairs, true, PHYSICAL, IPI_NMI);
IPI_SUBTEST("x2apic-nmi-logical", ipi_test_pairs, true, CLUSTER, IPI_NMI);
IPI_SUBTEST("x2apic-set", ipi_test_sets, true, CLUSTER, IPI_FIXED);

static void test_broadcast(void)
{
	static const struct ipi_mode x2apic = { .x2apic = true };
	static const struct ipi_broadcast rows[] = {
		{ "self", 0, IPI_FIXED | APIC_SHORTHAND_SELF, true, false },
		{ "all", 0, IPI_FIXED | APIC_SHORTHAND_ALL, true, true },
		{ "others", 0, IPI_FIXED | APIC_SHORTHAND_OTHERS, false, true },
		{ "nmi-others", 0, IPI_NMI | APIC_SHORTHAND_OTHERS, false, true },
		{ "physical", BROADCAST, IPI_FIXED, true, true },
		{ "nmi-physical", BROADCAST, IPI_NMI, true, true },
		{ "logical", BROADCAST, IPI_FIXED | APIC_DEST_LOGICAL, true, true },
	};

	ipi_test_broadcasts(&x2apic, rows, ARRAY_SIZE(rows));
}

SUBTEST("x2apic-broadcast", test_broadcast);

static void write_self_ipi(void *argument)
{
	(void)argument;
	apic_write(APIC_SELF_IPI, IPI_VECTOR);
}

static void test_self_ipi(void)
{
	static const struct ipi_mode x2apic = { .x2apic = true };

	if (!ipi_set_up(&x2apic))
		return;
	for (unsigned int from = 0; from < cpu_count(); from = next_sender(from))
		check_equal(ipi_receivers(from, write_self_ipi, NULL, 1), BIT_ULL(from), "from-%u",
			    from);
	ipi_tear_down();
}

SUBTEST("x2apic-self-ipi", test_self_ipi);

/* "x2APIC State Transitions": which changes of EN and EXTD are #GP(0), and the way back. */
static struct {
	struct fault to_xapic, to_invalid, disabled_to_x2apic, disabled_to_invalid;
	u64 base_after;
	u32 id_after;
} transitions;

static void try_transitions(void *argument)
{
	const u64 x2apic = rdmsr(MSR_IA32_APIC_BASE), xapic = x2apic & ~(u64)APIC_BASE_X2APIC;
	const u64 invalid = x2apic & ~(u64)APIC_BASE_ENABLE;
	const u64 disabled = xapic & ~(u64)APIC_BASE_ENABLE;

	(void)argument;
	transitions.to_xapic = wrmsr_safe(MSR_IA32_APIC_BASE, xapic);
	transitions.to_invalid = wrmsr_safe(MSR_IA32_APIC_BASE, invalid);
	wrmsr(MSR_IA32_APIC_BASE, disabled);
	transitions.disabled_to_x2apic = wrmsr_safe(MSR_IA32_APIC_BASE, x2apic);
	transitions.disabled_to_invalid = wrmsr_safe(MSR_IA32_APIC_BASE, invalid);
	wrmsr(MSR_IA32_APIC_BASE, xapic);
	transitions.base_after = rdmsr(MSR_IA32_APIC_BASE);
	transitions.id_after = apic_id();
}

/* By the last CPU, which nobody calls any more: it may have no APIC after this. */
static void test_transitions(void)
{
	static const struct ipi_mode x2apic = { .x2apic = true };
	unsigned int last = cpu_count() - 1;

	if (!ipi_set_up(&x2apic))
		return;
	ipi_tear_down();
	smp_call(last, try_transitions, NULL);
	check_fault(transitions.to_xapic, FAULT_GP(0), "x2apic-to-xapic");
	check_fault(transitions.to_invalid, FAULT_GP(0), "x2apic-to-invalid");
	check_fault(transitions.disabled_to_x2apic, FAULT_GP(0), "disabled-to-x2apic");
	check_fault(transitions.disabled_to_invalid, FAULT_GP(0), "disabled-to-invalid");
	check_equal(transitions.base_after & (APIC_BASE_ENABLE | APIC_BASE_X2APIC),
		    APIC_BASE_ENABLE, "disabled-to-xapic");
	check_equal(transitions.id_after, cpus[last]->apic_id, "xapic-id");
}

SUBTEST("x2apic-transitions", test_transitions);
