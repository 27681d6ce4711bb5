// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which comes first, the intercept or the instruction's exception: APM volume 2, 15.7 and the
 * third column of table 15-7. What ring 3 may not do is tested with each instruction; here is what
 * the operands cause, the registers' contents, and modes.
 *
 * L1 emulates what it intercepts and relies on what the CPU has checked: an exit too early
 * makes it do for L2 what L2 could not have done.
 */
#include "intercepts.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"

#define FIRST(name, text, bit, what, ...)                                                          \
	INTERCEPT(name, "", text, .intercept = (bit), .exit = (what), __VA_ARGS__)
#define EXCEPTION_FIRST(name, text, bit, vector, ...)                                              \
	FIRST(name, text, bit, VMEXIT_EXCP + (vector), .flags = NOT_OFF | NOT_RING3, __VA_ARGS__)

/* The operand lies in a page that L2 does not have. */
static void absent_operand(struct svm_guest *guest)
{
	static u8 *page;

	if (!page)
		page = page_alloc();
	tables_set(&guest->tables, (ulong)page, 1, 0);
	guest->vmcb->save.rax = (ulong)page;
}

/* 15.7, 15.9: before exceptions of memory accesses. */
#define BEFORE_MEMORY(name, text, bit)                                                             \
	INTERCEPT("before-memory." name, "", text, .intercept = (bit), .setup = absent_operand,    \
		  .off = EXCP(PF), .flags = ALONE | NOT_RING3)

BEFORE_MEMORY("lgdt", "lgdt (" R(ax) ")", VMEXIT_GDTR_WRITE);
BEFORE_MEMORY("lidt", "lidt (" R(ax) ")", VMEXIT_IDTR_WRITE);
BEFORE_MEMORY("sgdt", "sgdt (" R(ax) ")", VMEXIT_GDTR_READ);
BEFORE_MEMORY("sidt", "sidt (" R(ax) ")", VMEXIT_IDTR_READ);
BEFORE_MEMORY("lldt", "lldt (" R(ax) ")", VMEXIT_LDTR_WRITE);
BEFORE_MEMORY("sldt", "sldt (" R(ax) ")", VMEXIT_LDTR_READ);
BEFORE_MEMORY("ltr", "ltr (" R(ax) ")", VMEXIT_TR_WRITE);
BEFORE_MEMORY("str", "str (" R(ax) ")", VMEXIT_TR_READ);
BEFORE_MEMORY("smsw", "smsw (" R(ax) ")", VMEXIT_CR0_READ);
BEFORE_MEMORY("lmsw", "lmsw (" R(ax) ")", VMEXIT_CR0_WRITE);
BEFORE_MEMORY("lmsw-selective", "lmsw (" R(ax) ")", VMEXIT_CR0_SEL_WRITE);

/* The stack is not there: PUSHF, POPF, IRET and INTn are intercepted before they use it. */
static void absent_stack(struct svm_guest *guest)
{
	absent_operand(guest);
	guest->vmcb->save.rsp = guest->vmcb->save.rax + 64;
}

#define BEFORE_STACK(name, text, bit)                                                              \
	INTERCEPT("before-stack." name, "", text, .intercept = (bit), .setup = absent_stack,       \
		  .off = EXCP(PF), .flags = ALONE | NOT_RING3)

BEFORE_STACK("pushf", "pushf", VMEXIT_PUSHF);
BEFORE_STACK("popf", "popf", VMEXIT_POPF);
#ifdef __x86_64__
BEFORE_STACK("iret", "iretq", VMEXIT_IRET);
#else
BEFORE_STACK("iret", "iret", VMEXIT_IRET);
#endif

/* 15.9: INTn before all exceptions: there is no IDT for it. */
static void no_idt(struct svm_guest *guest)
{
	guest->vmcb->save.idtr.limit = 0;
}

INTERCEPT("before-idt.int-n", "", "int $0x60", .intercept = VMEXIT_SWINT, .setup = no_idt,
	  .off = EXCP(GP), .flags = ALONE | NOT_RING3);
INTERCEPT("before-idt.icebp", "", ".byte 0xf1", .intercept = VMEXIT_ICEBP, .setup = no_idt,
	  .off = EXCP(GP), .flags = ALONE | NOT_RING3);

/* 15.9: XSETBV's #GP of a bad value or register comes after the intercept. */
static void use_xsave(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_OSXSAVE;
}

INTERCEPT("before-gp.xsetbv-value", "", "xsetbv", .intercept = VMEXIT_XSETBV, .ax = 0,
	  .setup = use_xsave, .feature = FEATURE_XSAVE, .off = EXCP(GP),
	  .flags = ALONE | NOT_RING3);
