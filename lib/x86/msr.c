// SPDX-License-Identifier: BSD-2-Clause
#include "msr.h"
#include "smp.h"

struct access {
	u32 msr;
	u64 value;
	struct fault fault;
};

static void read(void *argument)
{
	struct access *access = argument;

	access->fault = rdmsr_safe(access->msr, &access->value);
}

static void write(void *argument)
{
	struct access *access = argument;

	access->fault = wrmsr_safe(access->msr, access->value);
}

struct fault rdmsr_on_cpu(unsigned int cpu, u32 msr, u64 *value)
{
	struct access access = { .msr = msr };

	smp_call(cpu, read, &access);
	*value = access.value;
	return access.fault;
}

struct fault wrmsr_on_cpu(unsigned int cpu, u32 msr, u64 value)
{
	struct access access = { .msr = msr, .value = value };

	smp_call(cpu, write, &access);
	return access.fault;
}
