# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The guest in a stand-in VMM: what one prints, in functions for $STAND_IN, which are bash. The
# image has the subtests one, two and three, or those that $STAND_IN_SUBTESTS names. A test gives
# for instance
#
#	STAND_IN='begin; pass one; pass two; fail three; end; leave 85'

# What a well-behaved guest would print; a test changes one of them to lie.
nonce='' planned=0 subtests=0 checks=0 failed=0 skipped=0 duplicates=0
verbose=0
read -ra names <<<"${STAND_IN_SUBTESTS:-one two three}"
selected=()

# read_arguments IMAGE [TEXT]: the runner's words in a ROM image, or as given (docs/result-stream.md).
read_arguments()
{
	local image=$1 word key value

	arguments=${2:-}
	if [[ $image ]]; then
		IFS= read -r -d '' arguments <"$image"
	fi
	for word in $arguments; do
		key=${word%%=*} value=${word#*=}
		case $key in
		nonce) nonce=$value ;;
		run) select_names "$value" ;;
		verbose) verbose=$value ;;
		--) break ;;
		esac
	done
	planned=${#selected[@]}
}

# 0-1,2 as the names of the subtests.
select_names()
{
	local range index

	for range in ${1//,/ }; do
		for ((index = ${range%-*}; index <= ${range#*-}; index++)); do
			selected+=("${names[index]}")
		done
	done
}

# A line on the console.
say()
{
	printf '%b\n' "$*" >>"$console"
}

begin()
{
	say 'KTAP version 1'
	say "1..$planned"
	say '# test three mode x86_64 cpus 1'
}

# pass NAME [CHECKS]
pass()
{
	print_checks "$1" 1 "${2:-2}"
	say "ok $((++subtests)) $1 # ${2:-2} checks"
	checks=$((checks + ${2:-2}))
}

# With verbose=1: the checks FIRST to LAST of a subtest passed.
print_checks()
{
	local number

	[[ $verbose == 1 ]] || return 0
	for ((number = $2; number <= $3; number++)); do
		say "    ok $number $1.check-$number"
	done
}

# fail NAME ID...: a subtest of four checks, of which NAME.ID... fail.
fail()
{
	local name=$1 id number=0
	shift

	for id in "$@"; do
		say "    not ok $((++number)) $name.$id # expected 1, got 2 at x86/three.c:7"
	done
	print_checks "$name" $((number + 1)) 4
	say "not ok $((++subtests)) $name # $# of 4 checks failed"
	checks=$((checks + 4)) failed=$((failed + $#))
}

# skip NAME [REASON]
skip()
{
	say "ok $((++subtests)) $1 # SKIP ${2:-no such feature}"
	skipped=$((skipped + 1))
}

end()
{
	say "# END nonce=$nonce subtests=$subtests checks=$checks failed=$failed" \
		"skipped=$skipped duplicates=$duplicates"
}

# A whole run in which nothing is wrong.
honest()
{
	strike none
}

# strike NAME COMMAND...: a run in which COMMAND happens in place of subtest NAME.
strike()
{
	local at=$1 name
	shift

	begin
	for name in "${selected[@]}"; do
		if [[ $name == "$at" ]]; then
			"$@"
		else
			pass "$name"
		fi
	done
	end
	leave 85
}

complain()
{
	printf '%s\n' "$*" >&2
}

