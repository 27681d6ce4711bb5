# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the screen shows: a line per run, the reports, the live line, the
# summary; or TAP with -t.

declare -gA COUNT=()
RUNS_DONE=0

# Says why, if a verdict could not be written: then nobody knows it, and the exit status
# must not say that all is well.
OUTPUT_LOST=''

# All that goes to standard output, except the live line. A reader that has gone away is no
# business of bash's: killed() ends us then.
screen()
{
	# shellcheck disable=SC2059 # the format is the caller's
	printf "$@" || OUTPUT_LOST="standard output cannot be written"
} 2>/dev/null

# A remark about the machine or the folder, once: a comment in TAP.
note()
{
	live_clear
	if [[ $OPT_TAP ]]; then
		screen '# %s\n' "$*"
	else
		printf '%s: %s\n' "${0##*/}" "$*" >&2
	fi
}

output_init()
{
	local verdict

	COLOUR='' RESET='' LIVE=''
	declare -gA COLOURS=()
	for verdict in "${!VERDICT_RANK[@]}"; do
		COUNT[$verdict]=0 COLOURS[$verdict]=
	done
	if [[ -t 1 && ! ${NO_COLOR:-} && ${TERM:-dumb} != dumb && ! $OPT_TAP ]]; then
		COLOURS=([PASS]=$'\e[32m' [SKIP]=$'\e[36m' [XPASS]=$'\e[33m' [FAIL]=$'\e[31m'
			[ERROR]=$'\e[31m' [HANG]=$'\e[31m' [CRASH]=$'\e[31m' [BROKEN]=$'\e[35m')
		RESET=$'\e[0m'
	fi
	if [[ -t 1 && ${TERM:-dumb} != dumb && ! $OPT_TAP ]]; then
		LIVE=terminal
	fi
	LIVE_SHOWN='' BEAT_NEXT=$((STARTED + 10000)) LAST_SHOWN=$NOW
	if [[ $OPT_TAP ]]; then
		screen 'TAP version 13\n1..%s\n' "${#RUNS[@]}"
	fi
}

# The line that says where we are: on a terminal overwritten in place, else a
# heartbeat at most every 10 s.
live_show()
{
	local running=$1 left='' text columns

	now_ms
	if [[ ! $LIVE ]]; then
		if ((NOW < BEAT_NEXT)) || [[ $WORKER ]]; then
			return
		fi
		BEAT_NEXT=$((NOW + 10000))
	fi
	if ((LEFT_MS > NOW - LAST_SHOWN)); then
		left=", about $(((LEFT_MS - NOW + LAST_SHOWN) / 1000 + 1)) s left"
	fi
	text="[$RUNS_DONE/${#RUNS[@]}]${running:+ $running}, $(((NOW - STARTED) / 1000)) s$left"
	if [[ ! $LIVE ]]; then
		if [[ $OPT_TAP ]]; then
			screen '# %s\n' "$text"
		else
			screen '%s\n' "... $text"
		fi
		return
	fi
	columns=${COLUMNS:-80}
	printf '\r\e[K%s' "${text:0:columns - 1}"
	LIVE_SHOWN=yes
}

# Prints what run_one left for a run, and counts it.
show_run()
{
	local run=$1 verdict summary milliseconds

	verdict=BROKEN summary="the runner's worker died" milliseconds=0
	if [[ -s $WORK/runs/$run/verdict ]]; then
		{ read -r verdict; read -r summary; read -r milliseconds; } <"$WORK/runs/$run/verdict"
	elif ! disk_has_room "$WORK"; then
		summary="no space left in $WORK"
	fi
	RUNS_DONE=$((RUNS_DONE + 1))
	now_ms
	LAST_SHOWN=$NOW
	COUNT[$verdict]=$((COUNT[$verdict] + 1))
	durations_learn "$run" "$milliseconds"
	live_clear
	if [[ $OPT_TAP ]]; then
		show_tap "$run" "$verdict" "$summary"
		return
	fi
	screen '%s%s%s %s (%s)\n' "${COLOURS[$verdict]}" "$verdict" "$RESET" "$run" "$summary"
	[[ ! -s $WORK/runs/$run/report ]] || screen '%s\n' "$(<"$WORK/runs/$run/report")"
	if [[ $OPT_VERBOSE ]]; then
		show_verbose "$run" "$milliseconds"
	fi
}

