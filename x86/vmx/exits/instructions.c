// SPDX-License-Identifier: BSD-2-Clause
/*
 * Instructions that exit, one by one: SDM volume 3C, "Instructions That Cause VM Exits
 * Unconditionally", "Instructions That Cause VM Exits Conditionally". In ring 3 the exception or
 * the exit shows which comes first ("Relative Priority of Faults and VM Exits"; volume 2, the
 * instruction's operation).
 */
#include "exits.h"
#include "msr.h"
#include "string.h"

#define FEATURE_SMX	CPUID_FEATURE(0x1, 0, ECX, 6)
#define FEATURE_RDRAND	CPUID_FEATURE(0x1, 0, ECX, 30)
#define FEATURE_SGX	CPUID_FEATURE(0x7, 0, EBX, 2)
#define FEATURE_RDSEED	CPUID_FEATURE(0x7, 0, EBX, 18)
#define FEATURE_WAITPKG CPUID_FEATURE(0x7, 0, ECX, 5)

#define GP0 FAULT_VALUE_EC(VECTOR_GP, 0)
#define UD  FAULT_VALUE(VECTOR_UD)

/* Always. */
EXIT("cpuid", "", "cpuid", .reason = EXIT_CPUID);
EXIT("cpuid-15-bytes", "", ".fill 13, 1, 0x66\n cpuid", .reason = EXIT_CPUID);
EXIT("invd", "", "invd", .reason = EXIT_INVD, .ring3 = GP0);

static void use_xsave(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_OSXSAVE);
}

EXIT("xsetbv", "", "xsetbv", .reason = EXIT_XSETBV, .ring3 = GP0, .ax = 1, .setup = use_xsave,
     .feature = FEATURE_XSAVE);

static void use_smx(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_SMXE);
}

EXIT("getsec", "", "getsec", .reason = EXIT_GETSEC, .setup = use_smx, .feature = FEATURE_SMX);

/*
 * VMX instructions: the operation of each puts the exit before the check of CPL, whatever
 * the memory operand is. Here the operand's fields are not compared: see information.
 */
#define VMX(name, text, what) EXIT(name, "", text, .reason = what)
EXIT("vmcall", "", "vmcall", .reason = EXIT_VMCALL);
VMX("vmlaunch", "vmlaunch", EXIT_VMLAUNCH);
VMX("vmresume", "vmresume", EXIT_VMRESUME);
VMX("vmxoff", "vmxoff", EXIT_VMXOFF);
VMX("vmxon", "vmxon (" R(ax) ")", EXIT_VMXON);
VMX("vmclear", "vmclear (" R(ax) ")", EXIT_VMCLEAR);
VMX("vmptrld", "vmptrld (" R(ax) ")", EXIT_VMPTRLD);
VMX("vmptrst", "vmptrst (" R(ax) ")", EXIT_VMPTRST);
VMX("vmread", "vmread " R(cx) ", " R(ax), EXIT_VMREAD);
VMX("vmread-memory", "vmread " R(cx) ", (" R(ax) ")", EXIT_VMREAD);
VMX("vmwrite", "vmwrite " R(ax) ", " R(cx), EXIT_VMWRITE);
VMX("vmwrite-memory", "vmwrite (" R(ax) "), " R(cx), EXIT_VMWRITE);
EXIT("invept", "", "invept (" R(ax) "), " R(cx), .reason = EXIT_INVEPT,
     .also = CONTROLS(VMX_SECONDARY_EPT), .setup = vmx_ept);
EXIT("invvpid", "", "invvpid (" R(ax) "), " R(cx), .reason = EXIT_INVVPID,
     .also = CONTROLS(VMX_SECONDARY_VPID), .setup = vmx_vpid);

/* Where they do not exist they do not exit either; VMCALL exists in every mode. */
#define NO_VMX(name, m, code, text) EXIT(name, "", code "\n" text, .mode = (m), .on = UD)
NO_VMX("compat.vmlaunch", L2_COMPAT, ".code32", "vmlaunch");
NO_VMX("compat.vmxoff", L2_COMPAT, ".code32", "vmxoff");
NO_VMX("compat.vmptrld", L2_COMPAT, ".code32", "vmptrld (%eax)");
NO_VMX("compat.vmread", L2_COMPAT, ".code32", "vmread %ecx, %eax");
EXIT("compat.vmcall", "", ".code32\n vmcall", .mode = L2_COMPAT, .reason = EXIT_VMCALL);
NO_VMX("v8086.vmlaunch", L2_V8086, ".code16", "vmlaunch");
NO_VMX("v8086.vmxoff", L2_V8086, ".code16", "vmxoff");
NO_VMX("v8086.vmptrld", L2_V8086, ".code16", "vmptrld (%bx)");
NO_VMX("v8086.vmread", L2_V8086, ".code16", "vmread %ecx, %eax");
EXIT("v8086.vmcall", "", ".code16\n vmcall", .mode = L2_V8086, .reason = EXIT_VMCALL);
NO_VMX("real.vmlaunch", L2_REAL, ".code16", "vmlaunch");
NO_VMX("real.vmxoff", L2_REAL, ".code16", "vmxoff");
NO_VMX("real.vmptrld", L2_REAL, ".code16", "vmptrld (%bx)");
NO_VMX("real.vmread", L2_REAL, ".code16", "vmread %ecx, %eax");
EXIT("real.vmcall", "", ".code16\n vmcall", .mode = L2_REAL, .reason = EXIT_VMCALL);
EXIT("real.cpuid", "", ".code16\n cpuid", .mode = L2_REAL, .reason = EXIT_CPUID);
EXIT("v8086.cpuid", "", ".code16\n cpuid", .mode = L2_V8086, .reason = EXIT_CPUID);

