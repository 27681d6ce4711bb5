#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line and the environment: what is selected, what is refused, and the exit statuses
# that scripts and git bisect rely on.
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

@test "a selection that matches nothing: 2" {
	runner no_such_test
	refused "no test matches 'no_such_test'"
}

@test "one of two selections matches nothing: 2, and nothing runs" {
	runner three no_such_test
	refused "no test matches 'no_such_test'"
}

@test "a subtest that matches nothing: 2" {
	runner three:four
	refused "no test matches 'three:four'"
}

@test "a group that nothing is in: 2" {
	runner -g no_such_group
	refused "no"
}

@test "a mode that the test does not have: 2" {
	runner --mode i386 three
	refused "no"
}

@test "a test named and a group that it is not in: 2" {
	runner -g other three
	refused "no"
}

@test "an empty selector: 2, not everything" {
	runner ""
	[[ $status == 2 ]]
}

@test "selections: stanza, stanza.mode, glob, subtest, subtest glob" {
	local selector

	for selector in three three.x86_64 'thr*' 'three.*' 'three:*' 'three.x86_64:t*'; do
		runner "$selector"
		verdict PASS 0 || { echo "selector $selector" >&2; return 1; }
	done
	runner 'three:t*'
	says "(4 checks)"
	runner three:one three:three
	says "(4 checks)"
}

@test "a test selected twice runs once" {
	runner three three.x86_64 'th*'
	[[ $(grep -c '^PASS' <<<"$output") == 1 ]]
}

@test "a group; and nodefault is left out unless asked for" {
	printf '[%s]\nfile = hello\ngroups = %s\n' four "slow nodefault" five slow \
		>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	export BUILD_DIR=$SUITE_BUILD
	runner -l
	says "five.x86_64"
	says_not "four.x86_64"
	runner -l -a
	says "four.x86_64"
	says "five.x86_64"
	runner -l -g slow --mode x86_64
	[[ $output == $'four.x86_64\nfive.x86_64' ]]
	runner -l four.x86_64
	[[ $output == four.x86_64 ]]
}

@test "-l lists and runs nothing, -l -v lists subtests" {
	export STAND_IN='exit 1'
	runner -l three
	[[ $status == 0 && $output == three.x86_64 ]]
	runner -l -v three
	[[ $output == $'three.x86_64:one\nthree.x86_64:two\nthree.x86_64:three' ]]
}

@test "-h prints the usage, 0" {
	runner -h
	[[ $status == 0 ]]
	says "Usage: run_tests.sh"
	says "Exit status"
}

@test "bad usage: 2 and one line" {
	runner --no-such-option
	refused "unknown option '--no-such-option'"
	runner -g
	refused "-g needs a value"
	runner -j0 three
	refused "-j: not a number of jobs: '0'"
	runner -j x three
	refused "-j: not a number of jobs: 'x'"
	runner --vmm vmware three
	refused "--vmm: qemu or bochs, not 'vmware'"
	runner --mode real three
	refused "--mode:"
	runner --boot floppy three
	refused "--boot:"
	runner --boot multiboot --vmm bochs three
	refused "--boot multiboot: Bochs starts ROM images only"
	runner --config /nowhere three
	refused "--config: no folder '/nowhere'"
	runner -o /dev/null/x three
	refused "-o: cannot make the folder"
}

@test "bad values in the environment: 2 and one line" {
	TIMEOUT=soon runner three
	refused "TIMEOUT: not a time: 'soon'"
	MAX_SMP=many runner three
	refused "MAX_SMP: not a number of CPUs: 'many'"
	BUILD_DIR=/nowhere runner three
	refused "BUILD_DIR: no folder '/nowhere'"
}

@test "options together and apart" {
	runner -vt three
	[[ $status == 0 ]]
	says "ok 1 - three.x86_64"
	runner -j2 three
	verdict PASS 0
	runner --mode=x86_64 --boot=rom three
	verdict PASS 0
	runner -- three
	verdict PASS 0
}

@test "--boot multiboot hands the arguments over on the command line" {
	export STAND_IN='[[ $* == *"-kernel "*three.elf* && $* != *-bios* ]] || exit 1; honest'
	runner --boot multiboot three
	verdict PASS 0
}

