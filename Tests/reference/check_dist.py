"""Checks the files of a release, made by `make dist`, with the programs that read them: man, shells, SPDX's library,
lintian and systemd. Then it installs the Debian package in a chroot with a small Debian, runs the service as the unit
does, and removes and purges the package: nothing may be left.

Without the last argument, or if the caller is not root, the installation is skipped with a message. debootstrap makes
the chroot once, and again if the package has other dependencies or a test has failed in it.

    python check_dist.py .build/release/weight-init .build/packages [.build/chroot]
"""

import filecmp
import functools
import gzip
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

import checks
import options
from service import ROOT, Service

sys.path.insert(0, str(ROOT / "packaging"))
import manual  # noqa: E402
import sbom  # noqa: E402

# Out of 10.0; systemd-analyze calls less than 2.0 `OK`. The rest is the network and sockets, which the service needs.
EXPOSURE = 2.0
# The README's request and digest.
REQUEST = "--method kaiming_normal --shape 64,3,7,7 --seed 42 --mode fan_out --nonlinearity relu --format npy".split()
DIGEST = "802c242b1f4919c375216cb4eaa98ec29728b5faa85725fd49162966ac2607dd"
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def run(*command, **further):
    command = [str(part) for part in command]
    outcome = subprocess.run(command, **{"capture_output": True, "text": True, "timeout": 600, **further})
    assert outcome.returncode == 0, f"{shlex.join(command)}: status {outcome.returncode}: {outcome.stdout}{outcome.stderr}"
    return outcome.stdout


class Release:
    """The files of a release, and their contents unpacked in a directory."""

    def __init__(self, program, directory, work):
        self.program, self.directory, self.work = program, directory, work
        self.version = run(program, "--version").strip()
        [self.tarball] = directory.glob("*-linux-*.tar.gz")
        [self.package] = directory.glob("*.deb")
        [self.bill] = directory.glob("*.spdx.json")
        with tarfile.open(self.tarball) as file:
            self.members = file.getmembers()
            file.extractall(work, filter="data")
        self.unpacked = work / self.tarball.name.removesuffix(".tar.gz")
        self.installed = work / "package"
        run("dpkg-deb", "--extract", self.package, self.installed)
        self.unit = self.installed / "lib" / "systemd" / "system" / "weight-init.service"
        self.defaults = self.installed / "etc" / "default" / "weight-init"

    def field(self, name):
        return run("dpkg-deb", "--field", self.package, name).strip()


