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

QEMU_TO='' QEMU_ENDED_WELL=''

# The runner's side of QMP.
load vmm/qmp

qemu_find()
{
	VMM_BINARY=${QEMU:-${CONFIG[QEMU]:-qemu-system-x86_64}}
	if find_program "$VMM_BINARY"; then
		VMM_PATH=$PROGRAM
	else
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
	local accel=${RUN_FACTS[accel]} machine=${RUN_FACTS[machine]} cpu features props=${ACCEL_PROPS:-}

	cpu=${CFG["$stanza cpu"]:-}
	if [[ ! $cpu ]]; then
		cpu=max
		[[ $accel == kvm ]] && cpu=$PROBED_CPU
	fi
	features=${CFG["$stanza cpu_features"]:-}
	qemu_dropped_features
	# Room for 1 GiB of translated code, the default, takes longer to set up than to use.
	[[ $accel != tcg || $props ]] || props=tb-size=32
	QEMU_ARGV=(
		-nodefaults -no-user-config -display none
		-machine "$machine" -accel "$accel${props:+,$props}"
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

# What this KVM refuses is taken from the models that a stanza names, too.
qemu_dropped_features()
{
	local dropped=${PROBED_CPU#host} i

	[[ $accel == kvm && $dropped == ,* ]] || return 0
	if [[ $cpu == @(host|max)*(,*) && $cpu != "$PROBED_CPU" ]]; then
		cpu+=$dropped
	fi
	for ((i = 1; i < ${#RUN_PARAMS[@]}; i++)); do
		if [[ ${RUN_PARAMS[i - 1]} == -cpu && ${RUN_PARAMS[i]} == @(host|max)*(,*) ]]; then
			RUN_PARAMS[i]+=$dropped
		fi
	done
}

qemu_start()
{
	local stanza=$1 dir=$2

	qemu_command "$stanza" "$dir"
	save_command "$dir" "$VMM_PATH" "${QEMU_ARGV[@]}"

	qemu_pipe
	qemu_send '{"execute":"qmp_capabilities"}'
	# setpriv: a runner that is killed takes the VMM along.
	exec {QEMU_FROM}< <(
		vmm_limits
		exec setpriv --pdeathsig KILL "$VMM_PATH" "${QEMU_ARGV[@]}" \
			<&"$QEMU_TO" 2>"$dir/stderr"
	)
	VMM_PID=$!
	run_meanwhile "$dir"
	qemu_watch "$dir"
	exec {QEMU_FROM}<&-
	vmm_reap
	# After a triple fault or an internal error no status makes it well again. A
	# guest may have ended at the very moment of the time limit, or of our look at
	# its END: then the status tells. What was told to quit has to do so well.
	case $VMM_END in
	running) qemu_judge_status "$dir" ;;
	hang) ((VMM_STATUS != QEMU_STATUS_CLEAN)) || qemu_judge_status "$dir" ;;
	clean) [[ $QEMU_KILLED ]] || ((VMM_STATUS == 0)) || qemu_judge_status "$dir" ;;
	esac
}

# The pipe to QEMU's monitor. A QEMU that ended well and read all that it was told leaves
# it as it was.
qemu_pipe()
{
	if [[ $QEMU_TO ]] && { [[ ! $QEMU_ENDED_WELL ]] || read -r -t 0 <&"$QEMU_TO"; }; then
		exec {QEMU_TO}>&-
		QEMU_TO=
	fi
	[[ $QEMU_TO ]] || exec {QEMU_TO}<> <(:)
	QEMU_ENDED_WELL=
}

# What QEMU's own end says, where no event told before.
qemu_judge_status()
{
	local dir=$1 line=''

	case $VMM_STATUS in
	"$QEMU_STATUS_CLEAN")
		VMM_END=clean QEMU_ENDED_WELL=yes
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
