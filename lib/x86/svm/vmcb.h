/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block and what is written in it: APM volume 2, appendix B
 * "VMCB Layout" and appendix C "SVM Intercept Exit Codes". The names are the manual's.
 */
#ifndef LIB_X86_SVM_VMCB_H
#define LIB_X86_SVM_VMCB_H

#include "types.h"

/* Attributes: the access byte in 7:0, the flags nibble of a descriptor in 11:8. */
struct vmcb_segment {
	u16 selector, attrib;
	u32 limit;
	u64 base;
};

#define VMCB_ATTRIB(access, flags) ((access) | (flags) << 8)

struct vmcb_control {
	u32 intercepts[6]; /* bit n of them all intercepts what exits with code n */
	u8 reserved_018[0x03c - 0x018];
	u16 pause_filter_threshold, pause_filter_count;
	u64 iopm_base_pa, msrpm_base_pa;
	u64 tsc_offset;
	u32 guest_asid;
	u8 tlb_control, reserved_05d[3];
	u32 int_ctl; /* V_TPR, V_IRQ, ... */
	u8 v_intr_vector, reserved_065[3];
	u64 interrupt_shadow; /* and GUEST_INTERRUPT_MASK */
	u64 exitcode, exitinfo1, exitinfo2, exitintinfo;
	u64 np_enable; /* and SEV, SEV-ES, GMET */
	u64 avic_apic_bar;
	u64 ghcb_gpa;
	u64 eventinj;
	u64 n_cr3;
	u64 lbr_control; /* and virtualized VMSAVE and VMLOAD */
	u64 clean;
	u64 nrip;
	u8 fetched_count, fetched[15];
	u64 avic_backing_page, reserved_0e8, avic_logical_table, avic_physical_table;
	u64 reserved_100, vmsa_pa, vmgexit_rax;
	u8 vmgexit_cpl, reserved_119[0x400 - 0x119];
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_0a0[0x0cb - 0x0a0];
	u8 cpl;
	u32 reserved_0cc;
	u64 efer;
	u8 reserved_0d8[0x148 - 0x0d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp, s_cet, ssp, isst_addr, rax;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;
	u8 reserved_248[0x268 - 0x248];
	u64 g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved_298[0x2e0 - 0x298];
	u32 spec_ctrl;
	u8 reserved_2e4[0xc00 - 0x2e4];
};

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
} __aligned(4096);

#define VMCB_OFFSET(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
VMCB_OFFSET(control.iopm_base_pa, 0x040);
VMCB_OFFSET(control.guest_asid, 0x058);
VMCB_OFFSET(control.int_ctl, 0x060);
VMCB_OFFSET(control.exitcode, 0x070);
VMCB_OFFSET(control.np_enable, 0x090);
VMCB_OFFSET(control.eventinj, 0x0a8);
VMCB_OFFSET(control.clean, 0x0c0);
VMCB_OFFSET(control.fetched_count, 0x0d0);
VMCB_OFFSET(control.avic_backing_page, 0x0e0);
VMCB_OFFSET(control.vmsa_pa, 0x108);
VMCB_OFFSET(save, 0x400);
VMCB_OFFSET(save.cpl, 0x400 + 0x0cb);
VMCB_OFFSET(save.efer, 0x400 + 0x0d0);
VMCB_OFFSET(save.cr4, 0x400 + 0x148);
VMCB_OFFSET(save.rip, 0x400 + 0x178);
VMCB_OFFSET(save.rsp, 0x400 + 0x1d8);
VMCB_OFFSET(save.rax, 0x400 + 0x1f8);
VMCB_OFFSET(save.cr2, 0x400 + 0x240);
VMCB_OFFSET(save.g_pat, 0x400 + 0x268);
VMCB_OFFSET(save.last_excp_to, 0x400 + 0x290);
VMCB_OFFSET(save.spec_ctrl, 0x400 + 0x2e0);
_Static_assert(sizeof(struct vmcb) == 4096, "struct vmcb");
#undef VMCB_OFFSET

