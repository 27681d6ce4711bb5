// SPDX-License-Identifier: BSD-2-Clause
/*
 * What L2 has of an APIC without L1's doing, and of time: SDM volume 3C, "APIC Virtualization and
 * Virtual Interrupts", "VMX-Preemption Timer", "Changes to Instruction Behavior in VMX Non-Root
 * Operation" (RDTSC, RDTSCP, RDMSR), "Caching Translation Information".
 *
 * A nested hypervisor merges its own use of each with L1's: pages that L1 names have to be
 * found and given to the CPU, or each access emulated; virtual interrupts are delivered by the
 * CPU, by the hypervisor, or by both in turn; offsets have to be added, multipliers multiplied; a
 * timer that L1 has set must neither be early nor be lost, and VPIDs of L1 are not those of the
 * CPU.
 */
#include "apic_and_timers.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"

TEST_SUMMARY("L2's virtual APIC, its interrupts, its timer and TSC, and VPIDs do what the manual "
	     "says");
TEST_MANUAL("SDM volume 3C, \"APIC Virtualization and Virtual Interrupts\"");
TEST_MANUAL("SDM volume 3C, \"VMX-Preemption Timer\"");
TEST_MANUAL("SDM volume 3C, \"VM Exits Induced by the TPR Threshold\"");
TEST_MANUAL("SDM volume 3C, \"Exit Qualification for APIC-Access VM Exits\"");
TEST_MANUAL("SDM volume 3C, \"Caching Translation Information\"");
TEST_MANUAL("SDM volume 3C, \"VMX Instruction Reference\", INVVPID");
TEST_GUARDS("KVM let a notification of posted interrupts that was pending at the entry exit to L1 "
	    "again and again, instead of posting what the descriptor had (Linux, commit 25bb2cf)");
TEST_GUARDS("KVM went on with translations of another VPID of L1's when L2 was entered with a new "
	    "one (Linux, commit 712494de96f3)");
TEST_GUARDS("KVM took a preemption timer of 1 for one that has run down (Linux, commit "
	    "4c008127e471)");
TEST_NEEDS("VMX");

/* Other files see its beginning and its end. */
#define SHARED_CODE(name, text)                                                                    \
	L2_CODE(name,                                                                              \
		text "\n" STRINGIFY(name) "_end: vmcall\n ud2\n"                                   \
					  ".global " STRINGIFY(name) ", " STRINGIFY(name) "_end")

SHARED_CODE(apic_nops, "nop\n nop\n nop");
SHARED_CODE(apic_wrmsr, "wrmsr");
SHARED_CODE(apic_rdmsr, "rdmsr");

const u32 apic_delivery_x2apic[] = { VMX_PIN_EXTERNAL_INTERRUPT_EXITING, VMX_PRIMARY_TPR_SHADOW,
				     VMX_SECONDARY_VIRTUALIZE_X2APIC_MODE,
				     VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, 0 };
const u32 apic_delivery_memory[] = { VMX_PIN_EXTERNAL_INTERRUPT_EXITING, VMX_PRIMARY_TPR_SHADOW,
				     VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES,
				     VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, 0 };

static struct apic apic;

static void make(const void *code)
{
	apic.guest = vmx_guest(APIC_MODE, code);
	apic.events = l2_events(APIC_MODE);
	apic.page = page_alloc();
	apic.memory = page_alloc();
}

/* Fields that a CPU has only with the control. */
static void set_fields(void)
{
	if (vmx_allows(VMX_PRIMARY_TPR_SHADOW)) {
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, (ulong)apic.page);
		vmcs_write(VMCS_TPR_THRESHOLD, 0);
	}
	if (vmx_allows(VMX_SECONDARY_VIRTUALIZE_APIC_ACCESSES))
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, (ulong)apic.memory);
	if (vmx_allows(VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)) {
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
		for (unsigned int i = 0; i < 4; i++)
			vmcs_write(VMCS_EOI_EXIT_BITMAP_0 + 2 * i, 0);
	}
}

struct apic *apic_guest(const void *code, const u32 *controls)
{
	if (!vmx_mode_ready(APIC_MODE) || !vmx_needs_all(controls))
		return NULL;
	if (apic.guest)
		vmx_guest_again(apic.guest, APIC_MODE, code);
	else
		make(code);
	memset(apic.page, 0, PAGE_SIZE);
	memset(apic.memory, 0, PAGE_SIZE);
	set_fields();
	for (; *controls; controls++)
		vmx_set(*controls);
	vmcs_write(VMCS_GUEST_IDTR_BASE, apic.events.idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, apic.events.idtr.limit);
	vmcs_write(VMCS_GUEST_TR_SELECTOR, apic.events.tr.selector);
	vmcs_write(VMCS_GUEST_TR_BASE, apic.events.tr.segment.base);
	vmcs_write(VMCS_GUEST_TR_LIMIT, apic.events.tr.segment.limit);
	tables_map(&apic.guest->tables, ACCESS_LINEAR, (ulong)apic.memory, LEVEL_4K, 0);
	return &apic;
}

u32 apic_run(struct apic *a, const void *code, ulong flags)
{
	vmcs_write(VMCS_GUEST_RIP, (ulong)code);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | flags);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	return vmx_run(a->guest);
}

void apic_fill(struct apic *a)
{
	for (unsigned int offset = 0; offset < PAGE_SIZE; offset += 4) {
		a->page[offset / 4] = PAGE_WORD(offset);
		a->memory[offset / 4] = MEMORY_WORD(offset);
	}
}

static unsigned int word_of(unsigned int base, u8 vector)
{
	return (base + vector / 32 * 16) / 4;
}

void apic_set(struct apic *a, unsigned int base, u8 vector)
{
	a->page[word_of(base, vector)] |= 1u << vector % 32;
}

bool apic_has(const struct apic *a, unsigned int base, u8 vector)
{
	return a->page[word_of(base, vector)] >> vector % 32 & 1;
}

struct apic *apic_guest_with(const void *code, const u32 *controls, u8 rvi, u8 svi)
{
	struct apic *a = apic_guest(code, controls);

	if (!a)
		return NULL;
	if (rvi)
		apic_set(a, VIRR, rvi);
	if (svi)
		apic_set(a, VISR, svi);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, STATUS(rvi, svi));
	return a;
}

unsigned int apic_count(const struct apic *a, unsigned int base)
{
	unsigned int count = 0;

	for (unsigned int vector = 0; vector < 256; vector++)
		count += apic_has(a, base, vector);
	return count;
}

bool apic_check_handler(struct apic *a, u8 vector, const char *id)
{
	return check_exit(a->guest, EXIT_HLT, "%s.exit", id) &&
	       check_equal((vmx_rip() - l2_handler(&a->events, 0)) / L2_HANDLER_SIZE, vector,
			   "%s.vector", id);
}

ulong apic_return_address(void)
{
	return *(ulong *)(ulong)vmcs_read(VMCS_GUEST_RSP);
}
