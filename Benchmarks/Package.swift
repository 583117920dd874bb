// swift-tools-version: 6.2

import PackageDescription

// A separate package, so that the service and the benchmarks do not resolve or build each other's dependencies.
let package = Package(
    name: "Benchmarks",
    dependencies: [.package(name: "weight-init", path: "..")],
    targets: [
        .executableTarget(
            name: "InProcess",
            dependencies: [
                .product(name: "WeightInit", package: "weight-init"),
                .product(name: "TensorFormats", package: "weight-init"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("InternalImportsByDefault"),
            ]
        )
    ]
)
