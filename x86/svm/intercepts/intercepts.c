// SPDX-License-Identifier: BSD-2-Clause
/*
 * What L1 takes from L2: APM volume 2, 15.7 to 15.14. Each intercept bit makes one kind of
 * instruction or event an exit, with one code, and leaves the others alone; the exit comes before
 * the instruction has done anything, after some exceptions and before others (table 15-7);
 * and the VMCB says what a hypervisor needs to emulate it.
 *
 * A hypervisor that nests has to know for whom an exit is: it intercepts things for itself
 * that L1 does not want, emulates instructions that L1 does want, and has to check L1's bits in
 * its emulator as the CPU does. Each instruction is a chance to forget that.
 *
 * An instruction is run three times: with its intercept alone; then, from there, without it but
 * with all others, when it must be executed; and with it in ring 3, for the order of
 * privilege check and intercept.
 */
#include "intercepts.h"
#include "page_alloc.h"
#include "string.h"

TEST_SUMMARY("each intercept bit takes what is its own from L2, before it happens, and no more");
TEST_MANUAL("APM volume 2, 15.7 \"Intercept Operation\"");
TEST_MANUAL("APM volume 2, 15.8 \"Decode Assists\"");
TEST_MANUAL("APM volume 2, 15.9 \"Instruction Intercepts\"");
TEST_MANUAL("APM volume 2, 15.12 \"Exception Intercepts\"");
TEST_MANUAL("APM volume 2, 15.13 \"Interrupt Intercepts\"");
TEST_MANUAL("APM volume 2, 15.14 \"Miscellaneous Intercepts\"");
TEST_GUARDS("KVM gave L1 a selective CR0 exit for CLTS, which does not check that intercept (Linux "
	    "3.17: \"KVM: nSVM: Do not report CLTS via SVM_EXIT_WRITE_CR0 to L1\")");
TEST_GUARDS(
    "KVM does not end an unintercepted VMMCALL of L2: it patches the instruction in place of "
    "#UD, and tries again for good (seen with Linux 6.1)");
TEST_NEEDS("SVM");

u8 *operand(void)
{
	static u8 *page;

	if (!page)
		page = page_alloc();
	return page;
}

struct svm_guest *intercept_guest(enum l2_mode mode, const void *code)
{
	static struct svm_guest *guest;
	ulong *registers, pattern = (ulong)0x1122334455667788;

	if (!guest)
		guest = svm_guest(mode, code);
	else
		svm_guest_again(guest, mode, code);
	registers = (ulong *)&guest->world.registers;
	for (unsigned int i = 0; i < sizeof(guest->world.registers) / sizeof(ulong); i++)
		registers[i] = pattern + i;
	return guest;
}

void intercept_all_others(struct svm_guest *guest, u16 intercept)
{
	u32 *bits = guest->vmcb->control.intercepts;

	bits[VMEXIT_CR0_READ / 32] = bits[VMEXIT_DR0_READ / 32] = bits[VMEXIT_INTR / 32] = ~0u;
	/* From EFER_WRITE_TRAP on, bits are traps behind an instruction. */
	bits[VMEXIT_VMRUN / 32] |= (1u << (VMEXIT_EFER_WRITE_TRAP - VMEXIT_VMRUN)) - 1;
	svm_no_intercept(guest, intercept);
}

/* How far the instruction lies behind the code's begin, also where RIP is an offset. */
static u64 rip_of(const struct intercept *row, const u8 *place)
{
	return place - (row->mode == L2_REAL || row->mode == L2_V8086 ? row->code : 0);
}

static struct svm_guest *prepare(const struct intercept *row)
{
	struct svm_guest *guest = intercept_guest(row->mode, row->code);

	guest->vmcb->save.rax = row->ax;
	guest->world.registers.cx = row->cx;
	guest->world.registers.dx = row->dx;
	if (row->setup)
		row->setup(guest);
	svm_intercept(guest, row->intercept);
	return guest;
}

