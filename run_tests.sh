#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the guest kernels, runs them on a virtual machine, and gives a verdict.
# Its parts lie in scripts/.

set -u
shopt -s extglob
export LC_ALL=C
unset CDPATH

SRCDIR=${BASH_SOURCE[0]%/*}
[[ $SRCDIR != "${BASH_SOURCE[0]}" ]] || SRCDIR=.
SRCDIR=$(cd -- "$SRCDIR" && pwd) || exit 2

for part in common options config select known build vmm vmm/qemu vmm/qmp vmm/bochs \
	run verdict log post_mortem output parallel; do
	# shellcheck source=/dev/null
	. "$SRCDIR/scripts/$part.bash" || exit 2
done

# Called however the command ends: no VMM and no temporary file stays behind.
clean_up()
{
	trap '' HUP INT TERM
	live_clear
	vmm_kill
	parallel_kill
	if [[ ${WORK:-} && ! $WORKER ]]; then
		rm -rf -- "$WORK"
	fi
}

# $1: the signal's number.
killed()
{
	exit $((128 + $1))
}

main()
{
	local run

	now_ms
	STARTED=$NOW
	options_parse "$@"
	trap clean_up EXIT
	trap 'killed 1' HUP
	trap 'killed 2' INT
	trap 'killed 13' PIPE
	trap 'killed 15' TERM
	work_create
	work_guard
	if [[ $OPT_SETUP ]] && ! "$SRCDIR/scripts/setup.sh" run; then
		die "setup failed"
	fi
	build_find
	build_ask
	config_load
	host_facts
	build_update
	select_runs
	if [[ $OPT_LIST ]]; then
		list_runs
		[[ ! $OUTPUT_LOST ]] || die "$OUTPUT_LOST"
		exit 0
	fi
	log_create
	vmm_choose
	output_init
	durations_read
	if ((OPT_JOBS > 1 && ${#RUNS[@]} > 1)); then
		parallel_runs
	else
		for run in "${RUNS[@]}"; do
			[[ ! $LIVE ]] || live_show "$run"
			run_one "$run"
			show_run "$run"
		done
	fi
	durations_write
	show_summary
	exit_status
}

# A worker of -j (scripts/parallel.bash): --worker FOLDER RUN.
if [[ ${1:-} == --worker && -r ${2:-}/state ]]; then
	WORK=$2 WORKER=yes
	# shellcheck source=/dev/null
	. "$WORK/state"
	worker_main "$3"
	exit
fi
main "$@"
exit
