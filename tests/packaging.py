"""What packaging/ has, held against the program's own lists and the formats of its readers.

Run by `cargo xtask test`; needs what tests/requirements.txt installs. No container engine, Prometheus or Grafana is needed.
"""

import json
import re
import subprocess
import sys
import tomllib
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
CONTAINERS = PACKAGING / "containers"


def metrics():
    """Names and labels of what a receiver shows; a Rust test holds this table against the program."""
    page = (ROOT / "docs/operations.md").read_text().split("<!-- metrics:")[1].split("<!-- metrics end -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`(\w+)`|–) \|", page, re.M)
    found = {}
    for name, kind, label in rows:
        labels = {label} if label else set()
        found[name] = labels
        if kind == "histogram":
            found |= {name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels}
    return found


def expressions():
    """Everything that is asked of Prometheus, with where it stands."""
    rules = yaml.safe_load((PACKAGING / "prometheus/alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]
    board = json.loads((PACKAGING / "grafana/microraiden.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    yield "the receivers to choose from", board["templating"]["list"][1]["query"]["query"]
    for rule in re.findall(r"^\| `([^`]*(?:microraiden|up\{)[^`]*)`[^|]*\|", (ROOT / "docs/operations.md").read_text(), re.M):
        if "{" in rule or "(" in rule or " " in rule:
            yield "docs/operations.md", rule


# Labels that Prometheus gives, by its own configuration.
GIVEN = {"instance", "receiver"}


class Monitoring(unittest.TestCase):
    def test_every_metric_and_label_exists(self):
        known = metrics()
        self.assertGreater(len(known), 22)
        asked = list(expressions())
        self.assertGreater(len(asked), 30)
        used = set()
        for where, expression in asked:
            for name, selector in re.findall(r"\b(microraiden_\w+)(?:\{([^}]*)\})?", expression):
                self.assertIn(name, known, where)
                used.add(name)
                labels = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
                self.assertLessEqual(labels, known[name] | GIVEN, f"{where}: {expression}")
            for labels in re.findall(r"\bby \(([^)]*)\)", expression):
                names = re.findall(r"microraiden_\w+", expression)
                own = GIVEN.union(*(known[name] for name in names))
                self.assertLessEqual(set(labels.split(", ")), own, f"{where}: {expression}")
            for opening, closing in ("()", "{}", "[]"):
                self.assertEqual(expression.count(opening), expression.count(closing), f"{where}: {expression}")
        shown = {name.removesuffix("_bucket") for name in used}
        wanted = {name for name in known if not re.search(r"_(bucket|sum|count)$", name)}
        self.assertEqual(wanted - shown, set(), "on no board and in no rule")

    def test_rules_have_what_prometheus_wants(self):
        rules = yaml.safe_load((PACKAGING / "prometheus/alerts.yml").read_text())
        self.assertEqual(set(rules), {"groups"})
        names = [rule["alert"] for rule in rules["groups"][0]["rules"]]
        self.assertEqual(len(names), len(set(names)))
        for rule in rules["groups"][0]["rules"]:
            self.assertLessEqual({"alert", "expr", "labels", "annotations"}, set(rule))
            self.assertLessEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"})
            self.assertRegex(rule["alert"], r"^[A-Z]\w+$")
            self.assertRegex(rule.get("for", "1m"), r"^\d+[smhd]$")
            self.assertIn(rule["labels"]["severity"], {"page", "ticket"})
            self.assertTrue(rule["annotations"]["summary"])
        config = yaml.safe_load((PACKAGING / "prometheus/prometheus.yml").read_text())
        self.assertEqual(config["rule_files"], ["alerts.yml"])
        self.assertEqual(config["scrape_configs"][0]["job_name"], "microraiden")
        self.assertIn("receiver", config["scrape_configs"][0]["static_configs"][0]["labels"])

    def test_every_rule_is_explained(self):
        page = (ROOT / "docs/operations/monitoring.md").read_text()
        for alert in re.findall(r"alert: (\w+)", (PACKAGING / "prometheus/alerts.yml").read_text()):
            self.assertIn(f"`{alert}`", page)

    def test_the_board_can_be_loaded(self):
        board = json.loads((PACKAGING / "grafana/microraiden.json").read_text())
        panels = board["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken.add((x, y))
            if panel["type"] != "row":
                self.assertTrue(panel["targets"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")


class Containers(unittest.TestCase):
    compose = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())

    def test_the_container_file_has_no_fault(self):
        hadolint = Path(sys.executable).parent / "hadolint"
        done = subprocess.run([hadolint, CONTAINERS / "Containerfile"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_container_file_keeps_what_it_promises(self):
        lines = (CONTAINERS / "Containerfile").read_text()
        images = re.findall(r"^FROM (\S+)", lines, re.M)
        for image in images:
            self.assertRegex(image, r"^docker\.io/library/(rust|debian):\d+\.\d+-slim", "a public image, by its version")
        self.assertRegex(lines, r"(?m)^USER 10001$")
        self.assertRegex(lines, r"(?m)^VOLUME /var/lib/microraiden$")
        self.assertIn("/health", lines)
        wanted = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
        self.assertIn(f"rust:{wanted}-", images[0])

    def test_services_refer_to_what_is_there(self):
        compose = self.compose
        self.assertEqual(set(compose) - {"name", "services", "volumes", "secrets"}, set())
        self.assertEqual(set(compose["services"]), {"node", "deploy", "receiver", "web"})
        conditions = {"service_started", "service_healthy", "service_completed_successfully"}
        for name, service in compose["services"].items():
            self.assertLessEqual(set(service), KEYS, name)
            needs = service.get("depends_on", [])
            self.assertLessEqual(set(needs), set(compose["services"]), name)
            if isinstance(needs, dict):
                self.assertLessEqual({need["condition"] for need in needs.values()}, conditions, name)
            for secret in service.get("secrets", []):
                self.assertIn(secret, compose["secrets"], name)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((CONTAINERS / source).exists(), f"{name}: {source}")
                else:
                    self.assertIn(source, compose["volumes"], name)
            if "build" in service:
                context = (CONTAINERS / service["build"]["context"]).resolve()
                self.assertEqual(context, ROOT)
                self.assertTrue((context / service["build"]["dockerfile"]).exists())
            for port in service.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:\d+:\d+$", "others are let in on purpose only")
        for secret in compose["secrets"].values():
            self.assertRegex(secret["file"], r"^\./secrets/")

    def test_the_receiver_is_configured_for_its_neighbours(self):
        config = tomllib.loads((CONTAINERS / "proxy.toml").read_text())
        receiver = self.compose["services"]["receiver"]
        for secret in ("private_key", "private_key_password_file"):
            self.assertIn(config[secret].removeprefix("/run/secrets/"), receiver["secrets"])
        places = [volume.split(":")[1] for volume in receiver["volumes"]]
        for file in ("state_file", "deployment_file"):
            self.assertIn(str(Path(config[file]).parent), places)
        nginx = (CONTAINERS / "nginx.conf").read_text()
        self.assertIn("proxy_pass http://receiver:5000;", nginx)
        self.assertEqual(config["route"][0]["upstream"], "http://web:8000")
        self.assertIn("listen 8000;", nginx)
        self.assertEqual(nginx.count("{"), nginx.count("}"))
        self.assertTrue(config["metrics_address"].endswith(":9100"), "where the image asks for its health")

    def test_secrets_stay_out_of_images_and_commits(self):
        self.assertIn("**/*.key\n**/*.password\n", (ROOT / ".dockerignore").read_text())
        self.assertIn("/packaging/containers/secrets\n", (ROOT / ".gitignore").read_text())


KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "healthcheck", "image", "ports", "read_only", "restart",
    "secrets", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}

if __name__ == "__main__":
    unittest.main()
