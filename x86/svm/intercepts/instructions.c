// SPDX-License-Identifier: BSD-2-Clause
/*
 * The intercepts of instructions, one by one: APM volume 2, 15.9, table 15-7, and the
 * information of 15.8. In ring 3 the exception or the exit shows which the table puts first.
 */
#include "intercepts.h"
#include "msr.h"
#include "string.h"
#include "trap.h"

#define FEATURE_MONITORX CPUID_FEATURE(0x80000001, 0, ECX, 29)
#define FEATURE_TLBI_CTL CPUID_FEATURE(0x8000000a, 0, EDX, 24)
#define FEATURE_WBNOINVD CPUID_FEATURE(0x80000008, 0, EBX, 9)

INTERCEPT("rdtsc", "", "rdtsc", .intercept = VMEXIT_RDTSC);
INTERCEPT("rdtscp", "", "rdtscp", .intercept = VMEXIT_RDTSCP, .feature = FEATURE_RDTSCP);
INTERCEPT("rdpmc", "", "rdpmc", .intercept = VMEXIT_RDPMC, .ring3 = EXCP(GP));
INTERCEPT("pushf", "", "pushf", .intercept = VMEXIT_PUSHF);
INTERCEPT("popf", "pushf", "popf", .intercept = VMEXIT_POPF);
INTERCEPT("cpuid", "", "cpuid", .intercept = VMEXIT_CPUID);
INTERCEPT("cpuid-15-bytes", "", ".fill 13, 1, 0x66\n cpuid", .intercept = VMEXIT_CPUID);
/* RSM is #UD outside of SMM; the intercept comes first. */
INTERCEPT("rsm", "", "rsm", .intercept = VMEXIT_RSM, .off = EXCP(UD));
INTERCEPT("pause", "", "pause", .intercept = VMEXIT_PAUSE);
/* What INVD would throw away is the host's. */
INTERCEPT("invd", "", "invd", .intercept = VMEXIT_INVD, .ring3 = EXCP(GP), .flags = NOT_OFF);
INTERCEPT("wbinvd", "", "wbinvd", .intercept = VMEXIT_WBINVD, .ring3 = EXCP(GP));
INTERCEPT("wbnoinvd", "", ".byte 0xf3, 0x0f, 0x09", .intercept = VMEXIT_WBINVD, .ring3 = EXCP(GP),
	  .feature = FEATURE_WBNOINVD);
/* Unintercepted it waits: see halt.off. */
INTERCEPT("hlt", "", "hlt", .intercept = VMEXIT_HLT, .ring3 = EXCP(GP), .flags = NOT_OFF);

#ifdef __x86_64__
#define IRET_FRAME                                                                                 \
	"mov %rsp, %rax\n mov %ss, %ecx\n push %rcx\n push %rax\n pushf\n"                         \
	"mov %cs, %ecx\n push %rcx\n push $9f"
#define IRET "iretq\n9:"
#else
#define IRET_FRAME "pushf\n push %cs\n push $9f"
#define IRET	   "iret\n9:"
#endif
INTERCEPT("iret", IRET_FRAME, IRET, .intercept = VMEXIT_IRET);

#define SOFT_VECTOR 0x60

static bool soft_interrupt(struct trap_frame *frame)
{
	return true;
}

static void take_interrupt(struct svm_guest *guest)
{
	trap_set_handler(SOFT_VECTOR, soft_interrupt);
}

/* 15.8.2 */
INTERCEPT("int-n", "", "int $" STRINGIFY(SOFT_VECTOR), .intercept = VMEXIT_SWINT,
	  .setup = take_interrupt, .info1 = SOFT_VECTOR, .flags = INFO1 | ALONE);
/* 15.9: vectors of exceptions by INTn are software interrupts, whatever exceptions are taken. */
INTERCEPT("int-3", "", ".byte 0xcd, 3", .intercept = VMEXIT_SWINT, .info1 = 3,
	  .flags = INFO1 | NOT_OFF);
INTERCEPT("int-14", "", "int $14", .intercept = VMEXIT_SWINT, .info1 = 14,
	  .flags = INFO1 | NOT_OFF);
INTERCEPT("int-255", "", "int $255", .intercept = VMEXIT_SWINT, .info1 = 255,
	  .flags = INFO1 | NOT_OFF);
/* 15.12.2: the #DB of ICEBP is not one that the exception's intercept takes. */
INTERCEPT("icebp", "", ".byte 0xf1", .intercept = VMEXIT_ICEBP, .flags = ALONE);

/* 15.8.3: the linear address. */
INTERCEPT("invlpg", "", "invlpg 5(" R(ax) ")", .intercept = VMEXIT_INVLPG, .ring3 = EXCP(GP),
	  .ax = 0x7654320, .info1 = 0x7654325, .flags = INFO1);

