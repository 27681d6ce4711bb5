# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What was read of the tree's own unittests.cfg and known/, kept beside the images:
# taking two thousand lines apart costs more than starting a guest.
#
# It is a file of texts that end with a NUL: everything that it was made from, which must
# be what the tree has now; a packed text for each stanza, and an empty one; the packed
# entries of known/; their patterns; "end".

# A packed text has fields with this between them: a name, then keys and values in turn.
readonly FIELD=$'\x1f'

# The stanzas that have not been unpacked yet.
declare -gA CFG_PACKED=()

# Reads the tree's configuration; nothing else may have been read before.
config_read_cached()
{
	local cache=$BUILD_DIR/.config sources
	local -a kept=()

	config_sources
	sources=$SOURCES
	[[ ! -r $cache ]] || mapfile -d '' -t kept <"$cache"
	# Not [[ ]], which takes ten times as long for texts of this size.
	if [ "${kept[0]:-}" = "$sources" ] && [[ ${kept[-1]} == end ]]; then
		cache_unpack
		return
	fi
	ini_read "$SRCDIR/unittests.cfg" cfg
	known_read "$SRCDIR/known"
	# Not if somebody has just changed something.
	config_sources
	[ "$SOURCES" != "$sources" ] || cache_keep "$cache"
}

# Sets SOURCES to the names and the contents of the files that are read, and of the scripts
# that read them.
config_sources()
{
	local file
	local -a content

	SOURCES=
	for file in "$SRCDIR"/unittests.cfg "$SRCDIR"/known/*.cfg \
		"$SRCDIR"/scripts/{cache,config,known}.bash; do
		content=()
		mapfile -d '' -t content <"$file"
		SOURCES+=$file$'\n'${content[*]}$'\n'
	done
} 2>/dev/null

# What is in kept.
cache_unpack()
{
	local i entries

	for ((i = 1; i < ${#kept[@]}; i++)); do
		[[ ${kept[i]} ]] || break
		STANZAS+=("${kept[i]%%"$FIELD"*}")
		CFG_PACKED[${STANZAS[-1]}]=${kept[i]}
	done
	i=$((i + 1))
	entries=$(((${#kept[@]} - 1 - i) / 2))
	KNOWN_PACKED=("${kept[@]:i:entries}")
	KNOWN_TESTS=("${kept[@]:i + entries:entries}")
}

# Puts what is known of a stanza into CFG.
cfg_unpack()
{
	local i
	local -a fields

	[[ ${CFG_PACKED[$1]:-} ]] || return 0
	IFS=$FIELD read -r -d '' -a fields <<<"${CFG_PACKED[$1]}$FIELD"
	for ((i = 1; i < ${#fields[@]} - 1; i += 2)); do
		CFG["$1 ${fields[i]}"]=${fields[i + 1]}
	done
	unset "CFG_PACKED[$1]"
}

# A build folder that cannot be written to costs time, nothing else.
cache_keep()
{
	local cache=$1 stanza key
	local -a packed=()

	[[ -w $BUILD_DIR ]] || return 0
	for stanza in "${STANZAS[@]}"; do
		packed+=("$stanza")
		for key in "${!CFG_KEYS[@]}" where dir "file where"; do
			if [[ ${CFG["$stanza $key"]+set} ]]; then
				packed[-1]+=$FIELD$key$FIELD${CFG["$stanza $key"]}
			fi
		done
	done
	if printf '%s\0' "$SOURCES" "${packed[@]}" '' "${KNOWN_PACKED[@]}" "${KNOWN_TESTS[@]}" \
		end >"$cache.$$"; then
		mv -f "$cache.$$" "$cache"
	else
		rm -f "$cache.$$"
	fi
} 2>/dev/null
