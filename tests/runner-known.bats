#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# known/: failures, crashes, hangs and skips that are expected on a machine, and what happens when
# they do not come, come too often, or come elsewhere.
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

TWO_FAILS='begin; pass one; fail two a; pass three; end; leave 85'

@test "a known failure: PASS, and says how many" {
	known k 'kind = fail' 'id = two.a'
	stand_in "$TWO_FAILS"
	verdict PASS 0
	says "(8 checks, 1 known failure)"
}

@test "a known failure and another one: FAIL, and only the other is shown" {
	known k 'kind = fail' 'id = two.a'
	stand_in 'begin; pass one; fail two a b; pass three; end; leave 85'
	verdict FAIL 1
	says "two.b: expected"
	says_not "two.a: expected"
}

@test "a known failure that passes: XPASS" {
	known k 'kind = fail' 'id = two.a'
	stand_in honest
	verdict XPASS 1
	says "all.cfg:1: [k] two.a is listed as failing and did not fail"
}

@test "a known failure that passes while another check fails: FAIL, and both are told" {
	known k 'kind = fail' 'id = two.b'
	stand_in "$TWO_FAILS"
	verdict FAIL 1
	says "two.a: expected"
	says "two.b"
}

@test "a known failure whose subtest did not run: no XPASS" {
	known k 'kind = fail' 'id = two.a'
	stand_in honest
	verdict XPASS 1
	export STAND_IN=honest
	runner three:one
	verdict PASS 0
}

@test "a known failure whose subtest was skipped: no XPASS" {
	known k 'kind = fail' 'id = two.a'
	stand_in 'begin; pass one; skip two; pass three; end; leave 85'
	verdict PASS 0
}

@test "a known failure in a subtest that crashed: CRASH, no XPASS" {
	known k 'kind = fail' 'id = two.a'
	stand_in 'strike two triple_fault'
	verdict CRASH 1
	says_not XPASS
}

@test "a known failure does not excuse a broken stream: ERROR" {
	known k 'kind = fail' 'id = two.a'
	stand_in 'begin; pass one; fail two a; pass three; nonce=1; end; leave 85'
	verdict ERROR 1
}

@test "a glob with the right count: PASS" {
	known k 'kind = fail' 'id = two.*' 'count = 2'
	stand_in 'begin; pass one; fail two a b; pass three; end; leave 85'
	verdict PASS 0
	says "2 known failures"
}

@test "a glob that covers more than its count: FAIL" {
	known k 'kind = fail' 'id = two.*' 'count = 1'
	stand_in 'begin; pass one; fail two a b; pass three; end; leave 85'
	verdict FAIL 1
	says "[k] lists 1 failing checks, there were 2: two.a, two.b"
}

@test "a glob that covers far more than its count: FAIL, and names the first ones" {
	known k 'kind = fail' 'id = two.*' 'count = 1'
	stand_in 'begin; pass one; n=0; for i in a b c d e f g; do say "    not ok $((++n)) two.$i # expected 1"; done; say "not ok 2 two # 7 of 7 checks failed"; subtests=2; checks=$((checks + 7)); failed=7; pass three; end; leave 85'
	verdict FAIL 1
	says "[k] lists 1 failing checks, there were 7: two.a, two.b, two.c, two.d, two.e, ..."
	says_not "two.f"
}

@test "a glob that covers fewer than its count: XPASS" {
	known k 'kind = fail' 'id = two.*' 'count = 3'
	stand_in 'begin; pass one; fail two a b; pass three; end; leave 85'
	verdict XPASS 1
	says "[k] lists 3 failing checks, there were 2: two.a, two.b"
}

@test "a glob whose failures are all gone: XPASS" {
	known k 'kind = fail' 'id = two.*' 'count = 2'
	stand_in honest
	verdict XPASS 1
}

@test "a count for each mode: the one of this mode counts" {
	known k 'kind = fail' 'id = two.*' 'count.x86_64 = 1' 'count.pae = 5'
	stand_in "$TWO_FAILS"
	verdict PASS 0
}

@test "a glob without a count: refused" {
	known k 'kind = fail' 'id = two.*'
	stand_in honest
	refused "all.cfg:1: [k] has a glob and no count"
}

@test "a glob's dot is a dot and not any character: FAIL" {
	known k 'kind = fail' 'id = two.a.b'
	stand_in 'begin; pass one; fail two a-b; pass three; end; leave 85'
	verdict FAIL 1
	says "two.a-b: expected"
}

@test "flaky accepts either" {
	known k 'kind = fail' 'id = two.a' 'flaky = yes'
	stand_in "$TWO_FAILS"
	verdict PASS 0
	stand_in honest
	verdict PASS 0
}

