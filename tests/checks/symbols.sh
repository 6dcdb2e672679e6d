#!/bin/sh
# symbols.sh BUILD - no two libraries of ours define the same function: the linker would take the first and say nothing.
set -eu
cd "$1"
list=$(nm -A --defined-only libleafcast_*.a | awk '$2 == "T" {split($1, at, ":"); print $3, at[1]}' | sort -u)
[ "$(printf '%s\n' "$list" | wc -l)" -gt 100 ] || { echo "nm found no functions in $1"; exit 1; }
twice=$(printf '%s\n' "$list" | awk '{where[$1] = where[$1] " " $2; n[$1]++} END {for (f in n) if (n[f] > 1) print f ":" where[f]}')
[ -z "$twice" ] || { echo "defined in more than one library:"; echo "$twice"; exit 1; }