static void set_gs_base(struct svm_guest *guest)
{
	guest->vmcb->save.gs.base = 0x10000000;
}

INTERCEPT("invlpg-segment", "", "invlpg %gs:(" R(ax) ")", .intercept = VMEXIT_INVLPG,
	  .ring3 = EXCP(GP), .ax = 0x7654320, .setup = set_gs_base, .info1 = 0x17654320,
	  .flags = INFO1);
INTERCEPT("invlpga", "", "invlpga", .intercept = VMEXIT_INVLPGA, .ring3 = EXCP(GP), .ax = 0x7654320,
	  .cx = 1);

/* SVM's own: operands are host state that the guest's page holds. */
static void host_state(struct svm_guest *guest)
{
	svm_vmsave((ulong)operand());
	guest->vmcb->save.rax = (ulong)operand();
}

/* 15.5.1: VMRUN's must be set always. */
INTERCEPT("vmrun", "", "vmrun", .intercept = VMEXIT_VMRUN, .ring3 = EXCP(GP), .setup = host_state,
	  .flags = NOT_OFF);
INTERCEPT("vmload", "", "vmload", .intercept = VMEXIT_VMLOAD, .ring3 = EXCP(GP),
	  .setup = host_state);
INTERCEPT("vmsave", "", "vmsave", .intercept = VMEXIT_VMSAVE, .ring3 = EXCP(GP),
	  .setup = host_state);

/* Nested paging is another way to the operand. */
static void host_state_nested(struct svm_guest *guest)
{
	host_state(guest);
	svm_nested_paging(guest);
}

INTERCEPT("vmload-nested-paging", "", "vmload", .intercept = VMEXIT_VMLOAD, .ring3 = EXCP(GP),
	  .feature = FEATURE_SVM_NP, .setup = host_state_nested);
INTERCEPT("vmsave-nested-paging", "", "vmsave", .intercept = VMEXIT_VMSAVE, .ring3 = EXCP(GP),
	  .feature = FEATURE_SVM_NP, .setup = host_state_nested);
INTERCEPT("vmmcall", "", "vmmcall", .intercept = VMEXIT_VMMCALL, .flags = NOT_OFF);

static void no_vmmcall(struct svm_guest *guest)
{
	intercept_all_others(guest, VMEXIT_VMMCALL);
}

/* 15.9: #UD where it is not intercepted. */
INTERCEPT("vmmcall-off", "", "vmmcall", .intercept = EXCP(UD), .setup = no_vmmcall,
	  .flags = NOT_OFF);
INTERCEPT("stgi", "", "stgi", .intercept = VMEXIT_STGI, .ring3 = EXCP(GP));
INTERCEPT("clgi", "", "clgi", .intercept = VMEXIT_CLGI, .ring3 = EXCP(GP));
INTERCEPT("skinit", "", "skinit", .intercept = VMEXIT_SKINIT, .ring3 = EXCP(GP),
	  .feature = FEATURE_SKINIT, .flags = NOT_OFF);

static void monitored(struct svm_guest *guest)
{
	guest->vmcb->save.rax = (ulong)operand();
}

/* MONITOR and MWAIT are #UD in ring 3, unless HWCR says else. */
INTERCEPT("monitor", "", "monitor", .intercept = VMEXIT_MONITOR, .ring3 = EXCP(UD),
	  .setup = monitored, .feature = FEATURE_MWAIT);
INTERCEPT("monitorx", "", ".byte 0x0f, 0x01, 0xfa", .intercept = VMEXIT_MONITOR, .setup = monitored,
	  .feature = FEATURE_MONITORX);
/* Unintercepted it may wait: see mwait-off. */
INTERCEPT("mwait", "", "mwait", .intercept = VMEXIT_MWAIT, .ring3 = EXCP(UD),
	  .feature = FEATURE_MWAIT, .flags = NOT_OFF);
INTERCEPT("mwaitx", "", ".byte 0x0f, 0x01, 0xfb", .intercept = VMEXIT_MWAIT,
	  .feature = FEATURE_MONITORX, .flags = NOT_OFF);
INTERCEPT("mwait-armed", "monitor\n mov $0, " R(ax), "mwait", .intercept = VMEXIT_MWAIT_CONDITIONAL,
	  .setup = monitored, .feature = FEATURE_MWAIT, .flags = NOT_OFF | NOT_RING3);
/* The conditional intercept is checked first, and takes only an MWAIT that would wait. */
static void both_mwaits(struct svm_guest *guest)
{
	monitored(guest);
	svm_intercept(guest, VMEXIT_MWAIT);
	svm_intercept(guest, VMEXIT_MWAIT_CONDITIONAL);
}

