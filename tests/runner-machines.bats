#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Verdicts on the other machines: Bochs, by a stand-in that misbehaves and by real guests, and
# KVM, by real guests.
# shellcheck disable=SC2016 # the stand-in expands its script, not we

load helpers

teardown()
{
	nothing_left
}

stand_in_bochs()
{
	setup_stand_in
	export BOCHS=$SRCDIR/tests/stand-in/bochs
	[[ -e /usr/share/vgabios/vgabios.bin ]] || skip "no Bochs here"
	stand_in "$1" --vmm bochs
}

on_bochs()
{
	setup_folders
	unset ACCEL
	type -P bochs >/dev/null || skip "no Bochs here"
	run "$SRCDIR/run_tests.sh" --vmm bochs --config "$SRCDIR/tests/guests" -o "$BATS_TEST_TMPDIR/logs" "$@"
}

# KVM as the runner finds it working, or not.
on_kvm()
{
	setup_folders
	ACCEL=kvm run "$SRCDIR/run_tests.sh" -o "$BATS_TEST_TMPDIR/logs" hello.x86_64
	((status == 0)) || skip "no KVM that works here"
	ACCEL=kvm run "$SRCDIR/run_tests.sh" --config "$SRCDIR/tests/guests" -o "$BATS_TEST_TMPDIR/logs" "$@"
}

@test "Bochs: nothing wrong: PASS" {
	stand_in_bochs honest
	verdict PASS 0
	grep -q '^version 2.7' "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
}

@test "Bochs missing: BROKEN" {
	setup_stand_in
	BOCHS=/nowhere/bochs runner --vmm bochs three
	verdict BROKEN 1
	says "'/nowhere/bochs' is not there"
}

@test "Bochs that cannot start the machine: BROKEN, with what it said" {
	stand_in_bochs 'cannot_start "ROM: could not open image"'
	verdict BROKEN 1
	says "ROM: could not open image"
}

@test "Bochs that ends without a word: BROKEN" {
	stand_in_bochs 'begin; pass one; pass two; pass three; end; exit 0'
	verdict BROKEN 1
}

@test "Bochs that dies by SIGSEGV: BROKEN" {
	stand_in_bochs 'begin; pass one; kill -SEGV $$'
	verdict BROKEN 1
	says "SIGSEGV"
}

@test "Bochs: shutdown without END: ERROR" {
	stand_in_bochs 'begin; pass one; pass two; pass three; leave'
	verdict ERROR 1
	says "no END record"
}

@test "Bochs: a panic, then the shutdown: not clean" {
	stand_in_bochs 'begin; pass one; pass two; pass three; end; panic "prefetch: RIP > limit"; leave'
	verdict CRASH 1
	says "prefetch: RIP > limit"
}

@test "Bochs: a guest that prints a panic: no crash and no clean end of its own" {
	stand_in_bochs 'say "00000123456p[CPU0  ] >>PANIC<< exception with no resolution"; honest'
	verdict PASS 0
	stand_in_bochs 'say "00000234567p[UNMAP ] >>PANIC<< Shutdown port: shutdown requested"; begin; pass one; pass two; pass three; end; exit 0'
	verdict BROKEN 1
}

