/* SPDX-License-Identifier: BSD-2-Clause */
/* A load and a store of one instruction each, whose fault is a value. For any ring. */
#ifndef LIB_X86_ACCESS_H
#define LIB_X86_ACCESS_H

#include "extable.h"
#include "types.h"

/* A load that faults leaves *value alone. */
#define DEFINE_TRY_ACCESS(suffix, type)                                                            \
	static inline struct fault try_read##suffix(ulong address, type *value)                      \
	{                                                                                          \
		struct fault fault;                                                                \
                                                                                                   \
		asm volatile(TRY("mov (%[address]), %[value]")                                     \
			     : TRY_RESULT(fault), [value] "+&r"(*value)                            \
			     : [address] "r"(address)                                              \
			     : "memory");                                                          \
		return fault;                                                                      \
	}                                                                                          \
	static inline struct fault try_write##suffix(ulong address, type value)                      \
	{                                                                                          \
		struct fault fault;                                                                \
                                                                                                   \
		asm volatile(TRY("mov %[value], (%[address])")                                     \
			     : TRY_RESULT(fault)                                                   \
			     : [address] "r"(address), [value] "r"(value)                          \
			     : "memory");                                                          \
		return fault;                                                                      \
	}

DEFINE_TRY_ACCESS(32, u32)
DEFINE_TRY_ACCESS(_word, ulong)
#undef DEFINE_TRY_ACCESS

#endif
