"""What a cluster does by itself: HPA, Deployment, DaemonSet, KubeRay, the scheduler, kubelets, disruption budgets.

Each call of `step` does a little of what is missing; the store calls it until nothing changes. So a rolling update runs
pod by pod, and `least_ready` tells how few pods were ready on the way.
"""

import hashlib
import json
from typing import Any

import yaml

from tests.fakes.cluster.kinds import BY_NAME
from tests.fakes.cluster.scheduler import choose, selects
from tests.fakes.cluster.store import STARTED, ApiError, Store

Document = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
POD, REPLICA_SET, NODE = BY_NAME["v1", "Pod"], BY_NAME["apps/v1", "ReplicaSet"], BY_NAME["v1", "Node"]


def digest(content: object) -> str:
    """Name a content in ten characters."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


class Controllers:
    """Does one step at a time on a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.least_ready: dict[str, int] = {}
        self.bad_images: set[str] = set()  # whose containers never become ready
        store.after_change = self.step

    def step(self) -> None:
        for scaler in self.store.all("HorizontalPodAutoscaler"):
            self._scale(scaler)
        for deployment in self.store.all("Deployment"):
            self._roll(deployment)
        for service in self.store.all("RayService"):
            self._ray(service)
        for each in self.store.all("DaemonSet"):
            self._everywhere(each)
        for pod in self.store.all("Pod"):
            self._run(pod)
        for budget in self.store.all("PodDisruptionBudget"):
            self._count(budget)

    def _scale(self, scaler: Document) -> None:
        target, namespace = scaler["spec"]["scaleTargetRef"], scaler["metadata"]["namespace"]
        try:
            found = self.store.get(BY_NAME[target["apiVersion"], target["kind"]], namespace, target["name"])
        except ApiError:
            return
        wanted = min(max(found["spec"]["replicas"], scaler["spec"]["minReplicas"]), scaler["spec"]["maxReplicas"])
        if wanted != found["spec"]["replicas"]:
            found["spec"]["replicas"] = wanted
            self.store.replace(found)

    def _roll(self, deployment: Document) -> None:
        """One step of a rolling update."""
        spec, meta = deployment["spec"], deployment["metadata"]
        mine = self._owned("ReplicaSet", meta)
        current = digest(spec["template"])
        new = next((one for one in mine if one["metadata"]["labels"][HASH] == current), None)
        revision = max([int(one["metadata"]["annotations"][REVISION]) for one in mine], default=0)
        if new is None or int(new["metadata"]["annotations"][REVISION]) < revision:
            new = self._revision(deployment, new, current, str(revision + 1))
            self.least_ready.pop(meta["name"], None)
        pods = self._pods(deployment, spec["selector"])
        fresh = [one for one in pods if one["metadata"]["labels"][HASH] == current]
        old = [one for one in pods if one not in fresh]
        ready = [one for one in pods if is_ready(one)]
        wanted, limits = spec["replicas"], spec.get("strategy", {}).get("rollingUpdate", {})
        surge, missing = limits.get("maxSurge", 1), limits.get("maxUnavailable", 0)
        if len(fresh) < wanted and len(pods) < wanted + surge:
            self._pod(new, spec["template"], f"{meta['name']}-{current}-", {HASH: current})
        elif old and (bad := [one for one in old if not is_ready(one)] or old[: len(ready) - (wanted - missing)]):
            self._delete(bad[0])
        elif len(fresh) > wanted:
            self._delete(fresh[-1])
        if len(pods) >= wanted:
            self.least_ready[meta["name"]] = min(self.least_ready.get(meta["name"], wanted), len(ready))
        self._told(deployment, fresh, pods, ready)

    def _revision(self, deployment: Document, known: Document | None, current: str, number: str) -> Document:
        spec, meta = deployment["spec"], deployment["metadata"]
        if known is not None:
            known["metadata"]["annotations"][REVISION] = number
            made = self.store.replace(known)
        else:
            template = json.loads(json.dumps(spec["template"]))
            template["metadata"].setdefault("labels", {})[HASH] = current
            labels = template["metadata"]["labels"]
            made = self.store.create(
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": {**_child(deployment, f"{meta['name']}-{current}"), "labels": labels}
                    | {"annotations": {REVISION: number}},
                    "spec": {
                        "replicas": spec["replicas"],
                        "selector": {"matchLabels": {**spec["selector"]["matchLabels"], HASH: current}},
                        "template": template,
                    },
                }
            )
        deployment["metadata"].setdefault("annotations", {})[REVISION] = number
        deployment["metadata"]["resourceVersion"] = self.store.replace(deployment)["metadata"]["resourceVersion"]
        return made

    def _told(self, deployment: Document, fresh: list[Document], pods: list[Document], ready: list[Document]) -> None:
        wanted = deployment["spec"]["replicas"]
        done = len(ready) >= wanted
        self._status(
            deployment,
            {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": len(pods),
                "updatedReplicas": len(fresh),
                "readyReplicas": len(ready),
                "availableReplicas": len(ready),
                "unavailableReplicas": max(0, wanted - len(ready)),
                "conditions": [_condition("Available", is_true=done), _condition("Progressing", is_true=True)],
            },
        )

    def _ray(self, service: Document) -> None:
        """KubeRay: a cluster's pods, their replacement, the applications' statuses."""
        spec, name = service["spec"], service["metadata"]["name"]
        config, status = spec["rayClusterConfig"], service.get("status", {})
        told = status.get("activeServiceStatus", {})
        groups = config["workerGroupSpecs"]
        known = groups[: told.get("groups", len(groups))]  # further ones at the end join the cluster that runs
        active = told.get("rayClusterName")
        wanted = f"{name}-{digest({**config, 'workerGroupSpecs': known})}"
        if wanted != active:
            known, wanted = groups, f"{name}-{digest(config)}"
        waits = active and wanted != active and spec.get("upgradeStrategy", {}).get("type") == "None"
        if not waits and self._ray_pods(service, wanted, config):
            for pod in self._pods(service, {}):
                if pod["metadata"]["labels"]["ray.io/cluster"] != wanted:
                    self._delete(pod)
            active = wanted
        elif active is None:
            active = wanted
        else:
            known = groups[: told["groups"]]
        ready = [one for one in self._pods(service, {}) if one["metadata"]["labels"]["ray.io/cluster"] == active]
        is_up = bool(ready) and all(map(is_ready, ready))
        running = {"status": "RUNNING" if is_up else "DEPLOYING"}
        served = {one["name"]: running for one in yaml.safe_load(spec["serveConfigV2"])["applications"]}
        told = {"rayClusterName": active, "applicationStatuses": served, "groups": len(known)}
        conditions = [_condition("Ready", is_true=is_up)]
        seen = {"activeServiceStatus": told, "conditions": conditions}
        self._status(service, seen | {"observedGeneration": service["metadata"]["generation"]})

    def _ray_pods(self, service: Document, cluster: str, config: Document) -> bool:
        """Make what a cluster's groups lack; say whether all of its pods are ready."""
        groups = [("headgroup", 1, config["headGroupSpec"]["template"])]
        groups += [(one["groupName"], one["replicas"], one["template"]) for one in config["workerGroupSpecs"]]
        whole = True
        for group, count, template in groups:
            labels = {"ray.io/cluster": cluster, "ray.io/group": group}
            have = [one for one in self._pods(service, {"matchLabels": labels})]
            for _ in range(count - len(have)):
                self._pod(service, template, f"{cluster}-{group}-", labels)
            whole = whole and len(have) >= count and all(map(is_ready, have))
        return whole

    def _everywhere(self, each: Document) -> None:
        spec = each["spec"]["template"]["spec"]
        have = {one["spec"].get("nodeName") for one in self._pods(each, each["spec"]["selector"])}
        for node in self.store.all("Node"):
            name, labels = node["metadata"]["name"], node["metadata"]["labels"]
            terms = (
                spec.get("affinity", {})
                .get("nodeAffinity", {})
                .get("requiredDuringSchedulingIgnoredDuringExecution", {})
            )
            fits = all(any(selects(one, labels) for one in terms["nodeSelectorTerms"]) for terms in [terms] if terms)
            if name not in have and fits:
                pod = self._pod(each, each["spec"]["template"], f"{each['metadata']['name']}-", {}, node=name)
                have.add(pod["spec"]["nodeName"])

    def _run(self, pod: Document) -> None:
        """The scheduler and a kubelet: a place, then a status."""
        if not pod["spec"].get("nodeName"):
            chosen = choose(pod, self.store.all("Node"), self.store.all("Pod"))
            if chosen is not None:
                pod["spec"]["nodeName"] = chosen
                self.store.replace(pod)
            return
        waits = self._waits_for(pod)
        bad = [one["image"] for one in pod["spec"]["containers"] if one["image"] in self.bad_images]
        up = not waits and not bad
        self._status(
            pod,
            {
                "phase": "Running" if up else "Pending",
                "conditions": [_condition("Ready", is_true=up)],
                "containerStatuses": [
                    {"name": one["name"], "image": one["image"], "imageID": "", "ready": up, "restartCount": 0}
                    for one in pod["spec"]["containers"]
                ],
                **({} if up else {"message": f"waits for {', '.join(waits)}" if waits else f"cannot run {bad[0]}"}),
            },
        )

    def _waits_for(self, pod: Document) -> list[str]:
        """Name the Secrets and ConfigMaps that a pod needs and that are not there."""
        needs = set()
        for volume in pod["spec"].get("volumes", ()):
            if "secret" in volume and not volume["secret"].get("optional"):
                needs.add(("Secret", volume["secret"]["secretName"]))
            if "configMap" in volume and not volume["configMap"].get("optional"):
                needs.add(("ConfigMap", volume["configMap"]["name"]))
        for container in pod["spec"]["containers"]:
            for one in container.get("env", ()):
                reference = one.get("valueFrom", {}).get("secretKeyRef")
                if reference and not reference.get("optional"):
                    needs.add(("Secret", reference["name"]))
        namespace = pod["metadata"]["namespace"]
        there = {
            (kind, one["metadata"]["name"])
            for kind in ("Secret", "ConfigMap")
            for one in self.store.all(kind, namespace)
        }
        return sorted(f"{kind} {name}" for kind, name in needs - there)

    def _count(self, budget: Document) -> None:
        pods = [one for one in self.store.all("Pod", budget["metadata"]["namespace"])]
        pods = [one for one in pods if selects(budget["spec"]["selector"], one["metadata"]["labels"])]
        healthy = sum(map(is_ready, pods))
        needed = len(pods) - budget["spec"]["maxUnavailable"]
        told = {"currentHealthy": healthy, "desiredHealthy": max(0, needed), "expectedPods": len(pods)}
        self._status(budget, told | {"disruptionsAllowed": max(0, healthy - max(0, needed))})

    def _pods(self, owner: Document, selector: Document) -> list[Document]:
        namespace = owner["metadata"]["namespace"]
        mine = {
            owner["metadata"]["uid"],
            *(one["metadata"]["uid"] for one in self._owned("ReplicaSet", owner["metadata"])),
        }
        found = [one for one in self.store.all("Pod", namespace) if selects(selector, one["metadata"]["labels"])]
        return [one for one in found if one["metadata"]["ownerReferences"][0]["uid"] in mine]

    def _owned(self, kind: str, meta: Document) -> list[Document]:
        found = self.store.all(kind, meta["namespace"])
        return [one for one in found if one["metadata"].get("ownerReferences", [{}])[0].get("uid") == meta["uid"]]

    def _pod(self, owner: Document, template: Document, prefix: str, labels: Document, node: str = "") -> Document:
        meta = template.get("metadata", {})
        made = _child(owner, "") | {"generateName": prefix, "labels": {**meta.get("labels", {}), **labels}}
        del made["name"]
        spec = template["spec"] | ({"nodeName": node} if node else {})
        annotated = {"annotations": meta["annotations"]} if meta.get("annotations") else {}
        return self.store.create({"apiVersion": "v1", "kind": "Pod", "metadata": made | annotated, "spec": spec})

    def _delete(self, pod: Document) -> None:
        self.store.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _status(self, document: Document, status: Document) -> None:
        if document.get("status") != status:
            self.store.replace({**document, "status": status})


def is_ready(pod: Document) -> bool:
    """Whether a pod's containers answer."""
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ())
    )


def _child(owner: Document, name: str) -> Document:
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
    return {"name": name, "namespace": owner["metadata"]["namespace"], "ownerReferences": [reference]}


def _condition(name: str, *, is_true: bool) -> Document:
    # KubeRay's schema wants a reason and a message of each.
    told = {"type": name, "status": str(is_true), "reason": "Observed", "message": ""}
    return (
        told | {"lastTransitionTime": STARTED, "lastUpdateTime": STARTED}
        if name == "Progressing"
        else told | {"lastTransitionTime": STARTED}
    )
