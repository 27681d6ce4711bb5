/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest under SVM: its VMCB, registers, stack, page tables and permission maps; running it;
 * and what must hold after each exit, whatever it was. All memory that it needs is below 4 GiB.
 */
#ifndef LIB_X86_SVM_GUEST_H
#define LIB_X86_SVM_GUEST_H

#include "fault.h"
#include "l2/invariants.h"
#include "l2/l2.h"
#include "svm/guest_offsets.h"
#include "svm/svm.h"

/* What VMRUN leaves to software; RAX, RSP and RIP are in the VMCB. */
struct svm_registers {
	ulong bx, cx, dx, si, di, bp;
#ifdef __x86_64__
	ulong r8, r9, r10, r11, r12, r13, r14, r15;
#endif
};

/* What world_switch.S works with. */
struct svm_switch {
	struct svm_registers registers;
	ulong vmcb_pa, host_pa; /* host_pa: where VMSAVE puts the host's FS, GS, TR, ... */
	ulong flags_before, flags_after, ax_after;
	u32 fault; /* of VMRUN, as struct fault has it */
	u32 moves; /* VMLOAD before, VMSAVE after VMRUN; else the host's FS, GS, TR, ... stay */
};

enum svm_option {
	SVM_NO_GIF_PROBE = 1, /* no interrupt of the library's comes in after an exit */
	SVM_KEEP_GIF = 2,     /* GIF stays 0 after the exit: the caller executes STGI */
	SVM_NO_VMLOAD = 4,    /* the guest runs with the host's FS, GS, TR, LDTR, STAR, ... */
	SVM_NO_COMPARE = 8,   /* the VMCB is not compared: for storms, and two VMCBs in one page */
};

struct svm_before;

struct svm_guest {
	struct svm_switch world;
	struct vmcb *vmcb;
	enum l2_mode mode;
	const void *code;
	u8 *stack_top, *iopm, *msrpm;
	struct tables tables; /* L2's own */
	struct tables nested; /* root NULL: nested paging is off */
	u32 options;
	u32 asid; /* that it was given */
	struct svm_before *before; /* what svm_run() compares with */
	struct l2_invariants invariants;
};

/*
 * A guest that is ready to run code in a mode: interrupts off; every exception, VMMCALL, HLT
 * and shutdown intercepted; an ASID of its own. svm_guest_again() makes it so once more, and keeps
 * its memory (the page tables as they are, or new ones for another mode).
 */
struct svm_guest *svm_guest(enum l2_mode mode, const void *code);
void svm_guest_again(struct svm_guest *guest, enum l2_mode mode, const void *code);

/* A C function as L2, with one argument; its return is a VMMCALL. In L2_NATIVE alone. */
struct svm_guest *svm_guest_call(void (*function)(void *argument), void *argument);

/* Puts the VMCB at another physical address, which is mapped at that linear address. */
void svm_guest_place(struct svm_guest *guest, struct vmcb *vmcb);

/* Turns nested paging on, with tables of this image's format that map all memory to itself. */
void svm_nested_paging(struct svm_guest *guest);

/* The intercept of an exit code, from VMEXIT_CR0_READ on: on, off. */
void svm_intercept(struct svm_guest *guest, u64 exitcode);
void svm_no_intercept(struct svm_guest *guest, u64 exitcode);

/* Sets bits in the permission maps: of count ports; of an MSR (which must be in the map). */
void svm_intercept_ports(struct svm_guest *guest, u16 port, unsigned int count);
void svm_intercept_msr(struct svm_guest *guest, u32 msr, bool read, bool write);

/* Has it begin in ring 3, with this image's selectors; in virtual-8086 mode it does anyway. */
void svm_enter_ring3(struct svm_guest *guest);

/*
 * Runs until the next exit and returns its code; a fault of VMRUN itself is in
 * svm_fault() then, and the code is what the VMCB had. Each exit is checked for what must
 * always hold: see svm_check_invariants().
 */
u64 svm_run(struct svm_guest *guest);
struct fault svm_fault(const struct svm_guest *guest);

/* Linear address of the guest's next instruction; moving it past one of length bytes. */
u64 svm_rip(const struct svm_guest *guest);
void svm_skip(struct svm_guest *guest, unsigned int length);

/*
 * One check, "invariants", that fails if after an exit of any guest since the last call the
 * host's state was not as before VMRUN (15.6), GIF was not 0, EVENTINJ was still valid, or
 * something in the VMCB had changed that the processor does not write.
 */
void svm_check_invariants(void);

/* For world_switch.S's users. */
void svm_world_switch(struct svm_switch *world);

/* Copies L2's initial state into a VMCB's save area. */
void vmcb_set_state(struct vmcb *vmcb, const struct l2_state *state);

#endif
