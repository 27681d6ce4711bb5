// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "msr.h"
#include "printf.h"
#include "string.h"
#include "vmx/entry.h"

#define MAX_FIELDS 128
#define ID_SIZE	   80

/* The same bytes are INC of BX or EBX in each code size. */
L2_CODE(entry_count, ".byte 0xff, 0xc3\n vmcall\n ud2");

/* What a guest may leave otherwise, or what must not change; of those that the CPU has. */
static u32 fields[MAX_FIELDS];
static unsigned int field_count;

struct field_values {
	u64 value[MAX_FIELDS];
};

static struct field_values before;

/* Whose they are, and since when. */
static struct {
	const struct vmx_guest *guest;
	unsigned int runs, writes;
} known;

/* What an entry that fails must not have loaded. */
struct host {
	ulong cr0, cr3, cr4, dr7;
};

/* The first row of a subtest whose failed entry left something changed; or the one after it. */
static struct {
	unsigned int rows;
	bool failed;
	char expected[96], got[128];
} unchanged, next_entry;

static u32 end = EXIT_VMCALL;

static bool is_watched(u32 field)
{
	switch (VMCS_TYPE(field)) {
	case VMCS_GUEST:
		return true;
	case VMCS_READ_ONLY:
		return field == VMCS_EXIT_REASON || field == VMCS_EXIT_QUALIFICATION;
	case VMCS_CONTROL:
		return field == VMCS_VM_ENTRY_CONTROLS ||
		       field == VMCS_VM_ENTRY_INTERRUPTION_INFORMATION;
	default:
		return false;
	}
}

static void find_fields(void)
{
	ulong value;

	for (unsigned int i = 0; i < vmcs_field_count && field_count < MAX_FIELDS; i++) {
		u32 field = vmcs_fields[i].encoding;

		if (is_watched(field) && !vmread(field, &value).value)
			fields[field_count++] = field;
	}
}

/*
 * Reads them, unless they are known still: each access to a field may be an exit. They are as long
 * as nobody has written to the VMCS, and no other guest nor this one has run.
 */
static void save(const struct vmx_guest *guest)
{
	if (known.guest == guest && known.runs == guest->invariants.runs &&
	    known.writes == vmcs_writes)
		return;
	for (unsigned int i = 0; i < field_count; i++)
		before.value[i] = vmcs_read(fields[i]);
}

static void now_known(const struct vmx_guest *guest)
{
	known.guest = guest;
	known.runs = guest->invariants.runs;
	known.writes = vmcs_writes;
}

/* What software cannot write is as it is from then on. */
static void restore(const struct vmx_guest *guest)
{
	for (unsigned int i = 0; i < field_count; i++) {
		u64 value = vmcs_read(fields[i]);

		if (VMCS_TYPE(fields[i]) == VMCS_READ_ONLY)
			before.value[i] = value;
		else if (value != before.value[i])
			vmcs_write(fields[i], before.value[i]);
	}
	now_known(guest);
}

struct vmx_guest *entry_guest(enum l2_mode mode)
{
	static struct vmx_guest *guests[L2_MODES];

	end = EXIT_VMCALL;
	if (guests[mode])
		vmx_guest_again(guests[mode], mode, entry_count);
	else
		guests[mode] = vmx_guest(mode, entry_count);
	if (!field_count)
		find_fields();
	return guests[mode];
}

void entry_ends_with(u32 reason)
{
	end = reason;
}

static u32 run(struct vmx_guest *guest)
{
	guest->world.registers.bx = 0;
	return vmx_run(guest);
}

u32 entry_run(struct vmx_guest *guest)
{
	u32 reason;

	save(guest);
	reason = run(guest);
	restore(guest);
	return reason;
}

static void enter(struct vmx_guest *guest, const char *id)
{
	if (entry_run(guest) == EXIT_VMCALL && end == EXIT_VMCALL)
		check_equal(guest->world.registers.bx, 1, "%s", id);
	else
		check_exit(guest, end, "%s", id);
}

