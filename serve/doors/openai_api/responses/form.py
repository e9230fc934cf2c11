"""`/v1/responses` as a wire form (`serve.doors.wire_form`), with its store of responses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from protos import chat_pb2 as chat
from serve.doors.count import ONE_TOKEN, CountPresenter
from serve.doors.field_names import FieldNames
from serve.doors.json_body import parse
from serve.doors.openai_api.responses.events import RESPONSES_ERRORS, ResponsePresenter
from serve.doors.openai_api.responses.file_search import FileSearch, Searched
from serve.doors.openai_api.responses.items import InputItem, ItemReference, Turns
from serve.doors.openai_api.responses.output import ID_PREFIX, ResponseObject, Status, response_of
from serve.doors.openai_api.responses.request import ResponsesBody
from serve.doors.openai_api.responses.store import ResponseStore, Stored
from serve.doors.own_fields import to_documents, to_retrieval, tool_places, toolsets_in
from serve.doors.request_builder import Headers, Parts
from serve.doors.wire_form import Asked, WireForm
from serve.errors import InvalidRequest, StorageUnavailable, UnknownResponse, UnsupportedParameter
from serve.request import Caller, ChatRequest
from serve.steps.answer import Answer, End
from serve.steps.retrieval.question import standalone_question

_WORDS: Final = {
    "messages": "input",
    "function": "",
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
}
_COUNTED: Final = {"object": "response.input_tokens"}
_STEP: Final = "retrieval"  # that searches; importing it would cost who has no encoder
_ITEM: Final[TypeAdapter[InputItem]] = TypeAdapter(InputItem)


def responses_forms(store: ResponseStore) -> tuple[WireForm, WireForm]:
    """Make the form, and that of the count of a prompt's tokens."""
    reader = _Reader(store)
    answers = WireForm(
        "responses",
        "Answer items, and keep the response",
        ResponsesBody,
        ID_PREFIX,
        reader.read,
        RESPONSES_ERRORS,
    )
    counts = WireForm(
        "responses",
        "Count a prompt's tokens, in OpenAI's form; an expert reads the prompt for it",
        ResponsesBody,
        "tokens_",
        reader.read_to_count,
        RESPONSES_ERRORS,
    )
    return answers, counts


