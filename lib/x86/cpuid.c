// SPDX-License-Identifier: BSD-2-Clause
#include "cpuid.h"
#include "string.h"

#define CPUID_HYPERVISOR_BASE 0x40000000
#define CPUID_EXTENDED_BASE   0x80000000

/* A leaf beyond the maximum returns another leaf's data on Intel: ask for the maximum first. */
static bool leaf_exists(u32 leaf)
{
	u32 base = leaf & 0xc0000000, max;

	if (leaf >= CPUID_EXTENDED_BASE)
		base = CPUID_EXTENDED_BASE;
	if (base == CPUID_HYPERVISOR_BASE && !cpu_has(FEATURE_HYPERVISOR))
		return false;
	max = cpuid(base).eax;
	/* KVM of old reports 0 as the maximum hypervisor leaf, meaning base + 1. */
	if (base == CPUID_HYPERVISOR_BASE && max == 0)
		max = CPUID_HYPERVISOR_BASE + 1;
	return leaf >= base && leaf <= max && (!base || max >= base);
}

bool cpu_has(u64 feature)
{
	u32 leaf = feature >> 32, value;
	struct cpuid c;

	if (leaf > 1 && !leaf_exists(leaf))
		return false;
	c = cpuid_count(leaf, feature >> 16 & 0xffff);
	switch (feature >> 8 & 0xff) {
	case CPUID_EAX:
		value = c.eax;
		break;
	case CPUID_EBX:
		value = c.ebx;
		break;
	case CPUID_ECX:
		value = c.ecx;
		break;
	default:
		value = c.edx;
	}
	return value >> (feature & 0xff) & 1;
}

unsigned int cpu_physical_address_bits(void)
{
	if (leaf_exists(0x80000008))
		return cpuid(0x80000008).eax & 0xff;
	return cpu_has(FEATURE_PAE) ? 36 : 32;
}

unsigned int cpu_linear_address_bits(void)
{
	if (leaf_exists(0x80000008))
		return cpuid(0x80000008).eax >> 8 & 0xff;
	return 32;
}

bool cpu_is_amd(void)
{
	struct cpuid c = cpuid(0);

	return (c.ebx == 0x68747541 && c.edx == 0x69746e65 &&
		c.ecx == 0x444d4163) || /* AuthenticAMD */
	       (c.ebx == 0x6f677948 && c.edx == 0x6e65476e &&
		c.ecx == 0x656e6975); /* HygonGenuine */
}

const char *hypervisor_signature(void)
{
	static char signature[13];
	struct cpuid c;

	signature[0] = '\0';
	if (cpu_has(FEATURE_HYPERVISOR)) {
		c = cpuid(CPUID_HYPERVISOR_BASE);
		memcpy(signature, &c.ebx, 4);
		memcpy(signature + 4, &c.ecx, 4);
		memcpy(signature + 8, &c.edx, 4);
	}
	return signature;
}

bool hypervisor_is(const char *signature)
{
	return strcmp(hypervisor_signature(), signature) == 0;
}
