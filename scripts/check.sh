#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What "make check" runs: the project's own tests, from lint to the suite on
# every machine there is. Works in build/check/ under the current folder.
#
# Every step speaks TAP, and its results are counted; a step that fails, or
# that says nothing, does not keep the others from running. The last line is
# "N passed, N failed", with ", N skipped" behind it if there is one.
#
# Exit status: 0 nothing failed, 1 something failed or a tool is missing,
# 2 bad usage.

set -u

readonly STEPS=(shellcheck licences gcc clang unit runner tcg bochs kvm)

usage()
{
	cat <<END
Usage: scripts/check.sh [STEP]...
Runs all steps, or those that are named: ${STEPS[*]}.

  shellcheck  every shell script
  licences    every source file bears its SPDX tag
  gcc, clang  images and unit tests build without a warning, and just once
  unit        the unit tests of lib/ on this host
  runner      the tests of run_tests.sh
  tcg, bochs, kvm
              the suite with --strict; kvm is skipped where it does not work
END
}

srcdir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
readonly srcdir
readonly check_dir=$PWD/build/check
jobs=$(nproc)
readonly jobs

# The variables of a make above us, its jobs among them, are not for ours.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
readonly make=${MAKE:-make}

# A user's settings must not steer what is tested.
unset ACCEL ACCEL_PROPS MACHINE TIMEOUT CHECK MAX_SMP BUILD_DIR

# result STATUS TEXT: one line of TAP.
result()
{
	results=$((results + 1))
	if (($1 == 0)); then
		printf 'ok %d - %s\n' "$results" "$2"
	else
		printf 'not ok %d - %s\n' "$results" "$2"
	fi
}

plan()
{
	printf '1..%d\n' "$results"
}

# All files of the project, NUL-terminated: not what was built or logged, here
# or in a build folder inside the tree.
project_files()
{
	# .git is a file in a linked work tree.
	find "$srcdir" -mindepth 1 \
		\( -path "$srcdir/.git" -o -type d \( -path "$srcdir/build" -o -path "$srcdir/logs" \
		-o -exec test -e {}/config.mk \; \) \) -prune -o -type f -print0
}

# Scripts, by what their first lines say.
shell_files()
{
	project_files | xargs -0 awk '
		FNR == 1 && /^#!.*(sh|bats)$/ || FNR <= 3 && /^# shellcheck shell=/ {
			printf "%s%c", FILENAME, 0
			nextfile
		}
		FNR > 3 { nextfile }'
}

step_shellcheck()
{
	local file

	while IFS= read -r -d '' file; do
		shellcheck -x -P "$srcdir" "$file" >&2
		result $? "shellcheck ${file#"$srcdir"/}"
	done < <(shell_files)
	plan
}

step_licences()
{
	local file

	while IFS= read -r -d '' file; do
		case ${file##*/} in
		LICENSE | .gitignore | config.mk | config.log) continue ;;
		esac
		head -n 5 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause'
		result $? "SPDX tag in ${file#"$srcdir"/}"
	done < <(project_files)
	plan
}

# Builds everything in build/check/COMPILER.
build_with()
{
	local dir=$check_dir/$1 target

	mkdir -p "$dir" && (cd "$dir" && "$srcdir/configure" --cc="$1" --enable-werror) >&2
	result $? "configure --cc=$1 --enable-werror"
	for target in all guests unit; do
		"$make" -k -j"$jobs" -C "$dir" "$target" >&2
		result $? "make $target with $1"
	done
	# What is not up to date, if anything.
	"$make" -n -C "$dir" all guests unit | grep -e "^printf" | head -n 5 >&2
	"$make" -q -C "$dir" all guests unit
	result $? "make after make, with $1, does nothing"
	plan
}

step_gcc()
{
	build_with gcc
}

step_clang()
{
	build_with clang
}

# For the steps that run what step gcc built, should they be run alone.
build_quietly()
{
	mkdir -p "$check_dir/gcc" || return
	[[ -f $check_dir/gcc/config.mk ]] ||
		(cd "$check_dir/gcc" && "$srcdir/configure" --cc=gcc --enable-werror) >&2 || return
	"$make" -j"$jobs" -C "$check_dir/gcc" "$@" >&2
}

