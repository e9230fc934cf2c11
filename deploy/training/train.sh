#!/usr/bin/env bash
# One node of a fine-tuning run on Trainium: the same script under Kubernetes and under Slurm (experts.training.trainium_job
# renders both). Graphs are compiled first, by a run that only extracts them; checkpoints go to S3 while it trains, and come
# back from there when a node is replaced. Node 0's first process leaves the adapter and its ledger in $BUCKET/adapter.
#
# Needs EXPERT, BUCKET (s3://...), NODES, NODE_RANK, MASTER_ADDR, USD_PER_HOUR, PRICE_SOURCE. $BUCKET/data, if it is there, is
# the recipes' data; BASE, if it is set, takes the place of the catalogue's base.
set -euo pipefail

run="${RUN_DIR:-/scratch/run}"
cache="${NEURON_COMPILE_CACHE:-/scratch/neuron-cache}"
export NEURON_CC_FLAGS="--model-type transformer --cache_dir=$cache"
export NEURON_FUSE_SOFTMAX=1 MALLOC_ARENA_MAX=64
export FI_PROVIDER=efa FI_EFA_USE_DEVICE_RDMA=1 FI_EFA_FORK_SAFE=1
data="$run-data"
mkdir -p "$run" "$cache" "$data"
aws s3 sync "$BUCKET/data" "$data" --only-show-errors

finetune=(
    torchrun --nproc_per_node 32 --nnodes "$NODES" --node_rank "$NODE_RANK"
    --master_addr "$MASTER_ADDR" --master_port 29500
    -m experts.finetune "$EXPERT" --method sft --device neuron --run "$run" --output "$run/out"
    ${BASE:+--base "$BASE"} --usd-per-hour "$USD_PER_HOUR" --price-source "$PRICE_SOURCE" --instances "$NODES"
)

[ -z "$(ls -A "$data")" ] || finetune+=(--data "$data")

aws s3 sync "$BUCKET/neuron-cache" "$cache" --only-show-errors
aws s3 sync "$BUCKET/run/node-$NODE_RANK" "$run" --only-show-errors

echo "node $NODE_RANK: compiling"
neuron_parallel_compile "${finetune[@]}"
aws s3 sync "$cache" "$BUCKET/neuron-cache" --only-show-errors

echo "node $NODE_RANK: training"
keep_in_s3() { # until told to stop; a plain `sleep` would outlive it
    trap 'kill "$!"; exit' TERM
    while true; do
        sleep 300 &
        wait "$!"
        aws s3 sync "$run" "$BUCKET/run/node-$NODE_RANK" --only-show-errors
    done
}
keep_in_s3 &
syncing=$!
trap 'kill "$syncing"' EXIT
"${finetune[@]}"
aws s3 sync "$run" "$BUCKET/run/node-$NODE_RANK" --only-show-errors

if [ "$NODE_RANK" = 0 ]; then
    aws s3 sync "$run/out" "$BUCKET/adapter" --only-show-errors
    echo "the adapter is in $BUCKET/adapter; next: python -m experts.compile $EXPERT --target neuron"
fi
