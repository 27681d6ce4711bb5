# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What every part of the runner uses: messages, exit statuses, time, text that
# a guest wrote, and the temporary folder.

# Exit statuses (DESIGN: 0 passed, 1 anything worse than PASS).
readonly EXIT_USAGE=2		# bad usage, a bad file, a selection that matches nothing
readonly EXIT_SKIPPED=77	# everything was skipped
readonly EXIT_CANNOT_JUDGE=125	# --bisect: what git bisect calls "skip"

# Verdicts, the best first: the worst one of a run wins.
readonly -A VERDICT_RANK=(
	[SKIP]=0 [PASS]=1 [XPASS]=2 [FAIL]=3 [ERROR]=4 [HANG]=5 [CRASH]=6 [BROKEN]=7
)

# Takes the live line (scripts/output.bash) off the screen.
live_clear()
{
	if [[ ${LIVE_SHOWN:-} ]]; then
		printf '\r\e[K'
		LIVE_SHOWN=
	fi
}

# One line on stderr, whatever the live line shows at the moment.
warn()
{
	live_clear
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Bad usage or a bad file: one line, exit status 2 (125 under --bisect, where
# 2 would blame the commit under test).
die()
{
	warn "$*"
	if [[ ${OPT_BISECT:-} ]]; then
		exit "$EXIT_CANNOT_JUDGE"
	fi
	exit "$EXIT_USAGE"
}

# die() about a line of a file: FILE:LINE: message.
die_at()
{
	local where=$1
	shift

	live_clear
	printf '%s: %s\n' "$where" "$*" >&2
	if [[ ${OPT_BISECT:-} ]]; then
		exit "$EXIT_CANNOT_JUDGE"
	fi
	exit "$EXIT_USAGE"
}

# Sets NOW to the time in milliseconds.
now_ms()
{
	NOW=${EPOCHREALTIME/[.,]/}
	NOW=${NOW%???}
}

# Sets PRINTABLE to a text of a guest with everything that is not a printable
# ASCII character shown as "?": a guest must not steer the terminal.
printable()
{
	local LC_ALL=C

	PRINTABLE=${1//[^ -~]/?}
}

# Sets QUOTED to a word as one would type it in a shell.
shell_word()
{
	if [[ $1 && $1 != *[!A-Za-z0-9_./:=,+%@-]* ]]; then
		QUOTED=$1
	else
		QUOTED="'${1//\'/\'\\\'\'}'"
	fi
}

# Milliseconds as seconds with one decimal: sets SECONDS_TEXT.
seconds_text()
{
	local tenths=$((($1 + 50) / 100))

	SECONDS_TEXT=$((tenths / 10)).$((tenths % 10))
}

# Where a program is: sets PROGRAM; fails if there is none.
find_program()
{
	local dir
	local -a path

	PROGRAM=$1
	if [[ $1 != */* ]]; then
		IFS=: read -ra path <<<"$PATH"
		for dir in "${path[@]}"; do
			PROGRAM=${dir:-.}/$1
			[[ ! -f $PROGRAM || ! -x $PROGRAM ]] || break
		done
	fi
	[[ $1 && -f $PROGRAM && -x $PROGRAM ]]
}

# A duration as coreutils' timeout takes it (90, 90s, 1.5s, 2m, 1h) in
# milliseconds: sets DURATION_MS; fails on anything else.
duration_ms()
{
	local unit

	[[ $1 =~ ^([0-9]{1,7})(\.([0-9]{1,3}))?([smh]?)$ ]] || return 1
	case ${BASH_REMATCH[4]} in
	m) unit=60 ;;
	h) unit=3600 ;;
	*) unit=1 ;;
	esac
	local fraction=${BASH_REMATCH[3]}000
	DURATION_MS=$(((10#${BASH_REMATCH[1]} * 1000 + 10#${fraction:0:3}) * unit))
}

# A size (64M, 1G, 65536, 512K) in bytes: sets SIZE_BYTES; fails on anything else.
size_bytes()
{
	[[ $1 =~ ^([0-9]{1,12})([KMG]?)$ ]] || return 1
	case ${BASH_REMATCH[2]} in
	K) SIZE_BYTES=$((10#${BASH_REMATCH[1]} << 10)) ;;
	M) SIZE_BYTES=$((10#${BASH_REMATCH[1]} << 20)) ;;
	G) SIZE_BYTES=$((10#${BASH_REMATCH[1]} << 30)) ;;
	*) SIZE_BYTES=$((10#${BASH_REMATCH[1]})) ;;
	esac
}

# Whether version $1 (7.2.22) lies in $2: a prefix (7.2, which holds 7.2.22), or
# a range whose ends are prefixes or absent (7.0-8.2, 7.0-, -8.2).
version_in()
{
	local version=$1 range=$2

	if [[ $range != *-* ]]; then
		[[ $version == "$range" || $version == "$range".* ]]
		return
	fi
	local low=${range%%-*} high=${range#*-}
	if [[ $low ]] && version_below "$version" "$low"; then
		return 1
	fi
	if [[ $high ]] && ! version_in "$version" "$high"; then
		version_below "$version" "$high"
		return
	fi
}

# Whether version $1 comes before $2, number by number.
version_below()
{
	local -a a b
	local i

	IFS=.- read -ra a <<<"$1"
	IFS=.- read -ra b <<<"$2"
	for ((i = 0; i < ${#b[@]}; i++)); do
		local x=${a[i]:-0} y=${b[i]}
		[[ $x =~ ^[0-9]+$ && $y =~ ^[0-9]+$ ]] || return 1
		((10#$x < 10#$y)) && return 0
		((10#$x > 10#$y)) && return 1
	done
	return 1
}

# One line for a tool that is not there: its package and the command that
# installs it, as scripts/setup.sh knows them.
missing_tool()
{
	local line

	while IFS= read -r line; do
		if [[ $line == *"$1"* ]]; then
			warn "${line#setup: }"
			return
		fi
	done < <("$SRCDIR/scripts/setup.sh" --check "$1" 2>&1)
	warn "$1 is missing"
}

# The temporary folder of this command, WORK: named after its process, so that
# what a killed runner left behind can be told from what is in use.
WORK='' WORK_NAME='' WORK_LEFT=''

# work_create [FOLDER...]: makes it, with folders in it; the outer ones come first. Those
# that cannot be made are missed when they are needed.
work_create()
{
	local old pid problem

	[[ ! $WORK ]] || return 0
	for old in "${WORK_NAME%/*}"/trapline.+([0-9]).+([0-9A-Za-z]); do
		[[ -d $old && -O $old && ! -L $old ]] || continue
		pid=${old##*/trapline.}
		pid=${pid%%.*}
		[[ -d /proc/$pid ]] || rm -rf -- "$old"
	done
	WORK=$WORK_NAME
	if ! mkdir -m 700 -- "$WORK" "${@/#/"$WORK/"}" 2>/dev/null && [[ ! -O $WORK || -L $WORK ]]; then
		problem=$(mkdir -m 700 -- "$WORK" 2>&1)
		warn "cannot make a temporary folder: $problem"
		WORK=
		exit $((${#OPT_BISECT} ? EXIT_CANNOT_JUDGE : 1))
	fi
}

# Names WORK, and removes it as soon as nobody holds the pipe WORK_PIPE any more: then this
# process is gone, by whatever signal. So goes another folder that was written to it.
work_guard()
{
	folder_path "${TMPDIR:-/tmp}" 2>/dev/null || FOLDER=${TMPDIR:-/tmp}
	printf -v WORK_NAME '%s/trapline.%s.%08x' "${FOLDER%/}" $$ "$SRANDOM"
	exec {WORK_PIPE}> >(
		trap '' HUP INT TERM QUIT
		exec >/dev/null 2>&1
		cd / || exit
		more=
		while IFS= read -r -d '' folder; do more=$folder; done
		if [[ -e $WORK_NAME || -e $more ]]; then
			exec rm -rf -- "$WORK_NAME" ${more:+"$more"}
		fi
	)
}

# Starts to remove WORK, once nothing in it is needed any more.
work_leave()
{
	rm -rf -- "$WORK" &
	WORK_LEFT=$!
}

# Removes what is left. Where logs have been put in their places there is an empty
# folder, which work_guard removes.
work_remove()
{
	if [[ $WORK_LEFT ]]; then
		wait "$WORK_LEFT"
	else
		rm -rf -- "$WORK" ${LOG_NEW:+"$LOG_NEW"}
	fi
}

# Fails if the folder $1 has no room for another 64 KiB.
disk_has_room()
{
	local probe=$1/.room.$$

	if printf "%65536s" "" 2>/dev/null >"$probe"; then
		rm -f -- "$probe"
		return 0
	fi
	rm -f -- "$probe"
	return 1
}
