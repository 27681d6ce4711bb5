// SPDX-License-Identifier: BSD-2-Clause
#include "memory_encryption.h"
#include "msr.h"

struct memory_encryption memory_encryption_features(void)
{
	struct memory_encryption features = { 0 };
	struct cpuid c;

	if (cpuid(0x80000000).eax < CPUID_MEMORY_ENCRYPTION || !cpu_is_amd())
		return features;
	c = cpuid(CPUID_MEMORY_ENCRYPTION);
	features.leaf = true;
	features.sme = c.eax & BIT(0);
	features.sev = c.eax & BIT(1);
	features.sev_es = c.eax & BIT(3);
	features.sev_snp = c.eax & BIT(4);
	features.c_bit = c.ebx & 0x3f;
	features.address_reduction = c.ebx >> 6 & 0x3f;
	features.vmpls = c.ebx >> 12 & 0xf;
	features.guests = c.ecx;
	features.min_sev_asid = c.edx;
	return features;
}

bool sev_active(void)
{
	u64 status;

	return memory_encryption_features().sev &&
	       !fault_raised(rdmsr_safe(MSR_SEV_STATUS, &status)) && status & SEV_STATUS_SEV;
}
