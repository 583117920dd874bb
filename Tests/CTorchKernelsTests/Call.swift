import CTorchKernels
import Testing

/// A kernel with its parameters, which can be run by the library and by the reference. Results are bit patterns.
enum Call {
    case words
    case uniform32(UniformRange<Float>)
    case uniform64(UniformRange<Double>)
    case uniform16(UniformRange<Float>)
    case uniformBrain(UniformRange<Float>)
    case normal32(mean: Float, std: Float)
    case normal64(mean: Double, std: Double)
    case normal16(mean: Float, std: Float)
    case normalBrain(mean: Float, std: Float)

    /// Divisor of the counts that the kernel accepts: normals come in blocks of 16.
    var granularity: Int {
        switch self {
        case .normal32, .normal64, .normal16, .normalBrain: 16
        default: 1
        }
    }

    func run(
        _ variant: Variant,
        _ stream: UnsafeMutablePointer<ctk_stream>,
        count: Int,
        offset: Int = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> [UInt64] {
        let k = variant.kernels
        func elements<T: FixedWidthInteger, Element>(
            _: T.Type,
            _ body: (UnsafeMutablePointer<Element>) -> Void
        ) -> [UInt64] {
            let made: [T] = guarded(count, offset: offset, sourceLocation: sourceLocation) {
                body($0.bindMemory(to: Element.self, capacity: count))
            }
            return made.map { UInt64($0) }
        }
        return switch self {
        case .words:
            elements(UInt32.self) { k.words(stream, $0, count) }
        case .uniform32(let r):
            elements(UInt32.self) { k.uniform_f32(stream, $0, count, r.from, r.width, r.to, r.from) }
        case .uniform64(let r):
            elements(UInt64.self) { k.uniform_f64(stream, $0, count, r.from, r.width, r.to, r.from) }
        case .uniform16(let r):
            elements(UInt16.self) {
                k.uniform_f16(stream, $0, count, r.from, r.width, IEEEHalf.bits(r.to), IEEEHalf.bits(r.from))
            }
        case .uniformBrain(let r):
            elements(UInt16.self) {
                k.uniform_bf16(stream, $0, count, r.from, r.width, BrainFloat.bits(r.to), BrainFloat.bits(r.from))
            }
        case .normal32(let mean, let std):
            elements(UInt32.self) { k.normal_f32(stream, $0, count / 16, mean, std) }
        case .normal64(let mean, let std):
            elements(UInt64.self) { k.normal_f64(stream, $0, count / 16, mean, std) }
        case .normal16(let mean, let std):
            elements(UInt16.self) { k.normal_f16(stream, $0, count / 16, mean, std) }
        case .normalBrain(let mean, let std):
            elements(UInt16.self) { k.normal_bf16(stream, $0, count / 16, mean, std) }
        }
    }

    func run(_ variant: Variant, seed: UInt32, after words: UInt64 = 0, count: Int) -> [UInt64] {
        let stream = Stream(seed: seed)
        variant.kernels.skip(stream.pointer, words)
        return run(variant, stream.pointer, count: count)
    }

    func expected(_ reference: inout Reference, count: Int) -> [UInt64] {
        func each(_ element: (inout Reference) -> UInt64) -> [UInt64] { (0..<count).map { _ in element(&reference) } }
        func blocks(_ block: (inout Reference) -> [UInt64]) -> [UInt64] {
            (0..<count / 16).flatMap { _ in block(&reference) }
        }
        return switch self {
        case .words: each { UInt64($0.word()) }
        case .uniform32(let r): each { UInt64($0.uniform(r).bitPattern) }
        case .uniform64(let r): each { $0.uniform(r).bitPattern }
        case .uniform16(let r): each { UInt64($0.uniform(r, as: IEEEHalf.self)) }
        case .uniformBrain(let r): each { UInt64($0.uniform(r, as: BrainFloat.self)) }
        case .normal32(let mean, let std): blocks { $0.normals(mean: mean, std: std).map { UInt64($0.bitPattern) } }
        case .normal64(let mean, let std): blocks { $0.normals(mean: mean, std: std).map { $0.bitPattern } }
        case .normal16(let mean, let std):
            blocks { $0.normals(mean: mean, std: std).map { UInt64(IEEEHalf.bits($0)) } }
        case .normalBrain(let mean, let std):
            blocks { $0.normals(mean: mean, std: std).map { UInt64(BrainFloat.bits($0)) } }
        }
    }
}