def check_checksums(release):
    run("sha256sum", "--check", "SHA256SUMS", cwd=release.directory)
    listed = {line.split()[1] for line in (release.directory / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in release.directory.iterdir()} - {"SHA256SUMS"}


def check_same_bytes(release):
    """The files are the same if they are made again in another directory."""
    again = release.work / "again"
    run(sys.executable, ROOT / "packaging" / "dist.py", release.program, again)
    names = [path.name for path in release.directory.iterdir()]
    same, different, missing = filecmp.cmpfiles(release.directory, again, names, shallow=False)
    assert sorted(same) == sorted(names), f"other bytes: {different}, missing: {missing}"


def check_tarball(release):
    for member in release.members:
        assert member.name.split("/")[0] == release.unpacked.name, member.name
        assert (member.uid, member.gid) == (0, 0) and member.mode in (0o644, 0o755), member.name
    program = release.unpacked / "bin" / "weight-init"
    assert run(program, "--version").strip() == release.version
    made = subprocess.run([program, "init", *REQUEST], capture_output=True, check=True).stdout
    assert hashlib.sha256(made).hexdigest() == DIGEST, "the packed program makes another tensor"
    assert ".symtab" not in run("readelf", "--sections", "--wide", program), "the program is not stripped"
    for name in ("LICENSE", "NOTICE", "README.md", "docs/operations.md", "weight-init.spdx.json"):
        assert (release.unpacked / name).stat().st_size > 0
    # Otherwise a build in another directory would be another program.
    assert str(ROOT).encode() not in program.read_bytes(), "the program names the directory of its build"
    told = (release.installed / "usr" / "share" / "doc" / "weight-init" / "copyright").read_text()
    assert re.search(r"^Copyright: \d{4} the weight-init authors\nLicense: Apache-2.0$", told, re.MULTILINE), told
    assert program.read_bytes() == (release.installed / "usr" / "bin" / "weight-init").read_bytes()


def check_links(release):
    """Every relative link in a document, pictures among them, leads to a file or a directory of the same archive."""
    for root in (release.unpacked, release.installed / "usr" / "share" / "doc" / "weight-init"):
        documents = sorted(root.rglob("*.md"))
        assert root / "README.md" in documents, f"{root} has no README.md"
        dead = []
        for document in documents:
            text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
            for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", text):
                if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists():
                    dead.append(f"{document.relative_to(root)}: {target}")
        assert not dead, f"dead links in {root.relative_to(release.work)}: {', '.join(dead)}"


def check_manual(release):
    """man and mandoc accept the pages without warnings, and the pages have every command and option."""
    pages = release.unpacked / "share" / "man" / "man1"
    assert {page.stem for page in pages.iterdir()} == {name for name, _ in manual.pages(release.program)}
    for page in sorted(pages.iterdir()):
        run("mandoc", "-T", "lint", "-W", "warning", page)
        outcome = subprocess.run(
            ["man", "--warnings", "--local-file", page],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100"},
        )
        assert outcome.returncode == 0 and not outcome.stderr, f"{page.name}: {outcome.stderr}"
        if page.stem == "weight-init-serve":
            for name, *_ in options.listed(release.program):
                assert re.search(rf"^ +{name}\b", outcome.stdout, re.MULTILINE), f"{page.name} has no {name}"
            assert re.search(r"^ +128 \+ N\b", outcome.stdout, re.MULTILINE), f"{page.name} has no status after a second signal"
    # Debian's pages are compressed.
    for page in (release.installed / "usr" / "share" / "man" / "man1").iterdir():
        assert gzip.decompress(page.read_bytes()) == (pages / page.stem).read_bytes(), page.name


def check_completions(release):
    share = release.unpacked / "share"
    scripts = {
        "bash": share / "bash-completion" / "completions" / "weight-init",
        "zsh": share / "zsh" / "vendor-completions" / "_weight-init",
        "fish": share / "fish" / "vendor_completions.d" / "weight-init.fish",
    }
    for shell, script in scripts.items():
        assert "weight-init" in script.read_text(), shell
        if shutil.which(shell):
            run(*SHELLS[shell], script)
        else:
            print(f"check_dist: no {shell} here, its completions are not read")
    # The completion that bash does after `weight-init se`.
    completed = run(
        "bash", "-c",
        f"PATH={release.unpacked / 'bin'}:$PATH; source {scripts['bash']}; COMP_WORDS=(weight-init se); COMP_CWORD=1; "
        "COMP_LINE='weight-init se'; COMP_POINT=${#COMP_LINE}; "
        "$(complete -p weight-init | sed 's/.*-F \\([^ ]*\\) .*/\\1/') weight-init se weight-init; echo ${COMPREPLY[@]}",
    )  # fmt: skip
    assert "serve" in completed.split(), f"bash completes `weight-init se` to {completed!r}"


def check_parts(release):
    """The list of parts is valid SPDX, and has each package of Package.resolved and each library of the program."""
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = parse_file(str(release.bill))
    faults = validate_full_spdx_document(document)
    assert not faults, "; ".join(fault.validation_message for fault in faults)
    parts = {part.name: part for part in document.packages}
    [digest] = [checksum.value for checksum in parts["weight-init"].checksums]
    program = release.unpacked / "bin" / "weight-init"
    assert digest == hashlib.sha256(program.read_bytes()).hexdigest(), "the digest is another program's"
    for pin in json.loads((ROOT / "Package.resolved").read_text())["pins"]:
        assert parts[pin["identity"]].version == pin["state"]["version"], pin["identity"]
    assert "swift" in parts and "swift-foundation" in parts, f"no run time of Swift among {sorted(parts)}"
    # The script by itself has the same time: the commit's, unless the environment has another.
    alone = json.loads(run(sys.executable, ROOT / "packaging" / "sbom.py", release.program))["creationInfo"]["created"]
    assert alone == json.loads(release.bill.read_text())["creationInfo"]["created"], alone
    # The Debian package depends on the same libraries.
    needed = re.findall(r"[a-z][a-z0-9.+-]+(?=\s|,|$)", re.sub(r"\([^)]*\)", "", release.field("Depends")))
    missing = set(needed) - {"adduser"} - parts.keys()
    assert not missing, f"the package depends on {missing}, the list has no such part"
    notice = (ROOT / "NOTICE").read_text()
    for name in parts.keys() & (sbom.COMPILED.keys() | sbom.LINKED.keys()):
        name, _ = sbom.LINKED.get(name, (name, ""))
        assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", notice), f"NOTICE has no {name}"


def check_lintian(release):
    printed = run("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", release.package)
    assert not re.search(r"^[EW]: ", printed, re.MULTILINE), printed


def check_unit(release):
    """systemd accepts the unit, and finds few privileges that it could still remove."""
    printed = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", "--no-pager", release.unit)
    [exposure] = re.findall(r"Overall exposure level for \S+: (\d+\.\d+)", printed)
    print(f"check_dist: exposure of weight-init.service: {exposure} of 10")
    assert float(exposure) <= EXPOSURE
    # systemd looks for the program that the unit starts.
    root = release.work / "root"
    shutil.copytree(release.installed, root, symlinks=True)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/sh", root / "bin" / "sh")
    unknown = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", "weight-init.service"], capture_output=True, text=True
    )
    about = [line for line in unknown.stderr.splitlines() if "weight-init.service" in line and "not found" not in line]
    assert not about, "\n".join(about)


