#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# scripts/setup.sh, with an apt-get that only notes what it was asked.

load tools

readonly BASE=(sh cat awk cut sort head find tr id dpkg)

setup()
{
	tools_only "${BASE[@]}"
	# As root to the script, whoever runs the tests.
	printf '#!/bin/sh\necho 0\n' >"$TOOLS/id.0"
	chmod +x "$TOOLS/id.0"
	mv -f "$TOOLS/id.0" "$TOOLS/id"
}

# An apt-get that "installs" parallel, and fails as often as file failures says.
fake_apt()
{
	cat >"$TOOLS/apt-get" <<END
#!/bin/sh
echo "\$*" >>"$BATS_TEST_TMPDIR/apt.log"
case " \$* " in
*" install "*)
	if [ -e "$BATS_TEST_TMPDIR/fail" ]; then
		$(type -P rm) "$BATS_TEST_TMPDIR/fail"
		exit 100
	fi
	[ -e "$BATS_TEST_TMPDIR/broken" ] || $(type -P ln) -s /bin/true "$TOOLS/parallel"
	;;
esac
END
	chmod +x "$TOOLS/apt-get"
}

@test "setup --check names tool, package and command, and installs nothing" {
	fake_apt
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" --check parallel qemu
	ended_with 1 "setup: parallel is missing: install package parallel (apt-get install parallel)"
	ended_with 1 "setup: qemu is missing: install package qemu-system-x86"
	[ "${#lines[@]}" -eq 2 ]
	[ ! -e "$BATS_TEST_TMPDIR/apt.log" ]
}

@test "setup says nothing when nothing is missing" {
	fake_apt
	ln -s /bin/true "$TOOLS/parallel"
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ ! -e "$BATS_TEST_TMPDIR/apt.log" ]
}

@test "setup prints the command, then installs without recommended packages" {
	fake_apt
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	ended_with 0 "+ apt-get"
	ended_with 0 "install -y --no-install-recommends parallel"
	grep -q -- '--no-install-recommends parallel$' "$BATS_TEST_TMPDIR/apt.log"
}

@test "setup renews the package lists when the installation fails" {
	fake_apt
	touch "$BATS_TEST_TMPDIR/fail"
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	if grep -q '^update' <(head -n 1 "$BATS_TEST_TMPDIR/apt.log"); then
		# The lists were stale, so they were renewed first and not again.
		ended_with 1 "could not install: parallel"
	else
		[ "$status" -eq 0 ]
		[ "$(grep -c install "$BATS_TEST_TMPDIR/apt.log")" -eq 2 ]
	fi
	[ "$(grep -c '^update' "$BATS_TEST_TMPDIR/apt.log")" -eq 1 ]
}

@test "setup does not believe apt-get alone" {
	fake_apt
	touch "$BATS_TEST_TMPDIR/broken"
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	ended_with 1 "still missing"
}

@test "setup without root says what to run" {
	fake_apt
	printf '#!/bin/sh\necho 1000\n' >"$TOOLS/id"
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	ended_with 1 "only root can install; run: sudo apt-get install"
	[ ! -e "$BATS_TEST_TMPDIR/apt.log" ]
}

@test "setup without apt-get says what is missing" {
	PATH=$TOOLS run "$SOURCE/scripts/setup.sh" parallel
	ended_with 1 "parallel is missing"
	ended_with 1 "apt-get not found"
}

@test "setup: bad usage is one line and status 2" {
	local argument
	for argument in --bogus nonesuch; do
		run "$SOURCE/scripts/setup.sh" "$argument"
		ended_with 2 "$argument"
		[ "${#lines[@]}" -eq 1 ]
	done
}
