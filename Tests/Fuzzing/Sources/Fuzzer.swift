import Glibc

/// Fuzz targets: the environment's `FUZZ_TARGET` names one of these.
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

/// The package manager wants every program's main function under a name of its own. This one is libFuzzer's.
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

/// Entry point of libFuzzer; 0 keeps an input that reaches something new.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // The bytes are libFuzzer's, for the time of the call.
    target(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// A promise of the service; the process ends where it is broken, and libFuzzer keeps the input.
func check(_ holds: Bool, _ promise: @autoclosure () -> String) {
    guard holds else { fatalError("broken: " + promise()) }
}
