#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What reaches the screen and the logs: nothing that a guest wrote steers a terminal or fills a
# disk, TAP is true, and colour is for terminals.
# shellcheck disable=SC2016 # the stand-in expands its script, not we

load helpers

setup()
{
	setup_stand_in
	LOG=$BATS_TEST_TMPDIR/logs/three.x86_64.log
}

teardown()
{
	nothing_left
}

# Only printable ASCII, and newlines, in what the runner printed.
printable_only()
{
	LC_ALL=C
	[[ $output != *[!\ -~$'\n']* ]] || complain_and_fail "control characters: $(cat -v <<<"$output")"
}

ESCAPES='\e]0;owned\a\e[2J\e[31mred\r\b\x9b'

@test "terminal escapes in diagnostics: PASS, and none reaches the screen" {
	stand_in "say '$ESCAPES'; say '# $ESCAPES'; honest" -v
	verdict PASS 0
	printable_only
}

@test "terminal escapes in a failed check: FAIL, shown as question marks" {
	stand_in "begin; say '    not ok 1 one.a # expected black, got $ESCAPES at x.c:1'; say 'not ok 1 one # 1 of 1 checks failed'; subtests=1; checks=1; failed=1; pass two; pass three; end; leave 85"
	verdict FAIL 1
	says "expected black, got ?]0;owned"
	printable_only
}

@test "terminal escapes in names, in END and after it: ERROR, and none reaches the screen" {
	stand_in "begin; say 'ok 1 one$ESCAPES # 2 checks'; say '# END $ESCAPES'; say '    ok 1 $ESCAPES'; pass two; pass three; end; say '$ESCAPES'; leave 85" -v
	verdict ERROR 1
	printable_only
}

@test "terminal escapes in the reason of a crash and of a skip: none reaches the screen" {
	stand_in "say '# CRASH reason: $ESCAPES'; say '# CRASH check: $ESCAPES'; say '# CRASH cpu 0 registers: $ESCAPES'; say '# CRASH cpu 0 stack: $ESCAPES'; leave 87"
	verdict CRASH 1
	printable_only
	stand_in "begin; skip one '$ESCAPES'; skip two; skip three; end; leave 85"
	verdict SKIP 77
	printable_only
}

@test "terminal escapes in what the VMM complains of: BROKEN, and none reaches the screen" {
	stand_in "printf '$ESCAPES bad' >&2; exit 1"
	verdict BROKEN 1
	says bad
	printable_only
}

@test "a false result line behind a carriage return: ERROR" {
	stand_in 'begin; say "ok 1 one # 2 checks\r"; subtests=1; checks=2; pass two; pass three; end; leave 85'
	verdict ERROR 1
}

@test "NUL bytes in diagnostics: PASS" {
	stand_in 'say "\0a\0"; honest'
	verdict PASS 0
}

@test "NUL bytes within a result: ERROR" {
	stand_in 'begin; say "ok 1 one\0 # 2 checks"; subtests=1; checks=2; pass two; pass three; end; leave 85'
	verdict ERROR 1
	printable_only
}

@test "NUL bytes within END: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; say "# END\0 nonce=$nonce subtests=3 checks=6 failed=0 skipped=0 duplicates=0"; leave 85'
	verdict ERROR 1
}

@test "nothing but NUL bytes: ERROR" {
	stand_in 'head -c 100000 /dev/zero >>"$console"; leave 85'
	verdict ERROR 1
	says "no plan"
}

@test "a flood of 200 MB: ERROR soon, and the log is capped and says so" {
	stand_in 'begin; pass one; yes "# nothing to say" | head -c 200000000 >>"$console"; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "bytes to the console"
	(($(stat -c %s "$LOG") < 1100000))
	grep -q "was cut at 1048576 bytes" "$LOG"
	((SECONDS < 10))
}

