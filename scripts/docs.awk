# SPDX-License-Identifier: BSD-2-Clause
#
# Reads Markdown pages and prints what is wrong in them, or has to be looked up,
# a line each: KIND TAB PAGE:LINE TAB TEXT. KIND is "file" (a path that must exist, from
# the tree's root) or "problem". What stands in code blocks is not read.

# What a heading's anchor is called: lower case, blanks as hyphens, punctuation dropped.
function slug(text) {
	text = tolower(text)
	gsub(/`/, "", text)
	gsub(/[^a-z0-9 _-]/, "", text)
	gsub(/ /, "-", text)
	return text
}

function folder(path) {
	sub(/[^\/]*$/, "", path)
	return path
}

# "docs/tests/../references.md" is docs/references.md.
function normal(path) {
	gsub(/\/\.\//, "/", path)
	while (path ~ /[^\/]+\/\.\.\//)
		sub(/[^\/]+\/\.\.\//, "", path)
	sub(/^\.\//, "", path)
	return path
}

function say(kind, where, text) {
	print kind "\t" where "\t" text
}

function link(target,   path, anchor, at) {
	if (target ~ /^[a-z]+:/)
		return
	at = index(target, "#")
	path = at ? substr(target, 1, at - 1) : target
	anchor = at ? substr(target, at + 1) : ""
	path = path == "" ? FILENAME : normal(folder(FILENAME) path)
	say("file", FILENAME ":" FNR, path)
	if (anchor != "") {
		links++
		link_where[links] = FILENAME ":" FNR
		link_page[links] = path
		link_anchor[links] = anchor
		cited[path "#" anchor] = 1
	}
}

FNR == 1 { fenced = 0 }
/^[ \t]*```/ { fenced = !fenced; next }
fenced || /^(    |\t)/ { next }

/^#+ / {
	text = $0
	sub(/^#+ */, "", text)
	anchor = slug(text)
	if (seen[FILENAME "#" anchor]++)
		say("problem", FILENAME ":" FNR, "a second heading \"" text "\": its anchor is ambiguous")
	anchors[FILENAME "#" anchor] = 1
	# Each entry of the reference list has to be cited somewhere.
	if (FILENAME == "docs/references.md" && /^## /)
		references[anchor] = FILENAME ":" FNR
}

# A link reference definition, "[label]: target".
/^ ? ? ?\[[^]]+\]:[ \t]/ {
	label = $0
	sub(/^ *\[/, "", label)
	sub(/\]:.*/, "", label)
	label = tolower(label)
	if ((FILENAME, label) in defined)
		say("problem", FILENAME ":" FNR, "a second definition of [" label "]")
	defined[FILENAME, label] = FILENAME ":" FNR
	target = $0
	sub(/^[^:]*\]:[ \t]*/, "", target)
	sub(/[ \t].*/, "", target)
	link(target)
	next
}

{
	text = $0
	# Code: only paths in it are of interest.
	while (match(text, /`[^`]*`/)) {
		code = substr(text, RSTART + 1, RLENGTH - 2)
		text = substr(text, 1, RSTART - 1) " " substr(text, RSTART + RLENGTH)
		if (code ~ /^(lib|x86|scripts|docs|tests|known|host|lab|proofs)\/[A-Za-z0-9_.\/-]+$/)
			say("file", FILENAME ":" FNR, code)
	}
	while (match(text, /\]\([^)]*\)/)) {
		target = substr(text, RSTART + 2, RLENGTH - 3)
		text = substr(text, 1, RSTART - 1) " " substr(text, RSTART + RLENGTH)
		link(target)
	}
	# "[text][label]" and "[label][]".
	while (match(text, /\[[^]]*\]\[[^]]*\]/)) {
		label = substr(text, RSTART, RLENGTH)
		text = substr(text, 1, RSTART - 1) " " substr(text, RSTART + RLENGTH)
		name = label
		sub(/^.*\]\[/, "", name)
		sub(/\]$/, "", name)
		if (name == "") {
			name = label
			sub(/^\[/, "", name)
			sub(/\].*/, "", name)
		}
		name = tolower(name)
		if (!((FILENAME, name) in uses))
			uses[FILENAME, name] = FILENAME ":" FNR
	}
}

END {
	for (i = 1; i <= links; i++)
		if (!((link_page[i] "#" link_anchor[i]) in anchors))
			say("problem", link_where[i], "no anchor #" link_anchor[i] " in " link_page[i])
	for (use in uses)
		if (!(use in defined)) {
			split(use, part, SUBSEP)
			say("problem", uses[use], "cites [" part[2] "], which is not defined")
		}
	for (definition in defined)
		if (!(definition in uses)) {
			split(definition, part, SUBSEP)
			say("problem", defined[definition], "defines [" part[2] "], which nothing cites")
		}
	for (reference in references)
		if (!(("docs/references.md#" reference) in cited))
			say("problem", references[reference], "#" reference " is cited nowhere")
}
