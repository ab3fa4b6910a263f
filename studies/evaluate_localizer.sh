#!/usr/bin/env bash
# The figures of docs/models/localizer-v7.md: a whole simulated DR2 sky that was not trained on,
# from simulation to scores, with time and memory of each step.
#
#   [MODEL=NAME] [POPULATION=FILE] studies/evaluate_localizer.sh FOLDER [SEED [ORDER]]
#
# POPULATION is dr2, its sources with the fainter ones that it does not list, or a source list: with
# gll_psc_v27.fit of the fermipy package the sky holds nothing fainter than what DR2 lists. ORDER is
# that of the count files, or coarse for the orders 7, 7, 8, 9, 10, 10; without it they have those
# of `fermi-unek simulate`, 8, 8, 9, 10, 11, 11.
set -euo pipefail
folder=${1:?usage: studies/evaluate_localizer.sh FOLDER [SEED [ORDER]]}
mkdir -p "$folder"
seed=${2:-9001}
order=${3:+--order $3}
run() { command time -f "  %E elapsed, %M kB" "$@"; }
run fermi-unek simulate -o "$folder/sky" --population "${POPULATION:-dr2}" --years 10 --seed "$seed" \
  --background v07 --format healpix $order --overwrite
run fermi-unek find "$folder"/sky/counts*.fits* -o "$folder/found.fits" --threshold 0.05 \
  ${MODEL:+--model "$MODEL"} --overwrite
run fermi-unek evaluate "$folder/found.fits" --truth "$folder/sky/truth.fits" \
  -o "$folder/score" --overwrite
