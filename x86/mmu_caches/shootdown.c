// SPDX-License-Identifier: BSD-2-Clause
#include "shootdown.h"
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define SHOOTDOWN_VECTOR 0x51
#define SHOOTDOWN_US	 3000000

/* What each CPU wants the others to flush: asked counts up, and they follow with done. */
static struct request {
	ulong addresses[MAX_SHOOTDOWN_ADDRESSES];
	unsigned int count;
	const struct flush_method *method;
	u32 asked, done[MAX_SHOOTDOWN_CPUS];
} requests[MAX_SHOOTDOWN_CPUS];

static unsigned int cpus_in_it;

static void flush(const struct request *request)
{
	for (unsigned int i = 0; i < request->count; i++)
		request->method->flush(request->addresses[i]);
}

static bool on_shootdown(struct trap_frame *frame)
{
	unsigned int self = cpu_index();

	(void)frame;
	apic_eoi();
	for (unsigned int i = 0; i < cpus_in_it; i++) {
		struct request *request = &requests[i];
		u32 asked = __atomic_load_n(&request->asked, __ATOMIC_ACQUIRE);

		if (i == self || request->done[self] == asked)
			continue;
		flush(request);
		__atomic_store_n(&request->done[self], asked, __ATOMIC_RELEASE);
	}
	return true;
}

static bool all_done(const struct request *request, unsigned int self)
{
	for (unsigned int i = 0; i < cpus_in_it; i++)
		if (i != self && READ_ONCE(request->done[i]) != request->asked)
			return false;
	return true;
}

void shootdown_init(unsigned int cpus)
{
	cpus_in_it = cpus;
	for (unsigned int i = 0; i < cpus; i++)
		requests[i] = (struct request){ 0 };
	trap_set_handler(SHOOTDOWN_VECTOR, on_shootdown);
}

bool shoot_down(const ulong *addresses, unsigned int count, const struct flush_method *method,
		void (*meanwhile)(void))
{
	unsigned int self = cpu_index();
	struct request *request = &requests[self];
	u64 deadline = tsc_deadline_us(SHOOTDOWN_US);

	for (unsigned int i = 0; i < count; i++)
		request->addresses[i] = addresses[i];
	request->count = count;
	request->method = method;
	flush(request);
	__atomic_add_fetch(&request->asked, 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < cpus_in_it; i++)
		if (i != self)
			ipi_send(i, SHOOTDOWN_VECTOR);
	while (!all_done(request, self)) {
		if (tsc_passed(deadline))
			return false;
		if (meanwhile)
			meanwhile();
		else
			cpu_relax();
	}
	return true;
}
