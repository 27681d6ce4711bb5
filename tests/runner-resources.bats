#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Folders, disks, users and signals: full, read-only, shared, without rights, and cut short; a
# runner that is killed leaves no VMM and no temporary file (teardown looks, in every test).
# shellcheck disable=SC2016 # the stand-in expands its script, not we

load helpers

setup()
{
	setup_stand_in
	disk=
}

teardown()
{
	[[ ! $disk ]] || umount -l "$disk"
	nothing_left
}

as_root()
{
	[[ $EUID == 0 ]] || skip "needs root"
}

# A disk of SIZE on which LEFT bytes are free: sets disk.
small_disk()
{
	local size=$1 left=$2

	as_root
	mkdir "$BATS_TEST_TMPDIR/disk"
	mount -t tmpfs -o "size=$size" none "$BATS_TEST_TMPDIR/disk" 2>/dev/null ||
		skip "tmpfs cannot be mounted here"
	disk=$BATS_TEST_TMPDIR/disk
	head -c 100M /dev/zero >"$disk/ballast" 2>/dev/null || true
	truncate -s "-$left" "$disk/ballast"
}

@test "a disk full of everything: BROKEN or refused, never PASS, and it is said" {
	small_disk 1M 0
	TMPDIR=$disk stand_in honest
	[[ $status == 1 ]]
	says_not $'\n'PASS
	says "o space left"
}

@test "a disk with room for less than the image: BROKEN, and it is said" {
	small_disk 1M 40K
	TMPDIR=$disk stand_in honest
	verdict BROKEN 1
	says "space"
}

@test "a disk that is full before the guest's first line: BROKEN or ERROR, and it is said" {
	small_disk 1M 90K
	TMPDIR=$disk stand_in 'yes >>"$console" 2>/dev/null; honest 2>/dev/null'
	[[ $status == 1 ]]
	says_not $'\n'PASS
	says "no space left"
}

@test "a disk that is full before END: BROKEN or ERROR, and it is said" {
	small_disk 1M 200K
	TMPDIR=$disk stand_in 'begin; pass one; pass two; pass three; head -c 10M /dev/zero | tr "\0" "#" >>"$console" 2>/dev/null; end 2>/dev/null; leave 85'
	[[ $status == 1 ]]
	says_not $'\n'PASS
	says "no space left"
}

@test "logs on a full disk: BROKEN, and it is said" {
	small_disk 1M 0
	mkdir -p "$disk/logs" || skip "no folder fits"
	export STAND_IN=honest
	run "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$disk/logs" three
	verdict BROKEN 1
	says "log"
}

@test "TMPDIR that is not there: one line, 1" {
	TMPDIR=/nowhere runner three
	refused "cannot make a temporary folder" 1
}

@test "TMPDIR that is relative" {
	cd "$BATS_TEST_TMPDIR"
	TMPDIR=tmp runner three
	verdict PASS 0
	TMPDIR=tmp runner -j2 three
	verdict PASS 0
}

@test "-o DIR: relative, with a newline in its name, or new" {
	local dir
	cd "$BATS_TEST_TMPDIR"
	for dir in . ./o ../"${PWD##*/}"/o/p $'new\nline'; do
		run "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$dir" three
		verdict PASS 0
		[[ -s $dir/three.x86_64.log ]]
		soon eval '! compgen -G "$dir/.new*"'
	done
}

@test "paths with spaces, quotes and commas" {
	local odd="$BATS_TEST_TMPDIR/a b, 'c' \"d\" \$e"

	mkdir -p "$odd/tmp" "$odd/config/known"
	cp "$BATS_TEST_TMPDIR/config/unittests.cfg" "$odd/config"
	cp -r "$BUILD_DIR" "$odd/build"
	cp -r "$SRCDIR/scripts" "$SRCDIR/run_tests.sh" "$SRCDIR/unittests.cfg" "$odd"
	cp "$QEMU" "$odd/my qemu"
	cp "${QEMU%/*}/guest.bash" "$odd"
	run env TMPDIR="$odd/tmp" BUILD_DIR="$odd/build" QEMU="$odd/my qemu" \
		"$odd/run_tests.sh" --config "$odd/config" -o "$odd/logs" three
	verdict PASS 0
	[[ -s $odd/logs/three.x86_64.log && ! $(ls -A "$odd/tmp") ]]
	run env TMPDIR="$odd/tmp" BUILD_DIR="$odd/build" QEMU="$odd/my qemu" STAND_IN='strike two triple_fault' \
		"$odd/run_tests.sh" -j2 --config "$odd/config" -o "$odd/logs" three
	verdict CRASH 1
	# The command that it prints can be typed.
	run bash -c "cd /; TMPDIR='${odd//\'/\'\\\'\'}/tmp' $(sed -n 's/^ *again: \(.*:two\)$/\1/p' <<<"$output")"
	verdict PASS 0
}

