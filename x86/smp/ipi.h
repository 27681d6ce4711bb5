/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending interprocessor interrupts and seeing who gets them: what ipi.c (xAPIC
 * mode) and x2apic.c share.
 */
#ifndef X86_SMP_IPI_H
#define X86_SMP_IPI_H

#include "apic.h"
#include "types.h"

#define IPI_VECTOR 0x50

/* Commands of the ICR, complete but for a logical destination's APIC_DEST_LOGICAL. */
#define IPI_FIXED  (APIC_DELIVERY_FIXED | APIC_ASSERT | IPI_VECTOR)
#define IPI_LOWEST (APIC_DELIVERY_LOWEST | APIC_ASSERT | IPI_VECTOR)
#define IPI_NMI	   (APIC_DELIVERY_NMI | APIC_ASSERT)

/* How a destination names CPUs; x2APIC mode has only clusters for logical ones. */
struct ipi_mode {
	bool x2apic;
	enum { PHYSICAL, FLAT, CLUSTER } destination;
	u32 command;
};

/*
 * Puts all CPUs' APICs into the mode and counts what arrives. False, with the
 * subtest skipped, if the CPU has no x2APIC. There is no way back from x2APIC mode that works
 * everywhere (Bochs does not enable an APIC again that was disabled): its subtests come last.
 */
bool ipi_set_up(const struct ipi_mode *mode);
void ipi_tear_down(void);

/* The destination field that names just this CPU, and the logical ID that it has. */
u32 ipi_destination(const struct ipi_mode *mode, unsigned int cpu);
u32 ipi_logical_id(const struct ipi_mode *mode, unsigned int cpu);

/* The whole command: with APIC_DEST_LOGICAL where the mode has it. */
u32 ipi_command(const struct ipi_mode *mode);

/* The CPUs from 0 on that the mode can name: flat logical IDs have 8 bits. */
unsigned int ipi_reachable_cpus(const struct ipi_mode *mode);

/*
 * Runs sender(argument) on a CPU and returns the set of CPUs that got exactly
 * one interrupt, having waited for expected ones. What goes astray is seen as well: each CPU
 * has answered a call before the result is read.
 */
u64 ipi_receivers(unsigned int from, void (*sender)(void *), void *argument, unsigned int expected);

/* How many arrived at the last call of ipi_receivers(), at all CPUs together. */
unsigned int ipi_arrivals(void);

/* Sends once from a CPU and checks who gets it; the check is id.from-N. */
void ipi_check(unsigned int from, u32 destination, u32 command, u64 expected, const char *id);

/* Subtests whose argument is a struct ipi_mode: each CPU by itself, and sets of CPUs. */
void ipi_test_pairs(const void *mode);
void ipi_test_sets(const void *mode);

#define IPI_SUBTEST(name, function, ...)                                                           \
	SUBTEST_ARG(name, function, (&(const struct ipi_mode){ __VA_ARGS__ }))

/* Destinations and shorthands that name many CPUs. */
struct ipi_broadcast {
	const char *name;
	u32 destination, command;
	bool self, others; /* who is to get it */
};

void ipi_test_broadcasts(const struct ipi_mode *mode, const struct ipi_broadcast *rows,
			 size_t count);

#endif
