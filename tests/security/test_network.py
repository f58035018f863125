"""What listens is on loopback; with Dask's TLS files every connection is encrypted."""

import shutil
import socket
import ssl
import subprocess
from functools import partial

import pytest
from scorebench.datasets.errors import UsageError

pytest.importorskip("distributed", reason="scorebench[dask] is not installed")
dask = pytest.importorskip("dask")
psutil = pytest.importorskip("psutil")

from scorebench.studies.execution.dask_pool import DaskPool  # noqa: E402


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """Dask's configuration with a certificate of our own."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=scorebench", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    of_all = {
        f"distributed.comm.tls.{role}.{kind}": str(path)
        for role in ("client", "scheduler", "worker")
        for kind, path in (("cert", certificate), ("key", key))
    }
    return {"distributed.comm.tls.ca-file": str(certificate), **of_all}


def listening():
    """Addresses at which this process and its children listen."""
    here = psutil.Process()
    return {
        connection.laddr.ip
        for process in [here, *here.children(recursive=True)]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def answers_a_stranger(address, encrypted):
    """What the scheduler sends to somebody who shows no certificate: nothing if he is shut out."""
    host, port = address.rpartition("/")[2].split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        try:
            stranger = context.wrap_socket(plain) if encrypted else plain
            stranger.sendall(bytes(8))
            return stranger.recv(1)
        except (ssl.SSLError, ConnectionError):
            return b""


@pytest.mark.slow
def test_a_cluster_started_here_listens_on_loopback_and_writes_to_a_private_folder():
    with DaskPool(None, 1) as pool:
        assert pool.submit(partial(pow, 2, 5)).result() == 32
        assert pool._address.startswith("tcp://127.0.0.1:")
        assert answers_a_stranger(pool._address, encrypted=False)
        assert listening() == {"127.0.0.1"}
        scratch = pool._cluster.workers[0].local_directory
        assert scratch.startswith(pool._scratch.name)


@pytest.mark.slow
def test_tls_is_used_if_dask_has_its_files(tls_files):
    with dask.config.set(tls_files), DaskPool(None, 1) as pool:
        assert pool.submit(partial(pow, 2, 5)).result() == 32
        assert pool._address.startswith("tls://127.0.0.1:")
        assert listening() == {"127.0.0.1"}
        # Somebody without the certificate is not let in, encrypted or not.
        for encrypted in (True, False):
            assert answers_a_stranger(pool._address, encrypted) == b""
        with pytest.raises(UsageError, match="is not encrypted: give tls://"):
            DaskPool(pool._address.replace("tls://", "tcp://"), 1)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tls://10.0.0.1:8786", "no TLS files: set distributed.comm.tls.ca-file"),
        ("tcp://10.0.0.1:port", "is invalid"),
        ("ftp://10.0.0.1:8786", "is invalid"),
        ("10.0.0.1", "is invalid"),
        ("\x1b[2J:1:2", "is invalid"),
    ],
)
def test_addresses_are_checked_before_anything_is_sent(address, message):
    with pytest.raises(UsageError, match=message) as caught:
        DaskPool(address, 1)
    assert "\x1b" not in str(caught.value)


def test_tls_files_that_cannot_be_read_are_named(tls_files):
    broken = {**tls_files, "distributed.comm.tls.ca-file": "/nowhere/ca.pem"}
    with dask.config.set(broken), pytest.raises(UsageError, match=r"TLS files .* cannot be used"):
        DaskPool(None, 1)
