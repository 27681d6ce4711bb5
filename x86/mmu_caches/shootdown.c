// SPDX-License-Identifier: BSD-2-Clause
#include "shootdown.h"
#include "apic.h"
#include "cpu.h"
#include "smp.h"
#include "trap.h"
#include "tsc.h"

#define SHOOTDOWN_VECTOR 0x51
#define SHOOTDOWN_US	 3000000

/* What each CPU wants the others to flush: asked counts up, and they follow with done. */
static struct request {
	ulong address;
	const struct flush_method *method;
	u32 asked, done[MAX_SHOOTDOWN_CPUS];
} requests[MAX_SHOOTDOWN_CPUS];

static unsigned int cpus_in_it;

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
		request->method->flush(request->address);
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

bool shoot_down(ulong address, const struct flush_method *method)
{
	unsigned int self = cpu_index();
	struct request *request = &requests[self];

	method->flush(address);
	request->address = address;
	request->method = method;
	__atomic_add_fetch(&request->asked, 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < cpus_in_it; i++)
		if (i != self)
			ipi_send(i, SHOOTDOWN_VECTOR);
	return WAIT_UNTIL(all_done(request, self), SHOOTDOWN_US);
}
