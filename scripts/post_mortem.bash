# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is left of a guest that crashed or hung, in a form that can be read: its
# last check, the registers of every CPU, and where in the source they were.
#
# The guest's own account ("# CRASH" lines) comes first; else what the VMM's
# driver left in the start's folder: registers ("CPU#N", then lines of
# NAME=VALUE), stack.N (memory from the stack pointer up) and trail.

# Starts of a run that are shown in full; frames shown of a stack (a guest's own account has one more).
readonly POST_MORTEMS=3
readonly STACK_FRAMES=16

# Lines of a guest's own account that are shown: 64 CPUs have three each.
readonly GUEST_LINES=200

# Sets RUN_TRAIL to the address of report_trail, if the image has one.
run_trail_address()
{
	local address type name

	RUN_TRAIL=
	while read -r address type name; do
		if [[ $name == report_trail ]]; then
			RUN_TRAIL=0x$address
			return
		fi
	done < <("${CONFIG[NM]:-nm}" "$RUN_BASE.elf" 2>/dev/null)
}

# Prints the post-mortem of a start; SUBTEST is the one that struck; without
# FULL its head alone.
post_mortem()
{
	local dir=$1 kind=$2 subtest=$3 reason=$4 last=$5 full=$6

	printf '    %s: %s\n' "${kind^^}" "$reason"
	if [[ ! $last ]]; then
		trail_read "$dir/trail"
		last=$TRAIL
	fi
	printf '    last check: %s\n' "${last:-unknown}"
	if [[ ! $full ]]; then
		:
	elif [[ -r $dir/log ]] && grep -aq '^# CRASH cpu' "$dir/log"; then
		post_mortem_guest "$dir/log"
	elif [[ -s $dir/registers ]]; then
		post_mortem_vmm "$dir"
	fi
	if [[ $subtest == '('* ]]; then
		return
	fi
	printf '    again: %s %s:%s\n' "$AGAIN" "$RUN_NAME" "$subtest"
}

# What report_trail said (docs/result-stream.md): sets TRAIL to the last check's
# id and how many there were, or to nothing.
trail_read()
{
	local file=$1 magic id count
	local -a words

	TRAIL=
	[[ -s $file ]] || return
	IFS= read -r -d '' magic <"$file"
	[[ $magic == TRAILv1 ]] || return
	read -ra words < <(od -An -v -tu4 -j8 -N8 "$file")
	IFS= read -r -d '' id < <(tail -c +17 "$file")
	printable "$id"
	plural "${words[1]:-0}" check
	count=$PLURAL
	TRAIL="${PRINTABLE:-none} ($count so far)"
}

# The guest's own account.
post_mortem_guest()
{
	local line

	while IFS= read -r line; do
		printable "$line"
		line=${PRINTABLE:0:1000}
		if [[ $line =~ ^'# CRASH '(cpu [0-9]+)' registers: '(.*) ]]; then
			print_folded "${BASH_REMATCH[1]}:" "${BASH_REMATCH[2]}"
		elif [[ $line =~ ^'# CRASH '(cpu [0-9]+)' stack: '((0x[0-9a-f]{1,16} ?)+)$ ]]; then
			printf '    %s stack:\n' "${BASH_REMATCH[1]}"
			# shellcheck disable=SC2086 # hexadecimal numbers alone, see above
			print_stack ${BASH_REMATCH[2]}
		fi
	done < <(grep -a -m "$GUEST_LINES" '^# CRASH cpu' "$1")
}

# Words of a long line, folded to what a screen shows.
print_folded()
{
	local text=$1 word
	local -a words

	read -ra words <<<"$2"
	for word in "${words[@]}"; do
		if ((${#text} + ${#word} > 94)); then
			printf '    %s\n' "$text"
			text=' '
		fi
		text+=" $word"
	done
	printf '    %s\n' "$text"
}

# The VMM's account: integer and control registers, then the stack, CPU by CPU.
post_mortem_vmm()
{
	local dir=$1 line cpu='' text='' next

	while IFS= read -r line; do
		if [[ $line =~ ^CPU#([0-9]+) ]]; then
			next=${BASH_REMATCH[1]}
			[[ ! $cpu ]] || post_mortem_cpu "$dir" "$cpu" "$text"
			cpu=$next text=
		elif [[ ! $line =~ ^(DR|FCW|FPR|XMM|YMM|Opmask|CCS|MM)[0-9=] && $line ]]; then
			printable "$line"
			text+=$PRINTABLE$'\n'
		fi
	done <"$dir/registers"
	[[ ! $cpu ]] || post_mortem_cpu "$dir" "$cpu" "$text"
}

post_mortem_cpu()
{
	local dir=$1 cpu=$2 text=$3 line ip bp sp width=4

	while IFS= read -r line; do
		[[ ! $line ]] || printf '    cpu %s: %s\n' "$cpu" "$line"
	done <<<"$text"
	[[ $text == *RIP=* ]] && width=8
	[[ $text =~ [RE]IP=([0-9a-f]+) ]] || return
	ip=$((16#${BASH_REMATCH[1]}))
	[[ $text =~ [RE]BP=([0-9a-f]+) ]] || return
	bp=$((16#${BASH_REMATCH[1]}))
	[[ $text =~ [RE]SP=([0-9a-f]+) ]] || return
	sp=$((16#${BASH_REMATCH[1]}))
	stack_walk "$dir/stack.$cpu" "$width" "$ip" "$bp" "$sp"
	printf '    cpu %s stack:\n' "$cpu"
	print_stack "${STACK[@]}"
}

# Follows the frame pointers through memory saved from SP up: sets STACK to the
# addresses, innermost first.
stack_walk()
{
	local file=$1 width=$2 ip=$3 bp=$4 sp=$5 at
	local -a words=()

	printf -v STACK '0x%x' "$ip"
	STACK=("$STACK")
	[[ -s $file ]] || return
	read -r -d '' -a words < <(od -An -v -w4096 -tx"$width" "$file")
	while ((${#STACK[@]} < STACK_FRAMES && bp >= sp && bp % width == 0)); do
		at=$(((bp - sp) / width))
		((at >= 0 && at + 1 < ${#words[@]} && 16#${words[at + 1]})) || return
		STACK+=("0x${words[at + 1]}")
		((16#${words[at]} > bp)) || return
		bp=$((16#${words[at]}))
	done
}

# Addresses as function and file:line. A return address stands for the call
# before it, which may be another line.
print_stack()
{
	local address first=yes line
	local built_in=${BUILD_DIR%/build}
	local -a lookup=()

	for address in "${@:1:STACK_FRAMES + 1}"; do
		[[ $first ]] || printf -v address '0x%x' $((address - 1))
		first=
		lookup+=("$address")
	done
	while IFS= read -r line; do
		# Out of tree, the names are relative to the build folder.
		line=${line//"$built_in/"/}
		line=${line//"${built_in#"$SRCDIR/"}/"/}
		line=${line//"$SRCDIR/"/}
		line=${line/ (discriminator +([0-9]))/}
		line=${line/#0x+(0)/0x}
		printable "$line"
		printf '      %s\n' "$PRINTABLE"
	done < <("${CONFIG[ADDR2LINE]:-addr2line}" -e "$RUN_BASE.elf" -a -f -i -p "${lookup[@]}" 2>/dev/null)
}
