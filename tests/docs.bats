#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The documentation's own rules (scripts/docs.sh): a small tree that keeps them all,
# and each rule broken once.

bats_require_minimum_version 1.5.0

load tools

setup()
{
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/docs/tests" "$TREE/x86" "$TREE/scripts"
	printf '[hello]\nfile = hello\n' >"$TREE/unittests.cfg"
	: >"$TREE/x86/hello.c"
	cat >"$TREE/README.md" <<'END'
# Tree

See [the references](docs/references.md#sdm), [a section](docs/page.md#two-words) and [notes].
[A name][notes], `x86/hello.c`, and in code anything: [x](gone.md)?

    [not a link](gone-too.md)

[notes]: docs/page.md
END
	sed -i 's/ and \[notes\]\./ and more./; s/: \[x\](gone.md)?/./' "$TREE/README.md"
	printf '# References\n\n## SDM\n\nThe manual.\n' >"$TREE/docs/references.md"
	printf '# Page\n\n## Two words\n\nText.\n' >"$TREE/docs/page.md"
	printf '# hello\n\n[SDM](../references.md#sdm)\n' >"$TREE/docs/tests/hello.md"
	printf '# Tests\n\n- [hello](hello.md): says so\n' >"$TREE/docs/tests/README.md"
}

# The check fails with a line that holds $1.
check_finds()
{
	run -1 "$SOURCE/scripts/docs.sh" check "$TREE"
	[[ $output == *"$1"* ]] || {
		printf 'expected: %s\ngot: %s\n' "$1" "$output"
		return 1
	}
}

@test "docs: a tree that keeps the rules has no problem" {
	run -0 "$SOURCE/scripts/docs.sh" check "$TREE"
	[[ -z $output ]]
}

@test "docs: this tree keeps the rules" {
	run -0 "$SOURCE/scripts/docs.sh" check
}

@test "docs: a link to a file that is gone" {
	rm "$TREE/docs/page.md"
	check_finds "README.md:3: names docs/page.md, which does not exist"
}

@test "docs: an anchor that is gone" {
	sed -i 's/Two words/Three words/' "$TREE/docs/page.md"
	check_finds "README.md:3: no anchor #two-words in docs/page.md"
}

@test "docs: two headings of one name make an anchor ambiguous" {
	printf '\n## Two words\n' >>"$TREE/docs/page.md"
	check_finds 'docs/page.md:7: a second heading "Two words"'
}

@test "docs: a citation without a definition" {
	echo 'As [said][elsewhere].' >>"$TREE/docs/page.md"
	check_finds "docs/page.md:6: cites [elsewhere], which is not defined"
}

@test "docs: a definition that nothing cites" {
	echo '[idle]: page.md' >>"$TREE/docs/references.md"
	check_finds "docs/references.md:6: defines [idle], which nothing cites"
}

@test "docs: a definition given twice" {
	echo '[notes]: docs/references.md' >>"$TREE/README.md"
	check_finds "a second definition of [notes]"
}

@test "docs: a reference that nobody cites" {
	printf '\n## APM\n\nThe other manual.\n' >>"$TREE/docs/references.md"
	check_finds "docs/references.md:7: #apm is cited nowhere"
}

@test "docs: a file named in code that is gone" {
	rm "$TREE/x86/hello.c"
	check_finds "README.md:4: names x86/hello.c, which does not exist"
}

@test "docs: a source's comment that names a page that is gone" {
	echo '/* See docs/gone.md. */' >"$TREE/x86/hello.c"
	check_finds "x86/hello.c:1: names docs/gone.md, which does not exist"
}

@test "docs: a test without a page" {
	printf '\n[other]\nfile = other\n' >>"$TREE/unittests.cfg"
	check_finds "docs/tests/other.md: missing: the test other has no page"
}

@test "docs: a page that the list of tests does not have" {
	sed -i '/hello/d' "$TREE/docs/tests/README.md"
	check_finds "docs/tests/README.md: does not list hello"
}

@test "docs: bad usage is one status, and nothing is written" {
	run -2 "$SOURCE/scripts/docs.sh"
	run -2 "$SOURCE/scripts/docs.sh" check "$TREE/x86"
	run -2 "$SOURCE/scripts/docs.sh" generate twice
}

@test "docs: the first example of writing-tests.md is x86/hello.c" {
	local example
	# The first block of C, which stands for the file without its first comment.
	example=$(awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' \
		"$SOURCE/docs/writing-tests.md")
	[ -n "$example" ]
	[ "$example" = "$(sed '1,/^ \*\//d' "$SOURCE/x86/hello.c")" ]
}

@test "docs: the options and variables that README names are those of run_tests.sh" {
	local option help
	help=$("$SOURCE/run_tests.sh" -h)
	for option in --setup --strict --bisect --vmm -l -j ACCEL MACHINE QEMU; do
		grep -q -e "$option" "$SOURCE/README.md"
		[[ $help == *"$option"* ]]
	done
}

@test "docs: a page that is not what its source says" {
	local copy=$BATS_TEST_TMPDIR/copy
	mkdir "$copy"
	cp -R "$SOURCE"/{README.md,docs,scripts,unittests.cfg,x86} "$copy"
	ln -s "$BUILD_DIR" "$copy/build"
	sed -i '0,/^ \* /s//&Otherwise: /' "$copy/x86/hello.c"
	cd "$copy"
	run -1 scripts/docs.sh check
	[[ $output == "docs/tests/hello.md: out of date"* ]]
}

@test "docs: a page whose test is gone" {
	: >"$TREE/docs/tests/past.md"
	check_finds "docs/tests/past.md: there is no test past"
}
