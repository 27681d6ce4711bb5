// SPDX-License-Identifier: BSD-2-Clause
/*
 * Event injection: a VM entry with a valid VM-entry interruption-information field delivers the
 * event through L2's IDT before L2's first instruction. SDM volume 3C, "Event Injection",
 * "Vectored-Event Injection": RFLAGS is pushed as it was loaded, RIP of the software types plus
 * the VM-entry instruction length; neither the exception bitmap nor, for hardware types, a gate's
 * DPL counts; the field's valid bit is clear after the exit. VM exits while an event is
 * delivered leave it in the IDT-vectoring information ("Information for VM Exits That Occur
 * During Event Delivery"), from where a hypervisor injects it again.
 *
 * Nested hypervisors get it wrong as the event has to survive an exit to L0 on its way: KVM
 * carries L1's event in its own queue (vmx_complete_interrupts(), vmcs12_save_pending_event()),
 * where it can be lost, delivered twice, or lose its length, error code or its NMI's blocking.
 *
 * Each type is injected in every mode and ring here, and the frame compared word by word.
 */
#include "events.h"
#include "msr.h"
#include "trap.h"

TEST_SUMMARY("VM entries deliver events once, in every mode; exits on the way tell what is left");
TEST_MANUAL("SDM volume 3C, \"Event Injection\"");
TEST_MANUAL("SDM volume 3C, \"Information for VM Exits That Occur During Event Delivery\"");
TEST_MANUAL("SDM volume 3C, \"Other Causes of VM Exits\"");
TEST_MANUAL("SDM volume 3C, \"Special Features of VM Entry\"");
TEST_NEEDS("VMX");

L2_CODE(not_reached, "hlt\n hlt\n hlt\n hlt");

static const u8 vectors[] = { 0, 1, 2, 3, 8, 13, 14, 31, 32, 0x7f, 0x80, 0xff };

static void set_dpl3(const struct l2_events *l2)
{
	if (l2->mode == L2_REAL)
		return; /* whose vectors have no rights */
	for (unsigned int vector = 0; vector < 256; vector++)
		l2_gate(l2, vector)[L2_GATE_ACCESS] |= DESC_DPL3;
}

static struct events *start(const struct place *place)
{
	return vmx_ready() ? events_new(place, not_reached) : NULL;
}

/* The length counts for software types alone. */
static void test_interrupt(const void *place)
{
	struct events *e = start(place);

	if (!e)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, vectors[i]), 0, 5);
		check_event(e, vectors[i], NO_ERROR_CODE, e->rip, "interrupt-%u", vectors[i]);
	}
	inject(e, INFO(TYPE_NMI, VECTOR_NMI), 0, 5);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "nmi");
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI, "nmi.blocks");
	vmx_check_invariants();
}

/* Exceptions have an error code by their vector, but not in real mode. */
static void test_exception(const void *argument)
{
	const struct place *place = argument;
	struct events *e = start(place);

	if (!e)
		return;
	for (unsigned int vector = 0; vector < 32; vector++) {
		bool ec = vector_has_error_code(vector) && place->mode != L2_REAL;

		/* An NMI is no exception; #CP's error code is a question of CET. */
		if (vector == VECTOR_NMI || vector >= VECTOR_CP)
			continue;
		inject(e,
		       ec ? INFO_EC(TYPE_HARDWARE_EXCEPTION, vector)
			  : INFO(TYPE_HARDWARE_EXCEPTION, vector),
		       INJECTED_ERROR_CODE, 5);
		check_event(e, vector, ec ? INJECTED_ERROR_CODE : NO_ERROR_CODE, e->rip,
			    "exception-%u", vector);
	}
	vmx_check_invariants();
}

/* INT n of 2 bytes, INT3 and INTO, INT1; the gates' DPL allows it. */
static void test_software(const void *argument)
{
	const struct place *place = argument;
	struct events *e = start(place);

	if (!e)
		return;
	set_dpl3(&e->l2);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		inject(e, INFO(TYPE_SOFTWARE_INTERRUPT, vectors[i]), 0, 2);
		check_event(e, vectors[i], NO_ERROR_CODE, e->rip + 2, "int-%u", vectors[i]);
	}
	inject(e, INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), 0, 1);
	check_event(e, VECTOR_BP, NO_ERROR_CODE, e->rip + 1, "int3");
	inject(e, INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_OF), 0, 1);
	check_event(e, VECTOR_OF, NO_ERROR_CODE, e->rip + 1, "into");
	inject(e, INFO(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB), 0, 1);
	check_event(e, VECTOR_DB, NO_ERROR_CODE, e->rip + 1, "int1");
	vmx_check_invariants();
}

/* The handler's IRET leads back to where L2 was, with its registers, and the event is spent. */
L2_CODE(returned_to, "vmcall");

