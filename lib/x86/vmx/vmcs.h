/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMCS fields, VM-execution controls, exit reasons and VM-instruction errors by the SDM's
 * names: volume 3C, "Virtual Machine Control Structures" and "VM Exits"; volume 3D, appendix A
 * "VMX Capability Reporting Facility", B "Field Encoding in VMCS", C "VMX Basic Exit Reasons".
 */
#ifndef LIB_X86_VMX_VMCS_H
#define LIB_X86_VMX_VMCS_H

#include "types.h"

/* Encoding: bit 0 high half, 9:1 index, 11:10 type, 14:13 width. */
#define VMCS_TYPE(field)  ((field) >> 10 & 3)
#define VMCS_WIDTH(field) ((field) >> 13 & 3)

enum { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST, VMCS_HOST };
enum { VMCS_16BIT, VMCS_64BIT, VMCS_32BIT, VMCS_NATURAL };

/* X(name, encoding) for every field but the later ones. */
#define VMCS_FIELDS(X)                                                                             \
	X(VIRTUAL_PROCESSOR_IDENTIFIER, 0x0000)                                                    \
	X(POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0x0002)                                            \
	X(EPTP_INDEX, 0x0004)                                                                      \
	X(GUEST_ES_SELECTOR, 0x0800)                                                               \
	X(GUEST_CS_SELECTOR, 0x0802)                                                               \
	X(GUEST_SS_SELECTOR, 0x0804)                                                               \
	X(GUEST_DS_SELECTOR, 0x0806)                                                               \
	X(GUEST_FS_SELECTOR, 0x0808)                                                               \
	X(GUEST_GS_SELECTOR, 0x080a)                                                               \
	X(GUEST_LDTR_SELECTOR, 0x080c)                                                             \
	X(GUEST_TR_SELECTOR, 0x080e)                                                               \
	X(GUEST_INTERRUPT_STATUS, 0x0810)                                                          \
	X(PML_INDEX, 0x0812)                                                                       \
	X(HOST_ES_SELECTOR, 0x0c00)                                                                \
	X(HOST_CS_SELECTOR, 0x0c02)                                                                \
	X(HOST_SS_SELECTOR, 0x0c04)                                                                \
	X(HOST_DS_SELECTOR, 0x0c06)                                                                \
	X(HOST_FS_SELECTOR, 0x0c08)                                                                \
	X(HOST_GS_SELECTOR, 0x0c0a)                                                                \
	X(HOST_TR_SELECTOR, 0x0c0c)                                                                \
	X(IO_BITMAP_A, 0x2000)                                                                     \
	X(IO_BITMAP_B, 0x2002)                                                                     \
	X(MSR_BITMAP, 0x2004)                                                                      \
	X(VM_EXIT_MSR_STORE_ADDRESS, 0x2006)                                                       \
	X(VM_EXIT_MSR_LOAD_ADDRESS, 0x2008)                                                        \
	X(VM_ENTRY_MSR_LOAD_ADDRESS, 0x200a)                                                       \
	X(EXECUTIVE_VMCS_POINTER, 0x200c)                                                          \
	X(PML_ADDRESS, 0x200e)                                                                     \
	X(TSC_OFFSET, 0x2010)                                                                      \
	X(VIRTUAL_APIC_ADDRESS, 0x2012)                                                            \
	X(APIC_ACCESS_ADDRESS, 0x2014)                                                             \
	X(POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 0x2016)                                             \
	X(VM_FUNCTION_CONTROLS, 0x2018)                                                            \
	X(EPT_POINTER, 0x201a)                                                                     \
	X(EOI_EXIT_BITMAP_0, 0x201c)                                                               \
	X(EOI_EXIT_BITMAP_1, 0x201e)                                                               \
	X(EOI_EXIT_BITMAP_2, 0x2020)                                                               \
	X(EOI_EXIT_BITMAP_3, 0x2022)                                                               \
	X(EPTP_LIST_ADDRESS, 0x2024)                                                               \
	X(VMREAD_BITMAP_ADDRESS, 0x2026)                                                           \
	X(VMWRITE_BITMAP_ADDRESS, 0x2028)                                                          \
	X(VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS, 0x202a)                                    \
	X(XSS_EXITING_BITMAP, 0x202c)                                                              \
	X(ENCLS_EXITING_BITMAP, 0x202e)                                                            \
	X(SUB_PAGE_PERMISSION_TABLE_POINTER, 0x2030)                                               \
	X(TSC_MULTIPLIER, 0x2032)                                                                  \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                          \
	X(VMCS_LINK_POINTER, 0x2800)                                                               \
	X(GUEST_IA32_DEBUGCTL, 0x2802)                                                             \
	X(GUEST_IA32_PAT, 0x2804)                                                                  \
	X(GUEST_IA32_EFER, 0x2806)                                                                 \
	X(GUEST_IA32_PERF_GLOBAL_CTRL, 0x2808)                                                     \
	X(GUEST_PDPTE0, 0x280a)                                                                    \
	X(GUEST_PDPTE1, 0x280c)                                                                    \
	X(GUEST_PDPTE2, 0x280e)                                                                    \
	X(GUEST_PDPTE3, 0x2810)                                                                    \
	X(GUEST_IA32_BNDCFGS, 0x2812)                                                              \
	X(GUEST_IA32_PKRS, 0x2818)                                                                 \
	X(HOST_IA32_PAT, 0x2c00)                                                                   \
	X(HOST_IA32_EFER, 0x2c02)                                                                  \
	X(HOST_IA32_PERF_GLOBAL_CTRL, 0x2c04)                                                      \
	X(HOST_IA32_PKRS, 0x2c06)                                                                  \
	X(PIN_BASED_CONTROLS, 0x4000)                                                              \
	X(PRIMARY_CONTROLS, 0x4002)                                                                \
	X(EXCEPTION_BITMAP, 0x4004)                                                                \
	X(PAGE_FAULT_ERROR_CODE_MASK, 0x4006)                                                      \
	X(PAGE_FAULT_ERROR_CODE_MATCH, 0x4008)                                                     \
	X(CR3_TARGET_COUNT, 0x400a)                                                                \
	X(VM_EXIT_CONTROLS, 0x400c)                                                                \
	X(VM_EXIT_MSR_STORE_COUNT, 0x400e)                                                         \
	X(VM_EXIT_MSR_LOAD_COUNT, 0x4010)                                                          \
	X(VM_ENTRY_CONTROLS, 0x4012)                                                               \
	X(VM_ENTRY_MSR_LOAD_COUNT, 0x4014)                                                         \
	X(VM_ENTRY_INTERRUPTION_INFORMATION, 0x4016)                                               \
	X(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x4018)                                                   \
	X(VM_ENTRY_INSTRUCTION_LENGTH, 0x401a)                                                     \
	X(TPR_THRESHOLD, 0x401c)                                                                   \
	X(SECONDARY_CONTROLS, 0x401e)                                                              \
	X(PLE_GAP, 0x4020)                                                                         \
	X(PLE_WINDOW, 0x4022)                                                                      \
	X(VM_INSTRUCTION_ERROR, 0x4400)                                                            \
	X(EXIT_REASON, 0x4402)                                                                     \
	X(VM_EXIT_INTERRUPTION_INFORMATION, 0x4404)                                                \
	X(VM_EXIT_INTERRUPTION_ERROR_CODE, 0x4406)                                                 \
	X(IDT_VECTORING_INFORMATION, 0x4408)                                                       \
	X(IDT_VECTORING_ERROR_CODE, 0x440a)                                                        \
	X(VM_EXIT_INSTRUCTION_LENGTH, 0x440c)                                                      \
	X(VM_EXIT_INSTRUCTION_INFORMATION, 0x440e)                                                 \
	X(GUEST_ES_LIMIT, 0x4800)                                                                  \
	X(GUEST_CS_LIMIT, 0x4802)                                                                  \
	X(GUEST_SS_LIMIT, 0x4804)                                                                  \
	X(GUEST_DS_LIMIT, 0x4806)                                                                  \
	X(GUEST_FS_LIMIT, 0x4808)                                                                  \
	X(GUEST_GS_LIMIT, 0x480a)                                                                  \
	X(GUEST_LDTR_LIMIT, 0x480c)                                                                \
	X(GUEST_TR_LIMIT, 0x480e)                                                                  \
	X(GUEST_GDTR_LIMIT, 0x4810)                                                                \
	X(GUEST_IDTR_LIMIT, 0x4812)                                                                \
	X(GUEST_ES_ACCESS_RIGHTS, 0x4814)                                                          \
	X(GUEST_CS_ACCESS_RIGHTS, 0x4816)                                                          \
	X(GUEST_SS_ACCESS_RIGHTS, 0x4818)                                                          \
	X(GUEST_DS_ACCESS_RIGHTS, 0x481a)                                                          \
	X(GUEST_FS_ACCESS_RIGHTS, 0x481c)                                                          \
	X(GUEST_GS_ACCESS_RIGHTS, 0x481e)                                                          \
	X(GUEST_LDTR_ACCESS_RIGHTS, 0x4820)                                                        \
	X(GUEST_TR_ACCESS_RIGHTS, 0x4822)                                                          \
	X(GUEST_INTERRUPTIBILITY_STATE, 0x4824)                                                    \
	X(GUEST_ACTIVITY_STATE, 0x4826)                                                            \
	X(GUEST_SMBASE, 0x4828)                                                                    \
	X(GUEST_IA32_SYSENTER_CS, 0x482a)                                                          \
	X(VMX_PREEMPTION_TIMER_VALUE, 0x482e)                                                      \
	X(HOST_IA32_SYSENTER_CS, 0x4c00)                                                           \
	X(CR0_GUEST_HOST_MASK, 0x6000)                                                             \
	X(CR4_GUEST_HOST_MASK, 0x6002)                                                             \
	X(CR0_READ_SHADOW, 0x6004)                                                                 \
	X(CR4_READ_SHADOW, 0x6006)                                                                 \
	X(CR3_TARGET_VALUE_0, 0x6008)                                                              \
	X(CR3_TARGET_VALUE_1, 0x600a)                                                              \
	X(CR3_TARGET_VALUE_2, 0x600c)                                                              \
	X(CR3_TARGET_VALUE_3, 0x600e)                                                              \
	X(EXIT_QUALIFICATION, 0x6400)                                                              \
	X(IO_RCX, 0x6402)                                                                          \
	X(IO_RSI, 0x6404)                                                                          \
	X(IO_RDI, 0x6406)                                                                          \
	X(IO_RIP, 0x6408)                                                                          \
	X(GUEST_LINEAR_ADDRESS, 0x640a)                                                            \
	X(GUEST_CR0, 0x6800)                                                                       \
	X(GUEST_CR3, 0x6802)                                                                       \
	X(GUEST_CR4, 0x6804)                                                                       \
	X(GUEST_ES_BASE, 0x6806)                                                                   \
	X(GUEST_CS_BASE, 0x6808)                                                                   \
	X(GUEST_SS_BASE, 0x680a)                                                                   \
	X(GUEST_DS_BASE, 0x680c)                                                                   \
	X(GUEST_FS_BASE, 0x680e)                                                                   \
	X(GUEST_GS_BASE, 0x6810)                                                                   \
	X(GUEST_LDTR_BASE, 0x6812)                                                                 \
	X(GUEST_TR_BASE, 0x6814)                                                                   \
	X(GUEST_GDTR_BASE, 0x6816)                                                                 \
	X(GUEST_IDTR_BASE, 0x6818)                                                                 \
	X(GUEST_DR7, 0x681a)                                                                       \
	X(GUEST_RSP, 0x681c)                                                                       \
	X(GUEST_RIP, 0x681e)                                                                       \
	X(GUEST_RFLAGS, 0x6820)                                                                    \
	X(GUEST_PENDING_DEBUG_EXCEPTIONS, 0x6822)                                                  \
	X(GUEST_IA32_SYSENTER_ESP, 0x6824)                                                         \
	X(GUEST_IA32_SYSENTER_EIP, 0x6826)                                                         \
	X(GUEST_IA32_S_CET, 0x6828)                                                                \
	X(GUEST_SSP, 0x682a)                                                                       \
	X(GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0x682c)                                             \
	X(HOST_CR0, 0x6c00)                                                                        \
	X(HOST_CR3, 0x6c02)                                                                        \
	X(HOST_CR4, 0x6c04)                                                                        \
	X(HOST_FS_BASE, 0x6c06)                                                                    \
	X(HOST_GS_BASE, 0x6c08)                                                                    \
	X(HOST_TR_BASE, 0x6c0a)                                                                    \
	X(HOST_GDTR_BASE, 0x6c0c)                                                                  \
	X(HOST_IDTR_BASE, 0x6c0e)                                                                  \
	X(HOST_IA32_SYSENTER_ESP, 0x6c10)                                                          \
	X(HOST_IA32_SYSENTER_EIP, 0x6c12)                                                          \
	X(HOST_RSP, 0x6c14)                                                                        \
	X(HOST_RIP, 0x6c16)                                                                        \
	X(HOST_IA32_S_CET, 0x6c18)                                                                 \
	X(HOST_SSP, 0x6c1a)                                                                        \
	X(HOST_IA32_INTERRUPT_SSP_TABLE_ADDR, 0x6c1c)

