# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The runner's side of QMP while QEMU runs: what the events mean, the time
# limit, and the questions of a post-mortem. QEMU_TO and QEMU_FROM are the
# pipes to and from QEMU's monitor.

qemu_send()
{
	printf '%s\n' "$1" >&"$QEMU_TO"
}

# Follows QMP until QEMU's end: sets VMM_END and VMM_REASON if the cause was
# seen on the way.
qemu_watch()
{
	local dir=$1 line status end due kill_at=0 part=

	VMM_END=running VMM_REASON=''
	QEMU_ASKED='' QEMU_ANSWERED='' QEMU_KILLED='' QEMU_SILENT=''
	now_ms
	end=$((NOW + RUN_LIMIT_MS)) due=$((NOW + 300))
	while :; do
		qemu_wait $((due - NOW))
		IFS= read -r -t "$WAIT" line <&"$QEMU_FROM"
		status=$?
		now_ms
		if ((status == 0)); then
			qemu_line "$part$line" "$dir"
			part=
		elif ((status < 128)); then
			return # QEMU has ended
		elif ((${#part} < 1 << 20)); then
			part+=$line # the time was over in the middle of it
		fi
		# A flood of lines must not keep us from looking at the clock.
		if ((NOW >= due)); then
			run_tick
			if [[ $QEMU_ANSWERED ]]; then
				QEMU_ANSWERED='' kill_at=$((NOW + 1000))
			elif ((kill_at && NOW >= kill_at)); then
				QEMU_KILLED=yes
				kill -KILL "$VMM_PID" 2>/dev/null
				return
			fi
			due=$((NOW + (kill_at ? 200 : 1000)))
			((kill_at)) || qemu_look "$dir" "$end"
		fi
		if [[ $VMM_END != running ]] && ((! kill_at)); then
			[[ $QEMU_ASKED ]] || qemu_post_mortem "$dir"
			kill_at=$((NOW + 3000)) due=$((NOW + 300))
		elif ((RUN_LIMIT_MS && due > end && ! kill_at)); then
			due=$end
		fi
	done
}

# Milliseconds as read -t takes them: sets WAIT.
qemu_wait()
{
	local left=$1

	((left >= 10)) || left=10
	printf -v WAIT '%d.%03d' $((left / 1000)) $((left % 1000))
}

# What only a look from time to time can tell: an END after which the guest
# halted, a flood, the time limit. An event may have come too early to be
# reported: the state is asked for.
qemu_look()
{
	if console_ended "$1"; then
		VMM_END=clean VMM_REASON="halted after END"
	elif console_flooded "$1"; then
		VMM_END=flood
	elif ((RUN_LIMIT_MS && NOW >= $2)); then
		VMM_END=hang
		seconds_text "$RUN_LIMIT_MS"
		VMM_REASON="no end within $SECONDS_TEXT s"
	elif [[ ! $QEMU_SILENT ]]; then
		# Not again before the answer: a pipe that nobody reads gets full.
		QEMU_SILENT=yes
		qemu_send '{"execute":"query-status","id":"status"}'
	fi
}

# One line of QMP.
qemu_line()
{
	local line=$1 dir=$2

	[[ $line != *'"id": "status"'* ]] || QEMU_SILENT=
	case $line in
	*'"QMP"'*)
		[[ $line =~ \"micro\":\ *([0-9]+).*\"minor\":\ *([0-9]+).*\"major\":\ *([0-9]+) ]] &&
			VMM_VERSION=${BASH_REMATCH[3]}.${BASH_REMATCH[2]}.${BASH_REMATCH[1]}
		;;
	*'"event": "SHUTDOWN"'*'"reason": "guest-reset"'*)
		VMM_END=crash VMM_REASON="the guest reset the machine (triple fault)"
		;;
	*'"event": "SHUTDOWN"'*'"reason": "guest-panic"'* | *'"event": "GUEST_PANICKED"'*)
		VMM_END=crash VMM_REASON="the VMM reports a guest panic"
		;;
	*'"event": "SHUTDOWN"'*'"guest": true'*)
		# How newer QEMUs see isa-debug-exit: quit, then the status tells.
		qemu_send '{"execute":"quit"}'
		QEMU_ASKED=yes
		;;
	*'"event": "STOP"'*)
		if [[ $VMM_END == running && ! $QEMU_ASKED ]]; then
			qemu_send '{"execute":"query-status","id":"status"}'
		fi
		;;
	*'"status": "internal-error"'*)
		if [[ $VMM_END == running || $VMM_END == hang ]]; then
			VMM_END=crash
			qemu_internal_error "$dir"
		fi
		;;
	*'"status": "shutdown"'*)
		if [[ $VMM_END == running && ! $QEMU_ASKED ]]; then
			VMM_END=crash VMM_REASON="the guest reset the machine or switched it off"
		fi
		;;
	*'"id": "registers"'*)
		if [[ $line == *'"return": "'* ]]; then
			qemu_registers "$line" "$dir"
			QEMU_ANSWERED=yes
		fi
		qemu_send '{"execute":"quit"}'
		;;
	esac
}

# What QEMU wrote to stderr about an internal error: sets VMM_REASON.
qemu_internal_error()
{
	local line

	VMM_REASON="the VMM reports an internal error"
	while IFS= read -r line; do
		case $line in
		'KVM internal error'* | 'KVM: entry failed'* | 'emulation failure'* | *'hardware error'*)
			printable "$line"
			VMM_REASON+=", $PRINTABLE"
			;;
		esac
	done <"$1/stderr"
}

# Asks for what a post-mortem shows; the answer to the last question is what
# makes qemu_line quit.
qemu_post_mortem()
{
	local trail=$1/trail

	QEMU_ASKED=yes
	if [[ $VMM_END != crash && $VMM_END != hang ]]; then
		qemu_send '{"execute":"quit"}'
		return
	fi
	qemu_send '{"execute":"query-status","id":"status"}'
	qemu_send '{"execute":"stop"}'
	run_trail_address
	if [[ $RUN_TRAIL ]]; then
		json_string "$trail"
		qemu_send '{"execute":"pmemsave","arguments":{"val":'"$((RUN_TRAIL))"',"size":128,"filename":'"$JSON"'}}'
	fi
	qemu_send '{"execute":"human-monitor-command","arguments":{"command-line":"info registers -a"},"id":"registers"}'
}

# Saves what lies above each vCPU's stack pointer, for the stack trace, in
# DIR/stack.CPU.
qemu_stacks()
{
	local text=$1 dir=$2 cpu=0 line

	while IFS= read -r line; do
		if [[ $line =~ ^CPU#([0-9]+) ]]; then
			cpu=${BASH_REMATCH[1]}
		elif [[ $line =~ [RE]SP=([0-9a-f]+) ]]; then
			json_string "$dir/stack.$cpu"
			qemu_send '{"execute":"memsave","arguments":{"val":'"$((16#${BASH_REMATCH[1]}))"',"size":8192,"filename":'"$JSON"',"cpu-index":'"$cpu"'}}'
		fi
	done <<<"$text"
}

# The answer to "info registers", a JSON string, as lines in DIR/registers.
qemu_registers()
{
	local text=${1#*'"return": "'}

	text=${text%%'"'*}
	text=${text//'\r'/}
	text=${text//'\n'/$'\n'}
	printf '%s\n' "$text" >"$2/registers"
	qemu_stacks "$text" "$2"
}
