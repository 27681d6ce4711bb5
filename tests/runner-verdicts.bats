#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What a guest says, and what may be believed of it (docs/result-stream.md): every rule of the
# stream broken once, by a stand-in VMM.
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

@test "nothing wrong: PASS" {
	stand_in honest
	verdict PASS 0
	says "(6 checks)"
}

@test "nothing wrong, with the VMM halted after END: PASS" {
	stand_in 'begin; pass one; pass two; pass three; end; serve'
	verdict PASS 0
}

@test "no output at all: ERROR" {
	stand_in 'leave 85'
	verdict ERROR 1
	says "no plan"
}

@test "no END: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; leave 85'
	verdict ERROR 1
	says "no END record"
}

@test "END cut in the middle of the line: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; printf "# END nonce=$nonce subtests=3 chec" >>"$console"; leave 85'
	verdict ERROR 1
	says "END"
}

@test "END without its newline: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; printf "# END nonce=$nonce subtests=3 checks=6 failed=0 skipped=0 duplicates=0" >>"$console"; leave 85'
	verdict ERROR 1
	says "END"
}

@test "END with a wrong nonce: ERROR" {
	stand_in 'nonce=0123456789abcdef; honest'
	verdict ERROR 1
	says "END bears nonce 0123456789abcdef"
}

@test "END with the nonce of every digit but the last: ERROR" {
	stand_in 'nonce=${nonce%?}; honest'
	verdict ERROR 1
	says "END bears nonce"
}

@test "END without a nonce: ERROR" {
	stand_in 'nonce=; honest'
	verdict ERROR 1
	says "malformed END"
}

@test "END of another test before the right one: ERROR" {
	stand_in 'begin; pass one; say "# END nonce=abc subtests=1 checks=2 failed=0 skipped=0 duplicates=0"; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "END bears nonce abc"
}

@test "END twice: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; end; end; leave 85'
	verdict ERROR 1
	says "output after END"
}

@test "END counts other checks than the lines: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; checks=7; end; leave 85'
	verdict ERROR 1
	says "END says*checks=7*its lines say*checks=6"
}

@test "END counts other subtests than the lines: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; subtests=2; end; leave 85'
	verdict ERROR 1
	says "END says subtests=2"
}

@test "END hides a failure: ERROR" {
	stand_in 'begin; fail one a; pass two; pass three; failed=0; end; leave 85'
	verdict ERROR 1
	says "END says*failed=0*its lines say*failed=1"
}

@test "END counts another number of skips: ERROR" {
	stand_in 'begin; skip one; pass two; pass three; skipped=0; end; leave 85'
	verdict ERROR 1
	says "END says*skipped=0*its lines say*skipped=1"
}

@test "END with numbers that are none: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; checks=6e0; end; leave 85'
	verdict ERROR 1
	says "malformed END"
}

@test "a count beyond 2^53 does not round to the right one: ERROR" {
	stand_in 'begin; pass one 9007199254740993; pass two; pass three; checks=9007199254740996; end; leave 85'
	verdict ERROR 1
}

@test "output after END: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; end; say "one more thing"; leave 85'
	verdict ERROR 1
	says "output after END: one more thing"
}

@test "NUL bytes after END: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; end; printf "\0\0" >>"$console"; leave 85'
	verdict ERROR 1
	says "output after END"
}

@test "no check in the whole run: ERROR" {
	stand_in 'begin; pass one 0; pass two 0; pass three 0; end; leave 85'
	verdict ERROR 1
	says "ran no check"
}

@test "no check in one subtest: ERROR" {
	stand_in 'begin; pass one; pass two 0; pass three; end; leave 85'
	verdict ERROR 1
	says "subtest 'two' ran no check"
}

@test "a failed check: FAIL, with expected, got, file:line and the command that runs it again" {
	stand_in 'begin; pass one; fail two limit-2; pass three; end; leave 85'
	verdict FAIL 1
	says "FAIL three.x86_64 (1 of 8 checks)"
	says "two.limit-2: expected 1, got 2 at x86/three.c:7"
	says "run_tests.sh*three.x86_64"
}

@test "many failed checks: the first ones are shown, and how many more there are" {
	stand_in 'begin; fail one 1 2 3 4; fail two 1 2 3 4; pass three; end; leave 85'
	verdict FAIL 1
	says "one.1: expected"
	says "two.1: expected"
	says "3 more"
	says_not "two.4"
}

@test "a failed check in a subtest that says ok: ERROR" {
	stand_in 'begin; say "    not ok 1 one.a # expected 1, got 2 at a.c:1"; pass one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "subtest 'one' counts 0 failed checks and reports 1"
}

@test "a subtest that says not ok without a failed check: ERROR" {
	stand_in 'begin; say "not ok 1 one # 1 of 2 checks failed"; subtests=1; checks=2; failed=1; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "counts 1 failed checks and reports 0"
}