/* Those that no control of vmx/controls.h is about. */
#define VMCS_LATER_FIELDS(X)                                                                       \
	X(HLAT_PREFIX_SIZE, 0x0006)                                                                \
	X(LAST_PID_POINTER_INDEX, 0x0008)                                                          \
	X(GUEST_UINV, 0x0814)                                                                      \
	X(TERTIARY_CONTROLS, 0x2034)                                                               \
	X(ENCLV_EXITING_BITMAP, 0x2036)                                                            \
	X(LOW_PASID_DIRECTORY_ADDRESS, 0x2038)                                                     \
	X(HIGH_PASID_DIRECTORY_ADDRESS, 0x203a)                                                    \
	X(SHARED_EPT_POINTER, 0x203c)                                                              \
	X(PCONFIG_EXITING_BITMAP, 0x203e)                                                          \
	X(HLATP, 0x2040)                                                                           \
	X(PID_POINTER_TABLE_ADDRESS, 0x2042)                                                       \
	X(SECONDARY_VM_EXIT_CONTROLS, 0x2044)                                                      \
	X(IA32_SPEC_CTRL_MASK, 0x204a)                                                             \
	X(IA32_SPEC_CTRL_SHADOW, 0x204c)                                                           \
	X(GUEST_IA32_RTIT_CTL, 0x2814)                                                             \
	X(GUEST_IA32_LBR_CTL, 0x2816)                                                              \
	X(INSTRUCTION_TIMEOUT_CONTROL, 0x4024)

