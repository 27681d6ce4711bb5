# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Bochs as the machine; the interface is told in qemu.bash. Debian's Bochs has
# its debugger compiled in: that is what the post-mortem of a hang is asked of.

# The model with the most features; a stanza that needs SVM names ryzen.
readonly BOCHS_CPU=tigerlake

# Instructions per second of simulated time. A byte takes 87 us of it on the
# serial line, so that a high value makes the console slow.
readonly BOCHS_IPS=4000000

bochs_find()
{
	VMM_BINARY=${BOCHS:-${CONFIG[BOCHS]:-bochs}}
	VMM_MAX_CPUS=15
	if find_program "$VMM_BINARY"; then
		VMM_PATH=$PROGRAM
	else
		VMM_PROBLEM="VMM '$VMM_BINARY' is not there"
		[[ ${BOCHS:-} ]] || missing_tool bochs
	fi
	[[ $VMM_PATH != [!/]* ]] || VMM_PATH=$PWD/$VMM_PATH
}

# No display library of this Bochs is really headless: "rfb" listens on a port,
# which an empty network namespace keeps private; "term" needs a terminal, which
# script(1) makes up.
bochs_probe()
{
	ACCELERATOR=none
	BOCHS_DISPLAY='rfb, options="timeout=0"'
	if unshare -n true 2>/dev/null; then
		BOCHS_PREFIX=(unshare -n)
	elif unshare -rn true 2>/dev/null; then
		BOCHS_PREFIX=(unshare -rn)
	else
		BOCHS_PREFIX=()
		BOCHS_DISPLAY=term
	fi
}

bochs_facts()
{
	RUN_FACTS[accel]=none
	RUN_FACTS[machine]=${CFG["$1 bochs_cpu"]:-$BOCHS_CPU}
	RUN_FACTS[version]=$VMM_VERSION
}

bochs_refuses()
{
	local accel=${CFG["$1 accel"]:-}

	if [[ $accel ]]; then
		SKIP_REASON="needs accel $accel, this is Bochs"
	elif [[ ! ${CFG["$1 bochs_cpu"]:-} ]] &&
	     [[ ${RUN_PARAMS[*]} || ${CFG["$1 cpu"]:-} || ${CFG["$1 cpu_features"]:-} ]]; then
		SKIP_REASON="needs QEMU's options, this is Bochs"
	else
		return 1
	fi
}

# Bochs runs in DIR, so that no path has to be quoted in its files.
bochs_configure()
{
	local stanza=$1 dir=$2 size

	size=$(stat -c %s "$RUN_IMAGE") || return
	cat >"$dir/bochsrc" <<END
config_interface: textconfig
display_library: $BOCHS_DISPLAY
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=1, parallel=0, serial=1, iodebug=0, gameport=0
memory: guest=$((RUN_MEM >> 20)), host=$((RUN_MEM >> 20 > 1024 ? 1024 : RUN_MEM >> 20))
romimage: file=rom, address=$((0x100000000 - size)), options=none
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=${RUN_FACTS[machine]}, count=$RUN_CPUS, ips=$BOCHS_IPS, ignore_bad_msrs=0, reset_on_triple_fault=0
clock: sync=none
com1: enabled=1, mode=file, dev=console
log: -
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
END
}

# The debugger's commands: run; and after an interrupt, what a post-mortem needs.
bochs_script()
{
	local dir=$1 cpu pointer=rsp

	[[ ${RUN_FACTS[mode]} == x86_64 ]] || pointer=esp
	run_trail_address
	{
		printf 'c\n'
		[[ ! $RUN_TRAIL ]] || printf 'writemem "trail" %s 128\n' "$RUN_TRAIL"
		for ((cpu = 0; cpu < RUN_CPUS; cpu++)); do
			printf 'set %s = %s\nwritemem "stack.%s" %s 8192\n' '$cpu' "$cpu" "$cpu" "$pointer"
		done
		printf 'q\n'
	} >"$dir/debugger"
}

