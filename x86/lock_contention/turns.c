// SPDX-License-Identifier: BSD-2-Clause
/*
 * Waiting with PAUSE and nothing else. A hypervisor may take a CPU that executes PAUSE in a
 * loop away from its core (SDM volume 3C, "PAUSE-Loop Exiting"; APM volume 2, "Pause Intercept
 * Filtering") and give the core to whom it thinks is waited for. That must cost nothing but
 * time: the waiter comes back, with its registers, and sees what was written meanwhile. So all
 * CPUs pass a turn round in a circle; each waits for it by PAUSE alone.
 */
#include "control.h"
#include "report.h"
#include "smp.h"
#include "tsc.h"

#define ENOUGH	 2
#define PLENTY	 200
#define LEAST_US 30000
#define BOUND_US 20000000

static struct {
	u32 turn __aligned(64);
	u32 waiting;
	u64 deadline, earliest_end;
	u32 turns[MAX_CPUS];
	u64 pauses[MAX_CPUS];
	u32 wrong[MAX_CPUS]; /* waits that lost count in a register */
} job;

/*
 * PAUSE until the turn comes, or limit times; how often. It is counted in two registers that
 * the compiler does not see: after the last exit they must still agree.
 */
static ulong pause_until(u32 turn, ulong limit, bool *agree)
{
	ulong up = 0, down = limit;

	asm volatile("1: cmpl %[turn], %[word]\n\t"
		     "je 2f\n\t"
		     "pause\n\t"
		     "inc %[up]\n\t"
		     "dec %[down]\n\t"
		     "jnz 1b\n"
		     "2:"
		     : [up] "+r"(up), [down] "+r"(down)
		     : [word] "m"(job.turn), [turn] "r"(turn)
		     : "cc", "memory");
	*agree = up + down == limit;
	return up;
}

static void take_turns(void *argument)
{
	u32 me = cpu_index(), cpus = cpu_count();

	(void)argument;
	__atomic_fetch_sub(&job.waiting, 1, __ATOMIC_SEQ_CST);
	while (READ_ONCE(job.waiting))
		cpu_relax();
	/* All make the same number of turns: the boot processor's last turn is the last round. */
	for (u32 round = 0;; round++) {
		u32 mine = round * cpus + me;

		while (READ_ONCE(job.turn) != mine) {
			bool agree;

			if (READ_ONCE(job.turn) == ~0u || tsc_passed(job.deadline))
				return;
			job.pauses[me] += pause_until(mine, 1000, &agree);
			job.wrong[me] += !agree;
		}
		job.turns[me]++;
		if (!me && (round >= PLENTY || (round >= ENOUGH && tsc_passed(job.earliest_end)))) {
			WRITE_ONCE(job.turn, ~0u);
			return;
		}
		WRITE_ONCE(job.turn, mine + 1);
	}
}

static void test_turns(void)
{
	if (cpu_count() < 2) {
		subtest_skip("one CPU: nobody to wait for");
		return;
	}
	__builtin_memset(&job, 0, sizeof(job));
	job.waiting = cpu_count();
	job.deadline = tsc_deadline_us(BOUND_US);
	job.earliest_end = tsc_deadline_us(LEAST_US);
	checking("progress");
	on_all_cpus(take_turns, NULL);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		check(job.turns[cpu] >= ENOUGH, "cpu-%u.progress", cpu);
		check_equal(job.wrong[cpu], 0, "cpu-%u.registers", cpu);
		diagnostic("cpu %u: %u turns, %llu PAUSEs", cpu, job.turns[cpu], job.pauses[cpu]);
	}
	check_equal(job.turn, ~0u, "end");
}

SUBTEST("pause_turns", test_turns);
