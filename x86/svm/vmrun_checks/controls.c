// SPDX-License-Identifier: BSD-2-Clause
/* The control area: intercepts, ASID, permission maps (15.5.1), event injection (15.20). */
#include "refuse.h"

static void test_vmrun_intercept(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);
	u32 bits = guest->vmcb->control.intercepts[VMEXIT_VMRUN / 32];

	must_refuse(guest, FIELD(control.intercepts[VMEXIT_VMRUN / 32]), bits & ~1u, "clear");
}

SVM_SUBTEST("vmrun-intercept", test_vmrun_intercept);

static void test_asid(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	must_refuse(guest, FIELD(control.guest_asid), 0, "zero");
	guest->vmcb->control.guest_asid = 1;
	must_run(guest, "first");
	guest->vmcb->control.guest_asid = svm_asids() - 1;
	must_run(guest, "last");
	may_refuse(guest, FIELD(control.guest_asid), svm_asids(), "an ASID beyond CPUID's number");
}

SVM_SUBTEST("asid", test_asid);

/* 15.21.10: virtual NMIs need the intercept of real ones. */
static void test_virtual_nmi(void)
{
	struct svm_guest *guest;

	if (!cpu_has(FEATURE_SVM_VNMI)) {
		subtest_skip("the CPU has no virtual NMIs");
		return;
	}
	guest = counting_guest(L2_PROTECTED);
	must_refuse(guest, FIELD(control.int_ctl), V_NMI_ENABLE, "without-intercept");
	svm_intercept(guest, VMEXIT_NMI);
	guest->vmcb->control.int_ctl = V_NMI_ENABLE;
	must_run(guest, "with-intercept");
}

SVM_SUBTEST("virtual-nmi", test_virtual_nmi);

/* Where the maps lie, from the end of the physical addresses; bits 11:0 are ignored (appendix B).
 */
static const struct map_case {
	const char *id;
	struct field field;
	u64 intercept;
	s64 from_end;
	bool legal;
} map_cases[] = {
#define MSRPM FIELD_VALUE(control.msrpm_base_pa), VMEXIT_MSR
#define IOPM  FIELD_VALUE(control.iopm_base_pa), VMEXIT_IOIO
	{ "msrpm.last", MSRPM, -MSRPM_SIZE, true },
	{ "msrpm.last.low-bits", MSRPM, -MSRPM_SIZE + 0xfff, true },
	{ "msrpm.one-page-beyond", MSRPM, -MSRPM_SIZE + 0x1000, false },
	{ "msrpm.at-the-end", MSRPM, 0, false },
	{ "msrpm.beyond", MSRPM, 0x100000, false },
	{ "iopm.last", IOPM, -IOPM_SIZE, true },
	{ "iopm.last.low-bits", IOPM, -IOPM_SIZE + 0xfff, true },
	{ "iopm.one-page-beyond", IOPM, -IOPM_SIZE + 0x1000, false },
	{ "iopm.two-pages-beyond", IOPM, -IOPM_SIZE + 0x2000, false },
	{ "iopm.at-the-end", IOPM, 0, false },
	{ "iopm.beyond", IOPM, 0x100000, false },
};

/*
 * L2 touches neither ports nor MSRs: where a map lies in no RAM, it is not read. Whether an illegal
 * address counts when nothing is intercepted by its map is left open.
 */
static void test_maps(void)
{
	u64 end = BIT_ULL(cpu_physical_address_bits());

	for (unsigned int i = 0; i < ARRAY_SIZE(map_cases); i++) {
		const struct map_case *row = &map_cases[i];
		struct svm_guest *guest = counting_guest(L2_PROTECTED);

		if (row->legal) {
			field_set(guest->vmcb, row->field, end + row->from_end);
			must_run(guest, "%s", row->id);
			continue;
		}
		may_refuse(guest, row->field, end + row->from_end, row->id);
		svm_intercept(guest, row->intercept);
		must_refuse(guest, row->field, end + row->from_end, "%s", row->id);
	}
}

SVM_SUBTEST("maps", test_maps);

