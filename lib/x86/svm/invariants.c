// SPDX-License-Identifier: BSD-2-Clause
#include "apic.h"
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "string.h"
#include "svm/exit.h"
#include "svm/invariants.h"
#include "trap.h"
#include "tsc.h"

/* The interrupt that tells whether GIF is 0: of the lowest priority there is. */
#define PROBE_VECTOR 0x21

static u32 probes[MAX_CPUS];

static bool count_probe(struct trap_frame *frame)
{
	probes[cpu_index()]++;
	apic_eoi();
	return true;
}

/* Written down for svm_check_invariants(): the first one in full. */
static void violation(struct svm_guest *guest, const char *what, u64 expected, u64 got)
{
	char exit[64] = "";

	if (!guest->invariants.violations) /* else it is only counted */
		svm_exit_format(exit, sizeof(exit), guest->vmcb);
	l2_violation(&guest->invariants, what, expected, got, exit);
}

static struct svm_host host_now(void)
{
	return (struct svm_host){
		.cr0 = read_cr0(),
		.cr3 = read_cr3(),
		.cr4 = read_cr4(),
		.efer = rdmsr(MSR_EFER),
		.es = read_es(),
		.cs = read_cs(),
		.ss = read_ss(),
		.ds = read_ds(),
		.gdtr = sgdt(),
		.idtr = sidt(),
	};
}

void svm_invariants_before(struct svm_guest *guest, struct svm_before *before)
{
	before->host = host_now();
	if (!(guest->options & SVM_NO_COMPARE))
		memcpy(&before->vmcb, guest->vmcb, sizeof(before->vmcb));
}

static void expect(struct svm_guest *guest, const char *what, u64 expected, u64 got)
{
	if (expected != got)
		violation(guest, what, expected, got);
}

/* 15.6: the host's state comes back, with all breakpoints off. */
static void host_is_back(struct svm_guest *guest, const struct svm_host *before)
{
	const struct svm_host now = host_now();
	const struct svm_switch *world = &guest->world;

	expect(guest, "host's CR0", before->cr0, now.cr0);
	expect(guest, "host's CR3", before->cr3, now.cr3);
	expect(guest, "host's CR4", before->cr4, now.cr4);
	expect(guest, "host's EFER", before->efer, now.efer);
	expect(guest, "host's ES", before->es, now.es);
	expect(guest, "host's CS", before->cs, now.cs);
	expect(guest, "host's SS", before->ss, now.ss);
	expect(guest, "host's DS", before->ds, now.ds);
	expect(guest, "host's GDTR base", before->gdtr.base, now.gdtr.base);
	expect(guest, "host's GDTR limit", before->gdtr.limit, now.gdtr.limit);
	expect(guest, "host's IDTR base", before->idtr.base, now.idtr.base);
	expect(guest, "host's IDTR limit", before->idtr.limit, now.idtr.limit);
	expect(guest, "host's rAX", world->vmcb_pa, world->ax_after);
	expect(guest, "host's rFLAGS", world->flags_before, world->flags_after);
	expect(guest, "host's DR7", 0x400, read_dr7());
}

/* What #VMEXIT and VMSAVE may write, in ascending order: 15.6, appendix B. */
static const struct range {
	u16 offset, end;
} written[] = {
#define FIELDS(from, to)                                                                           \
	{ offsetof(struct vmcb, from),                                                             \
	  offsetof(struct vmcb, to) + sizeof(((struct vmcb *)0)->to) }
	FIELDS(control.int_ctl, control.int_ctl),
	FIELDS(control.interrupt_shadow, control.exitintinfo),
	FIELDS(control.eventinj, control.eventinj),
	FIELDS(control.nrip, control.fetched),
	FIELDS(save.es, save.tr),
	FIELDS(save.cpl, save.cpl),
	FIELDS(save.efer, save.efer),
	FIELDS(save.cr4, save.rip),
	FIELDS(save.rsp, save.cr2),
	FIELDS(save.g_pat, save.last_excp_to),
	FIELDS(save.spec_ctrl, save.spec_ctrl),
	{ sizeof(struct vmcb), sizeof(struct vmcb) },
};

static void rest_is_untouched(struct svm_guest *guest, const struct vmcb *before)
{
	const u32 int_ctl = V_TPR_MASK | V_IRQ | V_GIF | V_NMI | V_NMI_MASK;
	const struct vmcb *now = guest->vmcb;
	const u8 *a = (const u8 *)before, *b = (const u8 *)now;
	unsigned int at = 0;

	for (const struct range *range = written; range < written + ARRAY_SIZE(written); range++) {
		if (memcmp(a + at, b + at, range->offset - at)) {
			while (a[at] == b[at])
				at++;
			violation(guest, "byte of the VMCB unchanged: offset", at, b[at]);
		}
		at = range->end;
	}
	expect(guest, "int_ctl's other bits", before->control.int_ctl & ~int_ctl,
	       now->control.int_ctl & ~int_ctl);
	/* What else is left of it is the processor's; so is all of it where no guest was entered. */
	if (now->control.exitcode != VMEXIT_INVALID)
		expect(guest, "EVENTINJ.V", 0, now->control.eventinj & EVENT_VALID);
}

/*
 * 15.17: #VMEXIT clears GIF, and with that holds interrupts back. One that is pending with
 * IF set comes in at STGI, not before.
 */
static void probe_gif(struct svm_guest *guest)
{
	volatile u32 *count = &probes[cpu_index()];
	u32 before = *count;
	ulong flags = read_flags();

	trap_set_handler(PROBE_VECTOR, count_probe);
	apic_icr_write(apic_id(), APIC_DELIVERY_FIXED | APIC_ASSERT | PROBE_VECTOR);
	irq_enable();
	for (int i = 0; i < 8; i++)
		cpu_relax();
	expect(guest, "interrupts with GIF 0", 0, *count - before);
	stgi();
	if (!WAIT_UNTIL(*count != before, 100000))
		violation(guest, "interrupts after STGI", 1, 0);
	write_flags(flags);
}

void svm_invariants_after(struct svm_guest *guest, const struct svm_before *before)
{
	if (!guest->world.fault) {
		host_is_back(guest, &before->host);
		if (!(guest->options & SVM_NO_COMPARE))
			rest_is_untouched(guest, &before->vmcb);
		if (!(guest->options & (SVM_NO_GIF_PROBE | SVM_KEEP_GIF)))
			probe_gif(guest);
	}
	if (!(guest->options & SVM_KEEP_GIF))
		stgi();
}
