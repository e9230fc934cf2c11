"""One node of a cluster in a network of its own: an expert's container and a gateway's, started as their pods do.

`tests.deploy.test_images` runs it under `unshare --net --pid`, so ports are the cluster's own (but for the gateway's,
whose 8000 is Ray Serve's as well) and nothing outlives it.
It does what KubeRay does (hands `serveConfigV2` to the dashboard, waits until every application runs), then asks
through the gateway, and prints what it saw as one JSON object.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

GATEWAY = "http://127.0.0.1:8002"
DASHBOARD = "http://127.0.0.1:8265/api/serve/applications/"
PATIENCE_S = 170.0
STARTS = 3


class NeverCame(Exception):
    """What was waited for did not come."""


def main(folder: Path) -> None:
    """Run what `folder`/plan.json says."""
    plan = json.loads((folder / "plan.json").read_text())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seen: dict[str, Any] = {}
    token = {"authorization": f"Bearer {plan['token']}"}
    expert = _restarted(plan["expert"], folder / "expert.log", token)
    status, _ = _ask("PUT", DASHBOARD, plan["serve_config"], headers=token)
    seen["deploy"] = status
    _until(lambda: _running(token) == set(plan["experts"]), "the applications", expert)
    gateway = _start(plan["gateway"], folder / "gateway.log")
    _until(lambda: _ask("GET", f"{GATEWAY}/ready")[0] == 200, "the gateway", gateway)
    key = {"authorization": f"Bearer {plan['key']}"}
    for name in plan["experts"]:
        body = {"model": name, "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 8}
        status, answer = _ask("POST", f"{GATEWAY}/v1/chat/completions", body, headers=key)
        seen[name] = [status, answer]
    seen["without_key"] = _ask("POST", f"{GATEWAY}/v1/chat/completions", {})[0]
    seen["users"] = _users(plan["marks"])
    [process] = [pid for pid, _, args in _processes() if "moegate gateway" in args]
    os.kill(process, signal.SIGTERM)
    seen["stopped"] = gateway.wait(90)
    print(json.dumps(seen))


def _restarted(given: Mapping[str, Any], log: Path, token: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start Ray; again where it gives up, as a kubelet does: on a crowded machine its own patience runs out."""
    for attempt in range(STARTS):
        process = _start(given, log)
        try:
            _until(lambda: _ask("GET", DASHBOARD, headers=token)[0] == 200, "Ray's dashboard", process)
            return process
        except NeverCame:
            process.kill()
            process.wait()
            if attempt == STARTS - 1:
                raise
    raise AssertionError("unreachable")


def _start(given: Mapping[str, Any], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as stream:
        return subprocess.Popen(given["command"], env=given["settings"], stdout=stream, stderr=subprocess.STDOUT)


def _ask(method: str, url: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
            return answer.status, json.loads(raw) if raw.startswith(b"{") else raw.decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, None


def _running(token: Mapping[str, str]) -> set[str]:
    _, answer = _ask("GET", DASHBOARD, headers=token)
    found = answer["applications"] if isinstance(answer, dict) else {}
    failed = {name: _why(one) for name, one in found.items() if one["status"] == "DEPLOY_FAILED"}
    if failed:
        raise NeverCame(json.dumps(failed))
    return {name for name, one in found.items() if one["status"] == "RUNNING"}


def _why(application: Mapping[str, Any]) -> str:
    """The last words of what failed."""
    told = [application["message"], *(one["message"] for one in application["deployments"].values())]
    return " / ".join(text.strip()[-800:] for text in told)


def _users(marks: list[str]) -> dict[str, list[str]]:
    """Who runs the processes whose command line has each mark."""
    return {mark: sorted({user for _, user, args in _processes() if mark in args}) for mark in marks}


def _processes() -> list[tuple[int, str, str]]:
    """List the containers' processes: id, user, command line."""
    table = subprocess.run(["ps", "-eo", "pid,uid,args"], check=True, capture_output=True, text=True).stdout
    found = [line.split(None, 2) for line in table.splitlines()[1:]]
    return [(int(pid), user, args) for pid, user, args in found if "unshare" not in args and "one_node" not in args]


def _until(condition: Callable[[], bool], what: str, process: "subprocess.Popen[bytes]") -> None:
    began = time.monotonic()
    while not condition():
        if process.poll() is not None or time.monotonic() - began > PATIENCE_S:
            raise NeverCame(f"{what}: exit {process.poll()} after {time.monotonic() - began:.0f} s")
        time.sleep(0.2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
