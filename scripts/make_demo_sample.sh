#!/usr/bin/env bash
# Makes the simulated field that ships inside the package (src/fermi_unek/data/demo):
# 20 x 20 degrees of ten years of FRONT photons as a gtbin cube, and its truth. The background
# is the package's own, so that the sample can be made again anywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${FERMI_UNEK:-.venv/bin/fermi-unek}
target=src/fermi_unek/data/demo
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$program" simulate -o "$scratch/demo" --population resampled --years 10 --seed 20 \
  --background own --region 80,18,10 --format wcs
gzip -9 -n "$scratch"/demo/counts*.fits
size=$(du -sb "$scratch/demo" | cut -f1)
if ((size > 5000000)); then
  echo "the sample has $size bytes, at most 5,000,000 are wanted" >&2
  exit 1
fi
rm -rf "$target"
mkdir -p "$target"
cp "$scratch"/demo/*.fits* "$target/"
echo "$target: $size bytes"
