"""Checks deploy/ and the Dockerfile against the schemas of the tools that read them, and against the program.

The options that the deployments set have to be options of `serve`. The memory that a replica may use has to be less
than its limit, and its grace period longer than its drain. Prometheus scrapes the running program and evaluates the
dashboard and the alerts. The objects that the Helm chart makes of several values have to pass the same schemas and
checks; with its default values, it has to make the objects of deploy/kubernetes. Values and relabelling rules that deploy/README.md
shows are used as they stand there.

    python check_deploy.py .build/release/weight-init path/to/kubectl path/to/prometheus path/to/promtool path/to/render
"""

import copy
import http.client
import itertools
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.error

import jsonschema
import kubernetes_validate
import yaml

import checks
import memory
import options
from ports import free_port
from service import ROOT, Service

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "weight-init"
WORKFLOWS = ROOT / ".github" / "workflows"
TOOLS = pathlib.Path(sys.executable).parent
# Options of `serve` that users of the chart cannot set, because its probes, its service or other values determine them.
SET_BY_CHART = {
    "host", "port", "unix-socket", "metrics-host", "metrics-port", "drain-delay", "drain-timeout",
    "token-file", "tls-certificate", "tls-key", "models",
}  # fmt: skip
UNITS = {"": 1, "G": 10**9, "M": 10**6, "Gi": 2**30, "Mi": 2**20}


def run(*command):
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, f"{command[0]}: {outcome.stdout}{outcome.stderr}"
    return outcome.stdout


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def kustomized(kubectl):
    """The Kubernetes objects of the kustomization, by their kind."""
    return {thing["kind"]: thing for thing in yaml.safe_load_all(run(kubectl, "kustomize", KUBERNETES))}


