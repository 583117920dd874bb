import ByteText
import SHA2
import Foundation
import TensorFormats
import Testing
import TorchRandom
import WeightInit

/// The texts that a stream writes for numbers in a list.
private func texts(of bits: [UInt64], _ dtype: DType) throws -> [Substring] {
    let stream = try JSONTensorStream(
        prefix: [],
        source: StubSource(dtype.bytes(ofBits: bits)),
        shape: Shape([bits.count]),
        dtype: dtype
    )
    let text = String(decoding: stream.readAll(), as: UTF8.self)
    #expect(text.first == "[" && text.last == "]")
    return text.dropFirst().dropLast().split(separator: ",")
}

/// The significant digits and the power of ten of the first digit, in any notation.
private struct Digits: Equatable {
    var digits: [UInt8]
    var exponent: Int

    init(_ text: some StringProtocol) {
        let parts = text.drop { $0 == "-" }.split(separator: "e")
        let characters = Array(parts[0].utf8)
        let point = characters.firstIndex(of: UInt8(ascii: ".")) ?? characters.count
        let all = characters.filter { $0 != UInt8(ascii: ".") }
        let zeros = all.prefix { $0 == UInt8(ascii: "0") }.count
        digits = Array(all.dropFirst(zeros))
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        exponent = point - 1 - zeros + (parts.count > 1 ? Int(parts[1]) ?? .min : 0)
    }
}

struct NumberTextTests {
    @Test(
        "Numbers have the text of NumPy, of Python, or of an exact search with fractions",
        arguments: DType.requestable
    )
    func textsAreThoseOfNumPyOf(dtype: DType) throws {
        let all: [String: [String]] = try vectors("numbers")
        let lines = try #require(all[dtype.rawValue])
        let pairs = lines.map { $0.split(separator: " ") }
        #expect(pairs.count > 500)
        let bits = try pairs.map { try #require(UInt64($0[0])) }
        for (text, pair) in zip(try texts(of: bits, dtype), pairs) {
            #expect(text == pair[1], "\(pair[0])")
        }
    }

    @Test("Many consecutive numbers have the reference's texts")
    func sweepsOverManyNumbersGiveThe() throws {
        func digest(_ bits: some Sequence<UInt64>, _ dtype: DType) throws -> String {
            var hash = SHA256()
            for text in try texts(of: Array(bits), dtype) { hash.update(data: Data((text + "\n").utf8)) }
            return hash.finalize().description
        }
        let expected: [String: String] = try vectors("sweeps")
        #expect(try digest(0..<1 << 16, .float16) == expected["float16"])
        #expect(try digest(0..<1 << 16, .bfloat16) == expected["bfloat16"])
        #expect(try digest(stride(from: 0, to: 1 << 32, by: 9973), .float32) == expected["float32, every 9973rd"])
        #expect(
            try digest((0..<200_000).map { $0 &* 0x9E37_79B9_7F4A_7C15 }, .float64)
                == expected["float64, multiples of 0x9e3779b97f4a7c15"]
        )
    }

    #if DEBUG
        static let float32Stride: UInt64 = 97 * 1009
        static let float64Count = 20_000
    #else
        static let float32Stride: UInt64 = 97
        static let float64Count = 10_000_000
    #endif

    @Test("A float32 reads back and has the fewest possible digits")
    func float32ReadsBackAndIsAs() throws {
        var next: UInt64 = 0
        var failures = 0
        while next < 1 << 32 {
            let bits = Array(
                stride(from: next, to: min(next + Self.float32Stride << 16, 1 << 32), by: Int(Self.float32Stride))
            )
            next += Self.float32Stride << 16
            for (pattern, text) in zip(bits, try texts(of: bits, .float32)) {
                let value = Float(bitPattern: UInt32(pattern))
                guard value.isFinite, value != 0 else { continue }
                // Also through float64, as most parsers of JSON read.
                let isRight =
                    Float(text) == value && Double(text).map(Float.init) == value
                    && Digits(text) == Digits(value.description)
                if !isRight { failures += 1 }
            }
        }
        #expect(failures == 0)
    }

    @Test("A float64 reads back and has the fewest possible digits")
    func float64ReadsBackAndIsAs() throws {
        var generator = SystemRandomNumberGenerator()
        var failures = 0
        for _ in 0..<Self.float64Count / 10_000 {
            let bits = (0..<10_000).map { _ in generator.next() as UInt64 }
            for (pattern, text) in zip(bits, try texts(of: bits, .float64)) {
                let value = Double(bitPattern: pattern)
                guard value.isFinite, value != 0 else { continue }
                if Double(text) != value || Digits(text) != Digits(value.description) { failures += 1 }
            }
        }
        #expect(failures == 0)
    }

    @Test("16-bit numbers read back, also through float32 and float64", arguments: [DType.float16, .bfloat16])
    func test16BitNumbersReadBackAlso(dtype: DType) throws {
        let format = try #require(dtype.floatFormat)
        let bits = Array(UInt64(0)..<1 << 16)
        var failures = 0
        for (pattern, text) in zip(bits, try texts(of: bits, dtype)) {
            guard format.value(bits: pattern).isFinite else { continue }
            let value = try #require(Double(text))
            // The conversion rounds to float32 first.
            if format.bits(value) != pattern { failures += 1 }
        }
        #expect(failures == 0)
    }

    @Test("Integers are written whole")
    func integersAreWrittenWhole() throws {
        let values: [Int64] = [0, -1, 42, .max, .min]
        let written = try texts(of: values.map { UInt64(bitPattern: $0) }, .int64)
        #expect(written == ["0", "-1", "42", "9223372036854775807", "-9223372036854775808"])
    }

    @Test("The notation changes at 10^-4 and 10^16, and zero keeps its sign")
    func theNotationChangesAt104() throws {
        let values = [
            0.0001, 0.000099, 1e15, 9_999_999_999_999_998, 1e16, 1, -0.0, -1.5e-7, .infinity, -.infinity, .nan,
        ]
        #expect(
            try texts(of: values.map(\.bitPattern), .float64) == [
                "0.0001", "9.9e-05", "1000000000000000.0", "9999999999999998.0", "1e+16", "1.0", "-0.0", "-1.5e-07",
                #""inf""#, #""-inf""#, #""nan""#,
            ]
        )
        #expect(
            try texts(of: values.map { UInt64(Float($0).bitPattern) }, .float32) == [
                "0.0001", "9.9e-05", "1000000000000000.0", "1e+16", "1e+16", "1.0", "-0.0", "-1.5e-07",
                #""inf""#, #""-inf""#, #""nan""#,
            ]
        )
    }
}
