// SPDX-License-Identifier: BSD-2-Clause
#include "cpu.h"
#include "environment.h"
#include "string.h"

static const u8 ud2[] = { 0x0f, 0x0b };

#ifdef __x86_64__
static struct context context_kernel_compat(const void *ip)
{
	struct context context = context_kernel(ip);

	context.cs = KERNEL_CS32;
	return context;
}

const struct environment environments[] = {
	{ "kernel", ENV_KERNEL | ENV_CODE64, context_kernel },
	{ "user", ENV_USER | ENV_CODE64, context_user },
	{ "kernel-compat", ENV_KERNEL | ENV_COMPAT, context_kernel_compat },
	{ "compat", ENV_USER | ENV_COMPAT, context_compat },
};
#else
const struct environment environments[] = {
	{ "kernel", ENV_KERNEL | ENV_LEGACY, context_kernel },
	{ "user", ENV_USER | ENV_LEGACY, context_user },
};
#endif

const unsigned int environment_count = ARRAY_SIZE(environments);

struct context environment_context(const struct environment *environment, const void *code,
				   size_t size)
{
	static u8 buffers[MAX_CPUS][CODE_SIZE] __aligned(16) __section(".noinit");
	u8 *buffer = buffers[cpu_index()];
	struct context context;

	if (size + sizeof(ud2) > CODE_SIZE)
		__builtin_trap(); /* a test's mistake: a crash with a stack trace */
	memcpy(buffer, code, size);
	memcpy(buffer + size, ud2, sizeof(ud2));
	context = environment->context(buffer);
	context.end = (ulong)buffer + size;
	context.catch_df = true;
	return context;
}
