// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which comes first, the exit or the instruction's exception: SDM volume 3C, "Relative Priority of
 * Faults and VM Exits". Invalid opcodes, privilege and what is checked of a memory operand
 * whose contents decide come before an exit; everything else comes after it. What ring 3 may
 * not do is tested with each instruction; here is what the operands cause, and modes.
 *
 * L1 emulates what exits and relies on what the CPU has checked: an exit too early makes it
 * do for L2 what L2 could not have done; one too late shows L2 a fault that L1 wanted to hide.
 */
#include "control_registers.h"
#include "msr.h"
#include "paging.h"

#define GP0	 FAULT_VALUE_EC(VECTOR_GP, 0)
#define UD	 FAULT_VALUE(VECTOR_UD)
#define PF(bits) FAULT_VALUE_EC(VECTOR_PF, bits)

static void absent_operand(struct vmx_guest *guest)
{
	guest->world.registers.ax = (ulong)absent_page(guest);
}

/* The exit, and without the control the page fault. */
#define BEFORE_MEMORY(name, text, what, why, error, ...)                                           \
	EXIT("before-memory." name, "", text, .control = what, .reason = EXIT_##why,               \
	     .setup = absent_operand, .off = PF(error), .flags = NOT_RING3, __VA_ARGS__)
#define TABLE(name, text, why, error)                                                              \
	BEFORE_MEMORY(name, text, VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING, ACCESS_TO_##why, error)

TABLE("lgdt", "lgdt (" R(ax) ")", GDTR_OR_IDTR, 0);
TABLE("lidt", "lidt (" R(ax) ")", GDTR_OR_IDTR, 0);
TABLE("sgdt", "sgdt (" R(ax) ")", GDTR_OR_IDTR, PF_WRITE);
TABLE("sidt", "sidt (" R(ax) ")", GDTR_OR_IDTR, PF_WRITE);
TABLE("lldt", "lldt (" R(ax) ")", LDTR_OR_TR, 0);
TABLE("ltr", "ltr (" R(ax) ")", LDTR_OR_TR, 0);
TABLE("sldt", "sldt (" R(ax) ")", LDTR_OR_TR, PF_WRITE);
TABLE("str", "str (" R(ax) ")", LDTR_OR_TR, PF_WRITE);
BEFORE_MEMORY("monitor", "monitor", VMX_PRIMARY_MONITOR_EXITING, MONITOR, 0,
	      .feature = FEATURE_MWAIT);

#define ALWAYS_BEFORE_MEMORY(name, text, what)                                                     \
	EXIT("before-memory." name, "", text, .reason = what, .setup = absent_operand,             \
	     .flags = NOT_RING3)
ALWAYS_BEFORE_MEMORY("vmxon", "vmxon (" R(ax) ")", EXIT_VMXON);
ALWAYS_BEFORE_MEMORY("vmclear", "vmclear (" R(ax) ")", EXIT_VMCLEAR);
ALWAYS_BEFORE_MEMORY("vmptrld", "vmptrld (" R(ax) ")", EXIT_VMPTRLD);
ALWAYS_BEFORE_MEMORY("vmptrst", "vmptrst (" R(ax) ")", EXIT_VMPTRST);
ALWAYS_BEFORE_MEMORY("vmread", "vmread " R(cx) ", (" R(ax) ")", EXIT_VMREAD);
ALWAYS_BEFORE_MEMORY("vmwrite", "vmwrite (" R(ax) "), " R(cx), EXIT_VMWRITE);

/* An exit that depends on the operand's contents comes after the fault of reading it. */
static void lmsw_absent(struct vmx_guest *guest)
{
	absent_operand(guest);
	vmcs_write(VMCS_CR0_GUEST_HOST_MASK, ~0ull);
	vmcs_write(VMCS_CR0_READ_SHADOW, 0);
}

EXIT("after-memory.lmsw", "", "lmsw (" R(ax) ")", .on = PF(0), .setup = lmsw_absent,
     .flags = NOT_RING3);

/* INVPCID's descriptor and type are L1's to look at. */
EXIT("before-memory.invpcid", "", "invpcid (" R(ax) "), " R(cx),
     .control = VMX_PRIMARY_INVLPG_EXITING, .also = CONTROLS(VMX_SECONDARY_INVPCID),
     .reason = EXIT_INVPCID, .setup = absent_operand, .cx = 1, .off = PF(0), .flags = NOT_RING3,
     .feature = FEATURE_INVPCID);
EXIT("before-gp.invpcid-type", "", "invpcid (" R(ax) "), " R(cx),
     .control = VMX_PRIMARY_INVLPG_EXITING, .also = CONTROLS(VMX_SECONDARY_INVPCID),
     .reason = EXIT_INVPCID, .cx = 17, .off = GP0, .flags = NOT_RING3, .feature = FEATURE_INVPCID);

/* The exit, and without the control the exception of the operand's value. */
#define BEFORE(name, text, what, why, ...)                                                         \
	EXIT("before-" name, "", text, .control = what, .reason = EXIT_##why, .flags = NOT_RING3,  \
	     __VA_ARGS__)
BEFORE("gp.rdpmc-counter", "rdpmc", VMX_PRIMARY_RDPMC_EXITING, RDPMC, .cx = 0x12345678, .off = GP0);
BEFORE("gp.monitor-extension", "monitor", VMX_PRIMARY_MONITOR_EXITING, MONITOR, .cx = 1, .off = GP0,
       .feature = FEATURE_MWAIT);
BEFORE("gp.mwait-extension", "mwait", VMX_PRIMARY_MWAIT_EXITING, MWAIT, .cx = 0x80, .off = GP0,
       .feature = FEATURE_MWAIT);

static void use_xsave(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_OSXSAVE);
}