/* Each bit of a map's address that this CPU does not have. */
static void test_map_bits(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);
	u64 bits = ~0ull << cpu_physical_address_bits();

	svm_intercept(guest, VMEXIT_MSR);
	svm_intercept(guest, VMEXIT_IOIO);
	must_refuse_bits(guest, FIELD(control.msrpm_base_pa), bits, "msrpm");
	must_refuse_bits(guest, FIELD(control.iopm_base_pa), bits, "iopm");
}

SVM_SUBTEST("map-bits", test_map_bits);

/*
 * An event that VMRUN takes cannot be delivered here, as the IDT is empty: #GP is intercepted.
 * What becomes of delivered ones is svm_event_injection's.
 */
static void must_inject(u64 event, const char *id, unsigned int vector)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	guest->vmcb->control.eventinj = event;
	svm_run(guest);
	check_exit(guest, VMEXIT_EXCP + VECTOR_GP, "%s.vector-%u", id, vector);
}

static bool has_error_code(unsigned int vector)
{
	return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
	       vector == VECTOR_AC;
}

static u64 exception(unsigned int vector)
{
	return has_error_code(vector) ? EVENT_EC(EVENT_TYPE_EXCEPTION, vector, 0)
				      : EVENT(EVENT_TYPE_EXCEPTION, vector);
}

static void test_event_types(void)
{
	static const u8 reserved[] = { 1, 5, 6, 7 };
	static const u8 vectors[] = { 0, 32, 255 };
	struct svm_guest *guest;

	for (unsigned int i = 0; i < ARRAY_SIZE(reserved); i++) {
		guest = counting_guest(L2_PROTECTED);
		must_refuse(guest, FIELD(control.eventinj), EVENT(reserved[i], 32), "reserved.%u",
			    reserved[i]);
		/* Without V it is no event. */
		guest->vmcb->control.eventinj = EVENT(reserved[i], 32) & ~EVENT_VALID;
		must_run(guest, "not-valid.%u", reserved[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		must_inject(EVENT(EVENT_TYPE_INTR, vectors[i]), "interrupt", vectors[i]);
		must_inject(EVENT(EVENT_TYPE_SOFT, vectors[i]), "software", vectors[i]);
	}
	must_inject(EVENT(EVENT_TYPE_NMI, VECTOR_NMI), "nmi", VECTOR_NMI);
}

SVM_SUBTEST("event-types", test_event_types);

/*
 * Vectors that are no exception's. Those that some CPUs alone have (#CP, #HV, #VC, #SX), and 9,
 * which was one before there was SVM, are not judged.
 */
static void test_event_vectors(void)
{
	static const u8 none[] = {
		2, 15, 20, 22, 23, 24, 25, 26, 27, 31, 32, 33, 64, 127, 128, 255
	};
	static const u8 open[] = { 9, 21, 28, 29, 30 };

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++)
		must_refuse(counting_guest(L2_PROTECTED), FIELD(control.eventinj),
			    exception(none[i]), "none.vector-%u", none[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(open); i++) {
		struct svm_guest *guest = counting_guest(L2_PROTECTED);
		char exit[64];

		guest->vmcb->control.eventinj = exception(open[i]);
		svm_run(guest);
		svm_exit_format(exit, sizeof(exit), guest->vmcb);
		diagnostic("exception of vector %u: %s", open[i], exit);
	}
	for (unsigned int vector = 0; vector <= VECTOR_XM; vector++) {
		if (vector != VECTOR_NMI && vector != VECTOR_CSO && vector != 15)
			must_inject(exception(vector), "exception", vector);
	}
}

SVM_SUBTEST("event-vectors", test_event_vectors);

/* #VMEXIT clears EVENTINJ, that of a VMCB that was refused as well. APM volume 3, VMRUN */
static void test_event_cleared(void)
{
	struct svm_guest *guest = counting_guest(L2_PROTECTED);

	guest->vmcb->control.eventinj = EVENT(1, 32);
	svm_run(guest);
	check_equal(guest->vmcb->control.eventinj, 0, "refused");
	guest = counting_guest(L2_PROTECTED);
	guest->vmcb->control.eventinj = EVENT(EVENT_TYPE_INTR, 32);
	svm_run(guest);
	check_equal(guest->vmcb->control.eventinj, 0, "taken");
}

SVM_SUBTEST("event-cleared", test_event_cleared);
