// SPDX-License-Identifier: BSD-2-Clause
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "string.h"
#include "svm/guest.h"
#include "svm/invariants.h"

#define WORLD_OFFSET(name, field)                                                                  \
	_Static_assert(WORLD_##name == offsetof(struct svm_switch, field), #field)
WORLD_OFFSET(BX, registers.bx);
WORLD_OFFSET(BP, registers.bp);
WORLD_OFFSET(VMCB_PA, vmcb_pa);
WORLD_OFFSET(HOST_PA, host_pa);
WORLD_OFFSET(FLAGS_BEFORE, flags_before);
WORLD_OFFSET(AX_AFTER, ax_after);
WORLD_OFFSET(FAULT, fault);
WORLD_OFFSET(MOVES, moves);

static void set_segment(struct vmcb_segment *to, const struct l2_segment *from)
{
	const struct segment *segment = &from->segment;

	*to = (struct vmcb_segment){
		.selector = from->selector,
		.attrib = VMCB_ATTRIB(segment->access, segment->flags),
		.limit = segment->limit,
		.base = segment->base,
	};
}

void vmcb_set_state(struct vmcb *vmcb, const struct l2_state *state)
{
	struct vmcb_save *save = &vmcb->save;

	set_segment(&save->es, &state->es);
	set_segment(&save->cs, &state->cs);
	set_segment(&save->ss, &state->ss);
	set_segment(&save->ds, &state->ds);
	set_segment(&save->fs, &state->fs);
	set_segment(&save->gs, &state->gs);
	set_segment(&save->ldtr, &state->ldtr);
	set_segment(&save->tr, &state->tr);
	save->gdtr = (struct vmcb_segment){ .limit = state->gdtr.limit, .base = state->gdtr.base };
	save->idtr = (struct vmcb_segment){ .limit = state->idtr.limit, .base = state->idtr.base };
	save->cpl = state->ss.segment.access >> 5 & 3;
	save->efer = state->efer | EFER_SVME; /* 15.5.1: VMRUN refuses it without */
	save->cr0 = state->cr0;
	save->cr3 = state->cr3;
	save->cr4 = state->cr4;
	save->dr6 = 0xffff0ff0;
	save->dr7 = 0x400;
	save->rflags = state->rflags;
	save->rip = state->rip;
	save->rsp = state->rsp;
	save->g_pat = 0x0007040600070406; /* as at reset */
}

static void set_controls(struct svm_guest *guest)
{
	struct vmcb_control *control = &guest->vmcb->control;

	control->iopm_base_pa = (ulong)guest->iopm;
	control->msrpm_base_pa = (ulong)guest->msrpm;
	control->guest_asid = guest->asid;
	/* What an earlier guest of this ASID left behind. */
	control->tlb_control = TLB_CONTROL_FLUSH_ALL;
	svm_intercept(guest, VMEXIT_VMRUN);
	svm_intercept(guest, VMEXIT_VMMCALL);
	svm_intercept(guest, VMEXIT_HLT);
	svm_intercept(guest, VMEXIT_SHUTDOWN);
	control->intercepts[VMEXIT_EXCP / 32] = 0xffffffff & ~BIT(VECTOR_NMI);
}

void svm_guest_again(struct svm_guest *guest, enum l2_mode mode, const void *code)
{
	struct l2_state state;

	if (mode != guest->mode) {
		guest->tables = l2_tables(mode);
		guest->mode = mode;
	}
	tables_clear_pdpes(&guest->tables);
	guest->code = code;
	guest->options = 0;
	guest->nested.root = NULL;
	memset(guest->vmcb, 0, sizeof(*guest->vmcb));
	memset(guest->iopm, 0, IOPM_SIZE);
	memset(guest->msrpm, 0, MSRPM_SIZE);
	memset(&guest->world.registers, 0, sizeof(guest->world.registers));
	state = l2_state(mode, code, guest->stack_top, &guest->tables);
	vmcb_set_state(guest->vmcb, &state);
	set_controls(guest);
}

struct svm_guest *svm_guest(enum l2_mode mode, const void *code)
{
	static u32 asids;
	struct svm_guest *guest = page_alloc();

	_Static_assert(sizeof(*guest) <= PAGE_SIZE, "struct svm_guest");
	guest->iopm = pages_alloc(IOPM_SIZE / PAGE_SIZE, PAGE_SIZE);
	guest->msrpm = pages_alloc(MSRPM_SIZE / PAGE_SIZE, PAGE_SIZE);
	guest->stack_top = (u8 *)pages_alloc(L2_STACK_SIZE / PAGE_SIZE, PAGE_SIZE) + L2_STACK_SIZE;
	guest->world.host_pa = (ulong)page_alloc();
	/* A VMCB is too much for the stack. */
	guest->before =
		pages_alloc(ALIGN_UP(sizeof(*guest->before), PAGE_SIZE) / PAGE_SIZE, PAGE_SIZE);
	guest->mode = mode;
	guest->tables = l2_tables(mode);
	guest->asid = 1 + asids++ % (svm_asids() - 1);
	l2_invariants_add(&guest->invariants);
	svm_guest_place(guest, page_alloc());
	svm_guest_again(guest, mode, code);
	return guest;
}

void svm_guest_place(struct svm_guest *guest, struct vmcb *vmcb)
{
	if (guest->vmcb)
		memcpy(vmcb, guest->vmcb, sizeof(*vmcb));
	guest->vmcb = vmcb;
	guest->world.vmcb_pa = virt_to_phys(vmcb);
}

L2_CODE(svm_call_end, "vmmcall\n ud2");

struct svm_guest *svm_guest_call(void (*function)(void *argument), void *argument)
{
	struct svm_guest *guest = svm_guest(L2_NATIVE, function);

	guest->vmcb->save.rsp = l2_call_stack(guest->stack_top, argument, svm_call_end);
#ifdef __x86_64__
	guest->world.registers.di = (ulong)argument;
#endif
	return guest;
}

void svm_nested_paging(struct svm_guest *guest)
{
	guest->nested = tables_identity(TABLES_NATIVE);
	guest->vmcb->control.np_enable = NP_ENABLE;
	guest->vmcb->control.n_cr3 = (ulong)guest->nested.root;
}

void svm_intercept(struct svm_guest *guest, u64 exitcode)
{
	guest->vmcb->control.intercepts[exitcode / 32] |= 1u << exitcode % 32;
}

void svm_no_intercept(struct svm_guest *guest, u64 exitcode)
{
	guest->vmcb->control.intercepts[exitcode / 32] &= ~(1u << exitcode % 32);
}

void svm_intercept_ports(struct svm_guest *guest, u16 port, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		guest->iopm[(port + i) / 8] |= 1 << (port + i) % 8;
}

/* 15.11: two bits for each MSR, read and write, of three ranges in 2 KiB each. */
void svm_intercept_msr(struct svm_guest *guest, u32 msr, bool read, bool write)
{
	unsigned int range = msr < 0x2000 ? 0 : msr >> 16 == 0xc000 ? 1 : 2;
	unsigned int bit = (msr & 0x1fff) * 2;
	u8 *byte = &guest->msrpm[range * 2048 + bit / 8];

	*byte |= (read | write << 1) << bit % 8;
}

void svm_enter_ring3(struct svm_guest *guest)
{
	struct vmcb_save *save = &guest->vmcb->save;

	save->cpl = 3;
	save->ss.attrib |= VMCB_ATTRIB(DESC_DPL3, 0);
	save->cs.attrib |= VMCB_ATTRIB(DESC_DPL3, 0);
	save->ss.selector = USER_DS;
	save->cs.selector = USER_CS;
}

struct fault svm_fault(const struct svm_guest *guest)
{
	return (struct fault){ guest->world.fault };
}

u64 svm_rip(const struct svm_guest *guest)
{
	const struct vmcb_save *save = &guest->vmcb->save;

	/* 64-bit code has no base; that of CS may hold anything. */
	return save->cs.attrib & VMCB_ATTRIB(0, DESC_LONG) ? save->rip :
							     l2_linear(save->cs.base, save->rip);
}

void svm_skip(struct svm_guest *guest, unsigned int length)
{
	guest->vmcb->save.rip += length;
}

u64 svm_run(struct svm_guest *guest)
{
	guest->world.moves = !(guest->options & SVM_NO_VMLOAD);
	svm_invariants_before(guest, guest->before);
	svm_world_switch(&guest->world);
	l2_invariants_run(&guest->invariants);
	svm_invariants_after(guest, guest->before);
	return guest->vmcb->control.exitcode;
}

void svm_check_invariants(void)
{
	l2_check_invariants();
}