EXIT("before-gp.xsetbv-value", "", "xsetbv", .reason = EXIT_XSETBV, .ax = 0, .setup = use_xsave,
     .feature = FEATURE_XSAVE, .flags = NOT_RING3);
EXIT("before-gp.xsetbv-register", "", "xsetbv", .reason = EXIT_XSETBV, .ax = 1, .cx = 0x1000,
     .setup = use_xsave, .feature = FEATURE_XSAVE, .flags = NOT_RING3);
#ifdef __x86_64__
BEFORE("gp.cr3-reserved", "mov %rcx, %cr3", VMX_PRIMARY_CR3_LOAD_EXITING, CR_ACCESS,
       .cx = 1ull << 62, .off = GP0, .qualification = ACCESS(3, MOV_TO) | GPR(1));
BEFORE("gp.cr8", "mov %rcx, %cr8", VMX_PRIMARY_CR8_LOAD_EXITING, CR_ACCESS, .cx = 16, .off = GP0,
       .qualification = ACCESS(8, MOV_TO) | GPR(1));
BEFORE("gp.dr6-high", "mov %rcx, %dr6", VMX_PRIMARY_MOV_DR_EXITING, MOV_DR, .cx = 1ull << 32,
       .off = GP0, .qualification = DR(6) | GPR(1));
BEFORE("gp.dr7-high", "mov %rcx, %dr7", VMX_PRIMARY_MOV_DR_EXITING, MOV_DR, .cx = 1ull << 32,
       .off = GP0, .qualification = DR(7) | GPR(1));
#endif

/* MOV DR's exit comes before the #UD of DR4 and DR5 as well, and before DR7.GD's #DB. */
static void use_de(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_DE);
}

static void general_detect(struct vmx_guest *guest)
{
	if (vmx_allows(VMX_ENTRY_LOAD_DEBUG_CONTROLS))
		vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	vmcs_write(VMCS_GUEST_DR7, 0x400 | DR7_GD);
}

BEFORE("ud.dr4", "mov %dr4, " R(bx), VMX_PRIMARY_MOV_DR_EXITING, MOV_DR, .setup = use_de, .off = UD,
       .qualification = DR(4) | MOV_FROM_DR | GPR(3));
BEFORE("ud.dr5", "mov %dr5, " R(bx), VMX_PRIMARY_MOV_DR_EXITING, MOV_DR, .setup = use_de, .off = UD,
       .qualification = DR(5) | MOV_FROM_DR | GPR(3));
BEFORE("db.general-detect", "mov %dr0, " R(bx), VMX_PRIMARY_MOV_DR_EXITING, MOV_DR,
       .setup = general_detect, .off = FAULT_VALUE(VECTOR_DB),
       .qualification = DR(0) | MOV_FROM_DR | GPR(3));

/* By CR0's and CR4's masks; without them the value is a #GP. */
static void mask_all(struct vmx_guest *guest)
{
	vmcs_write(VMCS_CR0_GUEST_HOST_MASK, ~0ull);
	vmcs_write(VMCS_CR0_READ_SHADOW, 0);
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, ~0ull);
	vmcs_write(VMCS_CR4_READ_SHADOW, 0);
}

