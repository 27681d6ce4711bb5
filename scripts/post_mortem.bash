# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is left of a guest that crashed or hung, in a form that can be read.

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

post_mortem()
{
	local dir=$1 kind=$2 subtest=$3 reason=$4 last=$5
	printf '    %s in %s: %s; last check %s\n' "$kind" "$subtest" "$reason" "$last"
}
