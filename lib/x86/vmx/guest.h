/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest under VMX: its VMCS, registers, stack, page tables, bitmaps and EPT; running it; and
 * what must hold after each exit, whatever it was. All memory that it needs is below 4 GiB.
 *
 * A guest's VMCS is current from its making on, and again with vmx_current() or vmx_run():
 * until another guest's is, vmcs_read() and vmcs_write() are about it.
 */
#ifndef LIB_X86_VMX_GUEST_H
#define LIB_X86_VMX_GUEST_H

#include "l2/invariants.h"
#include "l2/l2.h"
#include "vmx/guest_offsets.h"
#include "vmx/vmx.h"
#include "vmx/written.h"

/* Linear addresses of L2_V8086's segments: those of the pages that hold its code and stack. */
#define VMX_V8086_CODE	0x10000ul
#define VMX_V8086_STACK 0x20000ul

struct vmx_registers {
	ulong ax, bx, cx, dx, si, di, bp;
#ifdef __x86_64__
	ulong r8, r9, r10, r11, r12, r13, r14, r15;
#endif
};

/* What world_switch.S works with. */
struct vmx_switch {
	struct vmx_registers registers;
	ulong flags; /* RFLAGS after an exit; or after an entry that failed, with CF or ZF */
	u32 fault;   /* of VMLAUNCH or VMRESUME, as struct fault has it */
	u32 launched;
	u32 exited;
};

struct vmx_guest {
	struct vmx_switch world;
	void *vmcs;
	u64 vmcs_pa;
	enum l2_mode mode;
	const void *code;
	u8 *stack_top;
	u8 *io_bitmaps, *msr_bitmap; /* 8 KiB: A and B; 4 KiB */
	struct tables tables;	     /* L2's own */
	struct tables ept;	     /* root NULL: EPT is off */
	u16 vpid;		     /* that it was given */
	struct vmx_result entry;     /* of the last VMLAUNCH or VMRESUME */
	struct l2_invariants invariants;
	struct vmcs_written written;
	unsigned int cpu; /* where it was current last */
	bool has_run;	  /* since the last vmx_check_invariants() */
	struct vmx_guest *next;
};

/*
 * A guest that is ready to run code in a mode: interrupts off; every exception and HLT exit;
 * no other control but those that must be 1, and bitmaps of zeros where the CPU has them.
 * EPT and unrestricted guest are on in L2_PROTECTED and L2_REAL alone, which need them. VMCALL
 * always exits. vmx_guest_again() makes it so once more, and keeps its memory.
 */
struct vmx_guest *vmx_guest(enum l2_mode mode, const void *code);
void vmx_guest_again(struct vmx_guest *guest, enum l2_mode mode, const void *code);

/* A C function as L2, with one argument; its return is a VMCALL. In L2_NATIVE alone. */
struct vmx_guest *vmx_guest_call(void (*function)(void *argument), void *argument);

/* Can the CPU run L2 in this mode? Else skips the subtest, with the control that is missing. */
bool vmx_mode_ready(enum l2_mode mode);

/* Makes a guest's VMCS current on this CPU; vmx_forget() clears it, to move it to another. */
void vmx_current(struct vmx_guest *guest);
void vmx_forget(struct vmx_guest *guest);
struct vmx_guest *vmx_current_guest(void); /* the last that was made so; NULL before */

/* Sets or clears a control in the current VMCS, without a look at what the CPU allows. */
void vmx_set(u32 control);
void vmx_clear(u32 control);

/* True if the CPU allows a control (or all of a list that ends with 0); else skips the subtest. */
bool vmx_needs(u32 control);
bool vmx_needs_all(const u32 *controls);

/* Turns EPT on, with tables that map 0 to 4 GiB to itself, write-back. Needs VMX_SECONDARY_EPT. */
void vmx_ept(struct vmx_guest *guest);
void vmx_ept_flush(void); /* INVEPT of all contexts */

/* Turns VPID on with the guest's own. */
void vmx_vpid(struct vmx_guest *guest);

/* Sets bits in the bitmaps: of count ports; of an MSR (of the two ranges). */
void vmx_intercept_ports(struct vmx_guest *guest, u16 port, unsigned int count);
void vmx_intercept_msr(struct vmx_guest *guest, u32 msr, bool read, bool write);

/* Has the current guest begin in ring 3, with the selectors of its GDT; not virtual-8086 mode. */
void vmx_enter_ring3(const struct vmx_guest *guest);

/*
 * Runs until the next exit, and returns EXIT_REASON; EXIT_NONE if there was none, for which
 * guest->entry tells the reason. Each exit is checked for what must always hold.
 */
#define EXIT_NONE (~0u)
u32 vmx_run(struct vmx_guest *guest);

/* Linear address of the next instruction; moving it past the one that has exited. */
u64 vmx_rip(void);
void vmx_skip(void);

/*
 * One check, "invariants", that fails if after an exit of any guest since the last call the
 * host's state was not what the VMCS says ("Loading Host State"), or the guest's none that there
 * can be; or if control fields or host-state area of a guest are no longer what was written there.
 */
void vmx_check_invariants(void);

/* Writes down a violation of a guest, for vmx_check_invariants(). */
void vmx_violation(struct vmx_guest *guest, const char *what, u64 expected, u64 got);

/* Writes L2's initial state, and the host's state of this CPU, into the current VMCS. */
void vmcs_set_state(const struct l2_state *state);
void vmcs_set_host(void);

void vmx_world_switch(struct vmx_switch *world);

#endif
