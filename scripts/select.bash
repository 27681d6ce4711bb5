# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Which runs there are and which of them are wanted. A run is one stanza of
# unittests.cfg in one mode, named STANZA.MODE.

# The selected runs in the order of the file; RUN_STANZA and RUN_MODE say what
# each is, RUN_PICK which of its subtests are wanted (globs; none: all).
declare -ga RUNS=()
declare -gA RUN_STANZA=() RUN_MODE=() RUN_PICK=()

# The words of the command line that matched something.
declare -gA SELECTOR_USED=()

# Sets MODES to the modes that a stanza runs in: those it lists; else those its
# image was built for, as far as its `arch` allows.
stanza_modes()
{
	local stanza=$1 mode modes=${CFG["$1 mode"]:-} allowed=$ALL_MODES

	case ${CFG["$stanza arch"]:-x86} in
	x86_64) allowed=x86_64 ;;
	i386) allowed="pae i386" ;;
	esac
	MODES=()
	for mode in $ALL_MODES; do
		if [[ " $allowed " != *" $mode "* ]]; then
			continue
		elif [[ $modes && " $modes " != *" $mode "* ]]; then
			continue
		fi
		image_base "$stanza" "$mode"
		if [[ ! $modes ]] && ! build_has "$IMAGE_BASE.info"; then
			continue
		fi
		MODES+=("$mode")
	done
}

# Sets IMAGE_BASE to the path of a stanza's image without its suffix: beside the
# unittests.cfg that names it, as DIR/MODE/NAME, or in the build folder. "hello",
# "hello.flat" and "hello.rom" are one.
image_base()
{
	local name=${CFG["$1 file"]:-$1} dir=${CFG["$1 dir"]}

	name=${name%.@(flat|rom|elf)}
	IMAGE_BASE=$BUILD_DIR/$2/$name
	if [[ $dir != "$SRCDIR" && -f $dir/$2/$name.info ]]; then
		IMAGE_BASE=$dir/$2/$name
	fi
}

# Selects the runs that ARGS, -g, -a and --mode ask for; a selection that
# matches nothing is bad usage.
select_runs()
{
	local stanza mode selector picked

	for stanza in "${STANZAS[@]}"; do
		stanza_wanted "$stanza" || continue
		stanza_modes "$stanza"
		if ((${#MODES[@]} == 0)); then
			die_at "${CFG["$stanza file where"]:-${CFG["$stanza where"]}}" \
				"no image '${CFG["$stanza file"]:-$stanza}' in any mode under $BUILD_DIR"
		fi
		for mode in "${MODES[@]}"; do
			if [[ $OPT_MODES && " $OPT_MODES " != *" $mode "* ]]; then
				continue
			fi
			picked=
			if ((${#ARGS[@]})); then
				run_pick "$stanza" "$mode" || continue
				picked=$PICK
			fi
			run_add "$stanza" "$mode" "$picked"
		done
	done
	for selector in "${ARGS[@]}"; do
		if [[ ! ${SELECTOR_USED[$selector]:-} ]]; then
			die "no test matches '$selector' (./run_tests.sh -l lists them)"
		fi
	done
	if ((${#RUNS[@]} == 0)); then
		die "nothing is selected"
	fi
}

# Whether a stanza can be wanted at all, before its modes are looked at.
stanza_wanted()
{
	local stanza=$1 group groups selector name

	if ((${#ARGS[@]})); then
		for selector in "${ARGS[@]}"; do
			name=${selector%%:*}
			# shellcheck disable=SC2053 # the right-hand side is a glob
			if [[ $stanza == ${name%%.*} || $stanza == $name ]]; then
				selector=
				break
			fi
		done
		[[ ! $selector ]] || return 1
	fi
	cfg_unpack "$stanza"
	groups=" ${CFG["$stanza groups"]:-} "
	groups=${groups//,/ }
	if ((${#OPT_GROUPS[@]})); then
		for group in "${OPT_GROUPS[@]}"; do
			[[ $groups == *" $group "* ]] && return 0
		done
		return 1
	fi
	[[ $OPT_ALL || ${#ARGS[@]} -gt 0 || $groups != *" nodefault "* ]]
}

# Whether the command line asks for this run: sets PICK to the subtest globs.
run_pick()
{
	local stanza=$1 mode=$2 selector name whole='' found=''

	PICK=
	for selector in "${ARGS[@]}"; do
		name=${selector%%:*}
		# shellcheck disable=SC2053
		if [[ $stanza == $name || $stanza.$mode == $name ]]; then
			found=yes
			if [[ $selector != *:* ]]; then
				whole=yes
				SELECTOR_USED[$selector]=yes
			elif subtest_matches "$stanza" "$mode" "${selector#*:}"; then
				PICK+=" ${selector#*:}"
				SELECTOR_USED[$selector]=yes
			fi
		fi
	done
	if [[ $whole ]]; then
		PICK=
		return 0
	fi
	[[ $found && $PICK ]]
}

# Whether the run has a subtest that matches the glob $3.
subtest_matches()
{
	local subtest glob=$3

	if [[ ! $glob || $glob == *[[:space:]]* ]]; then
		return 1
	fi
	image_base "$1" "$2"
	build_update
	info_read "$IMAGE_BASE.info"
	for subtest in "${INFO_SUBTESTS[@]}"; do
		# shellcheck disable=SC2053
		[[ $subtest == $glob ]] && return 0
	done
	return 1
}

run_add()
{
	local stanza=$1 mode=$2 run=$1.$2 image suffix

	image_base "$stanza" "$mode"
	image=$IMAGE_BASE
	for suffix in info rom elf; do
		if [[ $suffix == rom && $OPT_BOOT == multiboot ]] ||
		   [[ $suffix == elf && $OPT_BOOT == rom ]]; then
			continue
		fi
		if ! build_has "$image.$suffix"; then
			die_at "${CFG["$stanza file where"]:-${CFG["$stanza where"]}}" \
				"no image $image.$suffix"
		fi
	done
	RUNS+=("$run")
	RUN_STANZA[$run]=$stanza
	RUN_MODE[$run]=$mode
	RUN_PICK[$run]=$3
}

# Reads a .info file (docs/result-stream.md): INFO_TEST, and INFO_SUBTESTS in
# the order in which they run.
info_read()
{
	local key value

	INFO_TEST='' INFO_SUBTESTS=()
	if [[ ! -r $1 ]]; then
		die "$1: cannot be read"
	fi
	while read -r key value; do
		case $key in
		test) INFO_TEST=$value ;;
		subtest) INFO_SUBTESTS+=("${value%% *}") ;;
		esac
	done <"$1"
}

# -l: the runs by name; with -v their subtests too, as one would type them.
list_runs()
{
	local run subtest

	for run in "${RUNS[@]}"; do
		if [[ ! $OPT_VERBOSE ]]; then
			screen '%s\n' "$run"
			continue
		fi
		image_base "${RUN_STANZA[$run]}" "${RUN_MODE[$run]}"
		info_read "$IMAGE_BASE.info"
		for subtest in "${INFO_SUBTESTS[@]}"; do
			screen '%s:%s\n' "$run" "$subtest"
		done
	done
}
