// SPDX-License-Identifier: BSD-2-Clause
/*
 * Interprocessor interrupts in xAPIC mode: each delivery mode that software may
 * send, from every CPU to every CPU, by physical and logical destination, to sets, by
 * broadcast and by shorthand. An IPI arrives once at each CPU that it names and at
 * no other: hypervisors cache who has which ID in lookup tables, and a stale table sends
 * an interrupt astray.
 *
 * SDM volume 3A, chapter "APIC": "Interrupt Command Register (ICR)" (delivery
 * modes, and the table of valid combinations with shorthands), "Determining IPI
 * Destination". Not sent from here: INIT and STARTUP (init.c); SMI, which needs a
 * handler in SMRAM; ExtINT and remote read, which are reserved in the ICR.
 */
#include "cpuid.h"
#include "ipi.h"
#include "report.h"
#include "smp.h"

#define BROADCAST 0xff

IPI_SUBTEST("ipi-fixed-physical", ipi_test_pairs, false, PHYSICAL, IPI_FIXED);
IPI_SUBTEST("ipi-fixed-flat", ipi_test_pairs, false, FLAT, IPI_FIXED);
IPI_SUBTEST("ipi-fixed-cluster", ipi_test_pairs, false, CLUSTER, IPI_FIXED);
IPI_SUBTEST("ipi-nmi-physical", ipi_test_pairs, false, PHYSICAL, IPI_NMI);
IPI_SUBTEST("ipi-nmi-flat", ipi_test_pairs, false, FLAT, IPI_NMI);
IPI_SUBTEST("ipi-set-flat", ipi_test_sets, false, FLAT, IPI_FIXED);
IPI_SUBTEST("ipi-set-cluster", ipi_test_sets, false, CLUSTER, IPI_FIXED);

static void test_broadcast(void)
{
	static const struct ipi_mode flat = { .destination = FLAT };
	static const struct ipi_broadcast rows[] = {
		{ "self", 0, IPI_FIXED | APIC_SHORTHAND_SELF, true, false },
		{ "all", 0, IPI_FIXED | APIC_SHORTHAND_ALL, true, true },
		{ "others", 0, IPI_FIXED | APIC_SHORTHAND_OTHERS, false, true },
		{ "nmi-others", 0, IPI_NMI | APIC_SHORTHAND_OTHERS, false, true },
		{ "physical", BROADCAST, IPI_FIXED, true, true },
		{ "nmi-physical", BROADCAST, IPI_NMI, true, true },
		{ "flat", BROADCAST, IPI_FIXED | APIC_DEST_LOGICAL, true, true },
	};

	ipi_test_broadcasts(&flat, rows, ARRAY_SIZE(rows));
}

SUBTEST("ipi-broadcast", test_broadcast);

/* "Flat Model - Cluster": a destination of all ones names all CPUs of all clusters. */
static void test_cluster_broadcast(void)
{
	static const struct ipi_mode cluster = { .destination = CLUSTER };
	static const struct ipi_broadcast row = { "all", BROADCAST, IPI_FIXED | APIC_DEST_LOGICAL,
						  true, true };

	ipi_test_broadcasts(&cluster, &row, 1);
}

SUBTEST("ipi-broadcast-cluster", test_cluster_broadcast);

static void send_lowest(void *destination)
{
	apic_icr_write(*(u32 *)destination, IPI_LOWEST | APIC_DEST_LOGICAL);
}

/*
 * "Lowest Priority Delivery Mode": of the CPUs that the logical destination
 * names one gets the interrupt, and which one is for the machine to say, as all have the same
 * priority here. "The ability for a processor to send a lowest priority IPI is model
 * specific": a machine where none arrives is not judged, one that can send them must not lose any.
 */
static void test_lowest(void)
{
	static const struct ipi_mode flat = { .destination = FLAT };
	unsigned int n = ipi_reachable_cpus(&flat);
	u64 takers = 0;
	u32 set = 1;

	ipi_set_up(&flat);
	if (!ipi_receivers(0, send_lowest, &set, 1)) {
		ipi_tear_down();
		/* KVM delivers them: there it would be a loss. */
		if (hypervisor_is("KVMKVMKVM"))
			check(false, "delivered");
		else
			subtest_skip("the machine cannot send lowest priority IPIs");
		return;
	}
	for (set = 1; set < 1u << n; set += set < 16 ? 1 : set / 3) {
		for (unsigned int from = 0; from < n; from++) {
			u64 taker = ipi_receivers(from, send_lowest, &set, 1);

			check(ipi_arrivals() == 1 && (taker & ~(u64)set) == 0, "set-%#x.from-%u",
			      set, from);
			takers |= taker;
		}
	}
	ipi_tear_down();
	diagnostic("lowest priority: taken by the CPUs %#llx", (unsigned long long)takers);
}

SUBTEST("ipi-lowest", test_lowest);
