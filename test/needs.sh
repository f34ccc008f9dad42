#!/usr/bin/env bash
# needs.sh PROGRAM:PACKAGE...   makes sure that the programs are there.
# As root on Debian it says which packages are missing and installs them; otherwise it says so and fails. With NEEDS=list
# it only says so.
set -eu
missing=()
for need in "$@"; do
	program=${need%%:*} package=${need#*:}
	[[ " ${missing[*]} " != *" $package "* ]] || continue
	case $program in
	php-curl) php -m 2>/dev/null | grep -qx curl || missing+=("$package") ;;
	nchan) [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=("$package") ;;
	*) command -v "$program" >/dev/null || missing+=("$package") ;;
	esac
done
if [ ${#missing[@]} -eq 0 ]; then
	[ "${NEEDS:-}" != list ] || echo "Nothing is missing."
	exit 0
fi
if [ "${NEEDS:-}" = list ]; then
	echo "Missing Debian packages: ${missing[*]}"
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "Debian packages that this target needs are missing: ${missing[*]}. Install them, or run make as root on Debian: it installs them." >&2
	exit 1
fi
echo "Installing Debian packages that this target needs, with apt-get: ${missing[*]}" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