enum vmcs_field {
#define X(name, encoding) VMCS_##name = encoding,
	VMCS_FIELDS(X) VMCS_LATER_FIELDS(X)
#undef X
};

struct vmcs_field_name {
	u16 encoding;
	const char *name;
};
extern const struct vmcs_field_name vmcs_fields[];
extern const unsigned int vmcs_field_count;

/* Bits of a field; in a 32-bit mode those of natural width have 32. */
u64 vmcs_field_mask(u32 field);

/* "GUEST_CR0"; NULL for an encoding that is no field's. */
const char *vmcs_field_name(u32 encoding);

/* It is one of VMCS_LATER_FIELDS: whether the CPU has it, no capability tells that is read here. */
bool vmcs_field_is_later(u32 encoding);

/* X(name, basic reason) */
#define EXIT_REASONS(X)                                                                            \
	X(EXCEPTION_OR_NMI, 0)                                                                     \
	X(EXTERNAL_INTERRUPT, 1)                                                                   \
	X(TRIPLE_FAULT, 2)                                                                         \
	X(INIT, 3)                                                                                 \
	X(STARTUP_IPI, 4)                                                                          \
	X(IO_SMI, 5)                                                                               \
	X(OTHER_SMI, 6)                                                                            \
	X(INTERRUPT_WINDOW, 7)                                                                     \
	X(NMI_WINDOW, 8)                                                                           \
	X(TASK_SWITCH, 9)                                                                          \
	X(CPUID, 10)                                                                               \
	X(GETSEC, 11)                                                                              \
	X(HLT, 12)                                                                                 \
	X(INVD, 13)                                                                                \
	X(INVLPG, 14)                                                                              \
	X(RDPMC, 15)                                                                               \
	X(RDTSC, 16)                                                                               \
	X(RSM, 17)                                                                                 \
	X(VMCALL, 18)                                                                              \
	X(VMCLEAR, 19)                                                                             \
	X(VMLAUNCH, 20)                                                                            \
	X(VMPTRLD, 21)                                                                             \
	X(VMPTRST, 22)                                                                             \
	X(VMREAD, 23)                                                                              \
	X(VMRESUME, 24)                                                                            \
	X(VMWRITE, 25)                                                                             \
	X(VMXOFF, 26)                                                                              \
	X(VMXON, 27)                                                                               \
	X(CR_ACCESS, 28)                                                                           \
	X(MOV_DR, 29)                                                                              \
	X(IO, 30)                                                                                  \
	X(RDMSR, 31)                                                                               \
	X(WRMSR, 32)                                                                               \
	X(INVALID_GUEST_STATE, 33)                                                                 \
	X(MSR_LOADING, 34)                                                                         \
	X(MWAIT, 36)                                                                               \
	X(MONITOR_TRAP_FLAG, 37)                                                                   \
	X(MONITOR, 39)                                                                             \
	X(PAUSE, 40)                                                                               \
	X(MACHINE_CHECK_DURING_ENTRY, 41)                                                          \
	X(TPR_BELOW_THRESHOLD, 43)                                                                 \
	X(APIC_ACCESS, 44)                                                                         \
	X(VIRTUALIZED_EOI, 45)                                                                     \
	X(ACCESS_TO_GDTR_OR_IDTR, 46)                                                              \
	X(ACCESS_TO_LDTR_OR_TR, 47)                                                                \
	X(EPT_VIOLATION, 48)                                                                       \
	X(EPT_MISCONFIGURATION, 49)                                                                \
	X(INVEPT, 50)                                                                              \
	X(RDTSCP, 51)                                                                              \
	X(PREEMPTION_TIMER, 52)                                                                    \
	X(INVVPID, 53)                                                                             \
	X(WBINVD, 54)                                                                              \
	X(XSETBV, 55)                                                                              \
	X(APIC_WRITE, 56)                                                                          \
	X(RDRAND, 57)                                                                              \
	X(INVPCID, 58)                                                                             \
	X(VMFUNC, 59)                                                                              \
	X(ENCLS, 60)                                                                               \
	X(RDSEED, 61)                                                                              \
	X(PML_FULL, 62)                                                                            \
	X(XSAVES, 63)                                                                              \
	X(XRSTORS, 64)                                                                             \
	X(PCONFIG, 65)                                                                             \
	X(SPP, 66)                                                                                 \
	X(UMWAIT, 67)                                                                              \
	X(TPAUSE, 68)                                                                              \
	X(LOADIWKEY, 69)                                                                           \
	X(ENCLV, 70)                                                                               \
	X(ENQCMD_PASID_TRANSLATION_FAILURE, 72)                                                    \
	X(ENQCMDS_PASID_TRANSLATION_FAILURE, 73)                                                   \
	X(BUS_LOCK, 74)                                                                            \
	X(INSTRUCTION_TIMEOUT, 75)                                                                 \
	X(SEAMCALL, 76)                                                                            \
	X(TDCALL, 77)                                                                              \
	X(RDMSRLIST, 78)                                                                           \
	X(WRMSRLIST, 79)                                                                           \
	X(URDMSR, 80)                                                                              \
	X(UWRMSR, 81)

