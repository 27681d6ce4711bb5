# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# One run from its stanza to its verdict: the VMM is started, what the guest
# wrote is judged, and after a crash or a hang the subtests behind the one that
# struck get a new VMM.
#
# A run leaves in $WORK/runs/NAME: verdict (verdict, summary, milliseconds),
# report (what is printed below the verdict), records, and a folder per start.

# What conditions can ask about a run; what judge.awk saw; what verdict.awk said.
declare -gA RUN_FACTS=() SEEN=() HELD=()

# Hangs cost their time limit: after this many unexpected ones a run is given up.
readonly HANGS_PER_RUN=3

# What a stanza says about its machine: sets RUN_CPUS, RUN_MEM (bytes),
# RUN_LIMIT_MS (0: none), RUN_WORDS (the guest's own arguments) and RUN_PARAMS
# (the VMM's). Upstream's stanzas say some of it in QEMU's options.
run_resources()
{
	local stanza=$1 text i

	RUN_CPUS=${CFG["$stanza smp"]:-1}
	RUN_WORDS=${CFG["$stanza test_args"]:-}
	if [[ $RUN_WORDS =~ ^\"(.*)\"$ || $RUN_WORDS =~ ^\'(.*)\'$ ]]; then
		RUN_WORDS=${BASH_REMATCH[1]}
	fi
	size_bytes "${CFG["$stanza mem"]:-128M}"
	RUN_MEM=$SIZE_BYTES RUN_PARAMS=()
	text="${CFG["$stanza qemu_params"]:-} ${CFG["$stanza extra_params"]:-}"
	split_words "$text"
	for ((i = 0; i < ${#WORDS[@]}; i++)); do
		case ${WORDS[i]} in
		-append) RUN_WORDS+=" ${WORDS[++i]:-}" ;;
		-smp) RUN_CPUS=${WORDS[++i]:-1} ;;
		-m)
			text=${WORDS[++i]:-}
			[[ $text == *[KMG] ]] || text+=M
			size_bytes "$text" && RUN_MEM=$SIZE_BYTES
			;;
		*) RUN_PARAMS+=("${WORDS[i]}") ;;
		esac
	done
	case $RUN_CPUS in
	max | "\$MAX_SMP")
		RUN_CPUS=${MAX_SMP:-$HOST_CPUS}
		((RUN_CPUS <= VMM_MAX_CPUS)) || RUN_CPUS=$VMM_MAX_CPUS
		;;
	esac
	duration_ms "${TIMEOUT:-${CFG["$stanza timeout"]:-90}}"
	RUN_LIMIT_MS=$DURATION_MS
}

# Whether the stanza cannot run here: sets SKIP_REASON.
run_refused()
{
	local stanza=$1 conditions

	SKIP_REASON=
	"${OPT_VMM}_refuses" "$stanza" && return 0
	if ((RUN_CPUS > VMM_MAX_CPUS)); then
		SKIP_REASON="needs $RUN_CPUS CPUs, $OPT_VMM has at most $VMM_MAX_CPUS"
		return 0
	fi
	conditions=${CFG["$stanza check"]:-}
	case ${CHECK:-yes} in
	yes) ;;
	no) conditions= ;;
	*) conditions=$CHECK ;;
	esac
	if [[ $conditions ]] && ! condition_holds "$conditions"; then
		SKIP_REASON="check failed: $FAILED_CONDITION"
	elif [[ ${CFG["$stanza needs"]:-} ]] && ! condition_holds "${CFG["$stanza needs"]}"; then
		SKIP_REASON="needs $FAILED_CONDITION"
	elif [[ ${CFG["$stanza disabled_if"]:-} && ! $OPT_ALL ]] &&
	     condition_holds "${CFG["$stanza disabled_if"]}"; then
		SKIP_REASON="disabled if ${CFG["$stanza disabled_if"]}"
	else
		return 1
	fi
}

