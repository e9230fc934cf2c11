"""What an expert's latest answers were like: time to first token, time a sequence keeps its slot, length.

The gateway's health monitor owns one `ExpertEstimate` for each expert and updates it from the last message of every
stream; `objective` reads it. Immutable: an observation returns the next estimate, so no decision sees half of one.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

WEIGHT = 0.1  # of a new observation: the memory is the last twenty answers or so
FORGET_S = 60.0  # an expert of whom nothing was heard for so long is unknown again, or it would never be tried again


@dataclass(frozen=True, slots=True)
class Ewma:
    """Exponentially weighted mean and variance (West 1979; Finch 2009, equations 124 and 143).

    Attributes:
        mean: of the observations, in their unit.
        variance: in that unit squared.
        count: observations so far.
    """

    mean: float = 0.0
    variance: float = 0.0
    count: int = 0

    def observed(self, value: float) -> "Ewma":
        """Take one observation in; early ones weigh as in a plain mean."""
        weight = max(WEIGHT, 1.0 / (self.count + 1))
        step = value - self.mean
        variance = (1.0 - weight) * (self.variance + weight * step * step)
        return Ewma(self.mean + weight * step, variance, self.count + 1)


class ExpertEstimate(NamedTuple):
    """One expert's recent answers.

    Attributes:
        first_token: seconds from dispatch to first token, the wait for a slot left out.
        slot: seconds one sequence keeps its place in the batch.
        completion_tokens: tokens of an answer.
        at: when the last answer ended, seconds by the owner's monotonic clock.
    """

    first_token: Ewma = Ewma()
    slot: Ewma = Ewma()
    completion_tokens: Ewma = Ewma()
    at: float = -math.inf

    def answered(
        self, *, ttft_s: float, queue_s: float, slot_s: float, completion_tokens: int, at: float
    ) -> "ExpertEstimate":
        """Take one finished answer in.

        Args:
            ttft_s: dispatch to first token, by the gateway's clock.
            queue_s: of it, the wait for a slot, by the replica's clock; 0 where the engine does not say.
            slot_s: prefill and decode together, by the replica's clock; likewise.
            completion_tokens: tokens of the answer.
            at: now, by the owner's clock.
        """
        fresh = self if at - self.at <= FORGET_S else ExpertEstimate(completion_tokens=self.completion_tokens)
        return ExpertEstimate(
            first_token=fresh.first_token.observed(max(0.0, ttft_s - queue_s)),
            slot=fresh.slot.observed(slot_s),
            completion_tokens=fresh.completion_tokens.observed(float(completion_tokens)),
            at=at,
        )

    def p_late(self, target_s: float, *, queue_len: int, max_batch_size: int, now: float) -> float:
        """Return P(time to first token > `target_s`) for one more request; 0 for an expert nothing is known of.

        A full batch frees a slot every `slot.mean / max_batch_size` seconds, so with k sequences to wait for the wait
        is Erlang: mean k times that, variance k times its square. Wait and first token are added and matched by a
        log-normal, because times to first token are positive and skewed.

        Args:
            target_s: what is left of the caller's target, seconds.
            queue_len: sequences in the expert now, running and waiting.
            max_batch_size: sequences it runs at once; 0 counts as 1.
            now: by the owner's clock.
        """
        if not self.first_token.count or now - self.at > FORGET_S:
            return 0.0
        slots = max(1, max_batch_size)
        ahead = max(0, queue_len + 1 - slots)
        between_s = self.slot.mean / slots
        mean = self.first_token.mean + ahead * between_s
        variance = self.first_token.variance + ahead * between_s**2
        return _lognormal_tail(target_s, mean, variance)


def _lognormal_tail(at: float, mean: float, variance: float) -> float:
    """Return P(X > at) of the log-normal with this mean and variance; a step at the mean where there is no spread."""
    if at <= 0.0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    spread = math.log1p(variance / mean**2)
    if spread < 1e-12:
        return 1.0 if mean > at else 0.0
    centre = math.log(mean) - spread / 2
    return 0.5 * math.erfc((math.log(at) - centre) / math.sqrt(2 * spread))
