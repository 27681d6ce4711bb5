# SPDX-License-Identifier: BSD-2-Clause
# From unittests.cfg to the images that it wants: "MODE/FILE", a line each.

function flush(   n, i, list) {
	if (file == "")
		return
	sub(/\.(flat|elf)$/, "", file)
	n = split(modes == "" ? "x86_64 pae i386" : modes, list, /[ \t,]+/)
	for (i = 1; i <= n; i++)
		if (!seen[list[i] "/" file]++)
			print list[i] "/" file
	file = modes = ""
}

{ sub(/\r$/, ""); sub(/^[ \t]+/, "") }
/^[#;]/ { next }
/^\[/ { flush(); next }
/^file[ \t]*=/ { sub(/^[^=]*=[ \t]*/, ""); sub(/[ \t]+$/, ""); file = $0 }
/^mode[ \t]*=/ { sub(/^[^=]*=[ \t]*/, ""); sub(/[ \t]+$/, ""); modes = $0 }
END { flush() }
