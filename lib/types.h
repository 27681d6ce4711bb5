/* SPDX-License-Identifier: BSD-2-Clause */
/* The integer types and the few macros that every file needs. */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
/* "unsigned long long" in all modes, so that one printf format fits. */
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;
typedef unsigned long ulong;

/* A physical address: wider than a pointer under PAE. */
typedef u64 phys_addr;

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)		  (1ul << (n))
#define BIT_ULL(n)	  (1ull << (n))
#define ALIGN_UP(x, a)	  (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a)  ((x) & ~((__typeof__(x))(a) - 1))
#define MIN(a, b)	  ((a) < (b) ? (a) : (b))
#define MAX(a, b)	  ((a) > (b) ? (a) : (b))
#define STRINGIFY_(x)	  #x
#define STRINGIFY(x)	  STRINGIFY_(x)
#define CONCAT_(a, b)	  a##b
#define CONCAT(a, b)	  CONCAT_(a, b)

#define __packed	     __attribute__((packed))
#define __aligned(n)	     __attribute__((aligned(n)))
#define __section(name)	     __attribute__((section(name)))
#define __used		     __attribute__((used))
#define __unused	     __attribute__((unused))
#define __noreturn	     __attribute__((noreturn))
#define __noinline	     __attribute__((noinline))
#define __printf(fmt, first) __attribute__((format(__printf__, fmt, first)))

#define barrier() asm volatile("" ::: "memory")

/* Reads and writes that the compiler neither drops, repeats nor tears. */
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#endif
