/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest library's C functions beside the host's own. The Makefile puts
 * "guest_" before every symbol of the objects under test; here the headers of
 * lib/ are read so that they declare those names. Include the host's headers
 * first.
 */
#ifndef TESTS_UNIT_GUEST_H
#define TESTS_UNIT_GUEST_H

#define memset	     guest_memset
#define memcpy	     guest_memcpy
#define memmove	     guest_memmove
#define memcmp	     guest_memcmp
#define memchr	     guest_memchr
#define strlen	     guest_strlen
#define strnlen	     guest_strnlen
#define strcmp	     guest_strcmp
#define strncmp	     guest_strncmp
#define strchr	     guest_strchr
#define strstr	     guest_strstr
#define strlcpy	     guest_strlcpy
#define strtoull     guest_strtoull
#define vsnprintf    guest_vsnprintf
#define snprintf     guest_snprintf
#define vprintf	     guest_vprintf
#define printf	     guest_printf
#define vector_name  guest_vector_name
#define fault_format guest_fault_format
#define args	     guest_args
#define args_parse   guest_args_parse
#define args_list_has guest_args_list_has
#define args_value   guest_args_value
#define id_set_add   guest_id_set_add
#define pages_alloc  guest_pages_alloc
#define segment_descriptor guest_segment_descriptor

#include "lib/args.h"
#include "lib/fault.h"
#include "lib/id_set.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/x86/descriptor.h"
#include "lib/x86/page_alloc.h"

#undef memset
#undef memcpy
#undef memmove
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strstr
#undef strlcpy
#undef strtoull
#undef vsnprintf
#undef snprintf
#undef vprintf
#undef printf

#endif
