"""What collections give the answers: searches, what they find, whether it is cited, how long it takes."""

from typing import Final

from deploy.observe.panels import Dashboard, Panel, Query, quantiles, rate

_ENCODER: Final = 'call="embed"'
_CITED: Final = 'cites="yes"'
_WHOLE: Final = 'stage="all"'
_STAGES: Final = 'stage!="all"'

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
            tuple(
                Query(f"{query.expr} or vector(0)", query.legend)
                for query in quantiles("moegate_retrieval_seconds", where=_WHOLE)
            ),
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
    ),
)
