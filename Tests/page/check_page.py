"""Clicks through the page in headless Chromium and compares what it shows with the service's answers.

    python check_page.py .build/release/weight-init [--screenshots docs/images] [--chromium /usr/bin/chromium]
        [--python .venv-hub/bin/python] [--only model]

`--screenshots` also writes the README's pictures; otherwise nothing is written. `--python` names an interpreter with
torch, transformers and safetensors, which runs the programs that need them. `--only` runs the checks whose names
contain the text.
"""

import argparse
import contextlib
import hashlib
import http.server
import importlib.util
import io
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

import numpy
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))

from service import Service

CLIENT = pathlib.Path(__file__).resolve().parents[2] / "clients/python/src"
# Interpreter with torch and transformers, of --python.
PYTHON = None
PANELS = ["tensor", "propagate", "model"]
SIZE_LIMIT = 100_000

# Layout shifts that no input explains, from the first frame on.
OBSERVE_SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""

# WCAG 2.2: contrast of every visible text (1.4.3) and of the borders of fields (1.4.11), the worst of each.
CONTRAST = """() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((channel, i) => channel * a + under[i] * (1 - a));
  const luminance = (color) => color.slice(0, 3).map((channel) => channel / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const background = (node) => {
    const layers = [];
    for (; node; node = node.parentElement) layers.unshift(parse(getComputedStyle(node).backgroundColor));
    return layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const visible = (node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && node.getClientRects().length;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    const node = text.parentElement;
    if (!text.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION", "title"].includes(node.tagName) || !visible(node)) continue;
    const style = getComputedStyle(node), under = background(node);
    const color = over(parse(node instanceof SVGElement ? style.fill : style.color), under);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    found.push({ what: text.data.trim().slice(0, 40), ratio: ratio(color, under), needed: large ? 3 : 4.5 });
  }
  for (const node of document.querySelectorAll("input, select, textarea, .button")) {
    if (!visible(node)) continue;
    const under = background(node.parentElement);
    const border = over(parse(getComputedStyle(node).borderTopColor), under);
    found.push({ what: "border of " + (node.id || node.textContent), ratio: ratio(border, under), needed: 3 });
    if (node.placeholder) {
      const paint = over(parse(getComputedStyle(node, "::placeholder").color), background(node));
      found.push({ what: "placeholder of " + node.id, ratio: ratio(paint, background(node)), needed: 4.5 });
    }
  }
  for (const [selector, needed] of [[".line", 3], [".points", 3]]) {
    for (const node of document.querySelectorAll(selector)) {
      if (!node.checkVisibility()) continue;
      const style = getComputedStyle(node), under = background(node.closest(".card"));
      found.push({ what: selector, ratio: ratio(parse(selector === ".line" ? style.stroke : style.fill), under), needed });
    }
  }
  return found;
}"""

# Elements with neither a label nor a name.
UNNAMED = """() => [...document.querySelectorAll("input, select, textarea, button, a, svg[role=img], [role=tabpanel], [role=region]")]
  .filter((node) => node.checkVisibility())
  .filter((node) => !((node.labels && node.labels.length && node.labels[0].textContent.trim()) || node.getAttribute("aria-label")
    || (node.getAttribute("aria-labelledby") && document.getElementById(node.getAttribute("aria-labelledby")))
    || (["BUTTON", "A"].includes(node.tagName) && node.textContent.trim())))
  .map((node) => node.outerHTML.slice(0, 120))"""

REACHABLE = """() => [...document.querySelectorAll("input, select, textarea, button, a[href], summary, [tabindex]")]
  .filter((node) => node.checkVisibility({ checkVisibilityCSS: true }) && node.tabIndex >= 0)
  .map((node) => node.dataset.number = node.dataset.number || String(Math.random()))"""


class Failures(list):
    """Messages of failed checks; `check` counts those that passed."""

    passed = 0

    def check(self, holds, what):
        if holds:
            self.passed += 1
        else:
            self.append(what)
            print(f"check_page: {what}", file=sys.stderr)


