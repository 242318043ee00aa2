"""Real web servers for a test's time: what each needs around the part that the test is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

from tests.e2e.halves import Process
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, listens, wait_for

# One process, so that ending it leaves no worker behind, unless it is to be reloaded.
_NGINX = """
daemon off;
master_process {master};
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {text}
}}
"""

_HAPROXY = """
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
{text}
"""

_APACHE_MODULES = ("mpm_event", "authz_core", "dir", "mime", "ssl", "proxy", "proxy_http")
_APACHE = """
{modules}
ServerName localhost
PidFile {directory}/pid
ErrorLog {directory}/error.log
DefaultRuntimeDir {directory}
TypesConfig /dev/null
DirectoryIndex index.html
<Directory {directory}>
    Require all granted
</Directory>
{text}
"""

_CADDY = """
{{
    admin off
    auto_https disable_redirects
    storage file_system {directory}/storage
}}
{text}
"""

_LIGHTTPD = """
server.document-root = "{directory}"
server.modules = ( "mod_proxy" )
{text}
"""


@contextmanager
def run_nginx(
    directory: Path, text: str, port: int, *, reloadable: bool = False
) -> Iterator[Process]:
    """nginx with `text` at its level of http, once it listens on `port`."""
    file = directory / "nginx.conf"
    master = "on" if reloadable else "off"
    file.write_text(_NGINX.format(directory=directory, text=text, master=master))
    log = directory / "error.log"
    options = ("-p", directory, "-e", log, "-c", file)
    with _listening(port, "nginx", *options) as process:
        yield process
        if reloadable:
            process.signal(SIGTERM)
            process.wait()


@contextmanager
def run_haproxy(directory: Path, text: str, port: int) -> Iterator[Process]:
    """HAProxy, once it listens on `port`; `text` may have defaults of its own."""
    file = directory / "haproxy.cfg"
    file.write_text(_HAPROXY.format(text=text))
    with _listening(port, "haproxy", "-db", "-f", file) as process:
        yield process


@contextmanager
def run_apache(directory: Path, text: str, port: int) -> Iterator[Process]:
    """Apache's httpd with these virtual hosts, once it listens on `port`."""
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in _APACHE_MODULES
    )
    file = directory / "apache.conf"
    file.write_text(_APACHE.format(directory=directory, modules=modules, text=text))
    with _listening(port, "apache2", "-D", "FOREGROUND", "-d", directory, "-f", file) as process:
        yield process
        process.signal(SIGTERM)
        process.wait()


@contextmanager
def run_caddy(directory: Path, text: str, port: int) -> Iterator[Process]:
    """Caddy with these sites, once it listens on `port`."""
    file = directory / "Caddyfile"
    file.write_text(_CADDY.format(directory=directory, text=text))
    options = ("run", "--adapter", "caddyfile", "--config", file)
    with _listening(port, "caddy", *options) as process:
        yield process


@contextmanager
def run_lighttpd(directory: Path, text: str, port: int) -> Iterator[Process]:
    """lighttpd, once it listens on `port`."""
    file = directory / "lighttpd.conf"
    file.write_text(_LIGHTTPD.format(directory=directory, text=text))
    with _listening(port, "lighttpd", "-D", "-f", file) as process:
        yield process


@contextmanager
def run_varnish(directory: Path, text: str, port: int) -> Iterator[Process]:
    """Varnish, on `port` of loopback once it listens there; `text` is VCL."""
    file = directory / "varnish.vcl"
    file.write_text(f"vcl 4.1;\n{text}")
    place = f"{LOOPBACK}:{port}"
    options = ("-F", "-j", "none", "-n", directory, "-f", file, "-a", place, "-s", "malloc,8m")
    with _listening(port, "varnishd", *options) as process:
        yield process
        process.signal(SIGTERM)
        process.wait()


@contextmanager
def _listening(port: int, name: str, *arguments: object) -> Iterator[Process]:
    with Process(tool(name), *arguments) as process:
        wait_for(lambda: listens(port) or process.status is not None, f"{name} that listens")
        assert process.status is None, process.stderr
        yield process
