#!/bin/sh
# One leg of the relay: run NAME SECONDS
set -eu
name=$1 seconds=$2
mkdir -p results
i=0
while [ "$i" -lt "$seconds" ]; do
    i=$((i + 1))
    printf '\033[36m%s\033[0m passes kilometre %s\n' "$name" "$i"
    sleep 1
done
printf '\033[32m%s hands the sash on\033[0m\n' "$name"
printf '%s ran %s\n' "$name" "$seconds" > "results/$name-$seconds.txt"
