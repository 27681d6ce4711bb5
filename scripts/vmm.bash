# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the VMMs in scripts/vmm/ share: limits of the process, the console file
# seen while it grows, and the end that nobody announced.

# How much a guest may write to its console at all, in bytes; what of it is
# outside the protocol is cut to LOG_CAP in the log.
CONSOLE_MAX=$((16 << 20))
LOG_CAP=$((1 << 20))

# In the process that becomes the VMM: a flood ends it with SIGXFSZ, an abort
# leaves no core file, and the pipe of work_guard stays with the runner. The time limit
# is the runner's business; should it be stopped, the kernel ends a VMM that goes on
# working, and one that waits dies with the runner at the latest.
vmm_limits()
{
	ulimit -f $((CONSOLE_MAX >> 10)) -c 0 2>/dev/null
	((RUN_LIMIT_MS == 0)) || ulimit -t $(((RUN_LIMIT_MS / 1000 + 10) * (RUN_CPUS + 1))) 2>/dev/null
	if [[ ${WORK_PIPE:-} ]]; then
		exec {WORK_PIPE}>&-
	fi
}

# The command line of a VMM start, as one could type it, in DIR/command.
save_command()
{
	local dir=$1 word line=
	shift

	for word in "$@"; do
		shell_word "$word"
		line+=" $QUOTED"
	done
	printf '%s\n' "${line# }" >"$dir/command"
}

# Whether the console's last line is an END record (a guest that halts after it
# where no exit device is).
console_ended()
{
	local tail

	tail=$(tail -c 200 "$1/console" 2>/dev/null | tr '\000' '?'; printf .)
	tail=${tail%.}
	[[ $tail == *$'\n# END nonce='"$RUN_NONCE "*$'\n' ]]
}

# Whether the console's file has reached the limit: some VMMs ignore SIGXFSZ.
console_flooded()
{
	local size

	size=$(stat -c %s "$1/console" 2>/dev/null) || return 1
	((size >= CONSOLE_MAX))
}

# A VMM that ended with a status that no guest asks for: sets VMM_END,
# VMM_REASON, and VMM_SAID to the line of its stderr that tells most: QEMU's first
# that is no warning, Bochs's last.
vmm_broken()
{
	local line signal

	VMM_END=broken VMM_SAID=
	while IFS= read -r line || [[ $line ]]; do
		[[ $line =~ [[:graph:]] ]] || continue
		printable "$line"
		VMM_SAID=${PRINTABLE:0:300}
		[[ $OPT_VMM == bochs || $line == *warning:* ]] || break
	done < <(head -c 65536 "$1/stderr" 2>/dev/null | tr -d '\000')
	if [[ $VMM_STAYED ]]; then
		VMM_REASON="the VMM closed its pipe to the runner and stayed"
	elif ((VMM_STATUS > 128)) && signal=$(kill -l "$VMM_STATUS" 2>/dev/null); then
		VMM_REASON="the VMM was killed by SIG$signal"
	elif ((VMM_STATUS == 126 || VMM_STATUS == 127)); then
		VMM_REASON="the VMM could not be started"
	else
		VMM_REASON="the VMM ended by itself with status $VMM_STATUS"
	fi
	if ! disk_has_room "$WORK"; then
		VMM_REASON+=", no space left in $WORK"
	fi
	VMM_REASON+=${VMM_SAID:+": $VMM_SAID"}
}

# A text as a JSON string: sets JSON.
json_string()
{
	local text=${1//\\/\\\\}

	JSON='"'${text//\"/\\\"}'"'
}

# Whether the VMM has not ended yet.
vmm_lives()
{
	local stat=''

	IFS= read -r -d '' stat </proc/"$VMM_PID"/stat
	[[ ${stat##*) } == [!ZX]* ]]
} 2>/dev/null

# Waits for the end of a VMM that has closed the pipe which tells of it: sets VMM_STATUS. The
# end follows at once; one that stays nevertheless would keep us for ever.
vmm_reap()
{
	local end try pipe

	VMM_STAYED=
	for ((try = 0; try < 50; try++)); do
		vmm_lives || break
	done
	if ((try == 50)); then
		exec {pipe}<> <(:)
		now_ms
		end=$((NOW + 5000))
		while vmm_lives; do
			read -r -t 0.005 <&"$pipe"
			now_ms
			if ((NOW >= end)); then
				VMM_STAYED=yes
				kill -KILL "$VMM_PID" 2>/dev/null
				break
			fi
		done
		exec {pipe}<&-
	fi
	wait "$VMM_PID" 2>/dev/null
	VMM_STATUS=$?
	VMM_PID=
}

# Ends the VMM of this process, whatever state it is in.
vmm_kill()
{
	if [[ ${VMM_PID:-} ]]; then
		kill -KILL "$VMM_PID" 2>/dev/null
		wait "$VMM_PID" 2>/dev/null
		VMM_PID=
	fi
}

# The VMM's version, asked of itself where nothing has run yet that told it:
# sets RUN_FACTS[version].
vmm_version_ask()
{
	local text

	[[ ! ${RUN_FACTS[version]:-} && ! $VMM_PROBLEM ]] || return 0
	if [[ ! $VMM_VERSION ]]; then
		case $OPT_VMM in
		qemu) text=$(timeout -k 1 5 "$VMM_PATH" --version 2>/dev/null </dev/null) ;;
		bochs) text=$(timeout -k 1 5 "$VMM_PATH" --help 2>&1 </dev/null) ;;
		esac
		if [[ $text =~ (version|Emulator)\ ([0-9]+(\.[0-9]+)+) ]]; then
			VMM_VERSION=${BASH_REMATCH[2]}
		fi
	fi
	RUN_FACTS[version]=$VMM_VERSION
}
