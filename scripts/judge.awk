# SPDX-License-Identifier: BSD-2-Clause
#
# Reads what one VMM start wrote to its console (docs/result-stream.md) and
# believes none of it: a result counts if the plan, the numbers, the names, the
# totals and the nonce all agree.
#
#	judge.awk -v nonce=HEX -v verbose=0|1 -v cap=BYTES -v log_path=FILE -v records=FILE -v plan_path=FILE
#
# PLAN_PATH holds the names of the subtests that this start was asked for. LOG_PATH gets
# the protocol's lines and at most CAP bytes of everything else. RECORDS gets
# one line per fact, for verdict.awk:
#
#	S name ok|fail|skip reason	a subtest that reported
#	F id text subtest		a check that failed
#	K id reason subtest		a check that was skipped
#
# fields separated by TABs. Standard output gets "key value" lines: plan_seen,
# reported, checks, failed, skipped, skipped_subtests, skip_reason, end_seen, crash_reason, crash_check, and
# error, once for each broken rule (at most ten).

function error(text)
{
	if (errors++ < 10)
		print "error " clean(text)
}

# Text of the guest with nothing in it that a terminal or a TAB-separated line
# could stumble over, and not longer than a line should be.
function clean(text)
{
	text = substr(text, 1, 300)
	gsub(/[^ -~]/, "?", text)
	return text
}

# A line of the protocol: the log has it, but no line is as long as that.
function protocol(line)
{
	if (length(line) > 4096)
		line = substr(line, 1, 4096) "..."
	print line >log_path
}

# A line outside the protocol: kept up to the cap.
function other(line)
{
	other_bytes += length(line) + 1
	if (other_bytes <= cap)
		print line >log_path
	else if (!cut++)
		print "# trapline: the rest of the output outside the protocol was cut at " cap " bytes" >log_path
}

