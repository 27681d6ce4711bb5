# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line and the environment, and what is set up from them.

usage()
{
	cat <<END
Usage: ${0##*/} [OPTION]... [TEST[:SUBTEST]]...
Runs the tests of unittests.cfg that are named (names of stanzas or of runs,
STANZA.MODE; globs are allowed; SUBTEST is a glob too), or all of them.

  -a               all tests, those of group nodefault and disabled ones too
  -g GROUP         the tests of a group
  -j N             N tests at a time (GNU parallel)
  -l               list the tests; with -v their subtests
  -t               TAP
  -v               print passing checks, command lines and times
  -o DIR           write the logs to DIR (default: logs/)
  --vmm VMM        qemu (default) or bochs
  --mode M[,M]     only the modes M: x86_64, pae, i386
  --boot HOW       rom (default) or multiboot
  --config DIR     read unittests.cfg and known/ of DIR too
  --strict         a SKIP that known/ does not list here is a failure
  --bisect         for git bisect run: 125 for what cannot be judged
  --setup          install missing packages first (as root)
  -h, --help       print this text

Environment: QEMU, BOCHS (binaries), ACCEL (kvm, tcg), ACCEL_PROPS, MACHINE,
TIMEOUT (seconds, or 2m; 0: none), CHECK (conditions in place of the stanzas'
own; no: none), MAX_SMP, BUILD_DIR, TMPDIR, NO_COLOR.

Exit status: 0 something passed and nothing is worse; 1 something failed;
2 bad usage, a bad file, or nothing matches; 77 everything was skipped;
125 with --bisect: cannot be judged; 128+n killed by signal n.
END
}

OPT_ALL='' OPT_JOBS=1 OPT_LIST='' OPT_TAP='' OPT_VERBOSE='' OPT_OUTPUT='' OPT_VMM=qemu
OPT_MODES='' OPT_BOOT=rom OPT_STRICT='' OPT_BISECT='' OPT_SETUP='' WORKER=''
OPT_GROUPS=() OPT_CONFIGS=() ARGS=()

options_parse()
{
	local option value again='' arg

	for arg in "$@"; do
		[[ $arg == --bisect ]] && OPT_BISECT=yes
	done
	while (($#)); do
		option=$1 value=
		shift
		case $option in
		--*=*)
			value=${option#*=} option=${option%%=*}
			set -- "$value" "$@"
			;;
		-[gjo]?*)
			value=${option:2} option=${option:0:2}
			set -- "$value" "$@"
			;;
		-[ahltv]?*)
			set -- "-${option:2}" "$@"
			option=${option:0:2}
			;;
		esac
		case $option in
		-g | -j | -o | --vmm | --mode | --boot | --config)
			(($#)) || die "$option needs a value (-h prints the usage)"
			value=$1
			shift
			;;
		esac
		case $option in
		-h | --help)
			usage
			exit 0
			;;
		-a) OPT_ALL=yes again+=" -a" ;;
		-g) OPT_GROUPS+=("$value") ;;
		-j)
			[[ $value =~ ^[1-9][0-9]{0,3}$ ]] || die "-j: not a number of jobs: '$value'"
			OPT_JOBS=$value
			;;
		-l) OPT_LIST=yes ;;
		-t) OPT_TAP=yes ;;
		-v) OPT_VERBOSE=yes ;;
		-o) OPT_OUTPUT=$value ;;
		--vmm)
			[[ $value =~ ^(qemu|bochs)$ ]] || die "--vmm: qemu or bochs, not '$value'"
			OPT_VMM=$value
			;;
		--mode)
			modes_valid "${value//,/ }" || die "--mode: x86_64, pae or i386, not '$value'"
			OPT_MODES=${value//,/ }
			;;
		--boot)
			[[ $value =~ ^(rom|multiboot)$ ]] || die "--boot: rom or multiboot, not '$value'"
			OPT_BOOT=$value
			;;
		--config)
			[[ -d $value ]] || die "--config: no folder '$value'"
			OPT_CONFIGS+=("$value")
			;;
		--strict) OPT_STRICT=yes ;;
		--bisect) ;;
		--setup) OPT_SETUP=yes ;;
		--)
			ARGS+=("$@")
			set --
			;;
		-*) die "unknown option '$option' (-h prints the usage)" ;;
		*) ARGS+=("$option") ;;
		esac
	done
	options_again "$again"
	options_environment
}

