// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory operands of VMX instructions. SDM volume 3A, "Limit Checking": an operand of n bytes
 * at offset o faults exactly when one of its bytes lies outside the segment, #SS(0) through SS
 * and #GP(0) through the others; in 64-bit mode exactly when it is not at canonical addresses.
 * VMX instructions are no exception from that: volume 3C, "VMX Instruction Reference".
 *
 * A hypervisor whose guest uses VMX computes it itself: the exit tells base, index, scale,
 * displacement and segment, and none of the checks has been made. KVM tested o + n > limit,
 * so that an operand whose last byte is the segment's last one faulted, with n = 8 for all
 * of them, in 32 bits on a 32-bit host, where the sum wraps (Linux c1a9acbc5295). Xen had
 * compared the first byte alone.
 *
 * Each operand is also accessed by its twin, a MOV of as many bytes through the same segment
 * register at the same offset: a check "twin" fails if one faults and the other does not, so
 * that the rule is the CPU's own. "within" are the cases of a row that must not fault, where
 * the instruction must have used just this operand; "beyond" those that must, with nothing
 * changed. The first that is wrong is named with its segment, offset and size.
 *
 *	limits.c	32-bit modes: offsets around the bounds of every kind of segment
 *	segments.c	32-bit modes: null, code and read-only segments, the cached descriptor
 *	addressing.c	sums that wrap, in every address size
 *	canonical.c	64-bit mode
 *	pages.c		page faults
 *	run.c		the instructions, and running one
 */
#include "report.h"

TEST_SUMMARY("a VMX instruction's operand faults exactly where an ordinary MOV's does");
TEST_MANUAL("SDM volume 3A, \"Limit Checking\"");
TEST_MANUAL("SDM volume 3C, \"VMX Instruction Reference\": exceptions of each instruction");
TEST_MANUAL("SDM volume 1, \"Specifying an Offset\", \"Canonical Addressing\"");
TEST_GUARDS(
    "Linux c1a9acbc5295 kvm: vmx: fix limit checking in get_vmx_mem_address(): o + n > limit");
TEST_GUARDS("Linux fdb28619a8f0 kvm: vmx: segment limit check: use access length, not always 8");
TEST_GUARDS(
    "Linux 8570f9e881e3 KVM: nVMX: Apply addr size mask to effective address: sums did not wrap");
TEST_NEEDS("VMX");