@test "Bochs: a triple fault: CRASH, and the subtests after it still run" {
	stand_in_bochs 'strike two triple_fault'
	verdict CRASH 1
	says "triple fault"
	says "in two"
	[[ $(cat "$BATS_TEST_TMPDIR"/logs/*.log) == *"ok 1 one # 2 checks"*"ok 1 three # 2 checks"* ]]
}

@test "Bochs: a hang: HANG, and the subtests after it still run" {
	TIMEOUT=1 stand_in_bochs 'strike two serve'
	verdict HANG 1
	says "no end within 1.0 s, in two"
	[[ $(cat "$BATS_TEST_TMPDIR"/logs/*.log) == *"ok 1 three # 2 checks"* ]]
}

@test "Bochs: a hang that cannot be interrupted: HANG" {
	TIMEOUT=1 stand_in_bochs 'strike two play_dead'
	verdict HANG 1
	says "in two"
	((SECONDS < 20))
}

@test "Bochs: a flood: ERROR, and the log is capped" {
	stand_in_bochs 'begin; pass one; yes "# nothing to say" | head -c 200000000 >>"$console"; pass two; leave'
	verdict ERROR 1
	(($(stat -c %s "$BATS_TEST_TMPDIR/logs/three.x86_64.log") < 1400000))
}

@test "Bochs: a flood in its log: PASS, and the log is capped" {
	stand_in_bochs 'yes "00000123456e[CPU0  ] WRMSR: unknown" | head -c 20000000 >&2; honest'
	verdict PASS 0
	(($(stat -c %s "$BATS_TEST_TMPDIR/logs/three.x86_64.log") < 1100000))
}

@test "Bochs, real guests: PASS, FAIL, SKIP, ERROR" {
	on_bochs liar:honest
	verdict PASS 0 liar.x86_64
	on_bochs liar:failed
	verdict FAIL 1 liar.x86_64
	says "failed.sum: expected 0x3, got 0x2 at tests/guests/liar.c:*"
	on_bochs liar:skipped
	verdict SKIP 77 liar.x86_64
	on_bochs liar:early-end liar:after-end
	verdict ERROR 1 liar.x86_64
	on_bochs liar:no-end
	verdict ERROR 1 liar.x86_64
	says "no END record"
	on_bochs liar:after-end
	verdict ERROR 1 liar.x86_64
	says "output after END"
	on_bochs liar:halt
	verdict PASS 0 liar.x86_64
}

@test "Bochs, real guests: CRASH with registers and a stack, and the subtest after it runs" {
	on_bochs strikes.x86_64
	verdict CRASH 1 strikes.x86_64
	says "triple fault"
	says "RIP=0"
	says "test_triple_fault at tests/guests/strikes.c:*"
	says "unexpected #UD, in exception"
	says "unexpected #PF(0x4) at 0x*000 in ring 3, in user-page-fault"
	says "stack overflow on cpu 0"
	grep -q "^ok 1 after # 1 check" "$BATS_TEST_TMPDIR/logs/strikes.x86_64.log"
}

@test "Bochs, real guests: HANG with registers, stack and last check" {
	TIMEOUT=2 on_bochs hangs.i386:interrupts-off
	verdict HANG 1 hangs.i386
	says "last check: interrupts-off.spin (1 check so far)"
	says "EIP=0"
	says "spin at tests/guests/hangs.c:1*"
	says "start_main at lib/x86/main.c:"
}

@test "KVM, real guests: PASS, FAIL, ERROR" {
	on_kvm liar:honest
	verdict PASS 0 liar.x86_64
	on_kvm liar:failed
	verdict FAIL 1 liar.x86_64
	on_kvm liar:early-end liar:after-end
	verdict ERROR 1 liar.x86_64
}

@test "KVM, real guests: an internal error: CRASH at once, and the subtest after it runs" {
	on_kvm nowhere
	verdict CRASH 1 nowhere.x86_64
	says "KVM internal error"
	says "last check: execute.jump"
	says "0xd0000000: ??"
	says "start_main at lib/x86/main.c:"
	grep -q "^ok 1 before # 1 check" "$BATS_TEST_TMPDIR/logs/nowhere.x86_64.log"
	grep -q "^ok 1 after # 1 check" "$BATS_TEST_TMPDIR/logs/nowhere.x86_64.log"
	((SECONDS < 15))
}

@test "KVM, real guests: a triple fault and a hang: CRASH, HANG" {
	on_kvm strikes.x86_64:triple-fault
	verdict CRASH 1 strikes.x86_64
	says "triple fault"
	says "last check: triple-fault.no-idt"
	TIMEOUT=2 on_kvm hangs.x86_64:interrupts-off
	verdict HANG 1 hangs.x86_64
	says "spin at tests/guests/hangs.c:1*"
}
