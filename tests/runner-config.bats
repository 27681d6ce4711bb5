#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# unittests.cfg: what is wrong in it is one line with file and line number, and status 2; and
# everything in it is data.
# shellcheck disable=SC2016 # nothing in a cfg is expanded

load helpers

setup()
{
	setup_stand_in
}

teardown()
{
	nothing_left
}

@test "an unknown key: refused" {
	stanza four 'tiemout = 3'
	runner four
	refused "unittests.cfg:9: unknown key 'tiemout'"
}

@test "an unknown key in a stanza that is not asked for: refused" {
	stanza four 'tiemout = 3'
	runner three
	refused "unknown key 'tiemout'"
}

@test "a duplicate name: refused, with both places" {
	stanza three
	runner three
	refused "unittests.cfg:5: stanza 'three' is already at *unittests.cfg:1"
}

@test "a name that the tree's own cfg has: refused" {
	stanza hello
	runner three
	refused "stanza 'hello' is already at $SRCDIR/unittests.cfg:"
}

@test "a key twice: refused" {
	stanza four 'smp = 1' 'smp = 2'
	runner four
	refused "'smp' is given twice in [four]"
}

@test "an image that is missing: refused" {
	printf '[four]\nfile = four\nmode = x86_64\n' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner four
	refused "unittests.cfg:6: no image *four"
}

@test "an image that is missing in one of two modes: refused" {
	printf '[four]\nfile = three\nmode = x86_64 pae\n' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner four
	refused "no image *pae/three"
}

@test "an image without its declaration: refused" {
	rm "$BUILD_DIR/x86_64/three.info"
	runner three
	refused "three.info"
}

@test "a last entry without newline is read" {
	printf '[last]\nfile = three\nmode = x86_64' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner last
	verdict PASS 0 last.x86_64
}

@test "a last line without newline that is wrong: refused" {
	printf '[last]\nfile = three\nmdoe = x86_64' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner three
	refused "unittests.cfg:7: unknown key 'mdoe'"
}

@test "a key before the first section: refused" {
	printf 'smp = 1\n' >"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner three
	refused "unittests.cfg:1: a key before the first [section]"
}

@test "a line that is nothing: refused" {
	stanza four 'smp 4'
	runner four
	refused "unittests.cfg:9: neither [section] nor key = value: smp 4"
}

@test "a section name that is none: refused" {
	printf '[a b]\nfile = three\n' >>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner three
	refused "unittests.cfg:5: not a section name"
}

@test "values that cannot be: refused" {
	local line

	for line in 'smp = 0' 'smp = x' 'mem = much' 'timeout = soon' 'timeout = -1' 'accel = ' \
		'kind = kernel' 'arch = arm' 'file = ../../etc/passwd' \
		'qemu_params = -name "open' 'needs = ' 'check = whatever'; do
		: >"$BATS_TEST_TMPDIR/config/unittests.cfg"
		printf '[four]\n%s\n' "$line" >"$BATS_TEST_TMPDIR/config/unittests.cfg"
		runner three
		refused "unittests.cfg:2: " || { echo "not refused: $line" >&2; return 1; }
	done
}

@test "a bad mode among good ones, in every place: refused" {
	local modes

	for modes in 'x86_32 pae' 'pae x86_32' 'pae x86_32 i386' ''; do
		printf '[four]\nmode = %s\n' "$modes" >"$BATS_TEST_TMPDIR/config/unittests.cfg"
		runner three
		refused "bad value for 'mode'" || { echo "not refused: $modes" >&2; return 1; }
	done
}

