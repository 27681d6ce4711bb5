# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Once before all bats tests: the images of the suite and of tests/guests are built, unless
# BUILD_DIR names a folder that has them.

setup_suite()
{
	local source=${BATS_TEST_DIRNAME%/tests}

	# Files run side by side; within one, bats spends more on that than it gains.
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true

	# What the caller has set for runs of his own.
	unset QEMU BOCHS ACCEL ACCEL_PROPS MACHINE TIMEOUT CHECK MAX_SMP NO_COLOR STAND_IN

	if [[ ! ${BUILD_DIR:-} ]]; then
		[[ -f $source/config.mk ]] || (cd "$source" && ./configure) || return
		make -s -j"$(nproc)" -C "$source" all guests || return
		export BUILD_DIR=$source/build
	fi
	# It leaves there what it has read of unittests.cfg and known/, for the tests that have none.
	"$source/run_tests.sh" -l >/dev/null
}