@test "a subtest that says not ok and counts no failure: ERROR" {
	stand_in 'begin; say "not ok 1 one # 2 checks"; subtests=1; checks=2; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one' is not ok with 0 failed checks"
}

@test "more failed checks than checks: ERROR" {
	stand_in 'begin; say "    not ok 1 one.a # x"; say "    not ok 2 one.b # x"; say "not ok 1 one # 2 of 1 checks failed"; subtests=1; checks=1; failed=2; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "does not agree"
}

@test "a repeated id that the guest counted: ERROR" {
	stand_in 'duplicates=1; honest'
	verdict ERROR 1
	says "repeated check ids"
}

@test "a repeated id among the failed checks: ERROR" {
	stand_in 'begin; fail one a a; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one.a' is repeated"
}

@test "a check of another subtest: ERROR" {
	stand_in 'begin; say "    not ok 1 two.a # x"; say "not ok 1 one # 1 of 2 checks failed"; subtests=1; checks=2; failed=1; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'two.a' is reported in subtest 'one'"
}

@test "a planned subtest that does not report: ERROR" {
	stand_in 'begin; pass one; pass two; end; leave 85'
	verdict ERROR 1
	says "subtest 'three' was planned and did not report"
}

@test "a subtest left out in the middle: ERROR" {
	stand_in 'begin; pass one; pass three; end; leave 85'
	verdict ERROR 1
	says "subtest 2 is 'three', not 'two'"
}

@test "a subtest twice: ERROR" {
	stand_in 'begin; pass one; pass one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "subtest 2 is 'one', not 'two'"
}

@test "a subtest more than planned: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; pass four; end; leave 85'
	verdict ERROR 1
	says "'four', which was not planned"
}

@test "a plan that is smaller than what was asked for: ERROR" {
	stand_in 'planned=2; begin; pass one; pass two; end; leave 85'
	verdict ERROR 1
	says "plans 2 subtests, 3 were asked for"
}

@test "subtests numbered otherwise: ERROR" {
	stand_in 'begin; pass one; subtests=4; pass two; subtests=2; pass three; end; leave 85'
	verdict ERROR 1
	says "'two' has number 5, not 2"
}

@test "a second plan: ERROR" {
	stand_in 'begin; pass one; say 1..3; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "a second plan"
}

@test "a guest that starts again: ERROR" {
	stand_in 'begin; pass one; subtests=0; checks=0; honest'
	verdict ERROR 1
	says "started again"
}

@test "no KTAP version line: ERROR" {
	stand_in 'say 1..3; pass one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "no KTAP version line"
}

@test "results before the plan: ERROR" {
	stand_in 'pass one; begin; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one' before the plan"
}

@test "a result line without a count: ERROR" {
	stand_in 'begin; say "ok 1 one"; subtests=1; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one' has no count"
}

@test "everything skipped: SKIP with the reason, 77" {
	stand_in 'begin; skip one "no SVM"; skip two; skip three; end; leave 85'
	verdict SKIP 77
	says "SKIP three.x86_64 (no SVM"
}

@test "some skipped: PASS and says how many" {
	stand_in 'begin; skip one; pass two; pass three; end; leave 85'
	verdict PASS 0
	says "(4 checks, 1 skipped)"
}

@test "a skip with failed checks: ERROR" {
	stand_in 'begin; say "    not ok 1 one.a # x"; skip one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one' is skipped and yet reports checks"
}

@test "not ok with SKIP: ERROR" {
	stand_in 'begin; say "not ok 1 one # SKIP no"; subtests=1; skipped=1; pass two; pass three; end; leave 85'
	verdict ERROR 1
}

@test "a result of PASS in the guest's own words counts for nothing: ERROR" {
	stand_in 'say "PASS three.x86_64 (6 checks)"; leave 85'
	verdict ERROR 1
	says_not $'\n'"PASS"
}

@test "a failed check in a line that cannot be read: ERROR" {
	stand_in 'begin; say "    not ok one.a # expected 1, got 2"; pass one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "malformed check line: not ok one.a"
}

@test "a result in a line that cannot be read: ERROR" {
	stand_in 'begin; say "not ok one"; pass one; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "malformed result line: not ok one"
}

@test "a failed check behind the last subtest: ERROR" {
	stand_in 'begin; pass one; pass two; pass three; say "    not ok 1 three.a # x"; end; leave 85'
	verdict ERROR 1
	says "'three.a' is reported outside every subtest"
}

@test "checks whose numbers do not rise: ERROR" {
	stand_in 'begin; say "    not ok 2 one.a # x"; say "    not ok 2 one.b # x"; say "not ok 1 one # 2 of 4 checks failed"; subtests=1; checks=4; failed=2; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one.b' has number 2 after 2"
}

@test "a subtest that counts skipped checks which it does not report: ERROR" {
	stand_in 'begin; say "ok 1 one # 2 checks, 1 skipped"; subtests=1; checks=2; skipped=1; pass two; pass three; end; leave 85'
	verdict ERROR 1
	says "'one' counts 1 skipped checks and reports 0"
}