class _Reader:
    """Reads requests, which may go on from what is kept."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def read(self, raw: bytes, headers: Headers, caller: Caller) -> Asked:
        """Read a body, and look up what it refers to."""
        return await self._asked(parse(ResponsesBody, raw), caller)

    async def read_to_count(self, raw: bytes, headers: Headers, caller: Caller) -> Asked:
        """Read a body of which only the prompt's length is wanted; nothing of it is kept."""
        asked = await self._asked(parse(ResponsesBody, raw), caller)
        parts = replace(asked.parts, sampling=ONE_TOKEN, is_stream=False, store=False)
        return Asked(parts, lambda request, answer: CountPresenter(RESPONSES_ERRORS, _COUNTED), asked.names)

    async def _asked(self, body: ResponsesBody, caller: Caller) -> Asked:
        search = body.search()
        self._check_store(body)
        turns = await self._turns(body, caller)
        instructions = [chat.Message(role=chat.ROLE_SYSTEM, content=body.instructions)] if body.instructions else []
        conversation = chat.Conversation(
            messages=[*instructions, *turns.messages],
            tools=body.to_tools(),
            tool_choice=body.to_tool_choice(),
            documents=to_documents(body.documents),
            parallel_tool_calls=body.parallel_tool_calls,
            response_format=body.to_response_format(),
        )
        parts = Parts(
            model=body.model or "",
            input=conversation,
            sampling=body.to_sampling(),
            is_stream=bool(body.stream),
            quality_cost=body.quality_cost,
            ttft_target_ms=body.ttft_target_ms,
            store=body.store,
            user=body.safety_identifier or body.user,
            retrieval=to_retrieval(body.retrieval) if search is None else search.retrieval,
            toolsets=toolsets_in(body.tools),
        )

        def present(request: ChatRequest, answer: Answer) -> ResponsePresenter:
            response = ResponseObject.begin(request.id, answer.decision.expert, body)
            searched = None if search is None else _searched(search, request, answer)
            return ResponsePresenter(response, _Keeper(self._store, caller, turns).keep, searched)

        places = {"messages": ["instructions"] * len(instructions) + turns.places}
        places |= tool_places(body.tools or (), list(body.kept_tools()))
        words = _WORDS if search is None else {**_WORDS, **search.words}
        return Asked(parts, present, FieldNames(places, words, {"tool_call_id": "call_id"}))

    def _check_store(self, body: ResponsesBody) -> None:
        """Refuse what needs a store where there is none."""
        for name, is_asked in (("store", body.store), ("previous_response_id", body.previous_response_id)):
            if is_asked and not self._store.is_on:
                raise UnsupportedParameter(f"'{name}': this gateway keeps no responses", param=name)
        if body.input is None and body.previous_response_id is None:
            raise InvalidRequest("'input' is required", param="input")

    async def _turns(self, body: ResponsesBody, caller: Caller) -> Turns:
        """The turns before, and those of the input."""
        turns = Turns()
        if body.previous_response_id is not None:
            before = await self._stored(body.previous_response_id, caller, "previous_response_id")
            turns.add_all(before.turns.messages, "previous_response_id")
        if isinstance(body.input, str):
            turns.add(chat.Message(role=chat.ROLE_USER, content=body.input), "input")
            return turns
        for i, item in enumerate(body.input or ()):
            place = f"input[{i}]"
            turns.add_item(await self._found(item, caller, place) if isinstance(item, ItemReference) else item, place)
        return turns

    async def _found(self, reference: ItemReference, caller: Caller, place: str) -> InputItem:
        """Look an item up that an earlier response had in its output."""
        stored = await self._stored(response_of(reference.id), caller, f"{place}.id")
        for item in orjson.loads(stored.body)["output"]:
            if item["id"] == reference.id:
                return _ITEM.validate_python(item)
        raise _unknown(f"{place}.id")

    async def _stored(self, response_id: str, caller: Caller, param: str) -> Stored:
        found = await self._store.get(response_id, caller.name) if self._store.is_on else None
        if found is None:
            raise _unknown(param)
        return found


class _Keeper:
    """Keeps the response of one request."""

    def __init__(self, store: ResponseStore, caller: Caller, turns: Turns) -> None:
        self._store = store
        self._caller = caller
        self._turns = turns

    async def keep(
        self, response: ResponseObject, status: Status, output: Sequence[dict[str, Any]], end: End
    ) -> dict[str, Any]:
        """Make the last version and keep it, unless the request or the settings say no.

        Only a request that says `store: true` fails where it cannot be kept; any other response says `store: false`.
        """
        wanted = response.body.store
        if wanted is not False and self._store.is_on:
            kept = response.version(status, output, end=end, is_stored=True)
            try:
                await self._store.put(
                    Stored(response.id, self._caller.name, orjson.dumps(kept), self._with(response, output))
                )
            except StorageUnavailable:
                if wanted:
                    raise
            else:
                return kept
        return response.version(status, output, end=end)

    def _with(self, response: ResponseObject, output: Sequence[dict[str, Any]]) -> chat.Conversation:
        """The turns with the answer, which names its expert: routing stays with it (`serve.routing.query`)."""
        answer = Turns()
        for item in output:
            answer.add_item(_ITEM.validate_python(item), "")
        for message in answer.messages:
            message.name = response.model
        return chat.Conversation(messages=[*self._turns.messages, *answer.messages])


def _searched(search: FileSearch, request: ChatRequest, answer: Answer) -> Searched:
    """Tell of a file search what its step has told of it."""
    question = "" if isinstance(request.input, str) else standalone_question(request.input)
    return Searched(search, question, answer.documents, "failed=" in answer.notes.get(_STEP, ""))


def _unknown(param: str) -> UnknownResponse:
    return UnknownResponse(f"'{param}': no such response is kept", param=param)
