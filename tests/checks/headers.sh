#!/bin/sh
# Each header compiles alone. usage: headers.sh ROOT GENERATED CC
set -u
root=$1 generated=$2 cc=$3 bad=0 count=0
cd "$root" || exit 2
for h in base/*.h base/io/*.h proto/*.h ca-client/*.h cache/*.h control/*.h sds/*.h daemon/*.h daemon/admin/*.h daemon/cli/*.h; do
	count=$((count + 1))
	printf '#include "%s"\n' "$h" | "$cc" -std=c11 -D_GNU_SOURCE -I. -I"$generated" $(pkg-config --cflags grpc libuv) -Wall -Wextra -Wpedantic -Werror \
		-fsyntax-only -x c - || { echo "$h does not compile alone"; bad=1; }
done
[ "$count" -ge 20 ] || { echo "only $count headers found"; bad=1; }
echo "$count headers compiled alone"
exit $bad
