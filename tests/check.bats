#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# scripts/check.sh counts what its steps say, in a small tree of its own.

load tools

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	mkdir scripts tests
	cp "$SOURCE/scripts/check.sh" scripts/
	printf '#!/bin/sh\nexit 0\n' >scripts/setup.sh
	chmod +x scripts/setup.sh
}

# A step's command is replaced by a function of the tree's own.
step()
{
	printf 'step_%s()\n{\n%s\n}\n' "$1" "$2" >override
	sed -i '/^main "\$@"$/e cat override' scripts/check.sh
}

last_line()
{
	printf '%s\n' "${lines[-1]}"
}

@test "check sums up what passed, failed and was skipped" {
	step tcg 'printf "ok 1 - a\nok 2 - b # SKIP no c\nnot ok 3 - d\nok 4 - e\n1..4\n"'
	step bochs 'printf "1..1\nok 1 - f\n"'
	run scripts/check.sh tcg bochs
	[ "$status" -eq 1 ]
	[ "$(last_line)" = "3 passed, 1 failed, 1 skipped" ]
	[[ $output == *"not ok 3 - d"* && $output == *"SKIP no c"* ]]
}

@test "check is green, and says so in one line" {
	step tcg 'printf "1..1\nok 1 - f\n"'
	run scripts/check.sh tcg
	[ "$status" -eq 0 ]
	[ "$(last_line)" = "1 passed, 0 failed" ]
}

@test "check: a step that fails without a failed result is a failure" {
	step tcg 'printf "1..1\nok 1 - f\n"; return 3'
	run scripts/check.sh tcg
	ended_with 1 "exit status 3, though nothing failed"
	[ "$(last_line)" = "1 passed, 1 failed" ]
}

@test "check: a step that says nothing, or less than planned, is a failure" {
	step tcg ':'
	step bochs 'printf "1..3\nok 1 - f\nok 2 - g\n"'
	run scripts/check.sh tcg bochs
	ended_with 1 "no plan"
	ended_with 1 "the plan names 3 results"
	[ "$(last_line)" = "2 passed, 2 failed" ]
}

@test "check: a failing step shows its output and stops no other" {
	step tcg 'echo "the reason why" >&2; printf "1..1\nnot ok 1 - f\n"; return 1'
	step kvm 'printf "1..1\nok 1 - g\n"'
	run scripts/check.sh tcg kvm
	ended_with 1 "the reason why"
	[ "$(last_line)" = "1 passed, 1 failed" ]
}

@test "check: a script with a fault fails shellcheck, a file without a licence its step" {
	printf "#!/bin/sh\necho \$1\n" >bad.sh
	run scripts/check.sh shellcheck
	ended_with 1 "shellcheck bad.sh"
	run scripts/check.sh licences
	ended_with 1 "SPDX tag in bad.sh"
}

@test "check: a missing tool is one line, and nothing runs" {
	printf '#!/bin/sh\necho setup: parallel is missing >&2\nexit 1\n' >scripts/setup.sh
	run scripts/check.sh shellcheck
	[ "$status" -eq 1 ]
	[ "$output" = "setup: parallel is missing" ]
}

@test "check: an unknown step is one line and status 2" {
	run scripts/check.sh nonesuch
	ended_with 2 "no step is called nonesuch"
	[ "${#lines[@]}" -eq 1 ]
}

@test "check: a step that is stopped at its time limit says so" {
	step tcg 'printf "1..3\nok 1 - f\n"; timeout 0.1 sleep 5'
	run scripts/check.sh tcg
	ended_with 1 "stopped at its time limit"
	[ "$(last_line)" = "1 passed, 1 failed" ]
}
