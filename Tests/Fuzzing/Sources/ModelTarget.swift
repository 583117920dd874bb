import ByteText
import HTTPExchange
import HTTPTypes
@testable import InitAPI
@testable import InitService
@testable import WeightInit

/// Bodies for `/explain` with small limits, which inputs reach often. The limits bound the memory and the work for a
/// request, accepted or refused.
enum ModelTarget {
    private static let limits = ServiceLimits.with {
        $0.maximumJSONValues = 1 << 10
        $0.tensors.maximumLayers = 32
        $0.tensors.maximumTensors = 48
        $0.tensors.maximumNameBytes = 1 << 12
        $0.tensors.maximumNameLength = 64
        $0.tensors.maximumRuleMatches = 1 << 10
        $0.tensors.maximumNesting = 6
        $0.tensors.maximumTensorBytes = 1 << 40
    }

    /// Bounds on comparisons and on bytes held at once: a fixed part, which includes all that the limits allow
    /// together, and a part for each byte of the request. They are several times the highest cost seen.
    private static let steps = (fixed: 600_000 as UInt64, perByte: 200 as UInt64)
    private static let memory = (fixed: 400_000 as Int64, perByte: 100 as Int64)

    static func run(_ bytes: [UInt8]) {
        let (outcome, cost) = Cost.measure { Self.outcome(of: bytes) }
        if case .planned(let plan) = outcome {
            let limits = limits.tensors
            check(plan.tensors.count <= limits.maximumTensors, "\(plan.tensors.count) tensors")
            check(plan.byteCount <= limits.maximumTensorBytes, "\(plan.byteCount) bytes")
            check(
                plan.tensors.allSatisfy { $0.name.byteCount <= limits.maximumNameLength },
                "a name is longer than is allowed"
            )
            check(Set(plan.tensors.map(\.name)).count == plan.tensors.count, "two tensors have one name")
        }
        cost?.require(bytes: bytes.count, steps: steps, memory: memory)
    }

    private enum Outcome {
        case refused
        case planned(Plan)
    }

    private static func outcome(of bytes: [UInt8]) -> Outcome {
        do throws(InitError) {
            let json = JSONLimits(
                depth: limits.maximumJSONDepth,
                values: limits.maximumJSONValues,
                nameBytes: limits.tensors.maximumNameLength
            )
            let members = try InitMembers(RequestMembers(parsing: bytes, json))
            let plan = try members.plan(limits.tensors)
            _ = members.canonical.encoded
            return .planned(plan)
        } catch {
            check([.invalid, .tooLarge, .refused].contains(error.kind), "\(error)")
            return .refused
        }
    }
}