def container(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def environment(objects):
    return {entry["name"]: entry["value"] for entry in container(objects)["env"]}


def scraped():
    """The port of a replica that Prometheus scrapes."""
    [job] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return job["dns_sd_configs"][0]["port"]


def byte_count(text):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", text).groups()
    return int(number) * UNITS[unit]


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


class Options:
    """The options of `serve`, by the names of their environment variables, and their values in a deployment."""

    def __init__(self, program):
        rows = [(name.removeprefix("--"), default, accepted) for name, default, accepted, _ in options.listed(program)]
        self.defaults = {self.variable(name): None if default == "none" else default for name, default, _ in rows}
        self.accepted = {name: accepted for name, _, accepted in rows}

    @staticmethod
    def variable(name):
        return "WEIGHT_INIT_" + name.upper().replace("-", "_")

    def set_by(self, environment):
        unknown = {name for name in environment if name.startswith("WEIGHT_INIT_")} - self.defaults.keys()
        assert not unknown, f"serve has no option for {sorted(unknown)}"
        return self.defaults | environment


def most_memory(options):
    return memory.most(lambda option: options[Options.variable(option)])


def check_memory(options, limit):
    held = most_memory(options)
    assert held < limit, f"a replica may hold {held} bytes and has {limit}"


def check_sums(options, objects):
    """docs/operations.md has the right sums of memory for a replica by default and with the deployments' options."""
    deployed = (compose()["services"]["weight-init"]["environment"], environment(objects))
    sums = [most_memory(options.set_by(there)) / memory.MIB for there in ({}, *deployed)]
    [said] = re.findall(
        r"^The sum is ([\d ]+) MiB with the defaults and ([\d ]+) MiB with the options of", memory.OPERATIONS.read_text(), re.MULTILINE
    )
    default, deployment = (int(number.replace(" ", "")) for number in said)
    assert sums == [default, deployment, deployment], f"docs/operations.md says {said}, the sums are {sums}"


def check_drain(options, grace, before=0):
    took = before + sum(int(options[f"WEIGHT_INIT_DRAIN_{name}"]) for name in ("DELAY", "TIMEOUT"))
    assert grace >= took + 5, f"a replica drains for {took} s and is ended after {grace} s"


def check_dockerfile():
    run(TOOLS / "hadolint", ROOT / "Dockerfile")
    # The last stage's label names its base, whatever that is. A stage has to declare the arguments that it reads.
    stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    base = re.match(r"\$\{(\w+)\}\n", stage).group(1)
    assert f'org.opencontainers.image.base.name="${{{base}}}"' in stage, f"the label names another base than {base}"
    label = stage.index("LABEL ")
    for name in set(re.findall(r"\$\{(\w+)\}", stage[label:])):
        assert re.search(rf"^ARG {name}\b", stage[:label], re.MULTILINE), f"the label's {name} is empty"


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
    # The image's own check asks the port for metrics, which clients cannot fill.
    assert "healthcheck" not in replica, "clients decide whether a container is healthy"
    port = re.search(r"listen (\d+);", (DEPLOY / "nginx.conf").read_text()).group(1)
    assert services["cache"]["ports"][0].endswith(f":{port}"), f"nginx listens on {port}"


def check_kubernetes(options, objects):
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    there = {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
    assert set(listed) == there, f"kustomization.yaml lists {sorted(listed)}, there are {sorted(there)}"
    assert len(objects) == len(listed), "two objects of a kind"
    check_objects(options, objects)


def check_objects(options, objects):
    """Kubernetes objects agree with its schemas, each other, the program and the image."""
    for thing in objects.values():
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)

    spec = objects["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    selectors = {
        "Deployment": lambda: spec["selector"]["matchLabels"],
        "Service": lambda: objects["Service"]["spec"]["selector"],
        "NetworkPolicy": lambda: objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        "PodDisruptionBudget": lambda: objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }
    for kind in selectors.keys() & objects.keys():
        assert selectors[kind]().items() <= labels, f"the {kind} selects other pods"
    if "HorizontalPodAutoscaler" in objects:
        target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", objects["Deployment"]["metadata"]["name"])
    assert "cpu" in container(objects)["resources"]["requests"], "the autoscaler needs a request for processors"

    taken = options.set_by(environment(objects))
    check_memory(taken, byte_count(container(objects)["resources"]["limits"]["memory"]))
    sleep = container(objects).get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
    check_drain(taken, pod["terminationGracePeriodSeconds"], sleep)
    ports = {port["name"]: str(port["containerPort"]) for port in container(objects)["ports"]}
    assert ports["metrics"] == taken["WEIGHT_INIT_METRICS_PORT"]
    assert [probe["port"] for probe in probes(objects)] == ["metrics", "metrics", "http"], "clients decide whether a pod lives"
    annotations = spec["template"]["metadata"]["annotations"]
    assert ports["metrics"] == annotations["prometheus.io/port"]
    assert annotations["prometheus.io/scrape"] == "true" and annotations["prometheus.io/path"] == "/metrics"
    if "NetworkPolicy" in objects:
        allowed = objects["NetworkPolicy"]["spec"]["ingress"]
        assert {port["port"] for rule in allowed for port in rule["ports"]} == ports.keys()
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    taken = tuple(str(pod["securityContext"][name]) for name in ("runAsUser", "runAsGroup"))
    assert user.groups() == taken, f"the pod runs as {taken}, the image as {user.groups()}"


def rendered(render, **values):
    """The objects that the chart makes of these values, by their kind, and the chart's notes."""
    validate_values(values)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        printed, notes = run(render, CHART, "weight-init", file.name).split("--- NOTES.txt\n")
    return {thing["kind"]: thing for thing in yaml.safe_load_all(printed) if thing}, notes


def merged(values, others):
    for name, value in others.items():
        inner = isinstance(value, dict) and isinstance(values.get(name), dict)
        values[name] = merged(values[name], value) if inner else value
    return values


def validate_values(values):
    """Validates as Helm does: the schema applies to the chart's own values merged with the user's."""
    own = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(merged(own, values))


def without_release(thing):
    """An object of the chart without the labels that tell releases apart."""
    if isinstance(thing, list):
        return [without_release(item) for item in thing]
    if not isinstance(thing, dict):
        return thing
    others = {"helm.sh/chart"} | {f"app.kubernetes.io/{name}" for name in ("instance", "version", "managed-by")}
    return {name: without_release(value) for name, value in thing.items() if name not in others}


def check_chart(options, render, kustomized):
    own, notes = rendered(render)
    check_objects(options, own)
    assert "http://weight-init:8080/gain" in notes, notes
    # With its own values, the chart makes the same deployment.
    same, expected = without_release(own), copy.deepcopy(kustomized)
    for objects in (same, expected):
        container(objects)["env"].sort(key=lambda entry: entry["name"])
        container(objects).pop("imagePullPolicy", None)
    for kind in expected.keys() | same.keys():
        assert same.get(kind) == expected.get(kind), f"chart and kustomization differ: {same.get(kind)} {expected.get(kind)}"

    peer = [{"namespaceSelector": {"matchLabels": {"team": "training"}}}]
    full, notes = rendered(
        render,
        image={"repository": "registry.example/weight-init", "digest": f"sha256:{'0' * 64}"},
        imagePullSecrets=[{"name": "registry"}],
        options={"threads": "4", "log-level": "info"},
        drain={"timeoutSeconds": 60},
        tokens={"existingSecret": "tokens"},
        tls={"existingSecret": "certificate"},
        models={"existingClaim": "models"},
        service={"type": "LoadBalancer", "annotations": {"example.org/internal": "true"}},
        networkPolicy={"clientsFrom": peer},
        podAnnotations={"example.org/note": "a"},
        podLabels={"example.org/team": "b"},
        nodeSelector={"kubernetes.io/arch": "amd64"},
        tolerations=[{"key": "dedicated", "operator": "Exists"}],
        affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        priorityClassName="high",
        fullnameOverride="init",
    )
    check_objects(options, full)
    pod = full["Deployment"]["spec"]["template"]["spec"]
    assert container(full)["image"] == f"registry.example/weight-init@sha256:{'0' * 64}"
    assert [probe.get("scheme") for probe in probes(full)] == [None, None, "HTTPS"], "TLS is on the port http alone"
    assert pod["terminationGracePeriodSeconds"] == 5 + 5 + 60 + 5
    mounts = {mount["name"]: mount["mountPath"] for mount in container(full)["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]} == {"tokens", "tls", "models"}
    files = environment(full)
    for variable, volume in {"TOKEN_FILE": "tokens", "TLS_CERTIFICATE": "tls", "TLS_KEY": "tls", "MODELS": "models"}.items():
        assert files[f"WEIGHT_INIT_{variable}"].startswith(mounts[volume]), variable
    assert files["WEIGHT_INIT_THREADS"] == "4"
    assert peer[0] in full["NetworkPolicy"]["spec"]["ingress"][0]["from"]
    assert "https://init:8080/gain" in notes and "Bearer" in notes, notes

    off = {"enabled": False}
    small, _ = rendered(
        render, autoscaling=off, networkPolicy=off, podDisruptionBudget=off, replicaCount=1, drain={"preStopSeconds": 0}
    )
    check_objects(options, small)
    assert small.keys() == {"Deployment", "Service"} and small["Deployment"]["spec"]["replicas"] == 1
    # Kubernetes 1.30 to 1.32 refuse to sleep for no time.
    assert "lifecycle" not in container(small)

    outside = {"service": {"type": "LoadBalancer"}}
    assert "networkPolicy.clientsFrom" in rendered(render, **outside)[1], "no client outside the namespace gets an answer"
    for values in (outside | {"networkPolicy": off}, outside | {"networkPolicy": {"clientsFrom": peer}}, {}):
        assert "networkPolicy.clientsFrom" not in rendered(render, **values)[1], values

    refused = (
        {"replicas": 3},
        {"options": {"max_connections": "9"}},
        {"options": {"max-conections": "9"}},
        {"options": {"max-work-bytes": "1Gi"}},
        {"options": {"log-level": "loud"}},
        {"options": {"drain-timeout": "60"}},
        {"options": {"max-connections": 9}},
        {"image": {"digest": "latest"}},
        {"metrics": {"port": 80}},
        {"tokens": {"existingSecret": "Not A Name"}},
        {"models": {"items": [{"key": "init.json"}]}},
        {"models": {"items": [{"key": "acme/small/init.json", "path": "acme/small/init.json"}]}},
        {"models": {"items": [{"key": "init.json", "path": "init.json"}]}},
        {"models": {"items": [{"key": "init.json", "path": "acme/../init.json"}]}},
    )
    for values in refused:
        try:
            validate_values(values)
        except jsonschema.ValidationError:
            continue
        raise AssertionError(f"the schema accepts {values}")
    failing = {
        "autoscaling.minReplicas is more than autoscaling.maxReplicas": {"autoscaling": {"minReplicas": 5, "maxReplicas": 2}},
        "models.existingConfigMap needs models.items": {"models": {"existingConfigMap": "models"}},
    }
    for said, values in failing.items():
        try:
            rendered(render, **values)
        except AssertionError as error:
            assert said in str(error)
        else:
            raise AssertionError(f"the chart accepts {values}")

    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert schema.keys() - {"global"} == yaml.safe_load((CHART / "values.yaml").read_text()).keys(), "values and schema differ"
    check_chart_options(options, schema["options"]["properties"])


def shown(member):
    """The YAML block of deploy/README.md that has this member first."""
    [block] = re.findall(rf"^```yaml\n({re.escape(member)}:.*?)^```$", (DEPLOY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return yaml.safe_load(block)


def check_shown(options, render):
    """The values in deploy/README.md are valid, and `helm upgrade` there leaves enough memory."""
    check_objects(options, rendered(render, **shown("networkPolicy"))[0])
    [line] = re.findall(r"^helm upgrade .*$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    words = shlex.split(line)
    values = {}
    for kind, pair in zip(words, words[1:]):
        if kind in ("--set", "--set-string"):
            path, value = pair.split("=")
            *outer, last = path.split(".")
            value = {last: value if kind == "--set-string" else yaml.safe_load(value)}
            for name in reversed(outer):
                value = {name: value}
            values = merged(values, value)
    check_objects(options, rendered(render, **values)[0])


def check_models(program, render):
    """The program serves a model from a ConfigMap, with the values in deploy/README.md."""
    values = shown("models")
    objects, _ = rendered(render, **values)
    kubernetes_validate.validate(objects["Deployment"], kubernetes_validate.latest_version(), strict=True)
    [volume] = objects["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"] == {"name": values["models"]["existingConfigMap"], "items": values["models"]["items"]}
    [mount] = container(objects)["volumeMounts"]
    assert environment(objects)["WEIGHT_INIT_MODELS"] == mount["mountPath"]
    # As Kubernetes lays out the volume: files in a dated directory, a link to that directory, and links through that link.
    request = ROOT / "Tests" / "reference" / "contract" / "models" / "acme" / "small" / "init.json"
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        dated = root / "..2026_01_02_03_04_05.678901234"
        for item in volume["configMap"]["items"]:
            path = dated / item["path"]
            path.parent.mkdir(parents=True)
            path.write_bytes(request.read_bytes())
            (root / pathlib.Path(item["path"]).parts[0]).symlink_to(pathlib.Path("..data", pathlib.Path(item["path"]).parts[0]))
        (root / "..data").symlink_to(dated.name)
        with Service(program, "--models", directory) as service:
            organisation, name, _ = item["path"].split("/")
            made = service.get(f"/models/{organisation}/{name}", format="safetensors")
            assert made == service.post("/init", json.loads(request.read_text()) | {"format": "safetensors"})


def check_chart_options(options, rules):
    """The chart's schema has the options of `serve`, and knows which are numbers, and which are one of a few words."""
    named = {name: accepted for name, accepted in options.accepted.items() if name not in SET_BY_CHART}
    assert SET_BY_CHART < options.accepted.keys(), f"serve has no {sorted(SET_BY_CHART - options.accepted.keys())}"
    assert rules.keys() == named.keys(), f"schema and serve differ: {sorted(rules.keys() ^ named.keys())}"
    for name, accepted in named.items():
        expected = {"type": "string"}
        if re.match(r"(from|at least) \d", accepted):
            expected = {"$ref": "#/definitions/number"}
        elif accepted.startswith("one of "):
            expected["enum"] = accepted.removeprefix("one of ").split(", ")
        assert rules[name] == expected, f"serve takes for {name}: {accepted}"


def check_examples(options, objects):
    """The commented lines for tokens in compose.yaml and kustomization.yaml are right if uncommented."""
    text = (DEPLOY / "compose.yaml").read_text()
    text, count = re.subn(r"^( *)# (WEIGHT_INIT_TOKEN_FILE:|secrets:|  tokens:|    file:)", r"\1\2", text, flags=re.MULTILINE)
    assert count == 5, f"compose.yaml has {count} lines for tokens"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file.name)
    taken = yaml.safe_load(text)
    replica = taken["services"]["weight-init"]
    [secret] = replica["secrets"]
    assert secret in taken["secrets"]
    assert options.set_by(replica["environment"])["WEIGHT_INIT_TOKEN_FILE"] == f"/run/secrets/{secret}"

    # Read here and not by kubectl, because Debian's version is too old for patches in text form.
    _, mark, lines = (KUBERNETES / "kustomization.yaml").read_text().partition("# secretGenerator:\n")
    added = yaml.safe_load(re.sub(r"^# ?", "", mark + lines, flags=re.MULTILINE))
    [secret], [patch] = added["secretGenerator"], added["patches"]
    patch = yaml.safe_load(patch["patch"])
    assert (patch["kind"], patch["metadata"]["name"]) == ("Deployment", objects["Deployment"]["metadata"]["name"])
    pod = patch["spec"]["template"]["spec"]
    [patched], [volume] = pod["containers"], pod["volumes"]
    [mount] = patched["volumeMounts"]
    assert patched["name"] == container(objects)["name"] and mount["name"] == volume["name"]
    assert volume["secret"]["secretName"] == secret["name"]
    assert pod["securityContext"]["fsGroup"] == objects["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsGroup"]
    [entry] = patched["env"]
    assert entry == {"name": "WEIGHT_INIT_TOKEN_FILE", "value": f"{mount['mountPath']}/{secret['files'][0]}"}
    options.set_by({entry["name"]: entry["value"]})


def check_versions(program):
    """Files that name a release name the program's version."""
    version = run(program, "--version").strip()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    [image] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    named = {
        "Chart.yaml": chart["version"],
        "Chart.yaml, appVersion": chart["appVersion"],
        "kustomization.yaml": image["newTag"],
        "Dockerfile": re.search(r"^ARG VERSION=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE).group(1),
    }
    others = {where: there for where, there in named.items() if there != version}
    assert not others, f"the program's version is {version}: {others}"


def check_workflows():
    """Workflows match GitHub's schema; their scripts are valid bash and their targets exist; actions have a version."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in WORKFLOWS.glob("*.yml"):
        run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
        jobs = yaml.safe_load(path.read_text())["jobs"]
        for name, job in jobs.items():
            needed = job.get("needs", [])
            assert {needed} if isinstance(needed, str) else set(needed) <= jobs.keys(), f"{name} needs {needed}"
            for step in job["steps"]:
                if "uses" in step:
                    assert re.search(r"@v\d+", step["uses"]), f"{step['uses']} has no version"
                script = re.sub(r"\$\{\{.*?\}\}", "value", step.get("run", ""))
                outcome = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
                assert outcome.returncode == 0, outcome.stderr
                for target in re.findall(r"^make ([a-z-]+)", script, re.MULTILINE):
                    assert target in targets, f"there is no make {target}"
            builds = [step["with"]["build-args"] for step in job["steps"] if "build-args" in step.get("with", {})]
            assert len(set(builds)) <= 1, f"{name} does not push the image that it tests: {builds}"
    assert "bash .ci/run" in (WORKFLOWS / "ci.yml").read_text()


def check_licence():
    """The licence is named in each file in which readers look for it."""
    label = r'^LABEL .*?org\.opencontainers\.image\.licenses="Apache-2.0"'
    assert re.search(label, (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL), "no label in the Dockerfile"
    # Debian has the standard text. Only the line to be filled in differs.
    ours = (ROOT / "LICENSE").read_text().splitlines()
    standard = pathlib.Path("/usr/share/common-licenses/Apache-2.0")
    if standard.exists():
        differing = [pair for pair in itertools.zip_longest(ours, standard.read_text().splitlines()) if pair[0] != pair[1]]
        assert [there for _, there in differing] == ["   Copyright [yyyy] [name of copyright owner]"], differing
    assert any(re.fullmatch(r"   Copyright \d{4} the weight-init authors", line) for line in ours), "no copyright in LICENSE"
    assert "[Apache License 2.0](LICENSE)" in (ROOT / "README.md").read_text(), "README.md names no licence"
    assert yaml.safe_load((ROOT / "openapi.yaml").read_text())["info"]["license"]["identifier"] == "Apache-2.0"
    assert 'license = "Apache-2.0"' in (ROOT / "clients" / "python" / "pyproject.toml").read_text()


def probes(objects):
    return [container(objects)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]


def check_probes(service, objects):
    asked = probes(objects)
    assert {probe["port"] for probe in asked} <= {port["name"] for port in container(objects)["ports"]}
    for path in {probe["path"] for probe in asked}:
        # Raises an error unless the request succeeds.
        service.get(path)


def dashboard():
    return json.loads((DEPLOY / "grafana" / "dashboards" / "weight-init.json").read_text())


def check_dashboard():
    """The dashboard is where Grafana looks for it, uses the provisioned data source, and places every panel."""
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
    """Prometheus has an answer to every query of the dashboard, and accepts the queries of the alerts."""
    run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    run(promtool, "test", "rules", pathlib.Path(__file__).with_name("alerts.yml"))
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
    assert job["job_name"] == "weight-init"
    # The replica is found as a pod, and deploy/README.md's rule gives it the job that alerts and dashboard expect.
    [rule] = shown("- source_labels")
    target = {"targets": [urllib.parse.urlsplit(service.url).netloc], "labels": {rule["source_labels"][0]: "weight-init"}}
    configuration["scrape_configs"] = [{"job_name": "kubernetes-pods", "static_configs": [target], "relabel_configs": [rule]}]
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
            service.get("/livez")
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
                # A scrape that takes longer than a second counts as missing until the next one.
                while (answer := ask(query)).get("data", {}).get("result") != [] and time.monotonic() < deadline:
                    time.sleep(0.5)
                assert answer["status"] == "success" and answer["data"]["result"] == [], f"{where}: {answer}"
        finally:
            done.set()
            requests.join()
            process.terminate()
            process.wait(timeout=30)


def main():
    program, kubectl, prometheus, promtool, render = sys.argv[1:]
    options = Options(program)
    objects = kustomized(kubectl)
    with Service(program) as service:
        named = {
            "Dockerfile": check_dockerfile,
            "compose.yaml": lambda: check_compose(options),
            "chart": lambda: check_chart(options, render, objects),
            "chart, as documented": lambda: check_shown(options, render),
            "chart, models": lambda: check_models(program, render),
            "dashboard": check_dashboard,
            "examples": lambda: check_examples(options, objects),
            "licence": check_licence,
            "kubernetes": lambda: check_kubernetes(options, objects),
            "memory": lambda: check_sums(options, objects),
            "probes": lambda: check_probes(service, objects),
            "queries": lambda: check_queries(service, prometheus, promtool),
            "versions": lambda: check_versions(program),
            "workflows": check_workflows,
        }
        # Errors of jsonschema print whole documents beside their message.
        passed = checks.passed("check_deploy", named, said=lambda error: getattr(error, "message", error))
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