INTERCEPT("mwait-both-armed", "monitor\n mov $0, " R(ax), "mwait",
	  .intercept = VMEXIT_MWAIT_CONDITIONAL, .setup = both_mwaits, .feature = FEATURE_MWAIT,
	  .flags = NOT_OFF | NOT_RING3);
INTERCEPT("mwait-both-unarmed", "mov $0, " R(ax), "mwait", .intercept = VMEXIT_MWAIT,
	  .setup = both_mwaits, .feature = FEATURE_MWAIT, .flags = NOT_OFF | NOT_RING3);

static void use_xsave(struct svm_guest *guest)
{
	guest->vmcb->save.cr4 |= CR4_OSXSAVE;
}

INTERCEPT("xsetbv", "", "xsetbv", .intercept = VMEXIT_XSETBV, .ax = 1, .setup = use_xsave,
	  .feature = FEATURE_XSAVE);
INTERCEPT("rdpru", "", ".byte 0x0f, 0x01, 0xfd", .intercept = VMEXIT_RDPRU,
	  .feature = FEATURE_RDPRU);

#define EFER_MCOMMIT BIT(17)

static void use_mcommit(struct svm_guest *guest)
{
	guest->vmcb->save.efer |= EFER_MCOMMIT;
}

INTERCEPT("mcommit", "", ".byte 0xf3, 0x0f, 0x01, 0xfa", .intercept = VMEXIT_MCOMMIT,
	  .setup = use_mcommit, .feature = FEATURE_MCOMMIT);

/* A descriptor of 16 bytes, all 0, of type 2 (all contexts). */
static void invpcid_operand(struct svm_guest *guest)
{
	memset(operand(), 0, 16);
	guest->vmcb->save.rax = (ulong)operand();
}

INTERCEPT("invpcid", "", "invpcid (" R(ax) "), " R(cx), .intercept = VMEXIT_INVPCID,
	  .ring3 = EXCP(GP), .cx = 2, .setup = invpcid_operand, .feature = FEATURE_INVPCID);

#define NP_INVLPGB_TLBSYNC BIT(7)

static void use_invlpgb(struct svm_guest *guest)
{
	if (cpu_has(FEATURE_TLBI_CTL))
		guest->vmcb->control.np_enable |= NP_INVLPGB_TLBSYNC;
}

INTERCEPT("invlpgb", "", ".byte 0x0f, 0x01, 0xfe", .intercept = VMEXIT_INVLPGB, .ring3 = EXCP(GP),
	  .setup = use_invlpgb, .feature = FEATURE_INVLPGB);
INTERCEPT("tlbsync", "", ".byte 0x0f, 0x01, 0xff", .intercept = VMEXIT_TLBSYNC, .ring3 = EXCP(GP),
	  .setup = use_invlpgb, .feature = FEATURE_INVLPGB);

/* Descriptor tables, with this image's own values. */
static void gdtr_operand(struct svm_guest *guest)
{
	*(struct descriptor_pointer *)operand() = sgdt();
	guest->vmcb->save.rax = (ulong)operand();
}

static void idtr_operand(struct svm_guest *guest)
{
	*(struct descriptor_pointer *)operand() = sidt();
	guest->vmcb->save.rax = (ulong)operand();
}

INTERCEPT("sgdt", "", "sgdt (" R(ax) ")", .intercept = VMEXIT_GDTR_READ, .setup = gdtr_operand);
INTERCEPT("sidt", "", "sidt (" R(ax) ")", .intercept = VMEXIT_IDTR_READ, .setup = idtr_operand);
INTERCEPT("lgdt", "", "lgdt (" R(ax) ")", .intercept = VMEXIT_GDTR_WRITE, .ring3 = EXCP(GP),
	  .setup = gdtr_operand);
INTERCEPT("lidt", "", "lidt (" R(ax) ")", .intercept = VMEXIT_IDTR_WRITE, .ring3 = EXCP(GP),
	  .setup = idtr_operand);
INTERCEPT("sldt", "", "sldt %ax", .intercept = VMEXIT_LDTR_READ);
INTERCEPT("str", "", "str %ax", .intercept = VMEXIT_TR_READ);
INTERCEPT("lldt", "", "lldt %ax", .intercept = VMEXIT_LDTR_WRITE, .ring3 = EXCP(GP));
/* The TSS is busy: a #GP from its descriptor, which comes after the intercept. */
INTERCEPT("ltr", "", "ltr %ax", .intercept = VMEXIT_TR_WRITE, .ring3 = EXCP(GP), .ax = TSS_SELECTOR,
	  .off = EXCP(GP));
