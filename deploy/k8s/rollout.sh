#!/usr/bin/env bash
# Bring a cluster to what the catalogue says, without a failed request, and wait until it is there.
#
#   deploy/k8s/rollout.sh cpu|neuron                                  a new catalogue, settings or image
#   deploy/k8s/rollout.sh neuron --canary coder=s3://B/coder-2@0.05   a successor on trial for 5 % of the coder's requests
#   deploy/k8s/rollout.sh neuron                                      end the trial: back to the catalogue as it is
#
# To promote: write the new artefact into the catalogue's entry, then run it without --canary. Experts change in place
# (serveConfigV2), one application at a time; a change of the RayCluster itself is another matter: docs/deploy.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

overlay="${1:?say which overlay: cpu or neuron}"
shift
python="${PYTHON:-python3}"
folder="deploy/k8s/overlays/$overlay"

"$python" -m experts.cluster.manifests --overlay "$overlay" "$@"
kubectl diff -k "$folder" || [ $? -eq 1 ] # 1: there are differences; more: kubectl failed
kubectl apply -k "$folder"
kubectl -n moegate wait rayservice/moegate-experts --for=condition=Ready --timeout=30m
applications="$("$python" -c '
import sys, yaml
[patch] = yaml.safe_load_all(open(sys.argv[1]))
print(*(a["name"] for a in yaml.safe_load(patch["spec"]["serveConfigV2"])["applications"]), sep="\n")
' "$folder/generated/serve-config.yaml")"
for application in $applications; do
    kubectl -n moegate wait rayservice/moegate-experts --timeout=30m \
        --for="jsonpath={.status.activeServiceStatus.applicationStatuses.$application.status}=RUNNING"
done
kubectl -n moegate rollout status deployment/moegate-gateway --timeout=10m
