// SPDX-License-Identifier: BSD-2-Clause
/*
 * Posted interrupts: an external interrupt with the notification vector does not exit; what the
 * descriptor requests becomes virtual interrupts. SDM volume 3C, "Posted-Interrupt Processing".
 *
 * In a nested guest the notification may be pending before the entry, as here, or be sent by
 * another CPU to a guest that runs or is halted: each is another path of the hypervisor below.
 */
#include "apic_and_timers.h"
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define NOTIFICATION 0x65
#define OTHER	     0x66

/* "Format of Posted-Interrupt Descriptor" */
struct descriptor {
	u32 requests[8];
	u32 on; /* bit 0: outstanding notification */
	u32 rest[7];
};

static const u32 controls[] = { VMX_PIN_EXTERNAL_INTERRUPT_EXITING,
				VMX_PIN_POSTED_INTERRUPTS,
				VMX_PRIMARY_TPR_SHADOW,
				VMX_SECONDARY_VIRTUALIZE_X2APIC_MODE,
				VMX_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY,
				VMX_EXIT_ACKNOWLEDGE_INTERRUPT,
				0 };

L2_CODE(spins, "1: pause\n jmp 1b");
L2_CODE(halts, "1: hlt\n jmp 1b");

static struct descriptor *descriptor;

static struct apic *posted_guest(const u8 *code)
{
	struct apic *a = apic_guest(code, controls);

	if (!a)
		return NULL;
	if (!descriptor)
		descriptor = page_alloc();
	memset(descriptor, 0, sizeof(*descriptor));
	vmcs_write(VMCS_POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, (ulong)descriptor);
	vmcs_write(VMCS_POSTED_INTERRUPT_NOTIFICATION_VECTOR, NOTIFICATION);
	irq_disable();
	return a;
}

static void post(u8 vector)
{
	descriptor->requests[vector / 32] |= 1u << vector % 32;
	descriptor->on |= 1;
}

static void notify(u8 vector)
{
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | vector);
}

/* The descriptor is empty, and nothing is left of the notification in L1's APIC. */
static void check_processed(const char *id)
{
	u32 requests = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(descriptor->requests); i++)
		requests |= descriptor->requests[i];
	check_equal(descriptor->on & 1, 0, "%s.on", id);
	check_equal(requests, 0, "%s.pir", id);
	check(!apic_vector_bit(APIC_IRR, NOTIFICATION), "%s.irr", id);
	check(!apic_vector_bit(APIC_ISR, NOTIFICATION), "%s.eoi", id);
}

/* Pending at the entry: RVI is the highest of the requests and what it was. */
static void test_pending(void)
{
	static const struct {
		u8 rvi, posted[3], first, next;
	} rows[] = {
		{ 0, { 0x51 }, 0x51, 0 },	{ 0x41, { 0x51 }, 0x51, 0x41 },
		{ 0x61, { 0x51 }, 0x61, 0x51 }, { 0, { 0x31, 0xff, 0x81 }, 0xff, 0x81 },
		{ 0x61, { 0 }, 0x61, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct apic *a = posted_guest(spins);

		if (!a)
			return;
		prefix_push("rvi-%02x.posted-%02x", rows[i].rvi, rows[i].posted[0]);
		if (rows[i].rvi)
			apic_set(a, VIRR, rows[i].rvi);
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, STATUS(rows[i].rvi, 0));
		a->page[VTPR / 4] = 0;
		for (unsigned int n = 0; n < 3 && rows[i].posted[n]; n++)
			post(rows[i].posted[n]);
		notify(NOTIFICATION);
		/* IF 0 at first: the notification is not L2's to block. */
		apic_run(a, apic_nops, 0);
		check_exit(a->guest, EXIT_VMCALL, "closed.exit");
		check_processed("closed");
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), STATUS(rows[i].first, 0),
			    "closed.status");
		apic_run(a, spins, EFLAGS_IF);
		apic_check_handler(a, rows[i].first, "open");
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS),
			    STATUS(rows[i].next, rows[i].first), "open.status");
		prefix_pop();
	}
}

VMX_SUBTEST("posted-interrupts.pending", test_pending);

/* Any other vector exits, acknowledged, and posts nothing. */
static void test_other_vector(void)
{
	struct apic *a = posted_guest(spins);

	if (!a)
		return;
	post(0x51);
	notify(OTHER);
	apic_run(a, spins, EFLAGS_IF);
	check_exit(a->guest, EXIT_EXTERNAL_INTERRUPT, "exit");
	check_equal(vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION), INTERRUPTION_VALID | OTHER,
		    "information");
	check_equal(descriptor->on & 1, 1, "on");
	check_equal(descriptor->requests[0x51 / 32], 1u << 0x51 % 32, "pir");
	check_equal(apic_count(a, VIRR), 0, "virr");
	apic_eoi();
}

VMX_SUBTEST("posted-interrupts.other-vector", test_other_vector);

/* Without the control the notification is an interrupt like others. */
static void test_off(void)
{
	struct apic *a = posted_guest(spins);

	if (!a)
		return;
	vmx_clear(VMX_PIN_POSTED_INTERRUPTS);
	post(0x51);
	notify(NOTIFICATION);
	apic_run(a, spins, EFLAGS_IF);
	check_exit(a->guest, EXIT_EXTERNAL_INTERRUPT, "exit");
	check_equal(descriptor->on & 1, 1, "on");
	apic_eoi();
}

VMX_SUBTEST("posted-interrupts.off", test_off);

/* Sends from another CPU, some time after L2 has begun. */
static void post_later(void *argument)
{
	delay_us(200);
	__atomic_fetch_or(&descriptor->requests[0x51 / 32], 1u << 0x51 % 32, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&descriptor->on, 1, __ATOMIC_SEQ_CST);
	apic_icr_write(cpus[0]->apic_id, APIC_DELIVERY_FIXED | APIC_ASSERT | NOTIFICATION);
}

/* While L2 runs, and while it is halted, which a request ends. */
static void test_sent(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		unsigned int from;
	} rows[] = { { "running", spins, 0 }, { "halted", halts, 1 } };

	if (cpu_count() < 2) {
		subtest_skip("needs a second CPU");
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct apic *a = posted_guest(rows[i].code);

		if (!a)
			return;
		prefix_push("%s", rows[i].name);
		vmx_clear(VMX_PRIMARY_HLT_EXITING);
		/* The handler's own HLT: by a limit of the IDT it is a #GP instead. */
		vmcs_write(VMCS_GUEST_IDTR_LIMIT, SHORT_IDT);
		smp_call_async(1, post_later, NULL);
		apic_run(a, rows[i].code, EFLAGS_IF);
		smp_wait(1);
		check_exception(a->guest, BEYOND_SHORT_IDT(0x51), "exit");
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), INTERRUPTION_VALID | 0x51,
			    "vectoring");
		check(vmcs_read(VMCS_GUEST_RIP) - (ulong)rows[i].code <= 2, "rip");
		check_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), STATUS(0, 0x51), "status");
		check_processed("then");
		prefix_pop();
	}
}

VMX_SUBTEST("posted-interrupts.sent", test_sent);
