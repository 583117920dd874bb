// swift-tools-version: 6.2

import PackageDescription

/// Warnings stop the build where it decides whether a change lands, not while someone is trying something out.
let strict = Context.environment["CI"] != nil

let swiftSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let cSettings: [CSetting] = strict ? [.treatAllWarnings(as: .error)] : []

func swiftTarget(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: swiftSettings)
}

func cTarget(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, cSettings: cSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: swiftSettings)
}

let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "weight-init",
    products: [
        .executable(name: "weight-init", targets: ["weight-init"]),
        .library(name: "WeightInit", targets: ["WeightInit"]),
        .library(name: "TensorFormats", targets: ["TensorFormats"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),

        // Left column of the architecture: HTTP without tensors.
        swiftTarget("ByteSource"),
        swiftTarget("HTTPExchange", ["ByteSource", httpTypes]),
        cTarget("CHTTPDaemon", ["CMicroHTTPD", "CGnuTLS"]),
        swiftTarget("HTTPDaemon", ["HTTPExchange", "CHTTPDaemon", "ByteSource", httpTypes]),

        // Right column: tensors without HTTP.
        cTarget("CTorchKernels"),
        cTarget("CLinearAlgebra"),
        swiftTarget("TorchRandom", ["CTorchKernels"]),
        swiftTarget("WeightInit", ["TorchRandom", "CLinearAlgebra", "ByteSource", crypto]),
        swiftTarget("TensorFormats", ["WeightInit", "ByteSource", crypto]),

        // Where they meet.
        swiftTarget(
            "InitService",
            ["HTTPExchange", "TensorFormats", "WeightInit", "ByteSource", httpTypes, crypto, logging],
            resources: [.embedInCode("Resources/openapi.yaml"), .embedInCode("Resources/page.html")]
        ),
        .executableTarget(
            name: "weight-init",
            dependencies: [
                "HTTPDaemon", "InitService", "WeightInit", "HTTPExchange", "ByteSource", "TorchRandom", argumentParser,
                logging, httpTypes, crypto,
            ],
            resources: [.embedInCode("Resources/vectors.txt")],
            swiftSettings: swiftSettings
        ),

        // Vectors made by PyTorch, and their reader.
        .target(
            name: "GoldenVectors",
            path: "Tests/GoldenVectors",
            exclude: ["visible", "make_vectors.py", "make_verification.py", "README.md"],
            swiftSettings: swiftSettings
        ),
        // A client that says over a socket exactly what it is told to.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: swiftSettings),
        tests("CLinearAlgebraTests", ["CLinearAlgebra", "TorchRandom"]),
        tests("TorchRandomTests", ["TorchRandom", crypto]),
        tests("WeightInitTests", ["WeightInit", "TorchRandom", "ByteSource", "GoldenVectors", crypto]),
        tests("CTorchKernelsTests", ["CTorchKernels", crypto]),
        tests(
            "InitServiceTests",
            ["InitService", "HTTPExchange", "WeightInit", "ByteSource", "GoldenVectors", httpTypes, crypto]
        ),
        tests("ByteSourceTests", ["ByteSource"]),
        tests("HTTPExchangeTests", ["HTTPExchange", httpTypes]),
        tests("CHTTPDaemonTests", ["CHTTPDaemon"]),
        tests("HTTPDaemonTests", ["HTTPDaemon", "HTTPExchange", "ByteSource", "TestSupport", httpTypes]),
        tests(
            "TensorFormatsTests",
            ["TensorFormats", "WeightInit", "TorchRandom", "ByteSource", crypto],
            resources: [.copy("Vectors")]
        ),
        tests("EndToEndTests", ["HTTPDaemon", "InitService", "GoldenVectors", "TestSupport", crypto]),
        tests("CommandTests", ["weight-init", "WeightInit", "TestSupport", crypto]),
    ]
)

// `make fuzz` builds it with coverage, and with what is internal open to it. libFuzzer has the main function.
if Context.environment["FUZZING"] != nil {
    package.targets.append(
        .executableTarget(
            name: "weight-init-fuzz",
            dependencies: ["InitService", "HTTPExchange", "WeightInit", "ByteSource", httpTypes],
            path: "Tests/Fuzzing/Sources",
            swiftSettings: swiftSettings,
            // It comes with a main function of its own, which calls the same.
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-Xlinker", "--allow-multiple-definition"])]
        )
    )
}
