"""Web servers and caches in front of an application, each with the least configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import web_servers
from tests.e2e.waiting import LOOPBACK, free_port

_NGINX = """
map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
server {{
    listen {host}:{port};
    location / {{
        proxy_pass http://{host}:{application};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }}
}}
"""

_APACHE = """
Listen {host}:{port}
ServerTokens Prod
KeepAliveTimeout 15
MaxKeepAliveRequests 0
ProxyPass / http://{host}:{application}/ upgrade=websocket
"""

_HAPROXY = """
frontend site
    mode http
    bind {host}:{port}
    default_backend application
backend application
    mode http
    server one {host}:{application}
"""

_CADDY = """
http://:{port} {{
    bind {host}
    reverse_proxy {host}:{application}
}}
"""

_LIGHTTPD = """
server.bind = "{host}"
server.port = {port}
proxy.server = ( "" => ( ( "host" => "{host}", "port" => {application} ) ) )
proxy.header = ( "upgrade" => "enable" )
"""

_VARNISH = """
backend default {{ .host = "{host}"; .port = "{application}"; }}
sub vcl_recv {{ return (pass); }}
sub vcl_deliver {{ unset resp.http.X-Varnish; }}
"""

_SERVERS = {
    "nginx": (web_servers.run_nginx, _NGINX),
    "apache": (web_servers.run_apache, _APACHE),
    "haproxy": (web_servers.run_haproxy, _HAPROXY),
    "caddy": (web_servers.run_caddy, _CADDY),
    "lighttpd": (web_servers.run_lighttpd, _LIGHTTPD),
    "varnish": (web_servers.run_varnish, _VARNISH),
}


@contextmanager
def in_front(name: str, directory: Path, application: int) -> Iterator[int]:
    """The port of that server, in front of the application's port."""
    directory.mkdir()
    run, text = _SERVERS[name]
    port = free_port()
    with run(directory, text.format(host=LOOPBACK, port=port, application=application), port):
        yield port