class Tab:
    """A page of the service, with its errors, warnings and requests."""

    def __init__(self, context, service, failures, fragment="", settles=True):
        self.service = service
        self.failures = failures
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.add_init_script(OBSERVE_SHIFTS)
        self.complaints = []
        # The browser reports refused requests; checks that expect refusals clear these complaints.
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.check_address)
        self.page.goto(service.url + "/" + fragment)
        self.panel = fragment.lstrip("#").partition("?")[0] or "tensor"
        if settles:
            self.settle(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.failures.check(not self.complaints, f"the console says {self.complaints}")
        self.page.close()

    def check_address(self, request):
        allowed = (self.service.url + "/", f"blob:{self.service.url}/", "data:image/svg+xml")
        self.failures.check(request.url.startswith(allowed), f"{request.url} is asked for")

    def __call__(self, selector):
        return self.page.locator(f"#{self.panel} {selector}")

    @property
    def version(self):
        return int(self(".results").get_attribute("data-version") or 0)

    def settle(self, version):
        """Waits for results newer than `version`."""
        self.page.wait_for_function(
            "([panel, version]) => document.querySelector(`#${panel} .results`)?.dataset.version > version",
            arg=[self.panel, version],
        )

    @contextlib.contextmanager
    def change(self):
        version = self.version
        yield
        self.settle(version)

    def open(self, panel):
        self.panel = panel
        with self.change():
            self.page.click(f"#tab-{panel}")

    def fill(self, name, value):
        field = self.page.locator(f"#{self.panel}-form-{name}")
        with self.change():
            if field.evaluate("node => node.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def facts(self):
        terms, values = self(".facts dt").all_inner_texts(), self(".facts dd").all_inner_texts()
        return dict(zip(terms, values))

    def json(self, path, **query):
        return json.loads(self.service.get(path, **query))


def number(text):
    return float(text.replace("\u202f", "").replace("−", "-").lstrip("×"))


def is_close(shown, value, digits):
    if not isinstance(value, (int, float)):
        return shown == str(value)
    return math.isclose(number(shown), value, rel_tol=0.6 * 10 ** (1 - digits), abs_tol=1e-300)


def elements(body, dtype):
    if dtype == "bfloat16":
        return (numpy.frombuffer(body, "<u2").astype("<u4") << 16).view("<f4").astype(float)
    return numpy.frombuffer(body, {"float16": "<f2", "float32": "<f4", "float64": "<f8"}[dtype]).astype(float)


def check_tensor_numbers(tab, query):
    """The facts and the elements are the API's."""
    plan, facts = tab.json("/explain", **query), tab.facts()
    for name in ["fan_in", "fan_out", "gain", "mean", "std", "bound"]:
        if name in plan:
            tab.failures.check(is_close(facts.get(name, "nan"), plan[name], 7), f"{query}: {name} is {facts.get(name)}")
        else:
            tab.failures.check(name not in facts, f"{query}: {name} is shown")
    tab.failures.check(number(facts["bytes"]) == plan["bytes"], f"{query}: bytes are {facts['bytes']}")
    tab.failures.check(tab(".formula").inner_text() == plan["formula"], f"{query}: the formula")
    dtype = plan["dtype"]
    body = tab.service.get("/init", format="raw", **query)
    expected = elements(body, dtype)
    shown = tab(".first li").all_inner_texts()
    tab.failures.check(len(shown) == min(8, len(expected)), f"{query}: {len(shown)} elements are shown")
    kinds = {"float16": numpy.float16, "float64": float}
    for text, value in zip(shown, expected):
        # The digits read back as the element; NumPy has no bfloat16.
        tab.failures.check("-" not in text, f"{query}: {text} has a hyphen for a minus sign")
        read = numpy.float64(kinds.get(dtype, numpy.float32)(text.replace("−", "-")))
        holds = abs(read - value) < abs(value) * 2.0**-9 if dtype == "bfloat16" else read == value
        tab.failures.check(holds or value == read, f"{query}: {text} for {value}")
    sample = expected[: 1 << 16]
    sample = sample[sample != 0] if query["method"] == "sparse" else sample
    caption = tab(".caption").inner_text()
    if "mean" in caption:
        mean, std = (number(part.split()[-1]) for part in caption.rstrip(".").split(":")[1].split(","))
        tab.failures.check(math.isclose(mean, sample.mean(), rel_tol=1e-3, abs_tol=1e-9), f"{query}: {caption}")
        tab.failures.check(math.isclose(std, sample.std(), rel_tol=1e-3, abs_tol=1e-9), f"{query}: {caption}")
    return plan


def check_tensor(context, service, failures):
    with Tab(context, service, failures) as tab:
        query = {"method": "kaiming_normal", "shape": "64,3,7,7", "seed": "42", "nonlinearity": "relu"}
        check_tensor_numbers(tab, query)
        failures.check(tab("#histogram .bars").get_attribute("d").count("M") > 20, "the histogram has bars")
        failures.check(tab("#histogram .line").count() == 1, "the density is drawn")
        for name, value in [("seed", "-7"), ("shape", "[20, 30]"), ("mode", "fan_out"), ("gain", "gelu")]:
            if name == "gain":
                # A gain replaces nonlinearity, which comes back if the gain is emptied.
                tab.fill("gain", value)
                check_tensor_numbers(tab, {name: value for name, value in query.items() if name != "nonlinearity"} | {"gain": value})
                for replaced in ["a", "nonlinearity"]:
                    failures.check(tab(f"#tensor-form-{replaced}").is_disabled(), f"{replaced} can be chosen beside gain")
                    hint = tab(f"#tensor-form-{replaced}-help").inner_text()
                    failures.check(hint == "replaced by gain", f"{replaced} says {hint!r}")
                failures.check("nonlinearity" not in tab.page.url, f"{tab.page.url} has a nonlinearity beside gain")
                tab.fill("gain", "")
                failures.check(tab("[disabled]").count() == 0 and "nonlinearity=relu" in tab.page.url, "nonlinearity comes back")
                check_tensor_numbers(tab, query)
                query.pop("nonlinearity")
            tab.fill(name, value)
            query[name] = value
            check_tensor_numbers(tab, query)
        for dtype in ["float64", "float16", "bfloat16"]:
            tab.fill("dtype", dtype)
            query["dtype"] = dtype
            check_tensor_numbers(tab, query)
        tab.fill("dtype", "float32")
        query = {"shape": "[20, 30]", "seed": "-7"}
        for method in tab.json("/methods")["methods"]:
            tab.fill("method", method["name"])
            required = {entry["name"]: "0.25" for entry in method["parameters"] if entry["required"]}
            for name, value in required.items():
                tab.complaints.clear()
                tab.fill(name, value)
            kept = {"mode": "fan_out", "gain": "gelu"}
            kept = {name: kept[name] for name in kept if name in [entry["name"] for entry in method["parameters"]]}
            if method["name"] == "dirac":
                # dirac refuses matrices.
                failures.check(tab("[name=shape][aria-invalid=true]").count() == 1, "dirac's shape is at fault")
                tab.complaints.clear()
                continue
            failures.check(tab(".status").inner_text() == "", f"{method['name']}: {tab('.status').inner_text()}")
            check_tensor_numbers(tab, query | {"method": method["name"]} | required | kept)
        # The words of a truncated normal cannot be counted beforehand, and its density is cut, however the cut is given.
        lines = []
        scale = 0.125 / 0.87962566103423978
        for method, changes in [("trunc_normal", {"std": scale, "a": -2 * scale, "b": 2 * scale}), ("lecun_normal", {})]:
            query = {"method": method, "shape": "64,64"} | changes
            with Tab(context, service, failures, "#tensor?" + urllib.parse.urlencode(query)) as other:
                words = other.facts()["32-bit random words"]
                failures.check("not known beforehand" in words and "drawn again" in words, f"{method}: {words!r} words")
                lines.append(other("#histogram .line").get_attribute("d"))
        failures.check(lines[0] == lines[1], "the density of lecun_normal is that of a truncated normal")
        # The chart is drawn from numbers, whatever the sentences say.
        with Tab(context, service, failures, "#tensor?method=uniform&shape=9,9", settles=False) as other:
            other.page.route("**/explain?*", lambda route: route.fulfill(json=route.fetch().json() | {"formula": "?"}))
            other.settle(0)
            failures.check(other("#histogram .line").count() == 1, "the density without the formula")
        tab.fill("method", "xavier_normal")
        tab.fill("shape", "8,1000000")
        failures.check(tab.facts()["fan_in"] == "1\u202f000\u202f000", f"fan_in is {tab.facts()['fan_in']}")
        # More elements than the page fetches, and a seed that JavaScript would round.
        tab.fill("method", "uniform")
        tab.fill("seed", "18446744073709551615")
        tab.fill("shape", "1000,1000")
        check_tensor_numbers(tab, {"method": "uniform", "seed": "18446744073709551615", "shape": "1000,1000"})
        failures.check("65\u202f536 of 1\u202f000\u202f000" in tab(".caption").inner_text(), "a part is said to be one")
        for shape, written in [("64 3 7 7", "64,3,7,7"), ("[64 3, 7]", "[64,3,7]"), ("64 , 3,", "64,3"), ("64\t3 ,", "64,3")]:
            tab.fill("shape", shape)
            failures.check(f"shape={written}&" in tab.page.url, f"shape {shape!r} becomes {tab.page.url}")
            failures.check(tab("[aria-invalid=true]").count() == 0, f"shape {shape!r} is refused")
        for shape in ["", "0,3", "1", "1000000,1000000"]:
            tab.fill("shape", shape)
            failures.check(tab(".status").inner_text() == "", f"shape {shape!r}: {tab('.status').inner_text()}")


def check_faults(context, service, failures):
    with Tab(context, service, failures) as tab:
        hints = {name: tab(f"#tensor-form-{name}-help").inner_text() for name in ["shape", "seed", "gain"]}
        takes = {"shape": "shape takes whole numbers of at least 0", "seed": "seed takes a whole number", "gain": "gain takes a number, such as 1.5, or an activation"}
        for name, value, words, message in [
            ("shape", "4", "at least 2 dimensions", None),
            ("shape", "3.5,2", takes["shape"], "must be an integer"),
            ("shape", "-1,2", takes["shape"], "is negative"),
            ("shape", "1e3,2", takes["shape"], "must be an integer"),
            ("shape", "1000000000,1000000000", "1\u202f000\u202f000\u202f000\u202f000\u202f000\u202f000 elements of float32 (4\u202f000\u202f000\u202f000\u202f000\u202f000\u202f000 bytes) are over", "--max-tensor-bytes"),
            ("seed", "99999999999999999999999", "seed is out of range: seeds go from −2⁶³ to 2⁶⁴\u00a0−\u00a01.", None),
            ("shape", "4,x", takes["shape"], "must be an integer"),
            ("shape", "4,3.5", takes["shape"], "must be an integer"),
            ("seed", "1.5", takes["seed"], "not an integer"),
            ("gain", "rleu", "did you mean relu", None),
            ("gain", "leaky_relu:x", takes["gain"], "must be a number"),
            ("gain", "relu:", takes["gain"], "must be a number"),
            ("gain", ":", takes["gain"], "must be a number"),
        ]:
            good = tab(f"#tensor-form-{name}").input_value()
            tab.fill(name, value)
            hint, error = tab(f"#tensor-form-{name}-help > span").all_inner_texts()
            failures.check(words in error, f"{name}={value} says {error!r}")
            failures.check(hint in hints[name], f"{name}={value} has the hint {hint!r}")
            failures.check("--" not in error and error.endswith((".", "?")), f"{name}={value} says {error!r}")
            failures.check(not re.search(r'[{}/"]|member|pointer|parameter', error) or message is None, f"{name}={value} has the API's words: {error!r}")
            # The service's own sentence is a key away.
            details = tab(f"#tensor-form-{name}-help details")
            failures.check(details.count() == (message is not None), f"{name}={value}: the service's message beside its own words")
            if message is not None:
                details.locator("summary").press("Enter")
                failures.check(message in details.inner_text(), f"{name}={value}: the service says {details.inner_text()!r}")
            described = tab(f"#tensor-form-{name}").get_attribute("aria-describedby")
            failures.check(described == f"tensor-form-{name}-help", f"{name} is described by {described}")
            status = tab(".status")
            failures.check(status.inner_text().startswith(f"{name} needs another value."), f"beside the results stands {status.inner_text()!r}")
            status.locator("button").press("Enter")
            focused = tab.page.evaluate("document.activeElement.id")
            failures.check(focused == f"tensor-form-{name}", f"the button leads to {focused}")
            failures.check(tab(f"#tensor-form-{name}").get_attribute("aria-invalid") == "true", f"{name} is not marked")
            failures.check("stale" in tab(".results").get_attribute("class"), "old results look new")
            tab.fill(name, good)
            failures.check(tab("[aria-invalid=true]").count() == 0, f"{name} stays marked")
            failures.check("stale" not in tab(".results").get_attribute("class"), "new results look old")
        with Tab(context, service, failures, "#tensor?method=normall&shape=2") as other:
            failures.check("did you mean normal" in other("#tensor-form-method-help").inner_text(), "a link's method is explained")
            other.complaints.clear()
            other.fill("method", "normal")
            failures.check(other("[aria-invalid=true]").count() == 0, "a link's method can be mended")
        tab.open("propagate")
        tab.fill("depth", "0")
        failures.check("depth must be at least 1." in tab("#propagate-form-depth-help").inner_text(), "depth 0 is explained")
        tab.fill("depth", "4")
        tab.fill("runs", "1000000000")
        help = tab("#propagate-form-runs-help")
        said = help.locator(".error").inner_text()
        failures.check("are over the limit of 134\u202f217\u202f728 weights." in said and "--" not in said, f"too many runs: {said!r}")
        failures.check("--max-propagated-weights" in help.locator("details").text_content(), "the service's message has the limit's option")
        tab.open("model")
        with tab.change():
            tab("#model-seed").fill("1.5")
        help = tab("#model-seed-help").inner_text()
        failures.check("seed takes a whole number" in help, f"the seed of a model says {help!r}")
        said = tab("#model-seed-help details").text_content()
        failures.check("not an integer" in said, f"of the seed of a model, the service says {said!r}")
        failures.check(tab("[aria-invalid=true]").get_attribute("id") == "model-seed", "the seed is marked")
        with tab.change():
            tab("#model-example").select_option("a small MLP")
        failures.check(tab("[aria-invalid=true]").count() == 0, "the seed stays marked")
        with tab.change():
            tab("#model-example").select_option("random/lenet5")
        tab.page.route("**/explain", lambda route: route.abort())
        tab("#model-example").select_option("a request of your own")
        hint = tab("#model-example-help").text_content()
        failures.check(hint == "", f"a request of your own has the hint {hint!r}")
        failures.check(tab("#model-request").input_value() != "", "a request of your own begins with one")
        with tab.change():
            tab.page.unroute("**/explain")
            tab("#model-example").select_option("a small MLP")
        tab.complaints.clear()
        with Tab(context, service, failures, "#model?model=random/nothing") as other:
            help = other("#model-example-help").inner_text()
            failures.check("random/nothing" in help, f"a link's model says {help!r}")
            other.complaints.clear()
        with tab.change():
            tab("#model-request").fill('{"layers": [{"type": "Linear", "in_features": 3, "out_feature": 2}]}')
        help = tab("#model-request-help").inner_text()
        failures.check("/layers/0/out_feature" in help and "did you mean out_features" in help, f"the model says {help!r}")
        for text, said in [
            ('{"layers": [{"type": "Linear", "in_features": 3, "out_feature": 2}]}', "/layers/0/out_feature needs another value."),
            ('{"layers": [{"type": "Linear", "in_features": 3}]}', "/layers/0/out_features is missing."),
            ("", "request is missing."),
        ]:
            with tab.change():
                tab("#model-request").fill(text)
            status = tab(".status").inner_text()
            failures.check(status.startswith(said), f"beside the results of {text!r} stands {status!r}")
        with tab.change():
            tab("#model-request").fill('{"layers": [}')
        failures.check(tab("#model-request").get_attribute("aria-invalid") == "true", "what is no JSON is marked")
        failures.check(all("Failed to load resource" in text for text in tab.complaints), f"{tab.complaints}")
        tab.complaints.clear()


def check_missing_values(context, service, failures):
    """Before a required value is typed, the page says that it is missing; bounds of uniform begin with values that work."""
    for method, name in [("constant", "value"), ("sparse", "sparsity")]:
        with Tab(context, service, failures, f"#tensor?method={method}&shape=3,4") as tab:
            status, help = tab(".status").inner_text(), tab(f"#tensor-form-{name}-help .error").inner_text()
            failures.check(status.startswith(f"{name} is missing."), f"{method}: {status!r}")
            failures.check(help == f"{name} is missing: it takes a number, such as 0.02.", f"{method}: {help!r}")
            tab.complaints.clear()
            tab.fill(name, "x")
            help = tab(f"#tensor-form-{name}-help .error").inner_text()
            failures.check(help == f"{name} takes a number, such as 0.02.", f"{method}: {help!r}")
            tab.complaints.clear()
            # As copied from this page.
            tab.fill(name, "−0.5" if method == "constant" else "0.5")
            failures.check(tab("[aria-invalid=true]").count() == 0, f"{method}: a copied number")
    bounds = lambda tab: [tab(f"#propagate-form-{name}").input_value() for name in "ab"]
    with Tab(context, service, failures, "#propagate") as tab:
        tab.fill("method", "uniform")
        failures.check(tab(".status").inner_text() == "" and bounds(tab) == ["-0.05", "0.05"], f"uniform begins with {bounds(tab)}")
        failures.check("a=-0.05&b=0.05" in tab("#propagate-code").text_content(), "the command has the bounds")
        tab.fill("a", "0.01")
        help = tab("#propagate-form-a-help .error").inner_text()
        failures.check(help.startswith("a must be −b: the theory is about"), f"a rule of two fields: {help!r}")
        tab.fill("a", "")
        help = tab("#propagate-form-a-help")
        failures.check("a must be −b" in help.inner_text() and help.locator("details").count() == 0, f"a rule of two fields: {help.inner_text()!r}")
        tab.complaints.clear()
        tab.fill("a", "-0.05")
        failures.check(tab(".status").inner_text() == "", "the bounds can be mended")
        tab.fill("method", "trunc_normal")
        failures.check(bounds(tab) == ["", ""], f"another method gets {bounds(tab)}")
    for fragment, expected in [("", ["-0.05", "0.05"]), ("&b=0.1", ["-0.1", "0.1"]), ("&a=-0.2", ["-0.2", "0.2"])]:
        with Tab(context, service, failures, "#propagate?method=uniform" + fragment) as tab:
            failures.check(tab(".status").inner_text() == "" and bounds(tab) == expected, f"uniform{fragment} begins with {bounds(tab)}")


# Boxes of visible texts in the cards that intersect the box of the error.
COVERED = """panel => {
  const error = document.querySelector(`#${panel} .status`).getBoundingClientRect();
  return [...document.querySelectorAll(`#${panel} :is(label, input, select, h2, dt, dd, .card)`)].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && box.left < error.right && error.left < box.right && box.top < error.bottom && error.top < box.bottom;
  }).map((node) => node.outerHTML.slice(0, 80));
}"""


def check_layout(context, service, failures):
    """Errors cover nothing and move nothing; an address with an error leads to a page without a gap; rows of fields are full."""
    page_error = "#tensor?method=kaiming_normal&shape=4"
    for width in [1280, 375, 320]:
        with Tab(context, service, failures) as tab:
            tab.page.set_viewport_size({"width": width, "height": 740})
            place = "() => Math.round(document.querySelector('#tensor .results .card').getBoundingClientRect().top + scrollY"
            place += " - document.querySelector('#tensor .results').getBoundingClientRect().top - scrollY)"
            before = tab.page.evaluate(place)
            tab.fill("shape", "4")
            covered = tab.page.evaluate(COVERED, "tensor")
            failures.check(not covered, f"{width} px: the error covers {covered}")
            failures.check(tab.page.evaluate(place) == before, f"{width} px: the results move")
            tab.complaints.clear()
            lists = "nodes => nodes.filter((node) => node.scrollHeight > node.clientHeight || node.scrollWidth > node.clientWidth).map((node) => node.textContent)"
            for panel in PANELS:
                tab.open(panel)
                cut = tab.page.locator("[role=tablist]:visible").evaluate_all(lists)
                failures.check(not cut, f"{panel}, {width} px: lists of tabs scroll: {cut}")
            tab.complaints.clear()
        with Tab(context, service, failures, page_error, settles=False) as tab:
            tab.page.set_viewport_size({"width": width, "height": 740})
            tab.settle(0)
            failures.check(tab.page.is_visible("footer"), f"{width} px: no footer beside an error")
            gap = tab.page.evaluate(
                "() => document.querySelector('footer').getBoundingClientRect().top"
                " - Math.max(...[...document.querySelectorAll('#tensor :is(form, .status)')].map((node) => node.getBoundingClientRect().bottom))"
            )
            failures.check(gap < 100, f"{width} px: {gap} px of nothing below an error")
            tab.complaints.clear()
            tab.fill("shape", "4,4")
            failures.check(tab(".card").first.is_visible(), f"{width} px: results after an error")
    rows = """form => {
      const rows = {}, left = form.getBoundingClientRect().right;
      for (const node of form.querySelectorAll("div:has(> label)")) {
        const box = node.getBoundingClientRect();
        if (box.width) (rows[Math.round(box.top)] ||= []).push(Math.round(left - box.right));
      }
      return Object.values(rows).map((row) => Math.min(...row));
    }"""
    for fragment in ["#tensor", "#propagate", "#tensor?method=trunc_normal&shape=2"]:
        with Tab(context, service, failures, fragment) as tab:
            tab.page.set_viewport_size({"width": 375, "height": 740})
            gaps = tab("form").evaluate(rows)
            failures.check(max(gaps) <= 1, f"{fragment}: rows of fields leave {gaps}")
            sizes = tab.page.locator("input:visible, select:visible, textarea:visible").evaluate_all("nodes => nodes.map((node) => parseFloat(getComputedStyle(node).fontSize))")
            failures.check(min(sizes) >= 16, f"{fragment}: fields of {min(sizes)} px, into which phones zoom")
    for query, names in [({"method": "orthogonal", "shape": "4,4"}, ["elements"]), ({"method": "normal", "shape": "0,3"}, ["theory"]),
                         ({"method": "kaiming_normal", "shape": "0,3"}, []), ({"method": "normal", "shape": "4,4"}, ["elements", "theory"])]:
        with Tab(context, service, failures, "#tensor?" + urllib.parse.urlencode(query)) as tab:
            shown = tab(".legend span:visible").all_inner_texts()
            drawn = ["elements"] * tab('.bars:not([d="M0 0"])').count() + ["theory"] * tab(".line").count()
            failures.check(shown == drawn, f"{query}: the legend has {shown}, the chart {drawn}")
            failures.check(names == shown, f"{query}: the legend has {shown}")
    with Tab(context, service, failures, "#propagate?runs=0") as tab:
        failures.check(tab(".legend span:visible").all_inner_texts() == ["theory"], "the legend has points that are not drawn")


def check_forced(browser, service, failures):
    """In forced colours, the selected tab, the legend and the charts can be told by their colours."""
    context = browser.new_context(forced_colors="active", viewport={"width": 1280, "height": 900})
    with Tab(context, service, failures, "#tensor") as tab:
        colour = lambda selector, name, pseudo="": tab.page.evaluate(
            "([selector, name, pseudo]) => getComputedStyle(document.querySelector(selector), pseudo || null)[name]", [selector, name, pseudo])
        grounds = [colour(f"#tab-{panel}", "backgroundColor") for panel in PANELS]
        failures.check(grounds[0] not in grounds[1:], f"forced colours: tabs have the grounds {grounds}")
        ground = colour("body", "backgroundColor")
        bars, line = colour("#histogram .bars", "fill"), colour("#histogram .line", "stroke")
        failures.check(len({ground, bars, line}) == 3, f"forced colours: ground {ground}, bars {bars}, line {line}")
        legend = [colour("#tensor .legend span", "backgroundColor", "::before"), colour("#tensor .legend .is-line", "borderTopColor", "::before")]
        failures.check(legend == [bars, line], f"forced colours: the legend has {legend}, the chart {bars} and {line}")
        tab.open("propagate")
        points = colour("#forward .points", "fill"), colour("#propagate .legend .is-point", "backgroundColor", "::before")
        failures.check(points[0] == points[1] != ground, f"forced colours: points {points}")
        check_axe(tab, "forced colours")
    context.close()


def check_scriptless(browser, service, failures):
    """Without JavaScript, the page leads to a tensor of this service."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(service.url + "/")
    text = page.inner_text("noscript")
    failures.check("localhost" not in text and "address bar" in text, f"without JavaScript: {text!r}")
    page.click("noscript a")
    failures.check(page.inner_text("body").startswith("{"), "without JavaScript: the link")
    context.close()


def run(command, directory, standard_input=None, **environment):
    outcome = subprocess.run(
        command, cwd=directory, input=standard_input, capture_output=True, text=True, timeout=600, env=os.environ | environment
    )
    return outcome.stdout if outcome.returncode == 0 else f"status {outcome.returncode}: {outcome.stderr}"


def refused(program):
    """The same program with a request that the service refuses."""
    return program.replace("seed=3", "seed=x")


def check_programs(context, service, failures):
    """The copied program runs, and prints the first elements."""
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    with Tab(context, service, failures, "#tensor?method=xavier_normal&shape=5,7&seed=3") as tab, tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        for dtype in ["float32", "float64", "float16", "bfloat16"]:
            tab.fill("dtype", dtype) if dtype != "float32" else None
            body = service.get("/init", method="xavier_normal", shape="5,7", seed=3, dtype=dtype, format="raw")
            first = elements(body, dtype)[:4]
            for language in ["curl", "Python", "JavaScript", "Go"]:
                tab.page.click(f"#tensor-code-{language}")
                tab(".code .copy").click()
                program = tab("#tensor-code").text_content()
                tab.page.wait_for_function("async (shown) => await navigator.clipboard.readText() === shown", arg=program)
                tool = {"curl": "curl", "Python": sys.executable, "JavaScript": "node", "Go": "go"}[language]
                if shutil.which(tool) is None:
                    print(f"check_page: no {tool} here, its program is not run")
                elif language == "curl":
                    run(["bash", "-c", program], directory)
                    file = directory / ("weight.safetensors" if dtype == "bfloat16" else "weight.npy")
                    failures.check(file.exists() and file.read_bytes().endswith(body), f"{program} gives {dtype}")
                    file.unlink(missing_ok=True)
                    outcome = run(["bash", "-c", refused(program)], directory)
                    failures.check(outcome.startswith("status 22:") and not file.exists(), f"{refused(program)} gives {outcome!r}")
                else:
                    source = directory / {"Python": "program.py", "JavaScript": "program.mjs", "Go": "program.go"}[language]
                    command = [tool, "run", source] if language == "Go" else [tool, source]
                    if dtype == "float32":
                        source.write_text(refused(program))
                        outcome = run(command, directory)
                        failures.check(outcome.startswith("status 1:") and "400" in outcome, f"{language} takes an error: {outcome!r}")
                    source.write_text(program)
                    printed = run(command, directory)
                    if language == "Go" and dtype in ("float16", "bfloat16"):
                        expected = [str(bits) for bits in struct.unpack("<4H", body[:8])]
                        holds = printed.strip("[]\n").split() == expected
                    else:
                        numbers = [float(text) for text in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", printed)]
                        holds = len(numbers) == 4 and numpy.allclose(numbers, first, rtol=1e-3, atol=1e-6)
                    failures.check(holds, f"{language} in {dtype} prints {printed!r} for {first}")


# Requests whose PyTorch program is more than the method's name.
PYTORCH = [
    {"method": "uniform", "a": "-0.5", "b": "0.25"},
    {"method": "normal", "mean": "1e-7", "std": "3", "dtype": "float64"},
    {"method": "normal", "dtype": "bfloat16", "seed": "18446744073709551615"},
    {"method": "trunc_normal", "std": "0.02", "a": "-0.04", "b": "0.04", "dtype": "float16"},
    {"method": "constant", "value": "-inf"},
    {"method": "constant", "value": "-0.0"},
    {"method": "normal", "shape": ""},
    {"method": "dirac", "shape": "20,30,3", "groups": "2"},
    {"method": "sparse", "sparsity": "0.25"},
    {"method": "xavier_uniform", "gain": "leaky_relu:0.2"},
    {"method": "xavier_normal", "gain": "gelu"},
    {"method": "kaiming_uniform", "a": "2.23606797749979"},
    {"method": "kaiming_normal", "mode": "fan_out", "nonlinearity": "tanh"},
    {"method": "kaiming_uniform", "gain": "0.3"},
    {"method": "kaiming_normal", "gain": "gelu"},
    {"method": "variance_scaling", "scale": "2", "mode": "fan_out"},
    {"method": "variance_scaling", "distribution": "uniform"},
    {"method": "variance_scaling", "distribution": "normal", "dtype": "bfloat16"},
    {"method": "orthogonal"},
]


def check_pytorch(context, service, failures):
    """The SHA-256 on the page is the one of the service's bytes, and the program beside it prints PyTorch's SHA-256."""
    plain = [method["name"] for method in json.loads(service.read(service.url + "/methods"))["methods"]]
    plain = [{"method": name} for name in plain if name not in ("constant", "dirac", "sparse", "orthogonal")]
    programs, digests = [], []
    for changes in plain + PYTORCH:
        query = {"shape": "20,30", "seed": "-7"} | changes
        with Tab(context, service, failures, "#tensor?" + urllib.parse.urlencode(query)) as tab:
            program = tab("#tensor-code").text_content()
        digest = hashlib.sha256(service.get("/init", format="raw", **query)).hexdigest()
        failures.check(f"\n# The service: {digest}" in program, f"{query}: the service's SHA-256")
        if query["method"] == "orthogonal":
            failures.check("within a tolerance" in program, "the limit of orthogonal is named")
        else:
            programs.append(program)
            digests.append((query, digest))
    if PYTHON is None:
        print("check_page: no --python, the programs for PyTorch are not run")
    else:
        runner = "import json, sys\nfor program in json.load(sys.stdin): exec(program, {})"
        printed = run([PYTHON, "-c", runner], ".", standard_input=json.dumps(programs)).split("\n")
        failures.check(len(printed) == len(programs) + 1, f"the programs for PyTorch print {printed}")
        for (query, digest), line in zip(digests, printed):
            failures.check(line == digest, f"{query}: PyTorch's SHA-256 is {line}")
    with Tab(context, service, failures, "#tensor?method=normal&shape=5000,5000") as tab:
        program = tab("#tensor-code").text_content()
        failures.check("# The service: curl" in program and "&format=summary'" in program, "of a large tensor a command")


def check_files(context, service, failures):
    """The button downloads the shown tensor, with the service's file name."""
    with Tab(context, service, failures, "#tensor?method=xavier_normal&shape=5,7&seed=3") as tab:
        for dtype, form in [("float32", "npy"), ("float64", "npy"), ("float16", "npy"), ("bfloat16", "safetensors")]:
            if dtype != "float32":
                tab.fill("dtype", dtype)
            expected = service.get("/init", method="xavier_normal", shape="5,7", seed=3, dtype=dtype, format=form)
            failures.check(tab("#tensor-download").inner_text() == f"Download {form}", f"{dtype}: the button")
            size = tab("#tensor-download-note").inner_text()
            failures.check(size == f"{35 * {'float64': 8, 'float32': 4}.get(dtype, 2)} B of elements and a header", f"{dtype}: the size is {size!r}")
            with tab.page.expect_download() as download:
                tab("#tensor-download").click()
            same = pathlib.Path(download.value.path()).read_bytes() == expected
            failures.check(same and download.value.suggested_filename == f"xavier_normal-5x7.{form}", f"{dtype}: the file")


def check_busy(context, service, failures):
    """During a request, the results of the previous request cannot be copied or downloaded."""
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    for panel, field, value, paths in [("tensor", "#tensor-form-seed", "43", "**/explain?*"), ("propagate", "#propagate-form-depth", "5", "**/propagate?*"),
                                       ("model", "#model-seed", "43", "**/explain")]:
        with Tab(context, service, failures, "#" + panel) as tab:
            held = []
            tab.page.route(paths, lambda route: held.append(route))
            tab.page.evaluate("navigator.clipboard.writeText('before')")
            version = tab.version
            tab(field).fill(value)
            failures.check(tab(".results").get_attribute("aria-busy") == "true", f"{panel}: is busy")
            tab.page.wait_for_function("panel => getComputedStyle(document.querySelector(`#${panel} .card`)).opacity < 0.7", arg=panel)
            failures.check(tab(".primary[href]").count() == 0, f"{panel}: an old link can be followed")
            tab.page.wait_for_function("panel => document.querySelector(`#${panel} .working`).textContent === 'Working…'", arg=panel)
            tab(".copy").click(force=True)
            tab(".code pre").click()
            failures.check(tab.page.evaluate("navigator.clipboard.readText()") == "before", f"{panel}: an old text is copied")
            while not held:
                tab.page.wait_for_timeout(50)
            held[-1].continue_()
            tab.page.unroute(paths)
            tab.settle(version)
            failures.check(tab(".results").get_attribute("aria-busy") == "false", f"{panel}: stays busy")
            failures.check(tab(".working").text_content() == "", f"{panel}: still says that it works")
            for link in tab(".primary").all():
                failures.check("seed=43" in link.get_attribute("href"), f"{panel}: the new link")
            tab(".copy").click()
            role = tab.page.locator("#announcer").get_attribute("role")
            failures.check(role == "status", f"{panel}: a copy is not announced: {role}")
            # The text is in the clipboard first.
            tab.page.wait_for_function("() => document.querySelector('#announcer').textContent === 'Copied'")
            shown = tab(".code pre").text_content()
            tab.page.wait_for_function("async (shown) => await navigator.clipboard.readText() === shown", arg=shown)
            failures.check(value in shown, f"{panel}: the new text")
            with tab.change():
                tab(field).fill("1.5")
            failures.check(tab(".results").get_attribute("aria-busy") == "false", f"{panel}: busy after an error")
            failures.check(tab(".copy").get_attribute("aria-disabled") == "true", f"{panel}: copies after an error")
            failures.check(tab(".primary[href]").count() == 0, f"{panel}: downloads after an error")
            tab.complaints.clear()


def check_back(context, service, failures):
    """Back and forward undo and redo edits and changes of tabs, without a reload."""
    with Tab(context, service, failures) as tab:
        page = tab.page
        page.evaluate("window.kept = true")

        def move(step, panel, fragment, field, value):
            tab.panel = panel
            with tab.change():
                getattr(page, step)()
            where = f"{step} to {panel} with {fragment}"
            failures.check(fragment in page.url, f"{where}: {page.url}")
            failures.check(tab(".results").is_visible(), f"{where} shows {panel}")
            failures.check(page.locator(f"#tab-{panel}").get_attribute("aria-selected") == "true", f"{where} selects {panel}")
            shown = tab(field).input_value()
            failures.check(shown == value, f"{where}: {field} is {shown!r}")

        # One edit, in however many keys; a choice that brings other fields; an edit of a field that goes with the choice.
        tab("#tensor-form-seed").click()
        with tab.change():
            page.keyboard.press("End")
            page.keyboard.type("57", delay=400)
            page.wait_for_function("() => location.hash.includes('seed=4257')")
        tab.fill("method", "trunc_normal")
        tab.fill("std", "0.5")
        tab.open("propagate")
        tab.fill("depth", "4")
        tab.open("model")
        move("go_back", "propagate", "depth=4", "#propagate-form-depth", "4")
        move("go_back", "propagate", "#propagate", "#propagate-form-depth", "")
        move("go_back", "tensor", "std=0.5", "#tensor-form-std", "0.5")
        body = service.get("/init", method="trunc_normal", shape="64,3,7,7", seed=4257, std=0.5, format="raw")
        first = numpy.float32(tab(".first li").first.inner_text().replace("−", "-"))
        failures.check(first == elements(body, "float32")[0], f"the elements come back, first {first}")
        move("go_back", "tensor", "method=trunc_normal&", "#tensor-form-std", "")
        move("go_back", "tensor", "seed=4257", "#tensor-form-method", "kaiming_normal")
        failures.check(tab("#tensor-form-nonlinearity").input_value() == "relu", "fields that a choice took away come back")
        move("go_back", "tensor", "seed=42&", "#tensor-form-seed", "42")
        failures.check(page.evaluate("document.activeElement.id") in ("tensor-form-seed", "", "tab-model"), "focus is lost")
        move("go_forward", "tensor", "seed=4257", "#tensor-form-seed", "4257")
        move("go_forward", "tensor", "method=trunc_normal", "#tensor-form-method", "trunc_normal")
        # An error is undone as well.
        tab.fill("std", "x")
        tab.complaints.clear()
        move("go_back", "tensor", "method=trunc_normal", "#tensor-form-std", "")
        failures.check(tab("[aria-invalid=true]").count() == 0, "an undone error stays marked")
        tab.open("model")
        # A request that is too long for the address is kept beside it.
        with tab.change():
            tab("#model-example").select_option("random/lenet5")
        long = json.dumps({"tensors": [{"name": f"a name of some length, number {index}", "shape": [2], "method": "normal"} for index in range(300)]})
        with tab.change():
            tab("#model-example").select_option("a request of your own")
        with tab.change():
            tab("#model-request").fill(long)
        with tab.change():
            tab("#model-example").select_option("random/lenet5")
        move("go_back", "model", "#model", "#model-request", long)
        failures.check(page.evaluate("window.kept") is True, "the page is not loaded anew")
        page.reload()
        tab.settle(0)
        failures.check(tab("#model-request").input_value() == long, "a long request survives a reload")
        page.goto(service.url + "/#nothing?x=%ff&%")
        tab.panel = "tensor"
        page.wait_for_function("() => location.hash.startsWith('#tensor?')")
        page.wait_for_selector("#tensor .results", state="visible")
        note = page.inner_text("#note")
        failures.check(note.startswith("Ignored in the address: nothing"), f"an address of nothing: {note!r}")


def check_missing(context, service, failures):
    """Where nothing is found, a browser shows a page that leads to this one; programs get JSON."""
    for scheme in ["light", "dark"]:
        page = context.new_page()
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 375, "height": 740})
        reply = page.goto(service.url + "/fooo<b>")
        failures.check(reply.status == 404 and "text/html" in reply.headers["content-type"], f"a browser gets {reply.headers}")
        failures.check("/fooo" in page.inner_text("main p >> nth=0") and page.locator("main b").count() == 0, page.inner_text("main"))
        found = page.evaluate(CONTRAST)
        failures.check(len(found) >= 3 and all(item["ratio"] >= item["needed"] for item in found), f"{scheme}: contrasts {found}")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("async () => (await axe.run()).violations.map(({ id }) => id)")
        failures.check(not found, f"axe-core finds {found}")
        page.click("main a")
        page.wait_for_selector("#tensor .card", state="visible")
        page.close()


