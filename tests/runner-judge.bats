#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The judge of the result stream (scripts/judge.awk) by itself: it takes a stream without fault,
# and none of those that differ from it by one line or one digit.

load helpers

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	printf '%s\n' a.b c d e >plan
	cat >good <<-'END'
		KTAP version 1
		1..4
		    not ok 3 a.b.limit # expected #GP(0), got no fault at x86/s.c:41
		    ok 5 a.b.word # SKIP no FXSR
		not ok 1 a.b # 1 of 12 checks failed, 1 skipped
		ok 2 c # 512 checks
		ok 3 d # SKIP no compatibility mode
		ok 4 e # 7 checks
		# END nonce=5d41402abc4b2a76 subtests=4 checks=531 failed=1 skipped=2 duplicates=0
	END
	mapfile -t stream <good
}

# Whether the judge takes a console for a complete run of the plan; as in scripts/run.bash.
complete()
{
	local said

	said=$({ tr '\000' '\001' <"$1"; printf '\001end\n'; } | LC_ALL=C awk -v nonce=5d41402abc4b2a76 \
		-v verbose= -v cap=1000 -v log_path=log -v records=records -v plan_path=plan \
		-f "$SRCDIR/scripts/judge.awk")
	[[ $said != *error* && $said == *"reported 4"* && $said == *"end_seen 1"* ]]
}

# The stream with one thing changed is no complete run.
no_run()
{
	! complete bad || { echo "taken, with $1:" >&2; cat bad >&2; return 1; }
}

@test "a stream without fault is taken" {
	complete good
}

@test "none is with a line left out" {
	local i

	for ((i = 0; i < ${#stream[@]}; i++)); do
		printf '%s\n' "${stream[@]:0:i}" "${stream[@]:i + 1}" | sed '/^$/d' >bad
		no_run "line $((i + 1)) left out"
	done
}

@test "none is with a line twice" {
	local i

	for ((i = 0; i < ${#stream[@]}; i++)); do
		printf '%s\n' "${stream[@]:0:i + 1}" "${stream[@]:i}" >bad
		no_run "line $((i + 1)) twice"
	done
}

@test "none is with two lines exchanged" {
	local i j
	local -a lines

	for ((i = 0; i < ${#stream[@]}; i++)); do
		for ((j = i + 1; j < ${#stream[@]}; j++)); do
			lines=("${stream[@]}")
			lines[i]=${stream[j]} lines[j]=${stream[i]}
			printf '%s\n' "${lines[@]}" >bad
			no_run "lines $((i + 1)) and $((j + 1)) exchanged"
		done
	done
}

@test "none is with another digit in a count, a number or the nonce" {
	local text i digit

	text=$(<good)
	for ((i = 0; i < ${#text}; i++)); do
		digit=${text:i:1}
		# What a check is numbered and where it stands in the source are its own affair.
		[[ $digit == [0-9] && ${text:0:i} != *$'\n    '*([!$'\n']) ]] || continue
		printf '%s\n' "${text:0:i}$(((digit + 1) % 10))${text:i + 1}" >bad
		no_run "another digit at $i"
	done
}

@test "none is with a line cut, wherever" {
	local size

	size=$(stat -c %s good)
	for ((; size > 0; size -= 7)); do
		head -c $((size - 1)) good >bad
		no_run "only $((size - 1)) bytes"
	done
}
