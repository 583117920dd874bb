internal import Glibc

/// UTF-8 text that is equal to another only if their bytes are.
///
/// Swift's `String` compares, hashes, sorts and folds by Unicode's canonical equivalence: `é` and `e` with an accent
/// are one string, and a run of combining marks takes time quadratic in its length. PyTorch, JSON, HTTP and file
/// systems compare code points or bytes. So does this type, in time linear in the bytes. Text from clients, files and
/// the environment is a `Text` from the place where it enters, and is never compared as a `String`.
public struct Text: Sendable {
    /// Native and contiguous, so that its bytes are always at hand.
    private let storage: String

    public init(_ string: String) {
        var string = string
        string.makeContiguousUTF8()
        storage = string
    }

    public init(_ substring: Substring) {
        self.init(String(substring))
    }

    /// The decimal digits of an integer. Apart from the others, because generic code takes several times as long.
    public init(_ integer: Int) {
        self.init(String(integer))
    }

    /// The decimal digits of an integer.
    public init(_ integer: some BinaryInteger) {
        self.init(String(integer))
    }

    /// - Returns: `nil` if the bytes are not UTF-8.
    public init?(validating bytes: some Sequence<UInt8>) {
        guard let string = String(validating: bytes, as: UTF8.self) else { return nil }
        self.init(string)
    }

    /// Text of bytes that are known to be UTF-8; other bytes become U+FFFD.
    public init(decoding bytes: some Collection<UInt8>) {
        self.init(String(decoding: bytes, as: UTF8.self))
    }

    /// Text of bytes that are known to be UTF-8; other bytes become U+FFFD.
    public init(decoding bytes: Span<UInt8>) {
        // Unsafe because the library copies bytes from pointers only.
        self.init(bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
    }

    public var utf8: String.UTF8View { storage.utf8 }

    /// Number of bytes; takes constant time.
    public var byteCount: Int { storage.utf8.count }

    public var isEmpty: Bool { storage.utf8.isEmpty }

    /// A copy of the bytes.
    public var bytes: [UInt8] { withBytes { Array($0) } }

    /// Appends the bytes to an array.
    public func append(to bytes: inout [UInt8]) {
        withBytes { bytes.append(contentsOf: $0) }
    }

    /// Calls `body` with the bytes, which are valid during the call only.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // `storage` is contiguous, so the closure always runs; without storage the text is empty.
        storage.utf8.withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) }
            ?? body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
}

// MARK: - Comparing

extension Text: Hashable {
    public static func == (left: Text, right: Text) -> Bool {
        let byteCount = left.byteCount
        return left.isTheSame(as: right)
            || byteCount == right.byteCount
                && left.storage.utf8.span.bytes.beginsLike(right.storage.utf8.span.bytes, byteCount: byteCount)
    }

    /// `true` if both are the same value in memory: two copies of one text, or equal texts of at most 15 bytes.
    private func isTheSame(as other: Text) -> Bool {
        unsafeBitCast(storage, to: (UInt64, UInt64).self) == unsafeBitCast(other.storage, to: (UInt64, UInt64).self)
    }

    public func hash(into hasher: inout Hasher) {
        withBytes { hasher.combine(bytes: $0) }
        // A terminator, as for strings: no byte of UTF-8 is 0xff, so bytes hashed next cannot be taken for more of the
        // text.
        hasher.combine(0xff as UInt8)
    }
}

extension Text: Comparable {
    /// Order of the bytes, which is also the order of the code points.
    public static func < (left: Text, right: Text) -> Bool {
        let order = left.order(against: right)
        return order != 0 ? order < 0 : left.byteCount < right.byteCount
    }

    /// `memcmp` over the length of the shorter text.
    private func order(against other: Text) -> CInt {
        withBytes { left in
            other.withBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else { return 0 }
                return memcmp(left, right, min(byteCount, other.byteCount))
            }
        }
    }

    public func hasPrefix(_ prefix: Text) -> Bool {
        let (whole, prefix) = (storage.utf8.span.bytes, prefix.storage.utf8.span.bytes)
        return whole.byteCount >= prefix.byteCount && whole.beginsLike(prefix, byteCount: prefix.byteCount)
    }

    public func hasSuffix(_ suffix: Text) -> Bool {
        let (whole, suffix) = (storage.utf8.span.bytes, suffix.storage.utf8.span.bytes)
        let start = whole.byteCount - suffix.byteCount
        return start >= 0 && whole.extracting(start...).beginsLike(suffix, byteCount: suffix.byteCount)
    }

    public func contains(_ character: Unicode.Scalar) -> Bool {
        utf8.contains(UInt8(ascii: character))
    }

    /// Equality that ignores the case of ASCII letters only: U+212A (the Kelvin sign) is not `k`.
    public func equalsIgnoringASCIICase(_ other: Text) -> Bool {
        byteCount == other.byteCount
            && utf8.elementsEqual(other.utf8) { Text.lowercased($0) == Text.lowercased($1) }
    }
}

