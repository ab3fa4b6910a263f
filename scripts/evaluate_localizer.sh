#!/usr/bin/env bash
# The figures of docs/models/localizer-v2.md: a whole simulated DR2 sky that was not trained on,
# from simulation to scores, with time and memory of each step.
#
#   scripts/evaluate_localizer.sh FOLDER [SEED]
set -euo pipefail
folder=${1:?usage: scripts/evaluate_localizer.sh FOLDER [SEED]}
mkdir -p "$folder"
seed=${2:-9001}
run() { command time -f "  %E elapsed, %M kB" "$@"; }
run fermi-unek simulate -o "$folder/sky" --population dr2 --years 10 --seed "$seed" \
  --format healpix --overwrite
run fermi-unek find "$folder"/sky/counts*.fits* -o "$folder/found.fits" --threshold 0.05 --overwrite
run fermi-unek evaluate "$folder/found.fits" --truth "$folder/sky/truth.fits" \
  -o "$folder/score" --overwrite
