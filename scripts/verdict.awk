# SPDX-License-Identifier: BSD-2-Clause
#
# Holds what a run reported (the records of judge.awk) against what known/ says
# about this machine.
#
#	verdict.awk -v shown=N -v strict=0|1 -v rules_path=RULES -v subtests_path=SUBTESTS RULES SUBTESTS RECORDS...
#
# RULES has one known entry a line, TAB-separated: name, kind, count (or
# empty), flaky (yes or empty), ids (blank-separated, globs allowed). SUBTESTS
# names every subtest of the image. RECORDS may also hold
#
#	X name crash|hang		the subtest that struck, or "(start)", "(end)"
#
# Prints TAB-separated lines:
#
#	failed N		checks that failed and are not known
#	known N			known failures, crashes and hangs
#	unexpected_crash NAME / unexpected_hang NAME	not known
#	fail ID TEXT		the first N that failed and are not known
#	off NAME TEXT		an entry that covers more failures than it says: FAIL
#	xpass NAME TEXT		an entry that covers fewer: XPASS
#	skip ID REASON		with strict: a skip that no entry lists

function is_glob(pattern)
{
	return pattern ~ /[*?[]/
}

# A shell glob as a regular expression for the whole text.
function glob_regex(glob,	i, c, out, close_at)
{
	out = "^"
	for (i = 1; i <= length(glob); i++) {
		c = substr(glob, i, 1)
		if (c == "*") {
			out = out ".*"
		} else if (c == "?") {
			out = out "."
		} else if (c == "[" && (close_at = index(substr(glob, i + 2), "]"))) {
			c = substr(glob, i, close_at + 2)
			sub(/^\[!/, "[^", c)
			out = out c
			i += close_at + 1
		} else if (c ~ /[][.^$+(){}|\\]/) {
			out = out "\\" c
		} else {
			out = out c
		}
	}
	return out "$"
}

function rule_line(	n, i, ids)
{
	rules++
	rule_name[rules] = $1
	rule_kind[rules] = $2
	rule_count[rules] = $3
	rule_flaky[rules] = $4
	n = split($5, ids, " ")
	for (i = 1; i <= n; i++) {
		if (is_glob(ids[i])) {
			globs++
			glob_rule[globs] = rules
			glob_text[globs] = ids[i]
			regex[globs] = glob_regex(ids[i])
			match(ids[i], /[*?[]/)
			prefix[globs] = substr(ids[i], 1, RSTART - 1)
			has_glob[rules] = 1
		} else {
			exacts++
			exact_rule[exacts] = rules
			exact_id[exacts] = ids[i]
			exact_list[ids[i]] = exact_list[ids[i]] " " rules
		}
	}
}

# Sets HIT to the rules of a kind that name this id; returns how many.
function rules_for(id, kind,	n, i, list, hits)
{
	split("", hit)
	n = split(exact_list[id], list, " ")
	for (i = 1; i <= n; i++)
		if (rule_kind[list[i]] == kind && !(list[i] in hit)) {
			hit[list[i]] = 1
			hits++
		}
	for (i = 1; i <= globs; i++)
		if (rule_kind[glob_rule[i]] == kind && !(glob_rule[i] in hit) &&
		    (prefix[i] == "" || index(id, prefix[i]) == 1) && id ~ regex[i]) {
			hit[glob_rule[i]] = 1
			hits++
		}
	return hits + 0
}

# An entry covers a check that failed, or a subtest that struck; the first ones are kept to
# be named.
function cover(r, id)
{
	if (++covered[r] <= shown)
		names[r] = names[r] (covered[r] > 1 ? ", " : ": ") id
	else if (covered[r] == shown + 1)
		names[r] = names[r] ", ..."
}

function show_fail(id, text)
{
	failed++
	if (failed <= shown)
		fail_line[failed] = "fail\t" id "\t" text
}

# Whether everything that a rule names was there to be seen: then fewer
# failures than it lists are a surprise.
function rule_observed(r,	i, s)
{
	if (r in blurred)
		return 0
	for (i = 1; i <= globs; i++) {
		if (glob_rule[i] != r)
			continue
		for (s = 1; s <= subtests; s++)
			if (touches(i, subtest[s], rule_kind[r]) && !observed(subtest[s], rule_kind[r]))
				return 0
	}
	return 1
}

# Whether a glob can name something of a subtest.
function touches(i, name, kind)
{
	if (kind != "fail")
		return name ~ regex[i]
	name = name "."
	return index(name, prefix[i]) == 1 || index(prefix[i], name) == 1
}

# "(start)" is what comes before the first subtest: it was survived if any subtest reported.
function observed(name, kind)
{
	if (name == "(start)")
		return started
	return state[name] == "ok" || state[name] == "fail" || (kind != "fail" && state[name] == "struck")
}

# The subtest that a check id belongs to: the longest name that begins it.
function subtest_of(id,	s, best)
{
	best = ""
	for (s = 1; s <= subtests; s++)
		if (index(id, subtest[s] ".") == 1 && length(subtest[s]) > length(best))
			best = subtest[s]
	return best
}

function listed_as(kind)
{
	if (kind == "fail")
		return "failing and did not fail"
	return kind == "hang" ? "hanging and did not hang" : "crashing and did not crash"
}

BEGIN { FS = "\t" }

FILENAME == rules_path { rule_line(); next }
FILENAME == subtests_path { subtest[++subtests] = $1; next }

$1 == "S" {
	state[$2] = $3
	started = 1
	if ($3 == "skip") {
		skips++
		skip_id[skips] = $2
		skip_text[skips] = $4
	}
	next
}
$1 == "F" {
	if (!rules_for($2, "fail")) {
		show_fail($2, $3)
	} else {
		known++
		failing[$2] = 1
		for (r in hit)
			cover(r, $2)
	}
	next
}
$1 == "K" {
	skips++
	skip_id[skips] = $2
	skip_text[skips] = $3
	skipped[$2] = 1
	if (rules_for($2, "fail"))
		for (r in hit)
			blurred[r] = 1
	next
}
$1 == "X" {
	state[$2] = "struck"
	if (rules_for($2, $3)) {
		known++
		failing[$2] = 1
		for (r in hit)
			cover(r, $2)
	} else {
		print "unexpected_" $3 "\t" $2
	}
	next
}

END {
	for (r = 1; r <= rules; r++) {
		if (!has_glob[r] || rule_kind[r] == "skip" || rule_flaky[r] != "")
			continue
		what = rule_kind[r] == "fail" ? "failing checks" : "subtests that " rule_kind[r]
		if (rule_count[r] == "") {
			if (!covered[r] && rule_observed(r))
				print "xpass\t" rule_name[r] "\tlists whatever is " listed_as(rule_kind[r])
			continue
		}
		if (covered[r] > rule_count[r])
			print "off\t" rule_name[r] "\tlists " rule_count[r] " " what ", there were " covered[r] names[r]
		else if (covered[r] < rule_count[r] && rule_observed(r))
			print "xpass\t" rule_name[r] "\tlists " rule_count[r] " " what ", there were " covered[r] + 0 names[r]
	}
	for (i = 1; i <= exacts; i++) {
		r = exact_rule[i]
		if (has_glob[r] || rule_kind[r] == "skip" || rule_flaky[r] != "" || exact_id[i] in failing)
			continue
		if (exact_id[i] in skipped)
			continue
		name = rule_kind[r] == "fail" ? subtest_of(exact_id[i]) : exact_id[i]
		if (name != "" && observed(name, rule_kind[r]))
			print "xpass\t" rule_name[r] "\t" exact_id[i] " is listed as " listed_as(rule_kind[r])
	}
	if (strict)
		for (i = 1; i <= skips; i++)
			if (!rules_for(skip_id[i], "skip"))
				print "skip\t" skip_id[i] "\t" skip_text[i]
	for (i = 1; i <= failed && i <= shown; i++)
		print fail_line[i]
	print "failed\t" failed + 0
	print "known\t" known + 0
}
