# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Reads known/ (docs/known.md): what fails, crashes, hangs or is skipped on
# which machine, and why. verdict.awk holds a run against it.

# The entries in the order of the files, and KNOWN["ENTRY KEY"].
declare -ga KNOWN_ENTRIES=()
declare -gA KNOWN=()

readonly KNOWN_KEYS=" vmm accel version vendor module kernel machine boot test kind id count flaky run why manual ref "

known_section()
{
	known_complete
	if [[ ${KNOWN["$1 where"]+set} ]]; then
		die_at "$WHERE" "entry '$1' is already at ${KNOWN["$1 where"]}"
	fi
	KNOWN_ENTRIES+=("$1")
	KNOWN["$1 where"]=$WHERE
	KNOWN_ENTRY=$1
}

known_key()
{
	local key=$1 value=$2 entry=$KNOWN_ENTRY

	if [[ $KNOWN_KEYS != *" ${key%%.*} "* || ($key == *.* && $key != count.*) ]]; then
		die_at "$WHERE" "unknown key '$key'"
	fi
	if [[ $key == id ]]; then
		KNOWN["$entry id"]+=" $value"
		return
	fi
	if [[ ${KNOWN["$entry $key"]+set} ]]; then
		die_at "$WHERE" "'$key' is given twice in [$entry]"
	fi
	case $key in
	kind) [[ $value =~ ^(fail|crash|hang|skip)$ ]] ;;
	count*) [[ $value =~ ^[0-9]{1,9}$ ]] ;;
	flaky) [[ $value == yes ]] ;;
	run) [[ $value == no ]] ;;
	version | kernel) [[ $value =~ ^[0-9.]*(-[0-9.]*)?$ && $value =~ [0-9] ]] ;;
	*) [[ $value ]] ;;
	esac || die_at "$WHERE" "bad value for '$key': '$value'"
	KNOWN["$entry $key"]=$value
}