# Numbers and heads of tables that have more lines than words.
BROKEN = """() => [...document.querySelectorAll("th, .number")].filter((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = new Set([...range.getClientRects()].map(({ bottom }) => Math.round(bottom)));
  return lines.size > (cell.matches(".number") ? 1 : cell.textContent.split(" ").length);
}).map((cell) => cell.textContent)"""


def check_readme(page, service, failures):
    """The link to the README leads to a page that can be read, whose links lead to what the service has."""
    page.click("nav >> text=README")
    page.wait_for_url(service.url + "/docs/readme")
    failures.check(page.inner_text("h1") == "weight-init" and page.locator("table").count() > 4, "the README is a page")
    failures.check(page.locator("main >> text=/[*]{2}|`|[]][(]/").count() == 0, "the README's page has no Markdown")
    for window in [375, 1280]:
        page.set_viewport_size({"width": window, "height": 900})
        width = page.evaluate("document.documentElement.scrollWidth")
        failures.check(width <= window, f"the README is {width} pixels wide, the window {window}")
        broken = page.evaluate(BROKEN)
        failures.check(not broken, f"the README breaks words of tables at {window}: {broken}")
    found = page.evaluate(CONTRAST)
    failures.check(len(found) >= 3 and all(item["ratio"] >= item["needed"] for item in found), f"README: contrasts {found}")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations.map(({ id }) => id)")
    failures.check(not found, f"the README: axe-core finds {found}")
    page.click("main a >> text=problem documents")
    page.wait_for_url(service.url + "/docs/problems")
    page.go_back()
    page.click("main a >> text=four limits")
    page.wait_for_url(service.url + "/docs/readme#limits")
    for _ in range(2):
        page.go_back()
    page.wait_for_url(service.url + "/#*")