INTERCEPT("before-gp.xsetbv-register", "", "xsetbv", .intercept = VMEXIT_XSETBV, .ax = 1,
	  .cx = 0x1000, .setup = use_xsave, .feature = FEATURE_XSAVE, .off = EXCP(GP),
	  .flags = ALONE | NOT_RING3);
INTERCEPT("before-gp.invpcid-type", "", "invpcid (" R(ax) "), " R(cx), .intercept = VMEXIT_INVPCID,
	  .cx = 17, .setup = absent_operand, .feature = FEATURE_INVPCID, .off = EXCP(GP),
	  .flags = ALONE | NOT_RING3);

/* #UD first: a prefix or a mode that the instruction does not have. */
EXCEPTION_FIRST("ud.lock-cpuid", ".byte 0xf0, 0x0f, 0xa2", VMEXIT_CPUID, VECTOR_UD);
EXCEPTION_FIRST("ud.lock-invlpg", ".byte 0xf0, 0x0f, 0x01, 0x38", VMEXIT_INVLPG, VECTOR_UD);
EXCEPTION_FIRST("ud.invd-lock", ".byte 0xf0, 0x0f, 0x08", VMEXIT_INVD, VECTOR_UD);

static void no_xsave(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 &= ~CR4_OSXSAVE;
}

EXCEPTION_FIRST("ud.xsetbv", "xsetbv", VMEXIT_XSETBV, VECTOR_UD, .ax = 1, .setup = no_xsave,
		.feature = FEATURE_XSAVE);

/* 15.9: illegal combinations of CR0, then the intercepts. */
static void pg_without_pe(struct svm_guest *guest)
{
	guest->vmcb->save.rax = (guest->vmcb->save.cr0 | CR0_PG) & ~CR0_PE;
}

static void nw_without_cd(struct svm_guest *guest)
{
	guest->vmcb->save.rax = (guest->vmcb->save.cr0 | CR0_NW) & ~CR0_CD;
}

EXCEPTION_FIRST("gp.cr0-pg-without-pe", "mov " R(ax) ", %cr0", VMEXIT_CR0_WRITE, VECTOR_GP,
		.setup = pg_without_pe);
EXCEPTION_FIRST("gp.cr0-nw-without-cd", "mov " R(ax) ", %cr0", VMEXIT_CR0_WRITE, VECTOR_GP,
		.setup = nw_without_cd);
EXCEPTION_FIRST("gp.cr0-selective", "mov " R(ax) ", %cr0", VMEXIT_CR0_SEL_WRITE, VECTOR_GP,
		.setup = nw_without_cd);

static void reserved_cr4(struct svm_guest *guest)
{
	guest->vmcb->save.rax = guest->vmcb->save.cr4 | 1u << 31;
}

EXCEPTION_FIRST("gp.cr4-reserved", "mov " R(ax) ", %cr4", VMEXIT_CR4_WRITE, VECTOR_GP,
		.setup = reserved_cr4);

static void general_detect(struct svm_guest *guest)
{
	guest->vmcb->save.dr7 |= DR7_GD;
}

/* All exceptions before the intercepts of debug registers, that of DR7.GD as well. */
EXCEPTION_FIRST("db.dr0-read", "mov %dr0, " R(cx), VMEXIT_DR0_READ, VECTOR_DB,
		.setup = general_detect);
EXCEPTION_FIRST("db.dr7-write", "mov " R(cx) ", %dr7", VMEXIT_DR7_WRITE, VECTOR_DB, .cx = 0x400,
		.setup = general_detect);

#ifdef __x86_64__
EXCEPTION_FIRST("gp.cr0-high", "mov %rax, %cr0", VMEXIT_CR0_WRITE, VECTOR_GP,
		.ax = 1ull << 32 | CR0_PG | CR0_PE | CR0_ET);
EXCEPTION_FIRST("gp.cr3-reserved", "mov %rax, %cr3", VMEXIT_CR3_WRITE, VECTOR_GP, .ax = 1ull << 52);
EXCEPTION_FIRST("gp.cr8", "mov %rax, %cr8", VMEXIT_CR8_WRITE, VECTOR_GP, .ax = 16);
EXCEPTION_FIRST("gp.dr6-high", "mov %rax, %dr6", VMEXIT_DR0_WRITE + 6, VECTOR_GP, .ax = 1ull << 32);
EXCEPTION_FIRST("gp.dr7-high", "mov %rax, %dr7", VMEXIT_DR7_WRITE, VECTOR_GP,
		.ax = 1ull << 32 | 0x400);
EXCEPTION_FIRST("gp.cr4-pae-off", "mov %rax, %cr4", VMEXIT_CR4_WRITE, VECTOR_GP, .ax = 0);
#endif

/* TSD and PCE in ring 3: all exceptions are before the intercepts. */
static void no_rdtsc(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_TSD;
}

