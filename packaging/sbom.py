"""Writes the parts that the program holds and links as an SPDX 2.3 document in JSON.

    python3 packaging/sbom.py .build/release/weight-init > weight-init.spdx.json

The packages of Package.swift are compiled in, in the versions of Package.resolved. Swift's static libraries are those whose
symbols the program has, so the program must not be stripped. The C libraries are those that the program is linked with, and
those that these libraries load, in the versions of this machine's Debian packages. The time is SOURCE_DATE_EPOCH; by default
the commit's, or the present without one.
"""

import datetime
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = "SPDXRef-weight-init"
# Licences by SPDX's names. For Debian's packages, the library as NOTICE names it, and the licence of its copyright file.
SWIFT = "Apache-2.0 WITH Swift-exception"
COMPILED = {
    "swift-argument-parser": SWIFT,
    "swift-http-types": "Apache-2.0",
    "swift-log": "Apache-2.0",
}
LINKED = {
    "libc6": ("GNU C library", "LGPL-2.1-or-later"),
    "libffi8": ("libffi", "MIT"),
    "libgcc-s1": ("libgcc", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libgmp10": ("GMP", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libgnutls30": ("GnuTLS", "LGPL-2.1-or-later"),
    "libhogweed6": ("Nettle", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libidn2-0": ("libidn2", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libmicrohttpd12": ("GNU libmicrohttpd", "LGPL-2.1-or-later"),
    "libnettle8": ("Nettle", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libp11-kit0": ("p11-kit", "BSD-3-Clause"),
    "libstdc++6": ("libstdc++", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libtasn1-6": ("libtasn1", "LGPL-2.1-or-later"),
    "libunistring2": ("libunistring", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "zlib1g": ("zlib", "Zlib"),
}
# Swift's repositories, and their static libraries. Foundation's libraries hold parts of swift-collections.
SWIFT_LIBRARIES = {
    "swift": (
        "Swift's standard library and run time, with the parts of LLVM in them",
        r"libswift(?!Dispatch)\w+|libswift_\w+",
    ),
    "swift-foundation": ("Foundation Essentials", r"libFoundationEssentials|lib_FoundationCShims|lib_FoundationCollections"),
    "swift-corelibs-libdispatch": ("Dispatch", r"libdispatch|libswiftDispatch|libBlocksRuntime"),
    "swift-foundation-icu": ("ICU", r"lib_FoundationICU"),
    "swift-corelibs-foundation": (
        "Foundation",
        r"libFoundation|libFoundationInternationalization|libFoundationNetworking|libFoundationXML|libCoreFoundation|lib_CF\w+",
    ),
}


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def epoch():
    """Time in seconds: SOURCE_DATE_EPOCH, or the commit's, so that the same commit gives the same files, or the present."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    try:
        return int(run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        return int(time.time())


def symbols(path):
    """Functions that a library defines, without weak ones, which every user of a function may define, too."""
    outcome = subprocess.run(["nm", "--defined-only", "--extern-only", path], capture_output=True, text=True)
    return {name for _, kind, name in (line.split() for line in outcome.stdout.splitlines() if line.count(" ") == 2) if kind == "T"}


def toolchain():
    """The directory of Swift's static libraries, and Swift's version."""
    swift = shutil.which(os.environ.get("SWIFT", "swift").split()[0])
    if swift is None:
        raise SystemExit("Swift is missing: its static libraries tell which of them the program holds.")
    told = json.loads(run(pathlib.Path(swift).with_name("swiftc"), "-print-target-info", "-static-stdlib"))
    version = re.search(r"Swift version (\S+)", told["compilerVersion"]).group(1)
    return pathlib.Path(told["paths"]["runtimeResourcePath"], "linux"), version


def held(program):
    """Swift's static libraries of which the program has code: the repository, and the libraries' names."""
    libraries, version = toolchain()
    defined = run("nm", program)
    there = {line.split()[-1] for line in defined.splitlines() if len(line.split()) == 3}
    if not there:
        raise SystemExit(f"{program} is stripped: the list of its parts is made from its symbols.")
    offered = {path.stem: symbols(path) for path in sorted(libraries.glob("*.a"))}
    counts = {}
    for names in offered.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    # A symbol that several libraries define, such as an inlined function's, does not tell which of them the program has.
    found = [name for name, names in offered.items() if any(counts[symbol] == 1 for symbol in names & there)]
    for repository, (summary, pattern) in SWIFT_LIBRARIES.items():
        parts = [name for name in found if re.fullmatch(pattern, name)]
        found = [name for name in found if name not in parts]
        if parts:
            yield repository, version, summary, parts
    if found:
        raise SystemExit(f"{program} holds {', '.join(found)}, which packaging/sbom.py does not know: add the repository there.")


def pins(resolved):
    for pin in json.loads(resolved.read_text())["pins"]:
        name, state = pin["identity"], pin["state"]
        if name not in COMPILED:
            raise SystemExit(f"Package.resolved has {name}, which packaging/sbom.py does not know: add its licence there.")
        yield name, state["version"], state["revision"], pin["location"].removesuffix(".git")


@functools.cache
def owner(library):
    """The Debian package that holds a library, its version and its source package."""
    for path in (library, os.path.realpath(library), "/usr" + library, os.path.realpath(library).removeprefix("/usr")):
        outcome = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True)
        if outcome.returncode == 0:
            name = outcome.stdout.split(":")[0]
            version, source = run("dpkg-query", "--show", "--showformat", "${Version}\t${source:Package}\n", name).splitlines()[0].split("\t")
            return name, version, source
    raise SystemExit(f"No Debian package holds {library}, which the program is linked with.")


def linked(program):
    """Debian's packages that are loaded with the program, each with true if the program itself is linked with it."""
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", program)))
    packages = {}
    for name, path in re.findall(r"^\s*(\S+)(?: => (\S+))? \(0x", run("ldd", program), re.MULTILINE):
        path = path or name
        if path.startswith("/"):
            package = owner(path)
            packages[package] = packages.get(package, False) or pathlib.Path(name).name in needed
    for package in packages:
        if package[0] not in LINKED:
            raise SystemExit(f"The program loads {package[0]}, which packaging/sbom.py does not know: add its licence there.")
    return sorted(packages.items())


def part(identifier, name, version, licence, location, *references, **further):
    return {
        "SPDXID": identifier,
        "name": name,
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": location,
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        **further,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": reference} for reference in references
        ],
    }


def relation(first, kind, second):
    return {"spdxElementId": first, "relationshipType": kind, "relatedSpdxElement": second}


def document(program, shipped, version, resolved=ROOT / "Package.resolved"):
    """The document's text. `program` has symbols; `shipped` is the same without them, whose digest the document has."""
    created = datetime.datetime.fromtimestamp(epoch(), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha256(pathlib.Path(shipped).read_bytes()).hexdigest()
    packages = [
        part(
            PROGRAM,
            "weight-init",
            version,
            "Apache-2.0",
            "NOASSERTION",
            f"pkg:generic/weight-init@{version}",
            primaryPackagePurpose="APPLICATION",
            packageFileName="weight-init",
            checksums=[{"algorithm": "SHA256", "checksumValue": digest}],
        )
    ]
    relations = [relation("SPDXRef-DOCUMENT", "DESCRIBES", PROGRAM)]
    for name, release, revision, location in pins(pathlib.Path(resolved)):
        packages.append(
            part(
                f"SPDXRef-swift-package-{name}",
                name,
                release,
                COMPILED[name],
                f"git+{location}.git@{revision}",
                f"pkg:swift/{location.removeprefix('https://')}@{release}",
            )
        )
        relations.append(relation(PROGRAM, "STATIC_LINK", packages[-1]["SPDXID"]))
    for repository, release, summary, libraries in held(program):
        packages.append(
            part(
                f"SPDXRef-toolchain-{repository}",
                repository,
                release,
                SWIFT if repository != "swift-foundation-icu" else "Unicode-3.0",
                f"git+https://github.com/swiftlang/{repository}.git",
                f"pkg:swift/github.com/swiftlang/{repository}@{release}",
                summary=summary,
                comment=f"Linked statically: {', '.join(libraries)}.",
            )
        )
        relations.append(relation(PROGRAM, "STATIC_LINK", packages[-1]["SPDXID"]))
    for (name, release, source), directly in linked(shipped):
        identifier = f"SPDXRef-debian-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}"
        purl = f"pkg:deb/debian/{name.replace('+', '%2B')}@{release.replace('+', '%2B').replace(':', '%3A')}?distro=debian-12"
        packages.append(
            part(identifier, name, release, LINKED[name][1], "NOASSERTION", purl, sourceInfo=f"built from the source package {source}")
        )
        relations.append(relation(PROGRAM, "DYNAMIC_LINK" if directly else "DEPENDS_ON", identifier))
    return (
        json.dumps(
            {
                "spdxVersion": "SPDX-2.3",
                "dataLicense": "CC0-1.0",
                "SPDXID": "SPDXRef-DOCUMENT",
                "name": f"weight-init-{version}",
                "documentNamespace": f"https://spdx.org/spdxdocs/weight-init-{version}-{digest}",
                "creationInfo": {"created": created, "creators": ["Organization: the weight-init authors", "Tool: packaging/sbom.py"]},
                "packages": packages,
                "relationships": relations,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1])
    sys.stdout.write(document(path, path, run(path, "--version").strip()))
