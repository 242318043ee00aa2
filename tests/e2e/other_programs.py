"""Programs that ask a server, and applications that answer, as their libraries have them do."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tests.e2e.process import PATIENCE, Process
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, wait_for
from tests.libraries import library

_PROGRAMS = Path(__file__).with_name("programs")
_JARS = [f"/usr/share/java/{name}.jar" for name in ("okhttp", "okio")]
_NODE = {"NODE_PATH": "/usr/share/nodejs"}

_requests = library("requests")
_aiohttp = library("aiohttp")
_websocket = library("websocket")
_sync_client = library("websockets.sync.client")
_sync_server = library("websockets.sync.server")
_uvicorn = library("uvicorn")

Fields = Sequence[tuple[str, str]]
BODY = b"12345"


def _run(*words: object, **environment: str) -> None:
    subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **environment},
        timeout=PATIENCE,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _words(url: str, method: str, fields: Fields) -> list[str]:
    return [url, method, *(f"{name}={value}" for name, value in fields)]


def built_go(name: str, directory: Path) -> Path:
    """The program of that name, compiled."""
    program = directory / name
    _run(
        tool("go"),
        "build",
        "-o",
        program,
        _PROGRAMS / f"{name}.go",
        GOPATH="/usr/share/gocode",
        GO111MODULE="off",
        GOCACHE=str(directory / "cache"),
    )
    return program


def _go(directory: Path, url: str, method: str, fields: Fields) -> None:
    _run(built_go("ask", directory), *_words(url, method, fields))


def _node(directory: Path, url: str, method: str, fields: Fields) -> None:
    _run(tool("node"), _PROGRAMS / "ask.js", *_words(url, method, fields), **_NODE)


def _okhttp(directory: Path, url: str, method: str, fields: Fields) -> None:
    jars = ":".join(_JARS)
    if not (directory / "Ask.class").exists():
        _run(tool("javac"), "-cp", jars, "-d", directory, _PROGRAMS / "Ask.java")
    _run(tool("java"), "-cp", f"{jars}:{directory}", "Ask", *_words(url, method, fields))


def _curl(directory: Path, url: str, method: str, fields: Fields) -> None:
    options = [word for name, value in fields for word in ("-H", f"{name}: {value}")]
    if method == "POST":
        options += ["--data-binary", BODY.decode()]
    _run(tool("curl"), "--silent", *options, url)


def _python_requests(directory: Path, url: str, method: str, fields: Fields) -> None:
    with _requests.Session() as session:
        body = BODY if method == "POST" else None
        session.request(method, url, headers=dict(fields), data=body).close()


def _python_aiohttp(directory: Path, url: str, method: str, fields: Fields) -> None:
    async def ask() -> None:
        async with _aiohttp.ClientSession() as session:
            if url.startswith("ws"):
                async with session.ws_connect(url, headers=dict(fields)):
                    return
            body = BODY if method == "POST" else None
            async with session.request(method, url, headers=dict(fields), data=body):
                pass

    asyncio.run(ask())


def _websocket_client(directory: Path, url: str, method: str, fields: Fields) -> None:
    _websocket.create_connection(url, header=[": ".join(field) for field in fields]).close()


def _websockets(directory: Path, url: str, method: str, fields: Fields) -> None:
    with _sync_client.connect(url, additional_headers=dict(fields)):
        pass


#: By the names that requests have in the definitions: send one, or open a WebSocket.
ASK: dict[str, Callable[[Path, str, str, Fields], None]] = {
    "aiohttp": _python_aiohttp,
    "curl": _curl,
    "go": _go,
    "node": _node,
    "okhttp": _okhttp,
    "requests": _python_requests,
    "websocket-client": _websocket_client,
    "websockets": _websockets,
}


@contextmanager
def _printing_its_port(*words: object, **environment: str) -> Iterator[int]:
    with Process(*words, env=environment) as process:
        wait_for(lambda: "\n" in process.stdout or process.status is not None, "port")
        assert process.status is None, process.stderr
        yield int(process.stdout)


@contextmanager
def go_serving(directory: Path) -> Iterator[int]:
    """Go's net/http, and gorilla/websocket; its port."""
    with _printing_its_port(built_go("serve", directory)) as port:
        yield port


@contextmanager
def node_serving() -> Iterator[int]:
    """Node's http, and ws; its port."""
    with _printing_its_port(tool("node"), _PROGRAMS / "serve.js", **_NODE) as port:
        yield port


@contextmanager
def websockets_serving() -> Iterator[int]:
    """The websockets library, told not to compress; its port."""
    with _sync_server.serve(lambda _: None, LOOPBACK, 0, compression=None) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(PATIENCE)


@contextmanager
def aiohttp_serving() -> Iterator[int]:
    """aiohttp, told not to compress; its port."""
    web = library("aiohttp.web")

    async def answer(request: Any) -> Any:
        if request.path == "/live":
            socket = web.WebSocketResponse(compress=False)
            await socket.prepare(request)
            await socket.close()
            return socket
        fields = {"X-Request-Id": "1"}
        return web.Response(body=b"one", content_type="application/vnd.test", headers=fields)

    application = web.Application()  # skips the test where there is no aiohttp
    loop = asyncio.new_event_loop()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, LOOPBACK, 0).start())
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield runner.addresses[0][1]
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


@contextmanager
def uvicorn_serving() -> Iterator[int]:
    """uvicorn; its port."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/vnd.test"), (b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one"})

    settings = _uvicorn.Config(answer, host=LOOPBACK, port=0, lifespan="off", log_config=None)
    server = _uvicorn.Server(settings)
    thread = Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, "uvicorn that listens")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)
