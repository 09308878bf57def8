"""nginx and HAProxy, as packaging/balancers configures them, before three receivers of one database, with real payments.

Run by `cargo xtask test`; needs nginx, HAProxy and PostgreSQL, and no network. An argument names the program microraiden;
without one it is that of the release build.
"""

import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "release/microraiden"
# Accounts of the development chain, whose keys everybody knows: who deploys, who is paid, and two who pay.
KEYS = {
    "owner": "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "receiver": "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "nginx": "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "haproxy": "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
}
ADDRESSES = {
    "receiver": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "nginx": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "haproxy": "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
}
PRICE = 5
DEPOSIT = 1000
# Where Debian has servers, which is in nobody's path but root's.
SERVERS = "/usr/sbin"
# How long anything may take on a busy machine.
PATIENCE = 60
# A request that a receiver holds up must not be waited for so long.
AT_ONCE = 10
SITE = """
trusted_proxies = ["127.0.0.1"]
[[route]]
path = "/paid"
upstream = "UPSTREAM"
price = PRICE
[[route]]
path = "/{*free}"
upstream = "UPSTREAM"
price = 0
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    """Says who asks, as it is told; at /502 and /503 it says that it cannot."""

    protocol_version = "HTTP/1.1"
    broken = 0

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_broken = self.path in ("/502", "/503")
        Upstream.broken += is_broken
        body = self.headers.get("X-Forwarded-For", "nobody").encode()
        self.send_response(int(self.path[1:]) if is_broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Stage:
    """A development chain, a database, and three receivers; all of it ends with this program."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.server = None

    def set_up(self):
        folder = self.folder
        for name, key in KEYS.items():
            (folder / f"{name}.key").touch(0o600)
            (folder / f"{name}.key").write_text(key)
        self.database()
        chain = self.start("chain", PROGRAM, "devchain", "--port", "0", "--block-time", "0.2", "--json")
        self.node = ["--rpc-provider", self.line(chain, r'"url":"([^"]+)"')]
        self.run("deploy", *self.node, "--private-key", "owner.key")
        for name in ("nginx", "haproxy"):
            self.run("account", "fund", *self.pays_as(name))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = SITE.replace("UPSTREAM", f"http://127.0.0.1:{server.server_port}").replace("PRICE", str(PRICE))
        (folder / "proxy.toml").write_text(site)
        self.receivers = [Receiver(self, name) for name in ("one", "two", "three")]

    def database(self):
        versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        self.postgres = max(versions, key=lambda path: int(path.parts[-3])).parent
        self.sockets = self.folder / "postgres"
        self.sockets.mkdir()
        # It does not run as root. Killed, it would leave a little shared memory behind.
        owner = ["setpriv", "--pdeathsig=INT"]
        if os.geteuid() == 0:
            owner += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
            subprocess.run(["chown", "postgres:postgres", self.sockets], check=True)
        data = self.sockets / "data"
        initdb = [self.postgres / "initdb", "--username=postgres", "--auth=trust", "--no-sync", "--pgdata", data]
        subprocess.run([*owner, *initdb], check=True, stdout=subprocess.DEVNULL, cwd=self.sockets)
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap"]
        server = [self.postgres / "postgres", "-D", data, "-k", self.sockets, *options]
        self.server = self.start("database", *server, ends_by=owner)
        await_that("the database answers", lambda: self.sql("SELECT 1"))

    def sql(self, statement):
        psql = [self.postgres / "psql", "-XAtq", "-h", self.sockets, "-U", "postgres", "-c", statement]
        return subprocess.run(psql, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()

    def start(self, name, *command, ends_by=("setpriv", "--pdeathsig=KILL")):
        """Starts what goes on; it ends when this program does, however that ends."""
        command = [*ends_by, *command]
        with (self.folder / f"{name}.log").open("w") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        child.log = self.folder / f"{name}.log"
        self.running.append(child)
        return child

    def line(self, child, pattern):
        """What a program has said of itself."""

        def said():
            if child.poll() is not None:
                raise AssertionError(f"it has ended:\n{child.log.read_text()}")
            return re.search(pattern, child.log.read_text())

        return await_that(pattern, said)[1]

    def run(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE, cwd=self.folder)
        if done.returncode != 0:
            raise AssertionError(f"{arguments}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def pays_as(self, name):
        files = ["--private-key", f"{name}.key", "--book", f"{name}.book", "--deployment-file", "deployment.json"]
        return [*self.node, *files]

    def end(self):
        for child in reversed(self.running):
            child.send_signal(SIGINT if child is self.server else SIGKILL)
            child.wait()


class Receiver:
    """A receiver with a way to the database, and ports, of its own."""

    def __init__(self, stage, name):
        self.stage, self.name, self.ports = stage, name, ["0", "127.0.0.1:0"]
        self.way = stage.folder / f"way-{name}"
        (stage.folder / f"home-{name}").mkdir()
        self.reach_database()
        self.start()
        self.is_ready()

    def reach_database(self):
        self.way.symlink_to(self.stage.sockets)

    def lose_database(self):
        self.way.unlink()
        self.stage.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{self.name}'")

    def start(self):
        folder = str(self.way).replace("/", "%2F")
        store = f"postgres://postgres@{folder}/postgres?application_name={self.name}"
        chain = [*self.stage.node, "--deployment-file", "deployment.json", "--private-key", "receiver.key"]
        port, operators = self.ports
        server = ["--config", "proxy.toml", "--port", port, "--metrics-address", operators, "--store", store]
        home = f"XDG_DATA_HOME={self.stage.folder}/home-{self.name}"
        self.child = self.stage.start(self.name, "env", home, PROGRAM, "proxy", *chain, *server)
        address = self.stage.line(self.child, r"(?m)^http://([0-9.:]+)$")
        operators = self.stage.line(self.child, r"(?m)^http://([0-9.:]+)/metrics$")
        # The same when it is started again.
        self.ports = [address.split(":")[1], operators]

    def end(self, signal):
        self.child.send_signal(signal)
        self.child.wait(PATIENCE)

    def is_ready(self):
        await_that(f"{self.name} is ready", lambda: get(self.ports[1], "/ready")[0] == 200)

    def count(self, metric):
        """0 where it does not run: its counts begin anew."""
        if self.child.poll() is not None:
            return 0
        found = re.search(rf"(?m)^{re.escape(metric)} (\d+)$", get(self.ports[1], "/metrics")[1])
        return int(found[1]) if found else 0


def get(address, target, method="GET", source=None, headers=None):
    """The status and the body of an answer."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE, source_address=source and (source, 0))
    connection.request(method, target, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def await_that(what, holds):
    until = time.monotonic() + PATIENCE
    while not (found := holds()):
        if time.monotonic() > until:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.05)
    return found


def packaged(file, changes):
    """A file of packaging/balancers with other addresses, each of which must stand there once."""
    text = (ROOT / "packaging/balancers" / file).read_text()
    for number, receiver in enumerate(stage.receivers, 1):
        changes = {f"10.0.0.1{number}:5000": f"127.0.0.1:{receiver.ports[0]}", **changes}
    for old, new in changes.items():
        if text.count(old) != 1:
            raise AssertionError(f"{file}: {old}")
        text = text.replace(old, new)
    return text


def start_balancer(name, address, *command):
    child = stage.start(name, *command)

    def listens():
        if child.poll() is not None:
            raise AssertionError(f"{name} has ended:\n{child.log.read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex(address) == 0

    await_that(f"{name} listens", listens)


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


def setUpModule():
    global stage
    folder = tempfile.TemporaryDirectory(prefix="microraiden-balancers-")
    unittest.addModuleCleanup(folder.cleanup)
    # The servers have users of their own.
    Path(folder.name).chmod(0o755)
    stage = Stage(Path(folder.name))
    unittest.addModuleCleanup(stage.end)
    stage.set_up()


class Balancer:
    """What holds for each of them."""

    def pay(self, count, method="get"):
        """Pays; gives the receiver that was paid, of which there must be one."""
        before = [receiver.count("microraiden_payments_total") for receiver in stage.receivers]
        for _ in range(count):
            began = time.monotonic()
            body = ["--data", "some"] if method == "post" else []
            url = f"http://{self.address}/paid"
            answer = stage.run(method, url, *body, "--max-price", str(PRICE), *stage.pays_as(self.name))
            self.assertEqual(answer, "127.0.0.1")
            self.assertLess(time.monotonic() - began, AT_ONCE)
            self.paid += PRICE
        after = [receiver.count("microraiden_payments_total") for receiver in stage.receivers]
        gains = [now - then for now, then in zip(after, before)]
        self.assertEqual(sorted(gains), [0, 0, count], "a channel's requests reach one receiver")
        return stage.receivers[gains.index(count)]

    def pay_at(self, receiver):
        """Pays once at this receiver, which may not be known to sell again yet."""
        await_that(f"payments at {receiver.name}", lambda: self.pay(1) is receiver)

    def test_a_channel_stays_and_moves_without_a_lost_payment(self):
        stage.run("channels", "open", ADDRESSES["receiver"], str(DEPOSIT), *stage.pays_as(self.name))
        self.paid = 0
        home = self.pay(2)
        # Nobody but itself notices for now, and it says 503.
        home.lose_database()
        self.assertIsNot(self.pay(1), home)
        self.assertIsNot(self.pay(1, "post"), home)
        self.assertGreater(home.count('microraiden_unavailable_total{reason="store-away"}'), 0)
        home.reach_database()
        self.pay_at(home)
        home.end(SIGKILL)
        other = self.pay(2)
        self.assertIsNot(other, home)
        self.starts(home)
        self.pay_at(home)
        home.end(SIGTERM)
        self.assertIs(self.pay(1), other, "it moves to the same one again")
        home.start()
        home.is_ready()
        self.pay_at(home)

        def balance():
            channel, = json.loads(get(self.address, f"/api/1/channels/{ADDRESSES[self.name]}")[1])
            return channel["balance"]

        # Whoever is asked may not have read yet what another one sold.
        await_that(f"{self.paid} were paid", lambda: balance() == str(self.paid))

    def test_channels_are_spread_over_all(self):
        def refused():
            metric = 'microraiden_refusals_total{reason="unknown-channel"}'
            before = [receiver.count(metric) for receiver in stage.receivers]
            for number in range(60):
                channel = {"RDN-Sender-Address": f"0x{number:040x}", "RDN-Open-Block": str(number)}
                proof = {"RDN-Sender-Balance": "5", "RDN-Balance-Signature": "0x" + "11" * 64 + "1b"}
                self.assertEqual(get(self.address, "/paid", headers=channel | proof)[0], 402)
            return [receiver.count(metric) - then for receiver, then in zip(stage.receivers, before)]

        spread = refused()
        self.assertEqual(sum(spread), 60)
        self.assertGreater(min(spread), 0)
        self.assertEqual(refused(), spread, "each reaches the same one again")

    def test_the_client_is_told_and_cannot_be_made_up(self):
        forged = {"X-Forwarded-For": "192.0.2.1"}
        self.assertEqual(get(self.address, "/free", source="127.0.0.9", headers=forged), (200, "127.0.0.9"))

    def test_what_is_not_paid_is_repeated_only_if_it_changes_nothing(self):
        for status in (502, 503):
            for method, times in [("GET", len(stage.receivers)), ("POST", 1)]:
                before = Upstream.broken
                self.assertEqual(get(self.address, f"/{status}", method)[0], status)
                self.assertEqual(Upstream.broken, before + times, f"{method}: {status}")


class Nginx(Balancer, unittest.TestCase):
    name = "nginx"

    @classmethod
    def setUpClass(cls):
        address = free_address()
        cls.address = "{}:{}".format(*address)
        (stage.folder / "receivers.conf").write_text(packaged("nginx.conf", {"listen 80;": f"listen {cls.address};"}))
        # What Debian's nginx.conf has around it.
        kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        (stage.folder / "nginx.conf").write_text("\n".join([
            "user root;" if os.geteuid() == 0 else "",
            # One process, which can be killed.
            f"daemon off; master_process off; pid {stage.folder}/nginx.pid; events {{}}",
            "http { access_log off; include receivers.conf;",
            *(f"{kind}_temp_path nginx-{kind};" for kind in kinds),
            "}",
        ]))
        config = ["-p", stage.folder, "-e", "stderr", "-c", stage.folder / "nginx.conf"]
        start_balancer("nginx", address, f"{SERVERS}/nginx", *config)

    def starts(self, receiver):
        receiver.start()
        receiver.is_ready()


class Haproxy(Balancer, unittest.TestCase):
    name = "haproxy"

    @classmethod
    def setUpClass(cls):
        address = free_address()
        cls.address = "{}:{}".format(*address)
        changes = {"bind :80": f"bind {cls.address}", "check port 9100": "check"}
        text = packaged("haproxy.cfg", changes)
        for receiver in stage.receivers:
            # All are on one machine here, so each is asked for its health at a port of its own.
            address_there, operators = f"127.0.0.1:{receiver.ports[0]}", receiver.ports[1].split(":")[1]
            text = text.replace(address_there, f"{address_there} port {operators}")
        (stage.folder / "haproxy.cfg").write_text(text)
        start_balancer("haproxy", address, f"{SERVERS}/haproxy", "-db", "-f", stage.folder / "haproxy.cfg")

    def starts(self, receiver):
        """At first it takes connections and does not sell, which only /ready tells."""
        log = stage.folder / "haproxy.log"
        await_that("HAProxy notices", lambda: f"receivers/{receiver.name} is DOWN" in log.read_text())
        receiver.way.unlink()
        receiver.start()
        self.assertEqual(get(receiver.ports[1], "/ready")[0], 503)
        # Twice as long as it takes to be up for who only looks whether it listens.
        time.sleep(4)
        self.assertIsNot(self.pay(2), receiver)
        receiver.reach_database()
        receiver.is_ready()


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PROGRAM = Path(sys.argv.pop(1)).absolute()
    unittest.main()
