#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# How a VMM can end, or fail to: by a stand-in VMM. A crash or a hang is found out and costs one
# subtest; a VMM that breaks is BROKEN and never SKIP or PASS.
# shellcheck disable=SC2016 # the stand-in expands its script, not we

load helpers

setup()
{
	setup_stand_in
}

teardown()
{
	nothing_left
}

# The time limit of the stanza is 10 s: what is noticed at once takes much less.
at_once()
{
	((SECONDS < 9)) || complain_and_fail "it took $SECONDS s"
}

# The subtests around the one that struck did run: with it left out nothing was lost.
cost_one_subtest()
{
	[[ $(cat "$BATS_TEST_TMPDIR"/logs/*.log) == *"ok 1 one # 2 checks"*"ok 1 three # 2 checks"* ]] ||
		complain_and_fail "the other subtests did not run"
}

@test "VMM missing: BROKEN" {
	QEMU=/nowhere/qemu runner three
	verdict BROKEN 1
	says "'/nowhere/qemu' is not there"
}

@test "VMM that is no program: BROKEN" {
	echo text >"$BATS_TEST_TMPDIR/qemu"
	QEMU=$BATS_TEST_TMPDIR/qemu runner three
	verdict BROKEN 1
	says "$BATS_TEST_TMPDIR/qemu"
}

@test "VMM for another machine: BROKEN" {
	printf '\177ELF\002\001\001' >"$BATS_TEST_TMPDIR/qemu"
	chmod +x "$BATS_TEST_TMPDIR/qemu"
	QEMU=$BATS_TEST_TMPDIR/qemu runner three
	verdict BROKEN 1
}

@test "VMM that exits at once with an error: BROKEN, with what it said" {
	stand_in 'complain "qemu: -accel what: invalid accelerator what"; exit 1'
	verdict BROKEN 1
	says "status 1: qemu: -accel what: invalid accelerator what"
}

@test "VMM that exits with 0 and nothing else: BROKEN" {
	stand_in 'exit 0'
	verdict BROKEN 1
	says "status 0"
}

@test "VMM that exits with 0 after a stream without fault: BROKEN" {
	stand_in 'begin; pass one; pass two; pass three; end; leave 0'
	verdict BROKEN 1
}

@test "VMM that exits with 1 after a stream without fault: BROKEN" {
	stand_in 'begin; pass one; pass two; pass three; end; leave 1'
	verdict BROKEN 1
	says "status 1"
}

@test "a guest that leaves with another value than agreed: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; end; leave 11'
	verdict ERROR 1
	says "left with 5 on the debug-exit port"
}

@test "VMM that exits with an odd status and complains: BROKEN" {
	stand_in 'begin; pass one; complain "qemu: something is odd"; leave 11'
	verdict BROKEN 1
	says "qemu: something is odd"
}

@test "VMM that dies by SIGSEGV midway: BROKEN" {
	stand_in 'begin; pass one; kill -SEGV $$'
	verdict BROKEN 1
	says "SIGSEGV"
}

@test "VMM that dies by SIGSEGV after END: BROKEN" {
	stand_in 'begin; pass one; pass two; pass three; end; kill -SEGV $$'
	verdict BROKEN 1
	says "SIGSEGV"
}

@test "VMM that aborts midway: BROKEN" {
	stand_in 'begin; pass one; complain "qemu: Assertion failed"; kill -ABRT $$'
	verdict BROKEN 1
	says "SIGABRT*Assertion failed"
}

@test "VMM that somebody kills: BROKEN" {
	stand_in 'begin; pass one; kill -KILL $$'
	verdict BROKEN 1
	says "SIGKILL"
}

@test "VMM that breaks while a check has failed: BROKEN is the worse" {
	stand_in 'begin; fail one a; kill -SEGV $$'
	verdict BROKEN 1
	says "one.a: expected 1, got 2"
}

@test "a triple fault: CRASH, and the subtests after it still run" {
	stand_in 'strike two triple_fault'
	verdict CRASH 1
	says "triple fault"
	says "in two"
	says "three.x86_64:two"
	at_once
	cost_one_subtest
}

@test "a KVM internal error: CRASH at once, and the subtests after it still run" {
	stand_in 'strike two internal_error'
	verdict CRASH 1
	says "internal error"
	says "emulation failure"
	says "in two"
	at_once
	cost_one_subtest
}

@test "a KVM internal error that nobody announces: CRASH at once" {
	stand_in 'strike two silent_internal_error'
	verdict CRASH 1
	says "internal error"
	at_once
	cost_one_subtest
}

@test "a failed VM entry: CRASH at once, and the subtests after it still run" {
	stand_in 'strike two failed_entry'
	verdict CRASH 1
	says "entry failed, hardware error 0x80000021"
	at_once
	cost_one_subtest
}

@test "crashes in the first and the last subtest: CRASH, and both are told" {
	stand_in 'case ${selected[0]} in one | three) begin; triple_fault ;; *) strike three triple_fault ;; esac'
	verdict CRASH 1
	says "three.x86_64:one"
	says "three.x86_64:three"
	at_once
}

@test "a crash before the plan: CRASH" {
	stand_in 'triple_fault'
	verdict CRASH 1
	says "before the first subtest"
	at_once
}

@test "a crash after the last subtest, before END: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; triple_fault'
	verdict CRASH 1
	says "after the last subtest"
	at_once
}

@test "a crash after END: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; end; triple_fault'
	verdict CRASH 1
	at_once
}

@test "the guest's own report of a crash: CRASH with its reason" {
	stand_in 'strike two eval "say \"# CRASH reason: unexpected #UD\"; say \"# CRASH check: two.ud\"; leave 87"'
	verdict CRASH 1
	says "unexpected #UD"
	says "two.ud"
	at_once
	cost_one_subtest
}

@test "the status of a crash without a report: CRASH" {
	stand_in 'strike two leave 87'
	verdict CRASH 1
	cost_one_subtest
}

@test "the status of a crash after a stream without fault: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; end; leave 87'
	verdict CRASH 1
}

@test "a report of a crash with a clean exit: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; say "# CRASH reason: unexpected #UD"; end; leave 85'
	verdict CRASH 1
	says "unexpected #UD"
}

@test "a hang: HANG at the time limit, and the subtests after it still run" {
	TIMEOUT=1 stand_in 'strike two serve'
	verdict HANG 1
	says "no end within 1.0 s"
	says "in two"
	says "three.x86_64:two"
	cost_one_subtest
}

@test "a hang of a VMM that does not answer: HANG" {
	TIMEOUT=1 stand_in 'strike two play_dead'
	verdict HANG 1
	says "in two"
	cost_one_subtest
	((SECONDS < 15)) || complain_and_fail "it took $SECONDS s"
}

@test "a hang of a VMM that ignores every signal it can: HANG" {
	TIMEOUT=1 stand_in 'trap "" HUP INT QUIT TERM; begin; pass one; pass two; while :; do read -r -t 1 </dev/zero || sleep 0.1; done'
	verdict HANG 1
	says "in three"
}

@test "a hang after END is no clean end if more was written: not PASS" {
	TIMEOUT=1 stand_in 'begin; pass one; pass two; pass three; end; say "and more"; serve'
	[[ $status == 1 ]] || complain_and_fail "exit status $status"
	says_not $'\n'"PASS three"
}

@test "hangs everywhere: given up after a few, and that is said" {
	image many a b c d e f g h
	printf '[many]\nfile = many\nmode = x86_64\n' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	export STAND_IN='begin; serve' STAND_IN_SUBTESTS='a b c d e f g h'
	TIMEOUT=0.5 runner many
	verdict HANG 1 many.x86_64
	says "given up after 3 hangs, 5 subtests did not run"
}

@test "BROKEN for one test, PASS for another: 1" {
	stanza four 'test_args = broken'
	export STAND_IN='[[ $arguments != *broken* ]] || exit 1; honest'
	runner three four
	verdict PASS 1
	verdict BROKEN 1 four.x86_64
	says "1 PASS, 1 BROKEN"
}

@test "a KVM internal error after END: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; end; internal_error'
	verdict CRASH 1
	at_once
}

@test "a VMM that is stopped: HANG" {
	TIMEOUT=1 stand_in 'strike two eval "kill -STOP \$\$"'
	verdict HANG 1
	says "in two"
}

@test "a worker of -j that dies: BROKEN, the others run" {
	stanza four
	stanza five 'test_args = deadly'
	export STAND_IN='[[ $arguments == *deadly* ]] && kill -KILL "$PPID"; honest'
	runner -j2 three four five
	verdict PASS 1
	verdict PASS 1 four.x86_64
	verdict BROKEN 1 five.x86_64
	says "worker died"
}

@test "an image and a declaration that do not belong together: ERROR" {
	sed -i 's/subtest two/subtest second/' "$BUILD_DIR/x86_64/three.info"
	stand_in honest
	verdict ERROR 1
	says "subtest 2 is 'two', not 'second'"
}

@test "a guest that switches the machine off, with status 0: BROKEN, not PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; powered_off; exit 0'
	[[ $status == 1 ]]
	says_not $'\n'"PASS three"
}

@test "debug-exit as newer QEMUs do it, paused until they are told to quit: PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; quit_status=85; powered_off'
	verdict PASS 0
	at_once
}

@test "VMM that dies by SIGSEGV when it is told to quit: BROKEN" {
	stand_in 'begin; pass one; pass two; pass three; end; quit_status=SEGV; serve'
	verdict BROKEN 1
	says "SIGSEGV"
}

@test "VMM that closes its monitor and stays: BROKEN or HANG" {
	export STAND_IN='begin; exec >&-; play_dead'
	TIMEOUT=1 runner three:one
	[[ $status == 1 ]]
	says_not $'\n'"PASS three"
	says "the VMM closed its pipe to the runner and stayed"
	((SECONDS < 15))
}

@test "a VMM that takes its time to end after it has closed its monitor: PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; exec >&-; sleep 0.3; leave 85'
	verdict PASS 0
}

@test "a VMM that does not answer is asked once, not until its pipe is full" {
	export STAND_IN='begin; timeout 3.5 cat >'"$BATS_TEST_TMPDIR/asked"'; pass one; end; leave 85'
	runner three:one
	verdict PASS 0 three.x86_64
	[[ $(grep -c query-status "$BATS_TEST_TMPDIR/asked") == 1 ]]
}

@test "an answer of the VMM that comes in pieces: CRASH, with registers" {
	export STAND_IN='printf() { case $1 in *"return\": \"%s"*) builtin printf %s "{\"return\": \"${registers:0:60}"; sleep 0.5; builtin printf %s "${registers:60}\"$3}"; sleep 0.5; echo ;; *) builtin printf "$@" ;; esac; }; strike two triple_fault'
	runner three
	verdict CRASH 1
	says "cpu 0: RAX=00000000000000aa"
	says "RIP=0000000000100123"
}

@test "what one VMM was told and did not read, the next is not told" {
	stanza four
	STAND_IN='begin; [[ $console == *four* ]] && serve; pass one; pass two; pass three; end; exec >&-; sleep 0.2; leave 85'
	export STAND_IN
	TIMEOUT=1 runner three four
	verdict PASS 1
	verdict HANG 1 four.x86_64
	export STAND_IN='sleep 1.4; begin; [[ $console != *four* ]] || timeout 0.3 cat >'"$BATS_TEST_TMPDIR/told"'; pass one; pass two; pass three; end; leave 85'
	runner three four
	verdict PASS 0
	verdict PASS 0 four.x86_64
	[[ $(grep -c qmp_capabilities "$BATS_TEST_TMPDIR/told") == 1 ]]
}

@test "the kernel ends a VMM that works on without end; TIMEOUT=0 is no limit" {
	export STAND_IN='ulimit -t >'"$BATS_TEST_TMPDIR/limit"'; honest'
	runner three
	[[ $(<"$BATS_TEST_TMPDIR/limit") == 40 ]]
	TIMEOUT=0 runner three
	[[ $(<"$BATS_TEST_TMPDIR/limit") == unlimited ]]
}

@test "a triple fault, and then the status of a clean end: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; end; quit_status=85; triple_fault'
	verdict CRASH 1
	says "triple fault"
}

@test "an internal error, and then the status of a clean end: CRASH" {
	stand_in 'begin; pass one; pass two; pass three; end; quit_status=85; internal_error'
	verdict CRASH 1
	says "internal error"
}

@test "a guest that leaves well after the runner has seen END: PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; sleep 0.6; leave 85'
	verdict PASS 0
}

@test "a guest that leaves otherwise after the runner has seen END: not PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; sleep 0.6; leave 87'
	verdict CRASH 1
	stand_in 'begin; pass one; pass two; pass three; end; sleep 0.6; leave 11'
	verdict ERROR 1
	stand_in 'begin; pass one; pass two; pass three; end; sleep 0.6; leave 1'
	verdict BROKEN 1
}
