"""HTTP: paths to methods, uploads, errors, faults; everything that was asked is written down."""

from __future__ import annotations

import json
import re
import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from tests.endpoint import discovery
from tests.endpoint.errors import ApiError, invalid
from tests.endpoint.faults import Faults
from tests.endpoint.rest import IF_MATCH

BASE = "/bigquery/v2/"
UPLOADS = ("/upload", "/resumable/upload")
Serve = Callable[[str, tuple[str, ...], dict[str, str], dict[str, Any], Path | None], dict[str, Any]]


@dataclass
class Request:
    """One request as it came, and the status it was answered with (0: the answer was lost)."""

    verb: str
    path: str
    method: str
    query: dict[str, str]
    body: Any
    status: int = 0


@dataclass
class Upload:
    """A resumable upload under way."""

    body: dict[str, Any]
    file: Path
    path: str


@dataclass
class Log:
    """Every request, and how it broke the discovery document."""

    requests: list[Request] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def check(self, request: Request, method: dict[str, Any]) -> None:
        """Hold a request against the description of its method; refuse it as the service does."""
        in_query = discovery.check_query(request.method, method, request.query)
        found = [*in_query, *discovery.check_body(method, request.body)]
        self.violations += [f"{request.method}: {violation}" for violation in found]
        if found:
            raise invalid(f"Invalid JSON payload received. {'; '.join(found)}")


class Server(ThreadingHTTPServer):
    """The HTTP side; ``serve`` does what a method asks."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, serve: Serve, faults: Faults, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.serve, self.faults, self.folder = serve, faults, folder
        self.log = Log()
        self.uploads: dict[str, Upload] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class LostError(Exception):
    """The work is done; nobody is told."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.command == "PUT" and query.get("upload_id"):
                answer = self._finish_upload(query["upload_id"], payload)
            elif parts.path.startswith(UPLOADS):
                answer = self._upload(unquote(parts.path), query, payload)
            else:
                body = json.loads(payload) if payload else None
                answer = self._call(unquote(parts.path), query, body, None)
        except LostError:
            self.close_connection = True
            with suppress(OSError):  # the other side may be gone
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        except ApiError as error:
            self._answer(error.status, error.body())
            return
        except Exception as error:  # a mistake of the endpoint: no client should try again for minutes
            self.server.log.violations.append(f"the endpoint failed: {error!r}\n{traceback.format_exc()}")
            self._answer(400, ApiError(400, "endpointFailed", repr(error)).body())
            return
        if answer is not None:
            self._answer(200, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

    def _call(
        self, path: str, query: dict[str, str], body: Any, upload: Path | None, is_upload: bool = False
    ) -> dict[str, Any]:
        found = discovery.find(self.command if not is_upload else "POST", path.removeprefix(BASE))
        if not path.startswith(BASE) or found is None:
            self.server.log.violations.append(f"no such method: {self.command} {path}")
            raise ApiError(404, "notFound", f"Not found: {self.command} {path}")
        name, ids, described = found
        request = Request(self.command, path, name, query, body)
        self.server.log.requests.append(request)
        try:
            self.server.log.check(request, described)
            self.server.faults.before(name, body or {})
            sent = {**query, **({IF_MATCH: self.headers[IF_MATCH]} if self.headers[IF_MATCH] else {})}
            answer = self.server.serve(name, ids, sent, body or {}, upload)
            if self.server.faults.loses(name, body or {}):
                raise LostError
        except ApiError as error:
            request.status = error.status
            raise
        except (KeyError, TypeError, ValueError) as error:
            request.status = 400
            raise invalid(f"Required parameter is missing or malformed: {error!r}", "required") from error
        request.status = 200
        return answer

    def _upload(self, path: str, query: dict[str, str], payload: bytes) -> dict[str, Any] | None:
        path = next(path.removeprefix(prefix) for prefix in UPLOADS[::-1] if path.startswith(prefix))
        file = self.server.folder / f"upload-{uuid4().hex}"
        if query.get("uploadType") == "multipart":
            body, content = _multipart(self.headers["Content-Type"], payload)
            file.write_bytes(content)
            return self._call(path, query, body, file)
        if query.get("uploadType") != "resumable":
            raise invalid("uploadType has to be multipart or resumable")
        self.server.faults.before("upload", {})
        self.server.uploads[file.name] = Upload(json.loads(payload), file, path)
        file.touch()
        location = f"{self.server.url}/upload{path}?uploadType=resumable&upload_id={file.name}"
        self._answer(200, {}, {"Location": location})
        return None

    def _finish_upload(self, id_: str, payload: bytes) -> dict[str, Any] | None:
        upload = self.server.uploads[id_]
        with upload.file.open("ab") as file:
            file.write(payload)
        match = re.match(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers.get("Content-Range", ""))
        size = upload.file.stat().st_size
        if match and (match[3] == "*" or int(match[3]) > size):
            self._answer(308, {}, {"Range": f"bytes=0-{size - 1}"})
            return None
        return self._call(upload.path, {"uploadType": "resumable"}, upload.body, upload.file, is_upload=True)

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: ``Log`` keeps everything."""


def _multipart(content_type: str, payload: bytes) -> tuple[dict[str, Any], bytes]:
    """The two parts of a multipart/related upload: metadata and content."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if not match:
        raise invalid("The upload has no boundary")
    mark = b"--" + match[1].encode()
    head, content = payload.split(mark)[1], mark.join(payload.split(mark)[2:-1])
    metadata = json.loads(head.partition(b"\r\n\r\n")[2])
    return metadata, content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