enum exit_reason {
#define X(name, reason) EXIT_##name = reason,
	EXIT_REASONS(X)
#undef X
};

#define EXIT_REASON_BASIC    0xffffu
#define EXIT_ENTRY_FAILURE   (1u << 31)
/*
 * Bits that are 0 here. 25 is of shadow stacks; 26 (bus locks), 27 (enclaves), 28 and 29 (SMM) are
 * defined as well, but never come where L1 uses none of these.
 */
#define EXIT_REASON_RESERVED 0x7dff0000u

/* Interruption information, of entries and exits: "Format of the ... Field". */
#define INTERRUPTION_VALID	(1u << 31)
#define INTERRUPTION_ERROR_CODE (1u << 11)
#define INTERRUPTION_NMI_UNBLOCKED (1u << 12) /* by IRET */
#define INTERRUPTION_TYPE(type) ((u32)(type) << 8)
enum interruption_type {
	TYPE_EXTERNAL_INTERRUPT = 0,
	TYPE_NMI = 2,
	TYPE_HARDWARE_EXCEPTION = 3,
	TYPE_SOFTWARE_INTERRUPT = 4,
	TYPE_PRIVILEGED_SOFTWARE_EXCEPTION = 5,
	TYPE_SOFTWARE_EXCEPTION = 6,
	TYPE_OTHER_EVENT = 7,
};