# The programs that step gcc built; each prints TAP of its own.
step_unit()
{
	local program name tap line

	build_quietly unit
	result $? "make unit"
	for program in "$srcdir"/tests/unit/*.c; do
		name=$(basename "$program" .c)
		[[ $name != tap ]] || continue
		tap=$(timeout 60 "$check_dir/gcc/build/unit/$name")
		status=$?
		while IFS= read -r line; do
			case $line in
			'ok '*) result 0 "$name: ${line#ok * - }" ;;
			'not ok '*) result 1 "$name: ${line#not ok * - }" ;;
			'#'*) printf '%s\n' "$line" ;;
			esac
		done <<<"$tap"
		# Status 1 says that a check failed, and that is counted above.
		[[ $tap == *1..* ]] && ((status < 2))
		result $? "$name: ran to its end (exit status $status)"
	done
	plan
}

step_runner()
{
	build_quietly all guests || return
	cd "$srcdir" || return
	BUILD_DIR=$check_dir/gcc/build timeout -k 10 400 \
		bats --jobs "$jobs" --formatter tap tests/*.bats
}

# suite NAME SECONDS OPTION...: the suite as TAP, logs in build/check/logs/NAME.
# The time limit is for a runner that hangs; each test has a limit of its own.
suite()
{
	local name=$1 limit=$2

	shift 2
	build_quietly all || return
	cd "$check_dir/gcc" || return
	timeout -k 10 "$limit" "$srcdir/run_tests.sh" -t --strict -j"$jobs" -o "$check_dir/logs/$name" "$@"
}

step_tcg()
{
	ACCEL=tcg suite tcg 300
}

step_bochs()
{
	suite bochs 300 --vmm bochs
}

# Why KVM does not work here; nothing if it does.
kvm_problem()
{
	if [[ ! -e /dev/kvm ]]; then
		echo "no /dev/kvm"
	elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
		echo "no permission on /dev/kvm"
	elif ! timeout 20 "${QEMU:-qemu-system-x86_64}" -machine none -accel kvm -nodefaults \
		-display none -monitor stdio <<<quit >/dev/null; then
		echo "QEMU cannot use /dev/kvm"
	fi
}

step_kvm()
{
	local problem

	problem=$(kvm_problem)
	if [[ $problem ]]; then
		printf 'ok 1 - the suite on KVM # SKIP %s\n1..1\n' "$problem"
		return
	fi
	# One at a time (the last -j counts): this KVM is the kernel that runs us.
	ACCEL=kvm suite kvm 600 -j1
}

# Reads TAP; prints passed, failed, skipped, and what was wrong with it.
tally()
{
	awk '
		/^ok/ && tolower($0) ~ /# skip/ { skipped++; next }
		/^ok/ { passed++ }
		/^not ok/ { failed++ }
		/^Bail out!/ { failed++ }
		/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; plans++ }
		END {
			if (plans != 1)
				trouble = "no plan, or more than one"
			else if (plan != passed + failed + skipped)
				trouble = "the plan names " plan " results"
			else if (plan == 0)
				trouble = "no results"
			printf "%d %d %d %s\n", passed, failed, skipped, trouble
		}' "$1"
}

# run_step NAME TITLE: one step, counted and timed; its output if it fails.
run_step()
{
	local name=$1 tap=$check_dir/logs/$1.tap log=$check_dir/logs/$1.log
	local started=$SECONDS status passed failed skipped trouble

	printf '== %s\n' "$2"
	(results=0 && "step_$name") >"$tap" 2>"$log" </dev/null
	status=$?
	read -r passed failed skipped trouble < <(tally "$tap")
	if ((status == 124)); then
		trouble="stopped at its time limit"
	elif [[ ! $trouble ]] && ((status != 0 && failed == 0)); then
		trouble="exit status $status, though nothing failed"
	fi
	[[ ! $trouble ]] || failed=$((failed + 1))
	if ((failed)); then
		grep -v -e '^ok ' -e '^1\.\.' "$tap"
		# Without the lines of files that were built well.
		grep -v "^  [A-Z]* *build/" "$log" | tail -n 100
		[[ ! $trouble ]] || printf 'wrong with this step: %s\n' "$trouble"
		printf 'all of it: %s, %s\n' "$tap" "$log"
	fi
	grep -i '^ok .*# skip' "$tap"
	printf '   %d passed, %d failed, %d skipped in %d s\n' "$passed" "$failed" "$skipped" \
		$((SECONDS - started))
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
}

declare -rA TITLES=(
	[shellcheck]="shellcheck"
	[licences]="SPDX tags"
	[gcc]="build with gcc -Werror"
	[clang]="build with clang -Werror"
	[unit]="unit tests of lib/"
	[runner]="tests of the runner"
	[tcg]="the suite on QEMU with TCG"
	[bochs]="the suite on Bochs"
	[kvm]="the suite on QEMU with KVM"
)

main()
{
	local name selected=("$@")

	for name in "$@"; do
		case $name in
		-h | --help)
			usage
			exit 0
			;;
		esac
		if [[ ! ${TITLES[$name]-} ]]; then
			printf 'check: no step is called %s (--help lists them)\n' "$name" >&2
			exit 2
		fi
	done
	((${#selected[@]})) || selected=("${STEPS[@]}")
	"$srcdir/scripts/setup.sh" --check || exit 1

	mkdir -p "$check_dir/logs" || exit 1
	total_passed=0 total_failed=0 total_skipped=0
	for name in "${selected[@]}"; do
		run_step "$name" "${TITLES[$name]}"
	done
	printf '%d passed, %d failed' "$total_passed" "$total_failed"
	((total_skipped == 0)) || printf ', %d skipped' "$total_skipped"
	printf '\n'
	((total_failed == 0))
}

main "$@"
