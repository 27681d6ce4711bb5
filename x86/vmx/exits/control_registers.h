/* SPDX-License-Identifier: BSD-2-Clause */
/* "Exit Qualification for Control-Register Accesses" */
#ifndef X86_VMX_CONTROL_REGISTERS_H
#define X86_VMX_CONTROL_REGISTERS_H

#include "exits.h"

enum { MOV_TO, MOV_FROM, CLTS, LMSW };
#define ACCESS(cr, kind)   ((u64)(cr) | (kind) << 4)
#define GPR(n)		   ((u64)(n) << 8)
#define LMSW_MEMORY	   BIT(6)
#define LMSW_SOURCE(value) ((u64)(value) << 16)

/* "Exit Qualification for MOV DR" */
#define DR(n)	    (n)
#define MOV_FROM_DR BIT(4)

#endif
