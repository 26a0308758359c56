#!/bin/sh
# Starts an S3 server for the tests: the one of the Python package moto, in a virtual environment of its own
# under the target folder. Prints its URL as soon as it serves, and ends when its standard input does.
# Without Python, or without a network the first time, it prints nothing and ends with 1.
set -eu
exec 3<&0
tools="${CARGO_TARGET_DIR:-$(dirname "$0")/../../../../target}/tools"
mkdir -p "$tools"
home="$tools/moto-5"
if [ ! -x "$home/bin/moto_server" ]; then
    command -v python3 >/dev/null || exit 1
    new="$home.$$"
    python3 -m venv "$new" >&2 || exit 1
    "$new/bin/pip" install --quiet --disable-pip-version-check 'moto[server,s3]>=5,<6' >&2 || { rm -rf "$new"; exit 1; }
    # Scripts in an environment name its path: run it through Python, so that it can be renamed.
    mv "$new" "$home" 2>/dev/null || rm -rf "$new"
fi
port=$("$home/bin/python3" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$home/bin/python3" -c 'from moto.server import main; main()' -H 127.0.0.1 -p "$port" >/dev/null 2>&1 </dev/null &
server=$!
trap 'kill "$server" 2>/dev/null' EXIT
tries=0
until "$home/bin/python3" -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] && kill -0 "$server" 2>/dev/null || exit 1
    sleep 0.1
done
echo "http://127.0.0.1:$port"
cat <&3 >/dev/null
