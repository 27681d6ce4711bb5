// SPDX-License-Identifier: BSD-2-Clause
#include "cause_prepare.h"
#include "control.h"
#include "cpu.h"
#include "cpuid.h"
#include "debug.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"

/* The row's name says what each function is for; they share these parameters. */
#define PREPARE(name)                                                                              \
	void name(struct context *context, __unused const struct environment *environment,         \
		  __unused struct expected_trap *expected)

#define CW_ALL_MASKED	  0x037f
#define CW_ZM		  0x0004
#define MXCSR_ALL_MASKED  0x1f80
#define MXCSR_ZM	  0x0200

/* TSS sizes with room for RSP0 (ESP0, SS0) and no more; and up to the IST entry of NMIs. */
#define SHORT_TSS_SIZE	  12
#define TSS_SIZE_IST2	  (offsetof(struct tss64, ist) + 2 * sizeof(u64))
#define IST_BEYOND	  7
#define INT_IST_VECTOR	  0x31

u8 cause_memory[64] __aligned(64);

PREPARE(idiv_overflow)
{
	context->ax = 0x80000000; /* -2^31 / -1 */
	context->dx = 0xffffffff;
	context->cx = 0xffffffff;
}

PREPARE(set_overflow)
{
	context->flags |= EFLAGS_OF;
}

PREPARE(out_of_bounds)
{
	s32 *bounds = (s32 *)cause_memory;

	bounds[0] = 2;
	bounds[1] = 5;
	context->ax = 6;
}

/* Debug: SDM volume 3B, "Debug Registers". */

PREPARE(single_step)
{
	context->flags |= EFLAGS_TF;
}

PREPARE(data_breakpoint)
{
	breakpoint_set(0, context->bx, DR7_WRITE, DR7_LEN_1);
}

PREPARE(instruction_breakpoint)
{
	breakpoint_set(0, context->ip, DR7_EXECUTE, DR7_LEN_1);
}

PREPARE(general_detect)
{
	/* The debug exception clears GD, so that its handler can use the registers. */
	write_dr7(DR7_INITIAL | DR7_GD);
}

/* Double fault: a page fault whose delivery ends in #NP. */

void restore_page_fault_gate(void)
{
	idt[VECTOR_PF].access |= DESC_PRESENT;
}

PREPARE(page_fault_without_gate)
{
	page_not_present(context, environment, expected);
	idt[VECTOR_PF].access &= ~DESC_PRESENT;
}

/* Task state segment: SDM volume 2A, CALL, JMP and INT n. */

static void load_tss(u32 size)
{
	gdt_set_system(TSS_SELECTOR, (ulong)&this_cpu()->tss, size, DESC_PRESENT | DESC_TSS);
	ltr(TSS_SELECTOR);
}

void restore_tss(void)
{
	load_tss(sizeof(tss_t));
	idt[INT_IST_VECTOR] = (struct gate){ 0 };
}

struct far_pointer {
	u32 offset;
	u16 selector;
} __packed;

static void set_far_pointer(u16 selector)
{
	*(struct far_pointer *)cause_memory = (struct far_pointer){ 0, selector };
}

PREPARE(call_ring1_with_short_tss)
{
	gdt_set(RING1_CS_SELECTOR, gdt_get(KERNEL_CS) | (u64)DESC_DPL(1) << 40);
	gdt_set_gate(RING1_GATE_SELECTOR, gate_make(RING1_CS_SELECTOR | 1, (ulong)context_end,
						    DESC_PRESENT | DESC_DPL3 | DESC_CALL_GATE, 0));
	set_far_pointer(RING1_GATE_SELECTOR | 3);
	load_tss(SHORT_TSS_SIZE);
}

PREPARE(interrupt_with_short_tss)
{
	idt[INT_IST_VECTOR] =
		gate_make(KERNEL_CS, trap_entry_address(INT_IST_VECTOR),
			  DESC_PRESENT | DESC_DPL3 | DESC_INTERRUPT_GATE, IST_BEYOND);
	load_tss(TSS_SIZE_IST2);
}

PREPARE(jump_to_short_tss)
{
	static tss_t tss;

	gdt_set_system(SHORT_TSS_SELECTOR, (ulong)&tss, SHORT_TSS_SIZE, DESC_PRESENT | DESC_TSS);
	set_far_pointer(SHORT_TSS_SELECTOR);
}

/* Segments */

/* MOV to SS wants RPL = DPL = CPL. */
PREPARE(not_present_segment)
{
	unsigned int ring = environment_is_user(environment) ? 3 : 0;

	gdt_set(NOT_PRESENT_SELECTOR,
		SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_DPL(ring) | DESC_DATA_WRITABLE,
				   DESC_BIG | DESC_GRANULARITY));
	context->cx = NOT_PRESENT_SELECTOR | ring;
}

