#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the guest kernels, runs them on a virtual machine, and gives a verdict.
# Its parts lie in scripts/.

set -u
shopt -s extglob
export LC_ALL=C
unset CDPATH

# Sets FOLDER to the path of a folder from the root on, without a process where it
# is written in that way.
folder_path()
{
	FOLDER=$1
	[[ $1 != . ]] || FOLDER=$PWD
	[[ $FOLDER == /* && $FOLDER/ != */.* && -x $FOLDER ]] || FOLDER=$(cd -- "$1" && pwd)
}

SRCDIR=${BASH_SOURCE[0]%/*}
[[ $SRCDIR != "${BASH_SOURCE[0]}" ]] || SRCDIR=.
folder_path "$SRCDIR" || exit 2
SRCDIR=$FOLDER

# Reads parts of the runner.
load()
{
	local part

	for part in "$@"; do
		# shellcheck source=/dev/null
		. "$SRCDIR/scripts/$part.bash" || exit 2
	done
}

load_rest()
{
	load select known cache vmm run ahead judge verdict log post_mortem output parallel
}

# Called however the command ends: no VMM and no temporary file stays behind.
clean_up()
{
	trap '' HUP INT TERM
	live_clear
	vmm_kill
	parallel_kill
	if [[ $WORK ]]; then
		log_settle
		work_remove
	fi
}

# $1: the signal's number.
killed()
{
	exit $((128 + $1))
}

main()
{
	local configured=

	now_ms
	STARTED=$NOW
	options_parse "$@"
	if [[ $OPT_SETUP ]] && ! "$SRCDIR/scripts/setup.sh" run; then
		die "setup failed"
	fi
	# What make has to say takes longest: all else goes on in the meantime.
	if build_find; then
		configured=yes
		build_ask
	fi
	load_rest
	load "vmm/$OPT_VMM"
	trap clean_up EXIT
	trap 'killed 1' HUP
	trap 'killed 2' INT
	trap 'killed 13' PIPE
	trap 'killed 15' TERM
	work_guard
	if [[ ! $configured ]]; then
		work_create
		build_begin
		build_ask
	fi
	config_load
	host_facts
	select_runs
	if [[ $OPT_LIST ]]; then
		build_update
		list_runs
		[[ ! $OUTPUT_LOST ]] || die "$OUTPUT_LOST"
		exit 0
	fi
	log_create
	ahead_begin
	vmm_choose
	output_init
	durations_read
	build_update
	if ((OPT_JOBS > 1 && ${#RUNS[@]} > 1)); then
		parallel_runs
	else
		one_by_one
	fi
	durations_write
	work_leave
	log_settle
	show_summary
	exit_status
}

load common options config build
# A worker of -j (scripts/parallel.bash): --worker FOLDER RUN.
if [[ ${1:-} == --worker && -r ${2:-}/state ]]; then
	load_rest
	WORK=$2 WORKER=yes
	# shellcheck source=/dev/null
	. "$WORK/state"
	load "vmm/$OPT_VMM"
	worker_main "$3"
	exit
fi
main "$@"
exit
