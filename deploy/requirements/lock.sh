#!/usr/bin/env bash
# Write the images' requirements anew: everything that is installed, with the hashes of its files. `make locks` runs it.
# Versions are those of constraints.txt, which the tests run with; the files name no index.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv="${UV:-uv}"
lock() { # TARGET, then what is wanted
    local target="deploy/requirements/$1.txt"
    shift
    {
        echo "# Made by \`make locks\`; do not edit."
        "$uv" pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
            --python-platform linux --constraint constraints.txt "$@"
    } > "$target.unfinished"
    mv "$target.unfinished" "$target"
}
lock build deploy/requirements/build.in
lock gateway pyproject.toml --extra otel --extra redis --extra guard --extra remote
lock expert-cpu pyproject.toml --extra cpu --extra encoder --extra upstream --extra remote --extra retrieval --extra qdrant