/* By a control. */
EXIT("rdtsc", "", "rdtsc", .control = VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_RDTSC);
EXIT("rdtscp", "", "rdtscp", .control = VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_RDTSCP,
     .also = CONTROLS(VMX_SECONDARY_RDTSCP), .feature = FEATURE_RDTSCP);
/* Without the control it depends on which counters there are. */
EXIT("rdpmc", "", "rdpmc", .control = VMX_PRIMARY_RDPMC_EXITING, .reason = EXIT_RDPMC, .ring3 = GP0,
     .flags = NO_OFF);
EXIT("pause", "", "pause", .control = VMX_PRIMARY_PAUSE_EXITING, .reason = EXIT_PAUSE);
EXIT("wbinvd", "", "wbinvd", .control = VMX_SECONDARY_WBINVD_EXITING, .reason = EXIT_WBINVD,
     .ring3 = GP0);
/* Without the control it waits: see hlt-off. */
EXIT("hlt", "", "hlt", .control = VMX_PRIMARY_HLT_EXITING, .reason = EXIT_HLT, .ring3 = GP0,
     .flags = NO_OFF);
/* The qualification is the linear address. */
EXIT("invlpg", "", "invlpg 5(" R(ax) ")", .control = VMX_PRIMARY_INVLPG_EXITING,
     .reason = EXIT_INVLPG, .ring3 = GP0, .ax = 0x7654320, .qualification = 0x7654325);

static void set_gs_base(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_GS_BASE, 0x10000000);
}

EXIT("invlpg-segment", "", "invlpg %gs:(" R(ax) ")", .control = VMX_PRIMARY_INVLPG_EXITING,
     .reason = EXIT_INVLPG, .ring3 = GP0, .ax = 0x7654320, .setup = set_gs_base,
     .qualification = 0x17654320);
#ifdef __x86_64__
EXIT("invlpg-address32", "", "invlpg (%eax)", .control = VMX_PRIMARY_INVLPG_EXITING,
     .reason = EXIT_INVLPG, .ring3 = GP0, .ax = 0x4307654320, .qualification = 0x7654320);
EXIT("invlpg-high", "", "invlpg (%rax)", .control = VMX_PRIMARY_INVLPG_EXITING,
     .reason = EXIT_INVLPG, .ring3 = GP0, .ax = 0xffff876543210000,
     .qualification = 0xffff876543210000);
#endif

/* MONITOR's and MWAIT's #UD in ring 3 comes first. */
static void monitored(struct vmx_guest *guest)
{
	guest->world.registers.ax = (ulong)operand();
}

EXIT("monitor", "", "monitor", .control = VMX_PRIMARY_MONITOR_EXITING, .reason = EXIT_MONITOR,
     .ring3 = UD, .setup = monitored, .feature = FEATURE_MWAIT);
/* The qualification is 1 if the address range is armed; without MONITOR there is no wait. */
EXIT("mwait", "", "mwait", .control = VMX_PRIMARY_MWAIT_EXITING, .reason = EXIT_MWAIT, .ring3 = UD,
     .feature = FEATURE_MWAIT);
EXIT("mwait-armed", "monitor\n mov $0, " R(ax), "mwait", .control = VMX_PRIMARY_MWAIT_EXITING,
     .reason = EXIT_MWAIT, .qualification = 1, .setup = monitored, .feature = FEATURE_MWAIT,
     .flags = NO_OFF | NOT_RING3);

EXIT("rdrand", "", "rdrand %ecx", .control = VMX_SECONDARY_RDRAND_EXITING, .reason = EXIT_RDRAND,
     .feature = FEATURE_RDRAND);
EXIT("rdseed", "", "rdseed %ecx", .control = VMX_SECONDARY_RDSEED_EXITING, .reason = EXIT_RDSEED,
     .feature = FEATURE_RDSEED);

