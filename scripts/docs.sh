#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The documentation: writes each test's page (docs/tests/) from its source comment
# and its declaration, and checks all pages: links, anchors, references, and
# files that are named. A page that says what is not there is a bug like any other.
#
# Exit status: 0 all is well, 1 something is wrong (a line each), 2 bad usage.

set -u
export LC_ALL=C

usage()
{
	cat <<'END'
Usage: scripts/docs.sh generate | check [DIR]
  generate   write docs/tests/ from the sources and the built images (run make first)
  check      check README.md and docs/ of DIR, the source tree by default
END
}

SRCDIR=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd) || exit 2
PROBLEMS=0

problem()
{
	printf '%s\n' "$1"
	PROBLEMS=$((PROBLEMS + 1))
}

# "TEST MODE..." for each image of unittests.cfg, in its order.
tests()
{
	awk -f "$SRCDIR/scripts/images.awk" "$1/unittests.cfg" | awk '
		{ mode = test = $1; sub(/\/.*/, "", mode); sub(/^[^\/]*\//, "", test) }
		!(test in modes) { order[++n] = test }
		{ modes[test] = modes[test] " " mode }
		END { for (i = 1; i <= n; i++) print order[i] modes[order[i]] }'
}

# Sets PAGE to the name of a test's page, without its suffix: all pages lie in one folder.
page_name()
{
	PAGE=${1//\//_}
}

# Whether a page is that of a test of unittests.cfg.
page_has_test()
{
	tests "$1" | tr / _ | grep -q "^$2 "
}

# The source file of a test that holds its declaration.
declaring_file()
{
	local root=$1 test=$2 file

	for file in "$root/x86/$test.c" "$root/x86/$test"/*.c; do
		if [[ -f $file ]] && grep -q '^TEST_SUMMARY' "$file"; then
			printf '%s\n' "${file#"$root/"}"
			return
		fi
	done
	return 1
}

# The first block comment of a C file, as text.
first_comment()
{
	awk '
		/^\/\*/ { inside = 1; sub(/^\/\*[ \t]*/, "") ; if ($0 == "") next }
		inside {
			last = sub(/[ \t]*\*\/.*/, "")
			sub(/^ \* ?/, "")
			sub(/^ \*$/, "")
			print
			if (last) exit
		}' "$1"
}

# Values of a key of an .info file, a line each.
info()
{
	sed -n "s/^$2 //p" "$1"
}

# A source as the manuals' page cites it: its first word is linked to docs/references.md.
cite()
{
	local line

	while IFS= read -r line; do
		case $line in
		"SDM "*) printf -- '- [SDM](../references.md#sdm) %s\n' "${line#SDM }" ;;
		"APM "*) printf -- '- [APM](../references.md#apm) %s\n' "${line#APM }" ;;
		"KVM "*) printf -- '- [KVM](../references.md#kvm) %s\n' "${line#KVM }" ;;
		"MP "*) printf -- '- [MP](../references.md#mp) %s\n' "${line#MP }" ;;
		*) printf -- '- %s\n' "$line" ;;
		esac
	done
}

# $1: heading, $2: text; nothing where there is no text.
section()
{
	[[ ! $2 ]] || printf '\n## %s\n\n%s\n' "$1" "$2"
}

# Prints the page of a test. $2...: its modes.
page()
{
	local test=$1 modes=("${@:2}") file info_file
	shift

	file=$(declaring_file "$SRCDIR" "$test") || return
	info_file=build/${modes[0]}/$test.info
	printf '<!-- SPDX-License-Identifier: BSD-2-Clause -->\n'
	printf '<!-- Written by scripts/docs.sh from %s. -->\n' "$file"
	printf '# %s\n\n%s.\n\n' "$test" "$(info "$info_file" summary)"
	printf 'Source: [%s](../../%s). Modes: %s.\n' "$file" "$file" "${modes[*]}"
	section "What it checks, and why" "$(first_comment "$SRCDIR/$file")"
	section "Manuals" "$(info "$info_file" manual | cite)"
	section "Guards against" "$(info "$info_file" guards | sed 's/^/- /')"
	section "Needs" "$(info "$info_file" needs | sed 's/^/- /')"
	section "Subtests" "$(for mode in "${modes[@]}"; do
		info "build/$mode/$test.info" subtest
	done | awk '!seen[$0]++ { print "- `" $0 "`" }')"
}