/* Exit codes; each below 0x400 is also the number of its intercept bit. */
enum vmexit {
	VMEXIT_CR0_READ = 0x00,
	VMEXIT_CR3_READ = 0x03,
	VMEXIT_CR4_READ = 0x04,
	VMEXIT_CR8_READ = 0x08,
	VMEXIT_CR0_WRITE = 0x10,
	VMEXIT_CR3_WRITE = 0x13,
	VMEXIT_CR4_WRITE = 0x14,
	VMEXIT_CR8_WRITE = 0x18,
	VMEXIT_DR0_READ = 0x20,
	VMEXIT_DR7_READ = 0x27,
	VMEXIT_DR0_WRITE = 0x30,
	VMEXIT_DR7_WRITE = 0x37,
	VMEXIT_EXCP = 0x40, /* + vector */
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI,
	VMEXIT_SMI,
	VMEXIT_INIT,
	VMEXIT_VINTR,
	VMEXIT_CR0_SEL_WRITE,
	VMEXIT_IDTR_READ,
	VMEXIT_GDTR_READ,
	VMEXIT_LDTR_READ,
	VMEXIT_TR_READ,
	VMEXIT_IDTR_WRITE,
	VMEXIT_GDTR_WRITE,
	VMEXIT_LDTR_WRITE,
	VMEXIT_TR_WRITE,
	VMEXIT_RDTSC,
	VMEXIT_RDPMC,
	VMEXIT_PUSHF,
	VMEXIT_POPF,
	VMEXIT_CPUID,
	VMEXIT_RSM,
	VMEXIT_IRET,
	VMEXIT_SWINT,
	VMEXIT_INVD,
	VMEXIT_PAUSE,
	VMEXIT_HLT,
	VMEXIT_INVLPG,
	VMEXIT_INVLPGA,
	VMEXIT_IOIO,
	VMEXIT_MSR,
	VMEXIT_TASK_SWITCH,
	VMEXIT_FERR_FREEZE,
	VMEXIT_SHUTDOWN,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL,
	VMEXIT_VMLOAD,
	VMEXIT_VMSAVE,
	VMEXIT_STGI,
	VMEXIT_CLGI,
	VMEXIT_SKINIT,
	VMEXIT_RDTSCP,
	VMEXIT_ICEBP,
	VMEXIT_WBINVD,
	VMEXIT_MONITOR,
	VMEXIT_MWAIT,
	VMEXIT_MWAIT_CONDITIONAL,
	VMEXIT_XSETBV,
	VMEXIT_RDPRU,
	VMEXIT_EFER_WRITE_TRAP,
	VMEXIT_CR0_WRITE_TRAP = 0x90,
	VMEXIT_INVLPGB = 0xa0,
	VMEXIT_INVLPGB_ILLEGAL,
	VMEXIT_INVPCID,
	VMEXIT_MCOMMIT,
	VMEXIT_TLBSYNC,
	VMEXIT_BUSLOCK,
	VMEXIT_IDLE_HLT,
	VMEXIT_NPF = 0x400,
	VMEXIT_AVIC_INCOMPLETE_IPI,
	VMEXIT_AVIC_NOACCEL,
	VMEXIT_VMGEXIT,
};
#define VMEXIT_INVALID (~0ull) /* the VMCB is not one that VMRUN takes */
#define VMEXIT_BUSY    (~1ull)

/* int_ctl. 15.21 "Interrupt and Local APIC Support" */
#define V_TPR_MASK	     0xffu
#define V_IRQ		     (1u << 8)
#define V_GIF		     (1u << 9)
#define V_NMI		     (1u << 11)
#define V_NMI_MASK	     (1u << 12)
#define V_INTR_PRIO(n)	     ((u32)(n) << 16)
#define V_IGN_TPR	     (1u << 20)
#define V_INTR_MASKING	     (1u << 24)
#define V_GIF_ENABLE	     (1u << 25)
#define V_NMI_ENABLE	     (1u << 26)
#define V_X2AVIC_ENABLE	     (1u << 30)
#define V_AVIC_ENABLE	     (1u << 31)

#define INTERRUPT_SHADOW     1ull
#define GUEST_INTERRUPT_MASK 2ull

/* tlb_control. 15.16.1, table 15-9 */
#define TLB_CONTROL_NOTHING	   0
#define TLB_CONTROL_FLUSH_ALL	   1
#define TLB_CONTROL_FLUSH_ASID	   3
#define TLB_CONTROL_FLUSH_NON_GLOBAL 7

/* np_enable, lbr_control */
#define NP_ENABLE	     1ull
#define LBR_VIRTUALIZATION   1ull

/* eventinj and exitintinfo. 15.20 "Event Injection", 15.7.2 */
#define EVENT_VALID	     (1ull << 31)
#define EVENT_ERROR_CODE     (1ull << 11)
#define EVENT_TYPE_INTR	     0u
#define EVENT_TYPE_NMI	     2u
#define EVENT_TYPE_EXCEPTION 3u
#define EVENT_TYPE_SOFT	     4u
#define EVENT(type, vector)  (EVENT_VALID | (u64)(type) << 8 | (vector))
#define EVENT_EC(type, vector, ec) (EVENT(type, vector) | EVENT_ERROR_CODE | (u64)(ec) << 32)

/* exitinfo1 of VMEXIT_IOIO. 15.10.2 */
#define IOIO_IN		     (1u << 0)
#define IOIO_STRING	     (1u << 2)
#define IOIO_REP	     (1u << 3)
#define IOIO_SIZE_8	     (1u << 4)
#define IOIO_SIZE_16	     (1u << 5)
#define IOIO_SIZE_32	     (1u << 6)
#define IOIO_ADDRESS_16	     (1u << 7)
#define IOIO_ADDRESS_32	     (1u << 8)
#define IOIO_ADDRESS_64	     (1u << 9)
#define IOIO_SEGMENT(n)	     ((u32)(n) << 10) /* 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS */
#define IOIO_PORT(port)	     ((u32)(port) << 16)

/* exitinfo1 of VMEXIT_NPF, besides the error code of #PF. 15.25.6 */
#define NPF_FINAL	     (1ull << 32) /* the guest's final physical address */
#define NPF_TABLE	     (1ull << 33) /* the guest's page tables */

/* Clean bits. 15.15.3 */
#define CLEAN_INTERCEPTS     BIT(0)
#define CLEAN_IOPM	     BIT(1)
#define CLEAN_ASID	     BIT(2)
#define CLEAN_TPR	     BIT(3)
#define CLEAN_NP	     BIT(4)
#define CLEAN_CR	     BIT(5)
#define CLEAN_DR	     BIT(6)
#define CLEAN_DT	     BIT(7)
#define CLEAN_SEG	     BIT(8)
#define CLEAN_CR2	     BIT(9)
#define CLEAN_LBR	     BIT(10)
#define CLEAN_AVIC	     BIT(11)

#endif
