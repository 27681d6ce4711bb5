#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What starting a test costs, in one run and as medians: each figure is taken in
# turn with the floor, which is QEMU without a machine, starting and quitting. The
# ratios are what to compare; the milliseconds are this machine's, today's.
#
# Usage: scripts/bench.sh [RUNS]	(make bench; 15 runs of each by default)

set -u
export LC_ALL=C

SRCDIR=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd) || exit 2
RUNS=${1:-15}
QEMU=${QEMU:-qemu-system-x86_64}
# What a CPU must do before the larger subjects mean anything.
BASICS=('hello*' 'selftest*' exceptions segment_limits 'poll_control*' smp smp-4)

if [[ ! $RUNS =~ ^[1-9][0-9]*$ ]] || (($# > 1)); then
	echo "usage: scripts/bench.sh [RUNS]" >&2
	exit 2
fi
for image in x86_64/hello pae/segment_limits; do
	if [[ ! -f build/$image.rom ]]; then
		echo "bench.sh: no build/$image.rom here: run make first" >&2
		exit 2
	fi
done

WORK=$(mktemp -d) || exit 2
trap 'rm -rf -- "$WORK"' EXIT

# Sets MICROSECONDS to what a command took; its output is dropped.
stopwatch()
{
	local start=${EPOCHREALTIME/./}

	"$@" >/dev/null 2>&1 </dev/null
	STATUS=$?
	MICROSECONDS=$((${EPOCHREALTIME/./} - start))
}

# Sets MEDIAN to the median of its arguments.
median()
{
	local sorted

	mapfile -t sorted < <(printf '%s\n' "$@" | sort -n)
	MEDIAN=${sorted[$#/2]}
}

floor()
{
	"$QEMU" -M none -nodefaults -display none -monitor stdio <<<quit
}

# $1: accelerator, $2: CPU model, $3: mode; no runner, only the VMM.
guest()
{
	"$QEMU" -nodefaults -no-user-config -display none -M microvm -accel "$1" -cpu "$2" -m 128 \
		-bios "build/$3/hello.rom" -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-serial "file:$WORK/console" -no-reboot
}

ms()
{
	printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# pair LABEL STATUS COMMAND...: COMMAND and the floor in turn; STATUS is what it must exit with.
pair()
{
	local label=$1 expected=$2 ours=() floors=() ratios=() i
	shift 2

	for ((i = 0; i < RUNS; i++)); do
		stopwatch "$@"
		if ((STATUS != expected)); then
			printf '  %-44s exits with %d, not %d\n' "$label" "$STATUS" "$expected"
			FAILED=1
			return
		fi
		ours+=("$MICROSECONDS")
		stopwatch floor
		floors+=("$MICROSECONDS")
		ratios+=($((ours[i] * 100 / floors[i])))
	done
	median "${ours[@]}"
	local our_median=$MEDIAN
	median "${floors[@]}"
	local floor_median=$MEDIAN
	median "${ratios[@]}"
	printf '  %-44s %8s ms  floor %6s ms  ratio %d.%02d\n' "$label" "$(ms "$our_median")" \
		"$(ms "$floor_median")" $((MEDIAN / 100)) $((MEDIAN % 100))
}

# Checks per second of segment_limits, from the counts and times that the runner noted.
checks_per_second()
{
	local mode accel=$1 checks milliseconds

	for mode in i386 pae x86_64; do
		ACCEL=$accel "$SRCDIR/run_tests.sh" -o "$WORK/logs" "segment_limits.$mode" >"$WORK/out" 2>&1
		checks=$(sed -n 's/^# END .* checks=\([0-9]*\) .*/\1/p' "$WORK/logs/segment_limits.$mode.log")
		milliseconds=$(sed -n 's/^milliseconds //p' "$WORK/logs/segment_limits.$mode.facts")
		if [[ ! $checks || ! $milliseconds ]]; then
			printf '  %-44s did not end\n' "segment_limits.$mode, $accel"
			FAILED=1
			continue
		fi
		printf '  %-44s %8d checks in %d ms: %d a second\n' "segment_limits.$mode, $accel" \
			"$checks" "$milliseconds" $((checks * 1000 / milliseconds))
	done
}

# What x86/svm/latency.c reports; each call includes that of a C function.
svm_costs()
{
	local accel=$1 cost

	if ! ACCEL=$accel "$SRCDIR/run_tests.sh" -o "$WORK/logs" svm_latency >"$WORK/out" 2>&1; then
		printf '  %-44s did not pass\n' "svm_latency, $accel"
		FAILED=1
		return
	fi
	while IFS= read -r cost; do
		printf '  %-44s %8s ns\n' "${cost%%: *}, $accel" "${cost##*: }"
	done < <(sed -n 's/^# cost \(.*\) ns$/\1/p' "$WORK/logs/svm_latency.x86_64.log")
}

# suite LABEL JOBS NAME...: the named runs, or all, once.
suite()
{
	local label=$1 jobs=$2
	shift 2

	stopwatch env ACCEL=tcg "$SRCDIR/run_tests.sh" -o "$WORK/logs" "$jobs" "$@"
	printf '  %-44s %8s s, exit status %d\n' "$label, tcg, $jobs" \
		"$((MICROSECONDS / 1000000)).$((MICROSECONDS / 100000 % 10))" "$STATUS"
	((STATUS == 0)) || FAILED=1
}

# The CPU model that the runner found to work on this KVM.
kvm_cpu()
{
	ACCEL=kvm "$SRCDIR/run_tests.sh" -o "$WORK/logs" hello.x86_64 >/dev/null 2>&1
	sed -n 's/^command .* -cpu \([^ ]*\) .*/\1/p' "$WORK/logs/hello.x86_64.facts"
}

FAILED=0
printf '%s\n%s cores, %s runs of each pair\n' "$("$QEMU" --version | head -n 1)" "$(nproc)" "$RUNS"

echo "whole command against the floor (target: 8):"
pair "./run_tests.sh hello (3 modes), tcg" 0 env ACCEL=tcg "$SRCDIR/run_tests.sh" -o "$WORK/logs" hello
pair "./run_tests.sh hello.x86_64, tcg" 0 env ACCEL=tcg "$SRCDIR/run_tests.sh" -o "$WORK/logs" hello.x86_64

echo "the VMM alone, boot to verdict, against the floor (target: 3 on TCG, 4 on KVM):"
for mode in x86_64 pae i386; do
	pair "hello.$mode, tcg" 85 guest tcg max "$mode"
done
if [[ -w /dev/kvm ]]; then
	cpu=$(kvm_cpu)
	for mode in x86_64 pae i386; do
		before=$FAILED
		pair "hello.$mode, kvm" 85 guest kvm "$cpu" "$mode"
		# A KVM may have no 32-bit paging; known/ says so, and the suite judges it.
		[[ $mode == x86_64 ]] || FAILED=$before
	done
fi

echo "checks:"
checks_per_second tcg

echo "nested SVM, a call of each, by the guest's TSC:"
svm_costs tcg

echo "the suite:"
for jobs in -j1 -j2; do
	suite "the CPU's basics" "$jobs" "${BASICS[@]}"
	suite "whole suite" "$jobs"
done
exit "$FAILED"
