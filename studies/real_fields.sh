#!/usr/bin/env bash
# The real fields of the shared data: find, and compare with 4FGL-DR2 where they hold ten-year-like
# FRONT photons. Catalogs and reports go to FOLDER.
#
#   studies/real_fields.sh FOLDER [DATA]
set -euo pipefail
folder=${1:?usage: studies/real_fields.sh FOLDER [DATA]}
data=${2:-../shared/data/real}
mkdir -p "$folder"
for input in smc_ft1_p8r2_1GeV_r9.fits j1120_ft1_p8r2_1GeV_r5.fits j2310_ft1_p8r2_1GeV_r5.fits \
  fermi-gc/ccube_00.fits fermi-gc/ccube_01.fits fermi-3fhl-gc-counts-cube.fits.gz \
  crab_ft1_p8r2_10GeV.fits.gz; do
  name=${input//\//_}
  name=${name%%.fits*}
  echo "== $input"
  fermi-unek find "$data/$input" -o "$folder/$name.fits" --report "$folder/$name" --overwrite
  fermi-unek compare "$folder/$name.fits" -o "$folder/$name-dr2" --overwrite
done