FIRST("gp.rdtsc-tsd", "rdtsc", VMEXIT_RDTSC, EXCP(GP), .setup = no_rdtsc, .flags = RING3 | NOT_OFF);
FIRST("gp.rdtscp-tsd", "rdtscp", VMEXIT_RDTSCP, EXCP(GP), .setup = no_rdtsc,
      .feature = FEATURE_RDTSCP, .flags = RING3 | NOT_OFF);

static void allow_rdpmc(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_PCE;
}

FIRST("pce.rdpmc", "rdpmc", VMEXIT_RDPMC, VMEXIT_RDPMC, .setup = allow_rdpmc,
      .flags = RING3 | NOT_OFF);
EXCEPTION_FIRST("gp.rdpmc-counter", "rdpmc", VMEXIT_RDPMC, VECTOR_GP, .cx = 0x12345678);

/* UMIP in ring 3. */
static void use_umip(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_UMIP;
	guest->vmcb->save.rax = (ulong)operand();
}

FIRST("gp.umip-sgdt", "sgdt (" R(ax) ")", VMEXIT_GDTR_READ, EXCP(GP), .setup = use_umip,
      .feature = FEATURE_UMIP, .flags = RING3 | NOT_OFF);
FIRST("gp.umip-str", "str %ax", VMEXIT_TR_READ, EXCP(GP), .setup = use_umip,
      .feature = FEATURE_UMIP, .flags = RING3 | NOT_OFF);
FIRST("gp.umip-smsw", "smsw %ax", VMEXIT_CR0_READ, EXCP(GP), .setup = use_umip,
      .feature = FEATURE_UMIP, .flags = RING3 | NOT_OFF);

/* 15.9: MONITOR and MWAIT check all exceptions first, MONITOR's address among them. */
EXCEPTION_FIRST("gp.monitor-extension", "monitor", VMEXIT_MONITOR, VECTOR_GP, .cx = 1,
		.feature = FEATURE_MWAIT);
EXCEPTION_FIRST("gp.mwait-extension", "mwait", VMEXIT_MWAIT, VECTOR_GP, .cx = 0x80,
		.feature = FEATURE_MWAIT);
EXCEPTION_FIRST("pf.monitor", "monitor", VMEXIT_MONITOR, VECTOR_PF, .setup = absent_operand,
		.feature = FEATURE_MWAIT);

/* 16-bit modes: PUSHF, POPF, IRET and INTn before virtual-8086 mode's #GP with IOPL below 3. */
#define SIXTEEN(name, m, text, bit, ...)                                                           \
	INTERCEPT(name, "", ".code16\n " text, .intercept = (bit), .mode = (m), __VA_ARGS__)
#define V8086(name, text, bit)                                                                     \
	SIXTEEN("v8086." name, L2_V8086, text, bit, .off = EXCP(GP), .flags = ALONE)

V8086("pushf", "pushf", VMEXIT_PUSHF);
V8086("popf", "popf", VMEXIT_POPF);
V8086("iret", "iret", VMEXIT_IRET);
V8086("int-n", "int $0x60", VMEXIT_SWINT);
SIXTEEN("v8086.cpuid", L2_V8086, "cpuid", VMEXIT_CPUID, .flags = NOT_OFF);
SIXTEEN("v8086.hlt", L2_V8086, "hlt", VMEXIT_HLT, .exit = EXCP(GP), .flags = NOT_OFF);
SIXTEEN("real.pushf", L2_REAL, "pushf", VMEXIT_PUSHF, .flags = 0);
SIXTEEN("real.popf", L2_REAL, "popf", VMEXIT_POPF, .flags = NOT_OFF);
SIXTEEN("real.int-n", L2_REAL, "int $0x60", VMEXIT_SWINT, .flags = NOT_OFF);
SIXTEEN("real.iret", L2_REAL, "iret", VMEXIT_IRET, .flags = NOT_OFF);
SIXTEEN("real.cpuid", L2_REAL, "cpuid", VMEXIT_CPUID, .flags = 0);
SIXTEEN("real.smsw", L2_REAL, "smsw %ax", VMEXIT_CR0_READ, .flags = 0);
SIXTEEN("real.mov-from-cr0", L2_REAL, "mov %cr0, %eax", VMEXIT_CR0_READ, .info1 = MOV_CR,
	.flags = INFO1);
/* #UD in real mode, before the intercept. */
SIXTEEN("real.sldt", L2_REAL, "sldt %ax", VMEXIT_LDTR_READ, .exit = EXCP(UD), .flags = NOT_OFF);
SIXTEEN("real.ltr", L2_REAL, "ltr %ax", VMEXIT_TR_WRITE, .exit = EXCP(UD), .flags = NOT_OFF);