def directives(unit, name):
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{name}=")]


def check_reload(release):
    """A reload sends SIGHUP if the service has a file to read again; otherwise it says why it does not."""
    [command] = directives(release.unit, "ExecReload")
    command = [part.replace("$$", "$") for part in shlex.split(command)]
    # Under nohup, the process would ignore SIGHUP by inheritance.
    waiting = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    try:
        environment = {"PATH": os.environ["PATH"], "MAINPID": str(waiting.pid)}
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert outcome.returncode == 1 and "Nothing to reload" in outcome.stderr, outcome
        run(*command, env={**environment, "WEIGHT_INIT_TOKEN_FILE": "tokens"})
        assert waiting.wait(timeout=60) == -signal.SIGHUP
    finally:
        waiting.kill()
        waiting.wait()


def check_calls(release):
    """The service makes no system call that the unit forbids, from its start through TLS and work to its end."""
    groups, allowed = {}, set()
    for line in run("systemd-analyze", "syscall-filter", "--no-pager").splitlines():
        if re.match(r"\S", line):
            groups[line.split()[0]] = current = []
        elif line.strip() and not line.strip().startswith("#"):
            current.append(line.strip())

    def members(name):
        return {call for part in groups[name] for call in (members(part) if part.startswith("@") else {part})}

    for value in directives(release.unit, "SystemCallFilter"):
        for name in value.lstrip("~").split():
            allowed = allowed - members(name) if value.startswith("~") else allowed | members(name)
    assert len(allowed) > 200, "systemd-analyze lists no calls"

    trace = release.work / "trace"
    script = release.work / "traced"
    # With -D, the program, and not strace, is the process that gets signals.
    script.write_text(f'#!/bin/sh\nexec strace -D -f -o {trace} {release.unpacked}/bin/weight-init "$@"\n')
    script.chmod(0o755)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
        "-keyout", release.work / "key.pem", "-out", release.work / "certificate.pem")  # fmt: skip
    with Service(script, "--metrics-port", "0", "--threads", "3") as service:
        service.get("/gain", nonlinearity="relu")
        service.get("/init", method="orthogonal", shape="64,64", format="summary")
        service.get("/init", method="normal", shape="1000,1000", format="raw")
        process = service.process.pid
    deadline = time.monotonic() + 60
    while not re.search(rf"^{process} +\+\+\+ exited", trace.read_text(), re.MULTILINE):
        assert time.monotonic() < deadline, "strace does not end"
        time.sleep(0.1)
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"execve", "bind", "listen"} <= called, f"strace saw {sorted(called)}"
    # systemd itself executes the program.
    forbidden = called - allowed - {"execve"}
    assert not forbidden, f"the unit forbids {sorted(forbidden)}, which the service calls"


def check_defaults(release):
    known = {"WEIGHT_INIT_" + name.removeprefix("--").upper().replace("-", "_"): default for name, default, *_ in options.listed(release.program)}
    for name, value in re.findall(r"^#?(WEIGHT_INIT_\w+)=(.*)$", release.defaults.read_text(), re.MULTILINE):
        assert name in known, f"serve has no option for {name}"
        assert known[name] in ("none", value), f"{name} is {known[name]} without being set, not {value}"


# The chroot.


def mirror():
    """The Debian mirror that apt uses on this machine."""
    lines = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages").split("\n")
    sites = [line.split()[0] for line in lines if line.endswith(" bookworm")]
    return sites[0] if sites else "http://deb.debian.org/debian"


def debian(directory, depends):
    """Makes a small Debian 12 with the package's dependencies."""
    names = sorted({part.split("|")[0].split("(")[0].strip() for part in depends.split(",")})
    stamp = directory / ".made-of"
    if not stamp.exists() or stamp.read_text() != " ".join(names):
        print(f"check_dist: making a small Debian in {directory}, which takes minutes", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(names)}", "bookworm", directory, mirror(), timeout=1800)
        shutil.rmtree(directory / "var" / "cache" / "apt" / "archives")
        stamp.write_text(" ".join(names))
    return stamp


