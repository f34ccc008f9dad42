#!/bin/sh
# Puts the Socket.IO client named in VERSION into dist/, from where Go embeds it. Does nothing when it is there. Asks npm
# and, where that fails, Socket.IO's CDN. What comes must have the checksums in SHA256SUMS.
#
# For another version: change VERSION, run this, and put the sums that it prints into SHA256SUMS.
set -eu
cd "$(dirname "$0")"
version=$(cat VERSION)
files="socket.io.min.js socket.io.esm.min.js"

say() { echo "fetch.sh: $*" >&2; }

sums() { # of the files in a folder, as in SHA256SUMS
	if command -v sha256sum >/dev/null; then (cd "$1" && sha256sum $files | sed "s/ \*/  /")
	else (cd "$1" && shasum -a 256 $files); fi
}

is_pinned() {
	for file in $files; do [ -s "$1/$file" ] || return 1; done
	[ "$(sums "$1")" = "$(cat SHA256SUMS)" ]
}

is_pinned dist && exit 0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
got=$tmp/package/dist
mkdir -p "$got"
has() { command -v "$1" >/dev/null; }

by_npm() {
	has npm && npm pack --silent --pack-destination "$tmp" "socket.io-client@$version" >/dev/null &&
		tar -xzf "$tmp/socket.io-client-$version.tgz" -C "$tmp"
}

by_cdn() {
	for file in $files; do
		from=https://cdn.socket.io/$version/$file
		if has curl; then curl -fsSL -o "$got/$file" "$from" || return 1
		elif has wget; then wget -q -O "$got/$file" "$from" || return 1
		else return 1; fi
	done
}

if ! by_npm && ! by_cdn; then
	say "socket.io-client $version could not be downloaded: neither with npm from its registry, nor with curl or wget from cdn.socket.io"
	exit 1
fi
if ! is_pinned "$got"; then
	say "what came as socket.io-client $version does not have the checksums in SHA256SUMS, but:"
	sums "$got" >&2
	exit 1
fi
for file in $files; do cp "$got/$file" "dist/$file"; done
