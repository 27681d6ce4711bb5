# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Reads unittests.cfg (docs/unittests-cfg.md). Everything in it is data: no
# value is ever evaluated. The INI reader serves known/ too.

# The stanzas in the order of the file, and CFG["STANZA KEY"], the value.
declare -ga STANZAS=()
declare -gA CFG=()

# Keys of a stanza and how a value is checked.
readonly -A CFG_KEYS=(
	[file]=image [mode]=modes [kind]=kind [arch]=arch
	[smp]=smp [mem]=size [machine]=text [accel]=accel
	[cpu]=word [cpu_features]=word [bochs_cpu]=word
	[test_args]=text [qemu_params]=params [extra_params]=params
	[groups]=text [timeout]=duration
	[check]=condition [disabled_if]=condition [needs]=condition
)

readonly ALL_MODES="x86_64 pae i386"

# ini_read FILE PREFIX: calls PREFIX_section NAME and PREFIX_key KEY VALUE for
# each line that is not blank or a comment, with WHERE set to FILE:LINE.
ini_read()
{
	local file=$1 prefix=$2
	local line key value number=0 section=

	if ! { exec {INI_FD}<"$file"; } 2>/dev/null; then
		die "$file: cannot be read"
	fi
	while IFS= read -r line || [[ $line ]]; do
		number=$((number + 1))
		WHERE=$file:$number
		line=${line%$'\r'}
		line=${line#"${line%%[![:space:]]*}"}
		line=${line%"${line##*[![:space:]]}"}
		case $line in
		'' | '#'* | ';'*)
			continue
			;;
		*"$FIELD"*)
			die_at "$WHERE" "a control character"
			;;
		'['*)
			if [[ ! $line =~ ^\[([A-Za-z0-9_.+-]+)\]$ ]]; then
				die_at "$WHERE" "not a section name: $line"
			fi
			section=${BASH_REMATCH[1]}
			"${prefix}_section" "$section"
			;;
		*=*)
			if [[ ! $section ]]; then
				die_at "$WHERE" "a key before the first [section]"
			fi
			key=${line%%=*}
			key=${key%"${key##*[![:space:]]}"}
			value=${line#*=}
			value=${value#"${value%%[![:space:]]*}"}
			"${prefix}_key" "$key" "$value"
			;;
		*)
			die_at "$WHERE" "neither [section] nor key = value: $line"
			;;
		esac
	done <&"$INI_FD"
	exec {INI_FD}<&-
}

