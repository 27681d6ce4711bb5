// SPDX-License-Identifier: BSD-2-Clause
/*
 * The event that an entry is to inject: "Checks on VMX Controls", on VM-entry control fields. What
 * becomes of a legal one in L2 is the matter of the events' test; here L2's IDT is empty, so that
 * its delivery ends in an exit whose IDT-vectoring information tells that it was begun.
 */
#include "control.h"
#include "msr.h"
#include "vmx/entry.h"

#define FIELD VMCS_VM_ENTRY_INTERRUPTION_INFORMATION

#define BASIC_ERROR_CODE_FREE  BIT_ULL(56) /* an error code is neither needed nor forbidden */
#define BASIC_NESTED_EXCEPTION BIT_ULL(58)
#define MISC_LENGTH_0	       BIT_ULL(30)

static u32 event(enum interruption_type type, unsigned int vector)
{
	return INTERRUPTION_VALID | INTERRUPTION_TYPE(type) | vector;
}

static bool has_error_code(unsigned int vector)
{
	return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
	       vector == VECTOR_AC;
}

static u32 exception(unsigned int vector)
{
	return event(TYPE_HARDWARE_EXCEPTION, vector) |
	       (has_error_code(vector) ? INTERRUPTION_ERROR_CODE : 0);
}

/* Interrupts need IF, in L2 of all modes alike. */
static struct vmx_guest *event_guest(enum l2_mode mode)
{
	struct vmx_guest *guest = entry_guest(mode);

	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
	vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 1);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	return guest;
}

static void must_inject(struct vmx_guest *guest, u32 information, const char *id, u32 number)
{
	vmcs_write(FIELD, information);
	entry_run(guest);
	vmcs_write(FIELD, 0);
	if (!guest->world.exited || vmcs_read(VMCS_EXIT_REASON) & EXIT_ENTRY_FAILURE)
		check_exit(guest, EXIT_EXCEPTION_OR_NMI, "%s-%u", id, number);
	else
		check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION), information, "%s-%u", id,
			    number);
}

static void must_not_inject(struct vmx_guest *guest, u32 information, const char *id, u32 number)
{
	must_refuse(guest, BY_CONTROLS, FIELD, information, "%s-%u", id, number);
}

static void test_types(void)
{
	static const u16 vectors[] = { 0, 31, 32, 255 };
	struct vmx_guest *guest = event_guest(L2_PAE);

	must_enter_with(guest, FIELD, (u32)~INTERRUPTION_VALID, "not-valid");
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		must_inject(guest, event(TYPE_EXTERNAL_INTERRUPT, vectors[i]), "interrupt",
			    vectors[i]);
		must_inject(guest, event(TYPE_SOFTWARE_INTERRUPT, vectors[i]), "software-interrupt",
			    vectors[i]);
		must_not_inject(guest, event(1, vectors[i]), "reserved-type", vectors[i]);
	}
	must_inject(guest, event(TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB), "int1", VECTOR_DB);
	must_inject(guest, event(TYPE_SOFTWARE_EXCEPTION, VECTOR_BP), "software-exception",
		    VECTOR_BP);
	must_inject(guest, event(TYPE_SOFTWARE_EXCEPTION, VECTOR_OF), "software-exception",
		    VECTOR_OF);
	for (unsigned int vector = 0; vector < 256; vector++) {
		if (vector == VECTOR_NMI)
			must_inject(guest, event(TYPE_NMI, vector), "nmi", vector);
		else if (vector < 4 || !(vector & (vector - 1)) || vector == 255)
			must_not_inject(guest, event(TYPE_NMI, vector), "nmi", vector);
	}
}

ENTRY_SUBTEST("types", test_types);

/* The one other event is a pending MTF exit, with vector 0. */
static void test_pending_mtf(void)
{
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_PRIMARY_MONITOR_TRAP_FLAG))
		return;
	guest = event_guest(L2_PAE);
	entry_ends_with(EXIT_MONITOR_TRAP_FLAG);
	must_enter_with(guest, FIELD, event(TYPE_OTHER_EVENT, 0), "vector-0");
}

ENTRY_SUBTEST("pending-mtf", test_pending_mtf);

static void test_other_event(void)
{
	struct vmx_guest *guest = event_guest(L2_PAE);

	if (!vmx_allows(VMX_PRIMARY_MONITOR_TRAP_FLAG))
		must_not_inject(guest, event(TYPE_OTHER_EVENT, 0), "vector", 0);
	if (vmx_capabilities.basic & BASIC_NESTED_EXCEPTION)
		return; /* FRED: vectors 1 and 2 are SYSCALL and SYSENTER */
	for (unsigned int vector = 1; vector < 256; vector <<= 1)
		must_not_inject(guest, event(TYPE_OTHER_EVENT, vector), "vector", vector);
}

ENTRY_SUBTEST("other-event", test_other_event);