@test "conditions and parameters are data: nothing is run or expanded" {
	local trap=$BATS_TEST_TMPDIR/trap

	stanza four "test_args = \$(touch $trap) \`touch $trap\` \$HOME *" \
		"qemu_params = -name \$(touch $trap);touch\${IFS}$trap"
	export STAND_IN='say "# $arguments"; say "# $*"; honest'
	runner four
	[[ ! -e $trap ]]
	verdict PASS 0 four.x86_64
	grep -qF -- "-- \$(touch $trap) \`touch $trap\` \$HOME *" "$BATS_TEST_TMPDIR/logs/four.x86_64.log"
	stanza five "check = \$(touch\${IFS}$trap)=1"
	runner five
	refused "the shell is not asked"
	[[ ! -e $trap ]]
}

@test "a condition on a file and its first line" {
	echo yes >"$BATS_TEST_TMPDIR/switch"
	stanza four "check = $BATS_TEST_TMPDIR/switch=yes"
	stanza five "check = $BATS_TEST_TMPDIR/switch=no"
	runner four five
	verdict PASS 0 four.x86_64
	verdict SKIP 0 five.x86_64
	says "check failed: $BATS_TEST_TMPDIR/switch=no"
}

@test "disabled_if skips, -a runs it all the same" {
	stanza four 'disabled_if = vmm=qemu'
	runner four
	verdict SKIP 77 four.x86_64
	runner -a four
	verdict PASS 0 four.x86_64
}

@test "CHECK in the environment: no drops the stanza's conditions, others take their place" {
	stanza four 'check = module=no_such_module'
	runner four
	verdict SKIP 77 four.x86_64
	CHECK=no runner four
	verdict PASS 0 four.x86_64
	CHECK=accel=kvm runner three
	verdict SKIP 77
	CHECK='touch /x' runner three
	refused "CHECK:"
}

@test "upstream's stanza as people know it" {
	printf '[upstream]\nfile = three.flat\narch = x86_64\nsmp = 2\n%s\n%s\n%s\n' \
		"extra_params = -cpu max -append 'a \"b c\"'" "groups = vmx nodefault" "timeout = 120" \
		>>"$BATS_TEST_TMPDIR/config/unittests.cfg"
	export STAND_IN='say "# $arguments"; honest'
	runner upstream
	verdict PASS 0 upstream.x86_64
	grep -qF 'cpus=2' "$BATS_TEST_TMPDIR/logs/upstream.x86_64.log"
	grep -qE -- '-- +a "b c"' "$BATS_TEST_TMPDIR/logs/upstream.x86_64.log"
}

@test "test_args reach the guest behind --" {
	stanza four 'test_args = first second=2'
	export STAND_IN='[[ $arguments == *" -- first second=2" ]] || fail one args; honest'
	runner four
	verdict PASS 0 four.x86_64
}

@test "words that do not fit into the argument block: refused" {
	stanza four "test_args = $(printf '%2100s' '' | tr ' ' x)"
	runner four
	[[ $status == 2 ]]
	says "longer than 2047 bytes"
}

@test "--config without unittests.cfg and known/: refused" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	run "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/empty" three
	refused "neither unittests.cfg nor known/"
}

@test "a control character: refused" {
	stanza four $'test_args = a\x1fb'
	runner four
	refused "unittests.cfg:9: a control character"
}

@test "a cfg with the line ends of another system is read" {
	sed -i 's/$/\r/' "$BATS_TEST_TMPDIR/config/unittests.cfg"
	runner three
	verdict PASS 0
}

@test "numbers in qemu_params are data too: refused or passed on, never evaluated" {
	local trap=$BATS_TEST_TMPDIR/trap word

	for word in "-smp NOW[\$(touch\${IFS}$trap)]" "-m NOW[\$(touch\${IFS}$trap)]" "-smp" "-m" "-append" "-smp 0" "-smp 4,sockets=2"; do
		printf '[four]\nfile = three\nmode = x86_64\nqemu_params = %s\n' "$word" \
			>"$BATS_TEST_TMPDIR/config/unittests.cfg"
		runner four
		[[ ! -e $trap ]] || { echo "evaluated: $word" >&2; return 1; }
		[[ $output != *"line "[0-9]*": "* ]] || { echo "$word: $output" >&2; return 1; }
	done
}
