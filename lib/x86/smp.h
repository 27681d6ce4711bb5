/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Application processors: started by INIT-SIPI-SIPI before a test with more than
 * one CPU begins; then they wait, halted with interrupts on, for calls.
 */
#ifndef LIB_X86_SMP_H
#define LIB_X86_SMP_H

#include "cpu.h"
#include "types.h"

/* Vector of the IPI that wakes a CPU for a call. */
#define SMP_CALL_VECTOR 0xfe

/* CPUs that run, the boot processor included; they are cpus[0] to cpus[n - 1]. */
unsigned int cpu_count(void);

/*
 * Starts the others, so that cpu_count() is wanted; a crash if they do not all
 * come, or more come, within 5 seconds.
 */
void smp_start(unsigned int wanted);

/*
 * smp_stop() sends INIT to another CPU, which then waits for a STARTUP IPI and answers
 * nothing else. smp_restart() starts a CPU anew (stopped or not; what it did is lost), or crashes.
 */
void smp_stop(unsigned int cpu);
void smp_restart(unsigned int cpu);

/*
 * Runs a function on another CPU, outside of interrupt context, and waits for
 * its end (smp_call) or not (smp_call_async, then smp_wait). A CPU that is the
 * caller runs it at once. Do not call a CPU that has a call running.
 */
void smp_call(unsigned int cpu, void (*function)(void *argument), void *argument);
void smp_call_async(unsigned int cpu, void (*function)(void *argument), void *argument);
void smp_wait(unsigned int cpu);

/* Runs a function on all CPUs at the same time, the caller included, and waits for all. */
void on_all_cpus(void (*function)(void *argument), void *argument);

/*
 * Waits within a call of on_all_cpus() until all CPUs are there, so that they begin at
 * the same time. Where there are more CPUs than the host has it gives up after 5 ms.
 */
void smp_meet(void);

/* Sends a fixed interrupt. */
void ipi_send(unsigned int cpu, u8 vector);

/* INVLPG, or with NULL a reload of CR3, on all CPUs. */
void tlb_flush_all_cpus(const void *address);

#endif