def check_token(context, service, failures):
    """If the service needs a token, the page asks for one and uses it in all requests."""
    token = "secret~Token-1"
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "tokens")
        file.write_text(token + "\n")
        with Service(service.program, "--token-file", str(file)) as guarded, Tab(context, guarded, failures, settles=False) as tab:
            page = tab.page
            page.wait_for_selector("#access", state="visible")
            help = page.inner_text("#token-help")
            failures.check(help.startswith("The service needs a token.") and "--token-file" in help, f"a token is asked for: {help!r}")
            failures.check("unauthorized" not in page.inner_text("body").lower(), "no raw document")
            check_axe(tab, "the field for a token")
            failures.check(not page.is_visible("nav"), "without a token, links lead to refusals")
            calm = page.locator("#token-help span").evaluate("node => getComputedStyle(node).color")
            for wrong, words in [("ä b", "consists of letters"), ("wrong", "does not accept")]:
                page.fill("#token", wrong)
                page.press("#token", "Enter")
                page.wait_for_function("words => document.querySelector('#token-help').textContent.includes(words)", arg=words)
                failures.check(page.get_attribute("#token", "aria-invalid") == "true", f"{wrong} is marked")
                color = page.locator("#token-help .error").evaluate("node => getComputedStyle(node).color")
                failures.check(color != calm, f"{wrong}: the message looks like a hint")
            # With the scheme, as in a header.
            page.fill("#token", f"Bearer {token}")
            page.press("#token", "Enter")
            tab.settle(0)
            failures.check(not page.is_visible("#access"), "the field goes")
            failures.check(page.evaluate("document.activeElement.id") == "tab-tensor", "focus goes to the selected tab")
            expected = service.get("/init", method="kaiming_normal", shape="64,3,7,7", seed=42, nonlinearity="relu", format="npy")
            with page.expect_download() as download:
                tab("#tensor-download").click()
            same = pathlib.Path(download.value.path()).read_bytes() == expected
            failures.check(same and download.value.suggested_filename == "kaiming_normal-64x3x7x7.npy", "a download with a token")
            page.reload()
            tab.settle(0)
            tab.open("model")
            failures.check(number(tab.facts()["tensors"]) > 1, "a model with a token, after a reload")
            with tab.change():
                tab("#model-example").select_option("random/llama-3-8b")
            tab("#download").click()
            page.wait_for_function("() => document.querySelector('#model .status').textContent.startsWith('Too large')")
            failures.check("WEIGHT_INIT_TOKEN" in page.inner_text("footer"), "the footer says where programs find the token")
            check_token_programs(tab, token)
            check_readme(page, guarded, failures)
            for click, name in [("left", "methods"), ("middle", "openapi.yaml")]:
                page.wait_for_selector(f"nav a[href^=blob] >> text={name}")
                if click == "left":
                    page.click(f"nav >> text={name}")
                    page.wait_for_url(re.compile("^blob:"), timeout=60_000)
                    text = page.inner_text("body")
                    page.go_back()
                    tab.settle(0)
                else:
                    with context.expect_page() as opened:
                        page.click(f"nav >> text={name}", button=click)
                    opened.value.wait_for_load_state()
                    text = opened.value.inner_text("body")
                    opened.value.close()
                failures.check(text.startswith({"methods": "{", "openapi.yaml": "openapi:"}[name]), f"a {click} click on {name}")
            failures.check(all("401" in text for text in tab.complaints), f"{tab.complaints}")
            tab.complaints.clear()