# What an entry must have, once all its keys are read.
known_complete()
{
	local entry=${KNOWN_ENTRY:-} kind where

	[[ $entry ]] || return 0
	where=${KNOWN["$entry where"]} kind=${KNOWN["$entry kind"]:-}
	KNOWN_ENTRY=
	if [[ ! $kind ]]; then
		die_at "$where" "[$entry] has no kind (fail, crash, hang or skip)"
	elif [[ ! ${KNOWN["$entry test"]:-} ]]; then
		die_at "$where" "[$entry] does not name a test"
	elif [[ ! ${KNOWN["$entry why"]:-} ]]; then
		die_at "$where" "[$entry] does not say why"
	elif [[ ${KNOWN["$entry run"]:-} && $kind != @(crash|hang) ]]; then
		die_at "$where" "[$entry] has run = no and is neither a crash nor a hang"
	elif [[ $kind == skip ]]; then
		KNOWN["$entry id"]=${KNOWN["$entry id"]:-'*'}
	elif [[ ! ${KNOWN["$entry id"]:-} ]]; then
		die_at "$where" "[$entry] names no id"
	elif [[ ${KNOWN["$entry id"]} == *[*?[]* && ! ${KNOWN["$entry flaky"]:-} ]] &&
	     ! known_any_number "$entry" && ! known_has_count "$entry"; then
		die_at "$where" "[$entry] has a glob and no count"
	fi
}

# Whether an entry names whatever a run does: `id = *` of a crash, hang or skip
# needs no count.
known_any_number()
{
	[[ ${KNOWN["$1 kind"]} != fail && ${KNOWN["$1 id"]# } == "*" ]]
}

known_has_count()
{
	local mode

	[[ ${KNOWN["$1 count"]:-} ]] && return
	for mode in $ALL_MODES; do
		[[ ${KNOWN["$1 count.$mode"]:-} ]] && return
	done
	return 1
}

# Prints the entries that apply to a run here, as verdict.awk wants them.
known_rules()
{
	local run=$1 mode=${RUN_MODE[$1]} entry count

	for entry in "${KNOWN_ENTRIES[@]}"; do
		known_applies "$entry" "$run" || continue
		count=${KNOWN["$entry count.$mode"]:-${KNOWN["$entry count"]:-}}
		if [[ ! $count && ${KNOWN["$entry id"]} == *[*?[]* &&
		      ! ${KNOWN["$entry flaky"]:-} && ${KNOWN["$entry kind"]} != skip ]] &&
		   ! known_any_number "$entry"; then
			continue # counts are given for other modes alone
		fi
		printf '%s\t%s\t%s\t%s\t%s\n' "$entry" "${KNOWN["$entry kind"]}" "$count" \
			"${KNOWN["$entry flaky"]:-}" "${KNOWN["$entry id"]# }"
	done
}

# Whether a crash or a hang (KIND, a glob) of a subtest is listed; with a third
# word, by an entry that says not to run it.
known_strike()
{
	local kind=$1 subtest=$2 not_run=${3:-} entry

	for entry in "${KNOWN_ENTRIES[@]}"; do
		# shellcheck disable=SC2053
		if [[ ${KNOWN["$entry kind"]} == $kind && (! $not_run || ${KNOWN["$entry run"]:-}) ]] && known_applies "$entry" "$RUN_NAME" &&
		   known_any "${KNOWN["$entry id"]}" "$subtest"; then
			return 0
		fi
	done
	return 1
}

# Whether an entry speaks of this test on this machine. Each condition may list
# alternatives, separated by blanks.
known_applies()
{
	local entry=$1 run=$2 key value

	known_any "${KNOWN["$entry test"]}" "$run" || return 1
	for key in vmm accel machine boot; do
		value=${KNOWN["$entry $key"]:-}
		[[ ! $value ]] || known_any "$value" "${RUN_FACTS[$key]}" || return 1
	done
	for key in version kernel; do
		value=${KNOWN["$entry $key"]:-}
		[[ $value ]] || continue
		if [[ $key == kernel ]]; then
			version_in "$HOST_KERNEL" "$value" || return 1
		else
			vmm_version_ask
			version_in "${RUN_FACTS[version]}" "$value" || return 1
		fi
	done
	value=${KNOWN["$entry vendor"]:-}
	[[ ! $value ]] || known_any "$value" "$HOST_VENDOR" || return 1
	value=${KNOWN["$entry module"]:-}
	if [[ $value == '!'* ]]; then
		[[ ! -d /sys/module/${value#!} ]]
	elif [[ $value ]]; then
		[[ -d /sys/module/$value ]]
	fi
}

# Whether a text matches one of several blank-separated globs.
known_any()
{
	local - glob

	set -f # split into words, but not into file names
	for glob in $1; do
		# shellcheck disable=SC2053
		[[ $2 == $glob ]] && return 0
	done
	return 1
}

# Reads every .cfg of a folder.
known_read()
{
	local file

	for file in "$1"/*.cfg; do
		[[ -e $file ]] || continue
		KNOWN_ENTRY=
		ini_read "$file" known
		known_complete
	done
}

# Reads the tree's own folder, and keeps what was read beside the images: taking
# a thousand lines apart costs more than starting a guest. What is kept holds as long as
# the same files are there and none is newer. Nothing else may have been read before.
known_read_cached()
{
	local folder=$1 cache=$BUILD_DIR/.known files=("$1"/*.cfg) file fresh=yes

	if [[ -r $cache ]]; then
		for file in "${files[@]}" "$SRCDIR"/scripts/{known,config}.bash; do
			[[ $cache -nt $file ]] || fresh=
		done
		if [[ $fresh ]]; then
			KNOWN_FILES=
			# shellcheck source=/dev/null
			. "$cache"
			[[ $KNOWN_FILES != "${files[*]}" ]] || return 0
			KNOWN_ENTRIES=() KNOWN=()
		fi
	fi
	known_read "$folder"
	known_keep "$cache" "${files[*]}"
}

# A build folder that cannot be written to costs time, nothing else.
known_keep()
{
	local cache=$1 names=$2 text entry

	[[ -w $BUILD_DIR ]] || return 0
	# What is there for people alone is checked by now, and not asked for again.
	for entry in "${KNOWN_ENTRIES[@]}"; do
		unset "KNOWN[$entry why]" "KNOWN[$entry manual]" "KNOWN[$entry ref]"
	done
	text=$(declare -p KNOWN_ENTRIES KNOWN)
	text=${text/#declare -/declare -g}
	text=${text/$'\n'declare -A KNOWN/$'\n'declare -gA KNOWN}
	if { printf '%s\nKNOWN_FILES=%q\n' "$text" "$names" >"$cache.$$"; } 2>/dev/null; then
		mv -f "$cache.$$" "$cache"
	else
		rm -f "$cache.$$"
	fi
}