/* An error code if and only if the exception has one, unless the CPU leaves that open. */
static void test_exceptions(void)
{
	struct vmx_guest *guest = event_guest(L2_PAE);
	bool is_free = vmx_capabilities.basic & BASIC_ERROR_CODE_FREE;

	for (unsigned int vector = 0; vector < 32; vector++) {
		u32 other = exception(vector) ^ INTERRUPTION_ERROR_CODE;

		if (vector == VECTOR_CP) {
			may_refuse(guest, FIELD, other, "#CP with an error code");
			may_refuse(guest, FIELD, exception(vector), "#CP without an error code");
			continue;
		}
		must_inject(guest, exception(vector), "vector", vector);
		if (is_free)
			must_inject(guest, other, has_error_code(vector) ? "without" : "with",
				    vector);
		else
			must_not_inject(guest, other, has_error_code(vector) ? "without" : "with",
					vector);
	}
	for (unsigned int vector = 32; vector < 256; vector <<= 1) {
		must_not_inject(guest, exception(vector), "vector", vector);
		must_not_inject(guest, exception(vector + 13), "vector", vector + 13);
	}
	must_not_inject(guest, exception(255), "vector", 255);
}

ENTRY_SUBTEST("exceptions", test_exceptions);

/* Without protection there are no error codes. */
static void test_real_mode(void)
{
	struct vmx_guest *guest;

	if (!vmx_mode_ready(L2_REAL))
		return;
	guest = event_guest(L2_REAL);
	for (unsigned int vector = 0; vector < 32; vector++) {
		must_not_inject(guest,
				event(TYPE_HARDWARE_EXCEPTION, vector) | INTERRUPTION_ERROR_CODE,
				"with", vector);
		if (vector != VECTOR_CP)
			must_inject(guest, event(TYPE_HARDWARE_EXCEPTION, vector), "vector",
				    vector);
	}
}

ENTRY_SUBTEST("real-mode", test_real_mode);

/* What is no hardware exception has none either. */
static void test_error_code_types(void)
{
	static const struct {
		const char *id;
		u8 type, vector;
	} rows[] = {
		{ "interrupt", TYPE_EXTERNAL_INTERRUPT, 32 },
		{ "interrupt", TYPE_EXTERNAL_INTERRUPT, VECTOR_GP },
		{ "nmi", TYPE_NMI, VECTOR_NMI },
		{ "software-interrupt", TYPE_SOFTWARE_INTERRUPT, VECTOR_GP },
		{ "int1", TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB },
		{ "software-exception", TYPE_SOFTWARE_EXCEPTION, VECTOR_BP },
		{ "other-event", TYPE_OTHER_EVENT, 0 },
	};
	struct vmx_guest *guest = event_guest(L2_PAE);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		must_not_inject(guest,
				event(rows[i].type, rows[i].vector) | INTERRUPTION_ERROR_CODE,
				rows[i].id, rows[i].vector);
}

ENTRY_SUBTEST("error-code-types", test_error_code_types);

static void test_reserved(void)
{
	struct vmx_guest *guest = event_guest(L2_PAE);
	u32 reserved = 0x7ffff000;

	if (vmx_capabilities.basic & BASIC_NESTED_EXCEPTION)
		reserved &= ~BIT(13);
	for (unsigned int bit = 12; bit < 31; bit++)
		if (reserved & BIT(bit))
			must_not_inject(guest, exception(VECTOR_UD) | BIT(bit), "bit", bit);
}

ENTRY_SUBTEST("reserved", test_reserved);

/* Error codes have 16 bits; bit 15 was reserved as well until SGX. */
static void test_error_code(void)
{
	struct vmx_guest *guest = event_guest(L2_PAE);

	for (unsigned int bit = 16; bit < 32; bit++) {
		vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, BIT(bit));
		must_not_inject(guest, exception(VECTOR_GP), "bit", bit);
	}
	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0x8000);
	may_refuse(guest, FIELD, exception(VECTOR_GP), "an error code with bit 15");
	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0x7fff);
	must_inject(guest, exception(VECTOR_GP), "legal", VECTOR_GP);
	vmcs_write(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, ~0u);
	must_inject(guest, exception(VECTOR_UD), "none", VECTOR_UD);
}

ENTRY_SUBTEST("error-code", test_error_code);

/* Of software's events the instruction has 1 to 15 bytes, or none where the CPU says so. */
static void test_length(void)
{
	static const struct {
		const char *id;
		u8 type, vector;
	} rows[] = {
		{ "software-interrupt", TYPE_SOFTWARE_INTERRUPT, 32 },
		{ "int1", TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB },
		{ "software-exception", TYPE_SOFTWARE_EXCEPTION, VECTOR_BP },
	};
	static const u32 bad[] = { 16, 17, 32, 64, 0x80000000, 0xffffffff };
	struct vmx_guest *guest = event_guest(L2_PAE);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 information = event(rows[i].type, rows[i].vector);

		prefix_push("%s", rows[i].id);
		for (u32 length = 0; length < 16; length++) {
			vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, length);
			if (length || vmx_capabilities.misc & MISC_LENGTH_0)
				must_inject(guest, information, "length", length);
			else
				must_not_inject(guest, information, "length", length);
		}
		for (unsigned int j = 0; j < ARRAY_SIZE(bad); j++) {
			vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, bad[j]);
			must_not_inject(guest, information, "length", bad[j]);
		}
		prefix_pop();
	}
	vmcs_write(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, ~0u);
	must_inject(guest, event(TYPE_EXTERNAL_INTERRUPT, 32), "interrupt", 32);
	must_inject(guest, exception(VECTOR_UD), "exception", VECTOR_UD);
	must_inject(guest, event(TYPE_NMI, VECTOR_NMI), "nmi", VECTOR_NMI);
}

ENTRY_SUBTEST("length", test_length);
