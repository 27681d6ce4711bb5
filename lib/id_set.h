/* SPDX-License-Identifier: BSD-2-Clause */
/* The set of check ids seen so far, by hash: an id that occurs twice is a mistake in the test. */
#ifndef LIB_ID_SET_H
#define LIB_ID_SET_H

#include "types.h"

/* Adds an id; false if it was there. */
bool id_set_add(const char *id);

#endif