def state(root):
    """The size and time of each file, and the contents of files in /etc, without logs and data of dpkg and users."""
    kept = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = pathlib.Path(folder, name)
            relative = str(path.relative_to(root))
            if re.match(r"(proc|sys|dev|run|var/lib/dpkg|var/log|var/cache)/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-$", relative):
                continue
            if path.is_symlink():
                kept[relative] = os.readlink(path)
            elif relative.startswith("etc/"):
                kept[relative] = path.read_bytes()
            else:
                kept[relative] = (path.lstat().st_size, path.lstat().st_mtime_ns)
    return kept


def check_installation(release, root):
    stamp = debian(root, release.field("Depends"))
    made_of = stamp.read_text()
    before = state(root)
    # An interrupted test leaves no stamp, so that the next one begins anew.
    stamp.unlink()

    def inside(*command):
        return run("chroot", root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *command)

    shutil.copy(release.package, root / "weight-init.deb")
    try:
        inside("dpkg", "--install", "/weight-init.deb")
        user = inside("id", "weight-init")
        assert inside("getent", "passwd", "weight-init").strip().endswith(":/nonexistent:/usr/sbin/nologin"), user
        wanted = root / "etc" / "systemd" / "system" / "multi-user.target.wants" / "weight-init.service"
        assert wanted.is_symlink(), "the unit is not enabled"

        serve(release, root)

        # A changed file of options stays if the package is installed again, or removed.
        defaults = root / "etc" / "default" / "weight-init"
        defaults.write_text(defaults.read_text() + "WEIGHT_INIT_LOG_LEVEL=info\n")
        inside("dpkg", "--force-confdef", "--install", "/weight-init.deb")
        assert defaults.read_text().endswith("LOG_LEVEL=info\n"), "installing it again undid the administrator's change"
        inside("dpkg", "--remove", "weight-init")
        assert defaults.exists() and not (root / "usr" / "bin" / "weight-init").exists()
        inside("dpkg", "--purge", "weight-init")
        assert subprocess.run(["chroot", root, "id", "weight-init"], capture_output=True).returncode != 0, "its user is left"
    finally:
        (root / "weight-init.deb").unlink()
    after = state(root)
    before.pop(stamp.name)
    left = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not left, f"not as before: {sorted(left)}"
    assert not list((root / "var" / "lib" / "systemd").rglob("*weight-init*"))
    stamp.write_text(made_of)


def serve(release, root):
    """Runs the unit's command with its user and environment, and ends it as systemd does."""
    [command] = directives(release.unit, "ExecStart")
    [user], [group] = directives(release.unit, "User"), directives(release.unit, "Group")
    variables = [line for line in (root / "etc" / "default" / "weight-init").read_text().splitlines() if re.match(r"\w", line)]
    # Swift reads a program's arguments from /proc, which is mounted until the process ends.
    mounted = f'mount -t proc proc {shlex.quote(str(root))}/proc && exec chroot "$@"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", f"--userspec={user}:{group}", str(root)]
        + ["env", "-i", *variables, "WEIGHT_INIT_PORT=0", *shlex.split(command)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, f"the service says {line!r}"
        identity = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        number = run("chroot", root, "id", "--user", user).strip()
        assert re.search(rf"^Uid:\s+{number}\s+{number}\s", identity, re.MULTILINE), "it runs as another user"
        with urllib.request.urlopen(f"{line.split()[-1]}/gain?nonlinearity=relu", timeout=60) as reply:
            assert json.load(reply)["gain"] == 2**0.5
        process.terminate()
        assert process.wait(timeout=60) == 0, f"SIGTERM ended it with {process.returncode}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    program, directory, *chroot = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as work:
        release = Release(program, directory, pathlib.Path(work))
        named = {
            "checksums": check_checksums,
            "same bytes": check_same_bytes,
            "tarball": check_tarball,
            "links": check_links,
            "manual": check_manual,
            "completions": check_completions,
            "parts": check_parts,
            "lintian": check_lintian,
            "unit": check_unit,
            "reload": check_reload,
            "system calls": check_calls,
            "defaults": check_defaults,
        }
        if not chroot:
            print("check_dist: the package is not installed, because no directory for a chroot is given")
        elif os.geteuid():
            print("check_dist: the package is not installed, because only root can chroot")
        else:
            named["installation"] = lambda release: check_installation(release, chroot[0])
        passed = checks.passed("check_dist", {name: functools.partial(check, release) for name, check in named.items()})
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
