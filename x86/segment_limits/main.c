// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segment limits. SDM volume 3A, "Limit Checking" (section 5.3, in newer editions 6.3):
 * an access of n bytes at offset o faults exactly when one of its bytes lies outside
 * the segment,
 *
 *	expand-up:	o + n - 1 > limit
 *	expand-down:	o <= limit, or o + n - 1 > 0xffff (B = 0) or 0xffffffff (B = 1)
 *
 * in arithmetic that does not wrap; with #SS(0) through SS and #GP(0) through the
 * others, before anything is written or any register changed. With page
 * granularity the limit's low 12 bits are ones. Where the upper bound is
 * 0xffffffff, an access that wraps around may or may not fault: counted, not judged.
 *
 * Hypervisors compute this themselves for every instruction that they emulate. KVM's
 * nested VMX faulted on operands that end just at the limit, since it tested
 * o + n > limit, and in 32 bits on a 32-bit host, where the sum wraps (Linux commit
 * c1a9acbc5295, "kvm: vmx: fix limit checking in get_vmx_mem_address()"); and it took
 * every operand to be 8 bytes long ("kvm: vmx: segment limit check: use access length").
 * Here the rule stands for all that a CPU or an instruction emulator executes.
 *
 * Instructions run in ring 3, in 32-bit code: under x86_64 in compatibility mode,
 * where limits are checked as in the 32-bit modes. The rows are tables:
 *
 *	data.c		memory operands through each segment register; LGDT, LIDT, LMSW
 *	stack.c		PUSH, POP, CALL, RET, IRET, ENTER, LEAVE at the limit of SS
 *	string.c	REP MOVS and the like: registers at the fault; INS and OUTS
 *	code.c		instruction fetch, near and far transfers at the limit of CS
 *	run.c		the rule, and running one instruction
 *
 * A check named "within" covers the offsets of a row that must not fault, "beyond"
 * those that must, of all rows of one kind. Where KVM's forced emulation is
 * available each case runs twice, by the CPU and, "emulated", by KVM's emulator; both are
 * held against the rule, and "agree" against each other: the fault, the registers, what
 * was written. Where the manual leaves a case open, a diagnostic counts the disagreements.
 */
#include "report.h"

TEST_SUMMARY("an access faults exactly when one of its bytes lies outside the segment's limit");
TEST_MANUAL("SDM volume 3A, \"Limit Checking\"");
TEST_MANUAL("SDM volume 3A, 3.4.5 \"Segment Descriptors\": G, D/B and E");
TEST_MANUAL("SDM volume 2, REP; CALL, JMP, RET and IRET: beyond the code segment limit");
TEST_GUARDS("Linux c1a9acbc5295: o + n > limit, in 32 bits, in nested VMX's operand check");
