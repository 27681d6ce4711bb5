#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Real guests that crash, hang and lie (tests/guests/), on QEMU's TCG: the verdict, and the
# post-mortem of what struck.

load helpers

setup()
{
	setup_folders
}

teardown()
{
	nothing_left
}

guest()
{
	run "$SRCDIR/run_tests.sh" --config "$SRCDIR/tests/guests" -o "$BATS_TEST_TMPDIR/logs" "$@"
}

liar()
{
	verdict "$1" "$2" "${3:-liar.x86_64}"
}

# Registers of a CPU, in the guest's own account or in QEMU's.
has_registers()
{
	local cpu=$1

	grep -qiE "^    cpu $cpu: .*\b[er]ip=" <<<"$output" || complain_and_fail "no registers of CPU $cpu"
}

triple_fault()
{
	local run=strikes.$1

	guest "$run:triple-fault"
	verdict CRASH 1 "$run"
	says "triple fault"
	says "last check: triple-fault.no-idt"
	has_registers 0
	has_registers 1
	says "cpu 0 stack:"$'\n'"      0x*: test_triple_fault at *tests/guests/strikes.c:*"
	says "start_main at *lib/x86/main.c:"
	says "cpu 1 stack:"$'\n'"*smp_ap_main at *lib/x86/smp.c:"
	says "again: *run_tests.sh *strikes.$1:triple-fault"
}

@test "triple fault, x86_64: CRASH with registers, stack and last check" {
	triple_fault x86_64
}

@test "triple fault, pae: CRASH with registers, stack and last check" {
	triple_fault pae
}

@test "triple fault, i386: CRASH with registers, stack and last check" {
	triple_fault i386
}

page_fault_in_ring3()
{
	local run=strikes.$1

	guest "$run:user-page-fault"
	verdict CRASH 1 "$run"
	says "unexpected #PF(0x4) at 0x*0000 in ring 3"
	says "last check: user-page-fault.read"
	has_registers 0
	has_registers 1
	says "cs=0x33"
	says "cpu 0 stack:"$'\n'"      0x*: touch at *tests/guests/strikes.c:"
	says "cpu 1 stack:"$'\n'"*smp_ap_main at *lib/x86/smp.c:"
}

@test "#PF in ring 3, x86_64: CRASH with registers, stack and last check" {
	page_fault_in_ring3 x86_64
}

@test "#PF in ring 3, i386: CRASH with registers, stack and last check" {
	page_fault_in_ring3 i386
}

stack_overflow()
{
	local run=strikes.$1

	guest "$run:stack-overflow"
	verdict CRASH 1 "$run"
	says "stack overflow on cpu 0: #DF(0), guard page at 0x"
	says "last check: stack-overflow.descend"
	has_registers 0
	has_registers 1
	says "cpu 0 stack:"$'\n'"      0x*: descend at *tests/guests/strikes.c:*"$'\n'"      0x*: descend at "
}

@test "stack overflow, x86_64: CRASH with registers, stack and last check" {
	stack_overflow x86_64
}

@test "stack overflow, pae: CRASH with registers, stack and last check" {
	stack_overflow pae
}

@test "stack overflow, i386: CRASH with registers, stack and last check" {
	stack_overflow i386
}

@test "unexpected exception: CRASH with registers, stack and last check" {
	guest strikes.x86_64:exception
	verdict CRASH 1 strikes.x86_64
	says "unexpected #UD"
	says "last check: exception.ud2"
	has_registers 0
	has_registers 1
	says "cpu 0 stack:"$'\n'"      0x*: test_exception at *tests/guests/strikes.c:"
}

@test "crashes one after another: each costs one subtest, and the last one runs" {
	guest strikes.x86_64
	verdict CRASH 1 strikes.x86_64
	says "triple-fault"
	says "in exception"
	says "in user-page-fault"
	says "in stack-overflow"
	grep -q "^ok 1 before # 1 check" "$BATS_TEST_TMPDIR/logs/strikes.x86_64.log"
	grep -q "^ok 1 after # 1 check" "$BATS_TEST_TMPDIR/logs/strikes.x86_64.log"
}

hang_with_interrupts_off()
{
	local run=hangs.$1

	TIMEOUT=1 guest "$run:interrupts-off"
	verdict HANG 1 "$run"
	says "no end within 1.0 s, in interrupts-off"
	says "last check: interrupts-off.spin (1 check so far)"
	has_registers 0
	has_registers 1
	says "cpu 0 stack:"$'\n'"      0x*spin at *tests/guests/hangs.c:1*"
	says "start_main at *lib/x86/main.c:"
	says "cpu 1 stack:"$'\n'"*smp_ap_main at *lib/x86/smp.c:"
	says "again: *run_tests.sh *$run:interrupts-off"
}

