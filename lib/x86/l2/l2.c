// SPDX-License-Identifier: BSD-2-Clause
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "l2/l2.h"
#include "msr.h"

#define PROTECTED (CR0_PE | CR0_ET | CR0_NE)
#define PAGED	  (PROTECTED | CR0_WP | CR0_PG)

/* What the modes differ in; L2_NATIVE takes this image's own. */
static const struct mode {
	const char *name;
	ulong cr0, cr4;
	u64 efer;
	enum table_format format;
	u8 code_flags, data_access, data_flags;
	u32 limit;
} modes[L2_MODES] = {
#ifdef __x86_64__
	[L2_NATIVE] = { .name = "native",
			.cr0 = PAGED,
			.efer = EFER_LME | EFER_LMA | EFER_NX,
			.format = TABLES_4_LEVELS },
	[L2_LONG] = { "long", PAGED, CR4_PAE, EFER_LME | EFER_LMA | EFER_NX, TABLES_4_LEVELS,
		      DESC_LONG, 0, DESC_BIG, 0xffffffff },
	[L2_COMPAT] = { "compat", PAGED, CR4_PAE, EFER_LME | EFER_LMA | EFER_NX, TABLES_4_LEVELS,
			DESC_BIG, 0, DESC_BIG, 0xffffffff },
#else
	[L2_NATIVE] = { .name = "native", .cr0 = PAGED, .format = TABLES_NATIVE },
	[L2_LONG] = { .name = "long" },
	[L2_COMPAT] = { .name = "compat" },
#endif
	[L2_PAE] = { "pae", PAGED, CR4_PAE, 0, TABLES_PAE, DESC_BIG, 0, DESC_BIG, 0xffffffff },
	[L2_32BIT] = { "32bit", PAGED, CR4_PSE, 0, TABLES_2_LEVELS, DESC_BIG, 0, DESC_BIG,
		       0xffffffff },
	[L2_PROTECTED] = { "protected", PROTECTED, 0, 0, TABLES_FORMATS, DESC_BIG, 0, DESC_BIG,
			   0xffffffff },
	[L2_REAL] = { "real", CR0_ET | CR0_NE, 0, 0, TABLES_FORMATS, 0, 0, 0, 0xffff },
	[L2_V8086] = { "v8086", PAGED, CR4_PAE, 0, TABLES_PAE, 0, DESC_DPL3, 0, 0xffff },
};

/* For far transfers of L2 within its flat segments; the selectors are this image's. */
static const u64 flat_gdt[] = {
#define FLAT(access, flags)                                                                        \
	SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_PRESENT | DESC_ACCESSED | (access),                    \
			   DESC_GRANULARITY | (flags))
	[KERNEL_CS / 8] = FLAT(DESC_CODE_READABLE, DESC_LONG),
	[KERNEL_DS / 8] = FLAT(DESC_DATA_WRITABLE, DESC_BIG),
	[KERNEL_CS32 / 8] = FLAT(DESC_CODE_READABLE, DESC_BIG),
	[USER_CS32 / 8] = FLAT(DESC_DPL3 | DESC_CODE_READABLE, DESC_BIG),
	[USER_DS / 8] = FLAT(DESC_DPL3 | DESC_DATA_WRITABLE, DESC_BIG),
	[USER_CS / 8] = FLAT(DESC_DPL3 | DESC_CODE_READABLE, DESC_LONG),
#undef FLAT
};

struct descriptor_pointer l2_gdtr(void)
{
	return (struct descriptor_pointer){ sizeof(flat_gdt) - 1, (ulong)flat_gdt };
}

const char *l2_mode_name(enum l2_mode mode)
{
	return modes[mode].name;
}

bool l2_mode_supported(enum l2_mode mode)
{
	/* A 32-bit L1 has no tables of 4 levels to give. */
	if (mode == L2_LONG || mode == L2_COMPAT)
		return sizeof(ulong) == 8;
	return true;
}

struct tables l2_tables(enum l2_mode mode)
{
	if (modes[mode].format == TABLES_FORMATS)
		return (struct tables){ .format = TABLES_FORMATS };
	return tables_identity(modes[mode].format);
}

