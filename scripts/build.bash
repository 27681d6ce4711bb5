# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Where the images are, and that they are up to date.

# config.mk's KEY = value lines.
declare -gA CONFIG=()

# The process that asks whether the images are up to date, until it was waited for.
MAKE_PID=

config_read()
{
	local key equals value

	CONFIG=()
	while read -r key equals value; do
		if [[ $equals == '=' && $key == +([A-Za-z0-9_]) ]]; then
			CONFIG[$key]=$value
		fi
	done <"$1"
}

# Sets BUILD_DIR (which holds x86_64/, pae/ and i386/) and MAKE_DIR, where make
# is run; MAKE_DIR stays empty if BUILD_DIR was given and was not configured.
#
# BUILD_DIR of the environment comes first, then the current folder if it was
# configured for this tree, then the tree itself. Fails if that has to be configured.
build_find()
{
	local srcdir

	MAKE_DIR=
	if [[ ${BUILD_DIR:-} ]]; then
		if [[ ! -d $BUILD_DIR ]]; then
			die "BUILD_DIR: no folder '$BUILD_DIR'"
		fi
		BUILD_DIR=$(cd -- "$BUILD_DIR" && pwd) || exit
		if [[ -f $BUILD_DIR/config.mk ]]; then
			MAKE_DIR=$BUILD_DIR BUILD_DIR=$BUILD_DIR/build
			config_read "$MAKE_DIR/config.mk"
		fi
		return 0
	fi
	if [[ -f config.mk && ! . -ef $SRCDIR ]]; then
		config_read config.mk
		srcdir=${CONFIG[srcdir]:-}
		if [[ $srcdir && $srcdir -ef $SRCDIR ]]; then
			BUILD_DIR=$PWD/build MAKE_DIR=$PWD
			return 0
		fi
	fi
	BUILD_DIR=$SRCDIR/build MAKE_DIR=$SRCDIR
	[[ -f $SRCDIR/config.mk ]] || return
	config_read "$SRCDIR/config.mk"
}

# Configures a tree that was not.
build_begin()
{
	if [[ ! -w $SRCDIR ]]; then
		build_elsewhere
	else
		build_configure
	fi
}

# A tree that cannot be written to and was not built: the build goes to -o DIR,
# where the next command finds it, or to the temporary folder.
build_elsewhere()
{
	MAKE_DIR=${OPT_OUTPUT:-$WORK}/build
	BUILD_DIR=$MAKE_DIR/build
	if ! mkdir -p "$MAKE_DIR"; then
		die "the source tree is read-only and $MAKE_DIR cannot be made"
	fi
	if [[ ! -f $MAKE_DIR/config.mk ]]; then
		note "the source tree is read-only: building in $MAKE_DIR"
		build_configure
	else
		config_read "$MAKE_DIR/config.mk"
	fi
}

build_configure()
{
	local -a log

	if ! (cd "$MAKE_DIR" && "$SRCDIR/configure") >"$WORK/configure.log" 2>&1; then
		mapfile -t log <"$WORK/configure.log"
		# What is missing is one line, and says all.
		((${#log[@]} != 1)) || die "${log[0]}"
		printf '%s\n' "${log[@]}" >&2
		die "configure failed"
	fi
	config_read "$MAKE_DIR/config.mk"
}

# Asks make whether the images are up to date, in the background: config_load has
# work to do in the meantime.
build_ask()
{
	[[ $MAKE_DIR ]] || return 0
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
	if ! type -P make >/dev/null; then
		missing_tool make
		exit_cannot_run
	fi
	make -q -s -C "$MAKE_DIR" all >/dev/null 2>&1 &
	MAKE_PID=$!
}

# Brings the images up to date, when it is called first; nothing is printed unless it fails.
# Two runners at once take turns.
build_update()
{
	local status=0

	[[ $MAKE_PID ]] || return 0
	wait "$MAKE_PID" || status=$?
	MAKE_PID=
	((status)) || return 0
	if [[ ! -w $MAKE_DIR ]]; then
		((status == 1)) && note "the build is out of date, and $MAKE_DIR is read-only: used as it is"
		return 0
	fi
	work_create
	if ! flock "$MAKE_DIR" make -s -j"$HOST_CPUS" -C "$MAKE_DIR" all 2>"$WORK/make.log" >/dev/null; then
		cat "$WORK/make.log" >&2
		die "the build failed"
	fi
	ahead_drop
}

# Whether a file of the build can be read, now or when it is up to date.
build_has()
{
	[[ -r $1 ]] && return
	build_update
	[[ -r $1 ]]
}

# A tool without which nothing can be run.
exit_cannot_run()
{
	if [[ $OPT_BISECT ]]; then
		exit "$EXIT_CANNOT_JUDGE"
	fi
	exit 1
}
