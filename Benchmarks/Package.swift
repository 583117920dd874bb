// swift-tools-version: 6.2

import PackageDescription

// Apart from the service's package, so that neither builds nor resolves what only the other needs.
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
