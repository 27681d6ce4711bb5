# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Reads known/ (docs/known.md): what fails, crashes, hangs or is skipped on
# which machine, and why. verdict.awk holds a run against it.

# The entries in the order of the files, packed (scripts/cache.bash), and a pattern for
# each, which the runs match that it speaks of. Few of the many concern a run: those are
# unpacked, into RUN_KNOWN, their names, and KNOWN["ENTRY KEY"].
declare -ga KNOWN_PACKED=() KNOWN_TESTS=() RUN_KNOWN=()
declare -gA KNOWN=()

readonly KNOWN_KEYS=" vmm accel version vendor module kernel machine boot test kind id count flaky run why manual ref "
# What is there for people alone is checked, and not kept.
readonly KNOWN_KEPT="where why kind id vmm accel machine boot version kernel vendor module flaky run
	count count.x86_64 count.pae count.i386"

known_section()
{
	local line

	known_complete
	for line in "${KNOWN_PACKED[@]}"; do
		if [[ $line == "$1$FIELD"* ]]; then
			line=${line#*"${FIELD}where$FIELD"}
			die_at "$WHERE" "entry '$1' is already at ${line%%"$FIELD"*}"
		fi
	done
	KNOWN["$1 where"]=$WHERE
	KNOWN_ENTRY=$1
}

known_key()
{
	local key=$1 value=$2 entry=$KNOWN_ENTRY

	if [[ $KNOWN_KEYS != *" ${key%%.*} "* || ($key == *.* && $key != count.@(x86_64|pae|i386)) ]]; then
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
	test) [[ $value && $value != *[!A-Za-z0-9_.+*?[:blank:]!^\[\]-]* ]] ;;
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
	known_pack "$entry"
}

known_pack()
{
	local - entry=$1 key line

	set -f # split into words, but not into file names
	# shellcheck disable=SC2086
	printf -v line '|%s' ${KNOWN["$entry test"]}
	KNOWN_TESTS+=("@(${line#|})")
	line=$entry
	for key in $KNOWN_KEPT; do
		[[ ! ${KNOWN["$entry $key"]:-} ]] || line+=$FIELD$key$FIELD${KNOWN["$entry $key"]}
	done
	KNOWN_PACKED+=("$line")
	KNOWN=()
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

# Sets RUN_KNOWN to the entries that speak of a run, on whatever machine.
known_select()
{
	local entry i
	local -a fields

	RUN_KNOWN=() KNOWN=()
	for entry in "${!KNOWN_TESTS[@]}"; do
		# shellcheck disable=SC2053
		[[ $1 == ${KNOWN_TESTS[entry]} ]] || continue
		IFS=$FIELD read -r -a fields <<<"${KNOWN_PACKED[entry]}"
		RUN_KNOWN+=("${fields[0]}")
		for ((i = 1; i < ${#fields[@]}; i += 2)); do
			KNOWN["${fields[0]} ${fields[i]}"]=${fields[i + 1]}
		done
	done
}

# Prints the entries that apply to the run here, as verdict.awk wants them.
known_rules()
{
	local mode=${RUN_MODE[$RUN_NAME]} entry count ids

	for entry in "${RUN_KNOWN[@]}"; do
		known_applies "$entry" || continue
		ids=${KNOWN["$entry id"]//$'\t'/ }
		count=${KNOWN["$entry count.$mode"]:-${KNOWN["$entry count"]:-}}
		if [[ ! $count && $ids == *[*?[]* &&
		      ! ${KNOWN["$entry flaky"]:-} && ${KNOWN["$entry kind"]} != skip ]] &&
		   ! known_any_number "$entry"; then
			continue # counts are given for other modes alone
		fi
		printf '%s\t%s\t%s\t%s\t%s\n' "$entry" "${KNOWN["$entry kind"]}" "$count" \
			"${KNOWN["$entry flaky"]:-}" "${ids# }"
	done
}

# Whether a crash or a hang (KIND, a glob) of a subtest is listed, by the entry STRIKE; with
# a third word, by one that says not to run it.
known_strike()
{
	local kind=$1 subtest=$2 not_run=${3:-} entry

	STRIKE=
	for entry in "${RUN_KNOWN[@]}"; do
		# shellcheck disable=SC2053
		if [[ ${KNOWN["$entry kind"]} == $kind && (! $not_run || ${KNOWN["$entry run"]:-}) ]] &&
		   known_applies "$entry" &&
		   known_any "${KNOWN["$entry id"]}" "$subtest"; then
			STRIKE=$entry
			return 0
		fi
	done
	return 1
}

# Whether an entry of RUN_KNOWN holds on this machine. Each condition may list
# alternatives, separated by blanks.
known_applies()
{
	local entry=$1 key value

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
