"""The low-level server of aiohttp, without the framework around it.

``aiohttp.web`` imports routes, applications, static files and a command line as well: 10 ms and 1.3 MB for each link
(measured with aiohttp 3.14.5). These modules are where its public names come from.
"""

from aiohttp.web_exceptions import HTTPException, HTTPRequestEntityTooLarge
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse, json_response
from aiohttp.web_server import Server

__all__ = [
    "BaseRequest",
    "HTTPException",
    "HTTPRequestEntityTooLarge",
    "RequestHandler",
    "RequestPayloadError",
    "Response",
    "Server",
    "StreamResponse",
    "json_response",
]