# Everything about a run that is fixed before the VMM starts.
run_prepare()
{
	local run=$1 stanza=${RUN_STANZA[$1]} mode=${RUN_MODE[$1]} index glob

	RUN_NAME=$run RUN_DIR=$WORK/runs/$run
	run_folder "$RUN_DIR/0" || return 1
	known_select "$run"
	image_base "$stanza" "$mode"
	RUN_BASE=$IMAGE_BASE
	RUN_TRAIL='' RUN_STARTS=0 RUN_ERRORS=() RUN_STRUCK=()
	RUN_CHECKS=0 RUN_FAILED=0 RUN_SKIPPED=0 RUN_REPORTED=0 RUN_SKIPPED_SUBTESTS=0
	RUN_BROKEN='' RUN_SKIP_REASON=''
	RUN_FACTS=([vmm]=$OPT_VMM [mode]=$mode [boot]=$OPT_BOOT [accel]='' [machine]='' [version]='')
	"${OPT_VMM}_facts" "$stanza"
	run_resources "$stanza"
	RUN_FACTS[smp]=$RUN_CPUS
	info_read "$RUN_BASE.info"
	{ printf '%s\n' "${INFO_SUBTESTS[@]}" >"$RUN_DIR/subtests" && : >"$RUN_DIR/report"; } 2>/dev/null ||
		return 1

	RUN_INDEXES=() RUN_LEFT_OUT=0
	for ((index = 0; index < ${#INFO_SUBTESTS[@]}; index++)); do
		if [[ ! ${RUN_PICK[$run]} ]]; then
			if [[ ! $OPT_ALL ]] && known_strike "@(crash|hang)" "${INFO_SUBTESTS[index]}" no; then
				RUN_LEFT_OUT=$((RUN_LEFT_OUT + 1))
				continue
			fi
			RUN_INDEXES+=("$index")
			continue
		fi
		while read -r glob; do
			# shellcheck disable=SC2053
			if [[ ${INFO_SUBTESTS[index]} == $glob ]]; then
				RUN_INDEXES+=("$index")
				break
			fi
		done <<<"${RUN_PICK[$run]// /$'\n'}"
	done
	RUN_SUBTESTS=("${INFO_SUBTESTS[@]}")
}

# A run from start to end: its files are written, nothing is printed.
run_one()
{
	local run=$1 began

	now_ms
	began=$NOW
	if ! run_prepare "$run"; then
		VERDICT=BROKEN SUMMARY="no space left in $WORK"
	elif [[ $VMM_PROBLEM ]]; then
		VERDICT=BROKEN SUMMARY=$VMM_PROBLEM
	elif run_refused "${RUN_STANZA[$run]}"; then
		VERDICT=SKIP SUMMARY=$SKIP_REASON
		printf 'S\t(run)\tskip\t%s\n' "$SKIP_REASON" >"$RUN_DIR/records"
		run_strict_skip
	elif ((${#RUN_INDEXES[@]} == 0 && RUN_LEFT_OUT)); then
		VERDICT=SKIP SUMMARY="every subtest is known to crash or hang and is not run"
	elif ((${#RUN_INDEXES[@]} == 0)); then
		VERDICT=ERROR SUMMARY="the image has no subtests"
	else
		run_starts
		run_verdict
	fi
	now_ms
	RUN_MS=$((NOW - began))
	run_tell
	run_log
}

# What show_run reads.
run_tell()
{
	printf '%s\n' "$VERDICT" "$SUMMARY" "$RUN_MS" >"$RUN_DIR/verdict"
} 2>/dev/null

# Starts VMMs until every subtest has reported or nothing can be gained.
run_starts()
{
	local -a left=("${RUN_INDEXES[@]}")
	local dir hangs=0 struck

	while ((${#left[@]})); do
		dir=$RUN_DIR/$((RUN_STARTS++))
		if ! run_folder "$dir" || ! run_image "$dir" "${left[@]}"; then
			RUN_BROKEN="cannot write the image to $WORK (is there space left?)"
			return
		fi
		: >"$dir/console"
		VMM_END=broken VMM_REASON='' VMM_SAID='' VMM_STATUS=0
		run_plan "$dir" "${left[@]}"
		"${OPT_VMM}_start" "${RUN_STANZA[$RUN_NAME]}" "$dir"
		[[ $VMM_VERSION ]] && RUN_FACTS[version]=$VMM_VERSION
		run_judge "$dir" "${left[@]}"
		if ((! SEEN[judged])) || { ((! SEEN[end_seen])) && ! disk_has_room "$WORK"; }; then
			RUN_BROKEN="no space left in $WORK"
			! disk_has_room "$WORK" || RUN_BROKEN="the output could not be judged"
			return
		fi
		case $VMM_END in
		crash | hang) ;;
		broken)
			RUN_BROKEN=$VMM_REASON
			return
			;;
		*)
			return
			;;
		esac
		if ((! SEEN[plan_seen])); then
			run_struck "$dir" "(start)" "before the first subtest"
			return
		elif ((SEEN[reported] >= ${#left[@]})); then
			run_struck "$dir" "(end)" "after the last subtest"
			return
		fi
		struck=${RUN_SUBTESTS[left[SEEN[reported]]]}
		run_struck "$dir" "$struck" "in $struck"
		left=("${left[@]:SEEN[reported] + 1}")
		if [[ $VMM_END == hang ]] && ! known_strike hang "$struck" &&
		   ((++hangs >= HANGS_PER_RUN && ${#left[@]})); then
			RUN_ERRORS+=("given up after $hangs hangs, ${#left[@]} subtests did not run")
			return
		fi
	done
}

run_struck()
{
	local dir=$1 subtest=$2 where=$3

	RUN_STRUCK+=("$subtest")
	printf '%s\n' "$VMM_REASON, $where" >>"$RUN_DIR/strikes"
	printf 'X\t%s\t%s\n' "$subtest" "$VMM_END" >>"$RUN_DIR/records"
	printf '%s\n' "$VMM_END" "$subtest" "$VMM_REASON, $where" "${SEEN[crash_check]:-}" >"$dir/struck"
}

# This start's copy of the image, with its arguments filled in: sets RUN_IMAGE,
# RUN_NONCE and RUN_ARGUMENTS.
run_image()
{
	local dir=$1
	shift

	printf -v RUN_NONCE '%08x%08x' $((SRANDOM | 0x10000000)) "$SRANDOM"
	index_ranges "$@"
	RUN_ARGUMENTS="trapline nonce=$RUN_NONCE cpus=$RUN_CPUS run=$RANGES verbose=${OPT_VERBOSE:+1} mem=$RUN_MEM"
	RUN_ARGUMENTS=${RUN_ARGUMENTS/verbose= /verbose=0 }
	[[ $RUN_WORDS ]] && RUN_ARGUMENTS+=" -- $RUN_WORDS"
	if ((${#RUN_ARGUMENTS} > 2047)); then
		die_at "${CFG["${RUN_STANZA[$RUN_NAME]} where"]}" "the guest's arguments are longer than 2047 bytes"
	fi
	if [[ $OPT_BOOT == multiboot ]]; then
		RUN_IMAGE=$RUN_BASE.elf
		return
	fi
	RUN_IMAGE=$dir/rom
	ahead_has "$RUN_IMAGE" "$RUN_BASE.rom" ||
		cp --no-preserve=mode -- "$RUN_BASE.rom" "$RUN_IMAGE" 2>/dev/null || return 1
	# Opened for reading as well, the file keeps the rest of its bytes.
	printf '%s\0' "$RUN_ARGUMENTS" 2>/dev/null 1<>"$RUN_IMAGE"
}

# 0 1 2 5 as "0-2,5": sets RANGES.
index_ranges()
{
	local first='' last='' index

	RANGES=
	for index in "$@" end; do
		if [[ $last && $index == "$((last + 1))" ]]; then
			last=$index
			continue
		fi
		if [[ $first ]]; then
			RANGES+=,$first
			[[ $first == "$last" ]] || RANGES+=-$last
		fi
		first=$index last=$index
	done
	RANGES=${RANGES#,}
}

# Called by a VMM's driver about once a second while the guest runs.
run_tick()
{
	live_show "$RUN_NAME"
}
