# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The verdict of a run (DESIGN.md section 4) from what its starts left behind,
# held against known/, and the lines that are printed below it.

# How many failing checks are shown; the log has them all.
readonly SHOWN_CHECKS=5

# Makes the verdict worse, never better; the reason of the worst one stays.
verdict_at_least()
{
	if ((VERDICT_RANK[$1] > VERDICT_RANK[$VERDICT])); then
		VERDICT=$1 SUMMARY=$2
	fi
}

# Sets VERDICT and SUMMARY, and writes the report.
run_verdict()
{
	local error

	run_hold_against_known
	run_verdict_best
	run_verdict_failures
	for error in "${RUN_ERRORS[@]}"; do
		verdict_at_least ERROR "$error"
		report_lines "error: $error"
	done
	run_struck_verdict
	if [[ $RUN_BROKEN ]]; then
		verdict_at_least BROKEN "$RUN_BROKEN"
	fi
	run_how_again
}

# What the run is if nothing is held against it: PASS, or SKIP if no check ran,
# which takes a reason.
run_verdict_best()
{
	local known=${HELD[known]:-0}

	VERDICT=SKIP SUMMARY=${RUN_SKIP_REASON:-"no reason given"}
	if ((RUN_CHECKS == 0 && known > 0 && ${#RUN_STRUCK[@]})); then
		IFS= read -r SUMMARY <"$RUN_DIR/strikes"
		known_strike "@(crash|hang)" "${RUN_STRUCK[0]}"
		SUMMARY="no check ran: $SUMMARY; known: ${KNOWN["$STRIKE why"]}"
	elif ((RUN_CHECKS > 0)); then
		VERDICT=PASS
		plural "$RUN_CHECKS" check
		SUMMARY=$PLURAL
		((known)) && plural "$known" "known failure" && SUMMARY+=", $PLURAL"
		((RUN_SKIPPED)) && SUMMARY+=", $RUN_SKIPPED skipped"
		((RUN_LEFT_OUT)) && SUMMARY+=", $RUN_LEFT_OUT known to strike and not run"
	elif ((RUN_REPORTED > RUN_SKIPPED_SUBTESTS || RUN_REPORTED == 0)); then
		[[ ${RUN_STRUCK[*]} || $RUN_BROKEN ]] || RUN_ERRORS+=("no check ran")
	fi
}

# FAIL and XPASS, as verdict.awk found them.
run_verdict_failures()
{
	local failed=${HELD[failed]:-0} known=${HELD[known]:-0} total=$RUN_CHECKS text

	if ((failed)); then
		((total >= failed)) || total=$failed
		plural "$total" check
		text="$failed of $PLURAL"
		((known)) && plural "$known" "known failure" && text+=", $PLURAL"
		verdict_at_least FAIL "$text"
		report_lines "${HELD[fail]}"
		((failed <= SHOWN_CHECKS)) || report_lines "... and $((failed - SHOWN_CHECKS)) more"
	fi
	if [[ ${HELD[off]:-} ]]; then
		verdict_at_least FAIL "more failures than known/ lists"
		report_lines "${HELD[off]}"
	fi
	if [[ ${HELD[skip]:-} ]]; then
		verdict_at_least FAIL "skipped, and known/ does not list it (--strict)"
		report_lines "${HELD[skip]}"
	fi
	if [[ ${HELD[xpass]:-} ]]; then
		verdict_at_least XPASS "passed, but is listed in known/"
		report_lines "${HELD[xpass]}"
	fi
}

# CRASH and HANG: the post-mortem of what struck and is not known.
run_struck_verdict()
{
	local dir number kind subtest reason last shown=0 full

	for ((number = 0; number < RUN_STARTS; number++)); do
		dir=$RUN_DIR/$number
		[[ -r $dir/struck ]] || continue
		{ read -r kind; read -r subtest; read -r reason; read -r last; } <"$dir/struck"
		if [[ " ${HELD[unexpected]:-} " != *" $kind:$subtest "* ]]; then
			continue
		fi
		verdict_at_least "${kind^^}" "$reason"
		full=
		((shown++ >= POST_MORTEMS)) || full=yes
		post_mortem "$dir" "$kind" "$subtest" "$reason" "$last" "$full" >>"$RUN_DIR/report"
	done
}

# Sets HELD from verdict.awk: failed, known, unexpected ("kind:subtest ..."),
# and the lines to print for fail, off, xpass, skip. Nothing to look up is by
# far the most frequent case and costs nothing.
run_hold_against_known()
{
	local what id text

	HELD=()
	known_rules >"$RUN_DIR/rules"
	if [[ ! -s $RUN_DIR/rules && ! $OPT_STRICT ]] &&
	   ((RUN_FAILED == 0 && ${#RUN_STRUCK[@]} == 0 && ${#RUN_ERRORS[@]} == 0)) && [[ ! $RUN_BROKEN ]]; then
		return
	fi
	: >>"$RUN_DIR/records"
	while IFS=$'\t' read -r what id text; do
		case $what in
		failed | known)
			HELD[$what]=$id
			;;
		unexpected_*)
			HELD[unexpected]+=" ${what#unexpected_}:$id"
			;;
		fail)
			HELD[fail]+="$id: $text"$'\n'
			;;
		xpass | off)
			HELD[$what]+="${KNOWN["$id where"]#"$SRCDIR/"}: [$id] $text"$'\n'
			;;
		skip)
			HELD[skip]+="$id: skipped: $text"$'\n'
			;;
		esac
	done < <(LC_ALL=C awk -v shown="$SHOWN_CHECKS" -v strict="${OPT_STRICT:+1}" \
		-v rules_path="$RUN_DIR/rules" -v subtests_path="$RUN_DIR/subtests" \
		-f "$SRCDIR/scripts/verdict.awk" \
		"$RUN_DIR/rules" "$RUN_DIR/subtests" "$RUN_DIR/records")
}

# --strict: a stanza whose requirements are not met here must be listed too.
run_strict_skip()
{
	[[ $OPT_STRICT ]] || return
	run_hold_against_known
	if [[ ${HELD[skip]:-} ]]; then
		VERDICT=FAIL SUMMARY="skipped, and known/ does not list it (--strict): $SUMMARY"
		run_how_again
	fi
}

# Adds lines to the report, indented.
report_lines()
{
	local line

	while IFS= read -r line; do
		[[ $line ]] && printf '    %s\n' "$line"
	done <<<"$1" >>"$RUN_DIR/report" 2>/dev/null
}

# The command that runs this alone again.
run_how_again()
{
	local glob text=
	local -a globs

	((VERDICT_RANK[$VERDICT] > VERDICT_RANK[PASS])) || return 0
	if [[ $VERDICT == @(CRASH|HANG) && ${RUN_PICK[$RUN_NAME]:-} ]]; then
		return 0 # the post-mortem has said it
	fi
	read -ra globs <<<"${RUN_PICK[$RUN_NAME]:-}"
	for glob in "${globs[@]}"; do
		shell_word "$RUN_NAME:$glob"
		text+=" $QUOTED"
	done
	report_lines "again: $AGAIN${text:- $RUN_NAME}"
}

# "1 check", "2 checks": sets PLURAL.
plural()
{
	PLURAL="$1 $2"
	(($1 == 1)) || PLURAL+=s
}
