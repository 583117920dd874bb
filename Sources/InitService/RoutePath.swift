internal import ByteText

/// A route's path: `/models/{org}/{name}`. A segment in braces stands for any segment.
struct RoutePath: Sendable {
    private enum Segment: Equatable {
        case text(Text)
        case any
        case rest
    }

    let text: Text
    private let segments: [Segment]

    /// - Parameter isOpen: `true` if the last segment, which is in braces, stands for all remaining segments.
    init(_ text: Text, isOpen: Bool = false) {
        self.text = text
        var segments = text.split(separator: "/").dropFirst().map { $0.hasPrefix("{") ? Segment.any : .text($0) }
        if isOpen { segments[segments.count - 1] = .rest }
        self.segments = segments
    }

    /// `true` if no segment is in braces.
    var isExact: Bool { !segments.contains(.any) && !segments.contains(.rest) }

    /// The segments of a path in the places of those in braces; `nil` if the path does not match.
    func match(_ given: [Text]) -> [Text]? {
        var captures: [Text] = []
        for (index, segment) in segments.enumerated() {
            guard index < given.count else { return nil }
            switch segment {
            case .text(let text):
                guard given[index] == text else { return nil }
            case .any:
                captures.append(given[index])
            case .rest:
                return captures + [given[index...].dropFirst().reduce(given[index]) { $0 + "/" + $1 }]
            }
        }
        return given.count == segments.count ? captures : nil
    }
}
