// SPDX-License-Identifier: BSD-2-Clause
/*
 * The intercepts of control and debug registers: a bit for the reads and one for the writes
 * of each, the selective one of CR0, and EXITINFO1's general-purpose register. APM volume 2,
 * 15.8.1 and 15.9.
 *
 * Writes are of the value that the register has.
 */
#include "intercepts.h"

#ifdef __x86_64__
#define GPR_A  "%r13"
#define A      13
#define GPR_B  "%r9"
#define B      9
#define VALUE  r13
#define VALUE2 r9
#else
#define GPR_A  "%ebx"
#define A      3
#define GPR_B  "%esi"
#define B      6
#define VALUE  bx
#define VALUE2 si
#endif

#define FROM_CR(n, gpr, number)                                                                    \
	INTERCEPT("mov-from-cr" #n, "", "mov %cr" #n ", " gpr, .intercept = VMEXIT_CR0_READ + (n), \
		  .ring3 = EXCP(GP), .info1 = MOV_CR | GPR(number), .flags = INFO1)
#define TO_CR(n, gpr, number)                                                                      \
	INTERCEPT("mov-to-cr" #n, "mov %cr" #n ", " gpr, "mov " gpr ", %cr" #n,                    \
		  .intercept = VMEXIT_CR0_WRITE + (n), .ring3 = EXCP(GP),                          \
		  .info1 = MOV_CR | GPR(number), .flags = INFO1)

FROM_CR(0, GPR_A, A);
FROM_CR(2, R(cx), 1);
FROM_CR(3, R(di), 7);
FROM_CR(4, GPR_B, B);
TO_CR(0, GPR_B, B);
TO_CR(2, R(dx), 2);
TO_CR(3, R(bp), 5);
TO_CR(4, GPR_A, A);
#ifdef __x86_64__
FROM_CR(8, "%r15", 15);
TO_CR(8, "%rsi", 6);
#endif

/* 15.8.1: bit 63 is of MOV alone. */
INTERCEPT("smsw", "", "smsw %ax", .intercept = VMEXIT_CR0_READ, .flags = INFO1);
INTERCEPT("lmsw", "smsw %ax", "lmsw %ax", .intercept = VMEXIT_CR0_WRITE, .ring3 = EXCP(GP),
	  .flags = INFO1 | ALONE);
/* 15.9: CLTS does not check the selective intercept, which is among the others. */
INTERCEPT("clts", "", "clts", .intercept = VMEXIT_CR0_WRITE, .ring3 = EXCP(GP), .flags = INFO1);

/* DR7 with its fixed bit; the breakpoints are off, so any address will do. */
static void zero_gprs(struct svm_guest *guest)
{
	guest->world.registers.VALUE = 0;
	guest->world.registers.VALUE2 = 0x400;
}

#define FROM_DR(n, gpr, number)                                                                    \
	INTERCEPT("mov-from-dr" #n, "", "mov %dr" #n ", " gpr, .intercept = VMEXIT_DR0_READ + (n), \
		  .ring3 = EXCP(GP), .info1 = GPR(number), .flags = INFO1)
#define TO_DR(n, gpr, number)                                                                      \
	INTERCEPT("mov-to-dr" #n, "", "mov " gpr ", %dr" #n, .intercept = VMEXIT_DR0_WRITE + (n),  \
		  .ring3 = EXCP(GP), .setup = zero_gprs, .info1 = GPR(number), .flags = INFO1)

FROM_DR(0, R(ax), 0);
FROM_DR(1, GPR_B, B);
FROM_DR(2, R(dx), 2);
FROM_DR(3, R(di), 7);
FROM_DR(6, R(bp), 5);
FROM_DR(7, GPR_A, A);
TO_DR(0, GPR_A, A);
TO_DR(1, R(ax), 0);
TO_DR(2, GPR_A, A);
TO_DR(3, R(cx), 1);
TO_DR(6, GPR_A, A);
TO_DR(7, GPR_B, B);

/* There is no such register: #UD, whatever is intercepted. All exceptions come first, 15.9. */
#define NO_CR(name, n, first, text)                                                                \
	INTERCEPT("no-cr" #n "." name, "", text, .intercept = (first) + (n), .exit = EXCP(UD),     \
		  .flags = NOT_OFF | NOT_RING3)
#define NO_CR_READ(n)  NO_CR("read", n, VMEXIT_CR0_READ, "mov %cr" #n ", " R(ax))
#define NO_CR_WRITE(n) NO_CR("write", n, VMEXIT_CR0_WRITE, "mov " R(ax) ", %cr" #n)

NO_CR_READ(1);
NO_CR_WRITE(1);
NO_CR_READ(5);
NO_CR_WRITE(5);
NO_CR_READ(6);
NO_CR_WRITE(6);
NO_CR_READ(7);
NO_CR_WRITE(7);
#ifdef __x86_64__
NO_CR_READ(9);
NO_CR_WRITE(9);
NO_CR_READ(15);
NO_CR_WRITE(15);
INTERCEPT("no-dr8", "", ".byte 0x44, 0x0f, 0x21, 0xc0", .intercept = VMEXIT_DR0_READ + 8,
	  .exit = EXCP(UD), .flags = NOT_OFF | NOT_RING3);
#endif

static void use_de(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_DE;
}

