#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs the Debian packages that Trapline's tools come from, or with --check
# says which are missing. Does nothing, and says nothing, when all are there.
#
# Exit status: 0 everything is there, 1 something is missing, 2 bad usage.

set -u

usage()
{
	cat <<'END'
Usage: scripts/setup.sh [--check] [--list] [GROUP|TOOL]...
Installs what is missing, through apt-get and as root.

  --check   install nothing: one line for each missing tool, and exit status 1
  --list    print the table of groups, tools and packages
  --help    print this text

Groups: run (what run_tests.sh needs) and check (what make check needs in
addition). Both by default. A tool of the table may be named by itself.
END
}

# Group, tool, what shows that it is there (a command or, with a slash, a
# file; all of those joined by +, one of those joined by |), Debian packages.
tools()
{
	cat <<'END'
run    gcc          gcc|clang                           gcc
run    libc-headers /usr/include/stdio.h                libc6-dev
run    binutils     objcopy                             binutils
run    make         make                                make
run    qemu         qemu-system-x86_64                  qemu-system-x86
run    bochs        bochs+/usr/lib/*/bochs/plugins/*term_gui*+/usr/share/vgabios/vgabios.bin bochs bochs-term bochsbios vgabios
run    parallel     parallel                            parallel
check  clang        clang                               clang
check  shellcheck   shellcheck                          shellcheck
check  bats         bats                                bats
check  ps           ps                                  procps
END
}

fail()
{
	printf 'setup: %s\n' "$1" >&2
	exit "${2-1}"
}

present()
{
	case $1 in
	*+*)
		present "${1%%+*}" && present "${1#*+}"
		;;
	*/*)
		# Where a file lies is known for Debian alone.
		command -v dpkg >/dev/null 2>&1 || return 0
		# A pattern of the table; unquoted to be expanded.
		# shellcheck disable=SC2086
		set -- $1
		[ -e "$1" ]
		;;
	*\|*)
		present "${1%%\|*}" || present "${1#*\|}"
		;;
	*)
		command -v "$1" >/dev/null 2>&1
		;;
	esac
}

# The rows of the table that were asked for and are not there.
missing_rows()
{
	tools | while read -r group tool evidence packages; do
		case " $wanted " in
		*" $group "* | *" $tool "*) ;;
		*) continue ;;
		esac
		present "$evidence" || printf '%s %s %s %s\n' "$group" "$tool" "$evidence" "$packages"
	done
}

report_missing()
{
	missing_rows | while read -r _ tool _ packages; do
		printf 'setup: %s is missing: install package %s (apt-get install %s)\n' \
			"$tool" "${packages%% *}" "$packages" >&2
	done
}

# Prints a command, then runs it.
run()
{
	printf '+ %s\n' "$*"
	DEBIAN_FRONTEND=noninteractive "$@"
}

# Package lists that are absent or more than a day old name versions that the
# archive may have dropped.
lists_are_stale()
{
	[ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 2>/dev/null |
		head -n 1)" ]
}

# One broken third-party source must not keep us from installing.
update_lists()
{
	run apt-get update || printf 'setup: apt-get update failed; going on with the old lists\n' >&2
}

install_packages()
{
	# Words of the package list are the arguments.
	# shellcheck disable=SC2086
	run apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $1
}

mode=install
wanted=
for argument in "$@"; do
	case $argument in
	--check)
		mode=check
		;;
	--list)
		tools
		exit 0
		;;
	--help | -h)
		usage
		exit 0
		;;
	-*)
		fail "unknown option '$argument' (--help lists them)" 2
		;;
	*)
		tools | awk -v name="$argument" '$1 == name || $2 == name { found = 1 } END { exit !found }' ||
			fail "no group or tool is called '$argument' (--list shows them)" 2
		wanted="$wanted $argument"
		;;
	esac
done
[ -n "$wanted" ] || wanted='run check'

missing=$(missing_rows)
[ -n "$missing" ] || exit 0
if [ $mode = check ]; then
	report_missing
	exit 1
fi

packages=$(printf '%s\n' "$missing" | cut -d' ' -f4- | tr ' ' '\n' | sort -u | tr '\n' ' ')
packages=${packages% }
if ! command -v apt-get >/dev/null 2>&1; then
	report_missing
	fail "apt-get not found: only Debian and its relatives are set up by this script"
fi
[ "$(id -u)" -eq 0 ] ||
	fail "only root can install; run: sudo apt-get install -y --no-install-recommends $packages"

updated=
if lists_are_stale; then
	update_lists
	updated=yes
fi
if ! install_packages "$packages"; then
	[ -z "$updated" ] || fail "apt-get could not install: $packages"
	update_lists
	install_packages "$packages" || fail "apt-get could not install: $packages"
fi

if [ -n "$(missing_rows)" ]; then
	report_missing
	fail "installed, but the above is still missing"
fi