def check_token_programs(tab, token):
    """Programs read the token from the environment, and do not show it."""
    page, failures = tab.page, tab.failures
    environment = {"WEIGHT_INIT_TOKEN": token}
    texts = []
    tab.open("propagate")
    texts.append(tab("#propagate-code").text_content())
    failures.check(json.loads(run(["bash", "-c", texts[0]], ".", **environment)).get("depth") == 16, f"with a token: {texts[0]}")
    with tempfile.TemporaryDirectory() as directory:
        tab.open("tensor")
        tab.fill("shape", "5,7")
        body = tab.service.read(authorized(tab.service.url + "/init?method=kaiming_normal&shape=5,7&seed=42&nonlinearity=relu&format=raw", token))
        for language, tool in [("curl", "curl"), ("Python", sys.executable), ("JavaScript", "node"), ("Go", "go")]:
            page.click(f"#tensor-code-{language}")
            program = tab("#tensor-code").text_content()
            texts.append(program)
            if shutil.which(tool) is None:
                continue
            if language == "curl":
                run(["bash", "-c", program], directory, **environment)
                file = pathlib.Path(directory, "weight.npy")
                failures.check(file.exists() and file.read_bytes().endswith(body), f"with a token: {program}")
                continue
            source = pathlib.Path(directory, {"Python": "program.py", "JavaScript": "program.mjs", "Go": "program.go"}[language])
            source.write_text(program)
            printed = run([tool, "run", source] if language == "Go" else [tool, source], directory, **environment)
            numbers = [float(text) for text in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", printed)]
            first = elements(body, "float32")[:4]
            failures.check(len(numbers) == 4 and numpy.allclose(numbers, first, rtol=1e-3, atol=1e-6), f"{language} with a token prints {printed!r}")
        page.click("#tensor-code-PyTorch")
        tab.fill("shape", "5000,5000")
        texts.append(tab("#tensor-code").text_content())
        tab.open("model")
        with tab.change():
            tab("#model-example").select_option("random/llama-tiny")
        for language in ["transformers", "torch", "client", "Rust", "curl"]:
            page.click(f"#model-code-{language}")
            program = tab("#model-code").text_content()
            texts.append(program)
            if language == "curl" or (PYTHON and language != "Rust"):
                command = ["bash", "-c", program] if language == "curl" else [PYTHON, "-c", WITHOUT_TORCHVISION + program]
                printed = run(command, directory, **environment, HF_HOME=directory, PYTHONPATH=str(CLIENT), HF_HUB_DISABLE_PROGRESS_BARS="1")
                failures.check(not printed.startswith("status"), f"{language} with a token: {printed!r}")
        failures.check(pathlib.Path(directory, "llama-tiny.safetensors").exists(), "a model's command with a token")
        with tab.change():
            tab("#model-example").select_option("a small MLP")
        texts.append(tab("#model-code").text_content())
        run(["bash", "-c", texts[-1]], directory, **environment)
        failures.check(pathlib.Path(directory, "model.safetensors").exists(), f"with a token: {texts[-1]}")
    for text in texts:
        failures.check("WEIGHT_INIT_TOKEN" in text and token not in text, f"a program with a token: {text}")


def authorized(url, token):
    return urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})


# Requests whose charts have an axis that is hard to mark.
AXES = [
    {"method": "constant", "value": "0"}, {"method": "constant", "value": "0.1"}, {"method": "constant", "value": "inf"},
    {"method": "constant", "value": "nan"}, {"method": "constant", "value": "1e308", "dtype": "float64"},
    {"method": "constant", "value": "1e-310", "dtype": "float64"}, {"method": "normal", "shape": ""}, {"method": "normal", "shape": "0,3"},
    {"method": "normal", "mean": "100", "std": "0.001"}, {"method": "uniform", "a": "99.99", "b": "100.01"},
    {"method": "normal", "mean": "1e17", "std": "1", "dtype": "float64"}, {"method": "normal", "mean": "1e16", "std": "1", "dtype": "float64"},
    {"method": "normal", "std": "1e308", "dtype": "float64"}, {"method": "normal", "std": "1e300", "dtype": "float64"},
    {"method": "normal", "std": "1e-310", "dtype": "float64"}, {"method": "normal", "std": "1e5", "dtype": "float16"},
    {"method": "normal", "std": "0"}, {"method": "uniform", "a": "1", "b": "1"}, {"method": "sparse", "sparsity": "1", "shape": "3,4"},
    {"method": "orthogonal", "shape": "1,1"}, {"method": "eye", "shape": "1,1"}, {"method": "xavier_normal", "shape": "1,1"},
]


def check_axes(context, service, failures):
    """Axes of charts have only numbers as marks, and no mark twice."""
    for query in AXES:
        with Tab(context, service, failures, "#tensor?" + urllib.parse.urlencode({"shape": "20,30", "seed": "1"} | query)) as tab:
            failures.check(tab(".status").inner_text() == "" and tab("[aria-invalid=true]").count() == 0, f"{query}: {tab('form').inner_text()}")
            check_chart(tab, "histogram", query)
            caption = tab(".caption").inner_text()
            failures.check(not re.search("nan|infinity", caption, re.IGNORECASE), f"{query}: {caption}")
    for query in [{"depth": 1}, {"depth": 2}, {"depth": 3}, {"depth": 1, "runs": 0}, {"method": "normal", "depth": 60}, {"depth": 300, "runs": 0}]:
        with Tab(context, service, failures, "#propagate?" + urllib.parse.urlencode(query)) as tab:
            for name in ["forward", "backward"]:
                check_chart(tab, name, query)