void must_enter(struct vmx_guest *guest, const char *id, ...)
{
	char name[ID_SIZE];

	FORMAT_ID(name, id);
	enter(guest, name);
}

void must_enter_with(struct vmx_guest *guest, u32 field, u64 value, const char *id, ...)
{
	u64 old = vmcs_read(field);
	char name[ID_SIZE];

	FORMAT_ID(name, id);
	vmcs_write(field, value);
	enter(guest, name);
	vmcs_write(field, old);
}

static void note_change(const char *id, const char *what, u64 old, u64 now)
{
	if (unchanged.failed)
		return;
	unchanged.failed = true;
	snprintf(unchanged.expected, sizeof(unchanged.expected), "%s %#llx after %s", what, old,
		 id);
	snprintf(unchanged.got, sizeof(unchanged.got), "%#llx", now);
}

static void check_host(const char *id, const struct host *host)
{
	if (read_cr0() != host->cr0)
		note_change(id, "host's CR0", host->cr0, read_cr0());
	if (read_cr3() != host->cr3)
		note_change(id, "host's CR3", host->cr3, read_cr3());
	if (read_cr4() != host->cr4)
		note_change(id, "host's CR4", host->cr4, read_cr4());
	if (read_dr7() != host->dr7)
		note_change(id, "host's DR7", host->dr7, read_dr7());
}

/* An exit writes why and nothing else; without one all is as it was. What is not is put right. */
static void check_unchanged(const struct vmx_guest *guest, const char *id)
{
	unchanged.rows++;
	for (unsigned int i = 0; i < field_count; i++) {
		u64 old = before.value[i], value = vmcs_read(fields[i]);
		bool read_only = VMCS_TYPE(fields[i]) == VMCS_READ_ONLY;

		if (read_only)
			before.value[i] = value;
		if (value == old || (read_only && guest->world.exited))
			continue;
		note_change(id, vmcs_field_name(fields[i]), old, value);
		if (!read_only)
			vmcs_write(fields[i], old);
	}
}

static void check_next_entry(struct vmx_guest *guest, const char *id)
{
	u32 reason = run(guest);

	next_entry.rows++;
	if (next_entry.failed ||
	    (reason == end && (end != EXIT_VMCALL || guest->world.registers.bx == 1)))
		return;
	next_entry.failed = true;
	snprintf(next_entry.expected, sizeof(next_entry.expected), "an entry after %s", id);
	if (guest->world.exited)
		vmx_exit_format(next_entry.got, sizeof(next_entry.got));
	else
		vmx_result_format(next_entry.got, sizeof(next_entry.got), guest->entry);
}

static bool check_error(const struct vmx_guest *guest, unsigned int refusal, const char *id)
{
	u32 wanted = refusal == BY_CONTROLS ? VM_ERROR_ENTRY_INVALID_CONTROLS
					    : VM_ERROR_ENTRY_INVALID_HOST_STATE;
	char want[64], got[96] = "an entry: ";
	bool ok = !guest->world.exited && guest->entry.value == VMX_FAIL_VALID_VALUE(wanted);

	if (refusal == BY_ADDRESS_SPACE && !guest->world.exited)
		ok |= guest->entry.value == VMX_FAIL_VALID_VALUE(VM_ERROR_ENTRY_INVALID_CONTROLS);
	vmx_result_format(want, sizeof(want), VMX_FAIL_VALID(wanted));
	if (guest->world.exited)
		vmx_exit_format(got + strlen(got), sizeof(got) - strlen(got));
	else
		vmx_result_format(got, sizeof(got), guest->entry);
	return report_text(__FILE__, __LINE__, ok, want, got, "%s", id);
}