@test "MACHINE, ACCEL_PROPS and TIMEOUT reach the VMM" {
	export STAND_IN='[[ $* == *"-machine q35 -accel tcg,thread=single"* ]] || exit 1; strike two serve'
	MACHINE=q35 ACCEL_PROPS=thread=single TIMEOUT=0.5 runner three
	verdict HANG 1
	says "no end within 0.5 s"
}

@test "qemu_params reach the VMM, and smp and mem the guest" {
	stanza four 'smp = 3' 'mem = 64M' "qemu_params = -name 'a b'"
	export STAND_IN='[[ $* == *"-smp 3 -m 64 "*"-name a b"* && $arguments == *" cpus=3 "*" mem=67108864"* ]] || exit 1; honest'
	runner four
	verdict PASS 0 four.x86_64
}

@test "each run has a nonce of its own, and each start" {
	export STAND_IN='say "# $nonce" >>'"$BATS_TEST_TMPDIR"'/nonces; echo "$nonce" >>'"$BATS_TEST_TMPDIR"'/nonces; strike two triple_fault'
	runner three
	runner three
	[[ $(wc -l <"$BATS_TEST_TMPDIR/nonces") == 4 ]]
	[[ $(sort -u "$BATS_TEST_TMPDIR/nonces" | wc -l) == 4 ]]
}

@test "ACCEL=kvm on a VMM that cannot: BROKEN, not TCG" {
	export STAND_IN='[[ $* != *"accel kvm"* ]] || { complain "qemu: no kvm for you"; exit 1; }; honest'
	ACCEL=kvm runner three
	verdict BROKEN 1
	says "no"
}

@test "no ACCEL and no working KVM: TCG, and it is said" {
	[[ -w /dev/kvm ]] || skip "no /dev/kvm to refuse"
	export STAND_IN='[[ $* != *"accel kvm"* ]] || { complain "qemu: no kvm for you"; exit 1; }; honest'
	ACCEL='' runner three
	verdict PASS 0
	says "no kvm for you"
	says "using TCG"
}

@test "--bisect: 0 for PASS, 1 for FAIL, CRASH, HANG and ERROR" {
	stand_in honest --bisect
	verdict PASS 0
	stand_in 'begin; fail one a; pass two; pass three; end; leave 85' --bisect
	verdict FAIL 1
	stand_in 'strike two triple_fault' --bisect
	verdict CRASH 1
	TIMEOUT=0.5 stand_in 'strike two serve' --bisect
	verdict HANG 1
	stand_in 'begin; leave 85' --bisect
	verdict ERROR 1
}

@test "--bisect: 125 for SKIP, BROKEN, nothing selected, and what cannot be read" {
	stand_in 'begin; skip one; skip two; skip three; end; leave 85' --bisect
	verdict SKIP 125
	stand_in 'exit 1' --bisect
	verdict BROKEN 125
	runner --bisect no_such_test
	refused "no test matches" 125
	runner --bisect --no-such-option
	refused "unknown option" 125
	echo 'what is this' >"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner --bisect three
	refused "unittests.cfg:1:" 125
}

@test "--bisect: a FAIL beside a BROKEN is still bad: 1" {
	stanza four 'test_args = broken'
	export STAND_IN='[[ $arguments != *broken* ]] || exit 1; begin; fail one a; pass two; pass three; end; leave 85'
	runner --bisect three four
	verdict FAIL 1
}

@test "PASS and SKIP together: 0" {
	stanza four 'needs = module=no_such_module'
	runner three four
	verdict PASS 0
	verdict SKIP 0 four.x86_64
}

@test "variables of the caller's shell mean nothing" {
	mkdir "$BATS_TEST_TMPDIR/precious"
	WORK=$BATS_TEST_TMPDIR/precious VMM_PID=$$ PARALLEL_PID=$$ WORKER=yes OPT_STRICT=yes OPT_ALL=yes \
		OPT_TAP=yes ARGS=x RUNS=y VERDICT=PASS LIVE_SHOWN=yes OPT_BISECT=yes \
		runner --no-such-option
	refused "unknown option" 2
	[[ -d $BATS_TEST_TMPDIR/precious ]]
	stand_in 'begin; skip one; pass two; pass three; end; leave 85'
	verdict PASS 0
}