@test "flaky does not accept another check: FAIL" {
	known k 'kind = fail' 'id = two.a' 'flaky = yes'
	stand_in 'begin; pass one; fail two b; pass three; end; leave 85'
	verdict FAIL 1
}

@test "a known crash: PASS for the rest" {
	known k 'kind = crash' 'id = two'
	stand_in 'strike two triple_fault'
	verdict PASS 0
	says "(4 checks, 1 known failure)"
}

@test "a known crash that does not come: XPASS" {
	known k 'kind = crash' 'id = two'
	stand_in honest
	verdict XPASS 1
	says "two is listed as crashing and did not crash"
}

@test "a known crash that hangs instead: HANG" {
	known k 'kind = crash' 'id = two'
	TIMEOUT=1 stand_in 'strike two serve'
	verdict HANG 1
}

@test "a known crash and one more: CRASH" {
	known k 'kind = crash' 'id = two'
	stand_in '[[ ${selected[0]} == three ]] && { begin; triple_fault; }; strike two triple_fault'
	verdict CRASH 1
	says "in three"
}

@test "a known hang: PASS for the rest" {
	known k 'kind = hang' 'id = two'
	TIMEOUT=1 stand_in 'strike two serve'
	verdict PASS 0
	says "(4 checks, 1 known failure)"
}

@test "an entry for another machine: FAIL here" {
	known a 'kind = fail' 'id = two.a' 'accel = kvm'
	known b 'kind = fail' 'id = two.a' 'vmm = bochs'
	known c 'kind = fail' 'id = two.a' 'version = 8.0-'
	known d 'kind = fail' 'id = two.a' 'machine = q35'
	known e 'kind = fail' 'id = two.a' 'boot = multiboot'
	known f 'kind = fail' 'id = two.a' 'module = no_such_module'
	stand_in "$TWO_FAILS"
	verdict FAIL 1
}

@test "an entry for this machine: PASS" {
	known k 'kind = fail' 'id = two.a' 'accel = tcg' 'vmm = qemu' 'version = 7.2' 'boot = rom'
	stand_in "$TWO_FAILS"
	verdict PASS 0
}

@test "an entry for a later version than the VMM tells: FAIL, an open range that holds it: PASS" {
	known k 'kind = fail' 'id = two.a' 'version = 7.2.23-'
	stand_in "$TWO_FAILS"
	verdict FAIL 1
	rm "$BATS_TEST_TMPDIR/config/known/all.cfg"
	known k 'kind = fail' 'id = two.a' 'version = 7.0-7.2'
	stand_in "$TWO_FAILS"
	verdict PASS 0
}

@test "an entry without a reason: refused" {
	printf '[k]\ntest = three.*\nkind = fail\nid = two.a\n' >"$BATS_TEST_TMPDIR/config/known/all.cfg"
	stand_in honest
	refused "[k] does not say why"
}

@test "an entry with an unknown key: refused" {
	known k 'kind = fail' 'id = two.a' 'mdoe = pae'
	stand_in honest
	refused "all.cfg:6: unknown key 'mdoe'"
}

@test "an entry with a count for a mode that there is not: refused" {
	known k 'kind = fail' 'id = two.*' 'count.pea = 1'
	stand_in honest
	refused "all.cfg:6: unknown key 'count.pea'"
}

@test "an entry for a test that cannot be: refused" {
	printf '[k]\nwhy = x\nkind = fail\nid = two.a\ntest = three|four\n' >"$BATS_TEST_TMPDIR/config/known/all.cfg"
	stand_in honest
	refused "bad value for 'test': 'three|four'"
}

@test "entries with a test list, a bracket, a tab in a value: as ever" {
	printf '[k]\nwhy = x\nkind = fail\nid = one.a\ttwo.a\ntest = four.* thr[de]e.*\tfive.*\n' >"$BATS_TEST_TMPDIR/config/known/all.cfg"
	stand_in 'begin; fail one a; fail two a; pass three; end; leave 85'
	verdict PASS 0
	says "2 known failures"
}

@test "an entry with an unknown kind: refused" {
	known k 'kind = fial' 'id = two.a'
	stand_in honest
	refused "bad value for 'kind': 'fial'"
}

@test "two entries of one name: refused" {
	known k 'kind = fail' 'id = two.a'
	known k 'kind = fail' 'id = two.b'
	stand_in honest
	refused "entry 'k' is already at"
}

