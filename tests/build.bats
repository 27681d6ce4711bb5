#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The Makefile: builds where it should, and again only what changed. One image, hello's,
# stands for all.

load tools

setup()
{
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CC CROSS_PREFIX BUILD_DIR
	IMAGE=build/x86_64/hello.rom
}

# A suite of one image, and of the library what it needs: to build all takes too long. It is
# built once, with gcc; most tests change a copy of that.
setup_file()
{
	local tree=$BATS_FILE_TMPDIR/built

	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CC CROSS_PREFIX BUILD_DIR
	mkdir -p "$BATS_FILE_TMPDIR/source/x86"
	cd "$BATS_FILE_TMPDIR/source" || return
	cp -r "$SOURCE"/{configure,Makefile,run_tests.sh,lib,scripts,known} .
	cp "$SOURCE/x86/hello.c" x86
	rm -r lib/x86/{l2,svm,vmx}
	printf '[hello]\nfile = hello\nmode = x86_64\n' >unittests.cfg
	cp -r . "$tree"
	cd "$tree" || return
	./configure --cc=gcc
	make
}

# A copy of the sources that the test may change.
copy_source()
{
	cp -r "$BATS_FILE_TMPDIR/source" "$1"
}

# One that is built; with the times of its files, or make would build it again.
copy_built()
{
	cp -a "$BATS_FILE_TMPDIR/built" "$1"
}

@test "out of tree, the source stays as it is" {
	local before
	copy_source "$BATS_TEST_TMPDIR/source"
	before=$(find "$BATS_TEST_TMPDIR/source")
	mkdir "$BATS_TEST_TMPDIR/build"
	cd "$BATS_TEST_TMPDIR/build"
	../source/configure
	make "$IMAGE"
	[ -s "$IMAGE" ]
	[ $(($(stat -c %s "$IMAGE") % 65536)) -eq 0 ]
	[ "$(find "$BATS_TEST_TMPDIR/source")" = "$before" ]
}

@test "a source path with spaces builds in the tree and out of it" {
	copy_source "$BATS_TEST_TMPDIR/the source"
	cd "$BATS_TEST_TMPDIR/the source"
	./configure
	make "$IMAGE"
	[ -s "$IMAGE" ]
	mkdir "$BATS_TEST_TMPDIR/the build"
	cd "$BATS_TEST_TMPDIR/the build"
	"$BATS_TEST_TMPDIR/the source/configure"
	make "$IMAGE"
	[ -s "$IMAGE" ]
}

@test "make builds again what a change touches, and nothing without one" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	make -q "$IMAGE"

	sleep 0.01
	local file
	for file in lib/types.h lib/printf.c lib/x86/start.S lib/x86/image.lds.S x86/hello.c; do
		touch "$file"
		run make -q "$IMAGE"
		[ "$status" -eq 1 ] || {
			echo "make does not see that $file changed"
			return 1
		}
		make "$IMAGE"
		make -q "$IMAGE"
	done
}

@test "another compiler means another build" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	make -q "$IMAGE"
	./configure --cc=clang
	run make -q "$IMAGE"
	[ "$status" -eq 1 ]
}

@test "make V=1 shows the commands, make does not" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	rm build/x86_64/lib/string.o
	run make build/x86_64/lib/string.o
	ended_with 0
	[[ $output != *-ffreestanding* ]]
	rm build/x86_64/lib/string.o
	run make V=1 build/x86_64/lib/string.o
	ended_with 0 -ffreestanding
}

@test "a source that does not compile fails make and leaves no image" {
	copy_source "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	echo 'syntax error here' >>x86/hello.c
	run make "$IMAGE"
	[ "$status" -ne 0 ]
	[ ! -e "$IMAGE" ]
}

@test "make install gives a command that needs neither compiler nor source" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	make install prefix="$BATS_TEST_TMPDIR/installed"
	rm -r "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR"
	ACCEL=tcg run installed/bin/trapline -o logs hello
	ended_with 0 "PASS hello.x86_64"
}

@test "after a build that was cut off make knows what its objects depend on" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	[ -s build/depends ]
	make -q

	sleep 0.01
	touch x86/new.h
	sed -i '1i #include "new.h"' x86/hello.c
	make build/x86_64/x86/hello.o
	sleep 0.01
	touch x86/new.h
	run make -q build/x86_64/x86/hello.o
	[ "$status" -eq 1 ]
	make
	[ -s build/depends ]
	sleep 0.01
	touch x86/new.h
	run make -q
	[ "$status" -eq 1 ]
}

@test "what is run is the source as it is, though its image was copied before make was asked" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	ACCEL=tcg run ./run_tests.sh hello
	ended_with 0 "PASS hello.x86_64"
	sleep 0.01
	sed -i 's/check(/&!/' x86/hello.c
	ACCEL=tcg run ./run_tests.sh hello
	ended_with 1 "FAIL hello.x86_64"
}

@test "a test that has no image yet, or a new subtest, is built when it is named" {
	copy_built "$BATS_TEST_TMPDIR/source"
	cd "$BATS_TEST_TMPDIR/source"
	cp x86/hello.c x86/another.c
	printf '[another]\nfile = another\nmode = x86_64\n' >>unittests.cfg
	ACCEL=tcg run ./run_tests.sh another
	ended_with 0 "PASS another.x86_64"
	sleep 0.01
	sed -i 's/^SUBTEST("[^"]*"/SUBTEST("new"/' x86/another.c
	ACCEL=tcg run ./run_tests.sh another:new
	ended_with 0 "PASS another.x86_64"
}
