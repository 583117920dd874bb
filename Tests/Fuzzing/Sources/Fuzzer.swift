import Glibc

/// Fuzz targets. The environment variable `FUZZ_TARGET` names one of them.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "query": QueryTarget.run,
    "json": JSONTarget.run,
    "range": RangeTarget.run,
    "slice": SliceTarget.run,
    "plan": PlanTarget.run,
    "head": HeadTarget.run,
    "name": NameTarget.run,
    "model": ModelTarget.run,
]

private let target: @Sendable ([UInt8]) -> Void = {
    guard let name = getenv("FUZZ_TARGET").map({ String(cString: $0) }), let target = targets[name] else {
        print("FUZZ_TARGET must be one of \(targets.keys.sorted().joined(separator: ", "))")
        exit(2)
    }
    return target
}()

/// libFuzzer's driver, because the package manager renames each program's main function.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ input: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
enum Fuzzer {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments, fuzz))
    }
}

/// Entry point for libFuzzer. Returning 0 lets libFuzzer keep an input that reaches new code.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // libFuzzer owns the bytes, which are valid during the call.
    target(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Checks a promise of the service. If the promise is broken, the process ends, and libFuzzer saves the input.
func check(_ holds: Bool, _ promise: @autoclosure () -> String) {
    guard holds else { fatalError("broken: " + promise()) }
}
