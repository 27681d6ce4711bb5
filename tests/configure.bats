#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# configure: what it finds, what it writes, and what it says when it cannot.

load tools

# What configure itself needs besides the tools it looks for.
readonly BASE=(sh cat mktemp rm cmp cp grep ln sed as)
readonly BINUTILS=(ld objcopy ar nm addr2line readelf)

setup()
{
	BUILD=$BATS_TEST_TMPDIR/build
	mkdir "$BUILD"
	cd "$BUILD" || return
	unset CC CROSS_PREFIX QEMU BOCHS MAKE
}

# The value of a key in config.mk.
setting()
{
	sed -n "s/^$1 = //p" config.mk
}

@test "configure finds the tools and writes config.mk" {
	run "$SOURCE/configure"
	[ "$status" -eq 0 ]
	[ "$(setting srcdir)" = "$SOURCE" ] || [ "$(setting srcdir)" = source ]
	[ -n "$(setting CC)" ]
	[ "$(setting OBJCOPY)" = objcopy ]
	[ "$(setting prefix)" = /usr/local ]
	[ -z "$(setting WERROR)" ]
}

@test "configure takes values with = and as the next argument" {
	run "$SOURCE/configure" --cc=clang --prefix /opt/trap --qemu true --bochs="$(type -P true)" \
		--enable-werror
	[ "$status" -eq 0 ]
	[ "$(setting CC)" = clang ]
	[ "$(setting prefix)" = /opt/trap ]
	[ "$(setting QEMU)" = true ]
	[ "$(setting BOCHS)" = "$(type -P true)" ]
	[ "$(setting WERROR)" = -Werror ]
}

@test "configure makes a relative path absolute" {
	ln -s "$(type -P true)" vmm
	run "$SOURCE/configure" --qemu=./vmm
	[ "$status" -eq 0 ]
	[ "$(setting QEMU)" -ef "$BUILD/vmm" ]
}

@test "configure leaves an unchanged config.mk alone" {
	"$SOURCE/configure"
	touch -d '2001-01-01' config.mk
	"$SOURCE/configure"
	[ config.mk -ot "$SOURCE/configure" ]
	"$SOURCE/configure" --cc=clang
	[ config.mk -nt "$SOURCE/configure" ]
}

@test "configure --help prints the options and ends with 0" {
	run "$SOURCE/configure" --help
	ended_with 0 --cross-prefix
	[ ! -e config.mk ]
}

@test "configure: bad usage is one line and status 2" {
	local arguments
	for arguments in --bogus stray --cc --cc= --prefix=relative "--prefix=/a\$b" '--qemu=a#b'; do
		run "$SOURCE/configure" "$arguments"
		ended_with 2 configure:
		[ "${#lines[@]}" -eq 1 ]
	done
}

@test "configure names a missing compiler, its package and the command" {
	tools_only "${BASE[@]}" "${BINUTILS[@]}" make
	PATH=$TOOLS run "$SOURCE/configure"
	ended_with 1 "gcc not found: install package gcc (apt-get install gcc)"
	[ "${#lines[@]}" -eq 1 ]
}

@test "configure names each missing tool of binutils" {
	local tool
	for tool in "${BINUTILS[@]}"; do
		tools_only "${BASE[@]}" "${BINUTILS[@]}" gcc make
		rm "$TOOLS/$tool"
		PATH=$TOOLS run "$SOURCE/configure"
		ended_with 1 "$tool not found: install package binutils"
	done
}

@test "configure does not need QEMU, Bochs or gcc where clang is" {
	tools_only "${BASE[@]}" "${BINUTILS[@]}" clang make
	PATH=$TOOLS run "$SOURCE/configure"
	ended_with 0 "not found"
	[ "$(setting CC)" = clang ]
	[ -z "$(setting QEMU)" ]
	[ -z "$(setting BOCHS)" ]
}

@test "configure refuses a compiler that cannot build guests" {
	printf '#!/bin/sh\necho no such target >&2\nexit 1\n' >cc-other
	chmod +x cc-other
	run "$SOURCE/configure" --cc=./cc-other
	ended_with 1 "does not build 32-bit and 64-bit x86 guests"
	grep -q 'no such target' config.log
}

@test "configure: a tool that was named must be there" {
	run "$SOURCE/configure" --qemu=/nowhere/qemu
	ended_with 1 "--qemu: '/nowhere/qemu' not found"
	run "$SOURCE/configure" --cc=/nowhere/cc
	ended_with 1 "--cc: '/nowhere/cc' not found"
	run "$SOURCE/configure" --cross-prefix=vax-dec-bsd-
	ended_with 1 "vax-dec-bsd-ld not found: install package binutils-vax-dec-bsd"
}

@test "configure does not overwrite a stranger's Makefile" {
	echo 'all:' >Makefile
	run "$SOURCE/configure"
	ended_with 1 "Makefile is not ours"
	[ "$(cat Makefile)" = all: ]
}

@test "configure leaves no temporary file" {
	mkdir "$BATS_TEST_TMPDIR/tmp"
	TMPDIR=$BATS_TEST_TMPDIR/tmp "$SOURCE/configure"
	run ls -A "$BATS_TEST_TMPDIR/tmp"
	[ -z "$output" ]
}
