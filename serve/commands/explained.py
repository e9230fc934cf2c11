"""A decision of the router with its grounds, made as the gateway would make it with every expert up and idle.

`moegate route` prints it. The request is read by the door's own types, and what the router is told comes from the same
builders as in `serve.gateway`. Whether an expert can keep to a `response_format` is known only once it runs.
"""

import time

from experts.catalog.spec import Catalog
from router.evaluation.explain import Explanation, explain
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.request import AUTO, CallerPreferences
from serve.routing.expert_states import idle_states
from serve.routing.kinds import ServingRouter
from serve.routing.preferences import routing_preferences
from serve.routing.query import last_speaker, route_query
from serve.settings.tree import RouterSettings

WARM_UP = 3  # decisions: a process's first pay for imports and page faults; a gateway's have been paid


def explain_request(
    body: ChatCompletionBody, catalog: Catalog, router: ServingRouter, settings: RouterSettings
) -> Explanation:
    """Route a request and say why.

    Raises:
        UnknownExpertError: `model` names no expert.
    """
    conversation, sampling = body.to_input(), body.to_sampling()
    query, states = route_query(conversation), idle_states(catalog, sampling, conversation.response_format)
    preferences = routing_preferences(
        CallerPreferences(body.quality_cost, body.ttft_target_ms),
        settings,
        elapsed_s=0.0,
        now=time.monotonic(),
        max_tokens=sampling.max_tokens if sampling.HasField("max_tokens") else None,
        last_speaker=last_speaker(conversation, catalog.names),
    )
    pinned = None if body.model in AUTO else body.model
    for _ in range(WARM_UP):
        router.route(query, states, pinned, preferences)
    return explain(router, query, states, pinned, preferences)