/* With CR4.DE they are no aliases. */
INTERCEPT("no-dr4", "", "mov %dr4, " R(ax), .intercept = VMEXIT_DR0_READ + 4, .exit = EXCP(UD),
	  .setup = use_de, .flags = NOT_OFF | NOT_RING3);
INTERCEPT("no-dr5", "", "mov " R(ax) ", %dr5", .intercept = VMEXIT_DR0_WRITE + 5, .exit = EXCP(UD),
	  .setup = use_de, .flags = NOT_OFF | NOT_RING3);

L2_TEXT(l2_read_dr4, "", "mov %dr4, " R(ax));

/* Without, whether DR4's bit counts or that of DR6 is not said. */
static void test_aliases(void)
{
	u64 exits[2];

	for (unsigned int i = 0; i < 2; i++) {
		struct svm_guest *guest = intercept_guest(L2_NATIVE, l2_read_dr4);

		svm_intercept(guest, VMEXIT_DR0_READ + (i ? 6 : 4));
		exits[i] = svm_run(guest);
		check(exits[i] == VMEXIT_VMMCALL || exits[i] == VMEXIT_DR0_READ + 4 ||
			  exits[i] == VMEXIT_DR0_READ + 6,
		      "dr%u", i ? 6 : 4);
	}
	diagnostic("MOV from DR4: exit %#llx with DR4's bit, %#llx with DR6's", exits[0], exits[1]);
}
SVM_SUBTEST("dr4-as-dr6", test_aliases);

L2_TEXT(l2_write_cr0, "", "mov " R(ax) ", %cr0");
L2_TEXT(l2_lmsw, "", "lmsw %ax");
L2_TEXT(l2_clts, "", "clts");

static struct svm_guest *selective(const u8 *code, ulong change)
{
	struct svm_guest *guest = intercept_guest(L2_NATIVE, code);

	svm_intercept(guest, VMEXIT_CR0_SEL_WRITE);
	guest->vmcb->save.rax = guest->vmcb->save.cr0 ^ change;
	return guest;
}

/* 15.9: it triggers if a bit other than TS and MP is being changed. */
static void test_selective(void)
{
	static const struct {
		const char *name;
		ulong change;
		bool exit;
	} rows[] = {
		{ "nothing", 0, false },
		{ "ts", CR0_TS, false },
		{ "mp", CR0_MP, false },
		{ "ts-mp", CR0_TS | CR0_MP, false },
		{ "em", CR0_EM, true },
		{ "ne", CR0_NE, true },
		{ "wp", CR0_WP, true },
		{ "am", CR0_AM, true },
		{ "cd", CR0_CD, true },
		{ "cd-nw", CR0_CD | CR0_NW, true },
		{ "ts-am", CR0_TS | CR0_AM, true },
		{ "mp-wp", CR0_MP | CR0_WP, true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct svm_guest *guest = selective(l2_write_cr0, rows[i].change);
		ulong before = guest->vmcb->save.cr0;

		svm_run(guest);
		check_exit(guest, rows[i].exit ? VMEXIT_CR0_SEL_WRITE : VMEXIT_VMMCALL, "%s.exit",
			   rows[i].name);
		check_equal(guest->vmcb->save.cr0, rows[i].exit ? before : before ^ rows[i].change,
			    "%s.cr0", rows[i].name);
		if (rows[i].exit)
			check_equal(svm_rip(guest), (ulong)l2_write_cr0, "%s.rip", rows[i].name);
	}
}
SVM_SUBTEST("selective-cr0.mov", test_selective);

/* 15.9: LMSW whatever it changes, CLTS never. */
static void test_selective_msw(void)
{
	struct svm_guest *guest = selective(l2_lmsw, 0);

	svm_run(guest);
	check_exit(guest, VMEXIT_CR0_SEL_WRITE, "lmsw.nothing");
	guest = selective(l2_lmsw, CR0_TS);
	svm_run(guest);
	check_exit(guest, VMEXIT_CR0_SEL_WRITE, "lmsw.ts");
	guest = selective(l2_lmsw, CR0_EM);
	svm_run(guest);
	check_exit(guest, VMEXIT_CR0_SEL_WRITE, "lmsw.em");
	guest = selective(l2_clts, 0);
	guest->vmcb->save.cr0 |= CR0_TS;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "clts");
	check_equal(guest->vmcb->save.cr0 & CR0_TS, 0, "clts.cr0");
}
SVM_SUBTEST("selective-cr0.msw", test_selective_msw);

/* 15.9: the other intercept of writes takes priority. */
static void test_both(void)
{
	static const struct {
		const char *name;
		const u8 *code;
	} rows[] = { { "mov", l2_write_cr0 }, { "lmsw", l2_lmsw } };

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct svm_guest *guest = selective(rows[i].code, CR0_AM | CR0_EM);

		svm_intercept(guest, VMEXIT_CR0_WRITE);
		svm_run(guest);
		check_exit(guest, VMEXIT_CR0_WRITE, "%s.both", rows[i].name);
		svm_no_intercept(guest, VMEXIT_CR0_WRITE);
		svm_run(guest);
		check_exit(guest, VMEXIT_CR0_SEL_WRITE, "%s.selective", rows[i].name);
	}
}
SVM_SUBTEST("selective-cr0.both", test_both);
