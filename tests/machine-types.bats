#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# One image, any machine: QEMU's machine types, and a boot loader in place of the ROM.

load helpers

teardown()
{
	nothing_left
}

# on MACHINE OPTION...: the smallest test and the framework's own, in all their modes.
on()
{
	local machine=$1
	shift

	setup_folders
	unset ACCEL
	ACCEL=tcg MACHINE=$machine run "$SRCDIR/run_tests.sh" -o "$BATS_TEST_TMPDIR/logs" "$@" \
		hello selftest
	[[ $status == 0 && $output == *"6 PASS in"* ]] || {
		printf '%s\n' "$output"
		return 1
	}
}

@test "hello and selftest pass on machine pc" {
	on pc
}

@test "hello and selftest pass on machine q35" {
	on q35
}

@test "hello and selftest pass on machine microvm" {
	on microvm
}

@test "hello and selftest pass when a multiboot loader starts them" {
	on pc --boot multiboot
}

@test "hello and selftest pass when a multiboot loader starts them on microvm" {
	on microvm --boot multiboot
}