@test "hang with interrupts off, x86_64: HANG with registers, stack and last check" {
	hang_with_interrupts_off x86_64
}

@test "hang with interrupts off, i386: HANG with registers, stack and last check" {
	hang_with_interrupts_off i386
}

@test "hang with interrupts on: HANG, and the subtest after it runs" {
	TIMEOUT=1 guest hangs.pae:interrupts-on hangs.pae:after
	verdict HANG 1 hangs.pae
	says "last check: interrupts-on.halt (0 checks so far)"
	says "test_interrupts_on at *tests/guests/hangs.c:"
	grep -q "^ok 1 after # 1 check" "$BATS_TEST_TMPDIR/logs/hangs.pae.log"
}

@test "an honest subtest: PASS" {
	guest liar:honest
	liar PASS 0
}

@test "not ok and a clean exit: FAIL with expected, got, file:line" {
	guest liar:failed
	liar FAIL 1
	says "failed.sum: expected 0x3, got 0x2 at tests/guests/liar.c:$(grep -n "check_equal(1 + 1, 3" "$SRCDIR/tests/guests/liar.c" | cut -d: -f1)"
}

@test "everything skipped: SKIP with the reason" {
	guest liar:skipped
	liar SKIP 77
	says "this machine has no conscience"
}

@test "no check: ERROR" {
	guest liar:no-check
	liar ERROR 1
	says "'no-check' ran no check"
}

@test "repeated id: ERROR" {
	guest liar:repeated-id
	liar ERROR 1
	says "repeated check ids"
}

@test "END before the last subtest: ERROR" {
	guest liar:early-end liar:after-end
	liar ERROR 1
	says "'after-end' was planned and did not report"
}

@test "output after END: ERROR" {
	guest liar:after-end
	liar ERROR 1
	says "output after END: one more thing"
}

@test "END with wrong totals: ERROR" {
	guest liar:wrong-totals
	liar ERROR 1
	says "END says subtests=1 checks=2*its lines say subtests=1 checks=1"
}

@test "END of another test: ERROR" {
	guest liar:other-end
	liar ERROR 1
	says "END bears nonce 0123456789abcdef"
}

@test "a guest that leaves without END: ERROR" {
	guest liar:no-end
	liar ERROR 1
	says "no END record"
}

@test "a guest that halts after END: PASS, and not at the time limit" {
	guest liar:halt
	liar PASS 0
	((SECONDS < 10))
}

@test "a guest that leaves with QEMU's own failure status: BROKEN" {
	guest liar:exit-zero
	liar BROKEN 1
	says "status 1"
}

@test "a guest that leaves with another value than agreed: ERROR" {
	guest liar:exit-other
	liar ERROR 1
	says "left with 5 on the debug-exit port"
}

@test "terminal escapes: FAIL, and none on the screen" {
	guest -v liar:escapes
	liar FAIL 1
	says "got ?]0;owned"
	[[ $output != *[$'\e\a\r']* ]]
}

@test "NUL bytes in a diagnostic: PASS; in a result: ERROR" {
	guest liar:nul
	liar PASS 0
	guest liar:nul-in-result
	liar ERROR 1
}

@test "a flood: not PASS, and the log is capped" {
	TIMEOUT=3 guest endless:flood
	verdict HANG 1 endless.x86_64
	(($(stat -c %s "$BATS_TEST_TMPDIR/logs/endless.x86_64.log") < 1100000))
}

@test "an endless line: not PASS, and the log is capped" {
	TIMEOUT=2 guest endless:endless-line
	verdict HANG 1 endless.x86_64
	(($(stat -c %s "$BATS_TEST_TMPDIR/logs/endless.x86_64.log") < 1100000))
}

@test "the guests on machine pc, and through -kernel: the same verdicts" {
	MACHINE=pc guest liar:honest
	liar PASS 0
	MACHINE=pc guest liar:early-end liar:after-end
	liar ERROR 1
	MACHINE=pc guest strikes.x86_64:triple-fault
	verdict CRASH 1 strikes.x86_64
	guest --boot multiboot liar:honest
	liar PASS 0
	guest --boot multiboot liar:failed
	liar FAIL 1
}
