/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM-execution, VM-exit and VM-entry controls, one token each, and what the CPU allows of
 * them. SDM volume 3C, "VM-Execution Control Fields"; volume 3D, appendix A.
 */
#ifndef LIB_X86_VMX_CONTROLS_H
#define LIB_X86_VMX_CONTROLS_H

#include "types.h"

#define MSR_IA32_VMX_BASIC	  0x480
#define MSR_IA32_VMX_PINBASED	  0x481
#define MSR_IA32_VMX_PROCBASED	  0x482
#define MSR_IA32_VMX_EXIT	  0x483
#define MSR_IA32_VMX_ENTRY	  0x484
#define MSR_IA32_VMX_MISC	  0x485
#define MSR_IA32_VMX_CR0_FIXED0	  0x486
#define MSR_IA32_VMX_CR0_FIXED1	  0x487
#define MSR_IA32_VMX_CR4_FIXED0	  0x488
#define MSR_IA32_VMX_CR4_FIXED1	  0x489
#define MSR_IA32_VMX_VMCS_ENUM	  0x48a
#define MSR_IA32_VMX_PROCBASED2	  0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP 0x48c
#define MSR_IA32_VMX_TRUE_PINBASED 0x48d
#define MSR_IA32_VMX_TRUE_PROCBASED 0x48e
#define MSR_IA32_VMX_TRUE_EXIT	  0x48f
#define MSR_IA32_VMX_TRUE_ENTRY	  0x490
#define MSR_IA32_VMX_VMFUNC	  0x491
#define MSR_IA32_VMX_PROCBASED3	  0x492
#define MSR_IA32_VMX_EXIT2	  0x493

#define VMX_BASIC_REVISION	  0x7fffffffu
#define VMX_BASIC_INS_OUTS	  BIT_ULL(54) /* exits of INS and OUTS have information */
#define VMX_BASIC_TRUE_CONTROLS	  BIT_ULL(55)
#define VMX_MISC_ACTIVITY_HLT	  BIT_ULL(6)
#define VMX_MISC_VMWRITE_ANY	  BIT_ULL(29)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_EXECUTE_ONLY	  BIT_ULL(0)
#define EPT_2M			  BIT_ULL(16)
#define EPT_1G			  BIT_ULL(17)
#define EPT_INVEPT		  BIT_ULL(20)
#define EPT_ACCESSED_DIRTY	  BIT_ULL(21)
#define EPT_INVEPT_SINGLE	  BIT_ULL(25)
#define EPT_INVEPT_ALL		  BIT_ULL(26)
#define VPID_INVVPID		  BIT_ULL(32)
#define VPID_INVVPID_ADDRESS	  BIT_ULL(40)
#define VPID_INVVPID_SINGLE	  BIT_ULL(41)
#define VPID_INVVPID_ALL	  BIT_ULL(42)
#define VPID_INVVPID_RETAIN_GLOBAL BIT_ULL(43)

/* The words that controls lie in. */
enum vmx_word { WORD_PIN, WORD_PRIMARY, WORD_SECONDARY, WORD_EXIT, WORD_ENTRY, WORDS };

