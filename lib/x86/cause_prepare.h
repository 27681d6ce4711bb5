/* SPDX-License-Identifier: BSD-2-Clause */
/* What the rows of cause.c need: how to make things ready, and how to put them back. */
#ifndef LIB_X86_CAUSE_PREPARE_H
#define LIB_X86_CAUSE_PREPARE_H

#include "cause.h"
#include "selectors.h"

/* GDT entries that causes use; tests keep to the ones below. A call gate has two in 64-bit mode. */
#define NOT_PRESENT_SELECTOR TEST_SELECTOR(18)
#define SMALL_STACK_SELECTOR TEST_SELECTOR(19)
#define RING1_CS_SELECTOR    TEST_SELECTOR(20)
#define SHORT_TSS_SELECTOR   TEST_SELECTOR(21)
#define RING1_GATE_SELECTOR  TEST_SELECTOR(22)

/* Where BX points: RAM that all rings can read and write. */
extern u8 cause_memory[64];

typedef void cause_prepare_function(struct context *context, const struct environment *environment,
				    struct expected_trap *expected);

cause_prepare_function idiv_overflow, set_overflow, out_of_bounds;
cause_prepare_function single_step, data_breakpoint, instruction_breakpoint, general_detect;
cause_prepare_function page_fault_without_gate;
cause_prepare_function call_ring1_with_short_tss, interrupt_with_short_tss, jump_to_short_tss;
cause_prepare_function not_present_segment, small_stack_segment, beyond_gdt, non_canonical;
cause_prepare_function null_selector, data_segment_selector;
cause_prepare_function page_not_present, page_read_only, page_supervisor, page_reserved_bit;
cause_prepare_function fetch_not_present, fetch_no_execute;
cause_prepare_function set_ts, set_em, x87_exception;
cause_prepare_function simd_exception, simd_exception_without_osxmmexcpt;
cause_prepare_function misaligned;

void restore_page_fault_gate(void);
void restore_tss(void);
void fpu_undo(void);
void simd_undo(void);
void alignment_undo(void);

#endif
