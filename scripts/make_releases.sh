#!/usr/bin/env bash
# Makes what lies in catalogs/: candidate lists of real fields of public Fermi-LAT data, and a
# simulated 4FGL-DR2 sky with its truth, each with its page of comparison.
#
#   scripts/make_releases.sh SCRATCH [NAME...]
#
# The data are named in the table below, relative to $FERMI_UNEK_DATA/real (or
# ../shared/data/real; MANIFEST.md there says where each comes from). Counts that are big stay in
# SCRATCH; a simulated sky that is there already is not made again, nor its search. Without names,
# all releases are made. TARGET=DIR writes elsewhere than catalogs/.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=${1:?usage: scripts/make_releases.sh SCRATCH [NAME...]}
shift
python=${PYTHON:-.venv/bin/python}
data=${FERMI_UNEK_DATA:-../shared/data}
# where the fit of the rows finds gll_iem_v07 and the isotropic spectra
FERMI_UNEK_DATA=$(realpath "$data")
export FERMI_UNEK_DATA
target=${TARGET:-catalogs}
# the sky of the localizer's model card (studies/evaluate_localizer.sh)
seed=9001
mkdir -p "$scratch" "$target"

unek() { "$python" -m fermi_unek -q "$@"; }

# name of the release: files of the field
declare -A fields=(
  [smc]="smc_ft1_p8r2_1GeV_r9.fits"
  [j1120]="j1120_ft1_p8r2_1GeV_r5.fits"
  [j2310]="j2310_ft1_p8r2_1GeV_r5.fits"
  [crab]="crab_ft1_p8r2_10GeV.fits.gz"
  [gc-7yr]="fermi-3fhl-gc-events.fits.gz"
  [gc-16yr]="fermi-gc/ccube_00.fits fermi-gc/ccube_01.fits"
)

make_field() {
  local name=$1 inputs=()
  for file in ${fields[$name]}; do inputs+=("$data/real/$file"); done
  unek find "${inputs[@]}" -o "$scratch/$name.fits" --measure --overwrite
  unek compare "$scratch/$name.fits" --reference 4FGL-DR2 -o "$scratch/$name-dr2" --overwrite
}

make_simulated() {
  local sky=$scratch/sky
  [[ -f $sky/truth.fits ]] ||
    unek simulate -o "$sky" --population dr2 --years 10 --seed "$seed" --background v07 \
      --format healpix --overwrite
  [[ -f $scratch/simulated-dr2.fits ]] ||
    unek find "$sky"/counts_bin?.fits -o "$scratch/simulated-dr2.fits" --threshold 0.05
  unek evaluate "$scratch/simulated-dr2.fits" --truth "$sky/truth.fits" \
    -o "$scratch/simulated-dr2-score" --overwrite
}

for name in "${@:-smc j1120 j2310 crab gc-7yr gc-16yr simulated-dr2}"; do
  for one in $name; do
    echo "== $one"
    if [[ $one == simulated-dr2 ]]; then make_simulated; else make_field "$one"; fi
    "$python" scripts/release_pages.py "$scratch" "$target" "$one"
  done
done
"$python" scripts/release_pages.py "$scratch" "$target"
