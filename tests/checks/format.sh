#!/bin/sh
# Everything is formatted as .clang-format says. usage: format.sh ROOT
cd "$1" || exit 2
files=$(find base proto ca-client cache control sds daemon tests -name '*.[ch]')
[ "$(echo "$files" | wc -l)" -ge 20 ] || { echo "no sources found"; exit 1; }
echo "$files" | xargs clang-format --dry-run -Werror && echo "all formatted"
