"""Makes the files of a release, from a program that `make build` has made:

    weight-init-VERSION-linux-ARCHITECTURE.tar.gz   program, manual pages, completions, documents, unit
    weight-init_VERSION-1_ARCHITECTURE.deb          the same for Debian 12, with a system user and a service
    weight-init-VERSION-ARCHITECTURE.spdx.json      the SBOM: sbom.py
    weight-init-chart-VERSION.tgz                   the Helm chart
    SHA256SUMS

    python3 packaging/dist.py .build/release/weight-init directory

The same program gives the same bytes: times are SOURCE_DATE_EPOCH (by default the commit's), files are sorted, and owners
are root. The directory is emptied first.
"""

import datetime
import gzip
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import manual
import sbom

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEBIAN = ROOT / "packaging" / "debian"
CHART = ROOT / "deploy" / "helm" / "weight-init"
# Files in which Debian's shells look for completions.
COMPLETIONS = {
    "bash": "bash-completion/completions/weight-init",
    "zsh": "zsh/vendor-completions/_weight-init",
    "fish": "fish/vendor_completions.d/weight-init.fish",
}
# Documents, and what they link to.
DOCUMENTS = [
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md", "openapi.yaml",
    "Benchmarks/NOTES.md", "Benchmarks/RESULTS.md", "Tests/reference/generated", "clients/python/README.md",
    "clients/python/pyproject.toml", "clients/python/src", "deploy", "docs", "examples",
]  # fmt: skip
# Debian has its own names for two of them.
DEBIAN_NAMES = {"CHANGELOG.md": "changelog.gz", "LICENSE": "copyright"}
# A package has to name an address. SECURITY.md says how to report a vulnerability.
MAINTAINER = "The weight-init authors <authors@weight-init.invalid>"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **options).stdout


def put(path, content, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def compressed(content):
    """Content compressed by gzip, without a name and without a time."""
    return gzip.compress(content if isinstance(content, bytes) else content.encode(), 9, mtime=0)


def archive(path, folder, tree, time):
    """A tar.gz of the tree, all of it in one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for entry in [tree, *sorted(tree.rglob("*"))]:
            information = file.gettarinfo(entry, str(pathlib.Path(folder, entry.relative_to(tree))))
            information.uid = information.gid = 0
            information.uname = information.gname = "root"
            information.mtime = time
            information.mode = 0o755 if entry.is_dir() or entry.stat().st_mode & 0o100 else 0o644
            file.addfile(information, entry.open("rb") if entry.is_file() else None)
    path.write_bytes(compressed(buffer.getvalue()))


def common(program, tree):
    """Makes the files that the tarball and the Debian package have in common."""
    (tree / "bin").mkdir(parents=True)
    run("strip", "-o", tree / "bin" / "weight-init", program)
    (tree / "bin" / "weight-init").chmod(0o755)
    stripped = str(tree / "bin" / "weight-init")
    for name, text in manual.pages(stripped):
        put(tree / "share" / "man" / "man1" / f"{name}.1", text)
    for shell, path in COMPLETIONS.items():
        script = run(stripped, "--generate-completion-script", shell)
        # Shells read the script and do not execute it.
        put(tree / "share" / path, re.sub(r"\A#!.*\n", "", script))


def documents():
    """The documents' files, by their paths in the repository, without files that git ignores."""
    listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *DOCUMENTS)
    for name in sorted(set(listed.split("\0")) - {""}):
        if (ROOT / name).exists():
            yield name, (ROOT / name).read_bytes()


def tarball(tree, version, bill, time, path):
    for name, content in documents():
        put(tree / name, content)
    put(tree / "weight-init.spdx.json", bill)
    put(tree / "lib" / "systemd" / "system" / "weight-init.service", (DEBIAN / "weight-init.service").read_bytes())
    archive(path, path.name.removesuffix(".tar.gz"), tree, time)


def copyright_file():
    """The licence in Debian's form, with NOTICE as a comment. Every Debian system has the licence's text."""
    notice = (ROOT / "NOTICE").read_text().strip()
    [holder] = re.findall(r"^   Copyright (\d{4} the weight-init authors)$", (ROOT / "LICENSE").read_text(), re.MULTILINE)
    comment = "\n".join(f" {line}" if line.strip() else " ." for line in notice.splitlines())
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: weight-init\n"
        f"Comment:\n{comment}\n\n"
        f"Files: *\nCopyright: {holder}\nLicense: Apache-2.0\n\n"
        "License: Apache-2.0\n"
        " On Debian systems, the text of the Apache License, version 2.0, is in\n"
        " /usr/share/common-licenses/Apache-2.0.\n"
    )


def dependencies(program):
    """The packages of the libraries that the program is linked with, in versions that have its symbols."""
    with tempfile.TemporaryDirectory() as directory:
        put(pathlib.Path(directory, "debian", "control"), "Source: weight-init\n\nPackage: weight-init\nArchitecture: any\n")
        printed = run("dpkg-shlibdeps", "-O", f"-e{program}", cwd=directory)
    [found] = re.findall(r"^shlibs:Depends=(.*)$", printed, re.MULTILINE)
    return found


