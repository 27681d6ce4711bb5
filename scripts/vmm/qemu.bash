# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# QEMU as the machine. The interface of every file in this folder, for a VMM V:
#
#	V_find		sets VMM_BINARY; VMM_PROBLEM if there is no such program
#	V_probe		once per command: fixes what all runs share (ACCEL, CPU model)
#	V_facts STANZA	sets what is known of the machine for a stanza in RUN_FACTS
#	V_refuses STANZA	succeeds, with SKIP_REASON, if it cannot be that machine
#	V_start STANZA DIR	one VMM process from start to end; see run.bash
#
# QEMU is spoken to over QMP on its standard input and output: a triple fault
# or an internal error is an event, not a matter of waiting for the time limit.

# The guest's agreed values for isa-debug-exit, as QEMU's exit status.
readonly QEMU_STATUS_CLEAN=85 QEMU_STATUS_CRASH=87

qemu_find()
{
	VMM_BINARY=${QEMU:-${CONFIG[QEMU]:-qemu-system-x86_64}}
	if ! VMM_PATH=$(type -P -- "$VMM_BINARY"); then
		VMM_PROBLEM="VMM '$VMM_BINARY' is not there"
		[[ ${QEMU:-} ]] || missing_tool qemu
	fi
	[[ $VMM_PATH != [!/]* ]] || VMM_PATH=$PWD/$VMM_PATH
}

# KVM wherever it works, unless ACCEL says otherwise.
qemu_probe()
{
	PROBED_CPU=max
	case ${ACCEL:-} in
	tcg)
		ACCELERATOR=tcg
		return
		;;
	'')
		ACCELERATOR=tcg
		[[ -r /dev/kvm && -w /dev/kvm ]] || return
		if qemu_probe_kvm; then
			ACCELERATOR=kvm
		else
			note "KVM does not work with $VMM_BINARY ($KVM_PROBLEM): using TCG"
		fi
		;;
	kvm)
		ACCELERATOR=kvm
		if ! qemu_probe_kvm; then
			VMM_PROBLEM="KVM does not work with $VMM_BINARY: $KVM_PROBLEM"
		fi
		;;
	*)
		ACCELERATOR=$ACCEL
		;;
	esac
}

