/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations that invalidate translations, as a table. SDM volume 3A, "Operations
 * that Invalidate TLBs and Paging-Structure Caches".
 */
#ifndef X86_MMU_CACHES_FLUSH_H
#define X86_MMU_CACHES_FLUSH_H

#include "types.h"

struct flush_method {
	const char *name;
	bool (*supported)(void);
	void (*flush)(ulong address);
	bool global; /* invalidates translations of global pages as well */
};

extern const struct flush_method flush_methods[];
extern const unsigned int flush_method_count;

/* Without PCIDs the PCID is 0. type is the operand of INVPCID. */
void invpcid(ulong type, ulong pcid, ulong address);
enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_NOT_GLOBAL };

#endif
