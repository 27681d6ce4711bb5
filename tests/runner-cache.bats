#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What is kept of the tree's unittests.cfg and known/ between two commands, and of an image between
# two runs: whatever happens to the files, a command does what they say now.
# shellcheck disable=SC2016 # the stand-in expands its script, not we

load helpers

# A tree of its own, with the stanza three and two known failures.
setup()
{
	setup_stand_in
	new_tree tree
	export STAND_IN='begin; pass one; fail two a b; pass three; end; leave 85'
}

teardown()
{
	nothing_left
}

new_tree()
{
	TREE=$BATS_TEST_TMPDIR/$1
	mkdir -p "$TREE/known"
	cp -r "$SRCDIR"/{run_tests.sh,scripts} "$TREE"
	cp "$BATS_TEST_TMPDIR/config/unittests.cfg" "$TREE"
	entry two-a two.a
	entry two-b two.b
}

# entry FILE ID
entry()
{
	printf '[%s]\ntest = three.*\nkind = fail\nid = %s\nwhy = it is known\n' "$1" "$2" >"$TREE/known/$1.cfg"
}

# The tree's own runner; afterwards there is something to be found by the next.
tree()
{
	run "$TREE/run_tests.sh" -o "$BATS_TEST_TMPDIR/logs" "$@"
	[[ -s $BUILD_DIR/.config ]]
}

@test "nothing changed: the same, and nothing is taken apart again" {
	tree three
	verdict PASS 0
	touch "$BUILD_DIR/.config" -d 2001-01-01
	tree three
	verdict PASS 0
	says "2 known failures"
	[[ $BUILD_DIR/.config -ot $TREE/run_tests.sh ]]
	tree -j2 three
	verdict PASS 0
	says "2 known failures"
}

@test "an entry changed, by a file that is older than what is kept" {
	tree three
	verdict PASS 0
	entry two-b two.c
	touch -d 2001-01-01 "$TREE/known/two-b.cfg"
	tree three
	verdict FAIL 1
	says "two.b: expected"
}

@test "a file of entries removed, and another one added" {
	tree three
	verdict PASS 0
	rm "$TREE/known/two-b.cfg"
	tree three
	verdict FAIL 1
	TREE=$BATS_TEST_TMPDIR/tree entry another two.b
	tree three
	verdict PASS 0
	rm -r "$TREE/known"
	tree three
	verdict FAIL 1
}

@test "a stanza changed; unittests.cfg wrong, and gone" {
	tree three
	verdict PASS 0
	echo 'accel = kvm' >>"$TREE/unittests.cfg"
	tree three
	verdict SKIP 77
	echo 'axel = kvm' >>"$TREE/unittests.cfg"
	tree three
	refused "unknown key 'axel'"
	rm "$TREE/unittests.cfg"
	tree three
	refused "unittests.cfg: cannot be read"
}

@test "a build folder that two trees share" {
	tree three
	verdict PASS 0
	new_tree other
	rm "$TREE/known/two-b.cfg"
	tree three
	verdict FAIL 1
	TREE=$BATS_TEST_TMPDIR/tree
	tree three
	verdict PASS 0
}

@test "names that are taken: refused, whether they were kept or read" {
	local try
	printf '[two-a]\ntest = x\nkind = fail\nid = x\nwhy = x\n' >"$BATS_TEST_TMPDIR/config/known/all.cfg"
	for try in 1 2; do
		tree --config "$BATS_TEST_TMPDIR/config" three
		refused "stanza 'three' is already at $TREE/unittests.cfg:1"
	done
	: >"$BATS_TEST_TMPDIR/config/unittests.cfg"
	for try in 1 2; do
		tree --config "$BATS_TEST_TMPDIR/config" three
		refused "all.cfg:1: entry 'two-a' is already at $TREE/known/two-a.cfg:1"
	done
}

@test "what is kept was cut off, is somebody else's, or cannot be written: read again" {
	tree three
	verdict PASS 0
	truncate -s -20 "$BUILD_DIR/.config"
	tree three
	verdict PASS 0
	head -c 1000 /dev/urandom >"$BUILD_DIR/.config"
	tree three
	verdict PASS 0
	rm "$BUILD_DIR/.config"
	mkdir "$BUILD_DIR/.config"
	tree three
	verdict PASS 0
}

@test "every key of a stanza is kept as it was written" {
	printf '[four]\nfile = three\nmode = x86_64\ntest_args = "  a\tb=c  \\n $x"\ngroups =\nsmp = 2\n' >>"$TREE/unittests.cfg"
	export STAND_IN='printf %s "$arguments" >'"$BATS_TEST_TMPDIR"'/arguments; honest'
	tree four
	verdict PASS 0 four.x86_64
	cut -d' ' -f3- "$BATS_TEST_TMPDIR/arguments" >"$BATS_TEST_TMPDIR/first"
	tree four
	verdict PASS 0 four.x86_64
	cut -d' ' -f3- "$BATS_TEST_TMPDIR/arguments" | cmp - "$BATS_TEST_TMPDIR/first"
	grep -q -- '--   a.b=c  \\n \$x$' "$BATS_TEST_TMPDIR/first"
}

@test "an image that changes while the run before it runs" {
	stanza four
	export STAND_IN='
		if [[ $console == *four* ]]; then
			grep -q changed "${console%/*}/rom" && honest
		else
			sleep 0.3
			echo changed >>'"$BUILD_DIR"'/x86_64/three.rom
			honest
		fi'
	runner three four
	verdict PASS 0
	verdict PASS 0 four.x86_64
}
