/* SPDX-License-Identifier: BSD-2-Clause */
/* Port and MMIO accesses of exactly one instruction each. */
#ifndef LIB_X86_IO_H
#define LIB_X86_IO_H

#include "types.h"

#define DEFINE_IO(suffix, type)                                                                    \
	static inline type in##suffix(u16 port)                                                    \
	{                                                                                          \
		type value;                                                                        \
                                                                                                   \
		asm volatile("in" #suffix " %[port], %[value]"                                     \
			     : [value] "=a"(value)                                                 \
			     : [port] "Nd"(port)                                                   \
			     : "memory");                                                          \
		return value;                                                                      \
	}                                                                                          \
	static inline void out##suffix(u16 port, type value)                                       \
	{                                                                                          \
		asm volatile("out" #suffix " %[value], %[port]"                                    \
			     :                                                                     \
			     : [value] "a"(value), [port] "Nd"(port)                               \
			     : "memory");                                                          \
	}

DEFINE_IO(b, u8)
DEFINE_IO(w, u16)
DEFINE_IO(l, u32)
#undef DEFINE_IO

#define DEFINE_MMIO(bits, suffix, constraint)                                                      \
	static inline u##bits mmio_read##bits(const volatile void *address)                        \
	{                                                                                          \
		u##bits value;                                                                     \
                                                                                                   \
		asm volatile("mov" #suffix " %[memory], %[value]"                                  \
			     : [value] "=" constraint(value)                                       \
			     : [memory] "m"(*(const volatile u##bits *)address)                    \
			     : "memory");                                                          \
		return value;                                                                      \
	}                                                                                          \
	static inline void mmio_write##bits(volatile void *address, u##bits value)                 \
	{                                                                                          \
		asm volatile("mov" #suffix " %[value], %[memory]"                                  \
			     : [memory] "=m"(*(volatile u##bits *)address)                         \
			     : [value] constraint(value)                                           \
			     : "memory");                                                          \
	}

DEFINE_MMIO(8, b, "q")
DEFINE_MMIO(16, w, "r")
DEFINE_MMIO(32, l, "r")
#ifdef __x86_64__
DEFINE_MMIO(64, q, "r")
#endif
#undef DEFINE_MMIO

#endif
