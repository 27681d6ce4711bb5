#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What the documents claim about the tree is true.

load tools

@test "the first example of writing-tests.md is x86/hello.c" {
	local example
	# The first block of C, which stands for the file without its first comment.
	example=$(awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' \
		"$SOURCE/docs/writing-tests.md")
	[ -n "$example" ]
	[ "$example" = "$(sed '1,/^ \*\//d' "$SOURCE/x86/hello.c")" ]
}

@test "links between the documents lead somewhere" {
	local document target missing=0
	for document in "$SOURCE"/*.md "$SOURCE"/docs/*.md; do
		while read -r target; do
			if [ ! -e "${document%/*}/${target%%#*}" ]; then
				echo "${document#"$SOURCE"/}: no $target"
				missing=1
			fi
		done < <(grep -o '](\([^)]*\))' "$document" | sed 's/^](//; s/)$//' | grep -v '^[a-z]*:')
	done
	[ "$missing" -eq 0 ]
}

@test "the options and variables that README names are those of run_tests.sh" {
	local option help
	help=$("$SOURCE/run_tests.sh" -h)
	for option in --setup --strict --bisect --vmm -l -j ACCEL MACHINE QEMU; do
		grep -q -e "$option" "$SOURCE/README.md"
		[[ $help == *"$option"* ]]
	done
}