static void pg_without_pe(struct vmx_guest *guest)
{
	guest->world.registers.cx = (vmcs_read(VMCS_GUEST_CR0) | CR0_PG) & ~CR0_PE;
}

static void nw_without_cd(struct vmx_guest *guest)
{
	guest->world.registers.cx = (vmcs_read(VMCS_GUEST_CR0) | CR0_NW) & ~CR0_CD;
}

static void reserved_cr4(struct vmx_guest *guest)
{
	guest->world.registers.cx = vmcs_read(VMCS_GUEST_CR4) | 1u << 31;
}

/* A bit that VMX operation wants set. "Restrictions on VMX Operation" */
static void without_vmxe(struct vmx_guest *guest)
{
	guest->world.registers.cx = vmcs_read(VMCS_GUEST_CR4) & ~CR4_VMXE;
}

#define CR_VALUE(name, number, value)                                                              \
	static void name##_masked(struct vmx_guest *guest)                                         \
	{                                                                                          \
		value(guest);                                                                      \
		mask_all(guest);                                                                   \
	}                                                                                          \
	EXIT("before-gp." #name, "", "mov " R(cx) ", %cr" #number, .reason = EXIT_CR_ACCESS,       \
	     .setup = name##_masked, .ring3 = GP0,                                                 \
	     .qualification = ACCESS(number, MOV_TO) | GPR(1))
#define CR_FAULT(name, number, value)                                                              \
	EXIT("unmasked-gp." name, "", "mov " R(cx) ", %cr" #number, .on = GP0, .setup = value,     \
	     .flags = NOT_RING3)
CR_VALUE(cr0_pg_without_pe, 0, pg_without_pe);
CR_VALUE(cr0_nw_without_cd, 0, nw_without_cd);
CR_VALUE(cr4_reserved, 4, reserved_cr4);
CR_VALUE(cr4_vmxe, 4, without_vmxe);
CR_FAULT("cr0_pg_without_pe", 0, pg_without_pe);
CR_FAULT("cr0_nw_without_cd", 0, nw_without_cd);
CR_FAULT("cr4_reserved", 4, reserved_cr4);
CR_FAULT("cr4_vmxe", 4, without_vmxe);
EXIT("ring3.clts", "", "clts", .on = GP0, .setup = mask_all, .flags = RING3);
EXIT("ring3.lmsw", "", "lmsw %ax", .on = GP0, .setup = mask_all, .flags = RING3);

/* #UD first: a prefix or a register that the instruction does not have. */
#define UD_FIRST(name, text, ...)                                                                  \
	EXIT("ud." name, "", text, .on = UD, .flags = NOT_RING3, __VA_ARGS__)
UD_FIRST("lock-cpuid", ".byte 0xf0, 0x0f, 0xa2", .ax = 0);
UD_FIRST("lock-invd", ".byte 0xf0, 0x0f, 0x08", .ax = 0);
UD_FIRST("lock-hlt", ".byte 0xf0, 0xf4", .control = VMX_PRIMARY_HLT_EXITING);
UD_FIRST("lock-invlpg", ".byte 0xf0, 0x0f, 0x01, 0x38", .control = VMX_PRIMARY_INVLPG_EXITING);
UD_FIRST("lock-rdtsc", ".byte 0xf0, 0x0f, 0x31", .control = VMX_PRIMARY_RDTSC_EXITING);
UD_FIRST("lock-wbinvd", ".byte 0xf0, 0x0f, 0x09", .control = VMX_SECONDARY_WBINVD_EXITING);
UD_FIRST("lock-lgdt", ".byte 0xf0, 0x0f, 0x01, 0x10",
	 .control = VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING);
UD_FIRST("cr1", ".byte 0x0f, 0x22, 0xc9", .setup = mask_all);
UD_FIRST("cr5", ".byte 0x0f, 0x22, 0xe9", .setup = mask_all);

static void no_xsave(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) & ~CR4_OSXSAVE);
}

UD_FIRST("xsetbv", "xsetbv", .setup = no_xsave, .ax = 1, .feature = FEATURE_XSAVE);

/* TSD, PCE and UMIP in ring 3. */
static void no_rdtsc(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_TSD);
}

EXIT("ring3.rdtsc-tsd", "", "rdtsc", .control = VMX_PRIMARY_RDTSC_EXITING, .setup = no_rdtsc,
     .on = GP0, .flags = RING3);
