#!/bin/sh
# Fetches the human recordings the speech tests listen to into DIRECTORY: `sh tests/clips.sh DIRECTORY`.
# They are in a public Python package (MIT); nothing of it is run, three sound files are taken out.
set -eu
directory=$1
sha256=1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496
package=moonshine_voice-0.1.5-py3-none-manylinux_2_34_x86_64.whl
mkdir -p "$directory"
work=$(mktemp -d "$directory/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.11 --platform manylinux_2_34_x86_64 --dest "$work" moonshine-voice==0.1.5 >&2
echo "$sha256  $work/$package" | sha256sum --check --quiet
python3 -m zipfile -e "$work/$package" "$work/out"
for clip in beckett clone-test two_cities; do
    mv "$work/out/moonshine_voice/assets/$clip.wav" "$directory/$clip.wav"
done