# The text between the number and the name's end: sets NUMBER, NAME, TEXT and
# OK of a result line without its indentation; 0 if it is not one.
function result_line(line)
{
	ok = 1
	if (line ~ /^not ok /) {
		ok = 0
		line = substr(line, 5)
	}
	if (line !~ /^ok [0-9]+ [^ ]+( # .*)?$/)
		return 0
	line = substr(line, 4)
	number = line + 0
	line = substr(line, index(line, " ") + 1)
	at = index(line, " # ")
	name = at ? substr(line, 1, at - 1) : line
	text = at ? substr(line, at + 3) : ""
	return 1
}

function check_line(line)
{
	if (!result_line(line)) {
		error("malformed check line: " line)
		return
	}
	if (!plan_seen || reported >= planned) {
		error("check '" name "' is reported outside every subtest")
		return
	}
	if (index(name, plan[reported + 1] ".") != 1)
		error("check '" name "' is reported in subtest '" plan[reported + 1] "'")
	if (number <= last_number)
		error("check '" name "' has number " number " after " last_number)
	last_number = number
	if (name in seen)
		error("check id '" name "' is repeated")
	seen[name] = 1
	if (text ~ /^SKIP( |$)/ && ok) {
		sub_skipped++
		print "K\t" clean(name) "\t" clean(substr(text, 6)) "\t" clean(plan[reported + 1]) >>records
	} else if (ok) {
		sub_passed++
	} else {
		sub_failed++
		print "F\t" clean(name) "\t" clean(text) "\t" clean(plan[reported + 1]) >>records
	}
}

function subtest_line(line,	total, bad, skips, words, n)
{
	if (!result_line(line)) {
		error("malformed result line: " line)
		return
	}
	if (!plan_seen) {
		error("result of '" name "' before the plan")
		return
	}
	reported++
	if (reported > planned) {
		error("result of '" name "', which was not planned")
		return
	}
	if (number != reported)
		error("subtest '" name "' has number " number ", not " reported)
	if (name != plan[reported])
		error("subtest " reported " is '" name "', not '" plan[reported] "'")

	if (text ~ /^SKIP( |$)/) {
		if (!ok || sub_failed || sub_passed)
			error("subtest '" name "' is skipped and yet reports checks")
		skipped += sub_skipped + 1
		if (!skipped_subtests++)
			skip_reason = substr(text, 6)
		print "S\t" clean(name) "\tskip\t" clean(substr(text, 6)) >>records
	} else {
		total = bad = skips = 0
		if (text ~ /^[0-9]+ checks?(, [0-9]+ skipped)?$/) {
			total = text + 0
		} else if (text ~ /^[0-9]+ of [0-9]+ checks? failed(, [0-9]+ skipped)?$/) {
			n = split(text, words, " ")
			bad = words[1] + 0
			total = words[3] + 0
		} else {
			error("subtest '" name "' has no count of checks: " text)
		}
		if (text ~ /, [0-9]+ skipped$/) {
			n = split(text, words, " ")
			skips = words[n - 1] + 0
		}
		if (total > MOST || bad > MOST || skips > MOST) {
			error("subtest '" name "' counts more than any guest can: " text)
			total = bad = skips = 0
		}
		if (ok != (bad == 0))
			error("subtest '" name "' is " (ok ? "ok" : "not ok") " with " bad " failed checks")
		if (bad != sub_failed)
			error("subtest '" name "' counts " bad " failed checks and reports " sub_failed)
		if (skips != sub_skipped)
			error("subtest '" name "' counts " skips " skipped checks and reports " sub_skipped)
		if (bad > total || (verbose && total != sub_passed + sub_failed) || last_number > total + skips)
			error("subtest '" name "' counts " total " checks, which does not agree with its lines")
		if (total + skips == 0)
			error("subtest '" name "' ran no check")
		checks += total
		failed += bad
		skipped += skips
		print "S\t" clean(name) "\t" (ok ? "ok" : "fail") "\t" clean(text) >>records
	}
	sub_passed = sub_failed = sub_skipped = last_number = 0
}

function totals(value,	want)
{
	want = "subtests=" reported " checks=" checks " failed=" failed " skipped=" skipped " duplicates=0"
	if (value != want)
		error("END says " value ", its lines say " want)
}

function end_line(line,	rest, got)
{
	if (line !~ /^# END nonce=[0-9a-f]+ subtests=[0-9]+ checks=[0-9]+ failed=[0-9]+ skipped=[0-9]+ duplicates=[0-9]+$/) {
		error("malformed END: " line)
		return
	}
	rest = substr(line, 13)
	got = substr(rest, 1, index(rest, " ") - 1)
	rest = substr(rest, index(rest, " ") + 1)
	if (got "" != nonce "") {
		error("END bears nonce " got ", not " nonce ": it is not this run's")
		return
	}
	end_seen = 1
	if (rest !~ / duplicates=0$/)
		error("the guest counted repeated check ids:" substr(rest, index(rest, " duplicates")))
	sub(/ duplicates=[0-9]+$/, " duplicates=0", rest)
	totals(rest)
}

BEGIN {
	MOST = 999999999
	printf "" >log_path
	printf "" >>records
	planned = reported = checks = failed = skipped = errors = 0
	sub_passed = sub_failed = sub_skipped = last_number = 0
	while ((getline line <plan_path) > 0)
		plan[++planned] = line
}

# What the runner itself puts behind the console: a last line without its newline
# is spoilt by it.
$0 == "\001end" { ends++; next }

end_seen {
	if (!after_end++)
		error("output after END: " $0)
	other($0)
	next
}

/^KTAP version 1$/ {
	if (version_seen++)
		error("a second KTAP version line: the guest started again")
	print >log_path
	next
}

/^1\.\.[0-9]+$/ {
	if (plan_seen++)
		error("a second plan: " $0)
	else if (!version_seen)
		error("no KTAP version line before the plan")
	if (substr($0, 4) + 0 != planned)
		error("the guest plans " substr($0, 4) " subtests, " planned " were asked for")
	print >log_path
	next
}

/^    (not )?ok / { protocol($0); check_line(substr($0, 5)); next }
/^(not )?ok / { protocol($0); subtest_line($0); next }
/^# END / { protocol($0); end_line($0); next }

/^# CRASH / {
	if (++crash_lines <= 1000)
		protocol($0)
	else
		other($0)
	if ($0 ~ /^# CRASH reason: / && crash_reason == "")
		crash_reason = substr($0, 17)
	else if ($0 ~ /^# CRASH check: / && crash_check == "")
		crash_check = substr($0, 16)
	next
}

{ other($0) }

END {
	if (close(log_path) || close(records))
		exit 2
	if (ends != 1)
		error("the last line has no newline")
	print "plan_seen " plan_seen + 0
	print "reported " reported
	print "checks " checks
	print "failed " failed
	print "skipped " skipped
	print "skipped_subtests " skipped_subtests + 0
	print "skip_reason " clean(skip_reason)
	print "end_seen " end_seen + 0
	if (crash_reason != "")
		print "crash_reason " clean(crash_reason)
	if (crash_check != "")
		print "crash_check " clean(crash_check)
	print "judged 1"
}