static void test_return(const void *place)
{
	struct events *e = vmx_ready() ? events_new(place, returned_to) : NULL;

	if (!e)
		return;
	inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, 0x80), 0, 0);
	check_event(e, 0x80, NO_ERROR_CODE, e->rip, "event");
	vmx_skip();
	vmx_run(e->guest);
	check_exit(e->guest, EXIT_VMCALL, "exit");
	check_equal(vmcs_read(VMCS_GUEST_RIP), e->rip, "rip");
	check_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), e->cs, "cs");
	check_equal(vmcs_read(VMCS_GUEST_RSP), e->rsp, "rsp");
	check_equal(vmcs_read(VMCS_GUEST_SS_SELECTOR), e->ss, "ss");
	check_equal(vmcs_read(VMCS_GUEST_RFLAGS), e->rflags, "rflags");
	vmx_check_invariants();
}

#define SUBTEST_IN(kind, place, function) SUBTEST_ARG(#kind "." #place, function, &place_##place)

#ifdef __x86_64__
SUBTEST_IN(interrupt, long, test_interrupt);
SUBTEST_IN(exception, long, test_exception);
SUBTEST_IN(software, long, test_software);
SUBTEST_IN(return, long, test_return);
SUBTEST_IN(interrupt, long_ring3, test_interrupt);
SUBTEST_IN(exception, long_ring3, test_exception);
SUBTEST_IN(software, long_ring3, test_software);
SUBTEST_IN(return, long_ring3, test_return);
SUBTEST_IN(interrupt, compat, test_interrupt);
SUBTEST_IN(exception, compat, test_exception);
SUBTEST_IN(software, compat, test_software);
SUBTEST_IN(return, compat, test_return);
SUBTEST_IN(interrupt, compat_ring3, test_interrupt);
SUBTEST_IN(exception, compat_ring3, test_exception);
SUBTEST_IN(software, compat_ring3, test_software);
SUBTEST_IN(return, compat_ring3, test_return);
#endif
SUBTEST_IN(interrupt, pae, test_interrupt);
SUBTEST_IN(exception, pae, test_exception);
SUBTEST_IN(software, pae, test_software);
SUBTEST_IN(return, pae, test_return);
SUBTEST_IN(interrupt, pae_ring3, test_interrupt);
SUBTEST_IN(exception, pae_ring3, test_exception);
SUBTEST_IN(software, pae_ring3, test_software);
SUBTEST_IN(return, pae_ring3, test_return);
SUBTEST_IN(interrupt, 32bit, test_interrupt);
SUBTEST_IN(exception, 32bit, test_exception);
SUBTEST_IN(software, 32bit, test_software);
SUBTEST_IN(return, 32bit, test_return);
SUBTEST_IN(interrupt, 32bit_ring3, test_interrupt);
SUBTEST_IN(exception, 32bit_ring3, test_exception);
SUBTEST_IN(software, 32bit_ring3, test_software);
SUBTEST_IN(return, 32bit_ring3, test_return);
SUBTEST_IN(interrupt, protected, test_interrupt);
SUBTEST_IN(exception, protected, test_exception);
SUBTEST_IN(software, protected, test_software);
SUBTEST_IN(return, protected, test_return);
SUBTEST_IN(interrupt, real, test_interrupt);
SUBTEST_IN(exception, real, test_exception);
SUBTEST_IN(software, real, test_software);
SUBTEST_IN(return, real, test_return);
SUBTEST_IN(interrupt, v8086, test_interrupt);
SUBTEST_IN(exception, v8086, test_exception);
SUBTEST_IN(software, v8086, test_software);
SUBTEST_IN(return, v8086, test_return);

/* "no general-protection exception can occur due to RFLAGS.IOPL < 3", and with IOPL 3 as well. */
static void test_iopl(void)
{
	struct events *e = events_new(&place_v8086, not_reached);

	set_dpl3(&e->l2);
	for (unsigned int iopl = 0; iopl < 4; iopl++) {
		vmcs_write(VMCS_GUEST_RFLAGS, (e->rflags & ~EFLAGS_IOPL) | iopl << 12);
		events_snapshot(e);
		inject(e, INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), 0, 2);
		check_event(e, 0x50, NO_ERROR_CODE, e->rip + 2, "iopl-%u", iopl);
	}
}

VMX_SUBTEST("v8086-iopl", test_iopl);

/* A gate's DPL is for the software types: INT n, INT3 and INTO; not INT1, nor the others. */
static const struct dpl {
	const char *name;
	u32 info;
	bool refused;
} dpls[] = {
	{ "interrupt", INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), false },
	{ "nmi", INFO(TYPE_NMI, VECTOR_NMI), false },
	{ "exception", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_UD), false },
	{ "exception-bp", INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_BP), false },
	{ "int1", INFO(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB), false },
	{ "int", INFO(TYPE_SOFTWARE_INTERRUPT, 0x50), true },
	{ "int3", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), true },
	{ "into", INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_OF), true },
};

static void test_dpl(void)
{
	struct events *e = events_new(&place_pae_ring3, not_reached);

	for (const struct dpl *d = dpls; d < dpls + ARRAY_SIZE(dpls); d++) {
		u8 vector = d->info;

		inject(e, d->info, 0, 1);
		if (d->refused)
			check_exception(e->guest, FAULT_GP(vector * 8 + 2), "%s", d->name);
		else
			check_event(e, vector, NO_ERROR_CODE,
				    e->rip + (is_software(d->info) ? 1 : 0), "%s", d->name);
	}
}

