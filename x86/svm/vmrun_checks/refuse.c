// SPDX-License-Identifier: BSD-2-Clause
#include "printf.h"
#include "refuse.h"
#include "string.h"

static u32 counter;

/* The same bytes are INC DWORD [rBX] in 64-bit and in 32-bit code. */
L2_CODE(count_flat, ".byte 0xff, 0x03\n vmmcall\n ud2");
L2_CODE(count_16bit, ".code16\n incl 0\n vmmcall\n ud2");

struct svm_guest *counting_guest(enum l2_mode mode)
{
	static struct svm_guest *guests[L2_MODES];
	const void *code = mode == L2_REAL || mode == L2_V8086 ? count_16bit : count_flat;

	if (!guests[mode])
		guests[mode] = svm_guest(mode, code);
	svm_guest_again(guests[mode], mode, code);
	guests[mode]->world.registers.bx = (ulong)&counter;
	if (code == count_16bit)
		guests[mode]->vmcb->save.ds.base = (ulong)&counter;
	return guests[mode];
}

/* Does L2 run, from its first instruction on? */
static void run(struct svm_guest *guest, const char *id)
{
	static struct vmcb_save save;

	save = guest->vmcb->save;
	counter = 0;
	svm_run(guest);
	if (check_exit(guest, VMEXIT_VMMCALL, "%s", id))
		check_equal(counter, 1, "%s.counted", id);
	/* The next row begins at the same instruction. */
	guest->vmcb->save = save;
	guest->vmcb->control.eventinj = 0;
}

void must_run(struct svm_guest *guest, const char *id, ...)
{
	char name[64];

	FORMAT_ID(name, id);
	run(guest, name);
}

/*
 * Some machines write the code's lower half alone, which is subtest exitcode's; here the question
 * is whether it was refused.
 */
bool is_refused(struct svm_guest *guest, const char *id, ...)
{
	struct vmcb_control *control = &guest->vmcb->control;
	char name[64];

	FORMAT_ID(name, id);
	if (!fault_raised(svm_fault(guest)) && (u32)control->exitcode == (u32)VMEXIT_INVALID)
		control->exitcode = VMEXIT_INVALID;
	return check_exit(guest, VMEXIT_INVALID, "%s", name);
}

/* The VMCB before a change; the stack is too small for many of them. */
static struct vmcb unchanged;

void must_refuse(struct svm_guest *guest, struct field field, u64 value, const char *id, ...)
{
	char name[64];

	unchanged = *guest->vmcb;
	FORMAT_ID(name, id);
	counter = 0;
	field_set(guest->vmcb, field, value);
	svm_run(guest);
	if (is_refused(guest, "%s", name)) {
		check_equal(counter, 0, "%s.counted", name);
		*guest->vmcb = unchanged;
		prefix_push("%s", name);
		run(guest, "without");
		prefix_pop();
	}
	*guest->vmcb = unchanged;
}

void may_refuse(struct svm_guest *guest, struct field field, u64 value, const char *what)
{
	char exit[64];

	unchanged = *guest->vmcb;
	field_set(guest->vmcb, field, value);
	svm_run(guest);
	svm_exit_format(exit, sizeof(exit), guest->vmcb);
	diagnostic("%s: %s", what, exit);
	*guest->vmcb = unchanged;
}

void must_refuse_bits(struct svm_guest *guest, struct field field, u64 bits, const char *id)
{
	u64 value = field_get(guest->vmcb, field);

	for (unsigned int bit = 0; bit < field.size * 8u; bit++) {
		if (bits & BIT_ULL(bit))
			must_refuse(guest, field, value ^ BIT_ULL(bit), "%s.bit-%u", id, bit);
	}
}
