# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# -j N: GNU parallel schedules; each job is this runner again, as a worker for
# one run. A worker finds everything that was read and probed in $WORK/state,
# leaves its result where run_one does, and prints its run's name.

# What a worker needs to know.
readonly WORKER_STATE="OPT_ALL OPT_BISECT OPT_BOOT OPT_JOBS OPT_STRICT OPT_TAP OPT_VERBOSE OPT_VMM
	AGAIN BUILD_DIR CONFIG CFG RUNS RUN_STANZA RUN_MODE RUN_PICK
	HOST_CPU HOST_CPUS HOST_KERNEL HOST_VENDOR LOG_DIR LOG_NEW STARTED
	VMM_PATH VMM_BINARY VMM_VERSION VMM_PROBLEM VMM_MAX_CPUS ACCELERATOR
	PROBED_CPU BOCHS_DISPLAY BOCHS_PREFIX"

# Not what an outer GNU parallel put into the environment: clean_up would kill that.
PARALLEL_PID=''

parallel_runs()
{
	local run name home=$BUILD_DIR status ready
	local -A seen=()

	if ! type -P parallel >/dev/null; then
		missing_tool parallel
		exit_cannot_run
	fi
	for name in $WORKER_STATE; do
		declare -p "$name" 2>/dev/null
	done >"$WORK/state"
	printf '%s\n' "${KNOWN_PACKED[@]}" "${KNOWN_TESTS[@]}" >"$WORK/known"
	# The longest first, so that none is left over at the end.
	for run in "${RUNS[@]}"; do
		printf '%s %s\n' "${DURATION[$run]:-0}" "$run"
	done | sort -s -k1,1nr | cut -d' ' -f2 >"$WORK/queue"
	[[ -w $home ]] || home=$WORK

	exec {PARALLEL_OUT}< <(
		export PARALLEL_HOME=$home/.parallel
		exec setpriv --pdeathsig KILL parallel --will-cite -u -j "$OPT_JOBS" -q -a "$WORK/queue" \
			setpriv --pdeathsig KILL "$BASH" "$SRCDIR/run_tests.sh" --worker "$WORK" {}
	)
	PARALLEL_PID=$!
	while :; do
		[[ ! $LIVE ]] || live_show "$(parallel_running)"
		IFS= read -r -t 1 run <&"$PARALLEL_OUT"
		status=$?
		if ((status > 128)); then
			[[ $LIVE ]] || live_show "$(parallel_running)"
			continue
		elif ((status)); then
			break
		elif [[ ${RUN_STANZA[$run]:-} ]]; then
			seen[$run]=yes
			show_run "$run"
		fi
	done
	exec {PARALLEL_OUT}<&-
	wait "$PARALLEL_PID" 2>/dev/null
	PARALLEL_PID=
	for run in "${RUNS[@]}"; do
		[[ ${seen[$run]:-} ]] || show_run "$run"
	done
}

# The runs that have begun and not ended, as one text.
parallel_running()
{
	local dir text=''

	for dir in "$WORK"/runs/*/; do
		if [[ -d $dir && ! -e $dir/verdict ]]; then
			dir=${dir%/}
			text+=" ${dir##*/}"
		fi
	done
	printf '%s' "${text# }"
}

# Workers and their VMMs die with their parents.
parallel_kill()
{
	if [[ ${PARALLEL_PID:-} ]]; then
		kill -KILL "$PARALLEL_PID" 2>/dev/null
		PARALLEL_PID=
	fi
}

worker_main()
{
	LIVE='' LIVE_SHOWN='' BEAT_NEXT=0 LAST_SHOWN=0 VMM_PID=''
	mapfile -t KNOWN_PACKED <"$WORK/known"
	KNOWN_TESTS=("${KNOWN_PACKED[@]:${#KNOWN_PACKED[@]} / 2}")
	run_one "$1"
	if ! log_settle; then
		VERDICT=BROKEN SUMMARY="cannot write the log to $LOG_DIR"
		run_tell
	fi
	printf '%s\n' "$1"
}
