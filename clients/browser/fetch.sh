#!/bin/sh
# Puts the Socket.IO client named in VERSION into dist/, from where Go embeds it. Does nothing when it is there.
set -eu
cd "$(dirname "$0")"
version=$(cat VERSION)
file=dist/socket.io.min.js

is_pinned() { [ -s "$1" ] && head -n 5 "$1" | grep -qF "Socket.IO v$version"; }

is_pinned "$file" && exit 0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
npm pack --silent --pack-destination "$tmp" "socket.io-client@$version" >/dev/null
tar -xzf "$tmp/socket.io-client-$version.tgz" -C "$tmp" "package/$file"
if ! is_pinned "$tmp/package/$file"; then
	echo "fetch.sh: socket.io-client@$version holds no client $version in $file" >&2
	exit 1
fi
cp "$tmp/package/$file" "$file"
