# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What stays under logs/ of each run: NAME.log, the console of every start, and
# NAME.facts, "key value" lines.

# Both files are written under another name first: two runners at once must not
# mix theirs.
run_log()
{
	local base=$LOG_DIR/$RUN_NAME

	[[ $LOG_DIR ]] || return 0
	if run_log_console >"$base.log.$$" && run_log_facts >"$base.facts.$$" &&
	   mv -f -- "$base.log.$$" "$base.log" && mv -f -- "$base.facts.$$" "$base.facts"; then
		return 0
	fi
	rm -f -- "$base.log.$$" "$base.facts.$$"
	VERDICT=BROKEN SUMMARY="cannot write the log to $LOG_DIR"
	disk_has_room "$LOG_DIR" || SUMMARY+=": no space left"
	printf '%s\n' "$VERDICT" "$SUMMARY" "$RUN_MS" >"$RUN_DIR/verdict"
} 2>/dev/null

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
			printf 'command %s\n' "$(<"$RUN_DIR/$number/command")"
		fi
	done
	while IFS= read -r line; do
		printf 'report %s\n' "${line#    }"
	done <"$RUN_DIR/report"
	# The last write fails too if an earlier one found the disk full.
	printf 'end\n'
}
