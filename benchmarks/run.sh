#!/bin/sh
# Run every benchmark, one after the other, and rewrite the tables. $1: the bin folder of the environment.
set -eu
bin=${1:-.venv/bin}
cd "$(dirname "$0")/.."
: "${SHORTLIST_DATA:?set it to the folder that holds retrieval/ and train/ (see benchmarks/README.md)}"
# The CPU build, where the platform has one to choose; the plain wheel pulls gigabytes of CUDA.
"$bin/python" -c "import torch" 2>/dev/null || "$bin/python" -m pip install --quiet torch==2.13.0
"$bin/python" -m pip install --quiet --group bench
export PYTHONPATH=benchmarks
export OPENBLAS_NUM_THREADS=1  # as the command line sets it: single searches are too short for BLAS threads
"$bin/python" benchmarks/install_size.py
"$bin/python" benchmarks/demo_speed.py
"$bin/python" benchmarks/durability.py
OMP_NUM_THREADS=1 "$bin/python" benchmarks/kernel_speed.py
"$bin/python" benchmarks/search_speed.py --vectors build/search-speed-vectors.npy
OMP_NUM_THREADS=1 "$bin/python" benchmarks/graph_speed.py --vectors build/search-speed-vectors.npy
for threads in 1 2; do "$bin/python" benchmarks/encoders.py --threads "$threads"; done
kept=build/benchmark-collections  # indexed once, used by all that follow
mkdir -p "$kept"
for script in stages judges; do "$bin/python" "benchmarks/$script.py" --keep "$kept"; done
"$bin/python" benchmarks/token_storage.py
"$bin/python" benchmarks/stacks.py
for script in scale growth calibration; do OMP_NUM_THREADS=1 "$bin/python" "benchmarks/$script.py" --keep "$kept"; done
"$bin/python" benchmarks/pair_training.py
for script in compare_sets adaptive_fusion tune_fusion advice; do
  "$bin/python" "benchmarks/$script.py" --keep "$kept"
done
for script in comparison_speed significance; do "$bin/python" "benchmarks/$script.py" --keep "$kept/squad_dev"; done
"$bin/python" benchmarks/similarity.py
"$bin/python" benchmarks/classification.py
"$bin/python" benchmarks/training_speed.py
"$bin/python" benchmarks/tables.py