/* GUEST_INTERRUPTIBILITY_STATE */
#define BLOCKING_BY_STI	   BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_SMI	   BIT(2)
#define BLOCKING_BY_NMI	   BIT(3)
#define INTERRUPTIBILITY_DEFINED 0x1f /* with enclave interruption */

/* GUEST_PENDING_DEBUG_EXCEPTIONS */
#define PENDING_B0	 BIT(0)
#define PENDING_BUS_LOCK BIT(11)
#define PENDING_ENABLED	 BIT(12) /* a breakpoint of those */
#define PENDING_BS	 BIT(14)
#define PENDING_RTM	 BIT(16)

/* GUEST_ACTIVITY_STATE */
enum { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };

/* Access rights: the access byte in 7:0, the flags nibble of a descriptor in 15:12. */
#define ACCESS_RIGHTS(access, flags) ((u32)(access) | (u32)(flags) << 12)
#define ACCESS_RIGHTS_UNUSABLE	     (1u << 16)

/* VM_INSTRUCTION_ERROR. Volume 3C, "VM Instruction Error Numbers" */
#define VM_ERRORS(X)                                                                               \
	X(VMCALL_IN_ROOT, 1)                                                                       \
	X(VMCLEAR_INVALID_ADDRESS, 2)                                                              \
	X(VMCLEAR_VMXON_POINTER, 3)                                                                \
	X(VMLAUNCH_NON_CLEAR, 4)                                                                   \
	X(VMRESUME_NON_LAUNCHED, 5)                                                                \
	X(VMRESUME_AFTER_VMXOFF, 6)                                                                \
	X(ENTRY_INVALID_CONTROLS, 7)                                                               \
	X(ENTRY_INVALID_HOST_STATE, 8)                                                             \
	X(VMPTRLD_INVALID_ADDRESS, 9)                                                              \
	X(VMPTRLD_VMXON_POINTER, 10)                                                               \
	X(VMPTRLD_WRONG_REVISION, 11)                                                              \
	X(UNSUPPORTED_COMPONENT, 12)                                                               \
	X(VMWRITE_READ_ONLY, 13)                                                                   \
	X(VMXON_IN_ROOT, 15)                                                                       \
	X(ENTRY_INVALID_EXECUTIVE_POINTER, 16)                                                     \
	X(ENTRY_NON_LAUNCHED_EXECUTIVE, 17)                                                        \
	X(ENTRY_EXECUTIVE_NOT_VMXON_POINTER, 18)                                                   \
	X(VMCALL_NON_CLEAR, 19)                                                                    \
	X(VMCALL_INVALID_EXIT_CONTROLS, 20)                                                        \
	X(VMCALL_WRONG_MSEG_REVISION, 22)                                                          \
	X(VMXOFF_DUAL_MONITOR, 23)                                                                 \
	X(VMCALL_INVALID_SMM_FEATURES, 24)                                                         \
	X(ENTRY_INVALID_EXECUTIVE_CONTROLS, 25)                                                    \
	X(ENTRY_BLOCKED_BY_MOV_SS, 26)                                                             \
	X(INVEPT_INVVPID_INVALID_OPERAND, 28)

enum vm_error {
#define X(name, number) VM_ERROR_##name = number,
	VM_ERRORS(X)
#undef X
};

const char *vm_error_name(u32 number);
const char *exit_reason_name(u32 basic);

#endif