@test "a flood of 2 MB in the middle of an honest run: PASS, and the log is capped" {
	stand_in 'begin; pass one; yes "# nothing to say" | head -c 2000000 >>"$console"; say; pass two; pass three; end; leave 85'
	verdict PASS 0
	(($(stat -c %s "$LOG") < 1100000))
	grep -q "was cut at 1048576 bytes" "$LOG"
	grep -q "^# END" "$LOG"
}

@test "a flood on stderr: the log is capped" {
	stand_in 'yes "warning: nothing" | head -c 10000000 >&2; honest'
	verdict PASS 0
	(($(stat -c %s "$LOG") < 1100000))
}

@test "an endless flood on QMP: HANG at the time limit" {
	export STAND_IN='begin; exec yes "{\"event\": \"RTC_CHANGE\"}"'
	TIMEOUT=1 runner three:one
	verdict HANG 1
	((SECONDS < 9))
}

@test "an endless line: ERROR soon" {
	stand_in 'begin; head -c 200000000 /dev/zero | tr "\0" x >>"$console"; leave 85'
	verdict ERROR 1
	says "bytes to the console"
	(($(stat -c %s "$LOG") < 1100000))
	((SECONDS < 10))
}

@test "a line of 8 MB before an honest run: PASS, and the log is capped" {
	stand_in 'head -c 8000000 /dev/zero | tr "\0" x >>"$console"; say; honest'
	verdict PASS 0
	(($(stat -c %s "$LOG") < 1100000))
}

