# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# One run after the other, and what is done for one out of turn: a command costs as
# much as a tenth of a guest, and a guest needs one CPU. So folders and the image of the
# next run are made, and the logs of the last one put away, while a guest runs.

# The copy of an image that is being made, and by which process.
AHEAD_IMAGE='' AHEAD_PID=''

# The run after this one, if one VMM follows another.
RUN_NEXT=''

one_vmm_at_a_time()
{
	((OPT_JOBS == 1 || ${#RUNS[@]} == 1))
}

# The temporary folder, with the folders of the first runs: one command makes many.
ahead_begin()
{
	local run
	local -a folders=(runs)

	if ! one_vmm_at_a_time; then
		work_create "${folders[@]}" # what lies there says which runs have begun
		return
	fi
	for run in "${RUNS[@]:0:16}"; do
		folders+=("runs/$run" "runs/$run/0")
	done
	work_create "${folders[@]}"
	ahead_image "${RUNS[0]}"
}

one_by_one()
{
	local i

	for ((i = 0; i < ${#RUNS[@]}; i++)); do
		RUN_NEXT=${RUNS[i + 1]:-}
		[[ ! $LIVE ]] || live_show "${RUNS[i]}"
		run_one "${RUNS[i]}"
		show_run "${RUNS[i]}"
	done
}

# Called by a VMM's driver when the VMM has been started; what fails here is done
# again, and noticed, in its own time.
run_meanwhile()
{
	judge_start "$1"
	log_settle
	[[ ! $LOG_NEW || -d $LOG_NEW ]] || mkdir "$LOG_NEW" 2>/dev/null
	if [[ $RUN_NEXT ]]; then
		run_folder "$WORK/runs/$RUN_NEXT/0" && ahead_image "$RUN_NEXT"
		RUN_NEXT=
	fi
}

# Starts to copy the image of a run.
ahead_image()
{
	[[ $OPT_BOOT == rom ]] || return 0
	image_base "${RUN_STANZA[$1]}" "${RUN_MODE[$1]}"
	AHEAD_IMAGE=$WORK/runs/$1/0/rom
	cp --no-preserve=mode -- "$IMAGE_BASE.rom" "$AHEAD_IMAGE" 2>/dev/null &
	AHEAD_PID=$!
}

# Whether $1 is a whole copy of the image $2, and one of what $2 is now.
ahead_has()
{
	[[ $AHEAD_IMAGE == "$1" ]] && wait "$AHEAD_PID" && [[ ! $2 -nt $1 ]]
}

# Forgets the copy: the image is a new one.
ahead_drop()
{
	[[ ! $AHEAD_PID ]] || wait "$AHEAD_PID"
	AHEAD_IMAGE='' AHEAD_PID=''
}

run_folder()
{
	[[ -d $1 ]] || mkdir -p "$1" 2>/dev/null
}