generate()
{
	local test modes dir=$SRCDIR/docs/tests stale

	mkdir -p "$dir" || exit 1
	{
		printf '<!-- SPDX-License-Identifier: BSD-2-Clause -->\n'
		printf '<!-- Written by scripts/docs.sh from unittests.cfg. -->\n# Tests\n\n'
	} >"$dir/README.md.new"
	while read -r test modes; do
		page_name "$test"
		# shellcheck disable=SC2086 # modes are words
		page "$test" $modes >"$dir/$PAGE.md.new" || {
			problem "$test: no source with TEST_SUMMARY under x86/"
			rm -f "$dir/$PAGE.md.new"
			continue
		}
		mv "$dir/$PAGE.md.new" "$dir/$PAGE.md"
		printf -- '- [%s](%s.md): %s\n' "$test" "$PAGE" \
			"$(info "build/${modes%% *}/$test.info" summary)" >>"$dir/README.md.new"
	done < <(tests "$SRCDIR")
	mv "$dir/README.md.new" "$dir/README.md"
	for stale in "$dir"/*.md; do
		test=${stale##*/}
		test=${test%.md}
		[[ $test == README ]] || page_has_test "$SRCDIR" "$test" || rm -f "$stale"
	done
}

# Without images nothing can be said.
page_is_current()
{
	local test=$1 modes

	read -ra modes <<<"$2"
	[[ -f build/${modes[0]}/$test.info ]] || return 0
	page "$test" "${modes[@]}" | cmp -s - "$SRCDIR/docs/tests/$PAGE.md"
}

# Whether the pages are what generate would write; needs the images.
check_pages()
{
	local root=$1 test modes page

	while read -r test modes; do
		page_name "$test"
		if [[ ! -f $root/docs/tests/$PAGE.md ]]; then
			problem "docs/tests/$PAGE.md: missing: the test $test has no page"
		elif ! grep -q "]($PAGE.md)" "$root/docs/tests/README.md"; then
			problem "docs/tests/README.md: does not list $test"
		elif [[ $root == "$SRCDIR" ]] && ! page_is_current "$test" "$modes"; then
			problem "docs/tests/$PAGE.md: out of date: run scripts/docs.sh generate"
		fi
	done < <(tests "$root")
	for page in "$root"/docs/tests/*.md; do
		test=${page##*/}
		test=${test%.md}
		if [[ $test != README ]] && ! page_has_test "$root" "$test"; then
			problem "docs/tests/$test.md: there is no test $test"
		fi
	done
}

# The text rules, over all pages at once: links, anchors, references, files named.
check_text()
{
	local root=$1 pages

	mapfile -t pages < <(cd "$root" && find README.md docs -name '*.md' | sort)
	if ((${#pages[@]} == 0)); then
		problem "$root: no pages"
		return
	fi
	while IFS= read -r line; do
		problem "$line"
	done < <(cd "$root" && awk -f "$SRCDIR/scripts/docs.awk" "${pages[@]}" |
		while IFS=$'\t' read -r kind where target; do
			case $kind in
			file) [[ -e $target ]] || echo "$where: names $target, which does not exist" ;;
			*) echo "$where: $target" ;;
			esac
		done)
}

# Comments of the sources name pages and files too.
check_sources()
{
	local root=$1 file line name

	while IFS=: read -r file line name; do
		[[ -e $root/$name ]] || problem "$file:$line: names $name, which does not exist"
	done < <(cd "$root" && grep -rnoE '\bdocs/[A-Za-z0-9_/-]+\.md\b' --include='*.[chS]' \
		--include='*.sh' --include='*.bash' --include='*.awk' --include='*.cfg' . 2>/dev/null |
		sed 's|^\./||' | grep -v '^scripts/docs\.')
}

case ${1-} in
generate)
	(($# == 1)) || { usage >&2; exit 2; }
	generate
	;;
check)
	(($# <= 2)) || { usage >&2; exit 2; }
	root=${2:-$SRCDIR}
	[[ -d $root/docs ]] || { echo "docs.sh: $root has no docs/" >&2; exit 2; }
	check_pages "$root"
	check_text "$root"
	check_sources "$root"
	;;
*)
	usage >&2
	exit 2
	;;
esac
if ((PROBLEMS)); then
	printf 'docs: %d problems\n' "$PROBLEMS"
	exit 1
fi
