# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What stays under logs/ of each run: NAME.log, the console of every start, and
# NAME.facts, "key value" lines.

# Files that lie in LOG_NEW, a folder of this command in LOG_DIR, and have to go up: two
# runners at once must not mix theirs.
declare -ga LOG_PENDING=()

run_log()
{
	local base=$LOG_NEW/$RUN_NAME

	[[ $LOG_DIR ]] || return 0
	[[ -d $LOG_NEW ]] || mkdir "$LOG_NEW"
	if run_log_console >"$base.log" && run_log_facts >"$base.facts"; then
		LOG_PENDING+=("$base.log" "$base.facts")
		return 0
	fi
	rm -f -- "$base.log" "$base.facts"
	VERDICT=BROKEN SUMMARY="cannot write the log to $LOG_DIR"
	disk_has_room "$LOG_DIR" || SUMMARY+=": no space left"
	run_tell
} 2>/dev/null

# Puts the logs where they are looked for.
log_settle()
{
	local -a files=("${LOG_PENDING[@]}")

	LOG_PENDING=()
	if ((${#files[@]})) && ! mv -f -t "$LOG_DIR" -- "${files[@]}" 2>/dev/null; then
		OUTPUT_LOST="cannot write the logs to $LOG_DIR"
		return 1
	fi
}

run_log_console()
{
	local dir number

	for ((number = 0; number < RUN_STARTS; number++)); do
		dir=$RUN_DIR/$number
		((RUN_STARTS == 1)) || printf '# trapline: start %s\n' "$number" || return
		[[ ! -s $dir/log ]] || print_file "$dir/log" || return
		if [[ -s $dir/stderr && ($OPT_VMM != bochs || $VERDICT != PASS) ]]; then
			printf '# trapline: the VMM wrote to stderr\n'
			head -c 65536 "$dir/stderr" || return
		fi
	done
}

# A short file without starting a command.
print_file()
{
	local -a lines

	mapfile -n 500 lines <"$1"
	if ((${#lines[@]} < 500)); then
		printf '%s' "${lines[@]}"
	else
		cat "$1"
	fi
}

run_log_facts()
{
	local number line

	printf 'test %s\nverdict %s\nsummary %s\n' "$RUN_NAME" "$VERDICT" "$SUMMARY"
	printf 'milliseconds %s\ndate %(%Y-%m-%dT%H:%M:%S%z)T\n' "$RUN_MS" -1
	printf 'vmm %s %s\nversion %s\n' "$OPT_VMM" "$VMM_PATH" "${RUN_FACTS[version]:-unknown}"
	printf 'accel %s\nmachine %s\n' "${RUN_FACTS[accel]:-none}" "${RUN_FACTS[machine]:-none}"
	printf 'kernel %s\ncpu %s\n' "$HOST_KERNEL" "$HOST_CPU"
	for ((number = 0; number < RUN_STARTS; number++)); do
		if [[ -r $RUN_DIR/$number/command ]]; then
			IFS= read -r line <"$RUN_DIR/$number/command"
			printf 'command %s\n' "$line"
		fi
	done
	while IFS= read -r line; do
		printf 'report %s\n' "${line#    }"
	done <"$RUN_DIR/report"
	# The last write fails too if an earlier one found the disk full.
	printf 'end\n'
}
