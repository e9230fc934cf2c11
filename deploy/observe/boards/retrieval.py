"""What collections give the answers: searches, what they find, whether it is cited, how long it takes."""

from typing import Final

from deploy.observe.panels import Dashboard, Panel, Query, p95, quantiles, rate

_ENCODER: Final = 'call="embed"'
_RANK: Final = 'call="rank"'
_EMPTY: Final = 'outcome="empty"'
_DONE: Final = 'outcome=~"found|empty"'
_CITED: Final = 'cites="yes"'
_WHOLE: Final = 'stage="all"'
_STAGES: Final = 'stage!="all"'


def _or_zero(*queries: Query) -> tuple[Query, ...]:
    """Queries that are zero where nobody has asked for passages yet."""
    return tuple(Query(f"{query.expr} or vector(0)", query.legend) for query in queries)


RETRIEVAL: Final = Dashboard(
    "moegate-retrieval",
    "moegate · Retrieval",
    "Collections searched for requests, and the encoder beside them; all zero where neither is on",
    (
        Panel(
            "Searches",
            "Requests a second that wanted passages: found, nothing found, the search failed, the request was refused",
            "cps",
            (Query(f"{rate('moegate_retrieval_requests_total', 'outcome')} or vector(0)", "{{outcome}}"),),
        ),
        Panel(
            "Nothing found",
            "Searches that brought no passage, of those that were carried out: an empty collection, or the wrong one",
            "percentunit",
            (
                Query(
                    f"{rate('moegate_retrieval_requests_total', where=_EMPTY)} / "
                    f"{rate('moegate_retrieval_requests_total', where=_DONE)} or vector(0)",
                    "nothing found",
                ),
            ),
        ),
        Panel(
            "Share cited",
            "Whole answers that cite a passage, of those that had passages: it falls where passages miss the question",
            "percentunit",
            (
                Query(
                    f"{rate('moegate_retrieval_answers_total', where=_CITED)} / "
                    f"{rate('moegate_retrieval_answers_total')} or vector(0)",
                    "cited",
                ),
            ),
        ),
        Panel(
            "Time of a search",
            "By our clock, from question to passages; the answer waits for it",
            "s",
            _or_zero(*quantiles("moegate_retrieval_seconds", where=_WHOLE)),
        ),
        Panel(
            "Where it goes",
            "Mean seconds by stage, by the replica's clock",
            "s",
            (
                Query(
                    f"{rate('moegate_retrieval_seconds_sum', 'stage', where=_STAGES)} / "
                    f"{rate('moegate_retrieval_seconds_count', 'stage', where=_STAGES)} or vector(0)",
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Slow stages",
            "The 95th percentile by stage: by the replica's clock; `all` is the whole search by ours",
            "s",
            _or_zero(p95("moegate_retrieval_seconds", "stage")),
        ),
        Panel(
            "Commands in passages",
            "Taken out of passages a second, because they command the model: somebody plants them",
            "cps",
            (Query(f"{rate('moegate_retrieval_neutralised_total', 'kind')} or vector(0)", "{{kind}}"),),
        ),
        Panel(
            "Embeddings",
            "Requests for embeddings a second, by how they ended",
            "cps",
            (
                Query(
                    f"{rate('moegate_encoder_requests_total', 'outcome', where=_ENCODER)} or vector(0)", "{{outcome}}"
                ),
            ),
        ),
        Panel(
            "Given documents ranked",
            "Requests a second whose own documents the encoder ranks, by how it ended; words rank alone where it fails",
            "cps",
            (Query(f"{rate('moegate_encoder_requests_total', 'outcome', where=_RANK)} or vector(0)", "{{outcome}}"),),
        ),
        Panel(
            "Time of ranking them",
            "From the request to the nearness of each of its documents; the answer waits for it",
            "s",
            _or_zero(*quantiles("moegate_encoder_seconds", where=_RANK)),
        ),
    ),
)