/* One control for eight instructions; L2 gets this image's own values. */
static void gdtr_operand(struct vmx_guest *guest)
{
	*(struct descriptor_pointer *)operand() = sgdt();
	guest->world.registers.ax = (ulong)operand();
}

static void idtr_operand(struct vmx_guest *guest)
{
	*(struct descriptor_pointer *)operand() = sidt();
	guest->world.registers.ax = (ulong)operand();
}

#define TABLE(name, text, what, ...)                                                               \
	EXIT(name, "", text, .control = VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING,                    \
	     .reason = EXIT_ACCESS_TO_##what, __VA_ARGS__)
TABLE("sgdt", "sgdt (" R(ax) ")", GDTR_OR_IDTR, .setup = gdtr_operand);
TABLE("sidt", "sidt (" R(ax) ")", GDTR_OR_IDTR, .setup = idtr_operand);
TABLE("lgdt", "lgdt (" R(ax) ")", GDTR_OR_IDTR, .setup = gdtr_operand, .ring3 = GP0);
TABLE("lidt", "lidt (" R(ax) ")", GDTR_OR_IDTR, .setup = idtr_operand, .ring3 = GP0);
TABLE("sldt", "sldt %ax", LDTR_OR_TR);
TABLE("str", "str %ax", LDTR_OR_TR);
TABLE("lldt", "lldt %ax", LDTR_OR_TR, .ring3 = GP0);
/* The TSS is busy: a #GP from its descriptor, which is read after the exit. */
TABLE("ltr", "ltr %ax", LDTR_OR_TR, .ax = TSS_SELECTOR, .ring3 = GP0,
      .off = FAULT_VALUE_EC(VECTOR_GP, TSS_SELECTOR));

/* INVPCID exits with INVLPG's control, of type 2 (all contexts). */
static void invpcid_operand(struct vmx_guest *guest)
{
	memset(operand(), 0, 16);
	guest->world.registers.ax = (ulong)operand();
}

EXIT("invpcid", "", "invpcid (" R(ax) "), " R(cx), .control = VMX_PRIMARY_INVLPG_EXITING,
     .reason = EXIT_INVPCID, .also = CONTROLS(VMX_SECONDARY_INVPCID), .ring3 = GP0, .cx = 2,
     .setup = invpcid_operand, .feature = FEATURE_INVPCID);

/* UMWAIT and TPAUSE exit with RDTSC's control; a deadline of 0 has passed. */
EXIT("umwait", "", "umwait %ecx", .control = VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_UMWAIT,
     .also = CONTROLS(VMX_SECONDARY_USER_WAIT_AND_PAUSE), .feature = FEATURE_WAITPKG);
EXIT("tpause", "", "tpause %ecx", .control = VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_TPAUSE,
     .also = CONTROLS(VMX_SECONDARY_USER_WAIT_AND_PAUSE), .feature = FEATURE_WAITPKG);

/* ENCLS by a bitmap of leaves. */
static void take_encls(struct vmx_guest *guest)
{
	vmcs_write(VMCS_ENCLS_EXITING_BITMAP, ~0ull);
}

EXIT("encls", "", ".byte 0x0f, 0x01, 0xcf", .control = VMX_SECONDARY_ENCLS_EXITING,
     .reason = EXIT_ENCLS, .setup = take_encls, .ring3 = UD, .feature = FEATURE_SGX,
     .flags = NO_OFF);

/* Instructions that a control enables are #UD without it, whatever else is set. */
EXIT("not-enabled.rdtscp", "", "rdtscp", .control = VMX_PRIMARY_RDTSC_EXITING, .on = UD,
     .ring3 = UD);
EXIT("not-enabled.invpcid", "", "invpcid (" R(ax) "), " R(cx),
     .control = VMX_PRIMARY_INVLPG_EXITING, .on = UD, .ring3 = UD);
EXIT("not-enabled.xsaves", "", "xsaves (" R(ax) ")", .on = UD, .ring3 = UD, .setup = use_xsave,
     .feature = FEATURE_XSAVES);
EXIT("not-enabled.xrstors", "", "xrstors (" R(ax) ")", .on = UD, .ring3 = UD, .setup = use_xsave,
     .feature = FEATURE_XSAVES);
EXIT("not-enabled.vmfunc", "", "vmfunc", .on = UD, .ring3 = UD);
EXIT("not-enabled.tpause", "", "tpause %ecx", .on = UD, .ring3 = UD);
/* RSM exits in SMM alone. */
EXIT("rsm", "", "rsm", .on = UD, .ring3 = UD);
EXIT("getsec-without-smxe", "", "getsec", .on = UD, .ring3 = UD);