EXIT("ring3.rdtscp-tsd", "", "rdtscp", .control = VMX_PRIMARY_RDTSC_EXITING,
     .also = CONTROLS(VMX_SECONDARY_RDTSCP), .setup = no_rdtsc, .on = GP0, .flags = RING3);

static void allow_rdpmc(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_PCE);
}

EXIT("ring3.rdpmc-pce", "", "rdpmc", .control = VMX_PRIMARY_RDPMC_EXITING, .setup = allow_rdpmc,
     .reason = EXIT_RDPMC, .flags = RING3 | NO_OFF);

static void use_umip(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_UMIP);
	guest->world.registers.ax = (ulong)operand();
}

#define UMIP(name, text)                                                                           \
	EXIT("ring3.umip-" name, "", text, .control = VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING,      \
	     .setup = use_umip, .on = GP0, .feature = FEATURE_UMIP, .flags = RING3)
UMIP("sgdt", "sgdt (" R(ax) ")");
UMIP("sidt", "sidt (" R(ax) ")");
UMIP("sldt", "sldt %ax");
UMIP("str", "str %ax");

/* Privileged instructions in virtual-8086 mode, and what neither it nor real mode has. */
#define SIXTEEN(name, m, text, what, ...)                                                          \
	EXIT(name, "", ".code16\n " text, .mode = (m), .control = what, __VA_ARGS__)
SIXTEEN("v8086.hlt", L2_V8086, "hlt", VMX_PRIMARY_HLT_EXITING, .on = GP0);
SIXTEEN("v8086.invlpg", L2_V8086, "invlpg (%bx)", VMX_PRIMARY_INVLPG_EXITING, .on = GP0);
SIXTEEN("v8086.wbinvd", L2_V8086, "wbinvd", VMX_SECONDARY_WBINVD_EXITING, .on = GP0);
SIXTEEN("v8086.cr3", L2_V8086, "mov %ecx, %cr3", VMX_PRIMARY_CR3_LOAD_EXITING, .on = GP0);
SIXTEEN("v8086.lgdt", L2_V8086, "lgdt (%bx)", VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING, .on = GP0);
SIXTEEN("v8086.sldt", L2_V8086, "sldt %ax", VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING, .on = UD);
SIXTEEN("v8086.monitor", L2_V8086, "monitor", VMX_PRIMARY_MONITOR_EXITING, .on = UD);
SIXTEEN("v8086.rdtsc-tsd", L2_V8086, "rdtsc", VMX_PRIMARY_RDTSC_EXITING, .on = GP0,
	.setup = no_rdtsc);
SIXTEEN("v8086.rdtsc", L2_V8086, "rdtsc", VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_RDTSC,
	.flags = NO_OFF);
SIXTEEN("v8086.dr", L2_V8086, "mov %dr0, %ebx", VMX_PRIMARY_MOV_DR_EXITING, .reason = EXIT_MOV_DR,
	.qualification = DR(0) | MOV_FROM_DR | GPR(3), .flags = NO_OFF);
SIXTEEN("real.sldt", L2_REAL, "sldt %ax", VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING, .on = UD);
SIXTEEN("real.lgdt", L2_REAL, "lgdt (%bx)", VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING,
	.reason = EXIT_ACCESS_TO_GDTR_OR_IDTR, .flags = NO_OFF);
SIXTEEN("real.hlt", L2_REAL, "hlt", VMX_PRIMARY_HLT_EXITING, .reason = EXIT_HLT, .flags = NO_OFF);
SIXTEEN("real.rdtsc", L2_REAL, "rdtsc", VMX_PRIMARY_RDTSC_EXITING, .reason = EXIT_RDTSC);

/* A breakpoint on the instruction is before it; a single step of it is not, as it has not ended. */
static void breakpoint(struct vmx_guest *guest)
{
	write_dr0(vmcs_read(VMCS_GUEST_RIP));
	if (vmx_allows(VMX_ENTRY_LOAD_DEBUG_CONTROLS))
		vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
	vmcs_write(VMCS_GUEST_DR7, 0x403);
}

static void single_step(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_TF);
}

EXIT("debug.breakpoint-first", "", "cpuid", .on = FAULT_VALUE(VECTOR_DB), .setup = breakpoint,
     .flags = NOT_RING3);
EXIT("debug.exit-before-single-step", "", "cpuid", .reason = EXIT_CPUID, .setup = single_step);
