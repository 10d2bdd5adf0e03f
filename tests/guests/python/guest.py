"""Counts its requests, in Python. A request with a body is answered "COUNT LENGTH", one for /err with an err."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.http_types import HttpResponse


class Actor(exports.Actor):
    def init(self, state, params):
        return (None,)


class HttpServer(exports.HttpServer):
    def handle_request(self, state, params):
        (request,) = params
        if request.uri == "/err":
            raise Err("asked to fail")
        count = int(state or b"0") + 1
        body = f"{count} {len(request.body or b'')}".encode()
        return (str(count).encode(), (HttpResponse(200, [], body),))