@test "a source tree that cannot be written to" {
	as_root
	mkdir "$BATS_TEST_TMPDIR/tree"
	disk=$BATS_TEST_TMPDIR/tree
	if ! mount --bind -o ro "$SRCDIR" "$disk" 2>/dev/null || ! mount -o remount,bind,ro "$disk"; then
		disk=
		skip "no bind mount here"
	fi
	run touch "$disk/x"
	((status))
	run "$disk/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" three
	verdict PASS 0
	says "no logs are kept"
	run env -u QEMU BUILD_DIR="$SUITE_BUILD" "$disk/run_tests.sh" -o "$BATS_TEST_TMPDIR/logs" hello.x86_64
	verdict PASS 0 hello.x86_64
}

# Somebody else's rights: no root, no /dev/kvm, no home.
as_nobody()
{
	as_root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR" "${BATS_TEST_TMPDIR%/*}"
	mkdir -p "$BATS_TEST_TMPDIR/logs"
	chown -R nobody "$TMPDIR" "$BATS_TEST_TMPDIR/logs"
	run setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

@test "a user without root: TCG works" {
	as_nobody env -u QEMU -u ACCEL HOME=/nonexistent BUILD_DIR="${SUITE_BUILD:?}" \
		"$SRCDIR/run_tests.sh" -o "$BATS_TEST_TMPDIR/logs" hello.x86_64
	verdict PASS 0 hello.x86_64
	grep -q '^accel tcg' "$BATS_TEST_TMPDIR/logs/hello.x86_64.facts"
}

@test "a user without root: Bochs works" {
	type -P bochs >/dev/null || skip "no Bochs here"
	as_nobody env HOME=/nonexistent BUILD_DIR="${SUITE_BUILD:?}" \
		"$SRCDIR/run_tests.sh" --vmm bochs -o "$BATS_TEST_TMPDIR/logs" hello.x86_64
	verdict PASS 0 hello.x86_64
}

@test "a user without root, with -j2" {
	stanza four
	as_nobody "$SRCDIR/run_tests.sh" -j2 --config "$BATS_TEST_TMPDIR/config" \
		-o "$BATS_TEST_TMPDIR/logs" three four
	verdict PASS 0
	verdict PASS 0 four.x86_64
}

@test "a user without root who asks for KVM and has no right to it: BROKEN, not TCG" {
	[[ -e /dev/kvm ]] || skip "no /dev/kvm"
	as_nobody test -w /dev/kvm
	((status)) || skip "everybody may use /dev/kvm here"
	as_nobody env ACCEL=kvm "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" \
		-o "$BATS_TEST_TMPDIR/logs" three
	verdict BROKEN 1
	says "permission"
}

@test "two runners at once, with the same logs" {
	local first second

	export STAND_IN='pass() { sleep 0.1; say "ok $((++subtests)) $1 # 2 checks"; checks=$((checks + 2)); }; honest'
	"$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$BATS_TEST_TMPDIR/logs" three \
		>"$BATS_TEST_TMPDIR/first" 3>&- &
	first=$!
	"$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" -o "$BATS_TEST_TMPDIR/logs" three \
		>"$BATS_TEST_TMPDIR/second" 3>&- &
	second=$!
	wait "$first"
	wait "$second"
	grep -q '^PASS three.x86_64 (6 checks)' "$BATS_TEST_TMPDIR/first"
	grep -q '^PASS three.x86_64 (6 checks)' "$BATS_TEST_TMPDIR/second"
	[[ $(grep -c '^# END' "$BATS_TEST_TMPDIR/logs/three.x86_64.log") == 1 ]]
}

# Starts a runner whose VMM never ends (that of stanza ENDLESS, if set), and waits until the VMM
# runs: sets runner_pid. The runner gets a session of its own, as from a terminal of its own.
start_endless()
{
	export STAND_IN='[[ $console == *"${ENDLESS:-}"* ]] || honest; echo $$ >'"$BATS_TEST_TMPDIR"'/vmm; begin; play_dead'
	# Without job control, bash lets background commands ignore SIGINT, for good.
	env --default-signal setsid bash -c 'set -m; "$@" & echo $! >'"'$BATS_TEST_TMPDIR/pid'"'; wait $!; echo $? >'"'$BATS_TEST_TMPDIR/status'" \
		- "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" "$@" \
		>"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	soon test -s "$BATS_TEST_TMPDIR/vmm"
	runner_pid=$(<"$BATS_TEST_TMPDIR/pid")
	vmm_pid=$(<"$BATS_TEST_TMPDIR/vmm")
	[[ -d /proc/$vmm_pid ]]
}

vmm_gone()
{
	[[ ! -d /proc/$vmm_pid ]]
}

# The runner is sent a signal; afterwards nothing of it is left.
ended_by()
{
	local signal=$1 expected=$2

	kill "-$signal" "$runner_pid"
	soon test -s "$BATS_TEST_TMPDIR/status"
	[[ $(<"$BATS_TEST_TMPDIR/status") == "$expected" ]] ||
		{ echo "status $(<"$BATS_TEST_TMPDIR/status"), not $expected" >&2; return 1; }
	soon vmm_gone
	nothing_left
}

@test "SIGINT: 130, no VMM and no file left" {
	start_endless three
	ended_by INT 130
}

@test "SIGTERM: 143, no VMM and no file left" {
	start_endless three
	ended_by TERM 143
}

@test "SIGHUP: 129, no VMM and no file left" {
	start_endless three
	ended_by HUP 129
}

@test "kill -9: no VMM and no file left" {
	start_endless three
	ended_by KILL 137
}

@test "a runner that is stopped, and then killed: no VMM and no file left" {
	start_endless three
	kill -STOP "$runner_pid"
	kill -KILL "$runner_pid"
	soon vmm_gone
}

@test "the logs of the runs before stay when a runner is ended" {
	local signal
	stanza last
	export ENDLESS=last
	for signal in TERM:143 KILL:137; do
		rm -rf "$BATS_TEST_TMPDIR"/{logs,vmm,status}
		start_endless -o "$BATS_TEST_TMPDIR/logs" three last
		sleep 0.2
		ended_by "${signal%:*}" "${signal#*:}"
		grep -q '^verdict PASS' "$BATS_TEST_TMPDIR/logs/three.x86_64.facts"
	done
}

@test "logs that cannot be put in their places: 1, and it is said" {
	mkdir -p "$BATS_TEST_TMPDIR/logs/three.x86_64.log/x"
	stanza four
	stand_in honest
	[[ $status == 1 ]]
	says "cannot write the logs"
	runner -j2 three four
	verdict BROKEN 1
	verdict PASS 1 four.x86_64
	says "cannot write the log"
}

@test "SIGINT with -j: 130, no VMM and no file left" {
	stanza four
	start_endless -j2 three four
	ended_by INT 130
}

@test "kill -9 with -j: no VMM and no file left" {
	stanza four
	start_endless -j2 three four
	ended_by KILL 137
}

@test "Ctrl-C at a terminal, where every process gets the signal: 130, and nothing left" {
	start_endless three
	kill -INT -- "-$runner_pid"
	soon test -s "$BATS_TEST_TMPDIR/status"
	[[ $(<"$BATS_TEST_TMPDIR/status") == 130 ]]
	soon vmm_gone
}

@test "Ctrl-C at a terminal with -j: 130, and nothing left" {
	stanza four
	start_endless -j2 three four
	kill -INT -- "-$runner_pid"
	soon test -s "$BATS_TEST_TMPDIR/status"
	[[ $(<"$BATS_TEST_TMPDIR/status") == 130 ]]
	soon vmm_gone
}

@test "a terminal that closes: nothing left" {
	export STAND_IN='echo $$ >'"$BATS_TEST_TMPDIR"'/vmm; begin; play_dead'
	local command

	printf -v command '%q ' "$SRCDIR/run_tests.sh" --config "$BATS_TEST_TMPDIR/config" three
	script -qec "$command" /dev/null </dev/null >/dev/null 2>&1 3>&- &
	soon test -s "$BATS_TEST_TMPDIR/vmm"
	vmm_pid=$(<"$BATS_TEST_TMPDIR/vmm")
	kill -KILL $!
	soon vmm_gone
}

@test "a reader that goes away (| head): nothing left" {
	stanza four
	run bash -c "'$SRCDIR/run_tests.sh' --config '$BATS_TEST_TMPDIR/config' -o '$BATS_TEST_TMPDIR/logs' three four 2>/dev/null | head -c 1"
	[[ $output == P ]]
}

@test "what a dead runner left is removed by the next one, what a living one uses is not" {
	mkdir "$TMPDIR/trapline.999999999.abcdef" "$TMPDIR/trapline.$$.abcdef"
	runner three
	verdict PASS 0
	[[ ! -e $TMPDIR/trapline.999999999.abcdef && -e $TMPDIR/trapline.$$.abcdef ]]
	rmdir "$TMPDIR/trapline.$$.abcdef"
}
