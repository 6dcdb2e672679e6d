# suites.sh - run suites with a time budget each, and close with the runners' own words. Sourced by scripts/test, .ci/run.
# Results are kept in $suites_folder: results.tsv (name, budget, seconds, state, passed, failed) and NAME.log.
# The limit of a suite is twice its budget; what takes longer is ended and has failed.

suites_folder=build/suites

# Start a new list, or go on with the caller's (SUITES_CONTINUE=1).
suites_begin() {
	mkdir -p "$suites_folder"
	[ "${SUITES_CONTINUE:-}" = 1 ] || : >"$suites_folder/results.tsv"
}

# The last closing line of a known runner in a log: pytest, ctest.
suites_closing_line() {
	local pytest='(=+ )?.*(passed|failed|errors?|skipped|deselected|no tests ran).* in [0-9.]+s.*'
	local ctest='[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+'
	{ grep -E "^($pytest|$ctest)\$" "$1" || true; } | tail -n 1
}

# "passed failed" of a closing line; a suite without one counts as one test.
suites_counts() {
	local line=$1 ok=$2 passed failed errors total
	if [[ $line =~ ([0-9]+)%\ tests\ passed,\ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
		failed=${BASH_REMATCH[2]} total=${BASH_REMATCH[3]}
		echo "$((total - failed)) $failed"
	elif [ -n "$line" ]; then
		passed=$(grep -oE '[0-9]+ passed' <<<"$line" | grep -oE '[0-9]+' || echo 0)
		failed=$(grep -oE '[0-9]+ failed' <<<"$line" | grep -oE '[0-9]+' || echo 0)
		errors=$(grep -oE '[0-9]+ errors?' <<<"$line" | grep -oE '[0-9]+' || echo 0)
		echo "$passed $((failed + errors))"
	elif [ "$ok" = 1 ]; then
		echo "1 0"
	else
		echo "0 1"
	fi
}

# suite NAME BUDGET_S COMMAND...: run it; its output is shown and kept. Never fails itself: suites_end tells.
suite() {
	local name=$1 budget=$2 log from code=0 line counts state=ok
	shift 2
	log=$suites_folder/$name.log
	printf '\n== %s (budget %d s): %s\n' "$name" "$budget" "$*"
	from=$SECONDS
	timeout --kill-after=30 $((budget * 2)) "$@" 2>&1 | tee "$log" || code=${PIPESTATUS[0]}
	line=$(suites_closing_line "$log")
	[ "$code" = 0 ] || state="failed ($code)"
	[ "$code" != 124 ] || state="took too long"
	counts=$(suites_counts "$line" "$([ "$code" = 0 ] && echo 1)")
	[ "$code" = 0 ] || [ "${counts#* }" != 0 ] || counts="${counts% *} 1"
	printf '%s\t%d\t%d\t%s\t%s\n' "$name" "$budget" $((SECONDS - from)) "$state" "${counts/ /$'\t'}" \
		>>"$suites_folder/results.tsv"
}

# Table, closing lines, and the sum as the last line. Fails when a suite failed.
suites_end() {
	local name budget took state passed failed all_passed=0 all_failed=0 total=0
	printf '\n%-22s %8s %8s  %-14s %7s %7s\n' suite "budget s" "took s" state passed failed
	while IFS=$'\t' read -r name budget took state passed failed; do
		[ "$took" -le "$budget" ] || state="$state, over budget"
		printf '%-22s %8d %8d  %-14s %7d %7d\n' "$name" "$budget" "$took" "$state" "$passed" "$failed"
		all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed)) total=$((total + took))
	done <"$suites_folder/results.tsv"
	printf '%-22s %8s %8d\n\n' total "" "$total"
	while IFS=$'\t' read -r name _; do
		suites_closing_line "$suites_folder/$name.log"
	done <"$suites_folder/results.tsv"
	echo "$all_passed passed, $all_failed failed"
	[ "$all_failed" -eq 0 ]
}