@test "--strict: a skip that is not listed fails" {
	stand_in 'begin; skip one "no SVM"; pass two; pass three; end; leave 85' --strict
	verdict FAIL 1
	says "one: skipped: no SVM"
}

@test "--strict: a skip that is listed passes" {
	known k 'kind = skip' 'id = one'
	stand_in 'begin; skip one; pass two; pass three; end; leave 85' --strict
	verdict PASS 0
}

@test "--strict: a skipped check that is not listed fails" {
	stand_in 'begin; say "    ok 1 one.a # SKIP no FXSR"; say "ok 1 one # 1 checks, 1 skipped"; subtests=1; checks=1; skipped=1; pass two; pass three; end; leave 85' --strict
	verdict FAIL 1
	says "one.a: skipped: no FXSR"
}

@test "--strict: a run of nothing but listed skips is SKIP, 77" {
	known k 'kind = skip' 'id = *'
	stand_in 'begin; skip one; skip two; skip three; end; leave 85' --strict
	verdict SKIP 77
}

@test "--strict: a run of nothing but skips that are not listed fails" {
	stand_in 'begin; skip one; skip two; skip three; end; leave 85' --strict
	verdict FAIL 1
}

@test "--strict: a stanza whose requirement is not met fails unless listed" {
	stanza needy 'needs = module=no_such_module'
	runner needy
	verdict SKIP 77 needy.x86_64
	says "needs module=no_such_module"
	runner needy --strict
	verdict FAIL 1 needy.x86_64
	says "needs module=no_such_module"
	printf '[k]\ntest = needy.*\nkind = skip\nwhy = known\n' >"$BATS_TEST_TMPDIR/config/known/all.cfg"
	runner needy --strict
	verdict SKIP 77 needy.x86_64
}

@test "without --strict a listed skip changes nothing" {
	known k 'kind = skip' 'id = one'
	stand_in 'begin; skip one; pass two; pass three; end; leave 85'
	verdict PASS 0
}

@test "a machine on which everything is known to crash: SKIP with the reason, listed under --strict" {
	known k 'kind = crash' 'id = *'
	stand_in 'echo start >>'"$BATS_TEST_TMPDIR"'/starts; triple_fault'
	verdict SKIP 77
	says "no check ran: the guest reset the machine (triple fault), before the first subtest; known: it is known"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/starts") == 1 ]]
	runner three --strict
	verdict SKIP 77
}

@test "a machine that is known not to start: SKIP with the reason" {
	known k 'kind = crash' 'id = (start)'
	stand_in triple_fault
	verdict SKIP 77
	says "before the first subtest; known: it is known"
}

@test "a machine that is known not to start, and crashes in a subtest: CRASH and XPASS" {
	known k 'kind = crash' 'id = (start)'
	stand_in 'strike two triple_fault'
	verdict CRASH 1
	says "in two"
	says "(start) is listed as crashing and did not crash"
}

@test "a machine that is known not to start, and hangs: HANG" {
	known k 'kind = crash' 'id = (start)'
	TIMEOUT=1 stand_in serve
	verdict HANG 1
}

@test "a machine that is known not to start, and does: XPASS" {
	known k 'kind = crash' 'id = (start)'
	stand_in honest
	verdict XPASS 1
	says "(start) is listed as crashing and did not crash"
}

@test "known hangs are not given up" {
	image many a b c d e f
	printf '[many]\nfile = many\nmode = x86_64\n' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	known k 'kind = hang' 'id = a' 'id = b' 'id = c' 'id = d'
	sed -i 's/three/many/' "$BATS_TEST_TMPDIR/config/known/all.cfg"
	export STAND_IN='case ${selected[0]} in [a-d]) begin; serve ;; esac; honest'
	STAND_IN_SUBTESTS='a b c d e f' TIMEOUT=0.3 runner many
	verdict PASS 0 many.x86_64
	says "4 known failures"
}

@test "a glob whose subtest was not selected: no XPASS" {
	known k 'kind = fail' 'id = two.*' 'count = 2'
	runner three:one
	verdict PASS 0
}

@test "a machine on which everything was known to crash, and nothing does: XPASS" {
	known k 'kind = crash' 'id = *'
	stand_in honest
	verdict XPASS 1
}

@test "a machine on which everything is known to crash, and some of it runs: PASS, and says so" {
	known k 'kind = crash' 'id = *'
	stand_in 'strike two triple_fault'
	verdict PASS 0
	says "(4 checks, 1 known failure)"
}

@test "a machine on which everything is known to crash, and it is BROKEN: BROKEN" {
	known k 'kind = crash' 'id = *'
	stand_in 'exit 1'
	verdict BROKEN 1
}
