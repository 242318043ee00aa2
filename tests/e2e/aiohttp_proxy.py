"""aiohttp at both ends of a connection: a real server for our client, a real client for our bridge.

It takes requests and messages apart, and sends what they carried in ones of its own.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from tests.e2e.waiting import LOOPBACK, listens, wait_for
from tests.libraries import library

aiohttp = library("aiohttp")
web = library("aiohttp.web")

#: What belongs to one connection, and what aiohttp says itself.
_NOT_PASSED_ON = {"connection", "upgrade", "content-length", "transfer-encoding", "keep-alive"}
_LIMIT = 1 << 21


class AiohttpProxy:
    """Passes all requests on to a bridge, for the time of a `with` block."""

    def __init__(self, port: int, bridge: int) -> None:
        self._base = f"{LOOPBACK}:{bridge}"
        self._port = port
        self._application = web.Application(client_max_size=_LIMIT)
        self._application.router.add_route("*", "/{path:.*}", self._answer)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._client: Any = None
        self.errors: list[BaseException] = []
        #: WebSockets' messages, and requests of HTTP.
        self.messages = 0
        self.requests = 0

    async def _run(self) -> None:
        runner = web.AppRunner(self._application)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as self._client:
            await web.TCPSite(runner, LOOPBACK, self._port).start()
            await self._stop.wait()
            await runner.cleanup()

    async def _answer(self, request: Any) -> Any:
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._join(request)
            return await self._pass_on(request)
        except Exception as error:
            self.errors.append(error)
            raise

    async def _pass_on(self, request: Any) -> Any:
        self.requests += 1
        body = await request.read()
        async with self._client.request(
            request.method,
            f"http://{self._base}{request.raw_path}",
            headers=self._passed(request),
            data=body or None,
        ) as answer:
            content = await answer.read()
            headers = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=content, headers=headers)

    async def _join(self, request: Any) -> Any:
        url = f"ws://{self._base}{request.raw_path}"
        own = {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
        headers = {
            name: value for name, value in self._passed(request).items() if name.lower() not in own
        }
        visitor = web.WebSocketResponse(compress=False, max_msg_size=_LIMIT)
        await visitor.prepare(request)
        async with self._client.ws_connect(url, headers=headers, max_msg_size=_LIMIT) as bridge:
            await asyncio.gather(self._copy(visitor, bridge), self._copy(bridge, visitor))
        return visitor

    async def _copy(self, source: Any, sink: Any) -> None:
        async for message in source:
            if message.type is aiohttp.WSMsgType.ERROR:
                raise message.data
            self.messages += 1
            await sink.send_bytes(message.data)
        # 1006: TCP ended without a close frame, as it may; no end found fault with the other.
        assert source.close_code in (1000, 1001, 1006, None), source.close_code
        await sink.close()

    @staticmethod
    def _passed(request: Any) -> dict[str, str]:
        return {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: listens(self._port), "a proxy that listens")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
