#!/bin/sh
# Puts the Socket.IO clients that the tests run into .clients/VERSION.js: those named in package.json and the one that we
# serve. Does nothing for those that are there.
set -eu
cd "$(dirname "$0")"
versions="$(node -p 'require("./package.json").config.clients') $(cat ../../clients/browser/VERSION)"
mkdir -p .clients

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for version in $versions; do
	to=.clients/$version.js
	[ -s "$to" ] && continue
	npm pack --silent --pack-destination "$tmp" "socket.io-client@$version" >/dev/null
	rm -rf "$tmp/package"
	tar -xzf "$tmp/socket.io-client-$version.tgz" -C "$tmp"
	from=$tmp/package/dist/socket.io.js
	[ -s "$from" ] || from=$tmp/package/socket.io.js # where it lay up to 1.4
	if [ ! -s "$from" ]; then
		echo "fetch-clients.sh: socket.io-client@$version holds no bundle" >&2
		exit 1
	fi
	cp "$from" "$to"
done
