# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the bats tests of the runner share. Each test has a folder of its own, $BATS_TEST_TMPDIR,
# with config/ (unittests.cfg and known/), tmp/ (the runner's TMPDIR) and logs/.

SRCDIR=${BATS_TEST_DIRNAME%/tests}

# With the stand-in as the VMM, and an image that only it can run.
setup_stand_in()
{
	setup_folders
	SUITE_BUILD=${SUITE_BUILD:-$BUILD_DIR}
	export BUILD_DIR=$BATS_TEST_TMPDIR/build
	# To take the tree's own configuration apart costs more than most tests.
	mkdir -p "$BUILD_DIR"
	cp "$SUITE_BUILD/.config" "$BUILD_DIR"
	export QEMU=$SRCDIR/tests/stand-in/qemu
	image three one two three
	stanza three
}

setup_folders()
{
	export TMPDIR=$BATS_TEST_TMPDIR/tmp ACCEL=tcg
	mkdir -p "$TMPDIR" "$BATS_TEST_TMPDIR/config/known"
	: >"$BATS_TEST_TMPDIR/config/unittests.cfg"
}

# image NAME SUBTEST...: an image as the build makes it, without a program in it.
image()
{
	local base=$BUILD_DIR/x86_64/$1 subtest
	shift

	mkdir -p "${base%/*}"
	printf 'test %s\nmode x86_64\nsummary stands in\n' "${base##*/}" >"$base.info"
	for subtest in "$@"; do
		printf 'subtest %s\n' "$subtest" >>"$base.info"
	done
	head -c 64K /dev/zero | tr "\0" x >"$base.rom"
	: >"$base.elf"
}

# stanza NAME [LINE...]
stanza()
{
	printf '[%s]\nfile = three\nmode = x86_64\ntimeout = 10\n' "$1"
	shift
	(($# == 0)) || printf '%s\n' "$@"
} >>"$BATS_TEST_TMPDIR/config/unittests.cfg"

# known NAME LINE...: an entry of known/ for the stanza three, with a reason.
known()
{
	printf '[%s]\ntest = three.*\nwhy = it is known\n' "$1"
	shift
	printf '%s\n' "$@"
} >>"$BATS_TEST_TMPDIR/config/known/all.cfg"

# The runner: sets $status and $output (stdout and stderr), as bats' run does.
runner()
{
	run "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$BATS_TEST_TMPDIR/logs" "$@"
}

# stand_in SCRIPT [OPTION...]: the stanza three, run by a stand-in that does what SCRIPT says.
stand_in()
{
	export STAND_IN=$1
	shift
	runner three "$@"
}

# verdict WORD STATUS [RUN]: the result line begins with WORD, and the command ended with STATUS.
verdict()
{
	local run=${3:-three.x86_64}

	[[ $'\n'$output == *$'\n'"$1 $run ("* ]] || complain_and_fail "no line '$1 $run (...)'"
	[[ $status == "$2" ]] || complain_and_fail "exit status $status, not $2"
}

# Whether TEXT stands in the output; a * in it is any text, everything else is itself.
output_has()
{
	local text=$1 character

	for character in \\ '[' ']' '?' '(' ')' '|' '!' '+' '@'; do
		text=${text//"$character"/\\$character}
	done
	# shellcheck disable=SC2053
	[[ $output == *$text* ]]
}

says()
{
	output_has "$1" || complain_and_fail "nothing says '$1'"
}

says_not()
{
	! output_has "$1" || complain_and_fail "something says '$1'"
}

# One line on stderr names a cause, and nothing ran.
refused()
{
	[[ $status == "${2:-2}" ]] || complain_and_fail "exit status $status, not ${2:-2}"
	[[ ${#lines[@]} == 1 ]] || complain_and_fail "${#lines[@]} lines, not one"
	says "$1"
}

complain_and_fail()
{
	printf '%s; the output was\n%s\n' "$1" "$output" >&2
	return 1
}

# Waits, for a few seconds at most, until a command succeeds.
soon()
{
	local try

	for ((try = 0; try < 100; try++)); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

tmp_empty()
{
	[[ ! $(ls -A "$TMPDIR") ]]
}

# Nothing lies in the folder of the logs that waits to be put in its place.
logs_settled()
{
	! compgen -G "$BATS_TEST_TMPDIR/logs/.new*" >/dev/null
}

# No process has this test's folder in its command line.
no_process()
{
	! grep -lsF -- "$BATS_TEST_TMPDIR/tmp" /proc/[0-9]*/cmdline >/dev/null
}

# For teardown(): however a run ended, no VMM and no temporary file is left.
nothing_left()
{
	soon no_process || { echo "a process is left:" >&2; grep -lsF -- "$BATS_TEST_TMPDIR/tmp" /proc/[0-9]*/cmdline >&2; return 1; }
	soon tmp_empty || { echo "left in TMPDIR: $(ls -A "$TMPDIR")" >&2; return 1; }
	soon logs_settled || { echo "left in logs: $(ls -A "$BATS_TEST_TMPDIR/logs")" >&2; return 1; }
}
