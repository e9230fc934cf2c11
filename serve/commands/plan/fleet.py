"""All replicas on one clock: requests come, the fleet grows and shrinks with them, spot instances disappear.

This is a heap of our own instead of SimPy. An event here is a float and a replica, about three a request. SimPy would
make a process and several generator switches for each, too slow for a million requests in a minute. Replicas are chosen
as Ray Serve does (two at random, the less loaded one) and scaled as its autoscaler does (ongoing requests over the
target, held for a delay). Replicas share instances by cores.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil, inf

from serve.commands.plan.description import EngineModel, Plan
from serve.commands.plan.fused import FusedReplica
from serve.commands.plan.replica import Replica
from serve.commands.plan.traffic import Requests

TICK_S = 5.0  # between looks of the autoscaler


@dataclass(slots=True)
class Outcome:
    """What happened, by request, and what ran, over time."""

    first_s: list[float]
    end_s: list[float]
    by: list[int]  # the expert that answered
    refused: int = 0
    cold: list[int] = field(default_factory=list)  # answered by the default expert because theirs was cold
    beside: list[int] = field(default_factory=list)  # came to a replica that had others
    restarted: int = 0  # begun again because their instance was lost
    busy_s: list[float] = field(default_factory=list)  # replica-seconds of work, by expert
    paid_s: list[float] = field(default_factory=list)  # replica-seconds, by expert
    instance_s: dict[str, float] = field(default_factory=dict)  # by instance type
    most: list[int] = field(default_factory=list)  # replicas at once, by expert
    paid_for_s: float = 0.0  # of the clock: whole ticks, so a little more than the requests took
    history: list[tuple[float, list[int], list[int]]] = field(default_factory=list)  # time, replicas, ongoing


@dataclass(slots=True)
class _Group:
    """One expert's replicas."""

    replicas: list[Replica]
    fewest: int
    most: int
    target: float
    above_since: float = inf
    below_since: float = inf