def check_chart(tab, name, query):
    chart = tab(f"#{name}")
    marks = chart.locator("text").evaluate_all("nodes => nodes.map((node) => [node.getAttribute('text-anchor'), node.textContent])")
    for anchor in ["end", "middle"]:
        texts = [text for where, text in marks if where == anchor]
        tab.failures.check(len(texts) == len(set(texts)), f"{query}: {name} has the marks {texts}")
    tab.failures.check(any(anchor == "middle" for anchor, _ in marks), f"{query}: {name} has no mark below")
    wrong = re.findall("nan|infinity|undefined", chart.evaluate("node => node.innerHTML"), re.IGNORECASE)
    tab.failures.check(not wrong, f"{query}: {name} has {wrong}")


def check_ignored(context, service, failures):
    """The page names ignored parts of an address until the next request; each tab has its own title."""
    for fragment, ignored in [
        ("#tensor?method=normal&shape=2,3&foo=1&std=2&gain=3", "foo=1, gain=3"),
        ("#tensor?method=normal&shape=2,3&seed=1&seed=2", "seed=1"),
        ("#tensor?method=normal&shape=2,3&%zz", "%zz="),
        ("#nothing?x=1", "nothing?x=1"),
        ("#toString", "toString"),
        ("#propagate?depth=4&width=3", "width=3"),
        ("#model?model=random/lenet5&layers=3", "layers=3"),
        ("#tensor?method=he_normal&shape=2,3&mode=fan_out", ""),
        ("#propagate?nonlinearity=leaky_relu&param=0.1", ""),
        ("#model?model=random/lenet5&seed=3", ""),
        ("", ""),
    ]:
        with Tab(context, service, failures, fragment, settles=False) as tab:
            if tab.panel not in PANELS:
                tab.panel = "tensor"
            tab.settle(0)
            note = tab.page.inner_text("#note")
            failures.check(note == (f"Ignored in the address: {ignored}" if ignored else ""), f"{fragment}: {note!r}")
            heading = tab.page.inner_text(f"#tab-{tab.panel}")
            failures.check(tab.page.title() == f"{heading} · weight-init", f"{fragment}: the title is {tab.page.title()}")
            if tab.panel == "tensor":
                tab.fill("seed", "9")
                failures.check(tab.page.inner_text("#note") == "", f"{fragment}: the note stays")
                failures.check("gain" not in tab.page.url and "foo" not in tab.page.url, f"{fragment}: becomes {tab.page.url}")
    with Tab(context, service, failures, "#tensor?shape=2,3") as tab:
        failures.check(tab("option:not([value]), option[value='']").count() == 0, "an option without a name")
        failures.check("—" not in tab.page.inner_text("body"), "a dash in place of a name")
        failures.check("string" not in tab("form").inner_text(), "hints for the API")


def check_waiting(context, service, failures):
    """Before the first reply, the page has fields and a message, no empty results; without a service, it retries."""
    for panel, paths in [("tensor", "**/explain?*"), ("propagate", "**/propagate"), ("model", "**/explain")]:
        held = []
        context.route(paths, lambda route: held.append(route))
        with Tab(context, service, failures, "#" + panel, settles=False) as tab:
            tab.page.wait_for_function("panel => document.querySelector(`#${panel} .working`)?.textContent === 'Working…'", arg=panel)
            failures.check(tab(".working").get_attribute("role") == "status", f"{panel}: the word is announced")
            for width in [1280, 375]:
                tab.page.set_viewport_size({"width": width, "height": 740})
                box = tab(".working span").bounding_box()
                failures.check(0 <= box["y"] and box["y"] + box["height"] <= 740, f"{panel}, {width} px: the word is out of sight, at {box}")
                size = tab(".working span").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
                failures.check(size >= 16, f"{panel}, {width} px: the word has {size} px")
            failures.check(tab("form").is_visible(), f"{panel}: fields before the first reply")
            failures.check(not any(card.is_visible() for card in tab(".card").all()), f"{panel}: results before the first reply")
            failures.check(not tab.page.is_visible("footer"), f"{panel}: a footer before the first reply")
            held[-1].abort()
            tab.page.wait_for_selector(f"#{panel} .status button")
            failures.check("does not answer" in tab(".status").inner_text(), f"{panel}: {tab('.status').inner_text()}")
            failures.check(not any(card.is_visible() for card in tab(".card").all()), f"{panel}: empty results")
            context.unroute(paths)
            tab(".status button").press("Enter")
            tab.page.wait_for_selector(f"#{panel} .card", state="visible")
            failures.check(tab(".status").inner_text() == "" and tab.page.is_visible("footer"), f"{panel}: after another try")
            failures.check(tab.page.evaluate("document.activeElement.id") == f"tab-{panel}", f"{panel}: focus is lost")
            tab.complaints.clear()
    with Tab(context, service, failures) as tab:
        # The page retries by itself, too, and does not fade the error.
        tab.page.route("**/explain?*", lambda route: route.abort())
        tab.fill("seed", "8")
        faded = tab(".status").evaluate("node => { let all = 1; for (; node; node = node.parentElement) all *= getComputedStyle(node).opacity; return all; }")
        failures.check(faded == 1 and "does not answer" in tab(".status").inner_text(), f"an error of opacity {faded}")
        tab.page.unroute("**/explain?*")
        tab.page.wait_for_function("() => !document.querySelector('#tensor .status').textContent")
        tab.page.route("**/methods", lambda route: route.abort())
        tab.page.reload()
        tab.page.wait_for_selector("#failure button")
        tab.page.unroute("**/methods")
        tab.page.click("#failure button")
        tab.settle(0)
        failures.check(tab.page.inner_text("#failure") == "" and tab(".results").is_visible(), "another try of the whole page")
        tab.page.route("**/methods", lambda route: route.fulfill(status=503, body="busy"))
        tab.page.reload()
        tab.page.wait_for_selector("#failure button")
        failures.check("503" in tab.page.inner_text("#failure"), "a status of a proxy")
        tab.complaints.clear()


# Texts that do not fit their selects, and tabs outside their list or with uneven gaps.
CUT = """() => {
  const canvas = document.createElement("canvas").getContext("2d"), found = [];
  for (const node of document.querySelectorAll("select")) {
    if (!node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    canvas.font = style.font;
    const arrow = 20, space = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
    for (const option of node.options) if (canvas.measureText(option.text).width > space) found.push(option.text);
  }
  for (const list of document.querySelectorAll("[role=tablist]")) {
    if (!list.checkVisibility()) continue;
    if (list.scrollWidth > list.clientWidth) found.push("tabs " + list.textContent);
    const boxes = [...list.querySelectorAll("[role=tab]:not([hidden])")].map((tab) => {
      const range = document.createRange();
      range.selectNodeContents(tab);
      return range.getBoundingClientRect();
    });
    const gaps = boxes.slice(1).map((box, index) => box.left - boxes[index].right);
    if (Math.max(...gaps) - Math.min(...gaps) > 1) found.push("gaps " + gaps);
  }
  return found;
}"""


