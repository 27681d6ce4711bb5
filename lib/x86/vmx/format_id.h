/* SPDX-License-Identifier: BSD-2-Clause */
/* For functions that report, and whose last arguments are an id: the id as text. */
#ifndef LIB_X86_VMX_FORMAT_ID_H
#define LIB_X86_VMX_FORMAT_ID_H

#include "printf.h"

#define FORMAT_ID(buffer, id)                                                                      \
	do {                                                                                       \
		va_list list_;                                                                     \
                                                                                                   \
		va_start(list_, id);                                                               \
		vsnprintf(buffer, sizeof(buffer), id, list_);                                      \
		va_end(list_);                                                                     \
	} while (0)

#endif