# What to type to run something again in the same way: sets AGAIN.
options_again()
{
	local name options=$1

	AGAIN=
	for name in QEMU BOCHS ACCEL ACCEL_PROPS MACHINE TIMEOUT CHECK MAX_SMP BUILD_DIR; do
		if [[ ${!name:-} ]]; then
			shell_word "${!name}"
			AGAIN+="$name=$QUOTED "
		fi
	done
	shell_word "$0"
	AGAIN+=$QUOTED$options
	[[ $OPT_VMM == qemu ]] || AGAIN+=" --vmm $OPT_VMM"
	[[ $OPT_BOOT == rom ]] || AGAIN+=" --boot $OPT_BOOT"
	[[ ! $OPT_STRICT ]] || AGAIN+=" --strict"
	for name in "${OPT_CONFIGS[@]}"; do
		shell_word "$name"
		AGAIN+=" --config $QUOTED"
	done
}

# Refuses variables that would otherwise show up as a strange verdict.
options_environment()
{
	if [[ ${TIMEOUT:-} ]] && ! duration_ms "$TIMEOUT"; then
		die "TIMEOUT: not a time: '$TIMEOUT'"
	elif [[ ${MAX_SMP:-} && ! ${MAX_SMP:-} =~ ^[1-9][0-9]{0,2}$ ]]; then
		die "MAX_SMP: not a number of CPUs: '$MAX_SMP'"
	elif [[ ${CHECK:-} && $CHECK != yes && $CHECK != no ]] && ! condition_valid "$CHECK"; then
		die "CHECK: $CONDITION_ERROR"
	elif [[ $OPT_VMM == bochs && $OPT_BOOT == multiboot ]]; then
		die "--boot multiboot: Bochs starts ROM images only"
	fi
	if [[ $OPT_OUTPUT ]]; then
		if [[ ! -d $OPT_OUTPUT ]] && ! mkdir -p -- "$OPT_OUTPUT" 2>/dev/null; then
			die "-o: cannot make the folder '$OPT_OUTPUT'"
		fi
		folder_path "$OPT_OUTPUT" || die "-o: cannot enter '$OPT_OUTPUT'"
		OPT_OUTPUT=$FOLDER
	fi
}

# unittests.cfg and known/ of the tree and of each --config folder.
config_load()
{
	local dir

	config_read_cached
	for dir in "${OPT_CONFIGS[@]}"; do
		if [[ -f $dir/unittests.cfg ]]; then
			ini_read "$dir/unittests.cfg" cfg
		elif [[ ! -d $dir/known ]]; then
			die "$dir: neither unittests.cfg nor known/ there"
		fi
		known_read "$dir/known"
	done
}

# What the host is: for known/ and for the facts in the logs.
host_facts()
{
	local line
	local -a lines

	HOST_KERNEL='' HOST_CPU=unknown HOST_VENDOR=unknown HOST_CPUS=0
	read -r HOST_KERNEL </proc/sys/kernel/osrelease
	mapfile -t lines </proc/cpuinfo
	for line in "${lines[@]}"; do
		case $line in
		processor*) HOST_CPUS=$((HOST_CPUS + 1)) ;;
		'model name'*) HOST_CPU=${line#*: } ;;
		vendor_id*GenuineIntel) HOST_VENDOR=intel ;;
		vendor_id*AuthenticAMD) HOST_VENDOR=amd ;;
		vendor_id*) HOST_VENDOR=${line#*: } ;;
		esac
	done
	((HOST_CPUS)) || HOST_CPUS=1
}

# Sets LOG_DIR: -o DIR, else logs/ in the tree or the build folder, else none.
log_create()
{
	local dir

	if [[ $OPT_OUTPUT ]]; then
		LOG_DIR=$OPT_OUTPUT
	else
		dir=$SRCDIR/logs
		[[ ! ${MAKE_DIR:-} || $MAKE_DIR == "$SRCDIR" ]] || dir=$MAKE_DIR/logs
		if [[ $dir == "$WORK_NAME"/* ]] || { [[ ! -d $dir ]] && ! mkdir -p -- "$dir" 2>/dev/null; } ||
		   [[ ! -w $dir ]]; then
			note "no logs are kept: $dir cannot be written to (-o DIR names another folder)"
			dir=
		fi
		LOG_DIR=$dir
	fi
	LOG_NEW=${LOG_DIR:+$LOG_DIR/.new.${WORK_NAME##*/}}
	# So that not even a killed runner leaves it there.
	[[ ! $LOG_NEW ]] || printf '%s\0' "$LOG_NEW" >&"$WORK_PIPE"
	LOG_SHOWN=${LOG_DIR#"$PWD"/}
}

# The VMM of this command: sets VMM_PATH, VMM_VERSION and what its probe sets;
# VMM_PROBLEM makes every run BROKEN.
vmm_choose()
{
	VMM_PROBLEM='' VMM_PATH='' VMM_VERSION='' VMM_PID='' ACCELERATOR='' VMM_MAX_CPUS=64
	"${OPT_VMM}_find"
	[[ $VMM_PROBLEM ]] || "${OPT_VMM}_probe"
}