PREPARE(small_stack_segment)
{
	gdt_set(SMALL_STACK_SELECTOR,
		SEGMENT_DESCRIPTOR(0, 0xfff, DESC_PRESENT | DESC_DPL3 | DESC_DATA_WRITABLE,
				   DESC_BIG));
	context->ss = SMALL_STACK_SELECTOR | 3;
	context->bp = 0x1000 - 3; /* the last of 4 bytes is beyond the limit */
}

PREPARE(beyond_gdt)
{
	context->cx = 0xfff8;
}

/* RPL 1, since 64-bit code in ring 0 may load a null selector with RPL 0 into SS. */
PREPARE(null_selector)
{
	context->cx = 1;
}

PREPARE(data_segment_selector)
{
	context->cx = KERNEL_DS;
}

PREPARE(non_canonical)
{
	context->bx = context->bp = (ulong)BIT_ULL(63);
}

/* Pages: SDM volume 3A, "Page-Fault Exceptions". */

/* Below 4 GiB, for compatibility mode: RAM, and not virtual_range(). */
static ulong page_with(pte_t flags)
{
	static ulong page;

	if (!page)
		page = (ulong)page_alloc();
	page_map(page, page, PAGE_SIZE, LEVEL_4K, flags);
	return page;
}

static void use_page(struct context *context, struct expected_trap *expected, pte_t flags)
{
	context->bx = expected->cr2 = page_with(flags);
}

PREPARE(page_not_present)
{
	use_page(context, expected, PAGE_DEFAULT & ~PTE_PRESENT);
}

PREPARE(page_read_only)
{
	use_page(context, expected, PAGE_DEFAULT & ~PTE_WRITABLE);
}

PREPARE(page_supervisor)
{
	use_page(context, expected, PAGE_DEFAULT & ~PTE_USER);
}

/* A bit of a large page's entry that is reserved whatever MAXPHYADDR is. */
PREPARE(page_reserved_bit)
{
	static ulong page;
	ulong size = page_size_at(LEVEL_2M);

	if (!page)
		page = (ulong)pages_alloc(size / PAGE_SIZE, size);
	page_map(page, page, size, LEVEL_2M,
		 PAGE_DEFAULT | (pte_t)1 << (PAGING_LEVELS == 2 ? 21 : 13));
	context->bx = expected->cr2 = page;
}

/* The error code tells a fetch only where NX or SMEP is on. */
PREPARE(fetch_not_present)
{
	page_not_present(context, environment, expected);
	expected->ip = context->bx;
	if (PAGING_LEVELS > 2 && cpu_has(FEATURE_NX) && rdmsr(MSR_EFER) & EFER_NX)
		expected->fault.value |= PF_FETCH;
}

#if PAGING_LEVELS > 2

PREPARE(fetch_no_execute)
{
	use_page(context, expected, PAGE_DEFAULT | PTE_NX);
	expected->ip = context->bx;
}

#endif

/* x87 and SSE. Their state is not kept: the library itself uses neither. */

void fpu_undo(void)
{
	write_cr0((read_cr0() | CR0_MP) & ~(CR0_EM | CR0_TS));
	asm volatile("fninit");
}

PREPARE(set_ts)
{
	write_cr0(read_cr0() | CR0_MP | CR0_TS);
}

PREPARE(set_em)
{
	write_cr0(read_cr0() | CR0_EM);
}

/* 1.0 / 0.0 with the exception unmasked stays pending until the next waiting instruction. */
PREPARE(x87_exception)
{
	const u16 control = CW_ALL_MASKED & ~CW_ZM;

	asm volatile("fninit\n\t"
		     "fldcw %0\n\t"
		     "fld1\n\t"
		     "fldz\n\t"
		     "fdivrp %%st, %%st(1)"
		     :
		     : "m"(control));
}

void simd_undo(void)
{
	const u32 mxcsr = MXCSR_ALL_MASKED;

	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

/* 1.0 / 0.0 in all four elements. */
PREPARE(simd_exception)
{
	static const float ones[4] __aligned(16) = { 1, 1, 1, 1 };
	const u32 mxcsr = MXCSR_ALL_MASKED & ~MXCSR_ZM;

	asm volatile("ldmxcsr %0\n\t"
		     "movaps %1, %%xmm0\n\t"
		     "xorps %%xmm1, %%xmm1"
		     :
		     : "m"(mxcsr), "m"(ones));
}

PREPARE(simd_exception_without_osxmmexcpt)
{
	simd_exception(context, environment, expected);
	write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
}

/* Alignment: CR0.AM, EFLAGS.AC and CPL 3. */

void alignment_undo(void)
{
	write_cr0(read_cr0() & ~CR0_AM);
}

PREPARE(misaligned)
{
	write_cr0(read_cr0() | CR0_AM);
	context->flags |= EFLAGS_AC;
	context->bx++;
}
