# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests of configure, make, setup.sh and check.sh share.

SOURCE=$(cd "$BATS_TEST_DIRNAME/.." && pwd -P)
export SOURCE

# A PATH of its own: links to the named commands in a new folder, so that a
# test can say which tools a machine has. Sets TOOLS to the folder.
tools_only()
{
	local command path

	TOOLS=$BATS_TEST_TMPDIR/tools
	mkdir -p "$TOOLS"
	for command in "$@"; do
		path=$(type -P "$command") || return
		ln -sf "$path" "$TOOLS/$command"
	done
}

# ended_with STATUS PATTERN: the last run ended so, and its output holds PATTERN.
ended_with()
{
	if [[ $status != "$1" || $output != *"$2"* ]]; then
		printf 'expected status %s and "%s", got status %s and:\n%s\n' \
			"$1" "$2" "$status" "$output"
		return 1
	fi
}