class Fleet:
    """One run."""

    def __init__(self, plan: Plan, requests: Requests) -> None:
        self._plan, self._requests = plan, requests
        self._names = list(plan.experts)
        self._engines = [plan.engines[expert.engine] for expert in plan.experts.values()]
        self._prices = [engine.price() for engine in self._engines]
        self._default = self._names.index(plan.default) if plan.default else len(self._names) - 1
        self._random = random.Random(plan.traffic.seed)
        self._heap: list[tuple[float, int, int, Replica]] = []
        self._count = 0
        self._at = requests.at_s.tolist()
        self._prompt, self._answer = requests.prompt.tolist(), requests.answer.tolist()
        self._groups = [
            _Group([], *expert.replicas, expert.target_ongoing or self._engines[index].slots)
            for index, expert in enumerate(plan.experts.values())
        ]
        size = len(requests)
        zeros = [0.0] * len(self._names)
        self._out = Outcome([inf] * size, [inf] * size, requests.expert.tolist(), busy_s=zeros[:], paid_s=zeros[:])
        self._out.most = [0] * len(self._names)
        for index, group in enumerate(self._groups):
            group.replicas = [_replica(self._engines[index], index, 0.0) for _ in range(group.fewest)]

    def run(self) -> Outcome:
        """Simulate until every request has ended."""
        tick, arrival, size = 0.0, 0, len(self._at)
        while arrival < size or self._heap:
            at = self._at[arrival] if arrival < size else inf
            event = self._heap[0][0] if self._heap else inf
            if tick <= at and tick <= event:
                self._tick(tick)
                tick += TICK_S
            elif at <= event:
                self._arrive(at, arrival, self._out.by[arrival])
                arrival += 1
            else:
                now, _, version, replica = heappop(self._heap)
                if version == replica.version:
                    replica.happen(now, self._out.first_s, self._out.end_s)
                    self._announce(replica)
        for group in self._groups:
            for replica in group.replicas:
                self._retire(replica)
        return self._out

    def _arrive(self, now: float, request: int, expert: int) -> None:
        """Give a request to a replica of its expert; of the default one when its own is cold."""
        replica = self._choose(self._groups[expert].replicas, now)
        if replica is None and expert != self._default:
            self._wake(now, expert)
            replica = self._choose(self._groups[self._default].replicas, now)
            self._out.cold.append(request)
            self._out.by[request] = self._default
        if replica is None or replica.load >= replica.slots + self._engines[replica.expert].queue:
            self._out.refused += 1
            return
        if replica.load:
            self._out.beside.append(request)
        replica.add(now, request, self._prompt[request], self._answer[request])
        self._announce(replica)

    def _choose(self, replicas: list[Replica], now: float) -> Replica | None:
        if len(replicas) == 1:
            only = replicas[0]
            return only if only.ready_at <= now and not only.is_draining else None
        ready = [replica for replica in replicas if replica.ready_at <= now and not replica.is_draining]
        if len(ready) < 2:
            return ready[0] if ready else None
        first, second = self._random.sample(ready, 2)
        return first if first.load <= second.load else second

    def _announce(self, replica: Replica) -> None:
        replica.version += 1
        at = replica.next_event()
        if at < inf:
            self._count += 1
            heappush(self._heap, (at, self._count, replica.version, replica))

    def _wake(self, now: float, expert: int) -> None:
        if not self._groups[expert].replicas:
            self._start(now, expert)

    def _tick(self, now: float) -> None:
        """Scale, lose spot instances, and pay for the last interval."""
        for index, group in enumerate(self._groups):
            for replica in [replica for replica in group.replicas if replica.is_draining and not replica.load]:
                group.replicas.remove(replica)
                self._retire(replica)
            self._scale(now, index, group)
            self._out.paid_s[index] += TICK_S * len(group.replicas)
            self._out.most[index] = max(self._out.most[index], len(group.replicas))
        self._out.paid_for_s += TICK_S
        for instance, count in self._instances().items():
            self._out.instance_s[instance] = self._out.instance_s.get(instance, 0.0) + TICK_S * count
        self._lose_spot(now)
        if now % 60 == 0:
            replicas = [len(group.replicas) for group in self._groups]
            ongoing = [sum(replica.load for replica in group.replicas) for group in self._groups]
            self._out.history.append((now, replicas, ongoing))

    def _scale(self, now: float, index: int, group: _Group) -> None:
        active = [replica for replica in group.replicas if not replica.is_draining]
        ongoing = sum(replica.load for replica in active)
        wanted = min(group.most, max(group.fewest, ceil(ongoing / group.target)))
        rules = self._plan.fleet
        group.above_since = min(group.above_since, now) if wanted > len(active) else inf
        group.below_since = min(group.below_since, now) if wanted < len(active) else inf
        if now - group.above_since >= rules.upscale_delay_s:
            for _ in range(wanted - len(active)):
                self._start(now, index)
            group.above_since = inf
        elif now - group.below_since >= rules.downscale_delay_s:
            for replica in sorted(active, key=lambda replica: replica.load)[: len(active) - wanted]:
                replica.is_draining = True
            group.below_since = inf

    def _start(self, now: float, expert: int) -> None:
        """Ask for one more replica; it waits for a node when none has room."""
        before = sum(self._instances().values())
        replica = _replica(self._engines[expert], expert, now + self._engines[expert].start_s)
        self._groups[expert].replicas.append(replica)
        if sum(self._instances().values()) > before:
            replica.ready_at += self._plan.fleet.node_start_s

    def _instances(self) -> Counter[str]:
        """Count the instances that the replicas fill."""
        cores: Counter[str] = Counter()
        sizes = {}
        for index, group in enumerate(self._groups):
            engine = self._engines[index]
            cores[engine.instance] += engine.cores * len(group.replicas)
            sizes[engine.instance] = self._prices[index][1]
        return Counter({name: ceil(count / sizes[name]) for name, count in cores.items() if count})

    def _lose_spot(self, now: float) -> None:
        """Take instances away as often as spot does: all replicas on one, their requests begun anew elsewhere."""
        spot = self._plan.fleet.spot
        if spot is None:
            return
        chance = spot.losses_per_instance_hour * TICK_S / 3600
        for instance, count in self._instances().items():
            for _ in range(count):
                if self._random.random() < chance:
                    self._lose(now, instance)

    def _lose(self, now: float, instance: str) -> None:
        there = [r for group in self._groups for r in group.replicas if self._engines[r.expert].instance == instance]
        self._random.shuffle(there)
        cores = 0
        for replica in there:
            cores += self._engines[replica.expert].cores
            if cores > self._prices[replica.expert][1]:
                return
            self._groups[replica.expert].replicas.remove(replica)
            self._retire(replica)
            replica.version += 1  # what was announced does not happen
            self._start(now, replica.expert)
            for request in replica.running:
                self._out.restarted += 1
                self._arrive(now, request, self._requests.expert.item(request))

    def _retire(self, replica: Replica) -> None:
        self._out.busy_s[replica.expert] += replica.busy_s


def _replica(engine: EngineModel, expert: int, ready_at: float) -> Replica:
    if engine.chunk_tokens is None:
        return Replica(engine, expert, ready_at)
    return FusedReplica(engine, expert, ready_at, engine.chunk_tokens)
