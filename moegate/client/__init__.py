"""Runs the tool calls of an answer in the order of their inputs, then asks on, at any OpenAI-compatible server.

from moegate.client import HttpServer, Runner, tool

runner = Runner(HttpServer("http://127.0.0.1:8000/v1"), [tool(get_weather), tool(send_email)])
print(runner.run("Mail Anna the weather in Oslo").text)
"""

from moegate.client.calls import Call, PlanError
from moegate.client.cancel import Cancel
from moegate.client.execution import Execution, Observation
from moegate.client.references import UnresolvedReference, resolve
from moegate.client.runner import Result, Runner
from moegate.client.server import HttpServer, OpenAIServer, Server, ServerError
from moegate.client.tools import Tool, ToolFailed, tool

__all__ = [
    "Call",
    "Cancel",
    "Execution",
    "HttpServer",
    "Observation",
    "OpenAIServer",
    "PlanError",
    "Result",
    "Runner",
    "Server",
    "ServerError",
    "Tool",
    "ToolFailed",
    "UnresolvedReference",
    "resolve",
    "tool",
]