# -v: the subtests, how long it took, and the VMM's command line.
show_verbose()
{
	local run=$1 dir line

	for dir in "$WORK/runs/$run"/[0-9]*; do
		[[ -r $dir/log ]] || continue
		while IFS= read -r line; do
			if [[ $line =~ ^(not\ )?ok\ [0-9] || $line == '    '* ]]; then
				printable "$line"
				screen '    %s\n' "$PRINTABLE"
			fi
		done <"$dir/log"
		[[ ! -r $dir/command ]] || screen '    command: %s\n' "$(<"$dir/command")"
	done
	seconds_text "$2"
	screen '    time: %s s\n' "$SECONDS_TEXT"
}

# TAP that is true: everything worse than PASS is "not ok" and says why.
show_tap()
{
	local run=$1 verdict=$2 summary=${3//\#/ } line

	case $verdict in
	PASS) screen 'ok %s - %s (%s)\n' "$RUNS_DONE" "$run" "$summary" ;;
	SKIP) screen 'ok %s - %s # SKIP %s\n' "$RUNS_DONE" "$run" "$summary" ;;
	*) screen 'not ok %s - %s: %s (%s)\n' "$RUNS_DONE" "$run" "$verdict" "$summary" ;;
	esac
	if [[ -s $WORK/runs/$run/report ]]; then
		while IFS= read -r line; do
			screen '# %s\n' "${line#    }"
		done <"$WORK/runs/$run/report"
	fi
}

# The last line: how many of each verdict, and the time.
show_summary()
{
	local verdict text=''

	live_clear
	for verdict in PASS FAIL XPASS CRASH HANG ERROR BROKEN SKIP; do
		((COUNT[$verdict])) || continue
		text+=", ${COLOURS[$verdict]}${COUNT[$verdict]} $verdict$RESET"
	done
	now_ms
	seconds_text $((NOW - STARTED))
	screen '%s%s in %s s%s\n' "${OPT_TAP:+# }" "${text#, }" "$SECONDS_TEXT" \
		"${LOG_DIR:+; logs in $LOG_SHOWN}"
}

# The exit status that the counted verdicts call for.
exit_status()
{
	local bad=$((COUNT[FAIL] + COUNT[XPASS] + COUNT[CRASH] + COUNT[HANG] + COUNT[ERROR]))

	if [[ $OUTPUT_LOST ]]; then
		warn "$OUTPUT_LOST"
		return 1
	elif ((bad)); then
		return 1
	elif ((COUNT[BROKEN])); then
		return $((${#OPT_BISECT} ? EXIT_CANNOT_JUDGE : 1))
	elif ((COUNT[PASS])); then
		return 0
	fi
	return $((${#OPT_BISECT} ? EXIT_CANNOT_JUDGE : EXIT_SKIPPED))
}

# How long each run took last time, per VMM and accelerator: what "time left"
# and the order under -j come from.
declare -gA DURATION=()
LEFT_MS=0

durations_read()
{
	local run milliseconds

	DURATION_FILE=${LOG_DIR:+$LOG_DIR/.durations-$OPT_VMM-${ACCELERATOR:-none}}
	if [[ -r $DURATION_FILE ]]; then
		while read -r run milliseconds; do
			if [[ $milliseconds =~ ^[0-9]{1,9}$ ]]; then
				DURATION[$run]=$milliseconds
			fi
		done <"$DURATION_FILE"
	fi
	for run in "${RUNS[@]}"; do
		LEFT_MS=$((LEFT_MS + ${DURATION[$run]:-0}))
	done
	LEFT_MS=$((LEFT_MS / OPT_JOBS))
}

durations_learn()
{
	LEFT_MS=$((LEFT_MS - ${DURATION[$1]:-0} / OPT_JOBS))
	DURATION[$1]=$2
}

durations_write()
{
	local run

	if [[ ! $DURATION_FILE ]] || ((${#RUNS[@]} < 2)); then
		return
	fi
	for run in "${!DURATION[@]}"; do
		printf '%s %s\n' "$run" "${DURATION[$run]}"
	done >"$LOG_NEW/${DURATION_FILE##*/}" && LOG_PENDING+=("$LOG_NEW/${DURATION_FILE##*/}")
} 2>/dev/null
