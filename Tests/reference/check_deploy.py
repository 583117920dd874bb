"""Holds what is in deploy/, and the Dockerfile, against the schemas of those who read it and against the program.

The options that the deployments set have to be options of `serve`, what a replica may hold has to be less than its memory,
and the time it is given to end more than it takes to drain. The dashboard and the alerts are evaluated by Prometheus, which
scrapes the running program.

    python check_deploy.py .build/release/weight-init path/to/kubectl path/to/prometheus path/to/promtool
"""

import http.client
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.error

import kubernetes_validate
import yaml

import memory
import options
from ports import free_port
from service import ROOT, Service

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
TOOLS = pathlib.Path(sys.executable).parent
UNITS = {"": 1, "G": 10**9, "M": 10**6, "Gi": 2**30, "Mi": 2**20}


def run(*command):
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, f"{command[0]}: {outcome.stdout}{outcome.stderr}"
    return outcome.stdout


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def kustomized(kubectl):
    """The Kubernetes objects by their kind."""
    return {thing["kind"]: thing for thing in yaml.safe_load_all(run(kubectl, "kustomize", KUBERNETES))}


def container(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def scraped():
    """The port of a replica that Prometheus asks."""
    [job] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return job["dns_sd_configs"][0]["port"]


def byte_count(text):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", text).groups()
    return int(number) * UNITS[unit]


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


class Options:
    """What `serve` takes, by the names of the environment's variables, and what a deployment makes of it."""

    def __init__(self, program):
        rows = [(name.removeprefix("--"), default) for name, default, *_ in options.listed(program)]
        self.defaults = {self.variable(name): None if default == "none" else default for name, default in rows}

    @staticmethod
    def variable(name):
        return "WEIGHT_INIT_" + name.upper().replace("-", "_")

    def set_by(self, environment):
        unknown = {name for name in environment if name.startswith("WEIGHT_INIT_")} - self.defaults.keys()
        assert not unknown, f"serve has no option for {sorted(unknown)}"
        return self.defaults | environment


def check_memory(options, limit):
    held = memory.most(lambda option: options[Options.variable(option)])
    assert held < limit, f"a replica may hold {held} bytes and has {limit}"


def check_drain(options, grace, before=0):
    took = before + sum(int(options[f"WEIGHT_INIT_DRAIN_{name}"]) for name in ("DELAY", "TIMEOUT"))
    assert grace >= took + 5, f"a replica drains for {took} s and is ended after {grace} s"


def check_dockerfile():
    run(TOOLS / "hadolint", ROOT / "Dockerfile")


def check_compose(options):
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    services = compose()["services"]
    replica = services["weight-init"]
    assert replica["deploy"]["replicas"] == 3
    taken = options.set_by(replica["environment"])
    check_memory(taken, byte_count(replica["deploy"]["resources"]["limits"]["memory"]))
    check_drain(taken, seconds(replica["stop_grace_period"]))
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            exists = (DEPLOY / source).exists() if source.startswith(".") else source in compose()["volumes"]
            assert exists, f"{name} mounts {source}, which there is not"
    assert scraped() == int(taken["WEIGHT_INIT_METRICS_PORT"]), "Prometheus looks at another port"
    port = re.search(r"listen (\d+);", (DEPLOY / "nginx.conf").read_text()).group(1)
    assert services["cache"]["ports"][0].endswith(f":{port}"), f"nginx listens on {port}"


def check_kubernetes(options, objects):
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    there = {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
    assert set(listed) == there, f"kustomization.yaml lists {sorted(listed)}, there are {sorted(there)}"
    assert len(objects) == len(listed), "two objects of a kind"
    for thing in objects.values():
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)

    spec = objects["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    selectors = {
        "Deployment": spec["selector"]["matchLabels"],
        "Service": objects["Service"]["spec"]["selector"],
        "NetworkPolicy": objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        "PodDisruptionBudget": objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }
    for kind, selector in selectors.items():
        assert selector.items() <= labels, f"the {kind} selects other pods"
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", objects["Deployment"]["metadata"]["name"])
    assert "cpu" in container(objects)["resources"]["requests"], "the autoscaler needs a request for processors"

    taken = options.set_by({entry["name"]: entry["value"] for entry in container(objects)["env"]})
    check_memory(taken, byte_count(container(objects)["resources"]["limits"]["memory"]))
    check_drain(taken, pod["terminationGracePeriodSeconds"], container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"])
    ports = {port["name"]: str(port["containerPort"]) for port in container(objects)["ports"]}
    assert ports["metrics"] == taken["WEIGHT_INIT_METRICS_PORT"]
    assert ports["metrics"] == spec["template"]["metadata"]["annotations"]["prometheus.io/port"]
    allowed = objects["NetworkPolicy"]["spec"]["ingress"]
    assert {port["port"] for rule in allowed for port in rule["ports"]} == ports.keys()
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    taken = tuple(str(pod["securityContext"][name]) for name in ("runAsUser", "runAsGroup"))
    assert user.groups() == taken, f"the pod runs as {taken}, the image as {user.groups()}"


def check_probes(service, objects):
    probes = [container(objects)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {probe["port"] for probe in probes} <= {port["name"] for port in container(objects)["ports"]}
    for path in {probe["path"] for probe in probes}:
        # Raises where the status is not that of success.
        service.get(path)


def dashboard():
    return json.loads((DEPLOY / "grafana" / "dashboards" / "weight-init.json").read_text())


def check_dashboard():
    """The dashboard is where Grafana looks for it, asks the source that Grafana has, and has a place for every panel."""
    provisioning = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    host = urllib.parse.urlsplit(source["url"]).hostname
    assert host in compose()["services"], f"there is no {host}"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "weight-init.yaml").read_text())["providers"]
    mounts = [volume.split(":")[:2] for volume in compose()["services"]["grafana"]["volumes"]]
    assert ["./grafana/dashboards", provider["options"]["path"]] in mounts
    taken = set()
    for panel in dashboard()["panels"]:
        for thing in (panel, *panel.get("targets", [])):
            assert panel["type"] == "row" or thing["datasource"]["uid"] == source["uid"], panel["title"]
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = set(itertools.product(columns, rows))
        assert not cells & taken and columns.stop <= 24, f"{panel['title']} lies on another panel"
        taken |= cells


def dashboard_queries():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$job", "weight-init").replace("$__rate_interval", "10s")


def alert_queries():
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def check_queries(service, prometheus, promtool):
    """What Prometheus makes of every query: those of the dashboard have an answer, those of the alerts are understood."""
    run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    exposed = service.get("/metrics").decode()
    subprocess.run([promtool, "check", "metrics"], input=exposed, text=True, check=True, timeout=60)
    known = set(re.findall(r"^# TYPE (\S+) ", exposed, re.MULTILINE))
    for where, query in [*dashboard_queries(), *alert_queries()]:
        for name in re.findall(r"\b(?:http_server|weight_init)_\w+", query):
            assert re.sub(r"_(bucket|count|sum)$", "", name) in known, f"{where}: /metrics has no {name}"

    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(DEPLOY / "prometheus" / "alerts.yml")]
    [job] = configuration["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [urllib.parse.urlsplit(service.url).netloc]}]
    port = free_port()

    def ask(query):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
            return json.load(connection.getresponse())
        finally:
            connection.close()

    done = threading.Event()

    def traffic():
        while not done.wait(0.2):
            service.get("/init", method="orthogonal", shape="8,8", seed=int(time.time()))
            for refused in ({"sdt": 1}, {"shape": 4}):
                try:
                    service.get("/init", method="kaiming_normal", **refused)
                except urllib.error.HTTPError:
                    pass

    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "prometheus.yml")
        path.write_text(yaml.safe_dump(configuration))
        process = subprocess.Popen([
            prometheus, f"--config.file={path}", f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ])  # fmt: skip
        requests = threading.Thread(target=traffic)
        requests.start()
        try:
            unanswered = dict(dashboard_queries())
            deadline = time.monotonic() + 300
            while unanswered and time.monotonic() < deadline:
                time.sleep(0.5)
                try:
                    for where, query in list(dashboard_queries()):
                        answer = ask(query)
                        assert answer["status"] == "success", f"{where}: {answer}"
                        if answer["data"]["result"]:
                            unanswered.pop(where, None)
                except (OSError, http.client.HTTPException, json.JSONDecodeError):
                    pass
            assert not unanswered, f"nothing to show in {sorted(unanswered)}"
            for where, query in alert_queries():
                # A scrape that took longer than its second counts as no answer until the next one.
                while (answer := ask(query)).get("data", {}).get("result") != [] and time.monotonic() < deadline:
                    time.sleep(0.5)
                assert answer["status"] == "success" and answer["data"]["result"] == [], f"{where}: {answer}"
        finally:
            done.set()
            requests.join()
            process.terminate()
            process.wait(timeout=30)


def main():
    program, kubectl, prometheus, promtool = sys.argv[1:]
    options = Options(program)
    objects = kustomized(kubectl)
    passed = failed = 0
    with Service(program) as service:
        checks = {
            "Dockerfile": check_dockerfile,
            "compose.yaml": lambda: check_compose(options),
            "dashboard": check_dashboard,
            "kubernetes": lambda: check_kubernetes(options, objects),
            "probes": lambda: check_probes(service, objects),
            "queries": lambda: check_queries(service, prometheus, promtool),
        }
        for what, check in checks.items():
            try:
                check()
                passed += 1
            except Exception as error:  # Whatever goes wrong in one is that one's failure; the others are still told of.
                failed += 1
                print(f"{what}: {type(error).__name__}: {getattr(error, 'message', error)}", file=sys.stderr)
    print(f"check_deploy: {passed} of {passed + failed} passed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