cfg_section()
{
	cfg_unpack "$1"
	if [[ ${CFG["$1 where"]+set} ]]; then
		die_at "$WHERE" "stanza '$1' is already at ${CFG["$1 where"]}"
	fi
	if [[ $1 == *.* ]]; then
		die_at "$WHERE" "a stanza's name has no dot: the part after it is the mode: $1"
	fi
	STANZAS+=("$1")
	CFG["$1 where"]=$WHERE
	CFG["$1 dir"]=${WHERE%/*}
	CFG_STANZA=$1
}

cfg_key()
{
	local key=$1 value=$2 stanza=$CFG_STANZA

	if [[ ! ${CFG_KEYS[$key]:-} ]]; then
		die_at "$WHERE" "unknown key '$key'"
	fi
	if [[ ${CFG["$stanza $key"]+set} ]]; then
		die_at "$WHERE" "'$key' is given twice in [$stanza]"
	fi
	cfg_value "${CFG_KEYS[$key]}" "$key" "$value"
	CFG["$stanza $key"]=$value
	[[ $key != file ]] || CFG["$stanza file where"]=$WHERE
}

# Refuses a value that its key cannot have.
cfg_value()
{
	local type=$1 key=$2 value=$3 word

	case $type in
	word)
		[[ $value =~ ^[A-Za-z0-9_.,=+-]+$ ]]
		;;
	image)
		[[ $value =~ ^[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*$ ]]
		;;
	modes)
		modes_valid "$value"
		;;
	kind)
		[[ $value == guest ]]
		;;
	arch)
		[[ $value =~ ^(x86_64|i386|x86)$ ]]
		;;
	smp)
		[[ $value =~ ^([1-9][0-9]{0,2}|max|\$MAX_SMP)$ ]]
		;;
	size)
		size_bytes "$value"
		;;
	accel)
		[[ $value =~ ^[a-z]+([ ,]+[a-z]+)*$ ]]
		;;
	duration)
		duration_ms "$value"
		;;
	condition)
		if ! condition_valid "$value"; then
			die_at "$WHERE" "$key: $CONDITION_ERROR"
		fi
		;;
	params)
		if ! split_words "$value"; then
			die_at "$WHERE" "$key: a quote is not closed: $value"
		fi
		params_valid "$key"
		;;
	esac || die_at "$WHERE" "bad value for '$key': '$value'"
}

# Whether a text is a blank-separated list of modes.
modes_valid()
{
	local mode
	local -a modes

	read -ra modes <<<"$1"
	((${#modes[@]})) || return
	for mode in "${modes[@]}"; do
		[[ " $ALL_MODES " == *" $mode "* ]] || return
	done
}

# What run_resources takes out of QEMU's options in WORDS has to be what it can be
# there: numbers that bash is going to calculate with are data, too.
params_valid()
{
	local key=$1 i option value

	for ((i = 0; i < ${#WORDS[@]}; i++)); do
		option=${WORDS[i]} value=${WORDS[i + 1]:-}
		case $option in
		-smp) [[ $value =~ ^([1-9][0-9]{0,2}|max|\$MAX_SMP)$ ]] ;;
		-m) [[ $value =~ ^[0-9]{1,7}[KMG]?$ ]] ;;
		-append) ((++i < ${#WORDS[@]})) ;;
		esac || die_at "$WHERE" "$key: bad value for $option: '$value'"
	done
}

# Sets WORDS to the words of a text; '...' and "..." keep blanks together and
# mean nothing else (no variables, no substitution, no globs). Fails if a quote
# is left open.
split_words()
{
	local text=$1 word='' open=''

	WORDS=()
	while [[ $text ]]; do
		case $text in
		[[:space:]]*)
			if [[ $open ]]; then
				WORDS+=("$word")
			fi
			word='' open=''
			text=${text#?}
			;;
		"'"* | '"'*)
			local quote=${text:0:1}
			text=${text#?}
			[[ $text == *"$quote"* ]] || return 1
			word+=${text%%"$quote"*} open=yes
			text=${text#*"$quote"}
			;;
		*)
			local plain=${text%%[[:space:]\'\"]*}
			word+=$plain open=yes
			text=${text:${#plain}}
			;;
		esac
	done
	if [[ $open ]]; then
		WORDS+=("$word")
	fi
}

# Conditions (check, disabled_if, needs): words that must all hold.
#
#	KEY=VALUE[,VALUE...]	one of the values	KEY!=VALUE[,VALUE...]	none of them
#	/PATH=VALUE		the file's first line	module=NAME		/sys/module/NAME is there
#
# KEY is vmm, accel, machine, mode, smp, boot, or version (prefixes and ranges).
condition_valid()
{
	local word
	local -a words

	read -ra words <<<"$1"
	if ((${#words[@]} == 0)); then
		CONDITION_ERROR="empty condition"
		return 1
	fi
	for word in "${words[@]}"; do
		if [[ $word =~ ^(vmm|accel|machine|mode|smp|boot|version|module)!?=[A-Za-z0-9_.,-]+$ ||
		      $word =~ ^/[^[:space:]=]+=[^[:space:]]*$ ]]; then
			continue
		fi
		printable "$word"
		CONDITION_ERROR="not a condition (KEY=VALUE or /PATH=VALUE; the shell is not asked): $PRINTABLE"
		return 1
	done
}

# Whether every word of a condition holds for the run in MACHINE_FACTS (see
# run_facts); FAILED_CONDITION names the first that does not.
condition_holds()
{
	local word
	local -a words

	read -ra words <<<"$1"
	for word in "${words[@]}"; do
		FAILED_CONDITION=$word
		condition_word_holds "$word" || return 1
	done
}

condition_word_holds()
{
	local word=$1
	local key=${word%%=*} values=${word#*=} value line
	local negated=

	if [[ $word == /* ]]; then
		line=
		if [[ -r $key ]]; then
			IFS= read -r line <"$key" || [[ $line ]]
			[[ $line == "$values" ]]
			return
		fi
		return 1
	fi
	if [[ $key == *! ]]; then
		negated=yes
		key=${key%!}
	fi
	for value in ${values//,/ }; do
		case $key in
		module) [[ -d /sys/module/$value ]] ;;
		version)
			vmm_version_ask
			version_in "${RUN_FACTS[version]:-}" "$value"
			;;
		*) [[ ${RUN_FACTS[$key]:-} == "$value" ]] ;;
		esac && {
			[[ ! $negated ]]
			return
		}
	done
	[[ $negated ]]
}
