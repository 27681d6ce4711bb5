// SPDX-License-Identifier: BSD-2-Clause
/* Guest and host state of a VMCS. SDM volume 3C, "Guest-State Area", "Host-State Area". */
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "vmx/guest.h"

extern const u8 vmx_exit_entry[];

/* ES, CS, SS, DS, FS, GS, LDTR, TR: the fields of each kind follow each other in this order. */
static void set_segment(unsigned int index, const struct l2_segment *from)
{
	const struct segment *segment = &from->segment;
	u32 rights = ACCESS_RIGHTS(segment->access, segment->flags);

	if (!(segment->access & DESC_PRESENT))
		rights |= ACCESS_RIGHTS_UNUSABLE;
	vmcs_write(VMCS_GUEST_ES_SELECTOR + 2 * index, from->selector);
	vmcs_write(VMCS_GUEST_ES_BASE + 2 * index, segment->base);
	vmcs_write(VMCS_GUEST_ES_LIMIT + 2 * index, segment->limit);
	vmcs_write(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * index, rights);
}

/* Bits that VMX wants fixed; paging and protection are free in an unrestricted guest. */
static u64 fixed_cr0(u64 cr0)
{
	u64 must = vmx_capabilities.cr0_fixed0;

	if (!(cr0 & CR0_PG))
		must &= ~(u64)(CR0_PG | CR0_PE);
	return (cr0 | must) & vmx_capabilities.cr0_fixed1;
}

static u64 fixed_cr4(u64 cr4)
{
	return (cr4 | vmx_capabilities.cr4_fixed0) & vmx_capabilities.cr4_fixed1;
}

void vmcs_set_state(const struct l2_state *state)
{
	const struct l2_segment *segments[] = { &state->es, &state->cs, &state->ss,   &state->ds,
						&state->fs, &state->gs, &state->ldtr, &state->tr };

	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++)
		set_segment(i, segments[i]);
	vmcs_write(VMCS_GUEST_GDTR_BASE, state->gdtr.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, state->gdtr.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, state->idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, state->idtr.limit);
	vmcs_write(VMCS_GUEST_CR0, fixed_cr0(state->cr0));
	vmcs_write(VMCS_GUEST_CR3, state->cr3);
	vmcs_write(VMCS_GUEST_CR4, fixed_cr4(state->cr4));
	vmcs_write(VMCS_GUEST_DR7, 0x400);
	vmcs_write(VMCS_GUEST_RIP, state->rip);
	vmcs_write(VMCS_GUEST_RSP, state->rsp);
	vmcs_write(VMCS_GUEST_RFLAGS, state->rflags);
	vmcs_write(VMCS_GUEST_IA32_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_IA32_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_IA32_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_IA32_SYSENTER_EIP, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	if (vmx_allows(VMX_ENTRY_LOAD_EFER)) {
		vmx_set(VMX_ENTRY_LOAD_EFER);
		vmcs_write(VMCS_GUEST_IA32_EFER, state->efer);
	}
	if (state->efer & EFER_LMA)
		vmx_set(VMX_ENTRY_IA32E_MODE_GUEST);
}

void vmcs_set_host(void)
{
	vmcs_write(VMCS_HOST_ES_SELECTOR, KERNEL_DS);
	vmcs_write(VMCS_HOST_CS_SELECTOR, KERNEL_CS);
	vmcs_write(VMCS_HOST_SS_SELECTOR, KERNEL_DS);
	vmcs_write(VMCS_HOST_DS_SELECTOR, KERNEL_DS);
	vmcs_write(VMCS_HOST_FS_SELECTOR, KERNEL_DS);
	vmcs_write(VMCS_HOST_GS_SELECTOR, KERNEL_DS);
	vmcs_write(VMCS_HOST_TR_SELECTOR, TSS_SELECTOR);
	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR3, read_cr3());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_GS_BASE, 0);
	vmcs_write(VMCS_HOST_TR_BASE, (ulong)&this_cpu()->tss);
	vmcs_write(VMCS_HOST_GDTR_BASE, sgdt().base);
	vmcs_write(VMCS_HOST_IDTR_BASE, sidt().base);
	vmcs_write(VMCS_HOST_IA32_SYSENTER_CS, rdmsr(MSR_IA32_SYSENTER_CS));
	vmcs_write(VMCS_HOST_IA32_SYSENTER_ESP, rdmsr(MSR_IA32_SYSENTER_ESP));
	vmcs_write(VMCS_HOST_IA32_SYSENTER_EIP, rdmsr(MSR_IA32_SYSENTER_EIP));
	vmcs_write(VMCS_HOST_RIP, (ulong)vmx_exit_entry);
	if (vmx_allows(VMX_EXIT_LOAD_EFER)) {
		vmx_set(VMX_EXIT_LOAD_EFER);
		vmcs_write(VMCS_HOST_IA32_EFER, rdmsr(MSR_EFER));
	}
	if (sizeof(ulong) == 8)
		vmx_set(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
}