static struct l2_segment segment(u16 selector, u64 base, u32 limit, u8 access, u8 flags)
{
	return (struct l2_segment){
		.selector = selector,
		.segment = { base, limit, DESC_PRESENT | DESC_ACCESSED | access,
			     flags | (limit > 0xfffff ? DESC_GRANULARITY : 0) },
	};
}

/* This CPU's own descriptors: traps of L2 find their handlers and struct cpu. */
static void share_tables(struct l2_state *state)
{
	state->cs = segment(KERNEL_CS, 0, 0xffffffff, DESC_CODE_READABLE,
			    sizeof(ulong) == 8 ? DESC_LONG : DESC_BIG);
	state->ds = segment(KERNEL_DS, 0, 0xffffffff, DESC_DATA_WRITABLE, DESC_BIG);
	state->tr = (struct l2_segment){
		.selector = TSS_SELECTOR,
		.segment = { (ulong)&this_cpu()->tss, sizeof(tss_t) - 1,
			     DESC_PRESENT | DESC_TSS | DESC_TSS_BUSY, 0 },
	};
	state->gdtr = sgdt();
	state->idtr = sidt();
}

static void own_tables(struct l2_state *state, const struct mode *mode)
{
	state->cs = segment(mode->code_flags & DESC_LONG ? KERNEL_CS : KERNEL_CS32, 0, mode->limit,
			    DESC_CODE_READABLE, mode->code_flags);
	state->ds = segment(KERNEL_DS, 0, mode->limit, DESC_DATA_WRITABLE, mode->data_flags);
	state->tr = (struct l2_segment){
		.segment = { 0, 0xffff, DESC_PRESENT | DESC_TSS | DESC_TSS_BUSY, 0 },
	};
	state->gdtr = l2_gdtr();
}

/*
 * 16-bit code and stack stay where the image put them, beyond the reach of real mode's
 * selectors: the bases are in the hidden part alone, and a far transfer would change them.
 */
static void place_16bit(struct l2_state *state, const struct mode *mode, u8 *stack_top)
{
	u64 code = ALIGN_DOWN(state->rip, 16);
	u64 stack = (ulong)stack_top - L2_STACK_SIZE;
	u8 access = DESC_DATA_WRITABLE | mode->data_access;

	state->cs = segment(code >> 4, code, 0xffff, access, 0);
	state->ss = segment(stack >> 4, stack, 0xffff, access, 0);
	state->ds = state->es = state->fs = state->gs = segment(0, 0, 0xffff, access, 0);
	state->rip -= code;
	state->rsp = L2_STACK_SIZE;
	state->gdtr = (struct descriptor_pointer){ 0xffff, 0 };
	state->idtr = (struct descriptor_pointer){ 0, 0 };
}

struct l2_state l2_state(enum l2_mode number, const void *code, u8 *stack_top,
			 const struct tables *tables)
{
	const struct mode *mode = &modes[number];
	struct l2_state state = {
		.cr0 = mode->cr0,
		.cr3 = (ulong)tables->root,
		.cr4 = mode->cr4,
		.efer = mode->efer,
		.rip = (ulong)code,
		.rsp = (ulong)stack_top,
		.rflags = EFLAGS_FIXED,
		.ldtr = { .segment = { 0, 0xffff, DESC_LDT, 0 } },
	};

	if (number == L2_NATIVE) {
		/* Only what C code of this image relies on. */
		state.cr4 = read_cr4() & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_OSFXSR |
					  CR4_OSXMMEXCPT | CR4_OSXSAVE);
		share_tables(&state);
	} else {
		own_tables(&state, mode);
	}
	state.ss = state.es = state.fs = state.gs = state.ds;
	if (number == L2_REAL || number == L2_V8086)
		place_16bit(&state, mode, stack_top);
	if (number == L2_V8086)
		state.rflags |= EFLAGS_VM;
	return state;
}

ulong l2_call_stack(u8 *stack_top, void *argument, const void *end)
{
	ulong *stack = (ulong *)stack_top;

	/* As after a CALL: where the argument is on the stack, its place is aligned to 16 bytes. */
	if (sizeof(ulong) == 4) {
		stack -= 4;
		stack[0] = (ulong)argument;
	}
	*--stack = (ulong)end;
	return (ulong)stack;
}