bochs_start()
{
	local stanza=$1 dir=$2
	local -a command

	if ! bochs_configure "$stanza" "$dir" || ! bochs_script "$dir"; then
		VMM_REASON="cannot write to $WORK (no space left?)"
		return
	fi
	command=("$VMM_PATH" -q -f bochsrc -rc debugger)
	if [[ $BOCHS_DISPLAY == term ]]; then
		shell_word "$VMM_PATH"
		command=(env TERM=linux script -qec "exec $QUOTED -q -f bochsrc -rc debugger 2>&8" /dev/null)
	fi
	save_command "$dir" "${BOCHS_PREFIX[@]}" "${command[@]}"
	exec {BOCHS_ALIVE}< <(
		vmm_limits
		cd -- "$dir" || exit
		# Its log goes through tail: a guest must not fill the disk with it.
		# The pipe behind descriptor 9 says when the last of them has ended.
		exec 9>&1 8> >(exec tail -c 262144 >stderr)
		exec setpriv --pdeathsig KILL "${BOCHS_PREFIX[@]}" "${command[@]}" \
			</dev/null >stdout 2>&8
	)
	VMM_PID=$!
	run_meanwhile "$dir"
	bochs_watch "$dir"
	exec {BOCHS_ALIVE}<&-
	vmm_reap
	bochs_judge "$dir"
}

# Waits for Bochs's end; interrupts it when the time is over.
bochs_watch()
{
	local dir=$1 tick=0.3 end kill_at=0

	VMM_END=running VMM_REASON=
	now_ms
	end=$((NOW + RUN_LIMIT_MS))
	while :; do
		read -r -t "$tick" <&"$BOCHS_ALIVE"
		(($? > 128)) || return
		run_tick
		now_ms
		tick=0.3
		if ((kill_at)); then
			((NOW < kill_at)) || kill -KILL "$VMM_PID" 2>/dev/null
			continue
		elif console_ended "$dir"; then
			VMM_END=clean VMM_REASON="halted after END"
		elif console_flooded "$dir"; then
			VMM_END=flood
		elif ((RUN_LIMIT_MS && NOW >= end)); then
			VMM_END=hang
			seconds_text "$RUN_LIMIT_MS"
			VMM_REASON="no end within $SECONDS_TEXT s"
		else
			((RUN_LIMIT_MS && end - NOW < 300)) && printf -v tick '0.%03d' $((end - NOW + 1))
			continue
		fi
		kill -INT "$VMM_PID" 2>/dev/null
		kill_at=$((NOW + 3000))
	done
}

# Bochs's exit status says nothing: every end but the debugger's is a panic, and
# its log tells which.
bochs_judge()
{
	local dir=$1 line panic='' panics=0 cpu=''
	local -A dumped=()

	while IFS= read -r line; do
		if [[ $line == *'>>PANIC<< '* ]]; then
			panics=$((panics + 1))
			[[ $panic ]] || panic=$line
		elif [[ $line =~ ^[0-9]+[a-z]\[CPU([0-9]+)\ *\]\ (\|\ |CPU\ is|EFER) ]]; then
			# A panic dumps its CPU, the end dumps all of them: once is enough.
			if [[ $line == *"CPU is in"* ]]; then
				cpu=${BASH_REMATCH[1]}
				[[ ! ${dumped[$cpu]:-} ]] || cpu=
				[[ ! $cpu ]] || printf 'CPU#%s\n' "$cpu"
				dumped[${BASH_REMATCH[1]}]=yes
			fi
			line=${line#*\] }
			[[ ! $cpu ]] || printf '%s\n' "${line#| }"
		fi
	done < <(tr -d '\000' <"$dir/stderr") >"$dir/registers"
	[[ -s $dir/stdout ]] && [[ $(head -c 1000 "$dir/stdout") =~ Emulator\ ([0-9.]+) ]] &&
		VMM_VERSION=${BASH_REMATCH[1]}
	printable "${panic#*>>PANIC<< }"
	if [[ $VMM_END != running ]]; then
		return
	elif ((panics == 1)) && [[ $panic == *'Shutdown port: shutdown requested'* ]]; then
		VMM_END=clean
	elif ((VMM_STATUS == 153)); then
		VMM_END=flood
	elif [[ ! $panic || $panic =~ ^0+p ]]; then
		vmm_broken "$dir"
		[[ ! $panic ]] || VMM_REASON="Bochs could not start the machine: $PRINTABLE"
	elif [[ $panic =~ (shutdown\ status|triple\ fault|no\ resolution) ]]; then
		VMM_END=crash VMM_REASON="the guest reset the machine (triple fault; Bochs: $PRINTABLE)"
	else
		VMM_END=crash VMM_REASON="Bochs panicked: $PRINTABLE"
	fi
}
