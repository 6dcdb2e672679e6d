#!/bin/sh
# Each header compiles alone. usage: headers.sh ROOT GENERATED CC
set -u
cd "$1" || exit 2
generated=$2 cc=$3
flags="-std=c11 -D_GNU_SOURCE -I. -I$generated $(pkg-config --cflags grpc libuv) -Wall -Wextra -Wpedantic -Werror"
headers=$(ls base/*.h base/io/*.h proto/*.h ca-client/*.h cache/*.h control/*.h sds/*.h daemon/*.h daemon/admin/*.h daemon/cli/*.h)
count=$(echo "$headers" | wc -l)
[ "$count" -ge 20 ] || { echo "only $count headers found"; exit 1; }
export flags cc
echo "$headers" | xargs -P 2 -I{} sh -c \
	'printf "#include \"%s\"\n" {} | $cc $flags -fsyntax-only -x c - || { echo "{} does not compile alone"; exit 1; }' || exit 1
echo "$count headers compiled alone"