/* X(word, bit, name) */
#define VMX_CONTROLS(X)                                                                            \
	X(PIN, 0, EXTERNAL_INTERRUPT_EXITING)                                                      \
	X(PIN, 3, NMI_EXITING)                                                                     \
	X(PIN, 5, VIRTUAL_NMIS)                                                                    \
	X(PIN, 6, PREEMPTION_TIMER)                                                                \
	X(PIN, 7, POSTED_INTERRUPTS)                                                               \
	X(PRIMARY, 2, INTERRUPT_WINDOW_EXITING)                                                    \
	X(PRIMARY, 3, TSC_OFFSETTING)                                                              \
	X(PRIMARY, 7, HLT_EXITING)                                                                 \
	X(PRIMARY, 9, INVLPG_EXITING)                                                              \
	X(PRIMARY, 10, MWAIT_EXITING)                                                              \
	X(PRIMARY, 11, RDPMC_EXITING)                                                              \
	X(PRIMARY, 12, RDTSC_EXITING)                                                              \
	X(PRIMARY, 15, CR3_LOAD_EXITING)                                                           \
	X(PRIMARY, 16, CR3_STORE_EXITING)                                                          \
	X(PRIMARY, 17, TERTIARY_CONTROLS)                                                          \
	X(PRIMARY, 19, CR8_LOAD_EXITING)                                                           \
	X(PRIMARY, 20, CR8_STORE_EXITING)                                                          \
	X(PRIMARY, 21, TPR_SHADOW)                                                                 \
	X(PRIMARY, 22, NMI_WINDOW_EXITING)                                                         \
	X(PRIMARY, 23, MOV_DR_EXITING)                                                             \
	X(PRIMARY, 24, UNCONDITIONAL_IO_EXITING)                                                   \
	X(PRIMARY, 25, IO_BITMAPS)                                                                 \
	X(PRIMARY, 27, MONITOR_TRAP_FLAG)                                                          \
	X(PRIMARY, 28, MSR_BITMAPS)                                                                \
	X(PRIMARY, 29, MONITOR_EXITING)                                                            \
	X(PRIMARY, 30, PAUSE_EXITING)                                                              \
	X(PRIMARY, 31, SECONDARY_CONTROLS)                                                         \
	X(SECONDARY, 0, VIRTUALIZE_APIC_ACCESSES)                                                  \
	X(SECONDARY, 1, EPT)                                                                       \
	X(SECONDARY, 2, DESCRIPTOR_TABLE_EXITING)                                                  \
	X(SECONDARY, 3, RDTSCP)                                                                    \
	X(SECONDARY, 4, VIRTUALIZE_X2APIC_MODE)                                                    \
	X(SECONDARY, 5, VPID)                                                                      \
	X(SECONDARY, 6, WBINVD_EXITING)                                                            \
	X(SECONDARY, 7, UNRESTRICTED_GUEST)                                                        \
	X(SECONDARY, 8, APIC_REGISTER_VIRTUALIZATION)                                              \
	X(SECONDARY, 9, VIRTUAL_INTERRUPT_DELIVERY)                                                \
	X(SECONDARY, 10, PAUSE_LOOP_EXITING)                                                       \
	X(SECONDARY, 11, RDRAND_EXITING)                                                           \
	X(SECONDARY, 12, INVPCID)                                                                  \
	X(SECONDARY, 13, VM_FUNCTIONS)                                                             \
	X(SECONDARY, 14, VMCS_SHADOWING)                                                           \
	X(SECONDARY, 15, ENCLS_EXITING)                                                            \
	X(SECONDARY, 16, RDSEED_EXITING)                                                           \
	X(SECONDARY, 17, PML)                                                                      \
	X(SECONDARY, 18, EPT_VIOLATION_VE)                                                         \
	X(SECONDARY, 20, XSAVES)                                                                   \
	X(SECONDARY, 22, MODE_BASED_EXECUTE)                                                       \
	X(SECONDARY, 23, SUB_PAGE_WRITE)                                                           \
	X(SECONDARY, 25, TSC_SCALING)                                                              \
	X(SECONDARY, 26, USER_WAIT_AND_PAUSE)                                                      \
	X(EXIT, 2, SAVE_DEBUG_CONTROLS)                                                            \
	X(EXIT, 9, HOST_ADDRESS_SPACE_SIZE)                                                        \
	X(EXIT, 12, LOAD_PERF_GLOBAL_CTRL)                                                         \
	X(EXIT, 15, ACKNOWLEDGE_INTERRUPT)                                                         \
	X(EXIT, 18, SAVE_PAT)                                                                      \
	X(EXIT, 19, LOAD_PAT)                                                                      \
	X(EXIT, 20, SAVE_EFER)                                                                     \
	X(EXIT, 21, LOAD_EFER)                                                                     \
	X(EXIT, 22, SAVE_PREEMPTION_TIMER)                                                         \
	X(EXIT, 23, CLEAR_BNDCFGS)                                                                 \
	X(EXIT, 28, LOAD_CET)                                                                      \
	X(EXIT, 29, LOAD_PKRS)                                                                     \
	X(EXIT, 31, SECONDARY_CONTROLS)                                                            \
	X(ENTRY, 2, LOAD_DEBUG_CONTROLS)                                                           \
	X(ENTRY, 9, IA32E_MODE_GUEST)                                                              \
	X(ENTRY, 10, ENTRY_TO_SMM)                                                                 \
	X(ENTRY, 11, DEACTIVATE_DUAL_MONITOR)                                                      \
	X(ENTRY, 13, LOAD_PERF_GLOBAL_CTRL)                                                        \
	X(ENTRY, 14, LOAD_PAT)                                                                     \
	X(ENTRY, 15, LOAD_EFER)                                                                    \
	X(ENTRY, 16, LOAD_BNDCFGS)                                                                 \
	X(ENTRY, 20, LOAD_CET)                                                                     \
	X(ENTRY, 22, LOAD_PKRS)

#define VMX_CONTROL(word, bit) ((u32)(word) << 8 | 0x80 | (bit)) /* never 0 */
#define VMX_CONTROL_WORD(control) ((control) >> 8)
#define VMX_CONTROL_BIT(control)  ((control) & 0x1f)

/* VMX_PIN_NMI_EXITING, VMX_PRIMARY_HLT_EXITING, VMX_SECONDARY_EPT, VMX_EXIT_SAVE_PAT, ... */
enum vmx_control {
#define X(word, bit, name) VMX_##word##_##name = VMX_CONTROL(WORD_##word, bit),
	VMX_CONTROLS(X)
#undef X
};

/*
 * The capability MSRs as vmx_ready() has found them: they do not change, and under a hypervisor
 * each RDMSR may be an exit. 0: the CPU has none. Appendix A.
 */
struct vmx_capabilities {
	u64 basic, misc, cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1, ept_vpid, vmfunc;
	u64 controls[WORDS]; /* allowed 0-settings in 31:0, allowed 1-settings in 63:32 */
};
extern struct vmx_capabilities vmx_capabilities;
void vmx_read_capabilities(void); /* for vmx_ready() */

/* Bits of a word that may be 1, and that must be 1; from the TRUE MSRs where there are any. */
u32 vmx_allowed1(enum vmx_word word);
u32 vmx_allowed0(enum vmx_word word);

bool vmx_allows(u32 control);	/* it may be 1 */
bool vmx_requires(u32 control); /* it must be 1 */

/* "PRIMARY_HLT_EXITING" */
const char *vmx_control_name(u32 control);

/*
 * The first control of the current VMCS that the CPU does not let be what it is: "PRIMARY_... is
 * refused" if it is 1, "PIN_... is required" if it is 0. "" if there is none. The length.
 */
int vmx_format_refused(char *buffer, size_t size);

/* The VMCS field of a word. */
u32 vmx_word_field(enum vmx_word word);

#endif
