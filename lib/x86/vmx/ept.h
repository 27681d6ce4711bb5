/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EPT's entries and pointer, and what the exits tell. SDM volume 3C, "The Extended Page Table
 * Mechanism (EPT)", "Extended-Page-Table Pointer (EPTP)", "Exit Qualification for EPT Violations".
 */
#ifndef LIB_X86_VMX_EPT_H
#define LIB_X86_VMX_EPT_H

#include "types.h"

/* Bits of an entry. */
#define EPT_READ	 BIT_ULL(0)
#define EPT_WRITE	 BIT_ULL(1)
#define EPT_EXECUTE	 BIT_ULL(2)
#define EPT_TYPE(type)	 ((u64)(type) << 3)
#define EPT_IGNORE_PAT	 BIT_ULL(6)
#define EPT_LARGE	 BIT_ULL(7)
#define EPT_ACCESSED	 BIT_ULL(8)
#define EPT_DIRTY	 BIT_ULL(9)
#define EPT_EXECUTE_USER BIT_ULL(10)
#define EPT_SUB_PAGE_WRITE BIT_ULL(61)
#define EPT_SUPPRESS_VE	 BIT_ULL(63)
#define EPT_RIGHTS	 (EPT_READ | EPT_WRITE | EPT_EXECUTE)

/* EPT_POINTER's */
#define EPTP_WALK_4_LEVELS  (3u << 3)
#define EPTP_WRITE_BACK	    6u
#define EPTP_ACCESSED_DIRTY BIT_ULL(6)

/* The qualification of an EPT violation. */
#define VIOLATION_READ		 BIT_ULL(0)
#define VIOLATION_WRITE		 BIT_ULL(1)
#define VIOLATION_FETCH		 BIT_ULL(2)
#define VIOLATION_RIGHTS(rights) ((u64)(rights) << 3)
#define VIOLATION_LINEAR	 BIT_ULL(7) /* the guest linear address is valid */
#define VIOLATION_FINAL		 BIT_ULL(8) /* of its translation, not of an entry on the way */
/* With EPT_ADVANCED_INFORMATION, if both are set: what L2's tables say of the address. */
#define VIOLATION_USER		 BIT_ULL(9)
#define VIOLATION_WRITABLE	 BIT_ULL(10)
#define VIOLATION_NO_EXECUTE	 BIT_ULL(11)
/* 6 is MBE's, those above of other features. */
#define VIOLATION_JUDGED                                                                           \
	(VIOLATION_READ | VIOLATION_WRITE | VIOLATION_FETCH | VIOLATION_RIGHTS(7) |                \
	 VIOLATION_LINEAR | VIOLATION_FINAL)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_ADVANCED_INFORMATION BIT_ULL(22)

#endif
