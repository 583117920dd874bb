public import ByteText

/// A pattern for names: `*` stands for any text, dots included, and `?` for one character.
public struct Glob: Sendable, Equatable {
    public let pattern: Text
    private let bytes: [UInt8]

    public init(_ pattern: Text) {
        self.pattern = pattern
        bytes = Array(pattern.utf8)
    }

    /// `true` if the pattern matches one name only.
    var isLiteral: Bool { !bytes.contains(UInt8(ascii: "*")) && !bytes.contains(UInt8(ascii: "?")) }

    public func matches(_ name: Text) -> Bool {
        var steps = Int.max
        return matches(Array(name.utf8), steps: &steps)
    }

    /// Takes at most pattern length × name length steps, because it only ever backtracks to the last `*`.
    ///
    /// - Parameters:
    ///   - text: A name in UTF-8.
    ///   - steps: Number of bytes that may still be compared; once it is 0, the result means nothing.
    func matches(_ text: [UInt8], steps: inout Int) -> Bool {
        var (inPattern, inText) = (0, 0)
        var retry: (pattern: Int, text: Int)?
        while inText < text.count {
            guard steps > 0 else { return false }
            steps -= 1
            if inPattern < bytes.count, bytes[inPattern] == UInt8(ascii: "*") {
                retry = (inPattern + 1, inText)
                inPattern += 1
            } else if inPattern < bytes.count, bytes[inPattern] == UInt8(ascii: "?") {
                inPattern += 1
                inText += Glob.characterLength(text, inText)
            } else if inPattern < bytes.count, bytes[inPattern] == text[inText] {
                inPattern += 1
                inText += 1
            } else if let last = retry {
                let next = last.text + Glob.characterLength(text, last.text)
                retry = (last.pattern, next)
                (inPattern, inText) = (last.pattern, next)
            } else {
                return false
            }
        }
        return bytes[inPattern...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Bytes of the UTF-8 character that starts here.
    private static func characterLength(_ text: [UInt8], _ index: Int) -> Int {
        var end = index + 1
        while end < text.count, text[end] & 0xc0 == 0x80 { end += 1 }
        return end - index
    }
}
