"""A certificate authority of the tests' own, made by the `openssl` command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

__all__ = ["Authority"]


class Authority:
    """Signs certificates for names; `ca` is the file that a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl = shutil.which("openssl")
        assert self._openssl, "these tests make certificates with the openssl command: install it"
        self.ca = folder / "ca.pem"
        subject = ["-subj", "/CN=Gatewright test authority"]
        extensions = ["-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE"]
        self._run("req", "-x509", *self._new_key("ca"), "-out", str(self.ca), "-days", "2", *subject, *extensions)

    def server(self, *names: str, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """Give the context of a server of these names (`DNS:…` or `IP:…`)."""
        at = self._folder
        (at / "names.cnf").write_text(f"subjectAltName={','.join(names)}\nbasicConstraints=CA:FALSE\n")
        self._run("req", *self._new_key("server"), "-out", str(at / "server.csr"), "-subj", "/CN=server")
        self._run(
            *("x509", "-req", "-in", str(at / "server.csr"), "-CA", str(self.ca), "-CAkey", str(at / "ca.key")),
            *("-CAcreateserial", "-out", str(at / "server.pem"), "-days", "2", "-extfile", str(at / "names.cnf")),
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(at / "server.pem", at / "server.key")
        context.set_alpn_protocols(list(protocols))
        return context

    def _new_key(self, name: str) -> list[str]:
        key = str(self._folder / f"{name}.key")
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]

    def _run(self, *arguments: str) -> None:
        subprocess.run([str(self._openssl), *arguments], check=True, capture_output=True)