static bool check_refusal(const struct vmx_guest *guest, unsigned int refusal, const char *id)
{
	static const u8 qualifications[] = {
		[BY_GUEST_STATE] = 0, [BY_PDPTE] = 2, [BY_NMI] = 3, [BY_LINK_POINTER] = 4
	};

	if (refusal <= BY_ADDRESS_SPACE)
		return check_error(guest, refusal, id);
	if (refusal < BY_MSR_LOADING)
		return check_exit_qualification(guest,
						EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE,
						qualifications[refusal], "%s", id);
	return check_exit_qualification(guest, EXIT_MSR_LOADING | EXIT_ENTRY_FAILURE,
					refusal - BY_MSR_LOADING, "%s", id);
}

void must_refuse(struct vmx_guest *guest, unsigned int refusal, u32 field, u64 value,
		 const char *id, ...)
{
	u64 old = vmcs_read(field), written;
	char name[ID_SIZE];
	struct host host;
	bool refused;

	FORMAT_ID(name, id);
	save(guest);
	vmcs_write(field, value);
	written = vmcs_read(field);
	host = (struct host){ read_cr0(), read_cr3(), read_cr4(), read_dr7() };
	run(guest);
	refused = check_refusal(guest, refusal, name);
	if (refused && vmcs_read(field) != written)
		note_change(name, vmcs_field_name(field), written, vmcs_read(field));
	if (refused && !guest->world.exited) /* else the invariants see to it */
		check_host(name, &host);
	vmcs_write(field, old);
	if (refused) {
		check_unchanged(guest, name);
		check_next_entry(guest, name);
	}
	restore(guest);
}

void must_refuse_bits(struct vmx_guest *guest, unsigned int refusal, u32 field, u64 bits,
		      const char *id)
{
	u64 value = vmcs_read(field);

	bits &= vmcs_field_mask(field);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bits & BIT_ULL(bit))
			must_refuse(guest, refusal, field, value ^ BIT_ULL(bit), "%s.bit-%u", id,
				    bit);
}

void must_enter_bits(struct vmx_guest *guest, u32 field, u64 bits, const char *id)
{
	u64 value = vmcs_read(field);

	bits &= vmcs_field_mask(field);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bits & BIT_ULL(bit))
			must_enter_with(guest, field, value ^ BIT_ULL(bit), "%s.bit-%u", id, bit);
}

void may_refuse(struct vmx_guest *guest, u32 field, u64 value, const char *what)
{
	u64 old = vmcs_read(field);
	char text[96];

	save(guest);
	vmcs_write(field, value);
	run(guest);
	if (guest->world.exited)
		vmx_exit_format(text, sizeof(text));
	else
		vmx_result_format(text, sizeof(text), guest->entry);
	diagnostic("%s: %s", what, text);
	vmcs_write(field, old);
	restore(guest);
}

u64 entry_bits_beyond_memory(void)
{
	if (vmx_capabilities.basic & BIT_ULL(48) /* 32 bits alone */)
		return ~0ull << 32;
	return ~0ull << cpu_physical_address_bits();
}

const struct entry_address entry_canonical[3] = {
	{ "low-half", 0x00007fffffffffffull },
	{ "high-half", 0xffff800000000000ull },
	{ "last", ~0ull },
};

const struct entry_address *entry_not_canonical(void)
{
	static struct entry_address addresses[6];
	unsigned int bits = cpu_linear_address_bits();

	addresses[0] = (struct entry_address){ "first", BIT_ULL(bits - 1) };
	addresses[1] = (struct entry_address){ "above-first", BIT_ULL(bits) };
	addresses[2] = (struct entry_address){ "middle", ~0ull >> 1 };
	addresses[3] = (struct entry_address){ "sign-bit", BIT_ULL(63) };
	addresses[4] = (struct entry_address){ "last", ~BIT_ULL(bits - 1) };
	return addresses;
}

void entry_check_failures(void)
{
	if (unchanged.rows)
		report_text(__FILE__, __LINE__, !unchanged.failed, unchanged.expected,
			    unchanged.got, "unchanged");
	if (next_entry.rows)
		report_text(__FILE__, __LINE__, !next_entry.failed, next_entry.expected,
			    next_entry.got, "next-entry");
	unchanged.rows = next_entry.rows = 0;
	unchanged.failed = next_entry.failed = false;
}