def control(program, version, architecture, tree):
    size = sum(-(-entry.stat().st_size // 1024) if entry.is_file() else 1 for entry in tree.rglob("*"))
    # The package adduser has adduser and deluser, which make and remove the system user.
    return (
        f"Package: weight-init\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n"
        f"Installed-Size: {size}\nDepends: adduser, {dependencies(program)}\nSection: science\nPriority: optional\n"
        "Description: PyTorch's weight initialisation over HTTP, to the bit\n"
        " weight-init makes the tensors that torch.manual_seed and torch.nn.init\n"
        " make on a CPU, byte for byte, without Python and without PyTorch: over\n"
        " HTTP for programs in any language, and in files from the command line.\n"
        " .\n"
        " The package starts a service that listens at 127.0.0.1:8080. Its options\n"
        " are in /etc/default/weight-init.\n"
    )


def renamed(text):
    """A document with links to files by their names in the Debian package."""
    for name, other in DEBIAN_NAMES.items():
        text = re.sub(rf"(\]\((?:\.\./)*){re.escape(name)}\)", rf"\g<1>{other})", text)
    return text


def debian_package(tree, version, architecture, bill, time, path):
    usr = tree / "usr"
    share = usr / "share" / "doc" / "weight-init"
    for page in sorted((usr / "share" / "man" / "man1").iterdir()):
        put(page.with_suffix(".1.gz"), compressed(page.read_bytes()))
        page.unlink()
    date = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S +0000")
    entry = f"weight-init ({version}) bookworm; urgency=medium\n\n  * Release: see changelog.gz.\n\n -- {MAINTAINER}  {date}\n"
    for name, content in documents():
        if name.endswith(".md"):
            content = renamed(content.decode())
        if name not in DEBIAN_NAMES:
            put(share / name, content)
    put(share / "changelog.Debian.gz", compressed(entry))
    put(share / "changelog.gz", compressed((ROOT / "CHANGELOG.md").read_bytes()))
    put(share / "copyright", copyright_file())
    put(share / "weight-init.spdx.json.gz", compressed(bill))
    put(usr / "share" / "lintian" / "overrides" / "weight-init", (DEBIAN / "lintian-overrides").read_bytes())
    put(tree / "lib" / "systemd" / "system" / "weight-init.service", (DEBIAN / "weight-init.service").read_bytes())
    put(tree / "etc" / "default" / "weight-init", (DEBIAN / "weight-init.default").read_bytes())

    files = sorted(entry for entry in tree.rglob("*") if entry.is_file())
    scripts = ("postinst", "prerm", "postrm")
    sums = [f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(tree)}\n" for file in files]
    information = tree / "DEBIAN"
    put(information / "control", control(usr / "bin" / "weight-init", version, architecture, tree))
    put(information / "md5sums", "".join(line for line in sums if "  etc/" not in line))
    put(information / "conffiles", "/etc/default/weight-init\n")
    for name in scripts:
        put(information / name, (DEBIAN / name).read_bytes(), 0o755)
    for entry in [tree, *tree.rglob("*")]:
        if entry.is_dir():
            entry.chmod(0o755)
        os.utime(entry, (time, time))
    # dpkg-deb takes the time of the archive itself from the environment. One thread, because more make other blocks.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    run("dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", "-z6", "--build", tree, path, env=environment)


def main():
    program, directory = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    for needed in (program, ROOT / "Package.resolved"):
        if not needed.is_file():
            raise SystemExit(f"{needed} is missing: run `make build` first, which makes it.")
    os.umask(0o022)
    time = sbom.epoch()
    os.environ["SOURCE_DATE_EPOCH"] = str(time)
    version = run(program, "--version").strip()
    architecture = run("dpkg", "--print-architecture").strip()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        # The package has the tarball's files below `usr`.
        first, second = pathlib.Path(work, "tarball"), pathlib.Path(work, "package")
        common(program, first)
        bill = sbom.document(program, first / "bin" / "weight-init", version)
        put(directory / f"weight-init-{version}-{architecture}.spdx.json", bill)
        shutil.copytree(first, second / "usr")
        tarball(first, version, bill, time, directory / f"weight-init-{version}-linux-{architecture}.tar.gz")
        name = f"weight-init_{version}-1_{architecture}.deb"
        debian_package(second, f"{version}-1", architecture, bill, time, directory / name)
    archive(directory / f"weight-init-chart-{version}.tgz", "weight-init", CHART, time)
    made = sorted(directory.iterdir())
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in made)
    put(directory / "SHA256SUMS", sums)
    for file in made:
        print(f"{file.stat().st_size:>10}  {file.name}")


if __name__ == "__main__":
    main()