class Prefixed:
    """A proxy that serves the service below a path, and strips the path."""

    def __init__(self, service, prefix):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                if not self.path.startswith(prefix + "/"):
                    return self.send_error(404)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                fields = {name: value for name, value in self.headers.items() if name in ("Content-Type", "Range", "Accept")}
                request = urllib.request.Request(service.url + self.path.removeprefix(prefix), body, fields)
                try:
                    reply = urllib.request.urlopen(request)
                except urllib.error.HTTPError as error:
                    reply = error
                content = reply.read()
                self.send_response(reply.status)
                for name in ("Content-Type", "Content-Security-Policy", "Content-Disposition"):
                    if reply.headers[name]:
                        self.send_header(name, reply.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{prefix}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()


def check_prefix(context, service, failures):
    """Below a path, all requests of the page and all URLs that it shows have the path."""
    with Prefixed(service, "/deep/weights") as proxy, Tab(context, proxy, failures) as tab, tempfile.TemporaryDirectory() as directory:
        query = {"method": "kaiming_normal", "shape": "64,3,7,7", "seed": 42, "nonlinearity": "relu"}
        expected = service.get("/init", format="npy", **query)
        tab.page.click("#tensor-code-curl")
        run(["bash", "-c", tab("#tensor-code").text_content()], directory)
        failures.check(pathlib.Path(directory, "weight.npy").read_bytes() == expected, "the command of a tensor behind a path")
        with tab.page.expect_download() as download:
            tab("#tensor-download").click()
        failures.check(pathlib.Path(download.value.path()).read_bytes() == expected, "the download of a tensor behind a path")
        tab.open("propagate")
        failures.check(f"{proxy.url}/propagate" in tab("#propagate-code").text_content(), "the command of a stack behind a path")
        tab.open("model")
        failures.check(f'"{proxy.url}"' in tab("#model-code").text_content(), "the program of a model behind a path")
        with tab.change():
            tab("#model-example").select_option("a small MLP")
        with tab.page.expect_download() as download:
            tab("#download").click()
        failures.check(pathlib.Path(download.value.path()).stat().st_size > 800_000, "the download of a model behind a path")
        for name in ("methods", "openapi.yaml"):
            address = tab.page.locator(f"nav >> text={name}").evaluate("node => node.href")
            failures.check(address == f"{proxy.url}/{name}", f"{address} behind a path")


AXE = pathlib.Path(importlib.util.find_spec("axe_playwright_python").origin).parent / "axe.min.js"


def check_axe(tab, where):
    """Checks all rules of axe-core."""
    tab.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.page.evaluate("async () => (await axe.run()).violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html.slice(0, 160))])")
    tab.failures.check(not found, f"{where}: axe-core finds {found}")


def check_link(context, service, failures):
    """A link shows the same results after a reload and in another tab."""
    states = {
        "tensor": [("method", "trunc_normal"), ("std", "0.02"), ("a", "-0.04"), ("b", "0.04"), ("dtype", "bfloat16"), ("seed", "9")],
        "propagate": [("nonlinearity", "leaky_relu"), ("param", "0.3"), ("method", "kaiming_uniform"), ("mode", "fan_out"), ("depth", "6")],
    }
    look = "panel => [document.querySelector(`#${panel} .results`).innerText, document.querySelector(`#${panel} form`).innerHTML.length]"
    for panel, changes in states.items():
        with Tab(context, service, failures) as tab:
            if panel != "tensor":
                tab.open(panel)
            for name, value in changes:
                tab.fill(name, value)
            before = tab.page.evaluate(look, panel)
            link = tab.page.url
            tab.page.reload()
            tab.settle(0)
            failures.check(tab.page.evaluate(look, panel) == before, f"{link} shows the same after a reload")
            for name, value in changes:
                failures.check(tab(f"#{panel}-form-{name}").input_value() == value, f"{link}: {name}")
            with Tab(context, service, failures, link.removeprefix(service.url + "/")) as other:
                failures.check(other.page.evaluate(look, panel) == before, f"{link} shows the same elsewhere")
    request = '{"seed": 5, "layer": {"type": "GRU", "input_size": 3, "hidden_size": 4}}'
    with Tab(context, service, failures, "#model?request=" + urllib.parse.quote(request)) as tab:
        failures.check(tab("#model-request").input_value() == request, "a model's link has its request")
        failures.check(tab("tbody tr").count() == 4, "a model's link shows its tensors")
    with Tab(context, service, failures, "#model?model=random/lenet5&seed=18446744073709551615") as tab:
        failures.check(tab("#model-seed").input_value() == "18446744073709551615", "a link's seed")
        failures.check(tab.facts()["seed"] == "18446744073709551615", "a large seed is not rounded")
        failures.check(tab("#model-example").input_value() == "random/lenet5", "a link's model")
        failures.check(tab("#download").get_attribute("href").endswith("seed=18446744073709551615"), "the seed of the link's download")


def check_advice(tab, reply, query):
    """The page says that the service's advice is for kaiming, and first shows the chosen method's own result."""
    method = reply["method"]
    kaiming = method if method.startswith("kaiming_") else "kaiming_normal"
    first, second = reply["advice"]
    gain = f" and gain {query['gain']}" if kaiming == method and "gain" in query else ""
    starts = (f"With {kaiming}{gain}, choose fan_", f"With {kaiming}{gain}, either mode will do, and fan_in, the default, is fine:")
    tab.failures.check(first.startswith(starts), f"{query}: the advice is for {first!r}")
    tab.failures.check(("either" in first) == ("as far off" in second), f"{query}: the advice contradicts itself: {first!r}, {second!r}")
    shown = tab(".advice p").all_inner_texts()
    if kaiming == method:
        if gain and "what goes wrong" in second:
            tab.failures.check("and its gain" not in second and "if no gain is given" in second, f"{query}: {second!r}")
        tab.failures.check([text.replace("\u202f", "") for text in shown] == [first, second], f"{query}: the advice {shown}")
    else:
        tab.failures.check(shown[1].replace("\u202f", "") == f"{first} {second}", f"{query}: the advice {shown}")
        ends = [reply["layers"][-1]["forward"]["theory"], reply["layers"][0]["backward"]["theory"]]
        factors = re.findall(r"(stay at|grow to|shrink to) ×([^ ]+?)(?= |\.$)", shown[0])
        holds = shown[0].startswith(f"With {method}: ") and len(factors) == 2
        for (verb, factor), end in zip(factors, ends):
            near = abs(math.log(end)) < 0.05
            holds = holds and (near or is_close(factor, end, 3)) and verb == ("stay at" if near else "grow to" if end > 1 else "shrink to")
        tab.failures.check(holds, f"{query}: {shown[0]!r} for {ends}")
    tab.failures.check(tab("#ends").inner_text() == f"At the ends, with {kaiming}", f"{query}: whose ends")


def check_propagate(context, service, failures):
    with Tab(context, service, failures, "#propagate") as tab:
        query = {}
        for name, value in [(None, None), ("nonlinearity", "tanh"), ("width_out", "512"), ("mode", "fan_out"), ("gain", "4"),
                            ("method", "xavier_uniform"), ("method", "normal"), ("runs", "0"), ("depth", "1")]:
            if name:
                tab.fill(name, value)
                query[name] = value
                if name == "method":
                    query.pop("mode", None)
                    query.pop("gain", None) if value == "normal" else query.update(gain="4")
            reply = tab.json("/propagate", **query)
            check_advice(tab, reply, query)
            tab("details").evaluate("node => node.open = true")
            rows = [row.split("\t") for row in tab("tbody tr").all_inner_texts()]
            failures.check(len(rows) == reply["depth"], f"{query}: {len(rows)} rows")
            for row, layer in zip(rows, reply["layers"]):
                values = [layer["layer"], layer["fan_in"], layer["fan_out"], layer["std"]]
                for key in ["forward", "backward"]:
                    values += [layer[key]["theory"], layer[key].get("measured", "")]
                holds = len(row) == 8 and all(is_close(shown.strip(), value, 5) for shown, value in zip(row, values))
                failures.check(holds, f"{query}: {row} for {values}")
            for key in ["forward", "backward"]:
                points = tab(f"#{key} circle").count()
                failures.check(points == (reply["depth"] if reply["runs"] else 0), f"{query}: {points} points")
                failures.check(tab(f"#{key} .line").count() == 1, f"{query}: a line")
            facts = tab.facts()
            for mode in reply["modes"]:
                failures.check(is_close(facts[mode["mode"] + ": activations"], mode["forward"], 4), f"{query}: {facts}")
                failures.check(is_close(facts[mode["mode"] + ": gradients"], mode["backward"], 4), f"{query}: {facts}")
        # The points are where their numbers are: higher for larger numbers.
        tab.fill("depth", "9")
        tab.fill("runs", "4")
        query |= {"depth": 9, "runs": 4}
        heights = tab("#backward circle").evaluate_all("nodes => nodes.map((node) => -node.getAttribute('cy'))")
        values = [layer["backward"]["measured"] for layer in tab.json("/propagate", **query)["layers"]]
        slope = numpy.polyfit(numpy.log(values), heights, 1)
        failures.check(slope[0] > 0 and numpy.abs(numpy.polyval(slope, numpy.log(values)) - heights).max() < 0.1, "the points' places")
        # With the default number of runs, these fields exceed the service's limit on weights.
        with Tab(context, service, failures, "#propagate?depth=100&width_out=512") as other:
            failures.check(other("[aria-invalid=true]").count() == 0, "as many runs as fit are asked for")
            hint = other("#propagate-form-runs-help").inner_text()
            failures.check("Here 5" in hint and "over the service’s limit" in hint, f"runs has the hint {hint!r}")
            failures.check("&runs=5'" in other("#propagate-code").text_content(), "the command has the runs")
            failures.check("runs" not in other.page.url, f"{other.page.url} has runs that nobody typed")
            other.fill("depth", "1000")
            failures.check("Theory alone" in other(".caption").inner_text(), "0 runs are theory alone")
            other.fill("depth", "4")
            hint = other("#propagate-form-runs-help").inner_text()
            failures.check("Here" not in hint and "runs=" not in other("#propagate-code").text_content(), f"later, runs has the hint {hint!r}")
            # From numbers, whatever the sentence says.
            problem = {"status": 413, "detail": "zu viele", "errors": [{"parameter": "runs", "detail": "zu viele", "maximum": 3}]}
            other.page.route("**/propagate?*", lambda route: route.fallback() if "runs" in route.request.url else route.fulfill(status=413, json=problem))
            other.fill("depth", "5")
            failures.check("&runs=3'" in other("#propagate-code").text_content(), f"the command is {other('#propagate-code').text_content()}")
            other.complaints.clear()
        for width, words in [(1280, "the table scrolls"), (375, "scroll sideways and down for more")]:
            with Tab(context, service, failures, "#propagate?depth=40&runs=0") as other:
                other.page.set_viewport_size({"width": width, "height": 740})
                other("summary").click()
                other.page.wait_for_function("words => document.querySelector('#layer-note').textContent.includes(words)", arg=words)
                note = other("#layer-note").inner_text()
                failures.check(note.startswith("40 layers; "), f"the table of numbers says {note!r}")
                region = other(".scroll")
                failures.check(region.get_attribute("aria-describedby") == "layer-note", "the cue is the table's")
        command = tab("#propagate-code").text_content()
        failures.check(run(["bash", "-c", command], ".") == service.get("/propagate", **query).decode(), f"{command}")


def check_model(context, service, failures):
    with Tab(context, service, failures, "#model") as tab:
        for example in tab("#model-example optgroup[label=Requests] option").all_inner_texts()[:-1]:
            if tab("#model-example").evaluate("node => node.selectedOptions[0].text") != example:
                with tab.change():
                    tab("#model-example").select_option(example)
            request = json.loads(tab("#model-request").input_value())
            plan = json.loads(service.post("/explain", request))
            facts = tab.facts()
            failures.check(number(facts["parameters"]) == plan["parameters"], f"{example}: {facts}")
            failures.check(number(facts["bytes"]) == plan["bytes"], f"{example}: {facts}")
            failures.check(number(facts["tensors"]) == len(plan["tensors"]), f"{example}: {facts}")
            rows = [row.split("\t") for row in tab("tbody tr").all_inner_texts()]
            shown = [(row[0], row[1], row[2], row[3], number(row[5])) for row in rows]
            expected = [(tensor["name"], str(tensor["shape"]), tensor["dtype"], tensor["method"], tensor["bytes"]) for tensor in plan["tensors"]]
            failures.check(shown == expected, f"{example}: the tensors")
            check_download(tab, service, request, example)
        # The user's own request comes back after an example.
        text = '{"layer": {"type": "Linear", "in_features": 3, "out_features": 2}}'
        with tab.change():
            tab("#model-request").fill(text)
        for example in ["a small MLP", "random/lenet5", "a request of your own"]:
            with tab.change():
                tab("#model-example").select_option(example)
        failures.check(tab("#model-request").input_value() == text, "a request of one's own is lost")
        # A seed that JavaScript would round, and a request that is too long for a link.
        with tab.change():
            tab("#model-request").fill('{"seed": 18446744073709551615, "format": "npy", "tensors": [{"shape": [3], "method": "normal"}]}')
        tab.complaints.clear()
        seed = 18446744073709551615
        with tab.change():
            tab("#model-request").fill(json.dumps({"seed": seed, "tensors": [{"shape": [3], "method": "normal"}]}))
        check_download(tab, service, {"seed": seed, "tensors": [{"shape": [3], "method": "normal"}]}, "a large seed")
        long = {"seed": 1, "tensors": [{"name": f"a name of some length, number {index}", "shape": [2], "method": "normal"} for index in range(300)]}
        with tab.change():
            tab("#model-request").fill(json.dumps(long))
        failures.check(tab("#download").get_attribute("data-long") == "yes", "a long request is posted")
        check_download(tab, service, long, "a long request")


def safetensors_header(service, path):
    """The header of a safetensors file, fetched without the rest of the file."""
    request = lambda first, last: urllib.request.Request(service.url + path, headers={"Range": f"bytes={first}-{last}"})
    (length,) = struct.unpack("<Q", service.read(request(0, 7)))
    header = json.loads(service.read(request(8, 7 + length)))
    header.pop("__metadata__", None)
    return header


def check_catalogue(context, service, failures):
    """Each model of the catalogue: its numbers, its tensors, its link; files and programs of small ones."""
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    models = json.loads(service.read(service.url + "/models"))["models"]
    with Tab(context, service, failures, "#model") as tab:
        offered = tab("#model-example optgroup[label=Catalogue] option").all_inner_texts()
        failures.check(offered == [model["name"] for model in models], f"the catalogue is {offered}")
        note = tab("#tensor-note").inner_text()
        failures.check(note == "148 tensors; the table scrolls", f"the table of tensors says {note!r}")
        tab.page.set_viewport_size({"width": 375, "height": 740})
        tab.page.wait_for_function("() => document.querySelector('#tensor-note').textContent.includes('sideways')")
        tab.page.set_viewport_size({"width": 1280, "height": 900})
        with tab.change():
            tab("#model-seed").fill("7")
        for model in models:
            name = model["name"]
            if tab("#model-example").input_value() != name:
                with tab.change():
                    tab("#model-example").select_option(name)
            facts = tab.facts()
            for fact in ["parameters", "bytes", "tensors"]:
                failures.check(number(facts[fact]) == model[fact], f"{name}: {fact} is {facts[fact]}, not {model[fact]}")
            failures.check(facts["seed"] == "7", f"{name}: seed {facts['seed']}")
            failures.check(tab("#model-example-help").inner_text() == model["description"], f"{name}: its description")
            path = f"/models/{name}?format=safetensors&seed=7"
            failures.check(tab("#download").get_attribute("href") == path[1:], f"{name}: its link")
            header = safetensors_header(service, path)
            rows = [row.split("\t") for row in tab("tbody tr").all_inner_texts()]
            shown = {row[0]: (row[1], number(row[5])) for row in rows}
            sizes = {key: (str(entry["shape"]), entry["data_offsets"][1] - entry["data_offsets"][0]) for key, entry in header.items()}
            failures.check(len(sizes) > 500 or shown == sizes, f"{name}: its tensors")
            failures.check(shown.items() <= sizes.items() and len(shown) == min(500, len(sizes)), f"{name}: some of its tensors")
            languages = tab(".code [role=tab]").evaluate_all("nodes => nodes.filter((node) => node.checkVisibility()).map((node) => node.textContent)")
            expected = ["transformers"] * ("config.json" in model["files"]) + ["torch", "client", "Rust", "curl"]
            failures.check(languages == expected, f"{name}: programs for {languages}")
            if name in ("random/lenet5", "random/llama-tiny"):
                check_model_programs(tab, service, name, len(header))


# Runs before the program for transformers, which needs no torchvision: the wheel for CUDA cannot be imported with a CPU
# torch.
WITHOUT_TORCHVISION = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *package: None if name == "torchvision" else found(name, *package)
"""

# Runs after the program: PyTorch with the same seed.
SAME_AS_TRANSFORMERS = """
import torch
torch.manual_seed(7)
other = type(model)(model.config).state_dict()
print(len(other) > 0 and all(torch.equal(tensor, other[name]) for name, tensor in model.state_dict().items()))
"""


def check_model_programs(tab, service, name, count):
    """The copied program runs, and so do the commands in its comments."""
    file = name.split("/")[1] + ".safetensors"
    body = service.get(f"/models/{name}", format="safetensors", seed=7)
    with tab.page.expect_download() as download:
        tab("#download").click()
    same = pathlib.Path(download.value.path()).read_bytes() == body
    tab.failures.check(same and download.value.suggested_filename == file, f"{name}: the download, {download.value.suggested_filename}")
    for language in tab(".code [role=tab]").evaluate_all("nodes => nodes.filter((node) => node.checkVisibility()).map((node) => node.textContent)"):
        tab.page.click(f"#model-code-{language}")
        tab(".code .copy").click()
        program = tab("#model-code").text_content()
        tab.page.wait_for_function("async (shown) => await navigator.clipboard.readText() === shown", arg=program)
        with tempfile.TemporaryDirectory() as directory:
            if language == "curl":
                run(["bash", "-c", program], directory)
                written = pathlib.Path(directory, file)
                tab.failures.check(written.exists() and written.read_bytes() == body, f"{name}: {program}")
            elif language == "Rust":
                check_rust(tab, service, program, body)
            elif PYTHON is None:
                print(f"check_page: no --python, the program for {language} is not run")
            else:
                if language == "transformers":
                    program = WITHOUT_TORCHVISION + program + SAME_AS_TRANSFORMERS
                expected = "True" if language == "transformers" else f"{count} tensors"
                printed = run([PYTHON, "-c", program], directory, HF_HOME=directory, PYTHONPATH=str(CLIENT), HF_HUB_DISABLE_PROGRESS_BARS="1")
                tab.failures.check(printed.strip().endswith(expected), f"{name}, {language}: {printed!r}")


def check_rust(tab, service, program, body):
    """Makes the requests that hf-hub would make for the program's endpoint, repository and revision."""
    endpoint, repository, revision = re.search(r'with_endpoint\("(.*?)".*with_revision\("(.*?)".*Model, "(.*?)"', program, re.DOTALL).groups()
    files = json.loads(service.read(f"{endpoint}/api/models/{repository}/revision/{revision}"))["siblings"]
    names = [file["rfilename"] for file in files if file["rfilename"].endswith(".safetensors")]
    tab.failures.check(names == ["model.safetensors"], f"{repository}: hf-hub's files are {names}")
    address = f"{endpoint}/{repository}/resolve/{revision}/{names[0]}"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Range": "bytes=0-0"})) as reply:
        fields = reply.headers
    complete = fields["X-Repo-Commit"] and fields["ETag"] and fields["Content-Range"] == f"bytes 0-0/{len(body)}"
    tab.failures.check(complete and service.read(address) == body, f"{repository}: hf-hub's file")


def check_download(tab, service, request, what):
    expected = service.post("/init", request | {"format": "safetensors"})
    with tab.page.expect_download() as download:
        tab("#download").click()
    name = download.value.suggested_filename
    body = pathlib.Path(download.value.path()).read_bytes()
    same = hashlib.sha256(body).digest() == hashlib.sha256(expected).digest()
    # The service's file name: a layer's file is named after its type.
    named = f"{request['layer']['type']}.safetensors" if "layer" in request else "model.safetensors"
    tab.failures.check(same and name == named, f"{what}: the download, {name}")
    with tempfile.TemporaryDirectory() as directory:
        run(["bash", "-c", tab("#model-code").text_content()], directory)
        file = pathlib.Path(directory) / "model.safetensors"
        tab.failures.check(file.exists() and file.read_bytes() == expected, f"{what}: the command")


def check_access(browser, service, failures):
    """Names, keyboard, contrast, width and layout in all panels, both colour schemes, on a desktop and on a phone."""
    for scheme in ["light", "dark"]:
        for width, height in [(1280, 900), (360, 740)]:
            where = f"{scheme}, {width} px"
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce")
            for panel in PANELS:
                with Tab(context, service, failures, "#" + panel) as tab:
                    failures.check(tab.page.evaluate("window.shifts") < 0.01, f"{panel}, {where}: what is seen shifts by {tab.page.evaluate('window.shifts')}")
                    unnamed = tab.page.evaluate(UNNAMED)
                    failures.check(not unnamed, f"{panel}: no label for {unnamed}")
                    for details in tab("details").all():
                        details.evaluate("node => node.open = true")
                    found = tab.page.evaluate(CONTRAST)
                    failures.check(len(found) > 30, f"{panel}, {where}: only {len(found)} contrasts are found")
                    for item in found:
                        failures.check(item["ratio"] >= item["needed"], f"{panel}, {where}: contrast of {item}")
                    check_axe(tab, f"{panel}, {where}")
                    cut = tab.page.evaluate(CUT)
                    failures.check(not cut, f"{panel}, {where}: cut off are {cut}")
                    wide = tab.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
                    failures.check(wide[0] <= wide[1], f"{panel}, {where}: {wide[0]} px wide")
                    if (scheme, width) == ("light", 1280):
                        check_keyboard(tab, panel)
            context.close()


def check_keyboard(tab, panel):
    wanted = set(tab.page.evaluate(REACHABLE))
    reached = set()
    tab.page.evaluate("document.activeElement.blur()")
    for _ in range(len(wanted) + 5):
        tab.page.keyboard.press("Tab")
        found = tab.page.evaluate(
            "() => { const node = document.activeElement, style = getComputedStyle(node);"
            " return [node.dataset.number, node.matches(':focus-visible') && style.outlineStyle !== 'none']; }"
        )
        if found[0]:
            reached.add(found[0])
            tab.failures.check(found[1], f"{panel}: focus is seen")
    tab.failures.check(wanted <= reached, f"{panel}: {len(wanted - reached)} of {len(wanted)} are not reached with the keyboard")
    tab.page.focus(f"#tab-{panel}")
    following = PANELS[(PANELS.index(panel) + 1) % len(PANELS)]
    tab.page.keyboard.press("ArrowRight")
    tab.panel = following
    tab.settle(0)
    tab.failures.check(tab(".results").is_visible(), f"the arrow key leads from {panel} to {following}")
    tab.failures.check(tab.page.evaluate("document.activeElement.id") == f"tab-{following}", "focus follows")


def check_document(service, failures):
    size = len(service.read(service.url + "/"))
    failures.check(size < SIZE_LIMIT, f"the page has {size} bytes")


def take_screenshots(browser, service, failures, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, scheme, fragment in [
        ("tensor", "light", "#tensor?method=kaiming_normal&shape=64,3,7,7&seed=42&mode=fan_out&nonlinearity=relu"),
        ("propagate", "dark", "#propagate"),
        ("model", "light", "#model"),
    ]:
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
        with Tab(context, service, failures, fragment) as tab:
            # The port differs in every run.
            tab("pre").evaluate("(node) => node.textContent = node.textContent.replace(location.origin, 'http://localhost:8080')")
            tab.page.evaluate("document.activeElement.blur()")
            picture = Image.open(io.BytesIO(tab.page.screenshot(full_page=True))).convert("RGB")
            # Flat colours: a palette is a third of the bytes.
            picture.quantize(64, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(directory / f"{name}.png", optimize=True)
        context.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--screenshots", type=pathlib.Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--python", default=None)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    global PYTHON
    PYTHON = arguments.python and os.path.abspath(arguments.python)
    failures = Failures()
    # Chromium's own sandbox does not start as root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with Service(arguments.program) as service, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=options)
        check_document(service, failures)
        for check in [check_tensor, check_faults, check_missing_values, check_layout, check_programs, check_pytorch, check_files, check_busy, check_waiting, check_ignored, check_axes,
                      check_back, check_missing, check_token, check_prefix, check_link, check_propagate, check_model, check_catalogue]:
            if arguments.only not in check.__name__:
                continue
            context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            check(context, service, failures)
            context.close()
        for check in [check_access, check_forced, check_scriptless]:
            if arguments.only in check.__name__:
                check(browser, service, failures)
        if arguments.screenshots:
            take_screenshots(browser, service, failures, arguments.screenshots)
        browser.close()
    print(f"check_page: {failures.passed} of {failures.passed + len(failures)} passed")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