VMX_SUBTEST("dpl", test_dpl);

/* All vectors, of the types that take any. */
static void test_every_vector(void)
{
	struct events *e = events_new(&PLACE_HERE, not_reached);

	for (unsigned int vector = 0; vector < 256; vector++) {
		inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, vector), 0, 0);
		check_event(e, vector, NO_ERROR_CODE, e->rip, "interrupt-%u", vector);
		inject(e, INFO(TYPE_SOFTWARE_INTERRUPT, vector), 0, 2);
		check_event(e, vector, NO_ERROR_CODE, e->rip + 2, "int-%u", vector);
	}
}

VMX_SUBTEST("every-vector", test_every_vector);

/*
 * The instruction length of software types is 1 to 15, and 0 where IA32_VMX_MISC[30] says so:
 * "VM-Execution Control Fields", "VM-Entry Controls for Event Injection".
 */
#define VMX_MISC_INJECT_LENGTH_0 BIT_ULL(30)

static void test_length(void)
{
	static const u32 infos[] = { INFO(TYPE_SOFTWARE_INTERRUPT, 0x50),
				     INFO(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP),
				     INFO(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB) };
	static const char *const names[] = { "int", "int3", "int1" };
	struct events *e = events_new(&PLACE_HERE, not_reached);
	bool zero = rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_INJECT_LENGTH_0;

	for (unsigned int i = 0; i < ARRAY_SIZE(infos); i++)
		for (unsigned int length = 0; length < 18; length++) {
			inject(e, infos[i], 0, length);
			if (length > 15 || (!length && !zero))
				check_vmx(e->guest->entry, VMX_FAIL_VALID(7), "%s.%u", names[i],
					  length);
			else
				check_event(e, infos[i], NO_ERROR_CODE, e->rip + length, "%s.%u",
					    names[i], length);
		}
	/* It does not count for an event that is not valid. */
	inject(e, 0, 0, 16);
	check_exit(e->guest, EXIT_HLT, "not-valid");
}

VMX_SUBTEST("length", test_length);

/* DR6, DR7 and IA32_DEBUGCTL stay as they are, even for vector 1; so does CR2 for #PF. */
static void test_registers_kept(void)
{
	struct events *e = events_new(&PLACE_HERE, not_reached);

	vmcs_write(VMCS_GUEST_DR7, 0x455);
	write_dr6(0xffff0ff0);
	write_cr2(0x1234000);
	inject(e, INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_DB), 0, 0);
	check_event(e, VECTOR_DB, NO_ERROR_CODE, e->rip, "db");
	check_equal(read_dr6(), 0xffff0ff0, "db.dr6");
	check_equal(vmcs_read(VMCS_GUEST_DR7), 0x455, "db.dr7");
	inject(e, INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_PF), 2, 0);
	check_event(e, VECTOR_PF, 2, e->rip, "pf");
	check_equal(read_cr2(), 0x1234000, "pf.cr2");
}

VMX_SUBTEST("registers-kept", test_registers_kept);

/* The frame goes to the stack that a 64-bit gate's IST names. */
#ifdef __x86_64__
static void test_ist(void)
{
	struct events *e = events_new(&place_long, not_reached);

	l2_gate(&e->l2, 0x50)[L2_GATE_IST] = L2_IST;
	inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), 0, 0);
	check_event(e, 0x50, NO_ERROR_CODE, e->rip, "interrupt");
	l2_gate(&e->l2, VECTOR_GP)[L2_GATE_IST] = L2_IST;
	inject(e, INFO_EC(TYPE_HARDWARE_EXCEPTION, VECTOR_GP), 0x10, 0);
	check_event(e, VECTOR_GP, 0x10, e->rip, "exception");
}

VMX_SUBTEST("ist", test_ist);
#endif

/* L2 that halts or is shut down is active with the handler, and halted no more after it. */
static void test_activity(void)
{
	struct events *e = events_new(&PLACE_HERE, not_reached);

	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)) {
		check_skip("the CPU has no activity state HLT", "hlt");
		return;
	}
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	events_snapshot(e);
	inject(e, INFO(TYPE_EXTERNAL_INTERRUPT, 0x50), 0, 0);
	check_event(e, 0x50, NO_ERROR_CODE, e->rip, "hlt.interrupt");
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE, "hlt.active");
	inject(e, INFO(TYPE_NMI, VECTOR_NMI), 0, 0);
	check_event(e, VECTOR_NMI, NO_ERROR_CODE, e->rip, "hlt.nmi");
	inject(e, INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_DB), 0, 0);
	check_event(e, VECTOR_DB, NO_ERROR_CODE, e->rip, "hlt.db");
	inject(e, INFO(TYPE_HARDWARE_EXCEPTION, VECTOR_MC), 0, 0);
	check_event(e, VECTOR_MC, NO_ERROR_CODE, e->rip, "hlt.mc");
}

VMX_SUBTEST("halted", test_activity);
