# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What one start of a VMM wrote, as judge.awk sees it: from the console to SEEN and to
# the errors of a run.

JUDGE_PID=''

# What a guest wrote, with NULs as \001, and a line that ends it. A short one without NULs
# is read here: a command less.
run_console()
{
	local text

	if ! IFS= read -r -d '' -n 65536 text <"$1" && ((${#text} < 65536)); then
		printf '%s' "$text"
	else
		tr '\000' '\001' <"$1"
	fi
	printf '\001end\n'
}

# The names of the subtests that a start is asked for.
run_plan()
{
	local dir=$1 index
	shift

	for index in "$@"; do
		printf '%s\n' "${RUN_SUBTESTS[index]}"
	done 2>/dev/null >"$dir/plan"
}

# Starts judge.awk while the guest runs, so that it is ready when the guest has ended.
judge_start()
{
	local dir=$1

	[[ ! $JUDGE_PID ]] || return 0
	exec {JUDGE_PIPE}> >(
		exec awk -v nonce="$RUN_NONCE" -v verbose="${OPT_VERBOSE:+1}" -v cap="$LOG_CAP" \
			-v log_path="$dir/log" -v records="$RUN_DIR/records" -v plan_path="$dir/plan" \
			-f "$SRCDIR/scripts/judge.awk" >"$dir/judged" 2>/dev/null
	)
	JUDGE_PID=$!
}

# Gives it the console. One that has died has judged nothing, and that is noticed.
judge_end()
{
	trap '' PIPE
	run_console "$1/console" >&"$JUDGE_PIPE"
	trap 'killed 13' PIPE
	exec {JUDGE_PIPE}>&-
	wait "$JUDGE_PID"
	JUDGE_PID=
} 2>/dev/null

# Reads what a start wrote: sets SEEN, adds to the run's totals, turns a clean
# end into what the guest's own words make of it.
run_judge()
{
	local dir=$1 index key value
	local -a errors=()
	shift

	SEEN=([plan_seen]=0 [reported]=0 [checks]=0 [failed]=0 [skipped]=0 [skipped_subtests]=0
		[end_seen]=0 [skip_reason]='' [crash_reason]='' [crash_check]='' [judged]=0)
	judge_start "$dir"
	judge_end "$dir"
	while IFS=' ' read -r key value; do
		if [[ $key == error ]]; then
			errors+=("$value")
		else
			SEEN[$key]=$value
		fi
	done 2>/dev/null <"$dir/judged"

	RUN_CHECKS=$((RUN_CHECKS + SEEN[checks]))
	RUN_FAILED=$((RUN_FAILED + SEEN[failed]))
	RUN_SKIPPED=$((RUN_SKIPPED + SEEN[skipped]))
	RUN_REPORTED=$((RUN_REPORTED + SEEN[reported]))
	RUN_SKIPPED_SUBTESTS=$((RUN_SKIPPED_SUBTESTS + SEEN[skipped_subtests]))
	RUN_SKIP_REASON=${RUN_SKIP_REASON:-${SEEN[skip_reason]}}

	if ((! SEEN[end_seen])) && [[ $VMM_END == @(broken|clean|left) ]] && console_flooded "$dir"; then
		VMM_END=flood
	fi
	if [[ ${SEEN[crash_reason]} && $VMM_END != broken ]]; then
		VMM_END=crash VMM_REASON=${SEEN[crash_reason]}
	fi
	case $VMM_END in
	crash | hang | broken)
		return
		;;
	flood)
		RUN_ERRORS+=("the guest wrote more than $CONSOLE_MAX bytes to the console")
		;;
	left)
		RUN_ERRORS+=("$VMM_REASON")
		;;
	esac
	if ((! SEEN[plan_seen])); then
		RUN_ERRORS+=("no plan: the guest did not get as far as its first subtest")
	elif ((SEEN[reported] < $#)); then
		index=$((SEEN[reported] + 1))
		RUN_ERRORS+=("subtest '${RUN_SUBTESTS[${!index}]}' was planned and did not report")
	fi
	if ((! SEEN[end_seen] && ${#errors[@]} == 0)); then
		errors+=("no END record")
	fi
	RUN_ERRORS+=("${errors[@]}")
}
