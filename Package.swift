// swift-tools-version: 6.2

import PackageDescription

/// Warnings are errors in CI, which decides whether a change is merged, but not while someone is trying something out.
let strict = Context.environment["CI"] != nil

let swiftSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let cSettings: [CSetting] =
    // Checks calls of the C library that could write past their buffers. Works only with optimisation.
    [.define("_FORTIFY_SOURCE", to: "2", .when(configuration: .release))]
    + (strict ? [.treatAllWarnings(as: .error)] : [])

func swiftTarget(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func cTarget(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, cSettings: cSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: swiftSettings)
}

let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "weight-init",
    products: [
        .executable(name: "weight-init", targets: ["weight-init"]),
        .library(name: "WeightInit", targets: ["WeightInit", "ByteText"]),
        .library(name: "TensorFormats", targets: ["TensorFormats"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),

        // Below both columns: text compared by its bytes, digests, and rows of options.
        swiftTarget("ByteText"),
        swiftTarget("Settings"),
        swiftTarget("SHA2", ["CNettle"]),

        // Left column of the architecture: HTTP without tensors.
        swiftTarget("ByteSource"),
        swiftTarget("HTTPExchange", ["ByteSource", httpTypes]),
        cTarget("CHTTPDaemon", ["CMicroHTTPD", "CGnuTLS"]),
        swiftTarget("HTTPDaemon", ["HTTPExchange", "CHTTPDaemon", "ByteSource", "Settings", httpTypes]),

        // Right column: tensors without HTTP.
        cTarget("CFusedMultiplyAdd"),
        cTarget("CTorchKernels", ["CFusedMultiplyAdd"]),
        cTarget("CLinearAlgebra", ["CFusedMultiplyAdd"]),
        swiftTarget("TorchRandom", ["CTorchKernels"]),
        swiftTarget(
            "WeightInit",
            ["ByteText", "TorchRandom", "CLinearAlgebra", "CZlib", "ByteSource", "Settings", "SHA2"]
        ),
        swiftTarget("TensorFormats", ["ByteText", "WeightInit", "ByteSource", "SHA2"]),

        // Both columns together.
        cTarget("CEmbeddedFiles", exclude: ["models.bin", "orthogonal.txt", "page.html", "vectors.txt"]),
        swiftTarget("EmbeddedFiles", ["CEmbeddedFiles"]),
        swiftTarget(
            "InitAPI",
            ["ByteText", "TensorFormats", "WeightInit", "ByteSource", "Settings", "SHA2", "EmbeddedFiles"]
        ),
        swiftTarget(
            "InitService",
            [
                "HTTPExchange", "InitAPI", "TensorFormats", "WeightInit", "ByteText", "ByteSource", "Settings",
                httpTypes,
                "SHA2", "EmbeddedFiles", logging,
            ]
        ),
        .executableTarget(
            name: "weight-init",
            dependencies: [
                "HTTPDaemon", "InitService", "InitAPI", "TensorFormats", "WeightInit", "HTTPExchange", "ByteText",
                "ByteSource",
                "Settings", "TorchRandom", argumentParser, logging, httpTypes, "SHA2", "EmbeddedFiles",
            ],
            swiftSettings: swiftSettings
        ),

        // Vectors made by PyTorch, and their reader.
        .target(
            name: "GoldenVectors",
            path: "Tests/GoldenVectors",
            exclude: ["visible", "make_vectors.py", "make_verification.py", "README.md"],
            swiftSettings: swiftSettings
        ),
        // A client that sends exactly the given bytes over a socket.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: swiftSettings),
        tests("SHA2Tests", ["SHA2"]),
        tests(
            "CLinearAlgebraTests",
            ["CLinearAlgebra", "CFusedMultiplyAdd", "TorchRandom"],
            resources: [.copy("factors.txt")]
        ),
        tests("TorchRandomTests", ["TorchRandom", "SHA2"]),
        tests("WeightInitTests", ["WeightInit", "ByteText", "TorchRandom", "ByteSource", "GoldenVectors", "SHA2"]),
        tests("CTorchKernelsTests", ["CTorchKernels", "SHA2"]),
        tests("InitAPITests", ["InitAPI", "WeightInit", "ByteText", "GoldenVectors"]),
        tests(
            "InitServiceTests",
            [
                "InitService", "InitAPI", "HTTPExchange", "WeightInit", "ByteText", "ByteSource", "GoldenVectors",
                httpTypes,
                "SHA2",
            ]
        ),
        tests("ByteTextTests", ["ByteText"]),
        tests("ByteSourceTests", ["ByteSource"]),
        tests("SettingsTests", ["Settings"]),
        tests("CHTTPDaemonTests", ["CHTTPDaemon", "TestSupport"]),
        tests("HTTPDaemonTests", ["HTTPDaemon", "HTTPExchange", "ByteSource", "TestSupport", httpTypes]),
        tests(
            "TensorFormatsTests",
            ["TensorFormats", "WeightInit", "TorchRandom", "ByteText", "ByteSource", "SHA2"],
            resources: [.copy("Vectors")]
        ),
        tests("EndToEndTests", ["HTTPDaemon", "InitService", "InitAPI", "GoldenVectors", "TestSupport", "SHA2"]),
        tests("CommandTests", ["weight-init", "WeightInit", "ByteText", "TestSupport", "SHA2"]),
    ]
)

// `make fuzz` builds the target with coverage, and with access to internal declarations. libFuzzer has the main
// function.
if let fuzzing = Context.environment["FUZZING"] {
    // Functions whose calls are counted (Tests/Fuzzing/Counters). Swift's library must be linked statically for it.
    let counted =
        fuzzing != "counting"
        ? []
        : ["malloc", "calloc", "realloc", "free", "posix_memalign", "__sanitizer_cov_trace_switch"]
            + [1, 2, 4, 8].flatMap { ["__sanitizer_cov_trace_cmp\($0)", "__sanitizer_cov_trace_const_cmp\($0)"] }
            + ["NormData", "GraphemeBreakProperty", "Mapping", "SpecialMapping"].map { "_swift_stdlib_get\($0)" }
    package.targets += [
        .target(
            name: "FuzzCounters",
            path: "Tests/Fuzzing/Counters",
            cSettings: cSettings + (counted.isEmpty ? [] : [.define("COUNTING")])
        ),
        .executableTarget(
            name: "weight-init-fuzz",
            dependencies: [
                "InitService", "InitAPI", "HTTPDaemon", "HTTPExchange", "WeightInit", "ByteText", "ByteSource",
                "FuzzCounters", httpTypes,
            ],
            path: "Tests/Fuzzing/Sources",
            swiftSettings: swiftSettings,
            linkerSettings: [
                // libFuzzer brings a second main function, which calls the same driver.
                .unsafeFlags(["-sanitize=fuzzer", "-Xlinker", "--allow-multiple-definition"]),
                .unsafeFlags(counted.flatMap { ["-Xlinker", "--wrap=\($0)"] }),
            ]
        ),
    ]
}