@test "a flood of failing checks: FAIL, the first ones shown, the log capped" {
	stand_in 'begin; seq 100000 | sed "s/.*/    not ok & one.& # x/" >>"$console"; say "not ok 1 one # 100000 of 100000 checks failed"; subtests=1; checks=100000; failed=100000; pass two; pass three; end; leave 85'
	[[ $status == 1 ]]
	((${#lines[@]} < 15))
	says "one.1: x"
	(($(stat -c %s "$LOG") < 8000000))
}

@test "a long id and a long text: the lines stay readable" {
	stand_in 'x=$(printf %5000s | tr " " x); begin; say "    not ok 1 one.$x # $x"; say "not ok 1 one # 1 of 1 checks failed"; subtests=1; checks=1; failed=1; pass two; pass three; end; leave 85'
	[[ $status == 1 ]]
	((${#output} < 2500))
}

@test "no colour and no live line when not on a terminal" {
	TERM=xterm stand_in 'strike two triple_fault'
	printable_only
}

on_a_terminal()
{
	local command

	printf -v command '%q ' "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" \
		-o "$BATS_TEST_TMPDIR/logs" "$@"
	TERM=xterm run script -qec "$command" /dev/null </dev/null
}

@test "colour and a live line on a terminal, no colour with NO_COLOR" {
	on_a_terminal three
	[[ $status == 0 ]]
	[[ $output == *$'\e[32mPASS\e[0m three.x86_64'* ]]
	[[ $output == *$'\r\e[K[0/1] three.x86_64'* ]]
	NO_COLOR=1 on_a_terminal three
	[[ $output != *$'\e[32m'* ]]
	[[ $output == *"PASS three.x86_64"* ]]
}

@test "no live line and no colour with -t on a terminal" {
	on_a_terminal -t three
	output=${output//$'\r'/}
	printable_only
	says "ok 1 - three.x86_64"
}

@test "a guest's escapes on a terminal: only the runner's own" {
	export STAND_IN="begin; say '    not ok 1 one.a # got $ESCAPES'; say 'not ok 1 one # 1 of 1 checks failed'; subtests=1; checks=1; failed=1; pass two; pass three; end; leave 85"
	on_a_terminal three
	[[ $output == *"got ?]0;owned"* ]]
	[[ $output != *$'\e]'* && $output != *$'\a'* ]]
}

# Each verdict once: the stanza's word says which.
every_verdict()
{
	local name

	for name in pass fail xpass skip crash hang error broken; do
		stanza "$name" "test_args = $name"
	done
	printf '[k]\ntest = xpass.*\nkind = fail\nid = one.a\nwhy = is known\n' \
		>"$BATS_TEST_TMPDIR/config/known/all.cfg"
	export STAND_IN='case $arguments in
		*fail) begin; fail one a; pass two; pass three; end; leave 85 ;;
		*skip) begin; skip one; skip two; skip three; end; leave 85 ;;
		*crash) strike two triple_fault ;;
		*hang) strike two serve ;;
		*error) begin; pass one; leave 85 ;;
		*broken) exit 1 ;;
		esac
		honest'
}

@test "TAP tells every verdict, and no ok line for what is worse than PASS" {
	every_verdict
	TIMEOUT=1.5 runner -t pass fail xpass skip crash hang error broken
	[[ $status == 1 ]]
	[[ ${lines[0]} == "TAP version 13" && ${lines[1]} == "1..8" ]]
	says $'\n'"ok 1 - pass.x86_64 (6 checks)"
	says $'\n'"not ok 2 - fail.x86_64: FAIL (1 of 8 checks)"
	says $'\n'"not ok 3 - xpass.x86_64: XPASS"
	says $'\n'"ok 4 - skip.x86_64 # SKIP no such feature"
	says $'\n'"not ok 5 - crash.x86_64: CRASH"
	says $'\n'"not ok 6 - hang.x86_64: HANG"
	says $'\n'"not ok 7 - error.x86_64: ERROR (subtest 'two' was planned and did not report"
	says $'\n'"# error: no END record"
	says $'\n'"not ok 8 - broken.x86_64: BROKEN"
	[[ $(grep -cE '^(not )?ok ' <<<"$output") == 8 ]]
	[[ $(grep -vcE '^(not ok |ok |#|1\.\.8$|TAP version 13$)' <<<"$output") == 0 ]]
}

@test "every verdict with -j: the same, counted, and the worst decides" {
	every_verdict
	TIMEOUT=1.5 runner -j3 pass fail xpass skip crash hang error broken
	verdict PASS 1 pass.x86_64
	verdict FAIL 1 fail.x86_64
	verdict XPASS 1 xpass.x86_64
	verdict SKIP 1 skip.x86_64
	verdict CRASH 1 crash.x86_64
	verdict HANG 1 hang.x86_64
	verdict ERROR 1 error.x86_64
	verdict BROKEN 1 broken.x86_64
	says "1 PASS, 1 FAIL, 1 XPASS, 1 CRASH, 1 HANG, 1 ERROR, 1 BROKEN, 1 SKIP in"
}

@test "a hash in a summary does not make a TAP line a SKIP or a TODO" {
	stand_in 'complain "qemu: # SKIP or # TODO"; exit 1' -t
	[[ $status == 1 ]]
	says "not ok 1 - three.x86_64: BROKEN"
	[[ $(grep '^not ok' <<<"$output") != *'# SKIP'* && $(grep '^not ok' <<<"$output") != *'# TODO'* ]]
}

@test "the logs: console, facts, and the command that ran" {
	stand_in 'say "# hello from the guest"; honest'
	grep -q "^# hello from the guest" "$LOG"
	grep -q "^verdict PASS" "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
	grep -q "^version 7.2.22" "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
	grep -q "^command .*stand-in/qemu .*-accel tcg" "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
	grep -q "^kernel $(uname -r)" "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
}

@test "the command that is printed for a failing test is one that runs it" {
	local again

	stand_in 'begin; pass one; fail two a; pass three; end; leave 85'
	verdict FAIL 1
	again=$(sed -n 's/^ *again: //p' <<<"$output")
	run bash -c "cd /; $again"
	verdict FAIL 1
}

@test "a heartbeat every 10 s, and none before" {
	TIMEOUT=20 stand_in 'begin; pass one; sleep 11; pass two; pass three; end; leave 85'
	verdict PASS 0
	[[ $(grep -c '^\.\.\. ' <<<"$output") == 1 ]]
	says "... [0/1] three.x86_64, 10 s"
}

@test "output that cannot be written: 1, not a silent 0" {
	export STAND_IN=honest
	[[ -w /dev/full ]] || skip "no /dev/full"
	run bash -c "'$SRCDIR/run_tests.sh' --config '$BATS_TEST_TMPDIR/config' -o '$BATS_TEST_TMPDIR/logs' three >/dev/full"
	[[ $status == 1 ]]
	says "standard output cannot be written"
	run bash -c "'$SRCDIR/run_tests.sh' --config '$BATS_TEST_TMPDIR/config' -l three >/dev/full"
	[[ $status == 2 ]]
	says "standard output cannot be written"
	run bash -c "'$SRCDIR/run_tests.sh' -t --config '$BATS_TEST_TMPDIR/config' -o '$BATS_TEST_TMPDIR/logs' three >/dev/full"
	[[ $status == 1 ]]
}

@test "a reader that goes away: nothing on stderr, 141" {
	local options
	stanza four
	export STAND_IN=honest
	for options in "-l three" "-lv three" "-v three four" "-t three four"; do
		# shellcheck disable=SC2086
		run bash -c '"$@" 2>"$0" | :; echo "${PIPESTATUS[0]}"' "$BATS_TEST_TMPDIR/stderr" \
			"$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$BATS_TEST_TMPDIR/logs" $options
		[[ $output == 141 && ! -s $BATS_TEST_TMPDIR/stderr ]] ||
			complain_and_fail "$options: $(<"$BATS_TEST_TMPDIR/stderr")"
	done
}

@test "a crash report of nonsense: CRASH, and the runner goes on" {
	stanza four
	export STAND_IN='
		say "# CRASH reason: nonsense"
		say "# CRASH cpu 0 registers: x=$(printf %5000s | tr " " y)"
		say "# CRASH cpu 0 stack: 0x100 fade 0xx 1f xxx 0 0xffffffffffffffffffffffff $(printf " 0x1%.0s" {1..3000})"
		say "# CRASH cpu 99999999999999999999 stack: a"
		say "# CRASH check: a[\$(id)]"
		leave 87'
	runner three four
	verdict CRASH 1
	verdict CRASH 1 four.x86_64
	[[ $output != *"line "[0-9]*": "* ]]
	((${#lines[@]} < 300))
}

@test "registers and memory of nonsense from the VMM: CRASH, and the runner goes on" {
	local text

	export STAND_IN_REGISTERS
	for text in 'CPU#0\r\nRIP=zz RSP=yy RBP=xx\r\n' 'CPU#99999999999999999999\r\nRIP=ffffffffffffffffffffffff RBP=8 RSP=0\r\n' \
		'\u001b[31m CPU#0\r\n' '' 'CPU#0\r\nRIP=10 RBP=7fffffffffffffff RSP=8000000000000000\r\n'; do
		STAND_IN_REGISTERS=$text stand_in 'strike two triple_fault'
		verdict CRASH 1
		[[ $output != *"line "[0-9]*": "* && $output != *$'\e'* ]]
	done
}

@test "a flood of crash reports and one endless one: CRASH soon, and log and screen are capped" {
	export STAND_IN='begin; say "# CRASH reason: flood"; yes "# CRASH cpu 0 stack: 0x100 0x200" | head -c 8000000 >>"$console"; leave 87'
	runner three:one
	verdict CRASH 1
	((${#lines[@]} < 4000))
	(($(stat -c %s "$LOG") < 1200000))
	STAND_IN='begin; say "# CRASH reason: $(head -c 100000 /dev/zero | tr "\0" x)"; printf "# CRASH cpu 0 registers: " >>"$console"; head -c 8000000 /dev/zero | tr "\0" x >>"$console"; say; leave 87'
	runner three:one
	verdict CRASH 1
	((${#output} < 10000))
	(($(stat -c %s "$LOG") < 100000))
	((SECONDS < 30))
}