# Finds the richest CPU model that starts under KVM: sets PROBED_CPU, or
# KVM_PROBLEM. The answer is kept in the build folder for as long as QEMU's
# binary and the kernel stay the same.
qemu_probe_kvm()
{
	local cache=$BUILD_DIR/.kvm-probe key answer errors
	local -a words

	KVM_PROBLEM=
	if [[ ! -e /dev/kvm ]]; then
		KVM_PROBLEM="no /dev/kvm"
		return 1
	elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
		KVM_PROBLEM="no permission on /dev/kvm"
		return 1
	fi
	key="$(stat -Lc '%n %Y %s' -- "$VMM_PATH") $(</proc/sys/kernel/random/boot_id)"
	if [[ -r $cache ]]; then
		{ IFS= read -r answer; read -ra words; } <"$cache"
		if [[ $answer == "$key" ]]; then
			PROBED_CPU=${words[0]:-host}
			qemu_report_dropped
			return 0
		fi
	fi
	for PROBED_CPU in host host,-arch-capabilities; do
		if errors=$(timeout -k 1 10 "$VMM_PATH" -nodefaults -no-user-config -display none -S \
			-machine microvm -accel kvm -cpu "$PROBED_CPU" -m 32 -qmp stdio \
			2>&1 >/dev/null <<<'{"execute":"qmp_capabilities"} {"execute":"quit"}'); then
			{ printf '%s\n%s\n' "$key" "$PROBED_CPU" >"$cache"; } 2>/dev/null
			qemu_report_dropped
			return 0
		fi
	done
	PROBED_CPU=max
	errors=${errors%%$'\n'*}
	KVM_PROBLEM=${errors#*: }
	return 1
}

qemu_report_dropped()
{
	if [[ $PROBED_CPU == *,-* ]]; then
		note "CPU feature '${PROBED_CPU#*,-}' dropped: this KVM refuses it (-cpu $PROBED_CPU)"
	fi
}

qemu_facts()
{
	local stanza=$1 accel=${CFG["$1 accel"]:-}

	RUN_FACTS[accel]=$ACCELERATOR
	if [[ $accel && ! ${ACCEL:-} && ${accel%%[ ,]*} == tcg ]]; then
		RUN_FACTS[accel]=tcg
	fi
	RUN_FACTS[machine]=${MACHINE:-${CFG["$stanza machine"]:-microvm}}
	RUN_FACTS[version]=$VMM_VERSION
}

qemu_refuses()
{
	local stanza=$1 accel=${CFG["$1 accel"]:-} machine=${CFG["$1 machine"]:-}

	if [[ $accel && " ${accel//,/ } " != *" ${RUN_FACTS[accel]} "* ]]; then
		SKIP_REASON="needs accel $accel, this is ${RUN_FACTS[accel]}"
	elif [[ $machine && ${MACHINE:-} && ${machine%%,*} != "${MACHINE%%,*}" ]]; then
		SKIP_REASON="needs machine $machine, MACHINE is $MACHINE"
	else
		return 1
	fi
}

# Sets QEMU_ARGV for a start of a stanza. What upstream's stanzas say through
# QEMU's own options (-append, -smp, -m) has been taken out by stanza_resources.
qemu_command()
{
	local stanza=$1 dir=$2
	local accel=${RUN_FACTS[accel]} machine=${RUN_FACTS[machine]} cpu features

	cpu=${CFG["$stanza cpu"]:-}
	if [[ ! $cpu ]]; then
		cpu=max
		[[ $accel == kvm ]] && cpu=$PROBED_CPU
	fi
	features=${CFG["$stanza cpu_features"]:-}
	QEMU_ARGV=(
		-nodefaults -no-user-config -display none
		-machine "$machine" -accel "$accel${ACCEL_PROPS:+,$ACCEL_PROPS}"
		-cpu "$cpu${features:+,$features}" -smp "$RUN_CPUS" -m "$((RUN_MEM >> 20))"
		-device "isa-debug-exit,iobase=0xf4,iosize=4"
		-chardev "file,id=console,path=${dir//,/,,}/console" -serial chardev:console
		-action "reboot=shutdown,shutdown=pause" -qmp stdio
	)
	if [[ $OPT_BOOT == multiboot ]]; then
		QEMU_ARGV+=(-kernel "$RUN_IMAGE" -append "$RUN_ARGUMENTS")
	else
		QEMU_ARGV+=(-bios "$RUN_IMAGE")
	fi
	QEMU_ARGV+=("${RUN_PARAMS[@]}")
}

qemu_start()
{
	local stanza=$1 dir=$2
	local limit=$((RUN_LIMIT_MS / 1000 + 10)) timeout

	qemu_command "$stanza" "$dir"
	save_command "$dir" "$VMM_PATH" "${QEMU_ARGV[@]}"
	printf -v timeout %s "$limit"
	((RUN_LIMIT_MS)) || timeout=0

	exec {QEMU_TO}<> <(:)
	printf '{"execute":"qmp_capabilities"}\n' >&"$QEMU_TO"
	# setpriv: a runner that is killed takes the VMM along; timeout: one that
	# is stopped does not leave it running.
	exec {QEMU_FROM}< <(
		vmm_limits
		exec setpriv --pdeathsig KILL timeout --foreground -s KILL "$timeout" \
			setpriv --pdeathsig KILL "$VMM_PATH" "${QEMU_ARGV[@]}" \
			<&"$QEMU_TO" 2>"$dir/stderr"
	)
	VMM_PID=$!
	qemu_watch "$dir"
	exec {QEMU_FROM}<&-
	exec {QEMU_TO}>&-
	wait "$VMM_PID" 2>/dev/null
	VMM_STATUS=$?
	VMM_PID=
	if [[ $VMM_END == running ]] || ((VMM_STATUS == QEMU_STATUS_CLEAN)); then
		qemu_judge_status "$dir"
	fi
}

qemu_send()
{
	printf '%s\n' "$1" >&"$QEMU_TO"
}

# Follows QMP until QEMU's end: sets VMM_END and VMM_REASON if the cause was
# seen on the way.
qemu_watch()
{
	local dir=$1 line status end due kill_at=0

	VMM_END=running VMM_REASON=''
	QEMU_ASKED='' QEMU_ANSWERED=''
	now_ms
	end=$((NOW + RUN_LIMIT_MS)) due=$((NOW + 300))
	while :; do
		qemu_wait $((due - NOW))
		IFS= read -r -t "$WAIT" line <&"$QEMU_FROM"
		status=$?
		now_ms
		if ((status == 0)); then
			qemu_line "$line" "$dir"
		elif ((status < 128)); then
			return # QEMU has ended
		fi
		# A flood of lines must not keep us from looking at the clock.
		if ((NOW >= due)); then
			run_tick
			if [[ $QEMU_ANSWERED ]]; then
				QEMU_ANSWERED='' kill_at=$((NOW + 1000))
			elif ((kill_at && NOW >= kill_at)); then
				kill -KILL "$VMM_PID" 2>/dev/null
				return
			fi
			due=$((NOW + (kill_at ? 200 : 1000)))
			((kill_at)) || qemu_look "$dir" "$end"
		fi
		if [[ $VMM_END != running ]] && ((! kill_at)); then
			[[ $QEMU_ASKED ]] || qemu_post_mortem "$dir"
			kill_at=$((NOW + 1000)) due=$((NOW + 300))
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
	else
		qemu_send '{"execute":"query-status","id":"status"}'
	fi
}

# One line of QMP.
qemu_line()
{
	local line=$1 dir=$2

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

# What QEMU's own end says, where no event told before.
qemu_judge_status()
{
	local dir=$1 line=''

	case $VMM_STATUS in
	"$QEMU_STATUS_CLEAN")
		VMM_END=clean
		;;
	"$QEMU_STATUS_CRASH")
		VMM_END=crash VMM_REASON="the guest crashed"
		;;
	153)
		VMM_END=flood
		;;
	*)
		vmm_broken "$dir"
		if ((VMM_STATUS > 1 && VMM_STATUS < 128 && VMM_STATUS % 2)) && [[ ! $VMM_SAID ]]; then
			VMM_END=left
			VMM_REASON="the guest left with $((VMM_STATUS >> 1)) on the debug-exit port, not with an agreed value"
		fi
		;;
	esac
}