extension RawSpan {
    /// `true` if both begin with the same bytes; neither is shorter than `byteCount`.
    ///
    /// In words of eight bytes, because nearly all texts that are compared are names of a few letters, for which a call
    /// of `memcmp` takes longer than the comparison.
    fileprivate func beginsLike(_ other: RawSpan, byteCount: Int) -> Bool {
        func isEqual<Word: FixedWidthInteger & BitwiseCopyable>(at offset: Int, _ type: Word.Type) -> Bool {
            unsafeLoadUnaligned(fromByteOffset: offset, as: Word.self)
                == other.unsafeLoadUnaligned(fromByteOffset: offset, as: Word.self)
        }
        var offset = 0
        while byteCount - offset >= 8 {
            guard isEqual(at: offset, UInt64.self) else { return false }
            offset += 8
        }
        while offset < byteCount {
            guard isEqual(at: offset, UInt8.self) else { return false }
            offset += 1
        }
        return true
    }
}

// MARK: - Taking apart

extension Text {
    /// The same text with ASCII letters in lower case.
    public func asciiLowercased() -> Text {
        guard utf8.contains(where: { $0 != Text.lowercased($0) }) else { return self }
        return Text(decoding: utf8.map(Text.lowercased))
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// The pieces between occurrences of an ASCII character.
    public func split(
        separator: Unicode.Scalar,
        maxSplits: Int = .max,
        omittingEmptySubsequences: Bool = false
    ) -> [Text] {
        var pieces: [Text] = []
        var start = 0
        let separator = UInt8(ascii: separator)
        withBytes { bytes in
            func add(upTo end: Int) {
                guard start < end || !omittingEmptySubsequences else { return }
                pieces.append(Text(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<end])))
            }
            for index in bytes.indices where bytes[index] == separator && pieces.count < maxSplits {
                add(upTo: index)
                start = index + 1
            }
            add(upTo: bytes.count)
        }
        return pieces
    }

    /// The text without spaces and tabs at both ends.
    public var trimmed: Text {
        func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        guard utf8.first.map(isSpace) == true || utf8.last.map(isSpace) == true else { return self }
        var rest = utf8[...]
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return Text(Substring(rest))
    }

    /// - Returns: The text after the prefix; `nil` if the text does not begin with it.
    public func removing(prefix: Text) -> Text? {
        hasPrefix(prefix) ? Text(Substring(utf8.dropFirst(prefix.byteCount))) : nil
    }

    /// - Returns: The text before the suffix; `nil` if the text does not end with it.
    public func removing(suffix: Text) -> Text? {
        hasSuffix(suffix) ? Text(Substring(utf8.dropLast(suffix.byteCount))) : nil
    }

    /// The text with the first occurrence of `part` replaced; takes at most text × part steps.
    public func replacingFirst(_ part: Text, with replacement: Text) -> Text {
        guard let range = range(of: part) else { return self }
        return Text(decoding: Array(utf8[..<range.lowerBound]) + replacement.utf8 + utf8[range.upperBound...])
    }

    public func contains(_ part: Text) -> Bool { range(of: part) != nil }

    private func range(of part: Text) -> Range<String.Index>? {
        guard part.byteCount <= byteCount else { return nil }
        var rest = utf8[...]
        while rest.count >= part.byteCount {
            if rest.starts(with: part.utf8) {
                return rest.startIndex..<rest.index(rest.startIndex, offsetBy: part.byteCount)
            }
            rest.removeFirst()
        }
        return nil
    }

    public static func + (left: Text, right: Text) -> Text {
        // Not `+` of strings, which takes twice as long for short ones.
        left.withBytes { left in
            right.withBytes { right in
                Text(
                    String(unsafeUninitializedCapacity: left.count + right.count) { text in
                        let whole = UnsafeMutableRawBufferPointer(text)
                        whole.copyMemory(from: left)
                        UnsafeMutableRawBufferPointer(rebasing: whole[left.count...]).copyMemory(from: right)
                        return left.count + right.count
                    }
                )
            }
        }
    }
}

// MARK: - Writing

extension Text: ExpressibleByStringInterpolation {
    public init(stringLiteral value: String) {
        self.init(value)
    }

    public init(stringInterpolation: DefaultStringInterpolation) {
        self.init(String(stringInterpolation: stringInterpolation))
    }
}

/// The text as a string, for output and not for comparison.
extension Text: CustomStringConvertible {
    public var description: String { storage }
}

extension Text: TextOutputStreamable {
    public func write(to target: inout some TextOutputStream) {
        target.write(storage)
    }
}

extension Text {
    /// The text between quotation marks, cut to 64 characters and without control characters.
    public var quotedForMessage: String { storage.quotedForMessage }
}

extension String {
    /// The text between quotation marks, cut to 64 characters and without control characters.
    public var quotedForMessage: String {
        var text = "\""
        for scalar in unicodeScalars.prefix(64) {
            text.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? "\u{fffd}" : scalar)
        }
        if unicodeScalars.dropFirst(64).isEmpty == false { text += "…" }
        return text + "\""
    }
}

extension Sequence<Text> {
    /// All texts in one string, for a message.
    public func joined(separator: String) -> String {
        map(\.description).joined(separator: separator)
    }
}

extension RawRepresentable where RawValue == String, Self: CaseIterable {
    /// - Returns: The case whose raw value has the bytes of `text`; `nil` if there is none.
    public init?(_ text: Text) {
        guard let match = Self.allCases.first(where: { $0.word == text }) else { return nil }
        self = match
    }
}

extension RawRepresentable where RawValue == String {
    /// The raw value, to be compared with text from outside.
    public var word: Text { Text(rawValue) }
}

extension CaseIterable where Self: RawRepresentable, RawValue == String {
    /// The raw values of all cases.
    public static var words: [Text] { allCases.map(\.word) }
}
