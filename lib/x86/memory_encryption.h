/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD's memory encryption as a guest sees it: CPUID Fn8000_001F and the SEV_STATUS
 * MSR. APM volume 2, 7.10 "Secure Memory Encryption" and 15.34 "Secure Encrypted
 * Virtualization"; volume 3, appendix E.4.17.
 */
#ifndef LIB_X86_MEMORY_ENCRYPTION_H
#define LIB_X86_MEMORY_ENCRYPTION_H

#include "cpuid.h"
#include "types.h"

#define CPUID_MEMORY_ENCRYPTION 0x8000001f

#define FEATURE_SME	 CPUID_FEATURE(CPUID_MEMORY_ENCRYPTION, 0, EAX, 0)
#define FEATURE_SEV	 CPUID_FEATURE(CPUID_MEMORY_ENCRYPTION, 0, EAX, 1)
#define FEATURE_SEV_ES	 CPUID_FEATURE(CPUID_MEMORY_ENCRYPTION, 0, EAX, 3)
#define FEATURE_SEV_SNP	 CPUID_FEATURE(CPUID_MEMORY_ENCRYPTION, 0, EAX, 4)

#define MSR_SYSCFG	 0xc0010010
#define MSR_SEV_STATUS	 0xc0010131

#define SYSCFG_MEMORY_ENCRYPTION BIT(23)

#define SEV_STATUS_SEV	 BIT(0)
#define SEV_STATUS_SEV_ES BIT(1)
#define SEV_STATUS_SNP	 BIT(2)

/* Fn8000_001F's fields; all 0 where the CPU does not have the leaf. */
struct memory_encryption {
	bool leaf;
	bool sme, sev, sev_es, sev_snp;
	unsigned int c_bit;		/* EBX[5:0]: which bit of a page table entry encrypts */
	unsigned int address_reduction; /* EBX[11:6]: bits of physical address that it costs */
	unsigned int vmpls;		/* EBX[15:12]: VM permission levels, with SNP */
	u32 guests;			/* ECX: encrypted guests at the same time */
	u32 min_sev_asid;		/* EDX: the lowest ASID for SEV without ES */
};

struct memory_encryption memory_encryption_features(void);

/* True in a guest whose memory is encrypted. */
bool sev_active(void);

#endif