/* 15.7: the exit comes before the instruction commits anything. */
static void check_untouched(const struct svm_guest *guest, const struct svm_registers *before,
			    const struct vmcb_save *save)
{
	const struct vmcb_save *now = &guest->vmcb->save;

	check_equal(memcmp(&guest->world.registers, before, sizeof(*before)), 0, "on.registers");
	check_equal(now->rax, save->rax, "on.rax");
	check_equal(now->rsp, save->rsp, "on.rsp");
	check_equal(now->rflags & ~EFLAGS_RF, save->rflags, "on.rflags");
	check(now->cr0 == save->cr0 && now->cr3 == save->cr3 && now->cr4 == save->cr4, "on.crs");
}

static bool is_exception(u64 exitcode)
{
	return exitcode >= VMEXIT_EXCP && exitcode < VMEXIT_EXCP + 32;
}

/* 15.7.1, 15.8 */
static void check_information(const struct svm_guest *guest, const struct intercept *row)
{
	const struct vmcb_control *control = &guest->vmcb->control;
	bool exception = is_exception(control->exitcode);

	if (!(row->flags & ANY_RIP))
		check_equal(guest->vmcb->save.rip,
			    rip_of(row, row->flags & TRAP ? row->next : row->at), "on.rip");
	check_equal(row->exitintinfo ? control->exitintinfo : control->exitintinfo & EVENT_VALID,
		    row->exitintinfo, "on.exitintinfo");
	if (cpu_has(FEATURE_SVM_NRIPS) && !(row->flags & ANY_RIP)) {
		if (exception && !(row->flags & NEXT_RIP))
			check_equal(control->nrip, 0, "on.no-next-rip");
		else
			check_equal(control->nrip, rip_of(row, row->next), "on.next-rip");
	}
	if (row->flags & INFO1 && (exception || cpu_has(FEATURE_SVM_DECODE_ASSISTS)))
		check_equal(control->exitinfo1, row->info1, "on.exitinfo1");
	if (cpu_has(FEATURE_SVM_DECODE_ASSISTS) && control->exitcode != EXCP(PF))
		check_equal(control->fetched_count, 0, "on.instruction-bytes");
}

static bool run_on(struct svm_guest *guest, const struct intercept *row, u64 exit)
{
	struct svm_registers registers = guest->world.registers;
	struct vmcb_save save = guest->vmcb->save;

	svm_run(guest);
	if (!check_exit(guest, exit, "on"))
		return false;
	check_information(guest, row);
	if (row->at == row->code && !(row->flags & ANY_RIP))
		check_untouched(guest, &registers, &save);
	return true;
}

static void run_off(struct svm_guest *guest, const struct intercept *row)
{
	u64 exit = row->off ? row->off : VMEXIT_VMMCALL;

	/* What has been executed once is so again. */
	if (row->flags & TRAP)
		guest->vmcb->save.rip = rip_of(row, row->at);
	if (row->flags & ALONE)
		svm_no_intercept(guest, row->intercept);
	else
		intercept_all_others(guest, row->intercept);
	svm_run(guest);
	if (check_exit(guest, exit, "off") && exit == VMEXIT_VMMCALL)
		check_equal(guest->vmcb->save.rip, rip_of(row, row->next), "off.end");
	if (row->fault)
		check_fault((struct fault){ (u32)guest->vmcb->save.rax },
			    (struct fault){ row->fault }, "off.fault");
}

void intercept_run(const void *argument)
{
	const struct intercept *row = argument;
	u64 exit = row->exit ? row->exit : row->intercept;
	struct svm_guest *guest;

	if (!svm_ready())
		return;
	if (row->feature && !cpu_has(row->feature)) {
		subtest_skip("the CPU lacks what is intercepted (CPUID)");
		return;
	}
	guest = prepare(row);
	if (row->flags & RING3)
		svm_enter_ring3(guest);
	/* Intercepted only: what is taken before the intercept has no other side. */
	if (run_on(guest, row, exit) && !(row->flags & NOT_OFF))
		run_off(guest, row);
	if (!(row->flags & (NOT_RING3 | RING3)) && row->mode == L2_NATIVE) {
		guest = prepare(row);
		guest->vmcb->save.rip = (ulong)row->at;
		svm_enter_ring3(guest);
		svm_run(guest);
		check_exit(guest, row->ring3 ? row->ring3 : exit, "ring3");
	}
	svm_check_invariants();
}
